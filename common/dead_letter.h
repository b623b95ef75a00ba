#pragma once
/*
 * A dead letter: the original bytes, and in the headers, as text, what failed
 * and where it came from, so that `kcat -t etl.dlq -f '%h\n'` can be read
 * without a decoder. Header names of the `__connect.errors.` family are Kafka
 * Connect's (KIP-298).
 */
#include <stdint.h>

#include "common/clock.h"
#include "common/kafka.h"
#include "common/record.h"
#include "common/topics.h"

#define DEAD_LETTER_HEADERS_MAX 24

/* What a record that is put back has with it, should it be refused again. All zeros: it never was a letter. */
struct dead_letter_past {
	int32_t replays; /* how often it was put back, this time included */
	int64_t first;   /* etl.dead_letters.id of the letter that it was at first; 0: nobody knows */
};

struct dead_letter {
	const char *class; /* validation_failures, transformation_errors, load_errors, decode_errors, api_errors */
	const char *stage;
	const char *schema; /* the vendor's name: ohlcv-1m */
	struct str symbol;
	int64_t ts_event; /* ns, whence etl.day; 0: unknown, the day of the failure */
	struct str rules; /* every violated one, comma-separated */
	const char *rules_version;
	struct str message;
	struct str record;      /* one line of JSON; empty: it did not decode */
	struct lineage lineage; /* attempt 0: foreign; ordinal 0: the task itself */
	struct dead_letter_past past;
	const char *exception; /* class of the failure, e.g. BusinessLogicValidation */
	const char *topic;     /* whence: the message that failed */
	int32_t partition;
	int64_t offset;
};

#define DEAD_LETTER_INIT \
	{ \
		.exception = "", .schema = "", .rules_version = "", .topic = "", .partition = -1, .offset = -1 \
	}

/* The producer's handle of etl.dlq, which takes larger messages than any other topic. */
int dead_letter_topic(struct kafka_producer *producer, const struct topics *topics, struct kafka_topic **ret,
		      struct err *err);

/* What a letter's headers say, as text; points into itself and into the letter. */
struct dead_letter_headers {
	struct kafka_header list[DEAD_LETTER_HEADERS_MAX];
	unsigned count;
	char numbers[8][24];
	unsigned number_count;
	char day[CLOCK_TEXT_MAX];
};

/* For one that is not produced at once. */
void dead_letter_headers(const struct dead_letter *letter, struct dead_letter_headers *ret);

/* Key and value are the refused message's own. */
int dead_letter_produce(struct kafka_producer *producer, struct kafka_topic *dlq, const struct dead_letter *letter,
			struct str key, struct str value, struct err *err);

/*
 * The past of a message's record, as headers that go with it as far as the transformer; the loader asks the database. Only
 * what is put back has any: on every message they would double what a hop costs.
 */
#define DEAD_LETTER_CARRIED_MAX 2
struct dead_letter_carried {
	struct kafka_header list[DEAD_LETTER_CARRIED_MAX];
	unsigned count;
	char numbers[DEAD_LETTER_CARRIED_MAX][24];
};
void dead_letter_carry(const struct dead_letter_past *past, struct dead_letter_carried *ret);

/* What a message carries; points into it. */
void dead_letter_carried(const struct kafka_message *message, struct dead_letter_carried *ret);

/* A letter for a message of a data topic: lineage, past and origin are read from it, and from the decoded record if there is
 * one (of `type`; NULL: it did not decode) symbol, schema, day and JSON. Scratch holds the texts until it is produced. */
void dead_letter_describe(struct dead_letter *letter, const struct kafka_message *message,
			  const struct record_type *type, const void *record, struct buf *scratch);

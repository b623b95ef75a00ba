#pragma once
/* Which messages of a topic a replay puts back: those of one schema, of some symbols, and none twice. */
#include <sys/types.h>

#include "common/data_types.h"
#include "common/kafka.h"

enum kafka_fate {
	KAFKA_PUT_BACK,
	KAFKA_OTHER_SCHEMA, /* or it does not decode, so that nobody knows whose it is */
	KAFKA_OTHER_SYMBOL,
	KAFKA_REPLAYED, /* put back by a replay already: it stands before it, too */
	KAFKA_FOREIGN,  /* of no attempt of ours: it has no account */
	KAFKA_FATES
};

/* Names for reports: "other_schemas". */
extern const char *const kafka_fate_names[KAFKA_FATES];

struct kafka_filter {
	const struct record_type *type;   /* NULL: all records of the topic are of the schema */
	const struct record_field *field; /* that tells them apart, */
	const char *wanted;               /* and what it says */
	void *record;
	struct str *symbols; /* sorted; none: all */
	size_t symbol_count;
	int64_t *replays; /* attempts, sorted */
	size_t replay_count;
};

/* Symbols and attempts are copied, but for the symbols' text, which outlives the filter. */
void kafka_filter_open(struct kafka_filter *ret, const struct data_schema *schema, enum data_stage stage,
		       char *const *symbols, size_t symbol_count, const int64_t *replays, size_t replay_count);
void kafka_filter_release(struct kafka_filter *filter);

enum kafka_fate kafka_filter_judge(struct kafka_filter *filter, const struct kafka_message *message);

/* Its place among the filter's symbols; -1: it is none of them. */
ssize_t kafka_filter_symbol(const struct kafka_filter *filter, struct str symbol);

#pragma once
/*
 * What stands at an offset or behind it: the one question that offsets alone
 * do not answer, as some of them are of aborted records and of transactions'
 * own marks, which nobody ever reads.
 */
#include "common/config.h"
#include "common/err.h"
#include "common/kafka.h"

enum kafka_peek_outcome {
	KAFKA_PEEK_RECORD, /* a committed record stands at `offset`, and none between `from` and it */
	KAFKA_PEEK_END,    /* no committed record up to `offset`; what is behind it is undecided or not there */
	KAFKA_PEEK_GONE,   /* `from` is not in the partition */
};

struct kafka_peek {
	const char *topic;
	int32_t partition;
	int64_t from;
	enum kafka_peek_outcome outcome;
	int64_t offset;
	int64_t timestamp_ms; /* of a record: the broker's */
};

/* Answers for all places together, with a client that lives only for this call; ERR_RETRY after timeout_ms. */
int kafka_peek(const struct config *cfg, struct kafka_peek *places, unsigned count, int timeout_ms, struct err *err);

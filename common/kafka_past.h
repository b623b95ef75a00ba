#pragma once
/*
 * What stands in partitions already, from one offset to another: without a
 * group, so that nobody's place changes, and many records at a time, for who
 * reads millions of them once. One client for each call; callers that want
 * more than one core read other partitions in other threads.
 */
#include "common/config.h"
#include "common/err.h"
#include "common/kafka.h"

struct kafka_range {
	const char *topic;
	int32_t partition;
	int64_t from, to; /* offsets; `to` is not read any more */
};

/* The message lives until this returns. False: enough, the rest is not read. */
typedef bool kafka_past_fn(void *self, const struct kafka_message *message);

/*
 * Calls fn for every committed record of the ranges, each of another partition; of one partition in order. ERR_RETRY
 * where records are gone before they are read, or nothing comes for a while.
 */
int kafka_past_read(const struct config *cfg, const struct kafka_range *ranges, unsigned count, kafka_past_fn *fn,
		    void *self, struct err *err);

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

/*
 * One record after another, each of another partition; of one partition in order. The ranges outlive it. A message is
 * the reader's own and lives until the next call. KAFKA_NOTHING: none came in timeout_ms, though there are some;
 * KAFKA_END: that was all; KAFKA_ERROR: it cannot go on, as records are gone before they were read (ERR_RETRY: who
 * looks again finds where it begins now), or there is no such topic.
 */
struct kafka_past;
int kafka_past_open(struct kafka_past **ret, const struct config *cfg, const struct kafka_range *ranges, unsigned count,
		    struct err *err);
void kafka_past_freep(struct kafka_past **past);
enum kafka_poll kafka_past_next(struct kafka_past *past, int timeout_ms, struct kafka_message *ret, struct err *err);

/* The message lives until this returns. False: enough, the rest is not read. */
typedef bool kafka_past_fn(void *self, const struct kafka_message *message);

/*
 * Calls fn for every committed record of the ranges, each of another partition; of one partition in order. ERR_RETRY
 * where records are gone before they are read, or nothing comes for a while.
 */
int kafka_past_read(const struct config *cfg, const struct kafka_range *ranges, unsigned count, kafka_past_fn *fn,
		    void *self, struct err *err);

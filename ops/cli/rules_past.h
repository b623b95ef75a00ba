#pragma once
/* Which stretch of a schema's raw topic `rules try` reads, and the reading, on every core that there is. */
#include "common/kafka_past.h"
#include "ops/cli/rules_fates.h"

#define PAST_PARTITIONS_MAX 1024

struct past_ranges {
	const char *topic;
	struct kafka_range list[PAST_PARTITIONS_MAX]; /* one for each partition; to the end as it is now */
	unsigned count;
	int64_t entries; /* in all of them; marks of transactions are some of these */
};

#define PAST_FROM_BEGINNING INT64_MIN

/* From that time on. ERR_FATAL: there is no such topic. */
int past_ranges_find(struct past_ranges *ret, const struct config *cfg, const char *topic, int64_t since_ns,
		     struct err *err);

/* Tallies all records of the ranges. */
int past_read_all(struct fate_tally *tally, const struct past_ranges *ranges, const struct config *cfg,
		  struct err *err);

/* Tallies about so many records, from stretches at places that are chosen at random, in each partition. */
int past_read_some(struct fate_tally *tally, const struct past_ranges *ranges, int64_t records,
		   const struct config *cfg, struct err *err);

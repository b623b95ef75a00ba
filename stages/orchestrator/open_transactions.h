#pragma once
/*
 * How long transactions have been open: nobody reads beyond the first open one
 * of a partition (its last stable offset), so one that hangs stops every reader
 * behind it, until the broker ends it (transaction.timeout.ms).
 */
#include "common/err.h"
#include "common/kafka_admin.h"
#include "common/topics.h"

struct open_transactions {
	struct kafka_offset *ends, *stables; /* of every partition of every topic */
	struct open_place {
		const struct topic *topic;
		int64_t stable, since_ns; /* 0: nothing is open, or it moves */
	} * places;
	unsigned count;
};

void open_transactions_release(struct open_transactions *self);

/* Asks the broker; the gauges have the oldest of each topic. */
int open_transactions_watch(struct open_transactions *self, const struct topics *topics, struct kafka_admin *admin,
			    struct err *err);

#pragma once
/*
 * Backfills rest while more of their records are on the way than is good for
 * what is live: a record that comes by itself stands behind all that is in its
 * partition, so what is there has to be little. Fetchers are told by way of
 * etl.control; the vendor's answer stays open meanwhile, nothing is asked for
 * again.
 */
#include <stdint.h>

#include "common/err.h"

struct orchestrator;

struct backlog {
	int64_t next_ns; /* monotonic: not before this */
};

int backlog_step(struct backlog *backlog, struct orchestrator *self, struct err *err);

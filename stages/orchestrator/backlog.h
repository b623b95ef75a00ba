#pragma once
/*
 * Of backfills only so much is on the way at once, as a record that comes by
 * itself stands behind all that is in its partition. The fetchers hold that
 * themselves: they know best what they fetched. What of it is in the ledger
 * they are told by way of etl.control.
 */
#include <stdint.h>

#include "common/err.h"

struct orchestrator;

struct backlog {
	int64_t next_ns; /* monotonic: not before this */
	char *told;      /* the last message; NULL: no backfill was spoken of */
};

int backlog_step(struct backlog *backlog, struct orchestrator *self, struct err *err);
void backlog_release(struct backlog *backlog);

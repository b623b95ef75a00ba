#pragma once
/*
 * How much of the backfills may be on the way, fetched and not in the ledger:
 * of all of them together, by what the orchestrator last said on etl.control.
 * What it knows of a task that is at work here is older than what its job
 * knows; of one that ended here it may not have heard yet. Of other processes'
 * tasks only the orchestrator knows: each of n fetchers may be ahead of what it
 * said by as much as is still free.
 */
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "stages/fetcher/cursor.h"

struct flow {
	int64_t most;   /* records */
	int64_t on_way; /* of all, when that was said */
	int64_t *runs;  /* that are meant */
	unsigned run_count;
	struct flow_attempt {
		int64_t attempt, fetched;
	} * attempts; /* ascending */
	unsigned attempt_count;
	struct flow_end {
		int64_t run, attempt, fetched;
		int64_t until_ns; /* monotonic: then it is forgotten, should nobody tell of it */
	} * ended; /* here, and not told of since with all their records: no more than `most`, each has records */
	unsigned ended_count;
};

/* False where the message is about something else. One that is out of order in itself is as if nothing were held. */
bool flow_take(struct flow *flow, json_t *message);
void flow_release(struct flow *flow);

/* The run is a backfill that is meant. */
bool flow_holds(const struct flow *flow, int64_t run);

/* The attempt ended here, with so many records, and its end is committed. */
void flow_end(struct flow *flow, const struct cursor *cursor);

/* Records that could be fetched, but for what jobs did since that was said; below 0 where it was too much already. */
int64_t flow_room(const struct flow *flow);

/* Records that the attempt has fetched since then; of one that is not meant 0. */
int64_t flow_since(const struct flow *flow, const struct cursor *cursor);

#pragma once
/*
 * Tells lost from slow. One marker at a time goes through the pipeline: at
 * each hop it notes where the topics end, waits until the groups have passed
 * that, and goes on to the next hop. Behind the last one, everything that had
 * been fetched when it started is in the ledger, or nowhere.
 */
#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "stages/orchestrator/positions.h"

struct orchestrator;
struct drain_mark;

struct drain {
	struct positions places;  /* of the groups that records pass on their way, in the order of the table */
	struct drain_mark *marks; /* one for each place */
	int hop;                  /* the marker stands before; negative: none is on its way */
	int64_t started_ns;       /* monotonic: when the marker on its way started */
	int64_t completed_ns;     /* when the last completed one had started */
	int64_t next_ns;          /* not before this */
};

#define DRAIN_INIT \
	{ \
		.hop = -1 \
	}

void drain_release(struct drain *drain);

/* One step at most, and none too often; wanted: somebody waits for a marker to complete. */
int drain_step(struct drain *drain, struct orchestrator *self, bool wanted, struct err *err);

/* True when a marker that started after since_ns (monotonic) has completed. */
bool drain_covers(const struct drain *drain, int64_t since_ns);

#pragma once
/*
 * Watches where every group stands: one that cannot go on by itself is a row
 * in etl.gaps, an alarm in `status`, and one line in the log, until somebody
 * has decided (`penstock offsets skip`).
 *
 * Who makes a topic anew gives its groups a first offset, and so ends the gap
 * without deciding anything (`penstock topics apply`). What was in the former
 * log is gone all the same: a gap that is over with nothing booked for it, and
 * a group of Kafka's that stands before where it stood, are booked here.
 */
#include "common/err.h"
#include "stages/orchestrator/positions.h"

struct orchestrator;

struct gaps {
	struct positions places;
	int64_t *seen; /* per place: where the group stood at the last look */
	bool clean;    /* etl.gaps is known to be empty */
};

void gaps_release(struct gaps *gaps);

/* Looks at every partition of every group and brings etl.gaps up to date. */
int gaps_watch(struct gaps *gaps, struct orchestrator *self, struct err *err);

#pragma once
/*
 * Watches where every group stands: one that cannot go on by itself is a row
 * in etl.gaps, an alarm in `status`, and one line in the log, until somebody
 * has decided (`penstock offsets skip`).
 */
#include "common/err.h"
#include "stages/orchestrator/positions.h"

struct orchestrator;

struct gaps {
	struct positions places;
	bool clean; /* etl.gaps is known to be empty */
};

void gaps_release(struct gaps *gaps);

/* Looks at every partition of every group and brings etl.gaps up to date. */
int gaps_watch(struct gaps *gaps, struct orchestrator *self, struct err *err);

#pragma once
/*
 * Runs that stand still: paused, cancelled, or stopped by their budget. What
 * is held is in etl.runs.held, written by whoever asks for it; nothing of such
 * a run is sent. Here the fetchers are told to park what is on its way, and a
 * budget that is spent becomes such a stop.
 */
#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"

struct orchestrator;

struct holding {
	int64_t next_ns; /* monotonic: not before this */
};

int holding_step(struct holding *holding, struct orchestrator *self, struct err *err);

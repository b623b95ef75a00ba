#pragma once
/*
 * A stage's own breaker. What fails again and again whoever's records a batch
 * holds is the stage's trouble: it stands still, and tries after a while. Once
 * that lasts, it is said on etl.events, with each try again, and when it is
 * over, for `penstock status` and `breaker ls`. Nobody waits for its being
 * heard, and a worker that is gone is forgotten after two minutes.
 */
#include <stdint.h>

#include "common/worker.h"

struct stage_trouble;

/* `stage` and the worker's configuration outlive it. */
void stage_trouble_open(struct stage_trouble **ret, const struct worker *worker, const char *stage);
void stage_trouble_freep(struct stage_trouble **trouble);

/* A try failed; the next one is in about next_ms. */
void stage_trouble_lasts(struct stage_trouble *trouble, const char *why, int64_t next_ms);

/* A batch arrived. Mostly there was no trouble. */
void stage_trouble_over(struct stage_trouble *trouble);

#pragma once
/*
 * A run's life: pending, planned into tasks, running, its results checked,
 * success or failed.
 */
#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"

struct orchestrator;

/* Plans pending runs; *ret_busy where one began to run. */
int run_start_pending(struct orchestrator *self, bool *ret_busy, struct err *err);

/* Checks and ends the runs whose tasks have all ended. */
int run_finish_ended(struct orchestrator *self, bool *ret_busy, struct err *err);

/* A switch of a run's options; absent means the default. */
bool run_option(const char *options, const char *name, bool fallback);

/* Ends a run as failed, its waiting tasks with it; inside the caller's transaction. */
int run_fail(struct orchestrator *self, int64_t run, const char *message, struct err *err);

/* The same, and why, where planning it did not work: whatever was begun is rolled back. */
int run_fail_planning(struct orchestrator *self, int64_t run, const struct err *why, struct err *err);

/* A task failed: ends the run at once where its options ask for that; inside the caller's transaction. */
int run_task_failed(struct orchestrator *self, int64_t run, const char *options, const char *message, struct err *err);

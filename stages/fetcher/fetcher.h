#pragma once
/*
 * Works on the tasks of the slots that the group assigns to it, one per slot
 * at a time, in transactions that carry records, events, dead letters and the
 * tasks' offsets with their cursors. Any abort ends the process: a new start
 * goes on at the cursors.
 */
#include "common/worker.h"

/* Its configuration, also for tools that call vendors as it does. */
extern const struct config_key fetcher_keys[];

int fetcher_run(struct worker *worker, struct err *err);

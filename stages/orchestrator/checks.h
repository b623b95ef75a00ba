#pragma once
/*
 * What is asked of the data after a run: each checks/NAME.sql, with the run as
 * its parameter, answers one row (observed, expected, detail), and passes
 * where the two are equal.
 */
#include <stdint.h>

#include "common/err.h"

struct orchestrator;

/* Runs all checks and stores their results; *ret_failed counts those that did not pass. */
int checks_run(struct orchestrator *self, int64_t run, unsigned *ret_failed, struct err *err);

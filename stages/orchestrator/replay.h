#pragma once
/*
 * A run of kind replay: dead letters go back where they were refused. Which
 * ones was decided when it was asked for (etl.dead_letter_states); here they
 * become tasks of source `kafka`, or their tasks are done again. Ranges of a
 * topic are replay_topic.c's.
 */
#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"

struct orchestrator;

/* Writes the run's tasks; inside the caller's transaction. *ret_quotes: some are quotes of a vendor, which windows follow. */
int replay_plan(struct orchestrator *self, int64_t run, const char *options, unsigned *ret_tasks, bool *ret_quotes,
		struct err *err);

#pragma once
/* A run of kind replay that puts ranges of a topic's partitions into it again: they become tasks of source `kafka`. */
#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"

struct orchestrator;

/* Of the run's options: there is a topic to be replayed. */
bool replay_is_of_topic(const char *options);

/* Asks the broker whether all of the ranges stands there. ERR_RECORD names the first that does not. */
int replay_topic_check(struct orchestrator *self, const char *options, struct err *err);

/* Writes the run's tasks, inside the caller's transaction. */
int replay_topic_plan(struct orchestrator *self, int64_t run, struct err *err);

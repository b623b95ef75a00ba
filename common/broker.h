#pragma once
/*
 * Whether the broker answers this process's consumer: said once in the log,
 * and shown by readiness. One consumer per process.
 */
#include <stdbool.h>

#include "common/kafka.h"

void broker_failed(const struct err *trouble);
void broker_works(void);
bool broker_is_away(void);

/* Where it failed: asks it, for an idle consumer would not hear of its return. Waits a second at most. */
void broker_ask(struct kafka_consumer *consumer);

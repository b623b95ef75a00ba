#pragma once
/*
 * A schema registry of another make, by Confluent's API (Apicurio, Karapace,
 * Confluent's own): with registry.url set every program registers there what
 * the build has compiled in, and messages carry the ids that it gives.
 */
#include <stdbool.h>

#include "common/config.h"
#include "common/err.h"

bool registry_is_remote(const struct config *cfg);

/* Before other threads begin; nothing without registry.url. ERR_RETRY: it cannot be reached; ERR_FATAL: it refuses. */
int registry_register(const struct config *cfg, struct err *err);

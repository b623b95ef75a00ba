#pragma once
/* The orchestrator's HTTP API as the command line sees it. */
#include <jansson.h>

#include "common/config.h"
#include "common/err.h"

/*
 * Sends a request with the token of the configuration. body: JSON text or
 * NULL. *ret is the answer's JSON (owned), also of an error; NULL of a 204. ERR_RETRY: the
 * orchestrator cannot be reached, or cannot answer now; ERR_RECORD: it refused, with its own words; ERR_FATAL: the token is not
 * taken, or the answer makes no sense.
 */
int api_call(const struct config *cfg, const char *method, const char *path, const char *body, json_t **ret,
	     struct err *err);

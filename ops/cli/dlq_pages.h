#pragma once
/* All dead letters that a filter fits, page by page. */
#include <jansson.h>

#include "common/config.h"
#include "common/err.h"
#include "ops/cli/query_string.h"

typedef int dlq_letter_fn(void *self, const json_t *letter, struct err *err);

/* query: parameters of /api/v1/dead-letters, without limit and cursor. The newest first. */
int dlq_each(const struct config *cfg, const char *query, dlq_letter_fn *visit, void *self, struct err *err);

/* The oldest first; for few: they are held in memory. */
int dlq_oldest_first(const struct config *cfg, const char *query, dlq_letter_fn *visit, void *self, struct err *err);

#pragma once
/*
 * Backfills: a plan is made of what coverage lacks and what the vendor quotes
 * for it, by a run that buys nothing; approved, another run fetches just that.
 * The rows are in etl.backfills; what is missing, backfill_missing.h says.
 */
#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"

struct orchestrator;

/*
 * The tasks of a run of kind backfill, inside the caller's transaction: quotes of one that plans, windows of one that was
 * approved. *ret_quotes: they are quotes.
 */
int backfill_begin(struct orchestrator *self, int64_t run, unsigned *ret_tasks, bool *ret_quotes, struct err *err);

/* Makes the plans whose quotes have ended; *ret_busy where there were some. */
int backfill_step(struct orchestrator *self, bool *ret_busy, struct err *err);

/* Calls of the vendor that a window of such a subscription takes, where nothing has to be tried again. */
int64_t backfill_calls(const char *schema, const char *via, int64_t symbols);

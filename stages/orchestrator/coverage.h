#pragma once
/*
 * etl.coverage: which days of a subscription's symbols were fetched, so that
 * they are not bought again. Written inside the transaction that closes an
 * attempt.
 */
#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "common/pg.h"
#include "stages/orchestrator/windows.h"

struct orchestrator;

/* The window of an attempt whose account is closed; *ret_why: what of its result cannot be understood, NULL: nothing. */
int coverage_close(struct orchestrator *self, int64_t task, int64_t attempt, char **ret_why, struct err *err);

/* A quote that is closed: what the vendor says of each of its days (etl.vendor_days). */
int coverage_note_days(struct orchestrator *self, int64_t attempt, struct err *err);

/* The window of a task that failed for good. */
int coverage_fail(struct orchestrator *self, int64_t task, int64_t attempt, const char *message, struct err *err);

/*
 * The days within `bounds` that a quote's subscription lacks, ascending, since 1970: those that are not covered for each
 * of its symbols, or that the vendor's condition or last-modified date is another of now. All of them where
 * `refetch`. Owned by the caller.
 */
int coverage_missing(struct orchestrator *self, int64_t quote, int64_t attempt, const struct window *bounds,
		     bool refetch, int32_t **ret, unsigned *ret_count, struct err *err);

/* One text: what a run that succeeded has to say of symbols that were not found, and of data that is not there yet. */
int coverage_notes(struct orchestrator *self, int64_t run, struct pg_result **ret, struct err *err);

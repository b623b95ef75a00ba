#pragma once
/*
 * Rows that a vendor no longer has, removed when a window was fetched again
 * (schemas/sql/0021_corrections.sql has how). Inside the transaction that
 * closes an attempt's account, before its coverage is written.
 */
#include <stdint.h>

#include "common/err.h"

struct orchestrator;

/* From here on all can be undone, until the transaction ends. */
int withdrawals_make(struct orchestrator *self, int64_t attempt, const char *subscription, struct err *err);

/* What the attempt says cannot be understood: nothing of it holds. */
int withdrawals_undo(struct orchestrator *self, struct err *err);

#pragma once
/*
 * Writing rows of which the database refuses some (ERR_RECORD): those are
 * found under savepoints, the others are written. Inside a transaction.
 */
#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "common/pg.h"

/* Writes these rows, all or none; sequences NULL: all that there are. */
typedef int row_writer_fn(void *self, const int32_t *sequences, int64_t count, struct err *err);

struct row_writer {
	void *self;
	row_writer_fn *write;
	/* NULL, or asked of a row that was refused alone, which is not there: an error where that was not its own fault. */
	int (*judge)(void *self, int32_t sequence, struct err *err);
};

/* A row that the database will not have. */
struct refusal {
	int32_t sequence;
	char *why; /* what the database said; owned */
};

/* All zero: none. */
struct refusals {
	struct refusal *list; /* owned */
	unsigned count, cap;
};

void refusals_clear(struct refusals *refusals);
void refusals_release(struct refusals *refusals);

/* All of the rows, or *ret_refused and none. */
int refusals_attempt(struct pg *pg, const struct row_writer *writer, const int32_t *sequences, int64_t count,
		     bool *ret_refused, struct err *err);

/* All but those that are refused by themselves, which are added. */
int refusals_find(struct refusals *refusals, struct pg *pg, const struct row_writer *writer, const int32_t *sequences,
		  int64_t count, struct err *err);

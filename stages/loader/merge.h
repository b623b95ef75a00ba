#pragma once
/*
 * A batch of rows becomes rows of the table. A key that is new is inserted;
 * one that is there already is unchanged, updated (newer `as_of`: the old row
 * goes to etl.restatements), superseded (older `as_of`), or a collision (the
 * same attempt says two different things of one reading; one that replays a
 * topic's past brings several readings).
 *
 * Mostly every key is new, so the rows are copied straight into the table
 * first. Where that meets a key that is there (23505), it is undone. Then rows
 * with these keys are fetched: what is there already, just as it came, is
 * unchanged, which is all of it when something is fetched again. If the others
 * are new, they are copied; else they go through a staging table where it is
 * sorted out what they are. While the batch before met known keys, the straight
 * way is not tried.
 *
 * A row that the database refuses (class 22, a null, a constraint, another
 * unique index) is found by halving what was refused with it, under savepoints.
 * What becomes of the other rows is what would have without it.
 */
#include "stages/loader/ledger.h"
#include "stages/loader/table.h"

struct merge;

struct merge *merge_new(const struct table *table);
void merge_freep(struct merge **merge);

/* One row of a batch, by its place in it: the sequence. */
struct merge_row {
	size_t at; /* in `rows` */
	uint32_t len;
	int32_t partition;
	int64_t offset;
	int64_t attempt, ordinal;
	int64_t as_of; /* ns */
};

struct merge_batch {
	const struct buf *rows; /* encoded by table_encode() */
	const struct merge_row *index;
	int64_t total;                 /* rows in it */
	const int32_t *order;          /* those that are to be written, in this order: see order.h */
	int64_t count;                 /* of those */
	int64_t time_min, time_max;    /* ns, of table_time() */
	const char *topic;             /* the rows' topic, for the ledger */
	const struct ledger *arrivals; /* what the ledger says if every row is new */
	bool cut;                      /* not all that arrived is to be written */
};

static inline struct str merge_row_bytes(const struct merge_batch *batch, int32_t sequence)
{
	const struct merge_row *row = &batch->index[sequence];

	return (struct str){ (const char *)batch->rows->data + row->at, row->len };
}

/* A row that is not in the table: refused, or a collision. */
struct merge_refusal {
	int32_t sequence; /* in the batch */
	const char *why;  /* what the database said; NULL: it collided */
};

typedef int merge_refusal_fn(void *self, const struct merge_refusal *refusal, struct err *err);

/* Inside the caller's transaction; adds what became of every row but the refused ones to the ledger. */
int merge_run(struct merge *merge, struct pg *pg, const struct merge_batch *batch, struct ledger *ledger,
	      merge_refusal_fn *refused, void *self, struct err *err);

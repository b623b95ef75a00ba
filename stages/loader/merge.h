#pragma once
/*
 * Rows that are staged become rows of the table. A key that is new is
 * inserted; one that is there already is unchanged, updated (newer `as_of`:
 * the old row goes to etl.restatements), superseded (older `as_of`), or a
 * collision (the same attempt says two different things).
 */
#include "stages/loader/ledger.h"
#include "stages/loader/table.h"

struct merge;

struct merge *merge_new(const struct table *table);
void merge_freep(struct merge **merge);

/* What the batch holds besides its rows. */
struct merge_batch {
	const struct buf *rows; /* encoded by table_encode() */
	int64_t count;
	int64_t time_min, time_max;    /* ns, of table_time() */
	const char *topic;             /* the rows' topic, for the ledger */
	const struct ledger *arrivals; /* what the ledger says if every row is new */
};

/* A row that collided: its sequence in the batch. */
typedef int merge_collision_fn(void *self, int32_t sequence, struct err *err);

/* Inside the caller's transaction; adds what became of every row to the ledger. */
int merge_run(struct merge *merge, struct pg *pg, const struct merge_batch *batch, struct ledger *ledger,
	      merge_collision_fn *collision, void *self, struct err *err);

#pragma once
/*
 * Rows of a batch as stretches of the series that they belong to. What a table
 * has of a stretch is read with one look into its index, so rows that are far
 * from each other must not share one: several files, or windows, are read at a
 * time, and what the table has between them is no business of the batch.
 */
#include <stdbool.h>
#include <stdint.h>

struct span_row {
	int64_t time; /* as the database has it: µs, or days */
	int32_t sequence;
	bool begins; /* another series than the one before it */
	bool found;
};

/* Rows that are close together, in the order of their times. */
struct span {
	uint32_t first, count;
	uint32_t most;     /* so many rows of the table are wanted at most */
	uint32_t answered; /* so many came, the last of them at `last` */
	int64_t last;
};

/*
 * Puts the rows of each series in the order of their times and cuts them where a step is much longer than is usual there;
 * where rows are too few to tell, each is for itself. Returns how many spans that makes. `steps` and `spans` have room for as
 * many as there are rows; steps are left as they come.
 */
uint32_t spans_cut(struct span_row *rows, uint32_t count, int64_t *steps, struct span *spans);

/* The first of rows in order that is not before that time; `rows + count`: none. */
struct span_row *span_row_at(struct span_row *rows, uint32_t count, int64_t time);

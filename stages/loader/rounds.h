#pragma once
/*
 * A key may come several times in one batch: its rows are taken in their
 * order, one round each.
 */
#include "stages/loader/merge.h"
#include "stages/loader/refusals.h"

struct rounds;

struct rounds *rounds_new(void);
void rounds_freep(struct rounds **rounds);

/* Finds the round of every row that is to be written but those that are refused, 1 the first; returns the last. */
int32_t rounds_find(struct rounds *rounds, const struct table *table, const struct merge_batch *batch,
		    const struct refusals *refused);

/* Whether no other row of the batch has this one's key. */
bool rounds_alone(const struct rounds *rounds, int32_t sequence);

/* ROUNDS_NONE of a row that was left out. */
#define ROUNDS_NONE 0
int32_t rounds_of(const struct rounds *rounds, int32_t sequence);

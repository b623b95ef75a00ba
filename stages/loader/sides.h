#pragma once
/*
 * Tables beside a real one: a replay may load into `<table>_<suffix>` instead,
 * to be compared. Which attempts do is the orchestrator's word, in the options
 * of their run; it makes the table, too. Of each attempt it is asked once.
 */
#include "stages/loader/merge.h"

struct sides;

/* spec: the real table's; it outlives this. */
struct sides *sides_new(const struct table_spec *spec);
void sides_freep(struct sides **sides);

/* A new session: staging tables went with the one before. */
void sides_opened(struct sides *sides);

#define SIDE_NONE (-1)

/* Finds out about the attempts of these rows; *ret_any: some go beside the real table. In its own transactions. */
int sides_learn(struct sides *sides, struct pg *pg, const struct merge_row *rows, int64_t count, bool *ret_any,
		struct err *err);

/* How many tables there are, and which one an attempt goes into; SIDE_NONE: the real one. */
int sides_count(const struct sides *sides);
int sides_of(const struct sides *sides, int64_t attempt);

/* NULL: there is no such table any more. */
struct merge *sides_merge(const struct sides *sides, int side);
const char *sides_table(const struct sides *sides, int side);

#pragma once
/*
 * Which rows of a batch are in the table already. What the table has between
 * the first and the last row of each series is fetched and compared here: a row
 * that was fetched again costs the database its reading and sending, and is
 * written nowhere.
 */
#include "stages/loader/merge.h"
#include "stages/loader/rounds.h"

struct known;

/* sql: MERGE_FETCH; it and the table outlive it. */
struct known *known_new(const struct table *table, const char *sql);
void known_freep(struct known **known);

/* What is known of a row. */
enum known_as {
	KNOWN_NEW,   /* its key is not there */
	KNOWN_SAME,  /* it is there just so */
	KNOWN_OTHER, /* it is there and differs, as far as one sees here */
	KNOWN_UNASKED /* its key comes several times in the batch, or too much of the table lies between it and its neighbours */
};

/* Asks for every row that is to be written and whose key comes once in the batch. */
int known_find(struct known *known, struct pg *pg, const struct merge_batch *batch, const struct rounds *rounds,
	       struct err *err);

enum known_as known_as(const struct known *known, int32_t sequence);

/* How many rows are that. */
int64_t known_count(const struct known *known, enum known_as as);

#pragma once
/*
 * The statements by which a batch is merged into one table. The batch stands
 * in the staging table, and what becomes of its rows in a table of outcomes,
 * by sequence and round. $1 is a round where nothing else is said.
 */
#include "stages/loader/table.h"

enum merge_statement {
	MERGE_COPY_ALL,   /* straight into the table */
	MERGE_FETCH,      /* rows of series between times; $1, $2: as $2, $3 below, then arrays: known.c */
	MERGE_COPY_STAGE, /* into the staging table */
	MERGE_UNSTAGE,    /* empties it */
	MERGE_CLASSIFY,   /* what becomes of a round's rows; $2, $3: the batch's first and last time */
	MERGE_ANALYZE,    /* before rows of the stage are written: the joins below need to know how many there are */
	MERGE_CHANGES,    /* how many are to be inserted and updated */
	MERGE_INSERT,     /* those of a round */
	MERGE_KNOWN,      /* a row if the key of the sequence $1 is there; $2, $3 as above */
	MERGE_JOURNAL, /* the old rows of a round's updates; $2, $3 as above, $4: an array of sequences, null for all */
	MERGE_UPDATE,  /* likewise */
	MERGE_SCOPE,   /* what a round's updates are about: $2, $3, $5 of the next; whether the table is a hypertable */
	MERGE_UPDATE_PACKED, /* likewise, $5: the first column of their series, as a text array */
	MERGE_BEGIN_PARTS,   /* from here to END_PARTS, rows are looked up by sequence */
	MERGE_END_PARTS,
	MERGE_LIST,   /* sequences of a round's rows of the outcome $2 */
	MERGE_REFUSE, /* $1: an array of sequences */
	MERGE_AGAIN,  /* what was behind a round's refused rows is not there again, but for the first time */
	MERGE_COUNT,  /* for the ledger, without parameters */
	MERGE_COLLISIONS,
	MERGE_STATEMENTS
};

void merge_sql_write(struct buf sql[MERGE_STATEMENTS], const struct table *table);
void merge_sql_release(struct buf sql[MERGE_STATEMENTS]);

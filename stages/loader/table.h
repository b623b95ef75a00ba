#pragma once
/*
 * How a record type becomes rows: columns matched by name with pg_attribute at
 * start, so that a schema and a table that have drifted apart are found before
 * the first record. Rows are encoded for binary COPY into the table, or into a
 * session's staging table, which has its columns and, in front, what the merge
 * needs to know of a row.
 */
#include <stdint.h>

#include "common/buf.h"
#include "common/pg.h"
#include "common/record.h"

#define TABLE_KEYS_MAX 16

struct table_spec {
	const char *name; /* "ohlcv_data" */
	const struct record_type *type;
	const char *time_column; /* a time or a date; partitioned by it, by month */
	bool rolled_up;          /* bars of months are made of it */
	bool nanoseconds; /* a time `t` but as_of has a column `t_ns` beside it, of the ns below its microsecond */
	const char *keys[TABLE_KEYS_MAX];
	const char *series
		[TABLE_KEYS_MAX]; /* those of them that tell which series a record belongs to, whatever its time */
};

struct table;

/* ERR_FATAL names every column that does not match its field. */
int table_open(struct table **ret, struct pg *pg, const struct table_spec *spec, struct err *err);
void table_freep(struct table **table);
const struct table_spec *table_spec(const struct table *table);

/* Comma-separated, quoted: every column the record fills, and the key's. */
const char *table_columns(const struct table *table);
const char *table_key(const struct table *table);

/* "a, b" of what may differ between two rows of one key: no key, no lineage. */
const char *table_content(const struct table *table);

/*
 * Makes the session's staging table "stage_<name>", and "outcome_<name>", unless they are there. Not before they are
 * needed: every commit empties all that there are.
 */
int table_create_stage(const struct table *table, struct pg *pg, struct err *err);

/*
 * ERR_RECORD where the table could not take the record: found before it is in
 * a batch, which would be refused as a whole.
 */
int table_check(const struct table *table, const void *record, struct err *err);

/* Appends one row of the table. */
void table_encode(const struct table *table, const void *record, struct buf *rows);

/* What stands in front of a staged row. */
struct staged {
	int32_t sequence, partition;
	int64_t ordinal;
	int32_t round; /* 1: its key did not come before it in the batch */
};

/* Appends the same row for the staging table: `row` as table_encode() made it. */
void table_encode_stage(const struct table *table, struct str row, const struct staged *staged, struct buf *rows);

/* What a column of the key tells: the series, when in it, or which of several at that time. */
enum key_part { KEY_SERIES, KEY_TIME, KEY_REST };

struct table_key {
	const char *name;
	const char *type; /* "text" */
	uint32_t type_oid;
	bool collated; /* as "C" */
	enum key_part part;
};

/* The key's columns in the order in which a row has them; false where there are no more. */
bool table_key_column(const struct table *table, unsigned i, struct table_key *ret);

/* Of a row as table_encode() made it: the fields of its key, or of its series, each appended to its column's; the time's. */
void table_put_key(const struct table *table, struct str row, struct buf *fields);
void table_put_series(const struct table *table, struct str row, struct buf *fields);
struct str table_time_field(const struct table *table, struct str row);

bool table_series_equal(const struct table *table, struct str a, struct str b);

/* Compares with the columns of the key that are KEY_REST, as the database sends them. */
bool table_rest_equal(const struct table *table, struct str row, const struct pg_result *result, int result_row,
		      int first_column);

/* Compares with table_content()'s columns as the database sends them. False is no proof: a number has several forms. */
bool table_content_equal(const struct table *table, struct str row, const struct pg_result *result, int result_row,
			 int first_column);

/* Of rows as table_encode() made them. */
uint64_t table_key_hash(const struct table *table, struct str row);
bool table_key_equal(const struct table *table, struct str a, struct str b);

/* The row's time, in ns. */
int64_t table_time(const struct table *table, const void *record);

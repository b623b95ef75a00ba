#pragma once
/*
 * Keys of rows as parameters of a statement: an array of each of the key's
 * columns in binary form, so that thousands are asked about at once.
 */
#include "stages/loader/table.h"

struct key_arrays;

/*
 * Empties the buffer and begins an array of so many elements in binary form: one dimension, no nulls, an element's length
 * before each (array_recv() in src/backend/utils/adt/arrayfuncs.c). The fields of a row for COPY are elements already.
 */
void key_array_begin(struct buf *array, uint32_t type_oid, uint32_t count);

struct key_arrays *key_arrays_new(const struct table *table);
void key_arrays_freep(struct key_arrays **arrays);

void key_arrays_reset(struct key_arrays *arrays);
/* The key of a row as table_encode() made it. */
void key_arrays_add(struct key_arrays *arrays, struct str row);
uint32_t key_arrays_count(const struct key_arrays *arrays);

/* One parameter for each column, `params` has room for TABLE_KEYS_MAX; returns how many there are. They last until the next add. */
int key_arrays_params(struct key_arrays *arrays, struct pg_value *params, unsigned *ret_count, struct err *err);

/* "unnest($3::text[], $4::timestamptz[]) WITH ORDINALITY AS k ("symbol", "ts_event", place)"; `more`: an array beside, and its column. */
void key_arrays_put_from(const struct table *table, unsigned first_param, const char *more, const char *more_column,
			 struct buf *sql);

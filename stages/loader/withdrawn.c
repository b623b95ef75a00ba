#include "stages/loader/withdrawn.h"

#include <endian.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/mem.h"
#include "stages/loader/copy.h"
#include "stages/loader/key_arrays.h"

#define KEYS_AT_ONCE 5000
#define SQL_MAX 8192
#define ARRAY_BYTES_MAX ((size_t)4 * 1024 * 1024)
#define TIMESTAMP_OID 1184

struct withdrawn {
	const struct table *table;
	struct buf note_sql, find_sql;
	struct key_arrays *keys;
	struct buf times; /* when they were read, as an array beside the keys */
	int32_t *asked;   /* by place in the arrays */
	bool *gone;       /* by sequence */
	int64_t capacity, count;
	int64_t removals;  /* of the batch's time, when it began */
	int64_t *attempts; /* that keys are noted of */
	unsigned attempt_count;
};

/* --- statements ---------------------------------------------------------------------------------------------------------- */

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct table_key *)a)->name, ((const struct table_key *)b)->name);
}

/* In the order of etl.key_columns(). */
static void put_hash(const struct table *table, struct buf *sql)
{
	struct table_key keys[TABLE_KEYS_MAX];
	unsigned count = 0;

	while (count < TABLE_KEYS_MAX && table_key_column(table, count, &keys[count]))
		count++;
	qsort(keys, count, sizeof(*keys), by_name);
	buf_put_text(sql, "hash_record_extended(ROW (");
	for (unsigned i = 0; i < count; i++)
		buf_printf(sql, "%sk.\"%s\"", i ? ", " : "", keys[i].name);
	buf_put_text(sql, "), 0)");
}

static void write_note(const struct table *table, struct buf *sql)
{
	buf_put_text(
		sql,
		"INSERT INTO etl.seen_keys (attempt, as_of, hashes) SELECT $1::bigint, $2::timestamptz, array_agg(");
	put_hash(table, sql);
	buf_put_text(sql, ") FROM ");
	key_arrays_put_from(table, 3, NULL, NULL, sql);
}

/* The hash finds, the key decides. */
static void write_find(const struct table *table, struct buf *sql)
{
	struct table_key key;

	buf_put_text(sql, "SELECT k.place FROM ");
	key_arrays_put_from(table, 3, "$2::timestamptz[]", "was_read", sql);
	buf_put_text(sql, " WHERE EXISTS (SELECT FROM etl.restatements w WHERE w.kind = 'withdrawn' AND w.key_hash = ");
	put_hash(table, sql);
	buf_put_text(sql, " AND w.table_name = $1 AND w.new_as_of > k.was_read AND w.old_row @> jsonb_build_object(");
	for (unsigned i = 0; table_key_column(table, i, &key); i++)
		buf_printf(sql, "%s'%s', k.\"%s\"", i ? ", " : "", key.name, key.name);
	buf_put_text(sql, "))");
}

struct withdrawn *withdrawn_new(const struct table *table)
{
	struct withdrawn *w = mem_zalloc(1, sizeof(*w));

	w->table = table;
	w->note_sql = w->find_sql = (struct buf)BUF_INIT(SQL_MAX);
	w->times = (struct buf)BUF_INIT(ARRAY_BYTES_MAX);
	w->keys = key_arrays_new(table);
	w->asked = mem_alloc(KEYS_AT_ONCE * sizeof(*w->asked));
	write_note(table, &w->note_sql);
	write_find(table, &w->find_sql);
	return w;
}

void withdrawn_freep(struct withdrawn **pointer)
{
	struct withdrawn *w = *pointer;

	if (!w)
		return;
	buf_release(&w->note_sql);
	buf_release(&w->find_sql);
	buf_release(&w->times);
	key_arrays_freep(&w->keys);
	free(w->asked);
	free(w->gone);
	free(w->attempts);
	free(w);
	*pointer = NULL;
}

/* --- what concerns the batch at all -------------------------------------------------------------------------------------- */

static int by_number(const void *a, const void *b)
{
	const int64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

/* Each attempt of the batch once. */
static void list_attempts(const struct merge_batch *batch, struct buf *list)
{
	CLEANUP(freep) int64_t *found = mem_alloc(((size_t)batch->count + 1) * sizeof(*found));
	size_t count = 0;

	for (int64_t i = 0; i < batch->count; i++) {
		const struct merge_row *row = &batch->index[batch->order[i]];

		if (count == 0 || found[count - 1] != row->attempt)
			found[count++] = row->attempt;
	}
	qsort(found, count, sizeof(*found), by_number);
	for (size_t i = 0; i < count; i++)
		if (i == 0 || found[i] != found[i - 1])
			buf_printf(list, "%c%" PRId64, list->len ? ',' : '{', found[i]);
	buf_put_text(list, "}");
}

static int count_removals(struct withdrawn *w, struct pg *pg, const struct merge_batch *batch, int64_t *ret,
			  struct err *err)
{
	CLEANUP(pg_result_freep) struct pg_result *r = NULL;
	char from[CLOCK_TEXT_MAX], to[CLOCK_TEXT_MAX];

	clock_format(batch->time_min, 6, from);
	clock_format(batch->time_max, 6, to);
	if (pg_query(pg,
		     "SELECT count(*) FROM etl.withdrawals WHERE withdrawn > 0 AND table_name = $1"
		     " AND until_time >= $2::timestamptz AND from_time <= $3::timestamptz",
		     PG_PARAMS(table_spec(w->table)->name, from, to), &r, err))
		return -1;
	*ret = pg_int(r, 0, 0);
	return 0;
}

static int learn_attempts(struct withdrawn *w, struct pg *pg, const struct merge_batch *batch, struct err *err)
{
	CLEANUP(pg_result_freep) struct pg_result *r = NULL;
	CLEANUP(buf_release) struct buf list = BUF_INIT(ARRAY_BYTES_MAX);

	list_attempts(batch, &list);
	if (pg_query(pg, "SELECT attempt FROM etl.attempts WHERE attempt = ANY($1::bigint[]) AND keys_kept",
		     PG_PARAMS(buf_text(&list)), &r, err))
		return -1;
	w->attempt_count = (unsigned)pg_rows(r);
	w->attempts = mem_realloc(w->attempts, (size_t)w->attempt_count + 1, sizeof(*w->attempts));
	for (unsigned i = 0; i < w->attempt_count; i++)
		w->attempts[i] = pg_int(r, (int)i, 0);
	return 0;
}

/* --- noting keys ------------------------------------------------------------------------------------------------------------ */

static int note_keys(struct withdrawn *w, struct pg *pg, int64_t attempt, int64_t as_of, struct err *err)
{
	struct pg_value params[TABLE_KEYS_MAX + 2];
	CLEANUP(pg_result_freep) struct pg_result *r = NULL;
	char at[CLOCK_TEXT_MAX];
	unsigned columns;

	if (key_arrays_count(w->keys) == 0)
		return 0;
	clock_format(as_of, 6, at);
	params[0] = (struct pg_value){ str_of(INT_TEXT(attempt)), false };
	params[1] = (struct pg_value){ str_of(at), false };
	if (key_arrays_params(w->keys, params + 2, &columns, err) ||
	    pg_fetch(pg, buf_text(&w->note_sql), params, columns + 2, &r, err))
		return -1;
	key_arrays_reset(w->keys);
	return 0;
}

static int note_attempt(struct withdrawn *w, struct pg *pg, const struct merge_batch *batch, int64_t attempt,
			struct err *err)
{
	int64_t as_of = 0;

	key_arrays_reset(w->keys);
	for (int64_t i = 0; i < batch->count; i++) {
		int32_t sequence = batch->order[i];

		if (batch->index[sequence].attempt != attempt)
			continue;
		as_of = batch->index[sequence].as_of;
		key_arrays_add(w->keys, merge_row_bytes(batch, sequence));
		if (key_arrays_count(w->keys) == KEYS_AT_ONCE && note_keys(w, pg, attempt, as_of, err))
			return -1;
	}
	return note_keys(w, pg, attempt, as_of, err);
}

/* --- finding rows that went -------------------------------------------------------------------------------------------------- */

static void begin_asking(struct withdrawn *w)
{
	key_arrays_reset(w->keys);
	key_array_begin(&w->times, TIMESTAMP_OID, 0 /* ask() */);
}

static void add_asked(struct withdrawn *w, const struct merge_batch *batch, int32_t sequence)
{
	uint8_t field[COPY_FIELD_MAX];
	uint8_t *end = copy_timestamp(field, batch->index[sequence].as_of);

	w->asked[key_arrays_count(w->keys)] = sequence;
	key_arrays_add(w->keys, merge_row_bytes(batch, sequence));
	buf_put(&w->times, field, (size_t)(end - field));
}

static int ask(struct withdrawn *w, struct pg *pg, struct err *err)
{
	struct pg_value params[TABLE_KEYS_MAX + 2];
	CLEANUP(pg_result_freep) struct pg_result *r = NULL;
	uint32_t count = key_arrays_count(w->keys), dimension = htobe32(count);
	unsigned columns;

	memcpy(w->times.data + 3 * sizeof(dimension), &dimension, sizeof(dimension));
	params[0] = (struct pg_value){ str_of(table_spec(w->table)->name), false };
	params[1] = (struct pg_value){ buf_str(&w->times), true };
	if (key_arrays_params(w->keys, params + 2, &columns, err) ||
	    pg_fetch(pg, buf_text(&w->find_sql), params, columns + 2, &r, err))
		return -1;
	for (int row = 0; row < pg_rows(r); row++) {
		uint64_t place = 0;
		struct str bytes = pg_bytes(r, row, 0);

		if (bytes.len == sizeof(place))
			memcpy(&place, bytes.data, sizeof(place));
		place = be64toh(place);
		if (place < 1 || place > count)
			return err_set(err, ERR_FATAL, "key %" PRIu64 " of %u was found", place, count);
		w->gone[w->asked[place - 1]] = true;
		w->count++;
	}
	begin_asking(w);
	return 0;
}

static int find_gone(struct withdrawn *w, struct pg *pg, const struct merge_batch *batch, struct err *err)
{
	begin_asking(w);
	for (int64_t i = 0; i < batch->count; i++) {
		add_asked(w, batch, batch->order[i]);
		if ((key_arrays_count(w->keys) == KEYS_AT_ONCE || i + 1 == batch->count) && ask(w, pg, err))
			return -1;
	}
	return 0;
}

/* --- a batch -------------------------------------------------------------------------------------------------------------- */

int withdrawn_find(struct withdrawn *w, struct pg *pg, const struct merge_batch *batch, struct err *err)
{
	w->count = 0;
	if (count_removals(w, pg, batch, &w->removals, err) || learn_attempts(w, pg, batch, err))
		return -1;
	for (unsigned i = 0; i < w->attempt_count; i++)
		if (note_attempt(w, pg, batch, w->attempts[i], err))
			return -1;
	if (w->removals == 0)
		return 0;
	if (batch->total > w->capacity) {
		w->gone = mem_realloc(w->gone, (size_t)batch->total, sizeof(*w->gone));
		w->capacity = batch->total;
	}
	memset(w->gone, 0, (size_t)batch->total * sizeof(*w->gone));
	return find_gone(w, pg, batch, err);
}

int64_t withdrawn_count(const struct withdrawn *w)
{
	return w->count;
}

bool withdrawn_is(const struct withdrawn *w, int32_t sequence)
{
	return w->count > 0 && w->gone[sequence];
}

int withdrawn_check(struct withdrawn *w, struct pg *pg, const struct merge_batch *batch, struct err *err)
{
	int64_t removals;

	if (count_removals(w, pg, batch, &removals, err))
		return -1;
	return removals == w->removals ? 0 : err_set(err, ERR_RETRY, "rows were withdrawn meanwhile");
}

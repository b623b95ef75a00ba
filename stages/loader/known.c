#include "stages/loader/known.h"

#include <endian.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/mem.h"
#include "stages/loader/copy.h"

#define KEYS_AT_ONCE 5000 /* what is fetched for them is held in memory */
#define ARRAY_BYTES_MAX ((size_t)64 * 1024 * 1024)

struct known {
	const struct table *table;
	const char *sql;
	unsigned key_count;
	struct buf arrays[TABLE_KEYS_MAX];
	int32_t *asked; /* by place in the arrays */
	uint8_t *as;    /* by sequence */
	int64_t capacity;
	int64_t counts[KNOWN_UNASKED + 1];
};

struct known *known_new(const struct table *table, const char *sql)
{
	struct known *known = mem_zalloc(1, sizeof(*known));
	struct table_key key;

	known->table = table;
	known->sql = sql;
	while (table_key_column(table, known->key_count, &key))
		known->arrays[known->key_count++] = (struct buf)BUF_INIT(ARRAY_BYTES_MAX);
	known->asked = mem_alloc(KEYS_AT_ONCE * sizeof(*known->asked));
	return known;
}

void known_freep(struct known **pointer)
{
	struct known *known = *pointer;

	if (!known)
		return;
	for (unsigned i = 0; i < known->key_count; i++)
		buf_release(&known->arrays[i]);
	free(known->asked);
	free(known->as);
	free(known);
	*pointer = NULL;
}

/* --- arrays of keys -------------------------------------------------------------------------------------------------- */

/*
 * One dimension, no nulls, an element's length before each (array_recv() in src/backend/utils/adt/arrayfuncs.c): the
 * fields of a row for COPY are elements already.
 */
static void begin_array(struct buf *array, const struct table_key *key)
{
	const uint32_t head[] = { htobe32(1), 0, htobe32(key->type_oid), 0 /* how many: end_array() */, htobe32(1) };

	buf_reset(array);
	buf_put(array, head, sizeof(head));
}

static void end_array(struct buf *array, uint32_t count)
{
	count = htobe32(count);
	memcpy(array->data + 3 * sizeof(count), &count, sizeof(count));
}

static void begin_arrays(struct known *known)
{
	struct table_key key;

	for (unsigned i = 0; table_key_column(known->table, i, &key); i++)
		begin_array(&known->arrays[i], &key);
}

/* --- fetching -------------------------------------------------------------------------------------------------------- */

static void note(struct known *known, int32_t sequence, enum known_as as)
{
	known->as[sequence] = (uint8_t)as;
	known->counts[as]++;
}

static int64_t place_of(const struct pg_result *r, int row)
{
	uint64_t place = 0;
	struct str bytes = pg_bytes(r, row, 0);

	if (bytes.len == sizeof(place))
		memcpy(&place, bytes.data, sizeof(place));
	return (int64_t)be64toh(place);
}

static int compare(struct known *known, const struct merge_batch *batch, const struct pg_result *r, uint32_t count,
		   struct err *err)
{
	for (int row = 0; row < pg_rows(r); row++) {
		int64_t place = place_of(r, row);
		int32_t sequence;
		bool same;

		if (place < 1 || place > count)
			return err_set(err, ERR_FATAL, "key %" PRId64 " of %u was fetched", place, count);
		sequence = known->asked[place - 1];
		same = table_content_equal(known->table, merge_row_bytes(batch, sequence), r, row, 1);
		known->counts[KNOWN_NEW]--;
		note(known, sequence, same ? KNOWN_SAME : KNOWN_OTHER);
	}
	return 0;
}

static int ask(struct known *known, struct pg *pg, const struct merge_batch *batch, uint32_t count, struct err *err)
{
	CLEANUP(pg_result_freep) struct pg_result *r = NULL;
	struct pg_value params[TABLE_KEYS_MAX + 2];
	char from[CLOCK_TEXT_MAX], to[CLOCK_TEXT_MAX];

	clock_format(batch->time_min, 6, from);
	clock_format(batch->time_max, 6, to);
	params[0] = (struct pg_value){ str_of(from), false };
	params[1] = (struct pg_value){ str_of(to), false };
	for (unsigned i = 0; i < known->key_count; i++) {
		if (known->arrays[i].overflow)
			return err_set(err, ERR_FATAL, "keys of more than %zu bytes", ARRAY_BYTES_MAX);
		end_array(&known->arrays[i], count);
		params[2 + i] = (struct pg_value){ buf_str(&known->arrays[i]), true };
	}
	return pg_fetch(pg, known->sql, params, 2 + known->key_count, &r, err) || compare(known, batch, r, count, err)
		       ? -1
		       : 0;
}

static void make_room(struct known *known, int64_t rows)
{
	if (rows > known->capacity) {
		known->as = mem_realloc(known->as, (size_t)rows, sizeof(*known->as));
		known->capacity = rows;
	}
	memset(known->counts, 0, sizeof(known->counts));
}

int known_find(struct known *known, struct pg *pg, const struct merge_batch *batch, const struct rounds *rounds,
	       struct err *err)
{
	uint32_t count = 0;

	make_room(known, batch->total);
	for (int64_t i = 0; i < batch->count; i++) {
		int32_t sequence = batch->order[i];
		bool alone = rounds_alone(rounds, sequence);

		note(known, sequence, alone ? KNOWN_NEW : KNOWN_UNASKED);
		if (alone) {
			if (count == 0)
				begin_arrays(known);
			known->asked[count++] = sequence;
			table_put_key(known->table, merge_row_bytes(batch, sequence), known->arrays);
		}
		if (count == KEYS_AT_ONCE || (count > 0 && i + 1 == batch->count)) {
			if (ask(known, pg, batch, count, err))
				return -1;
			count = 0;
		}
	}
	return 0;
}

enum known_as known_as(const struct known *known, int32_t sequence)
{
	return (enum known_as)known->as[sequence];
}

int64_t known_count(const struct known *known, enum known_as as)
{
	return known->counts[as];
}

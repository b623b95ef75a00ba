#include "stages/loader/known.h"

#include <endian.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/mem.h"
#include "stages/loader/key_arrays.h"

#define KEYS_AT_ONCE 5000 /* what is fetched for them is held in memory */

struct known {
	const struct table *table;
	const char *sql;
	struct key_arrays *keys;
	int32_t *asked; /* by place in the arrays */
	uint8_t *as;    /* by sequence */
	int64_t capacity;
	int64_t counts[KNOWN_UNASKED + 1];
};

struct known *known_new(const struct table *table, const char *sql)
{
	struct known *known = mem_zalloc(1, sizeof(*known));

	known->table = table;
	known->sql = sql;
	known->keys = key_arrays_new(table);
	known->asked = mem_alloc(KEYS_AT_ONCE * sizeof(*known->asked));
	return known;
}

void known_freep(struct known **pointer)
{
	struct known *known = *pointer;

	if (!known)
		return;
	key_arrays_freep(&known->keys);
	free(known->asked);
	free(known->as);
	free(known);
	*pointer = NULL;
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

static int ask(struct known *known, struct pg *pg, const struct merge_batch *batch, struct err *err)
{
	CLEANUP(pg_result_freep) struct pg_result *r = NULL;
	struct pg_value params[TABLE_KEYS_MAX + 2];
	char from[CLOCK_TEXT_MAX], to[CLOCK_TEXT_MAX];
	uint32_t count = key_arrays_count(known->keys);
	unsigned columns;

	clock_format(batch->time_min, 6, from);
	clock_format(batch->time_max, 6, to);
	params[0] = (struct pg_value){ str_of(from), false };
	params[1] = (struct pg_value){ str_of(to), false };
	if (key_arrays_params(known->keys, params + 2, &columns, err) ||
	    pg_fetch(pg, known->sql, params, 2 + columns, &r, err) || compare(known, batch, r, count, err))
		return -1;
	key_arrays_reset(known->keys);
	return 0;
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
	key_arrays_reset(known->keys);
	for (int64_t i = 0; i < batch->count; i++) {
		int32_t sequence = batch->order[i];
		bool alone = rounds_alone(rounds, sequence);

		note(known, sequence, alone ? KNOWN_NEW : KNOWN_UNASKED);
		if (alone) {
			known->asked[count++] = sequence;
			key_arrays_add(known->keys, merge_row_bytes(batch, sequence));
		}
		if (count == KEYS_AT_ONCE || (count > 0 && i + 1 == batch->count)) {
			if (ask(known, pg, batch, err))
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

#include "stages/loader/sides.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/mem.h"

#define KNOWN_MAX 65536 /* attempts; then they are asked for anew */
#define ARRAY_TEXT_MAX (4 * 1024 * 1024)

struct side {
	char *suffix, *name; /* "x", "ohlcv_data_x" */
	struct table_spec spec;
	struct table *table;
	struct merge *merge;
};

struct known_attempt {
	int64_t attempt;
	int side;
};

struct sides {
	const struct table_spec *real;
	struct side **list;
	int count;
	struct known_attempt *known; /* sorted */
	size_t known_count;
	bool *used; /* by the batch that was learnt last */
};

struct sides *sides_new(const struct table_spec *spec)
{
	struct sides *sides = mem_zalloc(1, sizeof(*sides));

	sides->real = spec;
	return sides;
}

static void close_table(struct side *side)
{
	merge_freep(&side->merge);
	table_freep(&side->table);
}

void sides_freep(struct sides **pointer)
{
	struct sides *sides = *pointer;

	if (!sides)
		return;
	for (int i = 0; i < sides->count; i++) {
		close_table(sides->list[i]);
		free(sides->list[i]->suffix);
		free(sides->list[i]->name);
		free(sides->list[i]);
	}
	free(sides->list);
	free(sides->known);
	free(sides->used);
	free(sides);
	*pointer = NULL;
}

void sides_opened(struct sides *sides)
{
	for (int i = 0; i < sides->count; i++)
		close_table(sides->list[i]);
}

/* --- attempts ---------------------------------------------------------------------------------------------------------- */

static int by_attempt(const void *a, const void *b)
{
	const struct known_attempt *x = a, *y = b;

	return (x->attempt > y->attempt) - (x->attempt < y->attempt);
}

static struct known_attempt *find(const struct sides *sides, int64_t attempt)
{
	const struct known_attempt wanted = { .attempt = attempt };

	return sides->known_count
		       ? bsearch(&wanted, sides->known, sides->known_count, sizeof(*sides->known), by_attempt)
		       : NULL;
}

static int side_named(struct sides *sides, const char *suffix)
{
	struct side *side;

	for (int i = 0; i < sides->count; i++)
		if (strcmp(sides->list[i]->suffix, suffix) == 0)
			return i;
	side = mem_zalloc(1, sizeof(*side));
	side->suffix = mem_strdup(suffix);
	side->name = mem_printf("%s_%s", sides->real->name, suffix);
	side->spec = *sides->real;
	side->spec.name = side->name;
	sides->list = mem_realloc(sides->list, (size_t)sides->count + 1, sizeof(*sides->list));
	sides->used = mem_realloc(sides->used, (size_t)sides->count + 1, sizeof(*sides->used));
	sides->list[sides->count] = side;
	return sides->count++;
}

/* Those that nobody asked for yet are put behind the known ones, each once, and listed. */
static size_t add_unknown(struct sides *sides, const struct merge_row *rows, int64_t count, struct buf *list)
{
	size_t before = sides->known_count, fresh = 0;
	CLEANUP(freep) struct known_attempt *found = mem_alloc(((size_t)count + 1) * sizeof(*found));
	int64_t last = 0;

	for (int64_t i = 0; i < count; i++)
		if (rows[i].attempt != last && !find(sides, last = rows[i].attempt))
			found[fresh++] = (struct known_attempt){ last, SIDE_NONE };
	qsort(found, fresh, sizeof(*found), by_attempt);
	sides->known = mem_realloc(sides->known, before + fresh + 1, sizeof(*sides->known));
	for (size_t i = 0; i < fresh; i++)
		if (i == 0 || found[i].attempt != found[i - 1].attempt) {
			buf_printf(list, "%c%" PRId64, list->len ? ',' : '{', found[i].attempt);
			sides->known[sides->known_count++] = found[i];
		}
	buf_put_text(list, "}");
	qsort(sides->known, sides->known_count, sizeof(*sides->known), by_attempt);
	return sides->known_count - before;
}

static int ask(struct sides *sides, struct pg *pg, const char *attempts, struct err *err)
{
	CLEANUP(pg_result_freep) struct pg_result *r = NULL;

	if (pg_query(pg,
		     "SELECT a.attempt, r.options->>'into' FROM etl.attempts a JOIN etl.runs r USING (run)"
		     " WHERE a.attempt = ANY($1::bigint[]) AND r.options ? 'into'",
		     PG_PARAMS(attempts), &r, err)) {
		sides->known_count = 0;
		return err_wrap(err, "asking which tables attempts go into");
	}
	for (int row = 0; row < pg_rows(r); row++)
		find(sides, pg_int(r, row, 0))->side = side_named(sides, pg_text(r, row, 1));
	return 0;
}

/* --- tables ------------------------------------------------------------------------------------------------------------ */

/* Somebody may have dropped it, though records are on their way. */
static int open_table(struct side *side, struct pg *pg, struct err *err)
{
	CLEANUP(pg_result_freep) struct pg_result *r = NULL;

	if (pg_query(pg, "SELECT to_regclass($1) IS NOT NULL", PG_PARAMS(side->name), &r, err))
		return -1;
	if (!pg_bool(r, 0, 0)) {
		close_table(side);
		return 0;
	}
	if (side->merge)
		return 0;
	if (table_open(&side->table, pg, &side->spec, err))
		return -1;
	side->merge = merge_new(side->table);
	return 0;
}

static int open_used(struct sides *sides, struct pg *pg, const struct merge_row *rows, int64_t count, bool *ret_any,
		     struct err *err)
{
	int64_t last = 0;

	memset(sides->used, 0, (size_t)sides->count * sizeof(*sides->used));
	for (int64_t i = 0; i < count; i++) {
		int side = rows[i].attempt == last ? SIDE_NONE : sides_of(sides, last = rows[i].attempt);

		if (side != SIDE_NONE)
			*ret_any = sides->used[side] = true;
	}
	for (int i = 0; i < sides->count; i++)
		if (sides->used[i] && open_table(sides->list[i], pg, err))
			return -1;
	return 0;
}

int sides_learn(struct sides *sides, struct pg *pg, const struct merge_row *rows, int64_t count, bool *ret_any,
		struct err *err)
{
	CLEANUP(buf_release) struct buf list = BUF_INIT(ARRAY_TEXT_MAX);

	*ret_any = false;
	if (sides->known_count > KNOWN_MAX)
		sides->known_count = 0;
	if (add_unknown(sides, rows, count, &list) > 0 && ask(sides, pg, buf_text(&list), err))
		return -1;
	return sides->count > 0 ? open_used(sides, pg, rows, count, ret_any, err) : 0;
}

int sides_count(const struct sides *sides)
{
	return sides->count;
}

int sides_of(const struct sides *sides, int64_t attempt)
{
	const struct known_attempt *known = find(sides, attempt);

	return known ? known->side : SIDE_NONE;
}

struct merge *sides_merge(const struct sides *sides, int side)
{
	return sides->list[side]->merge;
}

const char *sides_table(const struct sides *sides, int side)
{
	return sides->list[side]->name;
}

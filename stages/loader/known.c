#include "stages/loader/known.h"

#include <endian.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/mem.h"
#include "stages/loader/copy.h"
#include "stages/loader/key_arrays.h"
#include "stages/loader/spans.h"

#define ROWS_AT_ONCE 5000 /* what is fetched for them is held in memory */
#define INTEGER_OID 23    /* src/include/catalog/pg_type.dat */
#define ARRAY_BYTES_MAX ((size_t)64 * 1024 * 1024)

/* In the statement's arrays behind those of the series' columns. */
enum bound { SPAN_FROM, SPAN_UNTIL, SPAN_MOST, SPAN_BOUNDS };

/* What is asked for with one statement. */
struct question {
	struct span_row *rows;
	struct span *spans;
	uint32_t row_count, span_count;
};

struct known {
	const struct table *table;
	const char *sql;
	unsigned series_count, rest_count;
	struct buf arrays[TABLE_KEYS_MAX + SPAN_BOUNDS];
	uint32_t oids[TABLE_KEYS_MAX + SPAN_BOUNDS];
	struct question questions[2];
	struct question *filling, *asked;
	int64_t *steps; /* from each row of a series to the next */
	uint8_t *as;    /* by sequence */
	int64_t capacity;
	int64_t counts[KNOWN_UNASKED + 1];
};

static void plan_arrays(struct known *known)
{
	uint32_t time_oid = 0;
	struct table_key key;

	for (unsigned i = 0; table_key_column(known->table, i, &key); i++) {
		if (key.part == KEY_SERIES)
			known->oids[known->series_count++] = key.type_oid;
		else if (key.part == KEY_TIME)
			time_oid = key.type_oid;
		else
			known->rest_count++;
	}
	known->oids[known->series_count + SPAN_FROM] = time_oid;
	known->oids[known->series_count + SPAN_UNTIL] = time_oid;
	known->oids[known->series_count + SPAN_MOST] = INTEGER_OID;
	for (unsigned i = 0; i < known->series_count + SPAN_BOUNDS; i++)
		known->arrays[i] = (struct buf)BUF_INIT(ARRAY_BYTES_MAX);
}

struct known *known_new(const struct table *table, const char *sql)
{
	struct known *known = mem_zalloc(1, sizeof(*known));

	known->table = table;
	known->sql = sql;
	plan_arrays(known);
	for (int i = 0; i < 2; i++) {
		known->questions[i].rows = mem_alloc(ROWS_AT_ONCE * sizeof(*known->questions[i].rows));
		known->questions[i].spans = mem_alloc(ROWS_AT_ONCE * sizeof(*known->questions[i].spans));
	}
	known->steps = mem_alloc(ROWS_AT_ONCE * sizeof(*known->steps));
	known->filling = &known->questions[0];
	known->asked = &known->questions[1];
	return known;
}

void known_freep(struct known **pointer)
{
	struct known *known = *pointer;

	if (!known)
		return;
	for (unsigned i = 0; i < known->series_count + SPAN_BOUNDS; i++)
		buf_release(&known->arrays[i]);
	for (int i = 0; i < 2; i++) {
		free(known->questions[i].rows);
		free(known->questions[i].spans);
	}
	free(known->steps);
	free(known->as);
	free(known);
	*pointer = NULL;
}

/* --- spans ----------------------------------------------------------------------------------------------------------- */

/* A field's or a result's bytes: a time in 8 of them, a date in 4. */
static int64_t time_of(struct str bytes)
{
	uint64_t wide = 0;
	uint32_t narrow = 0;

	if (bytes.len == sizeof(wide)) {
		memcpy(&wide, bytes.data, sizeof(wide));
		return (int64_t)be64toh(wide);
	}
	if (bytes.len == sizeof(narrow))
		memcpy(&narrow, bytes.data, sizeof(narrow));
	return (int32_t)be32toh(narrow);
}

static struct str row_of(const struct merge_batch *batch, const struct span_row *at)
{
	return merge_row_bytes(batch, at->sequence);
}

static void add_row(struct known *known, const struct merge_batch *batch, int32_t sequence)
{
	struct question *q = known->filling;
	struct span_row *at = &q->rows[q->row_count];
	struct str field = table_time_field(known->table, merge_row_bytes(batch, sequence));

	field.data += COPY_FIELD_HEAD;
	field.len -= COPY_FIELD_HEAD;
	*at = (struct span_row){ .time = time_of(field), .sequence = sequence };
	at->begins = q->row_count == 0 || !table_series_equal(known->table, row_of(batch, at), row_of(batch, at - 1));
	q->row_count++;
}

/* --- arrays ---------------------------------------------------------------------------------------------------------- */

/* Where the table has much more between two of its rows than the batch, that is not read for their sake. */
static uint32_t most_of(uint32_t count)
{
	return 2 * count + 8;
}

static void put_span(struct known *known, const struct merge_batch *batch, struct span *span)
{
	struct span_row *rows = known->asked->rows + span->first;
	struct buf *bounds = known->arrays + known->series_count;
	uint8_t most[COPY_FIELD_MAX];
	struct str from, until;

	span->most = most_of(span->count);
	table_put_series(known->table, row_of(batch, rows), known->arrays);
	from = table_time_field(known->table, row_of(batch, rows));
	until = table_time_field(known->table, row_of(batch, rows + span->count - 1));
	buf_put(&bounds[SPAN_FROM], from.data, from.len);
	buf_put(&bounds[SPAN_UNTIL], until.data, until.len);
	buf_put(&bounds[SPAN_MOST], most, (size_t)(copy_int4(most, (int32_t)span->most) - most));
}

static int ask(struct known *known, struct pg *pg, const struct merge_batch *batch, struct err *err)
{
	struct pg_value params[TABLE_KEYS_MAX + SPAN_BOUNDS + 2];
	char from[CLOCK_TEXT_MAX], to[CLOCK_TEXT_MAX];
	unsigned count = known->series_count + SPAN_BOUNDS;

	known->asked->span_count =
		spans_cut(known->asked->rows, known->asked->row_count, known->steps, known->asked->spans);
	for (unsigned i = 0; i < count; i++)
		key_array_begin(&known->arrays[i], known->oids[i], known->asked->span_count);
	for (uint32_t i = 0; i < known->asked->span_count; i++)
		put_span(known, batch, &known->asked->spans[i]);
	clock_format(batch->time_min, 6, from);
	clock_format(batch->time_max, 6, to);
	params[0] = (struct pg_value){ str_of(from), false };
	params[1] = (struct pg_value){ str_of(to), false };
	for (unsigned i = 0; i < count; i++) {
		if (known->arrays[i].overflow)
			return err_set(err, ERR_FATAL, "keys of more than %zu bytes", ARRAY_BYTES_MAX);
		params[2 + i] = (struct pg_value){ buf_str(&known->arrays[i]), true };
	}
	return pg_fetch_begin(pg, known->sql, params, 2 + count, err);
}

/* --- answers --------------------------------------------------------------------------------------------------------- */

static void note(struct known *known, int32_t sequence, enum known_as as)
{
	known->as[sequence] = (uint8_t)as;
	known->counts[as]++;
}

static void note_asked(struct known *known, struct span_row *at, enum known_as as)
{
	at->found = true;
	known->counts[KNOWN_NEW]--;
	note(known, at->sequence, as);
}

/* A row of the table: the place of its span, its time, the rest of its key, its content. */
static void take_row(struct known *known, const struct merge_batch *batch, struct question *q, struct span *span,
		     const struct pg_result *r, int row)
{
	struct span_row *rows = q->rows + span->first, *end = rows + span->count;
	int64_t time = time_of(pg_bytes(r, row, 1));

	span->answered++;
	span->last = time;
	for (struct span_row *e = span_row_at(rows, span->count, time); e < end && e->time == time; e++)
		if (!e->found && table_rest_equal(known->table, row_of(batch, e), r, row, 2)) {
			note_asked(
				known, e,
				table_content_equal(known->table, row_of(batch, e), r, row, 2 + (int)known->rest_count)
					? KNOWN_SAME
					: KNOWN_OTHER);
			return;
		}
}

/* The table has more there than was wanted: of rows behind what came nothing is known. */
static void give_up_rest(struct known *known, struct question *q, const struct span *span)
{
	struct span_row *rows = q->rows + span->first, *end = rows + span->count;

	for (struct span_row *e = span_row_at(rows, span->count, span->last); e < end; e++)
		if (!e->found)
			note_asked(known, e, KNOWN_UNASKED);
}

static int compare(struct known *known, const struct merge_batch *batch, const struct pg_result *r, struct question *q,
		   struct err *err)
{
	for (int row = 0; row < pg_rows(r); row++) {
		int64_t place = time_of(pg_bytes(r, row, 0));

		if (place < 1 || place > q->span_count)
			return err_set(err, ERR_FATAL, "span %" PRId64 " of %u was fetched", place, q->span_count);
		take_row(known, batch, q, &q->spans[place - 1], r, row);
	}
	for (uint32_t i = 0; i < q->span_count; i++)
		if (q->spans[i].answered >= q->spans[i].most)
			give_up_rest(known, q, &q->spans[i]);
	return 0;
}

/* --- one after the other --------------------------------------------------------------------------------------------- */

static void clear(struct question *q)
{
	q->row_count = q->span_count = 0;
}

/* What was asked last is answered, the next is asked, and then compared what came: the database looks up meanwhile. */
static int turn(struct known *known, struct pg *pg, const struct merge_batch *batch, struct err *err)
{
	CLEANUP(pg_result_freep) struct pg_result *r = NULL;
	struct question *answered = known->asked;

	if (answered->row_count > 0 && pg_fetch_take(pg, &r, err))
		return -1;
	known->asked = known->filling;
	known->filling = answered;
	if (known->asked->row_count > 0 && ask(known, pg, batch, err))
		return -1;
	if (r && compare(known, batch, r, answered, err))
		return -1;
	clear(answered);
	return 0;
}

static void make_room(struct known *known, int64_t rows)
{
	if (rows > known->capacity) {
		known->as = mem_realloc(known->as, (size_t)rows, sizeof(*known->as));
		known->capacity = rows;
	}
	memset(known->counts, 0, sizeof(known->counts));
	clear(known->filling); /* of a batch that failed */
	clear(known->asked);
}

int known_find(struct known *known, struct pg *pg, const struct merge_batch *batch, const struct rounds *rounds,
	       struct err *err)
{
	make_room(known, batch->total);
	for (int64_t i = 0; i < batch->count; i++) {
		int32_t sequence = batch->order[i];
		bool alone = rounds_alone(rounds, sequence);

		note(known, sequence, alone ? KNOWN_NEW : KNOWN_UNASKED);
		if (alone)
			add_row(known, batch, sequence);
		if (known->filling->row_count == ROWS_AT_ONCE && turn(known, pg, batch, err))
			return -1;
	}
	while (known->filling->row_count > 0 || known->asked->row_count > 0)
		if (turn(known, pg, batch, err))
			return -1;
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

#include "stages/loader/merge.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/mem.h"

#define SQL_MAX (256 * 1024)
#define ONE_OF " AND ($4::integer[] IS NULL OR o.seq = ANY($4::integer[]))" /* of a part of a round's rows */
#define ARRAY_TEXT_MAX (16 * 1024 * 1024)
#define STAGED_MAX ((size_t)512 * 1024 * 1024)

/* A row that the database will not have. */
struct refused {
	int32_t sequence;
	char *why;
};

/* The statements of one table, written once. */
struct merge {
	const struct table *table;
	struct buf copy_all, copy_stage, rounds, begin_parts, end_parts, classify, changes, insert, insert_one, journal,
		update, list, refuse, again, count, collisions;
	struct buf part; /* the rows of one COPY */
	int32_t *sequences;
	int64_t sequence_cap;
	struct refused *refused;
	unsigned refused_count, refused_cap;
	bool expect_known; /* the batch before met rows that are there already: do not try the short way first */
};

/* "a" -> "s.a = t.a AND …" over a comma-separated, quoted list */
static void put_pairs(struct buf *sql, const char *list, const char *left, const char *operator, const char * right,
		      const char *separator)
{
	CLEANUP(freep) char *copy = mem_strdup(list);
	char *rest = copy, *name;
	unsigned n = 0;

	while ((name = strsep(&rest, ","))) {
		name += strspn(name, " ");
		buf_printf(sql, "%s%s%s%s%s%s", n++ ? separator : "", left, name, operator, right,
			   right[0] ? name : "");
	}
}

static void write_copies(struct merge *m, const char *name, const char *columns)
{
	buf_printf(&m->copy_all, "COPY %s (%s) FROM STDIN (FORMAT binary)", name, columns);
	buf_printf(&m->copy_stage, "COPY stage_%s (seq, source_partition, mix, ordinal, %s) FROM STDIN (FORMAT binary)",
		   name, columns);
}

/*
 * A key may come several times in one batch: its rows are taken in their
 * order, one round each. Time bounds let the planner leave partitions out.
 */
static void write_rounds(struct merge *m, const char *name, const char *key)
{
	buf_printf(&m->rounds,
		   "CREATE TEMP TABLE IF NOT EXISTS outcome_%s (seq integer, round integer, again boolean,"
		   " outcome text) ON COMMIT DELETE ROWS; DELETE FROM outcome_%s;"
		   " INSERT INTO outcome_%s SELECT seq, n, n > 1, NULL FROM"
		   " (SELECT seq, row_number() OVER (PARTITION BY %s ORDER BY seq) AS n FROM stage_%s) AS numbered;"
		   " ANALYZE stage_%s; ANALYZE outcome_%s;",
		   name, name, name, key, name, name, name);
}

static void put_bounds(struct buf *sql, const char *time_column)
{
	buf_printf(sql, " AND t.%s BETWEEN $2::timestamptz AND $3::timestamptz", time_column);
}

static void write_classify(struct merge *m, const char *name, const char *key, const char *content,
			   const char *time_column)
{
	buf_printf(&m->classify,
		   "UPDATE outcome_%s o SET outcome = CASE WHEN t.attempt IS NULL THEN 'inserted'"
		   " WHEN (",
		   name);
	put_pairs(&m->classify, content, "t.", "", "", ", ");
	buf_put_text(&m->classify, ") IS NOT DISTINCT FROM (");
	put_pairs(&m->classify, content, "s.", "", "", ", ");
	buf_printf(&m->classify,
		   ") THEN CASE WHEN o.again THEN 'duplicate' ELSE 'unchanged' END"
		   " WHEN t.attempt = s.attempt THEN 'collision'"
		   " WHEN s.as_of > t.as_of THEN 'updated' ELSE 'superseded' END"
		   " FROM stage_%s s LEFT JOIN %s t ON ",
		   name, name);
	put_pairs(&m->classify, key, "s.", " = ", "t.", " AND ");
	put_bounds(&m->classify, time_column);
	buf_put_text(&m->classify, " WHERE o.seq = s.seq AND o.round = $1::integer");
}

/*
 * What a round changes is counted first and compared with the rows touched:
 * somebody else's change in between makes them differ, and the batch is taken
 * again.
 */
static void write_changes(struct merge *m, const char *name, const char *columns, const char *key, const char *content,
			  const char *time_column)
{
	buf_printf(&m->changes,
		   "SELECT count(*) FILTER (WHERE outcome = 'inserted'), count(*) FILTER (WHERE outcome = 'updated')"
		   " FROM outcome_%s WHERE round = $1::integer",
		   name);
	buf_printf(&m->insert,
		   "INSERT INTO %s (%s) SELECT %s FROM stage_%s s JOIN outcome_%s o USING (seq)"
		   " WHERE o.round = $1::integer AND o.outcome = 'inserted' ORDER BY %s ON CONFLICT (%s) DO NOTHING",
		   name, columns, columns, name, name, key, key);
	buf_printf(&m->insert_one,
		   "INSERT INTO %s (%s) SELECT %s FROM stage_%s WHERE seq = $1::integer ON CONFLICT (%s) DO NOTHING",
		   name, columns, columns, name, key);
	buf_printf(&m->journal,
		   "INSERT INTO etl.restatements (table_name, old_row, old_attempt, new_attempt)"
		   " SELECT '%s', to_jsonb(t), t.attempt, s.attempt FROM stage_%s s JOIN outcome_%s o USING (seq)"
		   " JOIN %s t ON ",
		   name, name, name, name);
	put_pairs(&m->journal, key, "s.", " = ", "t.", " AND ");
	put_bounds(&m->journal, time_column);
	buf_put_text(&m->journal, " WHERE o.round = $1::integer AND o.outcome = 'updated'" ONE_OF);
	buf_printf(&m->update, "UPDATE %s t SET attempt = s.attempt, as_of = s.as_of, ", name);
	put_pairs(&m->update, content, "", " = ", "s.", ", ");
	buf_printf(&m->update, " FROM stage_%s s JOIN outcome_%s o USING (seq) WHERE ", name, name);
	put_pairs(&m->update, key, "s.", " = ", "t.", " AND ");
	put_bounds(&m->update, time_column);
	buf_put_text(&m->update, " AND o.round = $1::integer AND o.outcome = 'updated' AND t.as_of < s.as_of" ONE_OF);
}

/* Where a round is written by parts, each is looked up and not searched for. */
static void write_parts(struct merge *m, const char *name)
{
	buf_printf(
		&m->begin_parts,
		"CREATE UNIQUE INDEX stage_%s_seq ON stage_%s (seq); CREATE UNIQUE INDEX outcome_%s_seq ON outcome_%s (seq)",
		name, name, name, name);
	buf_printf(&m->end_parts, "DROP INDEX stage_%s_seq, outcome_%s_seq", name, name);
}

/* A refused row is as good as not there: the next one of its key is the first where it was. */
static void write_refusals(struct merge *m, const char *name, const char *key)
{
	buf_printf(&m->list, "SELECT seq FROM outcome_%s WHERE round = $1::integer AND outcome = $2 ORDER BY seq",
		   name);
	buf_printf(&m->refuse, "UPDATE outcome_%s SET outcome = 'refused' WHERE seq = ANY($1::integer[])", name);
	buf_printf(&m->again,
		   "UPDATE outcome_%s n SET again = false FROM stage_%s t, outcome_%s o JOIN stage_%s s USING (seq)"
		   " WHERE o.round = $1::integer AND o.outcome = 'refused' AND NOT o.again"
		   " AND n.round = $1::integer + 1 AND t.seq = n.seq AND ",
		   name, name, name, name);
	put_pairs(&m->again, key, "s.", " = ", "t.", " AND ");
}

static void write_counts(struct merge *m, const char *name)
{
	buf_printf(
		&m->count,
		"SELECT s.attempt, s.source_partition, o.outcome, count(*),"
		" mod(mod(sum(s.mix), 18446744073709551616) + 18446744073709551616, 18446744073709551616)"
		" FROM stage_%s s JOIN outcome_%s o USING (seq) WHERE o.outcome NOT IN ('collision', 'refused') GROUP BY 1, 2, 3",
		name, name);
	buf_printf(&m->collisions, "SELECT seq FROM outcome_%s WHERE outcome = 'collision' ORDER BY seq", name);
}

struct merge *merge_new(const struct table *table)
{
	struct merge *m = mem_zalloc(1, sizeof(*m));
	const char *name = table_spec(table)->name, *columns = table_columns(table), *key = table_key(table);
	const char *content = table_content(table);

	m->table = table;
	m->copy_all = m->copy_stage = m->rounds = m->classify = m->changes = m->insert = m->insert_one = m->journal =
		m->update = m->begin_parts = m->end_parts = m->list = m->refuse = m->again = m->count = m->collisions =
			(struct buf)BUF_INIT(SQL_MAX);
	m->part = (struct buf)BUF_INIT(STAGED_MAX);
	write_copies(m, name, columns);
	write_rounds(m, name, key);
	write_classify(m, name, key, content, table_spec(table)->time_column);
	write_changes(m, name, columns, key, content, table_spec(table)->time_column);
	write_parts(m, name);
	write_refusals(m, name, key);
	write_counts(m, name);
	return m;
}

static void forget_refused(struct merge *m)
{
	for (unsigned i = 0; i < m->refused_count; i++)
		free(m->refused[i].why);
	m->refused_count = 0;
}

void merge_freep(struct merge **pointer)
{
	struct merge *m = *pointer;

	if (!m)
		return;
	struct buf *all[] = { &m->copy_all,   &m->copy_stage, &m->rounds, &m->classify,    &m->changes,  &m->insert,
			      &m->insert_one, &m->journal,    &m->update, &m->list,        &m->refuse,   &m->again,
			      &m->count,      &m->collisions, &m->part,   &m->begin_parts, &m->end_parts };
	for (unsigned i = 0; i < sizeof(all) / sizeof(*all); i++)
		buf_release(all[i]);
	forget_refused(m);
	free(m->refused);
	free(m->sequences);
	free(m);
	*pointer = NULL;
}

/* --- the short way: every key is new --------------------------------------------------------------------------------- */

static int try_all_new(struct merge *m, struct pg *pg, const struct merge_batch *batch, bool *ret_done, struct err *err)
{
	int64_t copied = 0;

	*ret_done = false;
	if (m->expect_known)
		return 0;
	if (pg_exec(pg, "SAVEPOINT all_new", err))
		return -1;
	if (pg_copy_binary(pg, buf_text(&m->copy_all), batch->rows, &copied, err)) {
		if (err->kind != ERR_RECORD)
			return -1;
		err_clear(err);
		return pg_exec(pg, "ROLLBACK TO SAVEPOINT all_new", err);
	}
	if (copied != batch->count)
		return err_set(err, ERR_FATAL, "%" PRId64 " of %" PRId64 " rows copied", copied, batch->count);
	*ret_done = true;
	return 0;
}

/* --- refused rows ---------------------------------------------------------------------------------------------------- */

/* Rows of a batch on their way into a table. */
struct work {
	struct merge *m;
	struct pg *pg;
	const struct merge_batch *batch;
	const char *const *params; /* of the round's statements; the fourth is the part's */
	/* Writes these rows; sequences NULL: all that there are. */
	int (*write)(struct work *work, const int32_t *sequences, int64_t count, struct err *err);
};

/* All of the rows, or *ret_refused and none. */
static int attempt(struct work *work, const int32_t *sequences, int64_t count, bool *ret_refused, struct err *err)
{
	*ret_refused = false;
	if (pg_exec(work->pg, "SAVEPOINT part", err))
		return -1;
	if (work->write(work, sequences, count, err) == 0)
		return pg_exec(work->pg, "RELEASE SAVEPOINT part", err);
	if (err->kind != ERR_RECORD)
		return -1;
	err_clear(err);
	*ret_refused = true;
	return pg_exec(work->pg, "ROLLBACK TO SAVEPOINT part; RELEASE SAVEPOINT part", err);
}

static void refuse(struct merge *m, int32_t sequence, const char *why)
{
	if (m->refused_count == m->refused_cap) {
		m->refused_cap = m->refused_cap ? m->refused_cap * 2 : 64;
		m->refused = mem_realloc(m->refused, m->refused_cap, sizeof(*m->refused));
	}
	m->refused[m->refused_count++] = (struct refused){ sequence, mem_strdup(why) };
}

/*
 * Writes all rows but those that are refused by themselves. A part that is
 * refused is halved until the first such row of it is found; behind that one,
 * parts begin with one row and double, as refused rows seldom come alone: where
 * all are refused, each is tried once.
 */
static int divide(struct work *work, const int32_t *sequences, int64_t count, struct err *err)
{
	int64_t done = 0, size = count, suspect = 0; /* among the rows before `suspect` is a refused one */

	while (done < count) {
		int64_t n = size < count - done ? size : count - done;
		bool refused;

		if (attempt(work, sequences + done, n, &refused, err))
			return -1;
		if (refused && n > 1) {
			suspect = done + n;
			size = n / 2;
			continue;
		}
		if (refused) {
			refuse(work->m, sequences[done], pg_failure(work->pg));
			suspect = 0;
		}
		done += n;
		size = refused ? 1 : suspect > done ? (suspect - done + 1) / 2 : 2 * n;
	}
	return 0;
}

static int32_t *room_for_sequences(struct merge *m, int64_t count)
{
	if (count > m->sequence_cap) {
		m->sequence_cap = count;
		m->sequences = mem_realloc(m->sequences, (size_t)count, sizeof(*m->sequences));
	}
	return m->sequences;
}

static struct str row_bytes(const struct merge_batch *batch, int32_t sequence)
{
	const struct merge_row *row = &batch->index[sequence];

	return (struct str){ (const char *)batch->rows->data + row->at, row->len };
}

static int copy_part(struct work *work, struct buf *sql, int64_t count, struct err *err)
{
	int64_t copied = 0;

	if (work->m->part.overflow)
		return err_set(err, ERR_FATAL, "a batch is larger than %zu bytes when staged", work->m->part.max);
	if (pg_copy_binary(work->pg, buf_text(sql), &work->m->part, &copied, err))
		return -1;
	if (copied != count)
		return err_set(err, ERR_FATAL, "%" PRId64 " of %" PRId64 " rows copied", copied, count);
	return 0;
}

/* --- the long way: some keys are there already ----------------------------------------------------------------------- */

static int64_t last_round(struct merge *m, struct pg *pg, struct err *err)
{
	CLEANUP(pg_result_freep) struct pg_result *r = NULL;
	CLEANUP(freep)
	char *sql = mem_printf("SELECT coalesce(max(round), 0) FROM outcome_%s", table_spec(m->table)->name);

	if (pg_exec(pg, buf_text(&m->rounds), err) || pg_query(pg, sql, PG_NO_PARAMS, &r, err))
		return -1;
	return pg_int(r, 0, 0);
}

/* One statement that must touch exactly so many rows; none: it is left out. */
static int change(struct pg *pg, struct buf *sql, const char *const *params, unsigned param_count, int64_t rows,
		  struct err *err)
{
	CLEANUP(pg_result_freep) struct pg_result *r = NULL;

	if (rows == 0)
		return 0;
	if (pg_query(pg, buf_text(sql), params, param_count, &r, err))
		return -1;
	if (pg_affected(r) != rows)
		return err_set(err, ERR_RETRY, "rows changed meanwhile: %" PRId64 " of %" PRId64 " written",
			       pg_affected(r), rows);
	return 0;
}

/*
 * Some are copied, which is quicker. One alone is inserted: its key was sorted
 * out before, so where it is there now, somebody else wrote it meanwhile. That
 * is not the row's fault, and another index's veto is.
 */
static int insert_rows(struct work *work, const int32_t *sequences, int64_t count, struct err *err)
{
	struct merge *m = work->m;

	if (!sequences)
		return change(work->pg, &m->insert, work->params, 1, count, err);
	if (count == 1)
		return change(work->pg, &m->insert_one, PG_PARAMS(INT_TEXT(sequences[0])), count, err);
	buf_reset(&m->part);
	for (int64_t i = 0; i < count; i++)
		buf_put_str(&m->part, row_bytes(work->batch, sequences[i]));
	return copy_part(work, &m->copy_all, count, err);
}

static void put_array(struct buf *text, const int32_t *sequences, int64_t count)
{
	for (int64_t i = 0; i < count; i++)
		buf_printf(text, "%s%d", i ? "," : "{", sequences[i]);
	buf_put_u8(text, '}');
}

static int update_rows(struct work *work, const int32_t *sequences, int64_t count, struct err *err)
{
	CLEANUP(buf_release) struct buf array = BUF_INIT(ARRAY_TEXT_MAX);
	const char *params[4] = { work->params[0], work->params[1], work->params[2], NULL };

	if (sequences) {
		put_array(&array, sequences, count);
		params[3] = buf_text(&array);
	}
	if (change(work->pg, &work->m->journal, params, 4, count, err) ||
	    change(work->pg, &work->m->update, params, 4, count, err))
		return -1;
	return 0;
}

static int note_refused(struct work *work, unsigned from, struct err *err)
{
	CLEANUP(buf_release) struct buf array = BUF_INIT(ARRAY_TEXT_MAX);
	struct merge *m = work->m;
	int32_t *sequences = m->sequences; /* which are all written or refused by now */
	int64_t count = m->refused_count - from;

	if (count == 0)
		return 0;
	for (int64_t i = 0; i < count; i++)
		sequences[i] = m->refused[from + i].sequence;
	put_array(&array, sequences, count);
	if (pg_query(work->pg, buf_text(&m->refuse), PG_PARAMS(buf_text(&array)), NULL, err))
		return -1;
	return pg_query(work->pg, buf_text(&m->again), work->params, 1, NULL, err);
}

/* What a round does to its rows of one outcome: in one statement, and where that is refused, by halves. */
static int write_round(struct work *work, enum outcome outcome, int64_t count, struct err *err)
{
	CLEANUP(pg_result_freep) struct pg_result *r = NULL;
	const char *const params[] = { work->params[0], outcome_name(outcome) };
	unsigned from = work->m->refused_count;
	int32_t *sequences;
	bool refused;

	if (count == 0)
		return 0;
	if (attempt(work, NULL, count, &refused, err))
		return -1;
	if (!refused)
		return 0;
	if (pg_query(work->pg, buf_text(&work->m->list), params, 2, &r, err))
		return -1;
	sequences = room_for_sequences(work->m, pg_rows(r));
	for (int row = 0; row < pg_rows(r); row++)
		sequences[row] = (int32_t)pg_int(r, row, 0);
	if (pg_exec(work->pg, buf_text(&work->m->begin_parts), err) || divide(work, sequences, pg_rows(r), err) ||
	    note_refused(work, from, err))
		return -1;
	return pg_exec(work->pg, buf_text(&work->m->end_parts), err);
}

static int run_round(struct merge *m, struct pg *pg, int64_t round, const struct merge_batch *batch, struct err *err)
{
	char number[PG_INT_MAX], from[CLOCK_TEXT_MAX], to[CLOCK_TEXT_MAX];
	const char *const params[] = { pg_int_text(round, number), from, to };
	struct work inserts = { m, pg, batch, params, insert_rows }, updates = { m, pg, batch, params, update_rows };
	CLEANUP(pg_result_freep) struct pg_result *r = NULL;

	clock_format(batch->time_min, 6, from);
	clock_format(batch->time_max, 6, to);
	if (pg_query(pg, buf_text(&m->classify), params, 3, NULL, err))
		return -1;
	if (pg_query(pg, buf_text(&m->changes), params, 1, &r, err))
		return -1;
	if (write_round(&inserts, OUTCOME_INSERTED, pg_int(r, 0, 0), err) ||
	    write_round(&updates, OUTCOME_UPDATED, pg_int(r, 0, 1), err))
		return -1;
	return 0;
}

static enum outcome outcome_of(const char *name)
{
	unsigned i = 0;

	while (i + 1 < OUTCOMES && strcmp(outcome_name((enum outcome)i), name) != 0)
		i++;
	return (enum outcome)i;
}

static int count_outcomes(struct merge *m, struct pg *pg, const struct merge_batch *batch, struct ledger *ledger,
			  int64_t *ret_counted, struct err *err)
{
	CLEANUP(pg_result_freep) struct pg_result *r = NULL;
	int64_t known = 0;

	*ret_counted = 0;
	if (pg_query(pg, buf_text(&m->count), PG_NO_PARAMS, &r, err))
		return -1;
	for (int row = 0; row < pg_rows(r); row++) {
		enum outcome outcome = outcome_of(pg_text(r, row, 2));
		int64_t records = pg_int(r, row, 3);

		ledger_add(ledger, pg_int(r, row, 0), batch->topic, (int32_t)pg_int(r, row, 1), outcome, records,
			   strtoull(pg_text(r, row, 4), NULL, 10));
		*ret_counted += records;
		known += outcome == OUTCOME_INSERTED ? 0 : records;
	}
	m->expect_known = known > 0;
	return 0;
}

static int report_collisions(struct merge *m, struct pg *pg, int64_t *counted, merge_refusal_fn *refused, void *self,
			     struct err *err)
{
	CLEANUP(pg_result_freep) struct pg_result *r = NULL;

	if (pg_query(pg, buf_text(&m->collisions), PG_NO_PARAMS, &r, err))
		return -1;
	for (int row = 0; row < pg_rows(r); row++)
		if (refused(self, &(struct merge_refusal){ (int32_t)pg_int(r, row, 0), NULL }, err))
			return -1;
	*counted += pg_rows(r);
	return 0;
}

static int report_refused(struct merge *m, int64_t *counted, merge_refusal_fn *refused, void *self, struct err *err)
{
	for (unsigned i = 0; i < m->refused_count; i++)
		if (refused(self, &(struct merge_refusal){ m->refused[i].sequence, m->refused[i].why }, err))
			return -1;
	*counted += m->refused_count;
	return 0;
}

static int sort_out(struct merge *m, struct pg *pg, const struct merge_batch *batch, struct ledger *ledger,
		    merge_refusal_fn *refused, void *self, struct err *err)
{
	int64_t rounds = last_round(m, pg, err), counted;

	if (rounds < 0)
		return -1;
	for (int64_t round = 1; round <= rounds; round++)
		if (run_round(m, pg, round, batch, err))
			return -1;
	if (count_outcomes(m, pg, batch, ledger, &counted, err) ||
	    report_collisions(m, pg, &counted, refused, self, err) || report_refused(m, &counted, refused, self, err))
		return -1;
	if (counted != batch->count)
		return err_set(err, ERR_FATAL, "%" PRId64 " of %" PRId64 " rows have an outcome", counted,
			       batch->count);
	return 0;
}

static int stage_part(struct work *work, const int32_t *sequences, int64_t count, struct err *err)
{
	struct merge *m = work->m;

	buf_reset(&m->part);
	for (int64_t i = 0; i < count; i++) {
		const struct merge_row *row = &work->batch->index[sequences[i]];

		table_encode_stage(m->table, row_bytes(work->batch, sequences[i]), sequences[i], row->partition,
				   row->ordinal, &m->part);
	}
	return copy_part(work, &m->copy_stage, count, err);
}

static int stage_rows(struct merge *m, struct pg *pg, const struct merge_batch *batch, struct err *err)
{
	struct work work = { m, pg, batch, NULL, stage_part };
	int32_t *sequences = room_for_sequences(m, batch->count);

	for (int64_t i = 0; i < batch->count; i++)
		sequences[i] = (int32_t)i;
	return divide(&work, sequences, batch->count, err) ? err_wrap(err, "staging") : 0;
}

int merge_run(struct merge *m, struct pg *pg, const struct merge_batch *batch, struct ledger *ledger,
	      merge_refusal_fn *refused, void *self, struct err *err)
{
	bool done;

	if (batch->count == 0)
		return 0;
	if (try_all_new(m, pg, batch, &done, err))
		return err_wrap(err, "%s", table_spec(m->table)->name);
	if (done) {
		ledger_merge(ledger, batch->arrivals);
		return 0;
	}
	forget_refused(m);
	if (stage_rows(m, pg, batch, err) || sort_out(m, pg, batch, ledger, refused, self, err))
		return err_wrap(err, "%s", table_spec(m->table)->name);
	return 0;
}

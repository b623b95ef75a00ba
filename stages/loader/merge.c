#include "stages/loader/merge.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/mem.h"

#define SQL_MAX (256 * 1024)
#define STAGED_MAX ((size_t)512 * 1024 * 1024)
#define UNIQUE_VIOLATION "23505"

/* The statements of one table, written once. */
struct merge {
	const struct table *table;
	struct buf copy_all, copy_stage, rounds, classify, changes, insert, journal, update, count, collisions;
	struct buf staged;
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
		   "CREATE TEMP TABLE IF NOT EXISTS outcome_%s (seq integer, round integer, outcome text)"
		   " ON COMMIT DELETE ROWS; DELETE FROM outcome_%s;"
		   " INSERT INTO outcome_%s SELECT seq, row_number() OVER (PARTITION BY %s ORDER BY seq), NULL"
		   " FROM stage_%s; ANALYZE stage_%s; ANALYZE outcome_%s;",
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
		   ") THEN CASE WHEN $1::integer > 1 THEN 'duplicate' ELSE 'unchanged' END"
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
		   " WHERE o.round = $1::integer AND o.outcome = 'inserted' ORDER BY %s ON CONFLICT DO NOTHING",
		   name, columns, columns, name, name, key);
	buf_printf(&m->journal,
		   "INSERT INTO etl.restatements (table_name, old_row, old_attempt, new_attempt)"
		   " SELECT '%s', to_jsonb(t), t.attempt, s.attempt FROM stage_%s s JOIN outcome_%s o USING (seq)"
		   " JOIN %s t ON ",
		   name, name, name, name);
	put_pairs(&m->journal, key, "s.", " = ", "t.", " AND ");
	put_bounds(&m->journal, time_column);
	buf_put_text(&m->journal, " WHERE o.round = $1::integer AND o.outcome = 'updated'");
	buf_printf(&m->update, "UPDATE %s t SET attempt = s.attempt, as_of = s.as_of, ", name);
	put_pairs(&m->update, content, "", " = ", "s.", ", ");
	buf_printf(&m->update, " FROM stage_%s s JOIN outcome_%s o USING (seq) WHERE ", name, name);
	put_pairs(&m->update, key, "s.", " = ", "t.", " AND ");
	put_bounds(&m->update, time_column);
	buf_put_text(&m->update, " AND o.round = $1::integer AND o.outcome = 'updated' AND t.as_of < s.as_of");
}

static void write_counts(struct merge *m, const char *name)
{
	buf_printf(&m->count,
		   "SELECT s.attempt, s.source_partition, o.outcome, count(*),"
		   " mod(mod(sum(s.mix), 18446744073709551616) + 18446744073709551616, 18446744073709551616)"
		   " FROM stage_%s s JOIN outcome_%s o USING (seq) WHERE o.outcome <> 'collision' GROUP BY 1, 2, 3",
		   name, name);
	buf_printf(&m->collisions, "SELECT seq FROM outcome_%s WHERE outcome = 'collision' ORDER BY seq", name);
}

struct merge *merge_new(const struct table *table)
{
	struct merge *m = mem_zalloc(1, sizeof(*m));
	const char *name = table_spec(table)->name, *columns = table_columns(table), *key = table_key(table);
	const char *content = table_content(table);

	m->table = table;
	m->copy_all = m->copy_stage = m->rounds = m->classify = m->changes = m->insert = m->journal = m->update =
		m->count = m->collisions = (struct buf)BUF_INIT(SQL_MAX);
	m->staged = (struct buf)BUF_INIT(STAGED_MAX);
	write_copies(m, name, columns);
	write_rounds(m, name, key);
	write_classify(m, name, key, content, table_spec(table)->time_column);
	write_changes(m, name, columns, key, content, table_spec(table)->time_column);
	write_counts(m, name);
	return m;
}

void merge_freep(struct merge **pointer)
{
	struct merge *m = *pointer;

	if (!m)
		return;
	struct buf *all[] = { &m->copy_all, &m->copy_stage, &m->rounds, &m->classify,   &m->changes, &m->insert,
			      &m->journal,  &m->update,     &m->count,  &m->collisions, &m->staged };
	for (unsigned i = 0; i < sizeof(all) / sizeof(*all); i++)
		buf_release(all[i]);
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
		if (!pg_failed_with(pg, UNIQUE_VIOLATION))
			return -1;
		err_clear(err);
		return pg_exec(pg, "ROLLBACK TO SAVEPOINT all_new", err);
	}
	if (copied != batch->count)
		return err_set(err, ERR_FATAL, "%" PRId64 " of %" PRId64 " rows copied", copied, batch->count);
	*ret_done = true;
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

static int run_round(struct merge *m, struct pg *pg, int64_t round, const struct merge_batch *batch, struct err *err)
{
	char number[PG_INT_MAX], from[CLOCK_TEXT_MAX], to[CLOCK_TEXT_MAX];
	const char *const params[] = { pg_int_text(round, number), from, to };
	CLEANUP(pg_result_freep) struct pg_result *r = NULL;
	int64_t inserted, updated;

	clock_format(batch->time_min, 6, from);
	clock_format(batch->time_max, 6, to);
	if (pg_query(pg, buf_text(&m->classify), params, 3, NULL, err))
		return -1;
	if (pg_query(pg, buf_text(&m->changes), params, 1, &r, err))
		return -1;
	inserted = pg_int(r, 0, 0);
	updated = pg_int(r, 0, 1);
	if (change(pg, &m->insert, params, 1, inserted, err) || change(pg, &m->journal, params, 3, updated, err) ||
	    change(pg, &m->update, params, 3, updated, err))
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

static int report_collisions(struct merge *m, struct pg *pg, int64_t *counted, merge_collision_fn *collision,
			     void *self, struct err *err)
{
	CLEANUP(pg_result_freep) struct pg_result *r = NULL;

	if (pg_query(pg, buf_text(&m->collisions), PG_NO_PARAMS, &r, err))
		return -1;
	for (int row = 0; row < pg_rows(r); row++)
		if (collision(self, (int32_t)pg_int(r, row, 0), err))
			return -1;
	*counted += pg_rows(r);
	return 0;
}

static int sort_out(struct merge *m, struct pg *pg, const struct merge_batch *batch, struct ledger *ledger,
		    merge_collision_fn *collision, void *self, struct err *err)
{
	int64_t rounds = last_round(m, pg, err), counted;

	if (rounds < 0)
		return -1;
	for (int64_t round = 1; round <= rounds; round++)
		if (run_round(m, pg, round, batch, err))
			return -1;
	if (count_outcomes(m, pg, batch, ledger, &counted, err) ||
	    report_collisions(m, pg, &counted, collision, self, err))
		return -1;
	if (counted != batch->count)
		return err_set(err, ERR_FATAL, "%" PRId64 " of %" PRId64 " rows have an outcome", counted,
			       batch->count);
	return 0;
}

static int stage_rows(struct merge *m, struct pg *pg, const struct merge_batch *batch, struct err *err)
{
	int64_t staged = 0;

	buf_reset(&m->staged);
	for (int64_t i = 0; i < batch->count; i++) {
		const struct merge_row *row = &batch->index[i];
		struct str bytes = { (const char *)batch->rows->data + row->at, row->len };

		table_encode_stage(m->table, bytes, (int32_t)i, row->partition, row->ordinal, &m->staged);
	}
	if (m->staged.overflow)
		return err_set(err, ERR_FATAL, "a batch is larger than %zu bytes when staged", m->staged.max);
	if (pg_copy_binary(pg, buf_text(&m->copy_stage), &m->staged, &staged, err))
		return err_wrap(err, "COPY into the staging table");
	if (staged != batch->count)
		return err_set(err, ERR_FATAL, "%" PRId64 " of %" PRId64 " rows staged", staged, batch->count);
	return 0;
}

int merge_run(struct merge *m, struct pg *pg, const struct merge_batch *batch, struct ledger *ledger,
	      merge_collision_fn *collision, void *self, struct err *err)
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
	if (stage_rows(m, pg, batch, err) || sort_out(m, pg, batch, ledger, collision, self, err))
		return err_wrap(err, "%s", table_spec(m->table)->name);
	return 0;
}

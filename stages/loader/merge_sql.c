#include "stages/loader/merge_sql.h"

#include <string.h>

#include "common/cleanup.h"
#include "common/mem.h"

#define SQL_MAX (256 * 1024)
#define ONE_OF " AND ($4::integer[] IS NULL OR o.seq = ANY($4::integer[]))" /* of a part of a round's rows */

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

/* Time bounds let the planner leave partitions out. */
static void put_same_key(struct buf *sql, const char *key, const char *time_column)
{
	put_pairs(sql, key, "s.", " = ", "t.", " AND ");
	buf_printf(sql, " AND t.%s BETWEEN $2::timestamptz AND $3::timestamptz", time_column);
}

static void write_copies(struct buf *sql, const char *name, const char *columns)
{
	buf_printf(&sql[MERGE_COPY_ALL], "COPY %s (%s) FROM STDIN (FORMAT binary)", name, columns);
	buf_printf(&sql[MERGE_COPY_STAGE],
		   "COPY stage_%s (seq, source_partition, mix, round, again, %s) FROM STDIN (FORMAT binary)", name,
		   columns);
	buf_printf(&sql[MERGE_UNSTAGE], "DELETE FROM stage_%s", name);
}

/*
 * A row's key is looked up in the table's index, whatever the planner knows or
 * thinks of the two tables: a plan that reads the table costs what history is
 * long, and to tell it the truth an ANALYZE for every batch.
 */
static void write_classify(struct buf *sql, const char *name, const char *key, const char *content,
			   const char *time_column)
{
	buf_printf(&sql[MERGE_CLASSIFY],
		   "INSERT INTO outcome_%s (seq, round, by_attempt, from_partition, mixed, outcome)"
		   " SELECT s.seq, s.round, s.attempt, s.source_partition, s.mix,"
		   " CASE WHEN t.attempt IS NULL THEN 'inserted' WHEN (",
		   name);
	put_pairs(&sql[MERGE_CLASSIFY], content, "t.", "", "", ", ");
	buf_put_text(&sql[MERGE_CLASSIFY], ") IS NOT DISTINCT FROM (");
	put_pairs(&sql[MERGE_CLASSIFY], content, "s.", "", "", ", ");
	buf_printf(&sql[MERGE_CLASSIFY],
		   ") THEN CASE WHEN s.again THEN 'duplicate' ELSE 'unchanged' END"
		   " WHEN t.attempt = s.attempt AND t.as_of = s.as_of THEN 'collision'"
		   " WHEN s.as_of > t.as_of THEN 'updated' ELSE 'superseded' END"
		   " FROM stage_%s s LEFT JOIN LATERAL (SELECT t.attempt, t.as_of, %s FROM %s t WHERE ",
		   name, content, name);
	put_same_key(&sql[MERGE_CLASSIFY], key, time_column);
	buf_put_text(&sql[MERGE_CLASSIFY], " LIMIT 1) t ON true WHERE s.round = $1::integer");
	buf_printf(&sql[MERGE_ANALYZE], "ANALYZE stage_%s (seq, round, %s); ANALYZE outcome_%s (seq, round, outcome)",
		   name, key, name);
}

static void put_key_columns(struct buf *sql, const struct table *table, enum key_part part, const char *fmt)
{
	struct table_key key;

	for (unsigned i = 0; table_key_column(table, i, &key); i++)
		if (key.part == part)
			buf_printf(sql, fmt, key.name);
}

/*
 * Rows of a series between two times are read from the table's index in one go, whatever the planner thinks: one by one
 * they cost three times as much. LIMIT keeps it from reading the table instead, and us from reading what lies between
 * rows that are far apart.
 */
static void write_fetch(struct buf *sql, const struct table *table)
{
	const struct table_spec *spec = table_spec(table);
	unsigned parameter = 3;
	struct table_key key;
	const char *time = "";

	buf_put_text(sql, "SELECT k.place, t.* FROM unnest(");
	for (unsigned i = 0; table_key_column(table, i, &key); i++)
		if (key.part == KEY_SERIES)
			buf_printf(sql, "$%u::%s[], ", parameter++, key.type);
		else if (key.part == KEY_TIME)
			time = key.type;
	buf_printf(sql, "$%u::%s[], $%u::%s[], $%u::integer[]) WITH ORDINALITY AS k (", parameter, time, parameter + 1,
		   time, parameter + 2);
	put_key_columns(sql, table, KEY_SERIES, "\"%s\", ");
	buf_printf(sql, "begins, ends, most, place) JOIN LATERAL (SELECT t.%s, ", spec->time_column);
	put_key_columns(sql, table, KEY_REST, "t.\"%s\", ");
	buf_printf(
		sql,
		"%s FROM %s t WHERE t.%s BETWEEN $1::timestamptz AND $2::timestamptz AND t.%s BETWEEN k.begins AND k.ends",
		table_content(table), spec->name, spec->time_column, spec->time_column);
	for (unsigned i = 0; table_key_column(table, i, &key); i++)
		if (key.part == KEY_SERIES)
			buf_printf(sql, " AND t.\"%s\" = k.\"%s\"%s", key.name, key.name,
				   key.collated ? " COLLATE \"C\"" : "");
	buf_printf(sql, " ORDER BY t.%s LIMIT k.most) t ON true", spec->time_column);
}

/* With what the row says from now on, where that is something else. */
static void write_journal(struct buf *sql, const char *name, const char *key, const char *time_column)
{
	buf_printf(
		sql,
		"INSERT INTO etl.restatements (table_name, old_row, old_attempt, new_attempt, symbol, at, old_as_of,"
		"                              new_as_of, changes)"
		" SELECT '%s', j.was, t.attempt, s.attempt, coalesce(j.was->>'symbol', j.was->>'input_symbol'), t.%s,"
		" t.as_of, s.as_of, (SELECT jsonb_object_agg(n.key, n.value) FROM jsonb_each(to_jsonb(s)) n"
		"                    WHERE j.was ? n.key AND n.key NOT IN ('attempt', 'as_of')"
		"                    AND n.value IS DISTINCT FROM j.was->n.key)"
		" FROM stage_%s s JOIN outcome_%s o USING (seq) JOIN %s t ON ",
		name, time_column, name, name, name);
	put_same_key(sql, key, time_column);
	buf_put_text(sql, " CROSS JOIN LATERAL (SELECT to_jsonb(t) AS was OFFSET 0) j"
			  " WHERE o.round = $1::integer AND o.outcome = 'updated'" ONE_OF);
}

static void write_update(struct buf *sql, const char *name, const char *key, const char *content,
			 const char *time_column)
{
	buf_printf(sql, "UPDATE %s t SET attempt = s.attempt, as_of = s.as_of, ", name);
	put_pairs(sql, content, "", " = ", "s.", ", ");
	buf_printf(sql, " FROM stage_%s s JOIN outcome_%s o USING (seq) WHERE ", name, name);
	put_same_key(sql, key, time_column);
	buf_put_text(sql, " AND o.round = $1::integer AND o.outcome = 'updated' AND t.as_of < s.as_of" ONE_OF);
}

/*
 * What a round changes is counted first and compared with the rows touched:
 * somebody else's change in between makes them differ, and the batch is taken
 * again.
 */
static void write_changes(struct buf *sql, const char *name, const char *columns, const char *key, const char *content,
			  const char *time_column)
{
	buf_printf(&sql[MERGE_CHANGES],
		   "SELECT count(*) FILTER (WHERE outcome = 'inserted'), count(*) FILTER (WHERE outcome = 'updated')"
		   " FROM outcome_%s WHERE round = $1::integer",
		   name);
	buf_printf(&sql[MERGE_INSERT],
		   "INSERT INTO %s (%s) SELECT %s FROM stage_%s s JOIN outcome_%s o USING (seq)"
		   " WHERE o.round = $1::integer AND o.outcome = 'inserted' ORDER BY %s ON CONFLICT (%s) DO NOTHING",
		   name, columns, columns, name, name, key, key);
	buf_printf(&sql[MERGE_KNOWN], "SELECT FROM stage_%s s JOIN %s t ON ", name, name);
	put_same_key(&sql[MERGE_KNOWN], key, time_column);
	buf_put_text(&sql[MERGE_KNOWN], " WHERE s.seq = $1::integer");
	write_journal(&sql[MERGE_JOURNAL], name, key, time_column);
	write_update(&sql[MERGE_UPDATE], name, key, content, time_column);
	write_update(&sql[MERGE_UPDATE_PACKED], name, key, content, time_column);
}

/*
 * Before an UPDATE a hypertable decompresses what constants say of its compressed rows, and a join says nothing: without the series
 * and times of just the rows that are updated, it would be all symbols of the batch's time.
 */
static void write_scope(struct buf *sql, const struct table_spec *spec)
{
	buf_printf(
		&sql[MERGE_SCOPE],
		"SELECT min(s.%s), max(s.%s), array_agg(DISTINCT s.%s), etl.is_hypertable(to_regclass('%s'))"
		" FROM stage_%s s JOIN outcome_%s o USING (seq) WHERE o.round = $1::integer AND o.outcome = 'updated'",
		spec->time_column, spec->time_column, spec->series[0], spec->name, spec->name, spec->name);
	buf_printf(&sql[MERGE_UPDATE_PACKED], " AND t.%s = ANY($5::text[])", spec->series[0]);
}

/* Where a round is written by parts, each is looked up and not searched for. */
static void write_parts(struct buf *sql, const char *name)
{
	buf_printf(
		&sql[MERGE_BEGIN_PARTS],
		"CREATE UNIQUE INDEX stage_%s_seq ON stage_%s (seq); CREATE UNIQUE INDEX outcome_%s_seq ON outcome_%s (seq)",
		name, name, name, name);
	buf_printf(&sql[MERGE_END_PARTS], "DROP INDEX stage_%s_seq, outcome_%s_seq", name, name);
}

/* A refused row is as good as not there: the next one of its key is the first where it was. */
static void write_refusals(struct buf *sql, const char *name, const char *key)
{
	buf_printf(&sql[MERGE_LIST],
		   "SELECT seq FROM outcome_%s WHERE round = $1::integer AND outcome = $2 ORDER BY seq", name);
	buf_printf(&sql[MERGE_REFUSE], "UPDATE outcome_%s SET outcome = 'refused' WHERE seq = ANY($1::integer[])",
		   name);
	buf_printf(&sql[MERGE_AGAIN],
		   "UPDATE stage_%s t SET again = false FROM outcome_%s o JOIN stage_%s s USING (seq)"
		   " WHERE o.round = $1::integer AND o.outcome = 'refused' AND NOT s.again"
		   " AND t.round = $1::integer + 1 AND ",
		   name, name, name);
	put_pairs(&sql[MERGE_AGAIN], key, "s.", " = ", "t.", " AND ");
}

static void write_counts(struct buf *sql, const char *name)
{
	buf_printf(&sql[MERGE_COUNT],
		   "SELECT by_attempt, from_partition, outcome, count(*),"
		   " mod(mod(sum(mixed), 18446744073709551616) + 18446744073709551616, 18446744073709551616)"
		   " FROM outcome_%s WHERE outcome NOT IN ('collision', 'refused') GROUP BY 1, 2, 3",
		   name);
	buf_printf(&sql[MERGE_COLLISIONS], "SELECT seq FROM outcome_%s WHERE outcome = 'collision' ORDER BY seq", name);
}

void merge_sql_write(struct buf sql[MERGE_STATEMENTS], const struct table *table)
{
	const char *name = table_spec(table)->name, *columns = table_columns(table), *key = table_key(table);
	const char *content = table_content(table), *time_column = table_spec(table)->time_column;

	for (unsigned i = 0; i < MERGE_STATEMENTS; i++)
		sql[i] = (struct buf)BUF_INIT(SQL_MAX);
	write_copies(sql, name, columns);
	write_fetch(&sql[MERGE_FETCH], table);
	write_classify(sql, name, key, content, time_column);
	write_changes(sql, name, columns, key, content, time_column);
	write_scope(sql, table_spec(table));
	write_parts(sql, name);
	write_refusals(sql, name, key);
	write_counts(sql, name);
}

void merge_sql_release(struct buf sql[MERGE_STATEMENTS])
{
	for (unsigned i = 0; i < MERGE_STATEMENTS; i++)
		buf_release(&sql[i]);
}

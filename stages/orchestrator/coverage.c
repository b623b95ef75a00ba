#include "stages/orchestrator/coverage.h"

#include <inttypes.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"
#include "stages/orchestrator/orchestrator.h"

/* What a row holds for: `p` are the parameters of a quote's task. */
#define REQUEST_SQL(p) "concat_ws(' ', " p "->>'dataset', " p "->>'schema', " p "->>'stype_in')"

/* Each day's condition in a quote's answer `a`, once. */
#define CONDITIONS_SQL(a) \
	"jsonb_to_recordset(" a ".result->'conditions') AS v (date date, condition text, last_modified_date date)"

/* --- writing ----------------------------------------------------------------------------------------------------------- */

/*
 * $1 task, $2 attempt, $3 first day, $4 last whole day, $5 partial day, $6 last day, $7 why it failed. Of a parent, or of
 * several numbers, nothing tells which of them a record was delivered for: only the day is known to hold records. Of more
 * symbols and days than a result has room for (`days` is null) not even that: what was fetched is complete, uncounted.
 */
/* clang-format off */
static const char store_sql[] =
	"WITH task AS (SELECT t.subscription, q.parameters AS p, q.task AS quote, " REQUEST_SQL("q.parameters") " AS request"
	"              FROM etl.tasks t JOIN etl.tasks q ON q.task = t.quote WHERE t.task = $1),"
	" said AS (SELECT result FROM etl.attempts WHERE attempt = $2 AND $7 = ''),"
	" quoted AS (SELECT a.result FROM task JOIN etl.attempts a ON a.task = task.quote"
	"            WHERE a.state = 'done' AND a.closed_at IS NOT NULL AND NOT a.expired),"
	" wanted AS (SELECT w.symbol FROM task, jsonb_array_elements_text(p->'symbols') AS w (symbol)),"
	" days AS (SELECT date '1970-01-01' + n AS day, CASE WHEN $7 <> '' THEN 'failed' WHEN n <= $4::int THEN 'full'"
	"          WHEN n = $5::int THEN 'partial' ELSE 'pending' END AS state FROM generate_series($3::int, $6::int) n),"
	" found AS (SELECT f.symbol, f.date AS day, sum(f.records)::bigint AS records FROM said,"
	"           jsonb_to_recordset(nullif(said.result->'days', 'null')) AS f (symbol text, date date, records bigint) GROUP BY 1, 2),"
	" totals AS (SELECT day, sum(records)::bigint AS records FROM found GROUP BY 1),"
	" known AS (SELECT (SELECT p->>'stype_in' = 'raw_symbol' AND NOT p->'symbols' ? 'ALL_SYMBOLS' FROM task)"
	"                  OR EXISTS (SELECT 1 FROM found JOIN wanted USING (symbol)) AS by_name,"
	"                  (SELECT count(*) = 1 FROM wanted) AS single,"
	"                  coalesce((SELECT result->'days' <> 'null' FROM said), $7 <> '') AS counted),"
	" unresolved AS (SELECT symbol, min(reason) AS reason FROM ("
	"     SELECT jsonb_array_elements_text(result->'not_found') AS symbol, 'not_found' AS reason FROM said"
	"     UNION ALL SELECT jsonb_array_elements_text(result->'symbols'->'not_found'), 'not_found' FROM quoted"
	"     UNION ALL SELECT jsonb_array_elements_text(result->'partial'), 'resolved_in_part' FROM said) x GROUP BY 1),"
	" cells AS ("
	"     SELECT w.symbol, d.day, d.state, CASE WHEN NOT k.counted THEN NULL WHEN k.by_name THEN coalesce(f.records, 0)"
	"            WHEN k.single OR t.records IS NULL THEN coalesce(t.records, 0) END AS records,"
	"            k.counted AND coalesce(CASE WHEN k.by_name THEN f.records ELSE t.records END, 0) = 0 AS empty,"
	"            k.counted"
	"     FROM wanted w CROSS JOIN days d CROSS JOIN known k LEFT JOIN found f ON f.symbol = w.symbol AND f.day = d.day"
	"     LEFT JOIN totals t ON t.day = d.day"
	"     UNION ALL SELECT f.symbol, f.day, d.state, f.records, f.records = 0, true FROM found f JOIN days d USING (day)"
	"     WHERE d.state IN ('full', 'partial') AND f.symbol NOT IN (SELECT symbol FROM wanted)),"
	" conditions AS (SELECT DISTINCT ON (v.date) v.* FROM quoted, " CONDITIONS_SQL("quoted") " ORDER BY v.date)"
	" INSERT INTO etl.coverage AS o (subscription, symbol, day, state, reason, records, request, vendor_condition,"
	"                                vendor_last_modified, attempt)"
	" SELECT task.subscription, c.symbol, c.day,"
	"        CASE c.state WHEN 'full' THEN CASE WHEN c.empty THEN 'verified_empty' ELSE 'complete' END ELSE c.state END,"
	"        CASE WHEN c.state = 'failed' THEN left($7, 500)"
	"             WHEN c.state <> 'full' THEN 'data_end_after_available_end'"
	"             ELSE coalesce(u.reason, CASE WHEN c.empty THEN 'no_records' WHEN NOT c.counted THEN 'not_counted' ELSE '' END)"
	"        END,"
	"        CASE WHEN c.state IN ('full', 'partial') THEN c.records END, task.request, v.condition,"
	"        v.last_modified_date, $2"
	" FROM cells c CROSS JOIN task LEFT JOIN unresolved u ON u.symbol = c.symbol LEFT JOIN conditions v ON v.date = c.day"
	" ON CONFLICT (subscription, symbol, day) DO UPDATE SET state = EXCLUDED.state, reason = EXCLUDED.reason,"
	"  records = EXCLUDED.records, request = EXCLUDED.request, vendor_condition = EXCLUDED.vendor_condition,"
	"  vendor_last_modified = EXCLUDED.vendor_last_modified, attempt = EXCLUDED.attempt, updated_at = now()"
	" WHERE EXCLUDED.state IN ('complete', 'verified_empty') OR o.state NOT IN ('complete', 'verified_empty')"
	"       OR o.request <> EXCLUDED.request";

/*
 * Symbols that an earlier attempt delivered for the same days, and this one does not. One that was asked for others
 * besides, or for others only, says what this one cannot know.
 */
static const char forget_sql[] =
	"DELETE FROM etl.coverage c USING etl.tasks t JOIN etl.tasks q ON q.task = t.quote WHERE t.task = $1"
	" AND c.subscription = t.subscription AND c.day BETWEEN date '1970-01-01' + $3::int AND date '1970-01-01' + $4::int"
	" AND c.attempt <> $2 AND NOT q.parameters->'symbols' ? c.symbol AND EXISTS (SELECT 1 FROM etl.attempts o"
	"     JOIN etl.tasks ot USING (task) JOIN etl.tasks oq ON oq.task = ot.quote WHERE o.attempt = c.attempt"
	"     AND oq.parameters->'symbols' <@ (q.parameters->'symbols'))";
/* clang-format on */

static int store(struct orchestrator *self, int64_t task, int64_t attempt, const struct window_days *days,
		 const char *failure, struct err *err)
{
	return pg_query(self->pg, store_sql,
			PG_PARAMS(INT_TEXT(task), INT_TEXT(attempt), INT_TEXT(days->first), INT_TEXT(days->full_to),
				  INT_TEXT(days->partial), INT_TEXT(days->last), failure),
			NULL, err);
}

static int forget(struct orchestrator *self, int64_t task, int64_t attempt, const struct window_days *days,
		  struct err *err)
{
	return pg_query(self->pg, forget_sql,
			PG_PARAMS(INT_TEXT(task), INT_TEXT(attempt), INT_TEXT(days->first), INT_TEXT(days->full_to)),
			NULL, err);
}

/* The window that a task is; column 3 of the row is where its attempt says that it ended. */
static int read_window(struct orchestrator *self, int64_t task, int64_t attempt, struct window *ret,
		       struct pg_result **ret_row, struct err *err)
{
	if (pg_query(self->pg,
		     "SELECT t.parameters->>'start', t.parameters->>'end', t.parameters->>'until',"
		     " a.result->>'covered_end' FROM etl.tasks t JOIN etl.attempts a USING (task)"
		     " WHERE t.task = $1 AND a.attempt = $2",
		     PG_PARAMS(INT_TEXT(task), INT_TEXT(attempt)), ret_row, err))
		return -1;
	if (pg_rows(*ret_row) == 1 && clock_parse(str_of(pg_text(*ret_row, 0, 0)), &ret->start) &&
	    clock_parse(str_of(pg_text(*ret_row, 0, 1)), &ret->end) &&
	    clock_parse(str_of(pg_text(*ret_row, 0, 2)), &ret->until))
		return 0;
	return err_set(err, ERR_RECORD, "task %" PRId64 " has no window", task);
}

static int cover(struct orchestrator *self, int64_t task, int64_t attempt, struct err *err)
{
	CLEANUP(pg_result_freep) struct pg_result *row = NULL;
	struct window_days days;
	struct window window;
	int64_t covered_end;

	if (read_window(self, task, attempt, &window, &row, err))
		return -1;
	if (!clock_parse(str_of(pg_text(row, 0, 3)), &covered_end))
		return err_set(err, ERR_RECORD, "covered_end '%.40s' is no time", pg_text(row, 0, 3));
	days = window_days(&window, covered_end);
	return store(self, task, attempt, &days, "", err) || forget(self, task, attempt, &days, err) ? -1 : 0;
}

static int cover_failed(struct orchestrator *self, int64_t task, int64_t attempt, const char *message, struct err *err)
{
	CLEANUP(pg_result_freep) struct pg_result *row = NULL;
	struct window_days days;
	struct window window;

	if (read_window(self, task, attempt, &window, &row, err))
		return -1;
	days = window_days(&window, window.start);
	return store(self, task, attempt, &days, message[0] ? message : "failed", err);
}

/* What a vendor's answer makes impossible is undone, and *ret_why says what it is; everything else goes on. */
static int end_savepoint(struct orchestrator *self, int outcome, struct err *why, char **ret_why, struct err *err)
{
	if (outcome == 0)
		return pg_exec(self->pg, "RELEASE SAVEPOINT coverage", err);
	*err = *why;
	if (why->kind != ERR_RECORD)
		return -1;
	err_clear(err);
	*ret_why = mem_strdup(why->text);
	return pg_exec(self->pg, "ROLLBACK TO SAVEPOINT coverage", err);
}

int coverage_close(struct orchestrator *self, int64_t task, int64_t attempt, char **ret_why, struct err *err)
{
	CLEANUP(freep) char *text = NULL;
	struct err why = ERR_INIT;

	if (pg_exec(self->pg, "SAVEPOINT coverage", err) ||
	    end_savepoint(self, cover(self, task, attempt, &why), &why, &text, err))
		return err_wrap(err, "coverage of attempt %" PRId64, attempt);
	if (text)
		*ret_why = mem_printf("the result of attempt %" PRId64 " cannot be understood: %s", attempt, text);
	return 0;
}

int coverage_fail(struct orchestrator *self, int64_t task, int64_t attempt, const char *message, struct err *err)
{
	CLEANUP(freep) char *text = NULL;
	struct err why = ERR_INIT;

	if (pg_exec(self->pg, "SAVEPOINT coverage", err) ||
	    end_savepoint(self, cover_failed(self, task, attempt, message, &why), &why, &text, err))
		return err_wrap(err, "coverage of attempt %" PRId64, attempt);
	if (text)
		log_warning("coverage_not_written", LOG_FIELDS(log_i64("attempt", attempt)), "%s", text);
	return 0;
}

/* --- what the vendor says of days ------------------------------------------------------------------------------------------ */

#define SAYS_OTHERWISE_SQL \
	"(EXCLUDED.condition IS NOT NULL" \
	" AND (o.condition, o.last_modified) IS DISTINCT FROM (EXCLUDED.condition, EXCLUDED.last_modified))"

/* $1: a quote's attempt. A subscription that is polled asks again and again: what is known just so is not written each time. */
/* clang-format off */
static const char note_sql[] =
	"INSERT INTO etl.vendor_days AS o (dataset, day, condition, last_modified, attempt, read_at)"
	" SELECT t.parameters->>'dataset', d.day, v.condition, v.last_modified_date, a.attempt, now()"
	" FROM etl.attempts a JOIN etl.tasks t USING (task) CROSS JOIN LATERAL (SELECT g::date AS day FROM generate_series("
	"     ((t.parameters->>'start')::timestamptz AT TIME ZONE 'UTC')::date,"
	"     ((t.parameters->>'end')::timestamptz AT TIME ZONE 'UTC' - interval '1 microsecond')::date, interval '1 day') g) d"
	" LEFT JOIN (SELECT DISTINCT ON (v.date) v.* FROM etl.attempts a, " CONDITIONS_SQL("a") " WHERE a.attempt = $1 ORDER BY v.date) v"
	" ON v.date = d.day WHERE a.attempt = $1 ORDER BY 1, 2"
	" ON CONFLICT (dataset, day) DO UPDATE SET condition = coalesce(EXCLUDED.condition, o.condition),"
	"  last_modified = CASE WHEN EXCLUDED.condition IS NULL THEN o.last_modified ELSE EXCLUDED.last_modified END,"
	"  changed = o.changed OR " SAYS_OTHERWISE_SQL ", attempt = EXCLUDED.attempt, read_at = EXCLUDED.read_at"
	" WHERE o.attempt < EXCLUDED.attempt AND (o.read_at < EXCLUDED.read_at - interval '5 minutes' OR " SAYS_OTHERWISE_SQL ")";
/* clang-format on */

/* Where it cannot be understood, whoever plans by this quote refuses it. */
int coverage_note_days(struct orchestrator *self, int64_t attempt, struct err *err)
{
	CLEANUP(freep) char *text = NULL;
	struct err why = ERR_INIT;

	if (pg_exec(self->pg, "SAVEPOINT coverage", err) ||
	    end_savepoint(self, pg_query(self->pg, note_sql, PG_PARAMS(INT_TEXT(attempt)), NULL, &why), &why, &text,
			  err))
		return err_wrap(err, "what the vendor says of days, in attempt %" PRId64, attempt);
	if (text)
		log_warning("conditions_not_understood", LOG_FIELDS(log_i64("attempt", attempt)), "%s", text);
	return 0;
}

/* --- reading ----------------------------------------------------------------------------------------------------------- */

/*
 * $1 quote, $2 its attempt, $3 first day, $4 last day, $5 all of them. The lookups go by the primary key, a range for each
 * symbol. Conditions are counted so that they are read even where nothing is covered: now is the time to refuse them.
 */
/* clang-format off */
static const char missing_sql[] =
	"WITH quote AS (SELECT subscription, " REQUEST_SQL("parameters") " AS request,"
	"                      ARRAY(SELECT jsonb_array_elements_text(parameters->'symbols')) AS symbols"
	"               FROM etl.tasks WHERE task = $1),"
	" conditions AS MATERIALIZED (SELECT DISTINCT ON (v.date) v.* FROM etl.attempts a, " CONDITIONS_SQL("a")
	"                             WHERE a.attempt = $2 ORDER BY v.date),"
	" covered AS (SELECT c.day, count(*) AS symbols FROM etl.coverage c LEFT JOIN conditions v ON v.date = c.day"
	"             WHERE NOT $5::boolean AND c.subscription = (SELECT subscription FROM quote)"
	"             AND c.symbol = ANY ((SELECT symbols FROM quote)::text[])"
	"             AND c.day BETWEEN date '1970-01-01' + $3::int AND date '1970-01-01' + $4::int"
	"             AND c.state IN ('complete', 'verified_empty') AND c.request = (SELECT request FROM quote)"
	"             AND (v.date IS NULL OR (v.condition IS NOT DISTINCT FROM c.vendor_condition"
	"                                     AND v.last_modified_date IS NOT DISTINCT FROM c.vendor_last_modified))"
	"             GROUP BY c.day)"
	" SELECT n FROM generate_series($3::int, $4::int) n LEFT JOIN covered c ON c.day = date '1970-01-01' + n"
	" WHERE coalesce(c.symbols, 0) < (SELECT cardinality(symbols) FROM quote)"
	" AND (SELECT count(*) FROM conditions) >= 0 ORDER BY n";
/* clang-format on */

int coverage_missing(struct orchestrator *self, int64_t quote, int64_t attempt, const struct window *bounds,
		     bool refetch, int32_t **ret, unsigned *ret_count, struct err *err)
{
	CLEANUP(pg_result_freep) struct pg_result *r = NULL;
	int32_t first = clock_day_of(bounds->start), last = clock_day_of(bounds->until - 1);

	if (pg_query(self->pg, missing_sql,
		     PG_PARAMS(INT_TEXT(quote), INT_TEXT(attempt), INT_TEXT(first), INT_TEXT(last),
			       refetch ? "true" : "false"),
		     &r, err))
		return err_wrap(err, "reading coverage");
	*ret_count = (unsigned)pg_rows(r);
	*ret = mem_zalloc((size_t)*ret_count + 1, sizeof(**ret));
	for (unsigned i = 0; i < *ret_count; i++)
		(*ret)[i] = (int32_t)pg_int(r, (int)i, 0);
	return 0;
}

/* clang-format off */
static const char notes_sql[] =
	"WITH quotes AS (SELECT DISTINCT ON (t.subscription) t.task, t.subscription, t.parameters->>'end' AS until, a.result"
	"                FROM etl.tasks t JOIN etl.attempts a USING (task) WHERE t.run = $1 AND t.action = 'quote'"
	"                AND a.state = 'done' AND a.closed_at IS NOT NULL ORDER BY t.subscription, t.task DESC),"
	" said AS (SELECT subscription, result->'symbols' AS symbols FROM quotes UNION ALL"
	"          SELECT t.subscription, a.result FROM etl.tasks t JOIN etl.attempts a USING (task) WHERE t.run = $1"
	"          AND t.quote IS NOT NULL AND a.state = 'done' AND a.closed_at IS NOT NULL),"
	" named AS (SELECT DISTINCT subscription, k.what, x.symbol FROM said,"
	"           (VALUES ('not_found', 'not found'), ('partial', 'known for a part of the time only')) AS k (key, what),"
	"           jsonb_array_elements_text(CASE jsonb_typeof(symbols->k.key) WHEN 'array' THEN symbols->k.key END)"
	"           AS x (symbol)),"
	" notes AS (SELECT subscription, 1 AS place, what || ': ' ||"
	"                  array_to_string((array_agg(symbol ORDER BY symbol))[1:20], ', ') ||"
	"                  CASE WHEN count(*) > 20 THEN format(' and %s more', count(*) - 20) ELSE '' END AS note"
	"           FROM named GROUP BY subscription, what"
	"     UNION ALL SELECT subscription, 2, 'nothing to fetch: all that the vendor has is covered' FROM quotes q"
	"           WHERE NOT EXISTS (SELECT 1 FROM etl.tasks t WHERE t.run = $1 AND t.quote = q.task)"
	"     UNION ALL SELECT subscription, 3, format('the vendor''s data ends at %s; what lies behind it is pending',"
	"           result->>'available_end') FROM quotes"
	"           WHERE (result->>'available_end')::timestamptz < until::timestamptz)"
	" SELECT coalesce(string_agg(format('subscription %s: %s', subscription, note), '; '"
	"                            ORDER BY subscription, place, note), '') FROM notes";
/* clang-format on */

int coverage_notes(struct orchestrator *self, int64_t run, struct pg_result **ret, struct err *err)
{
	return pg_query(self->pg, notes_sql, PG_PARAMS(INT_TEXT(run)), ret, err);
}

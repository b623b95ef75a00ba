#include "stages/orchestrator/backfill.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/decimal.h"
#include "common/json_out.h"
#include "common/log.h"
#include "common/mem.h"
#include "stages/orchestrator/gauges.h"
#include "stages/orchestrator/orchestrator.h"
#include "stages/orchestrator/plan_internal.h"
#include "stages/orchestrator/quotes.h"
#include "stages/orchestrator/run.h"

#define PLANS_PER_STEP 10
#define TOTALS_MAX (64 * 1024)
#define RESOLVED_AT_ONCE 25 /* symbols: what the fetcher asks symbology.resolve for */

int64_t backfill_calls(const char *schema, const char *via, int64_t symbols)
{
	if (strcmp(schema, "symbol_mapping") == 0)
		return (symbols + RESOLVED_AT_ONCE - 1) / RESOLVED_AT_ONCE;
	if (strcmp(via, "batch") == 0)
		return 5; /* list_jobs, submit_job, get_job_details, list_files, download */
	return 2;         /* get_record_count, get_range */
}

/* --- beginning --------------------------------------------------------------------------------------------------------- */

static const char quotes_sql[] = "INSERT INTO etl.tasks (run, subscription, source, action, parameters)"
				 " SELECT $1, e.x->>'subscription', e.x->>'source', e.x->>'action', e.x->'parameters'"
				 " FROM etl.backfills b, jsonb_array_elements(b.quotes) WITH ORDINALITY AS e (x, n)"
				 " WHERE b.planning_run = $1 ORDER BY e.n";

/* Just what was approved: the rest of each window's parameters stands with its quote. */
static const char windows_sql[] =
	"INSERT INTO etl.tasks (run, subscription, source, quote, parameters, calls, cost_usd)"
	" SELECT $1, q.subscription, q.source, q.task, e.x - '{quote,calls,cost_usd}'::text[], (e.x->>'calls')::bigint,"
	" (e.x->>'cost_usd')::numeric"
	" FROM etl.backfills b CROSS JOIN LATERAL jsonb_array_elements(b.windows) WITH ORDINALITY AS e (x, n)"
	" JOIN etl.tasks q ON q.task = (e.x->>'quote')::bigint WHERE b.run = $1 ORDER BY e.n";

int backfill_begin(struct orchestrator *self, int64_t run, unsigned *ret_tasks, bool *ret_quotes, struct err *err)
{
	CLEANUP(pg_result_freep) struct pg_result *quotes = NULL;
	CLEANUP(pg_result_freep) struct pg_result *windows = NULL;

	if (pg_query(self->pg, quotes_sql, PG_PARAMS(INT_TEXT(run)), &quotes, err) ||
	    pg_query(self->pg, windows_sql, PG_PARAMS(INT_TEXT(run)), &windows, err))
		return err_wrap(err, "beginning a backfill");
	*ret_quotes = pg_affected(quotes) > 0;
	*ret_tasks = (unsigned)(pg_affected(quotes) + pg_affected(windows));
	if (*ret_tasks > 0)
		return 0;
	return err_set(err, ERR_RECORD, "no plan asks for this run; `penstock backfill` makes one");
}

/* --- what the quotes say ----------------------------------------------------------------------------------------------- */

struct planned {
	struct window window;
	int64_t task; /* its quote */
	int64_t calls;
	const char *cost_text; /* of it alone; NULL: it was quoted with others */
};

struct making {
	struct orchestrator *self;
	int64_t run, backfill;
	bool newest_first, batch, looks;
	const char *schema;
	struct pg_result *rows; /* of its quotes */
	struct planned *windows;
	unsigned count;
	int64_t calls, records, bytes, cost, symbols;
	int64_t clipped; /* the least end of the vendor's data that cuts a window; 0: none does */
};

static void making_release(struct making *m)
{
	free(m->windows);
	pg_result_freep(&m->rows);
}

/* The last attempt of each quote. */
static const char told_sql[] =
	"SELECT q.task, q.parameters->>'start', q.parameters->>'end', q.parameters->>'chunk', q.parameters->>'via',"
	" q.parameters->>'schema', jsonb_array_length(q.parameters->'symbols'), a.result->>'available_start',"
	" a.result->>'available_end', a.result->>'cost_usd', (a.result->>'records')::bigint, (a.result->>'bytes')::bigint"
	" FROM etl.tasks q JOIN LATERAL (SELECT result FROM etl.attempts WHERE task = q.task AND state = 'done'"
	"   AND closed_at IS NOT NULL AND NOT expired ORDER BY attempt DESC LIMIT 1) a ON true"
	" WHERE q.run = $1 AND q.action = 'quote' AND q.state = 'closed' AND NOT q.parameters ? 'looks' ORDER BY q.task";
enum { TASK, START, END, CHUNK, VIA, SCHEMA, SYMBOLS, AVAILABLE_START, AVAILABLE_END, COST, RECORDS, BYTES };

static int read_bounds(const struct making *m, int row, struct window *ret, struct err *err)
{
	if (clock_parse(str_of(pg_text(m->rows, row, START)), &ret->start) &&
	    clock_parse(str_of(pg_text(m->rows, row, END)), &ret->until))
		return quote_clip(ret, pg_text(m->rows, row, AVAILABLE_START), pg_text(m->rows, row, AVAILABLE_END),
				  err);
	return err_set(err, ERR_RECORD, "quote %s has no window", pg_text(m->rows, row, TASK));
}

static int32_t *days_of(const struct window *bounds, unsigned *ret_count)
{
	int32_t first = clock_day_of(bounds->start), last = clock_day_of(bounds->until - 1);
	int32_t *days = mem_zalloc((size_t)(last - first) + 1, sizeof(*days));

	*ret_count = (unsigned)(last - first) + 1;
	for (unsigned i = 0; i < *ret_count; i++)
		days[i] = first + (int32_t)i;
	return days;
}

static int64_t calls_of(const struct making *m, int row)
{
	return backfill_calls(pg_text(m->rows, row, SCHEMA), pg_text(m->rows, row, VIA), pg_int(m->rows, row, SYMBOLS));
}

static int add_numbers(struct making *m, int row, int64_t windows, struct err *err)
{
	int64_t cost;

	if (!quote_cost(str_of(pg_text(m->rows, row, COST)), &cost))
		return err_set(err, ERR_RECORD, "quote %s: cost_usd '%.40s' is none", pg_text(m->rows, row, TASK),
			       pg_text(m->rows, row, COST));
	m->calls += windows * calls_of(m, row);
	if (__builtin_add_overflow(m->cost, cost, &m->cost) ||
	    __builtin_add_overflow(m->records, pg_int(m->rows, row, RECORDS), &m->records) ||
	    __builtin_add_overflow(m->bytes, pg_int(m->rows, row, BYTES), &m->bytes))
		return err_set(err, ERR_RECORD, "what the vendor quotes cannot be added up");
	return 0;
}

static int add_quote(struct making *m, int row, struct err *err)
{
	CLEANUP(freep) int32_t *days = NULL;
	CLEANUP(freep) struct window *windows = NULL;
	struct window bounds;
	unsigned count;

	if (read_bounds(m, row, &bounds, err))
		return -1;
	if (bounds.end < bounds.until && (m->clipped == 0 || bounds.end < m->clipped))
		m->clipped = bounds.end;
	if (bounds.start >= bounds.end)
		return 0;
	days = days_of(&bounds, &count);
	windows = mem_zalloc(count, sizeof(*windows));
	count = windows_cut(&bounds, window_chunk_of(pg_text(m->rows, row, CHUNK)), days, count, windows);
	m->windows = mem_realloc(m->windows, (size_t)m->count + count + 1, sizeof(*m->windows));
	for (unsigned i = 0; i < count; i++)
		m->windows[m->count++] = (struct planned){ windows[i], pg_int(m->rows, row, TASK), calls_of(m, row),
							   count == 1 ? pg_text(m->rows, row, COST) : NULL };
	return add_numbers(m, row, count, err);
}

static int oldest_first(const void *a, const void *b)
{
	const struct planned *x = a, *y = b;

	if (x->window.start != y->window.start)
		return x->window.start < y->window.start ? -1 : 1;
	return (x->task > y->task) - (x->task < y->task);
}

static int newest_first(const void *a, const void *b)
{
	const struct planned *x = a, *y = b;

	if (x->window.end != y->window.end)
		return x->window.end > y->window.end ? -1 : 1;
	return (x->task > y->task) - (x->task < y->task);
}

static int read_told(struct making *m, struct err *err)
{
	if (pg_query(m->self->pg, told_sql, PG_PARAMS(INT_TEXT(m->run)), &m->rows, err))
		return -1;
	for (int i = 0; i < pg_rows(m->rows); i++)
		if (add_quote(m, i, err))
			return -1;
	if (pg_rows(m->rows) > 0)
		m->batch = strcmp(pg_text(m->rows, 0, VIA), "batch") == 0;
	if (m->count > 0)
		qsort(m->windows, m->count, sizeof(*m->windows), m->newest_first ? newest_first : oldest_first);
	return 0;
}

/* --- the plan ---------------------------------------------------------------------------------------------------------- */

static void put_time(struct json_out *out, const char *key, int64_t ns)
{
	json_put_key(out, key);
	json_put_time(out, ns);
}

static void put_number(struct json_out *out, const char *key, int64_t value)
{
	json_put_key(out, key);
	json_put_int(out, value);
}

static void put_windows(struct json_out *out, const struct making *m)
{
	json_put_open(out, '[');
	for (unsigned i = 0; i < m->count; i++) {
		const struct planned *w = &m->windows[i];

		json_put_open(out, '{');
		put_time(out, "start", w->window.start);
		put_time(out, "end", w->window.end);
		put_time(out, "until", w->window.until);
		plan_put(out, "parameters", plan_fetch_parameters(m->batch));
		put_number(out, "quote", w->task);
		put_number(out, "calls", w->calls);
		plan_put(out, "cost_usd", w->cost_text ? w->cost_text : "");
		json_put_close(out, '}');
	}
	json_put_close(out, ']');
}

static void put_totals(struct json_out *out, const struct making *m)
{
	json_put_open(out, '{');
	put_number(out, "windows", m->count);
	put_number(out, "calls", m->calls);
	put_number(out, "records", m->records);
	put_number(out, "bytes", m->bytes);
	json_put_key(out, "cost_usd");
	json_put_decimal(out, m->cost);
	if (m->clipped)
		put_time(out, "vendor_ends_at", m->clipped);
	json_put_close(out, '}');
}

/*
 * $1 backfill, $2 windows, $3 totals, $4 cost. How long it takes is what the last runs of any size say of records in a second,
 * theirs of this subscription before others.
 */
/* clang-format off */
static const char store_sql[] =
	"WITH recent AS (SELECT r.run, r.options, extract(epoch FROM r.finished_at - r.started_at) AS seconds FROM etl.runs r"
	"                WHERE r.status = 'success' AND r.finished_at > r.started_at ORDER BY r.run DESC LIMIT 50),"
	" rated AS (SELECT r.run, f.fetched / r.seconds AS rate, EXISTS (SELECT 1 FROM etl.tasks t JOIN etl.backfills b"
	"           ON b.subscription = t.subscription WHERE t.run = r.run AND b.backfill = $1) AS own"
	"           FROM recent r CROSS JOIN LATERAL (SELECT sum(fetched) AS fetched FROM etl.attempts a WHERE a.run = r.run) f"
	"           WHERE f.fetched >= 1000),"
	" rate AS (SELECT rate FROM rated ORDER BY own DESC, run DESC LIMIT 1)"
	" UPDATE etl.backfills b SET windows = $2, totals = $3, cost_usd = $4,"
	"  seconds = ceil(($3::jsonb->>'records')::numeric / (SELECT rate FROM rate))::bigint,"
	"  hash = CASE WHEN $3::jsonb->>'windows' <> '0' THEN left(encode(sha256(convert_to(concat_ws(E'\\n', b.subscription, b.asked, b.coverage,"
	"         $3::jsonb, b.budget_calls, b.budget_usd), 'UTF8')), 'hex'), 16) END"
	" WHERE b.backfill = $1 RETURNING hash, subscription";
/* clang-format on */

static char *message_of(const struct making *m, const char *hash)
{
	char at[CLOCK_TEXT_MAX];

	if (hash[0])
		return mem_printf("plan %s: `penstock backfill --approve %s` runs it", hash, hash);
	if (m->looks)
		return mem_strdup("read what the vendor says of these days; plan now");
	if (m->clipped == 0)
		return mem_strdup("nothing to do: the vendor has nothing of it");
	clock_format(m->clipped, 0, at);
	return mem_printf("nothing to do: the vendor's data ends at %s", at);
}

/* The run that planned is over with its plan: nothing was fetched that could be checked. */
static int end_planning(const struct making *m, const char *message, struct err *err)
{
	return pg_query(
		m->self->pg,
		"UPDATE etl.runs SET status = 'success', windows_planned = true, finished_at = now(), message = $2"
		" WHERE run = $1 AND status = 'running'",
		PG_PARAMS(INT_TEXT(m->run), message), NULL, err);
}

static int store(const struct making *m, struct err *err)
{
	CLEANUP(buf_release) struct buf windows = BUF_INIT(PLAN_BYTES_MAX);
	CLEANUP(buf_release) struct buf totals = BUF_INIT(TOTALS_MAX);
	CLEANUP(pg_result_freep) struct pg_result *r = NULL;
	CLEANUP(freep) char *message = NULL;
	struct json_out list = JSON_OUT(&windows), numbers = JSON_OUT(&totals);
	char cost[DECIMAL_TEXT_MAX];

	put_windows(&list, m);
	put_totals(&numbers, m);
	decimal_format(m->cost, cost);
	if (windows.overflow || m->count > config_int(m->self->cfg, "tasks_max"))
		return err_set(err, ERR_RECORD,
			       "%u windows are too many for one run; choose a larger chunk, fewer symbols or days, or "
			       "raise tasks_max",
			       m->count);
	if (pg_query(m->self->pg, store_sql,
		     PG_PARAMS(INT_TEXT(m->backfill), buf_text(&windows), buf_text(&totals), cost), &r, err))
		return err_wrap(err, "storing a plan");
	message = message_of(m, pg_text(r, 0, 0));
	if (end_planning(m, message, err))
		return -1;
	log_info("backfill_planned",
		 LOG_FIELDS(log_i64("run", m->run), log_str("subscription", pg_text(r, 0, 1)),
			    log_str("hash", pg_text(r, 0, 0)), log_i64("windows", m->count), log_str("cost_usd", cost)),
		 "a backfill of %s is planned: %u windows, %s USD", pg_text(r, 0, 1), m->count, cost);
	return 0;
}

/* --- one step ---------------------------------------------------------------------------------------------------------- */

static int make(struct making *m, struct err *err)
{
	struct orchestrator *self = m->self;

	if (leader_begin(&self->leader, self->pg, err) || read_told(m, err) || store(m, err))
		return -1;
	return pg_commit(self->pg, err);
}

static int step_plan(struct orchestrator *self, const struct pg_result *r, int row, struct err *err)
{
	CLEANUP(making_release)
	struct making m = { .self = self,
			    .run = pg_int(r, row, 0),
			    .backfill = pg_int(r, row, 1),
			    .newest_first = pg_bool(r, row, 2),
			    .looks = pg_bool(r, row, 6) };
	struct err why = ERR_INIT;

	if (pg_int(r, row, 3) > 0)
		err_set(&why, ERR_RECORD, "%s of %s quotes failed: %.600s", pg_text(r, row, 3), pg_text(r, row, 4),
			pg_text(r, row, 5));
	else if (make(&m, &why) == 0) {
		gauges_run_finished("success");
		return 0;
	}
	if (why.kind == ERR_RECORD)
		return run_fail_planning(self, m.run, &why, err);
	*err = why;
	return -1;
}

/* clang-format off */
static const char ended_sql[] =
	"SELECT r.run, b.backfill, coalesce((b.asked->>'newest_first')::boolean, false), q.failed, q.tasks, q.message, b.asked ? 'looks'"
	" FROM etl.runs r JOIN etl.backfills b ON b.planning_run = r.run"
	" CROSS JOIN LATERAL (SELECT count(*) AS tasks, count(*) FILTER (WHERE state = 'failed') AS failed,"
	"     count(*) FILTER (WHERE state IN ('pending', 'dispatched')) AS open, min(message) FILTER (WHERE state = 'failed') AS message"
	"     FROM etl.tasks WHERE run = r.run) q"
	" WHERE r.status = 'running' AND NOT r.windows_planned AND r.kind = 'backfill' AND q.open = 0 ORDER BY r.run LIMIT $1";
/* clang-format on */

int backfill_step(struct orchestrator *self, bool *ret_busy, struct err *err)
{
	CLEANUP(pg_result_freep) struct pg_result *r = NULL;

	if (pg_query(self->pg, ended_sql, PG_PARAMS(INT_TEXT(PLANS_PER_STEP)), &r, err))
		return err_wrap(err, "reading plans");
	for (int i = 0; i < pg_rows(r); i++) {
		*ret_busy = true;
		if (step_plan(self, r, i, err))
			return err_wrap(err, "planning run %s", pg_text(r, i, 0));
	}
	return 0;
}

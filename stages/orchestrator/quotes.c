#include "stages/orchestrator/quotes.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/decimal.h"
#include "common/json_out.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/number_text.h"
#include "stages/orchestrator/coverage.h"
#include "stages/orchestrator/orchestrator.h"
#include "stages/orchestrator/plan_internal.h"
#include "stages/orchestrator/run.h"

#define RUNS_PER_STEP 10
#define PARAMETERS_MAX 200 /* bytes of what a fetcher is told beside the window */

struct quote {
	int64_t task, attempt;
	const char *subscription;
	const char *cost_text, *cost_max_text; /* USD, as written */
	int64_t cost, cost_max;
	bool batch;
	bool refetch; /* what is covered, too: some of it was refused, and is fetched again */
	enum window_chunk chunk;
	struct window bounds; /* what the subscription asks for, ended where the vendor's data ends */
	struct window *windows;
	unsigned count;
};

/* One run's. */
struct planning {
	struct orchestrator *self;
	int64_t run;
	const char *options;
	struct pg_result *rows; /* what the quotes' texts point into */
	struct quote *quotes;
	unsigned count;
	unsigned asked_again;
};

static void planning_release(struct planning *p)
{
	for (unsigned i = 0; i < p->count; i++)
		free(p->quotes[i].windows);
	free(p->quotes);
	pg_result_freep(&p->rows);
}

bool quote_cost(struct str text, int64_t *ret)
{
	struct number_text n;

	if (!number_text_scan(text, &n) || (n.negative && n.digits > 0))
		return false;
	if (number_text_nano(&n, ret))
		return true;
	for (; n.exponent < -DECIMAL_SCALE && n.digits > 0; n.exponent++) {
		n.longer = n.longer || n.digits % 10 > 0;
		n.digits /= 10;
	}
	if (n.exponent < -DECIMAL_SCALE)
		n.exponent = -DECIMAL_SCALE;
	n.digits += n.longer;
	n.longer = false;
	return number_text_nano(&n, ret);
}

/* --- reading quotes ---------------------------------------------------------------------------------------------------- */

/* Of a subscription that was asked for again, the last; none of one whose last has failed. Of a replay each task by itself. */
static const char quotes_sql[] =
	"SELECT q.task, q.subscription, q.p->>'start', q.p->>'end', q.p->>'chunk', q.p->>'cost_max_usd',"
	" q.p->>'via' = 'batch', a.attempt, a.result->>'cost_usd', a.result->>'available_start',"
	" a.result->>'available_end', coalesce(q.p->'refetch', 'false')"
	" FROM (SELECT DISTINCT ON (subscription, parameters->>'replay_of') task, subscription, state, parameters AS p"
	"       FROM etl.tasks WHERE run = $1 AND action = 'quote' AND NOT parameters ? 'looks'"
	"       ORDER BY subscription, parameters->>'replay_of', task DESC) q"
	" CROSS JOIN LATERAL (SELECT attempt, result FROM etl.attempts WHERE task = q.task AND state = 'done'"
	"                     AND closed_at IS NOT NULL AND NOT expired ORDER BY attempt DESC LIMIT 1) a"
	" WHERE q.state = 'closed' ORDER BY q.task";

static int unclear(const struct quote *q, const char *what, const char *text, struct err *err)
{
	return err_set(err, ERR_RECORD, "subscription %s: the quote of attempt %" PRId64 ": %s '%.40s' is none",
		       q->subscription, q->attempt, what, text);
}

int quote_clip(struct window *bounds, const char *available_start, const char *available_end, struct err *err)
{
	int64_t from, to;

	if (!clock_parse(str_of(available_end), &to))
		return err_set(err, ERR_RECORD, "available_end '%.40s' is none", available_end);
	if (available_start[0] && !clock_parse(str_of(available_start), &from))
		return err_set(err, ERR_RECORD, "available_start '%.40s' is none", available_start);
	bounds->end = to < bounds->until ? to : bounds->until;
	if (available_start[0] && from > bounds->start)
		bounds->start = from < bounds->until ? from : bounds->until;
	return 0;
}

static int read_quote(const struct pg_result *r, int row, struct quote *q, struct err *err)
{
	*q = (struct quote){
		.task = pg_int(r, row, 0),
		.subscription = pg_text(r, row, 1),
		.chunk = window_chunk_of(pg_text(r, row, 4)),
		.cost_max_text = pg_text(r, row, 5),
		.batch = pg_bool(r, row, 6),
		.refetch = strcmp(pg_text(r, row, 11), "true") == 0,
		.attempt = pg_int(r, row, 7),
		.cost_text = pg_text(r, row, 8),
	};
	if (!clock_parse(str_of(pg_text(r, row, 2)), &q->bounds.start))
		return unclear(q, "start", pg_text(r, row, 2), err);
	if (!clock_parse(str_of(pg_text(r, row, 3)), &q->bounds.until))
		return unclear(q, "end", pg_text(r, row, 3), err);
	if (!quote_cost(str_of(q->cost_max_text), &q->cost_max))
		return unclear(q, "cost_max_usd", q->cost_max_text, err);
	if (!quote_cost(str_of(q->cost_text), &q->cost))
		return unclear(q, "cost_usd", q->cost_text, err);
	if (quote_clip(&q->bounds, pg_text(r, row, 9), pg_text(r, row, 10), err))
		return err_wrap(err, "subscription %s: the quote of attempt %" PRId64, q->subscription, q->attempt);
	return 0;
}

static int cut(struct planning *p, struct quote *q, struct err *err)
{
	CLEANUP(freep) int32_t *days = NULL;
	unsigned count;

	if (q->bounds.start >= q->bounds.end)
		return 0;
	if (coverage_missing(p->self, q->task, q->attempt, &q->bounds,
			     q->refetch || run_option(p->options, "refetch", false), &days, &count, err))
		return err_wrap(err, "subscription %s", q->subscription);
	q->windows = mem_zalloc((size_t)count + 1, sizeof(*q->windows));
	q->count = windows_cut(&q->bounds, q->chunk, days, count, q->windows);
	return 0;
}

static int read_quotes(struct planning *p, struct err *err)
{
	if (pg_query(p->self->pg, quotes_sql, PG_PARAMS(INT_TEXT(p->run)), &p->rows, err))
		return -1;
	p->quotes = mem_zalloc((size_t)pg_rows(p->rows) + 1, sizeof(*p->quotes));
	for (int i = 0; i < pg_rows(p->rows); i++) {
		struct quote *q = &p->quotes[p->count++];

		if (read_quote(p->rows, i, q, err) || cut(p, q, err))
			return -1;
	}
	return 0;
}

/* --- what may be spent ------------------------------------------------------------------------------------------------- */

/* Where some days are covered, the quote was for more than what is to be bought. */
static bool is_too_wide(const struct quote *q)
{
	return q->windows[0].start > q->bounds.start || q->windows[q->count - 1].end < q->bounds.end;
}

/* The same task again, for the days that are missing. */
static int ask_again(struct planning *p, const struct quote *q, struct err *err)
{
	const struct window *first = &q->windows[0], *last = &q->windows[q->count - 1];
	CLEANUP(buf_release) struct buf parameters = BUF_INIT(PARAMETERS_MAX);
	char start[CLOCK_TEXT_MAX], end[CLOCK_TEXT_MAX];

	clock_format(first->start, 9, start);
	clock_format(last->until, 9, end);
	plan_quote_parameters(first->start, last->until, false, &parameters);
	p->asked_again++;
	return pg_query(p->self->pg,
			"INSERT INTO etl.tasks (run, subscription, source, action, parameters)"
			" SELECT run, subscription, source, action, parameters ||"
			" jsonb_build_object('start', $2::text, 'end', $3::text, 'parameters', $4::text)"
			" FROM etl.tasks WHERE task = $1",
			PG_PARAMS(INT_TEXT(q->task), start, end, buf_text(&parameters)), NULL, err);
}

static int ask_all_again(struct planning *p, struct err *err)
{
	for (unsigned i = 0; i < p->count; i++)
		if (p->quotes[i].count > 0 && is_too_wide(&p->quotes[i]) && ask_again(p, &p->quotes[i], err))
			return -1;
	return 0;
}

static int64_t total_cost(const struct planning *p)
{
	int64_t total = 0;

	for (unsigned i = 0; i < p->count; i++)
		if (p->quotes[i].count > 0 && __builtin_add_overflow(total, p->quotes[i].cost, &total))
			return INT64_MAX;
	return total;
}

/* The run's own cap, over all its subscriptions. */
static int check_total(struct planning *p, const char *cost_max_text, struct err *err)
{
	int64_t total = total_cost(p), cost_max;
	char text[DECIMAL_TEXT_MAX];

	if (!cost_max_text[0])
		return 0;
	if (!quote_cost(str_of(cost_max_text), &cost_max))
		return err_set(err, ERR_RECORD, "costMaxUsd '%.40s' is no amount", cost_max_text);
	if (total <= cost_max)
		return 0;
	if (ask_all_again(p, err))
		return -1;
	if (p->asked_again > 0)
		return 0;
	decimal_format(total, text);
	return err_set(
		err, ERR_RECORD,
		"the vendor's quotes of %s USD in all are more than costMaxUsd %s; raise it, or run fewer subscriptions",
		text, cost_max_text);
}

static int check_quotes(struct planning *p, struct err *err)
{
	for (unsigned i = 0; i < p->count; i++) {
		const struct quote *q = &p->quotes[i];

		if (q->count == 0 || q->cost <= q->cost_max)
			continue;
		if (!is_too_wide(q))
			return err_set(err, ERR_RECORD,
				       "subscription %s: the vendor's quote of %.40s USD is more than cost_max_usd %s; "
				       "raise it, or narrow symbols or dates",
				       q->subscription, q->cost_text, q->cost_max_text);
		if (ask_again(p, q, err))
			return -1;
	}
	return 0;
}

/* --- windows ----------------------------------------------------------------------------------------------------------- */

static void put_time(struct json_out *out, const char *key, int64_t ns)
{
	json_put_key(out, key);
	json_put_time(out, ns);
}

static void put_windows(struct buf *tasks, const struct quote *q)
{
	struct json_out out = JSON_OUT(tasks);

	json_put_open(&out, '[');
	for (unsigned i = 0; i < q->count; i++) {
		json_put_open(&out, '{');
		put_time(&out, "start", q->windows[i].start);
		put_time(&out, "end", q->windows[i].end);
		put_time(&out, "until", q->windows[i].until);
		plan_put(&out, "parameters", plan_fetch_parameters(q->batch));
		json_put_close(&out, '}');
	}
	json_put_close(&out, ']');
}

static int store_windows(struct planning *p, const struct quote *q, struct err *err)
{
	CLEANUP(buf_release) struct buf tasks = BUF_INIT(PLAN_BYTES_MAX);

	put_windows(&tasks, q);
	if (tasks.overflow)
		return err_set(err, ERR_RECORD, "subscription %s: its %u windows are too many; choose a larger chunk",
			       q->subscription, q->count);
	return pg_query(p->self->pg,
			"INSERT INTO etl.tasks (run, subscription, source, quote, parameters)"
			" SELECT q.run, q.subscription, q.source, q.task, e.x FROM etl.tasks q,"
			" jsonb_array_elements($2::jsonb) WITH ORDINALITY AS e (x, n) WHERE q.task = $1 ORDER BY e.n",
			PG_PARAMS(INT_TEXT(q->task), buf_text(&tasks)), NULL, err);
}

static int store_all(struct planning *p, struct err *err)
{
	int64_t tasks_max = config_int(p->self->cfg, "tasks_max"), total = 0;

	for (unsigned i = 0; i < p->count; i++) {
		total += p->quotes[i].count;
		if (total > tasks_max)
			return err_set(err, ERR_RECORD,
				       "subscription %s: more than %" PRId64
				       " windows in one run; choose a larger chunk or raise tasks_max",
				       p->quotes[i].subscription, tasks_max);
		if (p->quotes[i].count > 0 && store_windows(p, &p->quotes[i], err))
			return -1;
	}
	return pg_query(p->self->pg, "UPDATE etl.runs SET windows_planned = true WHERE run = $1",
			PG_PARAMS(INT_TEXT(p->run)), NULL, err);
}

/* --- one step ---------------------------------------------------------------------------------------------------------- */

static void log_planned(const struct planning *p)
{
	for (unsigned i = 0; i < p->count && p->asked_again == 0; i++)
		log_info("windows_planned",
			 LOG_FIELDS(log_i64("run", p->run), log_str("subscription", p->quotes[i].subscription),
				    log_i64("windows", p->quotes[i].count),
				    log_str("cost_usd", p->quotes[i].cost_text)),
			 "subscription %s is quoted at %.40s USD and has %u windows to fetch",
			 p->quotes[i].subscription, p->quotes[i].cost_text, p->quotes[i].count);
}

/* All quotes that are too high are asked for again before one is final. */
static int plan_run(struct planning *p, const char *cost_max, struct err *err)
{
	if (leader_begin(&p->self->leader, p->self->pg, err) || read_quotes(p, err) || check_quotes(p, err) ||
	    (p->asked_again == 0 && check_total(p, cost_max, err)) || (p->asked_again == 0 && store_all(p, err)))
		return -1;
	return pg_commit(p->self->pg, err);
}

static int step_run(struct orchestrator *self, int64_t run, const char *options, const char *cost_max, struct err *err)
{
	CLEANUP(planning_release) struct planning p = { .self = self, .run = run, .options = options };
	struct err why = ERR_INIT;

	if (plan_run(&p, cost_max, &why) == 0) {
		log_planned(&p);
		return 0;
	}
	if (why.kind == ERR_RECORD)
		return run_fail_planning(self, run, &why, err);
	*err = why;
	return -1;
}

int quotes_step(struct orchestrator *self, bool *ret_busy, struct err *err)
{
	CLEANUP(pg_result_freep) struct pg_result *r = NULL;

	if (pg_query(
		    self->pg,
		    "SELECT r.run, r.options, r.options->>'costMaxUsd' FROM etl.runs r WHERE r.status = 'running'"
		    " AND NOT r.windows_planned AND r.kind <> 'backfill' AND NOT EXISTS (SELECT 1 FROM etl.tasks t WHERE t.run = r.run"
		    "     AND t.action = 'quote' AND t.state IN ('pending', 'dispatched')) ORDER BY r.run LIMIT $1",
		    PG_PARAMS(INT_TEXT(RUNS_PER_STEP)), &r, err))
		return err_wrap(err, "reading runs with quotes");
	for (int i = 0; i < pg_rows(r); i++) {
		*ret_busy = true;
		if (step_run(self, pg_int(r, i, 0), pg_text(r, i, 1), pg_text(r, i, 2), err))
			return err_wrap(err, "planning run %s", pg_text(r, i, 0));
	}
	return 0;
}

/* What is missing becomes a plan. */
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/decimal.h"
#include "common/json_in.h"
#include "common/mem.h"
#include "stages/orchestrator/api/backfill_asked.h"
#include "stages/orchestrator/backfill_missing.h"
#include "stages/orchestrator/orchestrator.h"
#include "stages/orchestrator/plan_internal.h"

#define SYMBOLS_AT_ONCE 2000 /* what the vendor takes in one request */

/* --- quotes ------------------------------------------------------------------------------------------------------------ */

static int add_quote(struct planner *p, struct subscription *part, const struct window *w, struct err *err)
{
	part->vendor.start = w->start;
	part->vendor.end = w->until;
	part->vendor.has_end = true;
	return plan_quote(p, err);
}

/* With a budget of USD each window has a price of its own: else nobody knows when it is spent. */
static int add_stretch(struct planner *p, struct subscription *part, const struct window *stretch, bool by_window,
		       struct err *err)
{
	int32_t first = clock_day_of(stretch->start), last = clock_day_of(stretch->until - 1), next;

	for (int32_t day = by_window ? first : last + 1; day <= last; day = next) {
		struct window w = { .start = day * NS_PER_DAY };

		next = window_next(part->vendor.chunk, day);
		w.until = next > last ? stretch->until : next * NS_PER_DAY;
		if (add_quote(p, part, &w, err))
			return -1;
	}
	return by_window ? 0 : add_quote(p, part, stretch, err);
}

static int add_stretches(const struct asking *a, struct planner *p, struct subscription *part, const json_t *stretches,
			 struct err *err)
{
	for (size_t i = 0; i < json_array_size(stretches); i++) {
		const json_t *days = json_array_get(stretches, i);
		struct window w = { .start = json_integer_value(json_array_get(days, 0)) * NS_PER_DAY,
				    .until = json_integer_value(json_array_get(days, 1)) * NS_PER_DAY };

		if (w.until > a->now_ns)
			w.until = a->now_ns;
		if (w.start < w.until && add_stretch(p, part, &w, a->budget_usd[0], err))
			return -1;
	}
	return 0;
}

/* Symbols of which the same is missing, so many at once as the vendor takes. */
static int add_group(const struct asking *a, struct planner *p, const json_t *symbols, const json_t *stretches,
		     struct err *err)
{
	struct subscription part = *a->subscription;
	size_t all = json_array_size(symbols);
	CLEANUP(freep) char **names = mem_zalloc(all + 1, sizeof(*names));

	for (size_t i = 0; i < all; i++)
		names[i] = (char *)json_string_value(json_array_get(symbols, i));
	p->subscription = &part;
	for (size_t i = 0; i < all; i += SYMBOLS_AT_ONCE) {
		part.vendor.symbols = names + i;
		part.vendor.symbol_count = (unsigned)(all - i < SYMBOLS_AT_ONCE ? all - i : SYMBOLS_AT_ONCE);
		if (add_stretches(a, p, &part, stretches, err))
			return -1;
	}
	return 0;
}

static int add_groups(const struct asking *a, struct planner *p, const struct pg_result *missing, struct err *err)
{
	json_put_open(&p->out, '[');
	for (int i = 0; i < pg_rows(missing); i++) {
		CLEANUP(json_freep) json_t *symbols = json_loads(pg_text(missing, i, MISSING_SYMBOLS), 0, NULL);
		CLEANUP(json_freep) json_t *stretches = json_loads(pg_text(missing, i, MISSING_STRETCHES), 0, NULL);

		if (add_group(a, p, symbols, stretches, err))
			return -1;
	}
	json_put_close(&p->out, ']');
	if (!p->plan->tasks.overflow)
		return 0;
	return err_set(err, ERR_RECORD,
		       "what is missing is too scattered for one plan: more than %d bytes of quotes; ask for fewer "
		       "symbols or days",
		       PLAN_BYTES_MAX);
}

/* --- a plan is asked for ------------------------------------------------------------------------------------------------ */

static struct backfill_asked asked_of(const struct asking *a)
{
	return (struct backfill_asked){ .subscription = a->subscription->name,
					.symbols = a->symbols_text,
					.request = a->request,
					.from = a->from,
					.to = a->to,
					.reprocess = a->reprocess,
					.dataset = a->subscription->dataset };
}

/* No rows: the vendor is only asked what it says of days. */
static char *asked_text(const struct asking *a, const struct pg_result *missing)
{
	char from[CLOCK_TEXT_MAX], to[CLOCK_TEXT_MAX];
	CLEANUP(json_freep) json_t *asked = NULL;
	json_int_t symbols = 0, symbol_days = 0, stretches = 0;

	for (int i = 0; missing && i < pg_rows(missing); i++) {
		CLEANUP(json_freep) json_t *names = json_loads(pg_text(missing, i, MISSING_SYMBOLS), 0, NULL);
		CLEANUP(json_freep) json_t *spans = json_loads(pg_text(missing, i, MISSING_STRETCHES), 0, NULL);

		symbols += (json_int_t)json_array_size(names);
		stretches += (json_int_t)json_array_size(spans);
		symbol_days += pg_int(missing, i, MISSING_SYMBOL_DAYS);
	}
	clock_format_date(a->from, from);
	clock_format_date(a->to, to);
	asked = json_pack("{s:O, s:s, s:s, s:s, s:b, s:s, s:s, s:I, s:I, s:I}", "symbols", a->symbols, "from", from,
			  "to", to, "reprocess", a->reprocess, "newest_first",
			  json_is_true(json_object_get(a->body, "newest_first")), "request", a->request, "chunk",
			  window_chunks[a->subscription->vendor.chunk], "symbols_wanting", symbols, "symbol_days",
			  symbol_days, "stretches", stretches);
	if (missing)
		json_object_set_new(asked, "corrected_days", json_integer(pg_int(missing, 0, MISSING_CORRECTED)));
	else
		json_object_set_new(asked, "looks", json_true());
	return json_dumps(asked, JSON_COMPACT | JSON_SORT_KEYS);
}

static int store(const struct asking *a, const struct pg_result *missing, struct plan *plan, int64_t *ret_backfill,
		 int64_t *ret_run, struct err *err)
{
	CLEANUP(pg_result_freep) struct pg_result *r = NULL;
	CLEANUP(freep) char *asked = asked_text(a, missing);
	const struct api_call *call = a->call;
	char cost_max[DECIMAL_TEXT_MAX];

	decimal_format(a->subscription->vendor.cost_max, cost_max);
	if (pg_query(
		    call->pg,
		    "WITH run AS (INSERT INTO etl.runs (kind, options, requested_by) VALUES ('backfill',"
		    " jsonb_build_object('subscriptions', jsonb_build_array($1::text), 'plan', true), $2) RETURNING run)"
		    " INSERT INTO etl.backfills (subscription, requested_by, asked, coverage, quotes, cost_max_usd,"
		    " budget_calls, budget_usd, planning_run) SELECT $1, $2, $3, $4, $5, $6, nullif($7, '0')::bigint,"
		    " nullif($8, '')::numeric, run FROM run RETURNING backfill, planning_run",
		    PG_PARAMS(a->subscription->name, call->principal.name, asked,
			      missing ? pg_text(missing, 0, MISSING_COVERAGE) : "", buf_text(&plan->tasks), cost_max,
			      INT_TEXT(a->budget_calls), a->budget_usd),
		    &r, err))
		return -1;
	*ret_backfill = pg_int(r, 0, 0);
	*ret_run = pg_int(r, 0, 1);
	return 0;
}

static char *audit_detail(const struct asking *a)
{
	CLEANUP(json_freep) json_t *detail = json_copy(a->body);

	json_object_set_new(detail, "symbols", json_integer((json_int_t)json_array_size(a->symbols)));
	return json_dumps(detail, JSON_COMPACT | JSON_SORT_KEYS);
}

static void answer_plan(struct http_response *response, int64_t backfill, int64_t run, bool looks)
{
	struct json_out out = JSON_OUT(&response->body);

	api_run_accepted(response, &out, run);
	json_put_key(&out, "backfill");
	json_put_int(&out, backfill);
	json_put_key(&out, "looks");
	json_put_bool(&out, looks);
	json_put_close(&out, '}');
}

/* Nothing is written, and no vendor is asked. */
static void answer_nothing(const struct asking *a)
{
	struct json_out out = JSON_OUT(&a->call->response->body);
	bool failed = strcmp(a->reprocess, "failed") == 0;

	json_put_open(&out, '{');
	json_put_key(&out, "nothing_to_do");
	json_put_bool(&out, true);
	json_put_key(&out, "detail");
	json_put_str(&out, failed ? STR_LIT("nothing to do: no day of it has failed")
				  : STR_LIT("nothing to do: every day of it is covered"));
	json_put_close(&out, '}');
}

static struct planner planner_of(const struct asking *a, struct plan *plan)
{
	return (struct planner){
		.plan = plan,
		.out = JSON_OUT(&plan->tasks),
		.list = &a->list,
		.tasks_max = config_int(a->call->cfg, "tasks_max"),
		.now_ns = a->now_ns,
	};
}

/* Windows that the vendor is to be asked for, as quotes; ERR_RECORD: more than a plan can hold. */
static int make_quotes(const struct asking *a, const struct pg_result *missing, struct plan *plan, struct err *err)
{
	struct planner p = planner_of(a, plan);

	return add_groups(a, &p, missing, err);
}

/* One that asks for no price: what the vendor says of days is the same for all symbols. */
static int make_look(const struct asking *a, int32_t from, int32_t to, struct plan *plan, struct err *err)
{
	struct planner p = planner_of(a, plan);
	struct subscription part = *a->subscription;
	struct window w = { .start = from * NS_PER_DAY, .until = to * NS_PER_DAY };

	if (w.until > a->now_ns)
		w.until = a->now_ns;
	part.vendor.symbol_count = 1;
	p.looks = true;
	p.subscription = &part;
	json_put_open(&p.out, '[');
	if (add_quote(&p, &part, &w, err))
		return -1;
	json_put_close(&p.out, ']');
	return 0;
}

/* missing is NULL: the plan is a look. */
static int make_plan(const struct asking *a, const struct pg_result *missing, struct plan *plan, struct err *err)
{
	struct api_call *call = a->call;
	CLEANUP(freep) char *detail = audit_detail(a);
	int64_t backfill, run;

	if (pg_begin(call->pg, err) || store(a, missing, plan, &backfill, &run, err) ||
	    api_audit(call->pg, &call->principal, missing ? "backfill.plan" : "backfill.look", a->subscription->name,
		      detail, err) ||
	    pg_commit(call->pg, err))
		return -1;
	answer_plan(call->response, backfill, run, !missing);
	orchestrator_wake();
	return 0;
}

int api_backfill(struct api_call *call, struct err *err)
{
	CLEANUP(asking_release) struct asking a = { .call = call, .list = SUBSCRIPTIONS_INIT };
	CLEANUP(pg_result_freep) struct pg_result *missing = NULL;
	CLEANUP(plan_release) struct plan plan = PLAN_INIT;
	struct backfill_asked asked;
	int32_t from, to;
	bool unread;

	if (!asking_read(&a))
		return 0;
	asked = asked_of(&a);
	if (backfill_unread(call->pg, &asked, config_int(call->cfg, "backfill_look_s"), &unread, &from, &to, err))
		return -1;
	if (unread)
		return make_look(&a, from, to, &plan, err) ? -1 : make_plan(&a, NULL, &plan, err);
	if (backfill_missing(call->pg, &asked, &missing, err))
		return -1;
	if (pg_rows(missing) == 0)
		return answer_nothing(&a), 0;
	return make_quotes(&a, missing, &plan, err) ? -1 : make_plan(&a, missing, &plan, err);
}

/* Backfills: what is missing becomes a plan, and a plan that somebody approves becomes a run. */
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/decimal.h"
#include "common/json_in.h"
#include "common/mem.h"
#include "stages/orchestrator/api/api.h"
#include "stages/orchestrator/backfill_missing.h"
#include "stages/orchestrator/orchestrator.h"
#include "stages/orchestrator/plan_internal.h"
#include "stages/orchestrator/quotes.h"
#include "stages/orchestrator/sources.h"
#include "stages/orchestrator/subscriptions.h"

#define SYMBOLS_AT_ONCE 2000 /* what the vendor takes in one request */
#define SYMBOLS_MAX 1000000
#define NAME_MAX_BYTES 128
#define WHY_MAX 500
#define HASH_MAX 64
#define ALL_SYMBOLS "ALL_SYMBOLS"

struct asking {
	struct api_call *call;
	json_t *body;
	struct subscriptions list;
	const struct subscription *subscription;
	json_t *symbols; /* as asked, or the subscription's own */
	char *symbols_text, *request;
	const char *reprocess, *budget_usd; /* "": no such budget */
	int64_t budget_calls;
	int64_t now_ns;
	int32_t from, to; /* `to` is not included */
};

static void asking_release(struct asking *a)
{
	json_decref(a->body);
	json_decref(a->symbols);
	free(a->symbols_text);
	free(a->request);
	subscriptions_release(&a->list);
}

/* --- the body ---------------------------------------------------------------------------------------------------------- */

static bool is_text(const json_t *value, size_t max)
{
	return json_is_string(value) && json_string_length(value) >= 1 && json_string_length(value) <= max;
}

static bool is_name(const json_t *value)
{
	return is_text(value, NAME_MAX_BYTES);
}

static bool is_why(const json_t *value)
{
	return json_is_string(value) && json_string_length(value) <= WHY_MAX;
}

static bool is_hash(const json_t *value)
{
	return is_text(value, HASH_MAX);
}

static bool is_symbols(const json_t *value)
{
	size_t n = json_array_size(value);

	for (size_t i = 0; i < n; i++)
		if (!is_text(json_array_get(value, i), NAME_MAX_BYTES))
			return false;
	return json_is_array(value) && n >= 1 && n <= SYMBOLS_MAX;
}

static bool is_day(const json_t *value)
{
	int64_t ns;

	return is_text(value, 10) && clock_parse(str_of(json_string_value(value)), &ns) && ns >= 0 &&
	       ns % NS_PER_DAY == 0;
}

static bool is_reprocess(const json_t *value)
{
	for (unsigned i = 0; json_is_string(value) && backfill_reprocess[i]; i++)
		if (strcmp(backfill_reprocess[i], json_string_value(value)) == 0)
			return true;
	return false;
}

static bool is_switch(const json_t *value)
{
	return json_is_boolean(value);
}

static bool is_calls(const json_t *value)
{
	return json_is_integer(value) && json_integer_value(value) >= 1;
}

static bool is_usd(const json_t *value)
{
	int64_t cost;

	return json_is_string(value) && quote_cost(str_of(json_string_value(value)), &cost) && cost > 0;
}

struct member {
	const char *key, *takes;
	bool (*check)(const json_t *value);
	bool required;
};

static const struct member asked_members[] = {
	{ "subscription", "a subscription's name", is_name, true },
	{ "symbols", "a list of 1 to 1000000 symbols of 128 bytes", is_symbols, false },
	{ "from", "a day such as 2024-01-31", is_day, false },
	{ "to", "a day such as 2024-01-31", is_day, false },
	{ "reprocess", "missing, failed or all", is_reprocess, false },
	{ "newest_first", "true or false", is_switch, false },
	{ "budget_calls", "a number of calls, 1 at least", is_calls, false },
	{ "budget_usd", "an amount of USD above 0 as a text (\"2.50\")", is_usd, false },
	{ "why", "a text of 500 bytes", is_why, false },
	{ 0 },
};

static const struct member approved_members[] = {
	{ "hash", "the hash of a plan", is_hash, true },
	{ "why", "a text of 500 bytes", is_why, false },
	{ 0 },
};

static const struct member *find_member(const struct member *members, const char *key)
{
	while (members->key && strcmp(members->key, key) != 0)
		members++;
	return members->key ? members : NULL;
}

static bool check_body(struct api_call *call, json_t *body, const struct member *members)
{
	const char *key;
	json_t *value;

	if (!json_is_object(body))
		return api_problem(call->response, 400, "the body must be a JSON object"), false;
	json_object_foreach(body, key, value)
	{
		const struct member *m = find_member(members, key);

		if (!m)
			return api_problem(call->response, 400, "unknown key '%.100s'", key), false;
		if (!m->check(value))
			return api_problem(call->response, 400, "%s: %s", key, m->takes), false;
	}
	for (; members->key; members++)
		if (members->required && !json_object_get(body, members->key))
			return api_problem(call->response, 400, "%s is missing: %s", members->key, members->takes),
			       false;
	return true;
}

static const char *text_of(const struct asking *a, const char *key, const char *fallback)
{
	const char *text = json_string_value(json_object_get(a->body, key));

	return text ? text : fallback;
}

/* --- what is meant ------------------------------------------------------------------------------------------------------ */

static bool find_subscription(struct asking *a)
{
	const char *name = text_of(a, "subscription", "");
	struct err err = ERR_INIT;

	if (subscriptions_read(&a->list, config_text(a->call->cfg, "subscriptions"), &err))
		return api_problem(a->call->response, 500, "%s", err.text), false;
	a->subscription = subscriptions_find(&a->list, name);
	if (!a->subscription)
		return api_problem(a->call->response, 404, "there is no subscription '%.128s' in %s", name,
				   a->list.file),
		       false;
	if (a->subscription->how && a->subscription->how->plan == plan_quote)
		return true;
	api_problem(
		a->call->response, 400,
		"subscription '%.128s': source %s sells nothing by days, so there is nothing to plan; `penstock run "
		"full` reads its files",
		name, a->subscription->source);
	return false;
}

static bool has_symbol(const struct vendor_request *v, const char *symbol)
{
	for (unsigned i = 0; i < v->symbol_count; i++)
		if (strcmp(v->symbols[i], symbol) == 0 || strcmp(v->symbols[i], ALL_SYMBOLS) == 0)
			return true;
	return false;
}

static bool take_symbols(struct asking *a)
{
	const struct vendor_request *v = &a->subscription->vendor;
	json_t *asked = json_object_get(a->body, "symbols");

	a->symbols = asked ? json_incref(asked) : json_array();
	for (size_t i = 0; asked && i < json_array_size(asked); i++) {
		const char *symbol = json_string_value(json_array_get(asked, i));

		if (!has_symbol(v, symbol))
			return api_problem(a->call->response, 404,
					   "subscription '%.128s' has no symbol '%.128s'; what it has stands in %s",
					   a->subscription->name, symbol, a->list.file),
			       false;
	}
	for (unsigned i = 0; !asked && i < v->symbol_count; i++)
		json_array_append_new(a->symbols, json_string(v->symbols[i]));
	a->symbols_text = json_dumps(a->symbols, JSON_COMPACT);
	return true;
}

static int32_t day_of(const struct asking *a, const char *key)
{
	int64_t ns = 0;

	clock_parse(str_of(text_of(a, key, "")), &ns);
	return clock_day_of(ns);
}

/* Both days are included, as they are written; today as far as it has come. */
static bool take_days(struct asking *a)
{
	const struct vendor_request *v = &a->subscription->vendor;
	int32_t today = clock_day_of(a->now_ns);
	int64_t end = v->has_end && v->end < a->now_ns ? v->end : a->now_ns;
	char text[CLOCK_TEXT_MAX];

	a->from = json_object_get(a->body, "from") ? day_of(a, "from") : clock_day_of(v->start);
	a->to = json_object_get(a->body, "to") ? day_of(a, "to") + 1 : clock_day_of(end - 1) + 1;
	clock_format_date(today, text);
	if (a->from > today || a->to - 1 > today)
		return api_problem(a->call->response, 400, "%s is in the future: today is %s (UTC)",
				   a->from > today ? "from" : "to", text),
		       false;
	if (a->from < a->to)
		return true;
	clock_format_date(a->to - 1, text);
	return api_problem(a->call->response, 400, "from is behind to, which is %s", text), false;
}

static bool take_budget(struct asking *a)
{
	a->reprocess = text_of(a, "reprocess", backfill_reprocess[0]);
	a->budget_usd = text_of(a, "budget_usd", "");
	a->budget_calls = json_integer_value(json_object_get(a->body, "budget_calls"));
	if (!a->budget_usd[0] || a->budget_calls == 0)
		return true;
	return api_problem(a->call->response, 400, "a budget is of calls or of USD, not of both"), false;
}

static bool read_asked(struct asking *a)
{
	struct str text = a->call->request->body;

	a->body = json_loadb(text.data, text.len, JSON_REJECT_DUPLICATES, NULL);
	a->now_ns = clock_now_ns();
	if (!check_body(a->call, a->body, asked_members) || !find_subscription(a) || !take_symbols(a) ||
	    !take_days(a) || !take_budget(a))
		return false;
	a->request = mem_printf("%s %s %s", a->subscription->dataset, a->subscription->schema,
				a->subscription->vendor.stype_in);
	return true;
}

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

static int find_missing(const struct asking *a, struct pg *pg, struct pg_result **ret, struct err *err)
{
	const struct backfill_asked asked = { .subscription = a->subscription->name,
					      .symbols = a->symbols_text,
					      .request = a->request,
					      .from = a->from,
					      .to = a->to,
					      .reprocess = a->reprocess };

	return backfill_missing(pg, &asked, ret, err);
}

static char *asked_text(const struct asking *a, const struct pg_result *missing)
{
	char from[CLOCK_TEXT_MAX], to[CLOCK_TEXT_MAX];
	CLEANUP(json_freep) json_t *asked = NULL;
	json_int_t symbols = 0, symbol_days = 0, stretches = 0;

	for (int i = 0; i < pg_rows(missing); i++) {
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
		    PG_PARAMS(a->subscription->name, call->principal.name, asked, pg_text(missing, 0, MISSING_COVERAGE),
			      buf_text(&plan->tasks), cost_max, INT_TEXT(a->budget_calls), a->budget_usd),
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

static void answer_plan(struct http_response *response, int64_t backfill, int64_t run)
{
	struct json_out out = JSON_OUT(&response->body);

	api_run_accepted(response, &out, run);
	json_put_key(&out, "backfill");
	json_put_int(&out, backfill);
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

/* Windows that the vendor is to be asked for, as quotes; ERR_RECORD: more than a plan can hold. */
static int make_quotes(const struct asking *a, const struct pg_result *missing, struct plan *plan, struct err *err)
{
	struct planner p = {
		.plan = plan,
		.out = JSON_OUT(&plan->tasks),
		.list = &a->list,
		.tasks_max = config_int(a->call->cfg, "tasks_max"),
		.now_ns = a->now_ns,
	};

	return add_groups(a, &p, missing, err);
}

int api_backfill(struct api_call *call, struct err *err)
{
	CLEANUP(asking_release) struct asking a = { .call = call, .list = SUBSCRIPTIONS_INIT };
	CLEANUP(pg_result_freep) struct pg_result *missing = NULL;
	CLEANUP(plan_release) struct plan plan = PLAN_INIT;
	CLEANUP(freep) char *detail = NULL;
	int64_t backfill, run;

	if (!read_asked(&a))
		return 0;
	if (find_missing(&a, call->pg, &missing, err))
		return -1;
	if (pg_rows(missing) == 0)
		return answer_nothing(&a), 0;
	if (make_quotes(&a, missing, &plan, err))
		return -1;
	detail = audit_detail(&a);
	if (pg_begin(call->pg, err) || store(&a, missing, &plan, &backfill, &run, err) ||
	    api_audit(call->pg, &call->principal, "backfill.plan", a.subscription->name, detail, err) ||
	    pg_commit(call->pg, err))
		return -1;
	answer_plan(call->response, backfill, run);
	orchestrator_wake();
	return 0;
}

/* --- a plan is approved ------------------------------------------------------------------------------------------------- */

/* The last one of this hash; nobody else approves it, or one of its subscription, meanwhile. */
/* clang-format off */
static const char find_sql[] =
	"SELECT b.backfill, b.subscription, b.asked->'symbols', b.asked->>'request', b.asked->>'from', b.asked->>'to',"
	" b.asked->>'reprocess', b.coverage, b.run, b.approved_by, coalesce(b.cost_usd <= b.cost_max_usd OR b.budget_usd <= b.cost_max_usd,"
	" false), b.cost_usd, b.cost_max_usd,"
	" (SELECT min(r.run) FROM etl.runs r WHERE r.status IN ('running', 'checking') AND EXISTS (SELECT 1"
	"   FROM etl.tasks t WHERE t.run = r.run AND t.subscription = b.subscription AND t.quote IS NOT NULL"
	"   AND t.state IN ('pending', 'dispatched') AND (t.parameters->>'start')::timestamptz < (b.asked->>'to')::timestamp AT TIME ZONE 'UTC'"
	"   AND (t.parameters->>'until')::timestamptz > (b.asked->>'from')::timestamp AT TIME ZONE 'UTC')"
	"   OR r.status = 'pending' AND EXISTS (SELECT 1 FROM etl.backfills o WHERE o.run = r.run AND o.subscription = b.subscription))"
	" FROM etl.backfills b WHERE b.hash = $1 ORDER BY b.backfill DESC LIMIT 1 FOR UPDATE OF b";
/* clang-format on */
enum {
	BACKFILL,
	SUBSCRIPTION,
	SYMBOLS,
	REQUEST,
	FROM,
	TO,
	REPROCESS,
	COVERAGE,
	RUN,
	WHO,
	AFFORDED,
	COST,
	COST_MAX,
	BUSY
};

/* False: the response says why not. */
static bool may_run(struct api_call *call, const struct pg_result *plan, const char *hash)
{
	if (pg_rows(plan) == 0)
		api_problem(call->response, 404, "there is no plan %.64s; `penstock backfills` lists them", hash);
	else if (!pg_null(plan, 0, RUN))
		api_problem(call->response, 409, "plan %.64s ran already, as run %s, approved by %s", hash,
			    pg_text(plan, 0, RUN), pg_text(plan, 0, WHO));
	else if (!pg_bool(plan, 0, AFFORDED))
		api_problem(
			call->response, 409,
			"plan %.64s costs %s USD, more than cost_max_usd %s of the subscription; raise that, ask for "
			"less, or plan with a budget that is no more",
			hash, pg_text(plan, 0, COST), pg_text(plan, 0, COST_MAX));
	else if (!pg_null(plan, 0, BUSY))
		api_problem(call->response, 409,
			    "run %s is fetching days of subscription '%.128s' that are in this plan; wait for its end, "
			    "or `penstock run cancel %s`, and plan again",
			    pg_text(plan, 0, BUSY), pg_text(plan, 0, SUBSCRIPTION), pg_text(plan, 0, BUSY));
	return call->response->status < 400;
}

/* What the plan was made of is what is still so. */
static int check_coverage(struct api_call *call, const struct pg_result *plan, const char *hash, struct err *err)
{
	CLEANUP(pg_result_freep) struct pg_result *now = NULL;
	int64_t from = 0, to = 0;

	clock_parse(str_of(pg_text(plan, 0, FROM)), &from);
	clock_parse(str_of(pg_text(plan, 0, TO)), &to);
	const struct backfill_asked asked = { .subscription = pg_text(plan, 0, SUBSCRIPTION),
					      .symbols = pg_text(plan, 0, SYMBOLS),
					      .request = pg_text(plan, 0, REQUEST),
					      .from = clock_day_of(from),
					      .to = clock_day_of(to),
					      .reprocess = pg_text(plan, 0, REPROCESS) };

	if (backfill_missing(call->pg, &asked, &now, err))
		return -1;
	if (pg_rows(now) == 0 || strcmp(pg_text(now, 0, MISSING_COVERAGE), pg_text(plan, 0, COVERAGE)) != 0)
		api_problem(call->response, 409,
			    "plan %.64s is stale: what is covered has changed since it was made; plan again", hash);
	return 0;
}

static int make_run(struct api_call *call, const struct pg_result *plan, const char *hash, int64_t *ret,
		    struct err *err)
{
	CLEANUP(pg_result_freep) struct pg_result *r = NULL;

	if (pg_query(call->pg,
		     "WITH run AS (INSERT INTO etl.runs (kind, options, requested_by) VALUES ('backfill',"
		     " jsonb_build_object('subscriptions', jsonb_build_array($2::text), 'backfill', $3::text), $4)"
		     " RETURNING run) UPDATE etl.backfills b SET run = run.run, approved_by = $4, approved_at = now()"
		     " FROM run WHERE b.backfill = $1 RETURNING b.run",
		     PG_PARAMS(pg_text(plan, 0, BACKFILL), pg_text(plan, 0, SUBSCRIPTION), hash, call->principal.name),
		     &r, err))
		return -1;
	*ret = pg_int(r, 0, 0);
	return 0;
}

int api_backfill_approve(struct api_call *call, struct err *err)
{
	CLEANUP(pg_result_freep) struct pg_result *plan = NULL;
	struct str text = call->request->body;
	CLEANUP(json_freep) json_t *body = json_loadb(text.data, text.len, JSON_REJECT_DUPLICATES, NULL);
	CLEANUP(freep) char *detail = NULL;
	const char *hash;
	int64_t run;

	if (!check_body(call, body, approved_members))
		return 0;
	hash = json_string_value(json_object_get(body, "hash"));
	detail = json_dumps(body, JSON_COMPACT | JSON_SORT_KEYS);
	if (pg_begin(call->pg, err) ||
	    pg_query(call->pg, "SELECT pg_advisory_xact_lock(hashtext('etl.backfills'))", PG_NO_PARAMS, NULL, err) ||
	    pg_query(call->pg, find_sql, PG_PARAMS(hash), &plan, err))
		return -1;
	if (may_run(call, plan, hash) && check_coverage(call, plan, hash, err))
		return -1;
	if (call->response->status >= 400)
		return pg_rollback(call->pg), 0;
	if (make_run(call, plan, hash, &run, err) ||
	    api_audit(call->pg, &call->principal, "backfill.approve", hash, detail, err) || pg_commit(call->pg, err))
		return -1;
	api_run_answer(call->response, run);
	orchestrator_wake();
	return 0;
}

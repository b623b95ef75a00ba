/* A run is paused, resumed, cancelled, or what failed of it is done again. */
#include <string.h>

#include "common/cleanup.h"
#include "common/json_in.h"
#include "common/json_out.h"
#include "stages/orchestrator/api/api.h"
#include "stages/orchestrator/api/rows.h"
#include "stages/orchestrator/orchestrator.h"
#include "stages/orchestrator/quotes.h"

#define WHY_MAX 500
#define ID_MAX 20 /* digits */

struct control {
	struct api_call *call;
	char run[ID_MAX + 1];
	const struct action *action;
	json_t *body;
	const char *why;
	const char *budget_usd; /* NULL: nothing is said of it */
	int64_t budget_calls;   /* 0: likewise */
	struct pg_result *found;
};

/* True where the run can do that now; else the response says why not. */
struct action {
	const char *name, *audit;
	bool takes_budget;
	bool (*may)(struct control *c);
	int (*apply)(struct control *c, struct err *err);
};

static void control_release(struct control *c)
{
	json_decref(c->body);
	pg_result_freep(&c->found);
}

/* clang-format off */
static const char find_sql[] =
	"SELECT r.status, r.held, r.kind, x.failed, b.budget_calls, b.budget_usd, s.calls, s.usd,"
	" b.cost_usd <= b.cost_max_usd OR coalesce($3::numeric, b.budget_usd) <= b.cost_max_usd,"
	" coalesce($2::bigint > s.calls, $3::numeric > s.usd, s.calls_left > 0, s.usd_left > 0, true), b.cost_max_usd"
	" FROM etl.runs r LEFT JOIN etl.backfills b ON b.run = r.run LEFT JOIN etl.budgets s ON s.run = r.run"
	" CROSS JOIN LATERAL (SELECT count(*) AS failed FROM etl.tasks WHERE run = r.run AND state = 'failed') x"
	" WHERE r.run = $1 FOR UPDATE OF r";
/* clang-format on */
enum { STATUS, HELD, KIND, FAILED, BUDGET_CALLS, BUDGET_USD, CALLS, USD, AFFORDED, LEFT, COST_MAX };

static const char *column(const struct control *c, int which)
{
	return pg_text(c->found, 0, which);
}

static bool is_open(const struct control *c)
{
	const char *status = column(c, STATUS);

	return strcmp(status, "success") != 0 && strcmp(status, "failed") != 0;
}

static bool refuse_ended(struct control *c)
{
	api_problem(c->call->response, 409, "run %s is over: %s", c->run, column(c, STATUS));
	return false;
}

/* --- pause -------------------------------------------------------------------------------------------------------------- */

static bool may_pause(struct control *c)
{
	if (!is_open(c))
		return refuse_ended(c);
	if (column(c, HELD)[0])
		return api_problem(c->call->response, 409, "run %s stands still already: %s", c->run, column(c, HELD)),
		       false;
	return true;
}

/* The core tells the fetchers; what is on its way when they hear of it stays where it stands. */
static int apply_pause(struct control *c, struct err *err)
{
	return pg_query(c->call->pg, "UPDATE etl.runs SET held = 'paused' WHERE run = $1", PG_PARAMS(c->run), NULL,
			err);
}

/* --- resume ------------------------------------------------------------------------------------------------------------- */

static bool may_have_budget(struct control *c)
{
	struct http_response *response = c->call->response;

	if (c->budget_calls > 0 && pg_null(c->found, 0, BUDGET_CALLS))
		return api_problem(response, 409, "run %s was not planned with a budget of calls", c->run), false;
	if (c->budget_usd && pg_null(c->found, 0, BUDGET_USD))
		return api_problem(response, 409, "run %s was not planned with a budget of USD", c->run), false;
	if (!pg_null(c->found, 0, AFFORDED) && !pg_bool(c->found, 0, AFFORDED))
		return api_problem(response, 409, "that is more than cost_max_usd %s of the subscription",
				   column(c, COST_MAX)),
		       false;
	if (pg_bool(c->found, 0, LEFT))
		return true;
	if (pg_null(c->found, 0, BUDGET_USD))
		api_problem(response, 409, "%s calls of run %s are spent; a larger budget lets it go on",
			    column(c, CALLS), c->run);
	else
		api_problem(response, 409, "%s USD of run %s are spent; a larger budget lets it go on", column(c, USD),
			    c->run);
	return false;
}

static bool may_resume(struct control *c)
{
	bool budget = strcmp(column(c, HELD), "budget") == 0;

	if (!is_open(c))
		return refuse_ended(c);
	if (!column(c, HELD)[0])
		return api_problem(c->call->response, 409, "run %s does not stand still", c->run), false;
	if (budget && !c->budget_usd && c->budget_calls == 0)
		return api_problem(c->call->response, 409,
				   "the budget of run %s is spent; a larger one lets it go on (--budget)", c->run),
		       false;
	return may_have_budget(c);
}

static int apply_resume(struct control *c, struct err *err)
{
	return pg_query(c->call->pg,
			"UPDATE etl.backfills SET budget_calls = coalesce(nullif($2, '0')::bigint, budget_calls),"
			" budget_usd = coalesce($3::numeric, budget_usd) WHERE run = $1",
			PG_PARAMS(c->run, INT_TEXT(c->budget_calls), c->budget_usd), NULL, err) ||
			       pg_query(c->call->pg, "UPDATE etl.runs SET held = '' WHERE run = $1", PG_PARAMS(c->run),
					NULL, err)
		       ? -1
		       : 0;
}

/* --- cancel ------------------------------------------------------------------------------------------------------------- */

static bool may_cancel(struct control *c)
{
	return is_open(c) || refuse_ended(c);
}

static int apply_cancel(struct control *c, struct err *err)
{
	return pg_query(c->call->pg,
			"UPDATE etl.runs SET status = 'failed', held = 'cancelled', finished_at = now(),"
			" started_at = coalesce(started_at, now()),"
			" message = format('cancelled by %s%s', $2::text, ': ' || nullif($3::text, '')) WHERE run = $1",
			PG_PARAMS(c->run, c->call->principal.name, c->why), NULL, err) ||
			       pg_query(c->call->pg,
					"UPDATE etl.tasks SET state = 'failed', message = 'the run was cancelled'"
					" WHERE run = $1 AND state = 'pending'",
					PG_PARAMS(c->run), NULL, err)
		       ? -1
		       : 0;
}

/* --- retry -------------------------------------------------------------------------------------------------------------- */

static bool may_retry(struct control *c)
{
	struct http_response *response = c->call->response;

	if (is_open(c))
		return api_problem(response, 409, "run %s is not over: %s", c->run, column(c, STATUS)), false;
	if (strcmp(column(c, KIND), "replay") == 0)
		return api_problem(response, 409,
				   "run %s is a replay; `penstock dlq replay` puts its letters back again", c->run),
		       false;
	if (pg_int(c->found, 0, FAILED) > 0)
		return true;
	return api_problem(response, 409, "no task of run %s has failed", c->run), false;
}

/* Where a task was parked it goes on there. */
static int apply_retry(struct control *c, struct err *err)
{
	return pg_query(c->call->pg,
			"UPDATE etl.tasks SET state = 'pending', message = '', retried_at = now()"
			" WHERE run = $1 AND state = 'failed'",
			PG_PARAMS(c->run), NULL, err) ||
			       pg_query(
				       c->call->pg,
				       "UPDATE etl.runs SET status = 'running', held = '', finished_at = NULL, message = ''"
				       " WHERE run = $1",
				       PG_PARAMS(c->run), NULL, err)
		       ? -1
		       : 0;
}

/* --- the request -------------------------------------------------------------------------------------------------------- */

static const struct action actions[] = {
	{ "pause", "run.pause", false, may_pause, apply_pause },
	{ "resume", "run.resume", true, may_resume, apply_resume },
	{ "cancel", "run.cancel", false, may_cancel, apply_cancel },
	{ "retry", "run.retry", false, may_retry, apply_retry },
};

/* "12/pause" */
static bool read_path(struct control *c)
{
	const char *slash = strchr(c->call->rest, '/');
	size_t n = slash ? (size_t)(slash - c->call->rest) : 0;
	int64_t run;

	for (unsigned i = 0; slash && i < sizeof(actions) / sizeof(*actions); i++)
		if (strcmp(slash + 1, actions[i].name) == 0)
			c->action = &actions[i];
	if (n > 0 && n <= ID_MAX && c->action) {
		memcpy(c->run, c->call->rest, n);
		if (api_number(c->run, INT64_MAX, &run))
			return true;
	}
	api_problem(c->call->response, 404, "there is no %s; /openapi.json lists what there is",
		    c->call->request->path);
	return false;
}

static bool check_member(const struct control *c, const char *key, const json_t *value)
{
	int64_t cost;

	if (strcmp(key, "why") == 0)
		return json_is_string(value) && json_string_length(value) <= WHY_MAX;
	if (c->action->takes_budget && strcmp(key, "budget_calls") == 0)
		return json_is_integer(value) && json_integer_value(value) >= 1;
	return c->action->takes_budget && strcmp(key, "budget_usd") == 0 && json_is_string(value) &&
	       quote_cost(str_of(json_string_value(value)), &cost) && cost > 0;
}

static bool read_body(struct control *c)
{
	struct str text = c->call->request->body;
	const char *key;
	json_t *value;
	bool good;

	c->body = text.len == 0 ? json_object() : json_loadb(text.data, text.len, JSON_REJECT_DUPLICATES, NULL);
	good = json_is_object(c->body);
	json_object_foreach(c->body, key, value) good = good && check_member(c, key, value);
	c->why = json_string_value(json_object_get(c->body, "why"));
	c->budget_usd = json_string_value(json_object_get(c->body, "budget_usd"));
	c->budget_calls = json_integer_value(json_object_get(c->body, "budget_calls"));
	if (good && !(c->budget_usd && c->budget_calls > 0))
		return true;
	api_problem(
		c->call->response, 400,
		c->action->takes_budget
			? "the body may be a JSON object: why, a text of %d bytes; budget_calls, a number, or budget_usd,"
			  " an amount as a text (\"2.50\")"
			: "the body may be a JSON object: why, a text of %d bytes",
		WHY_MAX);
	return false;
}

static int answer(struct control *c, struct err *err)
{
	CLEANUP(pg_result_freep) struct pg_result *r = NULL;
	struct json_out out = JSON_OUT(&c->call->response->body);

	if (pg_query(c->call->pg, "SELECT run, status, held FROM etl.runs WHERE run = $1", PG_PARAMS(c->run), &r, err))
		return -1;
	json_put_open(&out, '{');
	api_put_members(&out, r, 0);
	json_put_close(&out, '}');
	return 0;
}

static int find(struct control *c, struct err *err)
{
	return pg_query(c->call->pg, find_sql,
			PG_PARAMS(c->run, c->budget_calls > 0 ? INT_TEXT(c->budget_calls) : NULL, c->budget_usd),
			&c->found, err);
}

static bool may(struct control *c)
{
	if (pg_rows(c->found) == 0)
		return api_problem(c->call->response, 404, "there is no run %s", c->run), false;
	return c->action->may(c);
}

int api_run_control(struct api_call *call, struct err *err)
{
	CLEANUP(control_release) struct control c = { .call = call };
	CLEANUP(freep) char *detail = NULL;

	if (!read_path(&c) || !read_body(&c))
		return 0;
	detail = json_dumps(c.body, JSON_COMPACT | JSON_SORT_KEYS);
	if (pg_begin(call->pg, err) || find(&c, err))
		return -1;
	if (!may(&c))
		return pg_rollback(call->pg), 0;
	if (c.action->apply(&c, err) || api_audit(call->pg, &call->principal, c.action->audit, c.run, detail, err) ||
	    answer(&c, err) || pg_commit(call->pg, err))
		return -1;
	orchestrator_wake();
	return 0;
}

/* A plan that somebody approves becomes a run. */
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/json_in.h"
#include "stages/orchestrator/api/backfill_asked.h"
#include "stages/orchestrator/backfill_missing.h"
#include "stages/orchestrator/orchestrator.h"

#define HASH_MAX 64

static bool is_hash(const json_t *value)
{
	return body_is_text(value, HASH_MAX);
}

static const struct body_member members[] = {
	{ "hash", "the hash of a plan", is_hash, true },
	{ "why", WHY_TAKES, body_is_why, false },
	{ 0 },
};

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
	"   OR r.status = 'pending' AND EXISTS (SELECT 1 FROM etl.backfills o WHERE o.run = r.run AND o.subscription = b.subscription)),"
	" split_part(b.asked->>'request', ' ', 1)"
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
	BUSY,
	DATASET
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
					      .reprocess = pg_text(plan, 0, REPROCESS),
					      .dataset = pg_text(plan, 0, DATASET) };

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

	if (!body_check(call, body, members))
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

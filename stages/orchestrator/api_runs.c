#include <inttypes.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "stages/orchestrator/api.h"
#include "stages/orchestrator/orchestrator.h"

#define LIMIT_DEFAULT 50
#define LIMIT_MAX 500
#define ALARMS_MAX 100

/* --- runs -------------------------------------------------------------------------------------------------------------- */

#define UTC(column) "to_char(" column " AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')"

/*
 * Closed means that count and mix once agreed; as the ledger only ever grows,
 * an equal count now means that they still do. Records of an attempt that
 * expired are in flight no more, and its task's next one stands for it.
 */
/* clang-format off */
static const char runs_sql[] =
	"SELECT r.run, r.kind, r.status,"
	" a.unbalanced = 0 AND t.open = 0 AND r.status <> 'pending',"
	" a.fetched, l.inserted, l.updated, l.unchanged, l.duplicate, l.superseded, l.dead_letters,"
	" a.in_flight, a.skipped, a.expired_attempts, a.expired_records, t.tasks, t.closed,"
	" " UTC("r.created_at") ", " UTC("r.started_at") ", " UTC("r.finished_at") ", r.message,"
	" (SELECT coalesce(json_agg(json_build_object('name', c.name, 'passed', c.passed, 'observed', c.observed,"
	"         'expected', c.expected, 'detail', c.detail) ORDER BY c.name), '[]')"
	"  FROM etl.run_checks c WHERE c.run = r.run)"
	" FROM (SELECT * FROM etl.runs WHERE ($1::bigint IS NULL OR run = $1) AND ($2::bigint IS NULL OR run < $2)"
	"       ORDER BY run DESC LIMIT $3) r"
	" CROSS JOIN LATERAL (SELECT coalesce(sum(x.fetched), 0)::bigint AS fetched,"
	"        coalesce(sum(x.skipped), 0)::bigint AS skipped,"
	"        coalesce(sum(x.fetched - x.records) FILTER (WHERE NOT x.expired), 0)::bigint AS in_flight,"
	"        count(*) FILTER (WHERE x.expired) AS expired_attempts,"
	"        coalesce(sum(x.fetched - x.records) FILTER (WHERE x.expired), 0)::bigint AS expired_records,"
	"        count(*) FILTER (WHERE CASE WHEN x.expired THEN x.is_last"
	"                               ELSE x.closed_at IS NULL OR x.fetched <> x.records END) AS unbalanced"
	"        FROM (SELECT y.*, (SELECT coalesce(sum(records), 0) FROM etl.ledger WHERE attempt = y.attempt) AS records,"
	"              attempt = max(attempt) OVER (PARTITION BY task) AS is_last"
	"              FROM etl.attempts y WHERE y.run = r.run) x) a"
	" CROSS JOIN LATERAL (SELECT count(*) AS tasks, count(*) FILTER (WHERE state = 'closed') AS closed,"
	"        count(*) FILTER (WHERE state IN ('pending', 'dispatched')) AS open FROM etl.tasks"
	"        WHERE run = r.run) t"
	" CROSS JOIN LATERAL (SELECT"
	"        coalesce(sum(records) FILTER (WHERE outcome = 'inserted'), 0)::bigint AS inserted,"
	"        coalesce(sum(records) FILTER (WHERE outcome = 'updated'), 0)::bigint AS updated,"
	"        coalesce(sum(records) FILTER (WHERE outcome = 'unchanged'), 0)::bigint AS unchanged,"
	"        coalesce(sum(records) FILTER (WHERE outcome = 'duplicate'), 0)::bigint AS duplicate,"
	"        coalesce(sum(records) FILTER (WHERE outcome = 'superseded'), 0)::bigint AS superseded,"
	"        coalesce(sum(records) FILTER (WHERE outcome = 'dead_letter'), 0)::bigint AS dead_letters,"
	"        coalesce(sum(records), 0)::bigint AS records"
	"        FROM etl.attempts x JOIN etl.ledger USING (attempt) WHERE x.run = r.run) l"
	" ORDER BY r.run DESC";
/* clang-format on */

static const struct api_member run_members[] = {
	{ "run", MEMBER_INT },
	{ "kind", MEMBER_TEXT },
	{ "status", MEMBER_TEXT },
	{ "balanced", MEMBER_BOOL },
	{ "fetched", MEMBER_INT },
	{ "inserted", MEMBER_INT },
	{ "updated", MEMBER_INT },
	{ "unchanged", MEMBER_INT },
	{ "duplicate", MEMBER_INT },
	{ "superseded", MEMBER_INT },
	{ "dead_letters", MEMBER_INT },
	{ "in_flight", MEMBER_INT },
	{ "skipped", MEMBER_INT },
	{ "expired_attempts", MEMBER_INT },
	{ "expired_records", MEMBER_INT },
	{ "tasks", MEMBER_INT },
	{ "tasks_closed", MEMBER_INT },
	{ "created_at", MEMBER_TEXT },
	{ "started_at", MEMBER_TEXT },
	{ "finished_at", MEMBER_TEXT },
	{ "message", MEMBER_TEXT },
	{ "checks", MEMBER_RAW },
	{ 0 },
};

int api_query_runs(struct pg *pg, const char *run, const char *before, const char *limit, struct pg_result **ret,
		   struct err *err)
{
	return pg_query(pg, runs_sql, PG_PARAMS(run, before, limit), ret, err);
}

void api_put_run(struct json_out *out, const struct pg_result *rows, int row)
{
	api_put_members(out, rows, row, run_members);
}

int api_runs(struct api_call *call, struct err *err)
{
	CLEANUP(pg_result_freep) struct pg_result *rows = NULL;
	const char *limit_text = http_argument(call->request, "limit");
	const char *before_text = http_argument(call->request, "before");
	struct json_out out = JSON_OUT(&call->response->body);
	int64_t limit = LIMIT_DEFAULT, before;

	if (limit_text && !api_number(limit_text, LIMIT_MAX, &limit))
		return api_problem(call->response, 400, "limit: a number from 1 to %d", LIMIT_MAX), 0;
	if (before_text && !api_number(before_text, INT64_MAX, &before))
		return api_problem(call->response, 400, "before: the number of a run"), 0;
	if (api_query_runs(call->pg, NULL, before_text, INT_TEXT(limit), &rows, err))
		return -1;
	json_put_open(&out, '{');
	json_put_key(&out, "runs");
	json_put_open(&out, '[');
	for (int i = 0; i < pg_rows(rows); i++) {
		json_put_open(&out, '{');
		api_put_run(&out, rows, i);
		json_put_close(&out, '}');
	}
	json_put_close(&out, ']');
	json_put_key(&out, "next");
	if (pg_rows(rows) == limit)
		json_put_int(&out, pg_int(rows, pg_rows(rows) - 1, 0));
	else
		json_put_null(&out);
	json_put_close(&out, '}');
	return 0;
}

/* --- status ------------------------------------------------------------------------------------------------------------ */

static const char status_sql[] =
	"SELECT count(*) FILTER (WHERE status = 'pending'), count(*) FILTER (WHERE status IN ('running', 'checking')),"
	" count(*) FILTER (WHERE status = 'success'), count(*) FILTER (WHERE status = 'failed'),"
	" (SELECT coalesce(sum(a.fetched - (SELECT coalesce(sum(l.records), 0) FROM etl.ledger l"
	"                                   WHERE l.attempt = a.attempt)), 0)::bigint"
	"  FROM etl.attempts a JOIN etl.runs r USING (run)"
	"  WHERE a.closed_at IS NULL AND r.status IN ('running', 'checking')),"
	" (SELECT count(*) FROM etl.dead_letters), (SELECT holder FROM etl.leader)"
	" FROM etl.runs";

/* Gaps first: nothing behind them moves before somebody decides. */
static const char alarms_sql[] =
	"(SELECT message FROM etl.gaps ORDER BY since DESC, consumer_group, topic, partition LIMIT $1)"
	" UNION ALL (SELECT message FROM etl.alarms ORDER BY since DESC, attempt LIMIT $1) LIMIT $1";

static const struct api_member run_counts[] = {
	{ "pending", MEMBER_INT },
	{ "running", MEMBER_INT },
	{ "success", MEMBER_INT },
	{ "failed", MEMBER_INT },
	{ 0 },
};

static bool broker_is_away(void)
{
	return atomic_load(&orchestrator_shared.leader) && !atomic_load(&orchestrator_shared.kafka_up);
}

static void put_alarms(struct json_out *out, const struct pg_result *alarms)
{
	json_put_key(out, "alarms");
	json_put_open(out, '[');
	if (broker_is_away())
		json_put_str(out, STR_LIT("kafka does not answer; see the orchestrator's log"));
	for (int i = 0; i < pg_rows(alarms); i++)
		json_put_str(out, str_of(pg_text(alarms, i, 0)));
	json_put_close(out, ']');
}

static void put_last_run(struct json_out *out, const struct pg_result *run)
{
	json_put_key(out, "last_run");
	if (pg_rows(run) == 0) {
		json_put_null(out);
		return;
	}
	json_put_open(out, '{');
	api_put_run(out, run, 0);
	json_put_close(out, '}');
}

static const char *status_word(const struct pg_result *counts, const struct pg_result *alarms)
{
	if (broker_is_away())
		return "degraded";
	if (pg_rows(alarms) > 0)
		return "alarm";
	return pg_int(counts, 0, 0) + pg_int(counts, 0, 1) > 0 ? "running" : "idle";
}

int api_status(struct api_call *call, struct err *err)
{
	CLEANUP(pg_result_freep) struct pg_result *counts = NULL;
	CLEANUP(pg_result_freep) struct pg_result *run = NULL;
	CLEANUP(pg_result_freep) struct pg_result *alarms = NULL;
	struct json_out out = JSON_OUT(&call->response->body);

	if (pg_query(call->pg, status_sql, PG_NO_PARAMS, &counts, err) ||
	    api_query_runs(call->pg, NULL, NULL, "1", &run, err) ||
	    pg_query(call->pg, alarms_sql, PG_PARAMS(INT_TEXT(ALARMS_MAX)), &alarms, err))
		return -1;
	json_put_open(&out, '{');
	json_put_key(&out, "status");
	json_put_str(&out, str_of(status_word(counts, alarms)));
	json_put_key(&out, "leader");
	json_put_bool(&out, atomic_load(&orchestrator_shared.leader));
	json_put_key(&out, "leader_holder");
	json_put_str(&out, str_of(pg_text(counts, 0, 6)));
	json_put_key(&out, "runs");
	json_put_open(&out, '{');
	api_put_members(&out, counts, 0, run_counts);
	json_put_close(&out, '}');
	put_last_run(&out, run);
	json_put_key(&out, "in_flight");
	json_put_int(&out, pg_int(counts, 0, 4));
	json_put_key(&out, "dead_letters");
	json_put_int(&out, pg_int(counts, 0, 5));
	put_alarms(&out, alarms);
	json_put_close(&out, '}');
	return 0;
}

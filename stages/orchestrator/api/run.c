#include "common/cleanup.h"
#include "stages/orchestrator/api/api.h"
#include "stages/orchestrator/api/rows.h"

#define ATTEMPTS_MAX 1000 /* of one run, listed */
#define QUOTES_MAX 1000   /* likewise */
#define RULES_LISTED 1000 /* likewise */

static const char attempts_sql[] =
	"SELECT a.attempt, a.task, t.subscription, a.source, a.slot, a.state, a.fetched, a.refused, a.skipped,"
	" a.input_bytes, l.records AS accounted,"
	" a.closed_at IS NOT NULL AND l.records = a.fetched AND NOT a.expired AS balanced, a.expired, a.message,"
	" t.parameters->>'path' AS path, t.action, t.parameters->>'start' AS start, t.parameters->>'end' AS \"end\""
	" FROM (SELECT * FROM etl.attempts WHERE run = $1 ORDER BY attempt LIMIT $2) a JOIN etl.accounts l USING (attempt)"
	" JOIN etl.tasks t ON t.task = a.task ORDER BY a.attempt";

/* The last quote of each subscription; its numbers are JSON as the vendor's answer has them. */
static const char quotes_sql[] =
	"SELECT q.subscription, q.state, a.result->'records' AS records, a.result->'bytes' AS bytes,"
	" a.result->'cost_usd' AS cost_usd, q.p->'cost_max_usd' AS cost_max_usd, q.p->>'start' AS start,"
	" q.p->>'end' AS \"end\", a.result->>'available_start' AS available_start,"
	" a.result->>'available_end' AS available_end, a.result->'symbols'->'partial' AS partial,"
	" a.result->'symbols'->'not_found' AS not_found,"
	" (SELECT count(*) FROM etl.tasks w WHERE w.run = $1 AND w.quote = q.task) AS windows"
	" FROM (SELECT DISTINCT ON (subscription) task, subscription, state, parameters AS p FROM etl.tasks"
	"       WHERE run = $1 AND action = 'quote' ORDER BY subscription, task DESC) q"
	" LEFT JOIN LATERAL (SELECT result FROM etl.attempts WHERE task = q.task AND result IS NOT NULL"
	"                    ORDER BY attempt DESC LIMIT 1) a ON true ORDER BY q.subscription LIMIT $2";

/* What judged its records; several of one type where validators were given another meanwhile. */
static const char rules_sql[] =
	"SELECT record_type, rule_set FROM etl.run_rules WHERE run = $1 ORDER BY record_type, told_at, rule_set LIMIT $2";

int api_run(struct api_call *call, struct err *err)
{
	CLEANUP(pg_result_freep) struct pg_result *run = NULL;
	CLEANUP(pg_result_freep) struct pg_result *attempts = NULL;
	CLEANUP(pg_result_freep) struct pg_result *quotes = NULL;
	CLEANUP(pg_result_freep) struct pg_result *rules = NULL;
	struct json_out out = JSON_OUT(&call->response->body);
	int64_t id;

	if (!api_number(call->rest, INT64_MAX, &id))
		return api_problem(call->response, 404, "'%.40s' is not the number of a run", call->rest), 0;
	if (api_query_run(call->pg, call->rest, &run, err) ||
	    pg_query(call->pg, attempts_sql, PG_PARAMS(call->rest, INT_TEXT(ATTEMPTS_MAX + 1)), &attempts, err) ||
	    pg_query(call->pg, quotes_sql, PG_PARAMS(call->rest, INT_TEXT(QUOTES_MAX)), &quotes, err) ||
	    pg_query(call->pg, rules_sql, PG_PARAMS(call->rest, INT_TEXT(RULES_LISTED)), &rules, err))
		return -1;
	if (pg_rows(run) == 0)
		return api_problem(call->response, 404, "there is no run %s", call->rest), 0;
	json_put_open(&out, '{');
	api_put_members(&out, run, 0);
	json_put_key(&out, "rule_sets");
	api_put_rows(&out, rules, RULES_LISTED);
	json_put_key(&out, "quotes");
	api_put_rows(&out, quotes, QUOTES_MAX);
	json_put_key(&out, "attempts");
	api_put_rows(&out, attempts, ATTEMPTS_MAX);
	json_put_key(&out, "attempts_complete");
	json_put_bool(&out, pg_rows(attempts) <= ATTEMPTS_MAX);
	json_put_close(&out, '}');
	return 0;
}

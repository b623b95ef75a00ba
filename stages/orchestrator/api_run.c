#include "common/cleanup.h"
#include "stages/orchestrator/api.h"

#define ATTEMPTS_MAX 1000 /* of one run, listed */
#define QUOTES_MAX 1000   /* likewise */

static const char attempts_sql[] =
	"SELECT a.attempt, a.task, t.subscription, a.source, a.slot, a.state, a.fetched, a.refused, a.skipped,"
	" a.input_bytes, l.records, a.closed_at IS NOT NULL AND l.records = a.fetched AND NOT a.expired, a.expired,"
	" a.message,"
	" t.parameters->>'path', t.action, t.parameters->>'start', t.parameters->>'end'"
	" FROM etl.attempts a JOIN etl.tasks t USING (task)"
	" CROSS JOIN LATERAL (SELECT coalesce(sum(records), 0)::bigint AS records FROM etl.ledger"
	"                     WHERE attempt = a.attempt) l"
	" WHERE a.run = $1 ORDER BY a.attempt LIMIT $2";

static const struct api_member attempt_members[] = {
	{ "attempt", MEMBER_INT },
	{ "task", MEMBER_INT },
	{ "subscription", MEMBER_TEXT },
	{ "source", MEMBER_TEXT },
	{ "slot", MEMBER_INT },
	{ "state", MEMBER_TEXT },
	{ "fetched", MEMBER_INT },
	{ "refused", MEMBER_INT },
	{ "skipped", MEMBER_INT },
	{ "input_bytes", MEMBER_INT },
	{ "accounted", MEMBER_INT },
	{ "balanced", MEMBER_BOOL },
	{ "expired", MEMBER_BOOL },
	{ "message", MEMBER_TEXT },
	{ "path", MEMBER_TEXT },
	{ "action", MEMBER_TEXT },
	{ "start", MEMBER_TEXT },
	{ "end", MEMBER_TEXT },
	{ 0 },
};

/* The last quote of each subscription; its numbers are JSON as the vendor's answer has them. */
static const char quotes_sql[] =
	"SELECT q.subscription, q.state, a.result->'records', a.result->'bytes', a.result->'cost_usd',"
	" q.p->'cost_max_usd', q.p->>'start', q.p->>'end', a.result->>'available_start', a.result->>'available_end',"
	" a.result->'symbols'->'partial', a.result->'symbols'->'not_found',"
	" (SELECT count(*) FROM etl.tasks w WHERE w.run = $1 AND w.quote = q.task)"
	" FROM (SELECT DISTINCT ON (subscription) task, subscription, state, parameters AS p FROM etl.tasks"
	"       WHERE run = $1 AND action = 'quote' ORDER BY subscription, task DESC) q"
	" LEFT JOIN LATERAL (SELECT result FROM etl.attempts WHERE task = q.task AND result IS NOT NULL"
	"                    ORDER BY attempt DESC LIMIT 1) a ON true ORDER BY q.subscription LIMIT $2";

static const struct api_member quote_members[] = {
	{ "subscription", MEMBER_TEXT },    { "state", MEMBER_TEXT },
	{ "records", MEMBER_RAW },          { "bytes", MEMBER_RAW },
	{ "cost_usd", MEMBER_RAW },         { "cost_max_usd", MEMBER_RAW },
	{ "start", MEMBER_TEXT },           { "end", MEMBER_TEXT },
	{ "available_start", MEMBER_TEXT }, { "available_end", MEMBER_TEXT },
	{ "partial", MEMBER_RAW },          { "not_found", MEMBER_RAW },
	{ "windows", MEMBER_INT },          { 0 },
};

int api_run(struct api_call *call, struct err *err)
{
	CLEANUP(pg_result_freep) struct pg_result *run = NULL;
	CLEANUP(pg_result_freep) struct pg_result *attempts = NULL;
	CLEANUP(pg_result_freep) struct pg_result *quotes = NULL;
	struct json_out out = JSON_OUT(&call->response->body);
	int64_t id;

	if (!api_number(call->rest, INT64_MAX, &id))
		return api_problem(call->response, 404, "'%.40s' is not the number of a run", call->rest), 0;
	if (api_query_runs(call->pg, call->rest, NULL, "1", &run, err) ||
	    pg_query(call->pg, attempts_sql, PG_PARAMS(call->rest, INT_TEXT(ATTEMPTS_MAX + 1)), &attempts, err) ||
	    pg_query(call->pg, quotes_sql, PG_PARAMS(call->rest, INT_TEXT(QUOTES_MAX)), &quotes, err))
		return -1;
	if (pg_rows(run) == 0)
		return api_problem(call->response, 404, "there is no run %s", call->rest), 0;
	json_put_open(&out, '{');
	api_put_run(&out, run, 0);
	json_put_key(&out, "quotes");
	api_put_rows(&out, quotes, quote_members, QUOTES_MAX);
	json_put_key(&out, "attempts");
	api_put_rows(&out, attempts, attempt_members, ATTEMPTS_MAX);
	json_put_key(&out, "attempts_complete");
	json_put_bool(&out, pg_rows(attempts) <= ATTEMPTS_MAX);
	json_put_close(&out, '}');
	return 0;
}

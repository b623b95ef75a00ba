#include <stdatomic.h>

#include "common/cleanup.h"
#include "stages/orchestrator/api/api.h"
#include "stages/orchestrator/api/rows.h"
#include "stages/orchestrator/orchestrator.h"

#define ALARMS_MAX 100
#define RUN_COUNTS 4 /* the first columns of the query */

static const char status_sql[] =
	"SELECT count(*) FILTER (WHERE status = 'pending') AS pending,"
	" count(*) FILTER (WHERE status IN ('running', 'checking')) AS running,"
	" count(*) FILTER (WHERE status = 'success') AS success, count(*) FILTER (WHERE status = 'failed') AS failed,"
	" (SELECT coalesce(sum(a.fetched - (SELECT coalesce(sum(l.records), 0) FROM etl.ledger l"
	"                                   WHERE l.attempt = a.attempt)), 0)::bigint"
	"  FROM etl.attempts a JOIN etl.runs r USING (run)"
	"  WHERE a.closed_at IS NULL AND r.status IN ('running', 'checking')),"
	" (SELECT coalesce(sum(letters), 0)::bigint FROM etl.dead_letter_counts), (SELECT holder FROM etl.leader)"
	" FROM etl.runs";

/* Gaps first: nothing behind them moves before somebody decides; then what is held back. */
static const char alarms_sql[] =
	"(SELECT message FROM etl.gaps ORDER BY since DESC, consumer_group, topic, partition LIMIT $1)"
	" UNION ALL (SELECT message FROM etl.breaker_alarms ORDER BY since DESC, about LIMIT $1)"
	" UNION ALL (SELECT message FROM etl.database_alarms ORDER BY since DESC, about LIMIT $1)"
	" UNION ALL (SELECT message FROM etl.alarms ORDER BY since DESC, attempt LIMIT $1) LIMIT $1";

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

static void put_run_counts(struct json_out *out, const struct pg_result *counts)
{
	json_put_key(out, "runs");
	json_put_open(out, '{');
	for (int column = 0; column < RUN_COUNTS; column++) {
		json_put_key(out, pg_column(counts, column));
		api_put_value(out, counts, 0, column);
	}
	json_put_close(out, '}');
}

static void put_last_run(struct json_out *out, const struct pg_result *run)
{
	json_put_key(out, "last_run");
	if (pg_rows(run) == 0) {
		json_put_null(out);
		return;
	}
	json_put_open(out, '{');
	api_put_members(out, run, 0);
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

	if (pg_query(call->pg, status_sql, PG_NO_PARAMS, &counts, err) || api_query_run(call->pg, NULL, &run, err) ||
	    pg_query(call->pg, alarms_sql, PG_PARAMS(INT_TEXT(ALARMS_MAX)), &alarms, err))
		return -1;
	json_put_open(&out, '{');
	json_put_key(&out, "status");
	json_put_str(&out, str_of(status_word(counts, alarms)));
	json_put_key(&out, "leader");
	json_put_bool(&out, atomic_load(&orchestrator_shared.leader));
	json_put_key(&out, "leader_holder");
	json_put_str(&out, str_of(pg_text(counts, 0, 6)));
	put_run_counts(&out, counts);
	put_last_run(&out, run);
	json_put_key(&out, "in_flight");
	json_put_int(&out, pg_int(counts, 0, 4));
	json_put_key(&out, "dead_letters");
	json_put_int(&out, pg_int(counts, 0, 5));
	put_alarms(&out, alarms);
	json_put_close(&out, '}');
	return 0;
}

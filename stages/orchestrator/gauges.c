#include "stages/orchestrator/gauges.h"

#include <stdio.h>
#include <string.h>

#include "common/cleanup.h"
#include "stages/orchestrator/orchestrator.h"
#include "stages/orchestrator/positions.h"

#define RUNS "penstock_orchestrator_runs"
#define RUNS_HELP "Runs that wait or run."
#define FINISHED "penstock_orchestrator_runs_finished_total"
#define FINISHED_HELP "Runs finished by this process."
#define IGNORED "penstock_orchestrator_events_ignored_total"
#define IGNORED_HELP "Events that could not be booked: of an unknown attempt, or undecodable."
#define ALARMS_RAISED "penstock_orchestrator_alarms_raised_total"
#define ALARMS_HELP "Alarms about an attempt's account."
#define BREAKERS "penstock_orchestrator_breakers"
#define BREAKERS_HELP \
	"Subscriptions and sources that are held back, or tried with one task; workers of a stage that stand still."

struct metric orchestrator_metrics[GAUGES] = {
	[GAUGE_LEADER] = { "penstock_orchestrator_leader", NULL, METRIC_GAUGE, "1: active, 0: standing by.", 0 },
	[GAUGE_DATABASE_UP] = { "penstock_orchestrator_up", "to=\"database\"", METRIC_GAUGE, "1: connected.", 0 },
	[GAUGE_KAFKA_UP] = { "penstock_orchestrator_up", "to=\"kafka\"", METRIC_GAUGE, "1: connected.", 0 },
	[GAUGE_RUNS_PENDING] = { RUNS, "status=\"pending\"", METRIC_GAUGE, RUNS_HELP, 0 },
	[GAUGE_RUNS_RUNNING] = { RUNS, "status=\"running\"", METRIC_GAUGE, RUNS_HELP, 0 },
	[GAUGE_RUNS_SUCCESS] = { FINISHED, "status=\"success\"", METRIC_COUNTER, FINISHED_HELP, 0 },
	[GAUGE_RUNS_FAILED] = { FINISHED, "status=\"failed\"", METRIC_COUNTER, FINISHED_HELP, 0 },
	[GAUGE_TASKS_PENDING] = { "penstock_orchestrator_tasks_pending", NULL, METRIC_GAUGE,
				  "Tasks that wait for a slot.", 0 },
	[GAUGE_ATTEMPTS_OPEN] = { "penstock_orchestrator_attempts_open", NULL, METRIC_GAUGE,
				  "Attempts of open runs that are not closed.", 0 },
	[GAUGE_IN_FLIGHT] = { "penstock_orchestrator_in_flight_records", NULL, METRIC_GAUGE,
			      "Records of open runs that are fetched and not accounted, signed.", 0 },
	[GAUGE_ALARMS] = { "penstock_orchestrator_alarms", NULL, METRIC_GAUGE, "Alarms that stand.", 0 },
	[GAUGE_GAPS] = { "penstock_orchestrator_gaps", NULL, METRIC_GAUGE,
			 "Partitions that a group cannot go on in by itself.", 0 },
	[GAUGE_BREAKERS_SUBSCRIPTION] = { BREAKERS, "kind=\"subscription\"", METRIC_GAUGE, BREAKERS_HELP, 0 },
	[GAUGE_BREAKERS_SOURCE] = { BREAKERS, "kind=\"source\"", METRIC_GAUGE, BREAKERS_HELP, 0 },
	[GAUGE_BREAKERS_STAGE] = { BREAKERS, "kind=\"stage\"", METRIC_GAUGE, BREAKERS_HELP, 0 },
	[GAUGE_BREAKERS_OPENED] = { "penstock_orchestrator_breakers_opened_total", NULL, METRIC_COUNTER,
				    "Times that a subscription or a source was held back.", 0 },
	[GAUGE_DISPATCHED] = { "penstock_orchestrator_dispatched_total", NULL, METRIC_COUNTER, "Attempts sent.", 0 },
	[GAUGE_RECONCILED] = { "penstock_orchestrator_reconciled_total", NULL, METRIC_COUNTER,
			       "Attempts of unknown fate that were found in their slot.", 0 },
	[GAUGE_EVENTS] = { "penstock_orchestrator_events_total", NULL, METRIC_COUNTER, "Events booked.", 0 },
	[GAUGE_EVENTS_UNKNOWN] = { IGNORED, "reason=\"unknown_attempt\"", METRIC_COUNTER, IGNORED_HELP, 0 },
	[GAUGE_EVENTS_UNDECODABLE] = { IGNORED, "reason=\"undecodable\"", METRIC_COUNTER, IGNORED_HELP, 0 },
	[GAUGE_CLOSED] = { "penstock_orchestrator_attempts_closed_total", NULL, METRIC_COUNTER,
			   "Attempts whose account balanced.", 0 },
	[GAUGE_EXPIRED] = { "penstock_orchestrator_attempts_expired_total", NULL, METRIC_COUNTER,
			    "Attempts closed without some of their records, which somebody had skipped.", 0 },
	[GAUGE_NEGATIVE] = { ALARMS_RAISED, "alarm=\"in_flight_negative\"", METRIC_COUNTER, ALARMS_HELP, 0 },
	[GAUGE_MIX_DIFFERS] = { ALARMS_RAISED, "alarm=\"ledger_mix_differs\"", METRIC_COUNTER, ALARMS_HELP, 0 },
	[GAUGE_STALLED] = { ALARMS_RAISED, "alarm=\"attempt_stalled\"", METRIC_COUNTER, ALARMS_HELP, 0 },
	[GAUGE_LOST] = { ALARMS_RAISED, "alarm=\"attempt_lost\"", METRIC_COUNTER, ALARMS_HELP, 0 },
	[GAUGE_UNAUTHORIZED] = { "penstock_orchestrator_http_unauthorized_total", NULL, METRIC_COUNTER,
				 "Requests without the right token.", 0 },
};

#define LAG_ROWS 64 /* groups times topics */

static struct metric lag_rows[LAG_ROWS];
static struct metric_family lag = {
	.name = "penstock_orchestrator_lag_offsets",
	.type = METRIC_GAUGE,
	.help = "Offsets between where a group stands and the ends of a topic's partitions; marks of transactions are "
		"among them.",
	.others = "group=\"other\",topic=\"other\"",
	.rows = lag_rows,
	.max = LAG_ROWS,
};

#define TOPIC_ROWS 64

static struct metric open_rows[TOPIC_ROWS];
static struct metric_family open_transactions = {
	.name = "penstock_orchestrator_open_transaction_seconds",
	.type = METRIC_GAUGE,
	.help = "For how long the last stable offset of one of the topic's partitions has stood before its end: an open "
		"transaction, behind which nobody reads on.",
	.others = "topic=\"other\"",
	.rows = open_rows,
	.max = TOPIC_ROWS,
};

/* --- hypertables ------------------------------------------------------------------------------------------------------- */

#define HYPERTABLE_ROWS 16

/* Under the names of PostgreSQL's exporters. */
#define HYPERTABLES(variable, shown_as, text, divisor) \
	static struct metric variable##_rows[HYPERTABLE_ROWS]; \
	static struct metric_family variable = { \
		.name = shown_as, \
		.type = METRIC_GAUGE, \
		.help = text, \
		.unit = divisor, \
		.others = "hypertable=\"other\"", \
		.rows = variable##_rows, \
		.max = HYPERTABLE_ROWS, \
	}
HYPERTABLES(chunks, "postgres_hypertable_chunks", "Chunks of a hypertable of TimescaleDB.", 0);
HYPERTABLES(compressed_chunks, "postgres_compressed_chunks", "Those of them that are compressed.", 0);
HYPERTABLES(overdue_chunks, "postgres_overdue_chunks", "Those that are old enough to be compressed, and are not.", 0);
HYPERTABLES(compression_ratio, "postgres_compression_ratio",
	    "Bytes that the compressed chunks had before, for each that they have; 0: none is compressed.", 1000);

struct metric_family *const orchestrator_families[] = {
	&lag, &open_transactions, &chunks, &compressed_chunks, &overdue_chunks, &compression_ratio, &pg_transactions,
	NULL
};

void gauges_hypertable(const struct hypertable_figures *figures)
{
	char labels[100];

	snprintf(labels, sizeof(labels), "hypertable=\"%s\"", figures->name);
	metric_set(metric_family_row(&chunks, labels), figures->chunks);
	metric_set(metric_family_row(&compressed_chunks, labels), figures->compressed);
	metric_set(metric_family_row(&overdue_chunks, labels), figures->overdue);
	metric_set(metric_family_row(&compression_ratio, labels), figures->ratio_thousandths);
}

void gauges_show_hypertables(bool shown)
{
	atomic_store(&chunks.hidden, !shown);
	atomic_store(&compressed_chunks.hidden, !shown);
	atomic_store(&overdue_chunks.hidden, !shown);
	atomic_store(&compression_ratio.hidden, !shown);
}

/* --- the log's ends ------------------------------------------------------------------------------------------------------ */

static struct metric *lag_row(const struct position *place)
{
	char labels[600];

	snprintf(labels, sizeof(labels), "group=\"%s\",topic=\"%s\"", place->group, place->topic->name);
	return metric_family_row(&lag, labels);
}

/* Partitions of one group and topic are neighbours. */
void gauges_lag(const struct positions *positions)
{
	int64_t sum = 0;

	for (unsigned i = 0; positions && i < positions->count; i++) {
		const struct position *place = &positions->items[i], *next = place + 1;

		sum += position_behind(place);
		if (i + 1 < positions->count && next->topic == place->topic && strcmp(next->group, place->group) == 0)
			continue;
		metric_set(lag_row(place), sum);
		sum = 0;
	}
	atomic_store(&lag.hidden, positions == NULL);
}

void gauges_open_transaction(const char *topic, int64_t seconds)
{
	char labels[300];

	snprintf(labels, sizeof(labels), "topic=\"%s\"", topic);
	metric_set(metric_family_row(&open_transactions, labels), seconds);
	atomic_store(&open_transactions.hidden, false);
}

void gauges_hide_open_transactions(void)
{
	atomic_store(&open_transactions.hidden, true);
}

void gauges_run_finished(const char *status)
{
	metric_add(&orchestrator_metrics[status[0] == 's' ? GAUGE_RUNS_SUCCESS : GAUGE_RUNS_FAILED], 1);
}

/* Bounded by what is open, not by history. */
static const char refresh_sql[] =
	"SELECT (SELECT count(*) FROM etl.runs WHERE status = 'pending'),"
	" (SELECT count(*) FROM etl.runs WHERE status IN ('running', 'checking')),"
	" (SELECT count(*) FROM etl.tasks WHERE state = 'pending'),"
	" o.attempts, o.in_flight, (SELECT count(*) FROM etl.alarms),"
	" (SELECT count(*) FROM etl.gaps),"
	" (SELECT count(*) FROM etl.breakers WHERE state <> 'closed' AND kind = 'subscription'),"
	" (SELECT count(*) FROM etl.breakers WHERE state <> 'closed' AND kind = 'source'),"
	" (SELECT count(*) FROM etl.stage_breakers_now WHERE state <> 'closed')"
	" FROM (SELECT count(*) AS attempts,"
	"       coalesce(sum(a.fetched - coalesce((SELECT sum(l.records) FROM etl.ledger l"
	"                                          WHERE l.attempt = a.attempt), 0)), 0)::bigint AS in_flight"
	"       FROM etl.attempts a JOIN etl.runs r USING (run)"
	"       WHERE a.closed_at IS NULL AND r.status IN ('running', 'checking')) o";

int gauges_refresh(struct orchestrator *self, struct err *err)
{
	static const enum gauge columns[] = {
		GAUGE_RUNS_PENDING,    GAUGE_RUNS_RUNNING,  GAUGE_TASKS_PENDING, GAUGE_ATTEMPTS_OPEN,
		GAUGE_IN_FLIGHT,       GAUGE_ALARMS,        GAUGE_GAPS,          GAUGE_BREAKERS_SUBSCRIPTION,
		GAUGE_BREAKERS_SOURCE, GAUGE_BREAKERS_STAGE
	};
	CLEANUP(pg_result_freep) struct pg_result *r = NULL;

	if (pg_query(self->pg, refresh_sql, PG_NO_PARAMS, &r, err))
		return err_wrap(err, "counting what is open");
	for (unsigned i = 0; i < sizeof(columns) / sizeof(*columns); i++)
		metric_set(&orchestrator_metrics[columns[i]], pg_int(r, 0, (int)i));
	return 0;
}

#pragma once
/* The orchestrator's own metrics, and the core's refresh of those that are counts in the database. */
#include <stdbool.h>
#include <stdint.h>

#include "common/metrics.h"

struct orchestrator;
struct err;

enum gauge {
	GAUGE_LEADER,
	GAUGE_DATABASE_UP,
	GAUGE_KAFKA_UP,
	GAUGE_RUNS_PENDING,
	GAUGE_RUNS_RUNNING,
	GAUGE_RUNS_SUCCESS,
	GAUGE_RUNS_FAILED,
	GAUGE_TASKS_PENDING,
	GAUGE_ATTEMPTS_OPEN,
	GAUGE_IN_FLIGHT,
	GAUGE_ALARMS,
	GAUGE_GAPS,
	GAUGE_BREAKERS_SUBSCRIPTION,
	GAUGE_BREAKERS_SOURCE,
	GAUGE_BREAKERS_STAGE,
	GAUGE_BREAKERS_OPENED,
	GAUGE_DISPATCHED,
	GAUGE_RECONCILED,
	GAUGE_EVENTS,
	GAUGE_EVENTS_UNKNOWN,
	GAUGE_EVENTS_UNDECODABLE,
	GAUGE_CLOSED,
	GAUGE_EXPIRED,
	GAUGE_NEGATIVE,
	GAUGE_MIX_DIFFERS,
	GAUGE_STALLED,
	GAUGE_LOST,
	GAUGE_UNAUTHORIZED,
	GAUGES,
};
extern struct metric orchestrator_metrics[GAUGES];

extern struct metric_family *const orchestrator_families[];

/* What one of TimescaleDB's tables holds. */
struct hypertable_figures {
	const char *name;
	int64_t chunks, compressed, overdue;
	int64_t ratio_thousandths; /* bytes before and after compression; 0: nothing is compressed */
};
void gauges_hypertable(const struct hypertable_figures *figures);
void gauges_show_hypertables(bool shown);

struct positions;

/* How far every group is behind, as it was just read; NULL: nobody reads it now. */
void gauges_lag(const struct positions *positions);

/* For how long a transaction has kept readers of a topic waiting; hidden until it is told again. */
void gauges_open_transaction(const char *topic, int64_t seconds);
void gauges_hide_open_transactions(void);

int gauges_refresh(struct orchestrator *self, struct err *err);

/* Runs that became what they are in this process. */
void gauges_run_finished(const char *status);

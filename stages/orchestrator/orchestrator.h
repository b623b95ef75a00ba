#pragma once
/*
 * The orchestrator's core: what its one thread works on. The HTTP threads see
 * nothing of it but `struct orchestrator_shared`; they and the core meet in
 * the database and in a wake-up.
 */
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/config.h"
#include "common/err.h"
#include "common/pg.h"
#include "common/worker.h"
#include "stages/orchestrator/backlog.h"
#include "stages/orchestrator/breakers.h"
#include "stages/orchestrator/closing.h"
#include "stages/orchestrator/drain.h"
#include "stages/orchestrator/gaps.h"
#include "stages/orchestrator/holding.h"
#include "stages/orchestrator/leader.h"
#include "stages/orchestrator/lease.h"
#include "stages/orchestrator/link.h"
#include "stages/orchestrator/open_transactions.h"
#include "stages/orchestrator/timescale.h"

struct dispatch;
struct events;

/* Read by the HTTP threads without a lock. */
struct orchestrator_shared {
	_Atomic bool scheduler_running;
	_Atomic bool leader;
	_Atomic bool database_up;
	_Atomic bool kafka_up;
	int wake; /* eventfd: written by whoever leaves work in the database */
};
extern struct orchestrator_shared orchestrator_shared;

struct orchestrator {
	const struct config *cfg;
	const struct topics *topics;
	const char *instance;
	struct pg *pg;
	bool tables_checked; /* at its start; who migrates later starts it anew after that */
	struct leader leader;
	struct link database;
	struct link kafka;
	struct dispatch *dispatch; /* NULL while standing by */
	struct events *events;     /* NULL while standing by */
	struct kafka_admin *admin; /* orchestrator_admin() opens it */
	struct lease *lease;
	struct timescale *timescale;
	struct closing closing;
	struct breakers breakers;
	struct holding holding;
	struct backlog backlog;
	struct drain drain;
	struct gaps gaps;
	struct open_transactions open_transactions;
	int64_t refreshed_ns;
	bool topics_verified; /* once: from then on it tells, and goes on */
	int64_t topics_due_ns;
	int64_t events_retry_ns; /* a gap in etl.events: not before this is it looked at again */
};

/* Its configuration, also for tools that read what it reads. */
extern const struct config_key orchestrator_keys[];

/* Wakes the core thread; safe from any thread. */
void orchestrator_wake(void);

/* Runs until a stop is asked for; ERR_FATAL where waiting would not help. */
int orchestrator_run(struct worker *worker, struct err *err);

/* A broker's trouble: noted in the link, the core goes on with the rest. ERR_FATAL and ERR_RECORD are passed on. */
int orchestrator_kafka_trouble(struct orchestrator *self, struct err *err);

/* The same where it may have been the broker's or the database's: the connection tells. */
int orchestrator_trouble(struct orchestrator *self, const struct err *trouble, struct err *err);

/* Opens self->admin where it is not. */
int orchestrator_admin(struct orchestrator *self, struct err *err);

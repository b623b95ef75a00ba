#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/notify.h"
#include "stages/orchestrator/backfill.h"
#include "stages/orchestrator/dispatch.h"
#include "stages/orchestrator/events.h"
#include "stages/orchestrator/gauges.h"
#include "stages/orchestrator/quotes.h"
#include "stages/orchestrator/orchestrator.h"
#include "stages/orchestrator/run.h"

#define REFRESH_NS (5 * NS_PER_SECOND) /* gauges, alarms that the database alone can tell, the broker's health */

#define TOPICS_NS (60 * NS_PER_SECOND) /* between looks whether the topics are as the table says */

#define SLICE_MS 20 /* between looks for events */

struct orchestrator_shared orchestrator_shared = { .wake = -1 };

void orchestrator_wake(void)
{
	const uint64_t one = 1;
	ssize_t n = write(orchestrator_shared.wake, &one, sizeof(one));

	(void)n; /* full: it is awake */
}

int orchestrator_kafka_trouble(struct orchestrator *self, struct err *err)
{
	if (err->kind != ERR_RETRY)
		return -1;
	link_failed(&self->kafka, err);
	err_clear(err);
	return 0;
}

int orchestrator_trouble(struct orchestrator *self, const struct err *trouble, struct err *err)
{
	*err = *trouble;
	return pg_usable(self->pg) ? orchestrator_kafka_trouble(self, err) : -1;
}

int orchestrator_admin(struct orchestrator *self, struct err *err)
{
	return self->admin ? 0 : kafka_admin_open(&self->admin, self->cfg, err);
}

/* --- leadership -------------------------------------------------------------------------------------------------------- */

static void show_leader(const struct orchestrator *self)
{
	bool active = self->leader.epoch > 0;

	atomic_store(&orchestrator_shared.leader, active);
	metric_set(&orchestrator_metrics[GAUGE_LEADER], active);
}

/* Also drops what only the active one may hold; the advisory lock goes with the connection. */
static void stand_by(struct orchestrator *self, const char *why)
{
	if (self->leader.epoch > 0)
		log_warning("leadership_lost", LOG_FIELDS(log_i64("epoch", self->leader.epoch)), "standing by: %s",
			    why);
	self->leader = (struct leader){ 0 };
	lease_hold(self->lease, 0);
	timescale_lead(self->timescale, false);
	dispatch_freep(&self->dispatch);
	events_freep(&self->events);
	drain_release(&self->drain);
	backlog_release(&self->backlog);
	gaps_release(&self->gaps);
	open_transactions_release(&self->open_transactions);
	show_leader(self);
}

/* One that is stopped, or cut off from the database, keeps its lock for as long as its session lasts. */
static int depose_silent(struct orchestrator *self, struct err *err)
{
	int64_t lease_s = config_int(self->cfg, "lease_s"), pid;

	if (lease_depose(self->pg, lease_s, &pid, err))
		return -1;
	if (pid)
		log_warning("leader_deposed", LOG_FIELDS(log_i64("backend", pid)),
			    "nothing heard of the active orchestrator for more than %" PRId64
			    " s: its session is ended",
			    lease_s);
	return 0;
}

static int try_to_lead(struct orchestrator *self, struct err *err)
{
	if (self->leader.epoch > 0)
		return 0;
	if (leader_try(&self->leader, self->pg, self->instance, err))
		return -1;
	worker_set_ready(true, "");
	if (self->leader.epoch == 0)
		return depose_silent(self, err);
	lease_hold(self->lease, self->leader.epoch);
	timescale_lead(self->timescale, true);
	self->dispatch = dispatch_new();
	self->refreshed_ns = 0;
	log_info("leadership_taken", LOG_FIELDS(log_i64("epoch", self->leader.epoch)),
		 "this is the active orchestrator");
	show_leader(self);
	return 0;
}

/* --- one turn ---------------------------------------------------------------------------------------------------------- */

static int connect_database(struct orchestrator *self, struct err *err)
{
	if (!pg_usable(self->pg)) {
		stand_by(self, "the connection to the database is lost");
		pg_freep(&self->pg);
		if (pg_open(&self->pg, self->cfg, "penstock-orchestrator", err))
			return -1;
	}
	if (!self->tables_checked && pg_check_migrations(self->pg, err))
		return -1;
	self->tables_checked = true;
	return 0;
}

static int ask_broker(struct orchestrator *self, struct err *err)
{
	int64_t low, high;

	if (!self->events || !link_ready(&self->kafka))
		return 0;
	if (kafka_watermarks(events_consumer(self->events), topics_name(self->topics, "etl.events"), 0, &low, &high,
			     err))
		return orchestrator_kafka_trouble(self, err);
	link_works(&self->kafka);
	return 0;
}

static int watch_transactions(struct orchestrator *self, struct err *err)
{
	struct err trouble = ERR_INIT;

	if (!link_ready(&self->kafka))
		return 0;
	if (orchestrator_admin(self, &trouble) ||
	    open_transactions_watch(&self->open_transactions, self->topics, self->admin, &trouble))
		return orchestrator_trouble(self, &trouble, err);
	return 0;
}

/* At its start it refuses what it must not work with. Later it is where people look, and tells: the workers refuse. */
static int watch_topics(struct orchestrator *self, struct err *err)
{
	struct err trouble = ERR_INIT;

	if (!link_ready(&self->kafka) || clock_monotonic_ns() < self->topics_due_ns)
		return 0;
	if (topics_verify(self->topics, self->cfg, &trouble) == 0) {
		self->topics_verified = true;
		worker_set_missing(WORKER_BROKER, NULL);
	} else if (trouble.kind == ERR_RETRY) {
		return orchestrator_trouble(self, &trouble, err);
	} else if (!self->topics_verified) {
		*err = trouble;
		return -1;
	} else {
		log_error("topics_differ", NULL, "%s", trouble.text);
		worker_set_missing(WORKER_BROKER, trouble.text);
	}
	self->topics_due_ns = clock_monotonic_ns() + TOPICS_NS;
	return 0;
}

static int refresh(struct orchestrator *self, struct err *err)
{
	if (self->refreshed_ns && clock_monotonic_ns() - self->refreshed_ns < REFRESH_NS)
		return 0;
	if (ask_broker(self, err) || watch_topics(self, err) || gaps_watch(&self->gaps, self, err) ||
	    watch_transactions(self, err) || closing_watch(self, err) || dispatch_watch(self->dispatch, self, err) ||
	    gauges_refresh(self, err))
		return -1;
	self->refreshed_ns = clock_monotonic_ns();
	return 0;
}

static int read_events(struct orchestrator *self, bool *ret_busy, struct err *err)
{
	if (!link_ready(&self->kafka))
		return 0;
	if (self->events && events_broken(self->events))
		events_freep(&self->events);
	if (!self->events && clock_monotonic_ns() < self->events_retry_ns)
		return 0;
	if (!self->events)
		return events_open(&self->events, self, err);
	return events_step(self->events, self, ret_busy, err);
}

/* Accounts before dispatch: what ends a run ends its dispatch in the same turn. */
static int lead(struct orchestrator *self, bool *ret_busy, struct err *err)
{
	if (run_start_pending(self, ret_busy, err) || read_events(self, ret_busy, err) ||
	    drain_step(&self->drain, self, closing_waits(&self->closing), err) ||
	    closing_step(&self->closing, self, ret_busy, err) || quotes_step(self, ret_busy, err) ||
	    backfill_step(self, ret_busy, err) || breakers_step(&self->breakers, self, ret_busy, err) ||
	    holding_step(&self->holding, self, err) || backlog_step(&self->backlog, self, err) ||
	    (self->events && dispatch_step(self->dispatch, self, ret_busy, err)) ||
	    run_finish_ended(self, ret_busy, err) || refresh(self, err))
		return -1;
	return 0;
}

static int turn(struct orchestrator *self, bool *ret_busy, struct err *err)
{
	if (connect_database(self, err) || try_to_lead(self, err))
		return -1;
	if (!self->database
		     .failing) /* the first turn may wait for the broker; after a failure, all of it has to work */
		link_works(&self->database);
	if (self->leader.epoch > 0 && lead(self, ret_busy, err))
		return -1;
	link_works(&self->database);
	return 0;
}

/*
 * Whatever was begun is rolled back and read again. A statement that would
 * fail again and again is no reason to go on as if nothing were.
 */
static int recover(struct orchestrator *self, struct err *err)
{
	if (self->pg)
		pg_rollback(self->pg);
	events_freep(&self->events); /* its readers are ahead of the database */
	if (self->leader.lost) {
		stand_by(self, err->text);
		pg_freep(&self->pg);
		err_clear(err);
		return 0;
	}
	if (err->kind != ERR_RETRY)
		return -1;
	link_failed(&self->database, err);
	worker_set_ready(false, "waiting for the database");
	err_clear(err);
	return 0;
}

static bool was_woken(int64_t ms)
{
	struct pollfd wake = { .fd = orchestrator_shared.wake, .events = POLLIN };
	uint64_t count;

	return poll(&wake, 1, (int)ms) > 0 && read(orchestrator_shared.wake, &count, sizeof(count)) > 0;
}

/* Until a request or an event comes, at most poll_ms: an ended task frees its slot without waiting for the clock. */
static void sleep_until_woken(struct orchestrator *self, int64_t poll_ms)
{
	for (int64_t left = poll_ms; left > 0 && !worker_stopping(); left -= SLICE_MS) {
		if (was_woken(left < SLICE_MS ? left : SLICE_MS))
			return;
		if (self->events && !self->kafka.failing && events_arrived(self->events))
			return;
	}
}

static void publish_links(struct orchestrator *self)
{
	metric_set(&orchestrator_metrics[GAUGE_DATABASE_UP], atomic_load(self->database.up));
	metric_set(&orchestrator_metrics[GAUGE_KAFKA_UP], atomic_load(self->kafka.up));
}

static int loop(struct orchestrator *self, struct err *err)
{
	int64_t poll_ms = config_int(self->cfg, "poll_ms");

	while (!worker_stopping()) {
		bool busy = false;

		notify_beat();
		if (link_ready(&self->database) && turn(self, &busy, err) && recover(self, err))
			return -1;
		if (link_ready(&self->database) && !self->database.failing)
			worker_set_ready(true, "");
		publish_links(self);
		if (!busy)
			sleep_until_woken(self, poll_ms);
	}
	return 0;
}

static void release(struct orchestrator *self)
{
	atomic_store(&orchestrator_shared.scheduler_running, false);
	dispatch_freep(&self->dispatch);
	events_freep(&self->events);
	closing_release(&self->closing);
	drain_release(&self->drain);
	backlog_release(&self->backlog);
	gaps_release(&self->gaps);
	open_transactions_release(&self->open_transactions);
	kafka_admin_freep(&self->admin);
	timescale_freep(&self->timescale);
	lease_freep(&self->lease);
	pg_freep(&self->pg);
}

int orchestrator_run(struct worker *worker, struct err *err)
{
	CLEANUP(release) struct orchestrator self = { .cfg = worker->cfg, .topics = worker->topics };

	self.instance = worker_instance(worker->cfg);
	self.database = (struct link){ .name = "database", .up = &orchestrator_shared.database_up };
	self.kafka = (struct link){ .name = "kafka", .up = &orchestrator_shared.kafka_up };
	self.drain = (struct drain)DRAIN_INIT;
	if (lease_open(&self.lease, worker->cfg, err) || timescale_open(&self.timescale, worker->cfg, err))
		return -1;
	atomic_store(&orchestrator_shared.scheduler_running, true);
	return loop(&self, err);
}

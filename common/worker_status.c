#include "common/worker_status.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/process.h"
#include "common/wakeup.h"
#include "common/worker.h"

struct counts {
	int64_t records, rejected, batches, retries;
};

struct worker_status {
	const char *work;
	int64_t every_ms, since_ns, started_ns;
	struct counts said; /* up to here the lines before told */
	pthread_t thread;
	struct wakeup wakeup;
};

static struct counts counts_now(void)
{
	return (struct counts){
		.records = metric_get(&worker_metrics[WORKER_RECORDS]),
		.rejected = metric_get(&worker_metrics[WORKER_REJECTED]),
		.batches = metric_get(&worker_metrics[WORKER_BATCHES]),
		.retries = metric_get(&worker_metrics[WORKER_RETRIES]),
	};
}

static void say(struct worker_status *self)
{
	struct counts now = counts_now(), old = self->said;
	struct process_memory memory = process_memory();
	int64_t at = clock_monotonic_ns();

	log_info("worker_status",
		 LOG_FIELDS(log_i64("records", now.records - old.records),
			    log_i64("rejected", now.rejected - old.rejected),
			    log_i64("batches", now.batches - old.batches),
			    log_i64("retries", now.retries - old.retries),
			    log_seconds("execution_time", at - self->since_ns),
			    log_seconds("uptime", at - self->started_ns), log_i64("memory_usage", memory.resident),
			    log_i64("memory_peak", memory.peak)),
		 "%s: %" PRId64 " records, %" PRId64 " rejected", self->work, now.records - old.records,
		 now.rejected - old.rejected);
	self->said = now;
	self->since_ns = at;
}

static void *tell(void *arg)
{
	struct worker_status *self = arg;

	while (wakeup_wait(&self->wakeup, self->every_ms))
		say(self);
	say(self);
	return NULL;
}

int worker_status_open(struct worker_status **ret, const struct config *cfg, const char *work, struct err *err)
{
	struct worker_status *self;

	*ret = NULL;
	if (config_int(cfg, "log.status_s") == 0)
		return 0;
	self = mem_zalloc(1, sizeof(*self));
	self->work = work;
	self->every_ms = config_int(cfg, "log.status_s") * 1000;
	self->since_ns = self->started_ns = clock_monotonic_ns();
	wakeup_init(&self->wakeup);
	if (pthread_create(&self->thread, NULL, tell, self)) {
		wakeup_release(&self->wakeup);
		free(self);
		return err_set(err, ERR_RETRY, "no thread for the log's status lines");
	}
	*ret = self;
	return 0;
}

void worker_status_freep(struct worker_status **status)
{
	struct worker_status *self = *status;

	if (!self)
		return;
	wakeup_stop(&self->wakeup);
	pthread_join(self->thread, NULL);
	wakeup_release(&self->wakeup);
	free(self);
	*status = NULL;
}

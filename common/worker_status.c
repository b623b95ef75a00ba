#include "common/worker_status.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/process.h"
#include "common/worker.h"

struct counts {
	int64_t records, rejected, batches, retries;
};

struct worker_status {
	const char *work;
	int64_t every_s, since_ns, started_ns;
	struct counts said; /* up to here the lines before told */
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t ending;
	bool ended;
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

/* False: it is over. */
static bool wait_next(struct worker_status *self)
{
	struct timespec due;
	bool ended;

	clock_gettime(CLOCK_MONOTONIC, &due);
	due.tv_sec += self->every_s;
	pthread_mutex_lock(&self->lock);
	while (!self->ended && pthread_cond_timedwait(&self->ending, &self->lock, &due) != ETIMEDOUT)
		;
	ended = self->ended;
	pthread_mutex_unlock(&self->lock);
	return !ended;
}

static void *tell(void *arg)
{
	struct worker_status *self = arg;

	while (wait_next(self))
		say(self);
	say(self);
	return NULL;
}

int worker_status_open(struct worker_status **ret, const struct config *cfg, const char *work, struct err *err)
{
	struct worker_status *self;
	pthread_condattr_t monotonic;

	*ret = NULL;
	if (config_int(cfg, "log.status_s") == 0)
		return 0;
	self = mem_zalloc(1, sizeof(*self));
	self->work = work;
	self->every_s = config_int(cfg, "log.status_s");
	self->since_ns = self->started_ns = clock_monotonic_ns();
	pthread_mutex_init(&self->lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&self->ending, &monotonic);
	pthread_condattr_destroy(&monotonic);
	if (pthread_create(&self->thread, NULL, tell, self)) {
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
	pthread_mutex_lock(&self->lock);
	self->ended = true;
	pthread_cond_signal(&self->ending);
	pthread_mutex_unlock(&self->lock);
	pthread_join(self->thread, NULL);
	pthread_cond_destroy(&self->ending);
	pthread_mutex_destroy(&self->lock);
	free(self);
	*status = NULL;
}

#include "stages/orchestrator/lease.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/cleanup.h"
#include "common/mem.h"

#define RENEWALS 5 /* while a lease lasts */

struct lease {
	const struct config *cfg;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool stopping; /* under the lock */
	_Atomic int64_t epoch;
};

/* One that was deposed finds no row of its epoch: nothing of the new one's is renewed for it. */
static int renew(struct lease *lease, struct pg **pg, struct err *err)
{
	char epoch[PG_INT_MAX];

	if (!pg_usable(*pg)) {
		pg_freep(pg);
		if (pg_open(pg, lease->cfg, "penstock-orchestrator-lease", err))
			return -1;
	}
	return pg_query(*pg, "UPDATE etl.lease SET renewed_at = now() WHERE epoch = $1",
			PG_PARAMS(pg_int_text(atomic_load(&lease->epoch), epoch)), NULL, err);
}

/* False: it is time to end. */
static bool wait_for_next(struct lease *lease)
{
	int64_t ms = config_int(lease->cfg, "lease_s") * 1000 / RENEWALS;
	struct timespec until;
	bool stopping;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += ms / 1000;
	until.tv_nsec += ms % 1000 * 1000000;
	if (until.tv_nsec >= 1000000000) {
		until.tv_nsec -= 1000000000;
		until.tv_sec++;
	}
	pthread_mutex_lock(&lease->lock);
	if (!lease->stopping)
		pthread_cond_timedwait(&lease->changed, &lease->lock, &until);
	stopping = lease->stopping;
	pthread_mutex_unlock(&lease->lock);
	return !stopping;
}

/* A database that is away is the core's to tell: it notices at its next turn. */
static void *keep(void *self)
{
	struct lease *lease = self;
	CLEANUP(pg_freep) struct pg *pg = NULL;

	while (wait_for_next(lease)) {
		struct err err = ERR_INIT;

		if (atomic_load(&lease->epoch) > 0)
			renew(lease, &pg, &err);
	}
	return NULL;
}

int lease_open(struct lease **ret, const struct config *cfg, struct err *err)
{
	struct lease *lease = mem_zalloc(1, sizeof(*lease));
	int failed;

	lease->cfg = cfg;
	pthread_mutex_init(&lease->lock, NULL);
	pthread_cond_init(&lease->changed, NULL);
	failed = pthread_create(&lease->thread, NULL, keep, lease);
	if (failed) {
		free(lease);
		return err_set(err, ERR_FATAL, "no thread for the lease: %s", strerror(failed));
	}
	*ret = lease;
	return 0;
}

void lease_freep(struct lease **pointer)
{
	struct lease *lease = *pointer;

	if (!lease)
		return;
	pthread_mutex_lock(&lease->lock);
	lease->stopping = true;
	pthread_cond_signal(&lease->changed);
	pthread_mutex_unlock(&lease->lock);
	pthread_join(lease->thread, NULL);
	pthread_mutex_destroy(&lease->lock);
	pthread_cond_destroy(&lease->changed);
	free(lease);
	*pointer = NULL;
}

void lease_hold(struct lease *lease, int64_t epoch)
{
	atomic_store(&lease->epoch, epoch);
}

/* An advisory lock of two numbers is found by classid, objid and objsubid 2. */
static const char depose_sql[] = "SELECT l.pid, pg_terminate_backend(l.pid) FROM etl.lease e, pg_locks l"
				 " WHERE e.renewed_at < now() - make_interval(secs => $1::bigint)"
				 " AND l.locktype = 'advisory' AND l.granted AND l.objsubid = 2"
				 " AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())"
				 " AND l.classid::bigint = (hashtext('etl')::bigint & 4294967295)"
				 " AND l.objid::bigint = (hashtext('leader')::bigint & 4294967295)";

int lease_depose(struct pg *pg, int64_t lease_s, int64_t *ret_pid, struct err *err)
{
	CLEANUP(pg_result_freep) struct pg_result *r = NULL;
	char seconds[PG_INT_MAX];

	*ret_pid = 0;
	if (pg_query(pg, depose_sql, PG_PARAMS(pg_int_text(lease_s, seconds)), &r, err))
		return err_wrap(err, "ending the session of an active orchestrator that is silent");
	if (pg_rows(r) > 0)
		*ret_pid = pg_int(r, 0, 0);
	return 0;
}

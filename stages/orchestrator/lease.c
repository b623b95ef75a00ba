#include "stages/orchestrator/lease.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/mem.h"
#include "common/wakeup.h"

#define RENEWALS 5 /* while a lease lasts */

struct lease {
	const struct config *cfg;
	pthread_t thread;
	struct wakeup wakeup;
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

/* A database that is away is the core's to tell: it notices at its next turn. */
static void *keep(void *self)
{
	struct lease *lease = self;
	CLEANUP(pg_freep) struct pg *pg = NULL;
	int64_t ms = config_int(lease->cfg, "lease_s") * 1000 / RENEWALS;

	while (wakeup_wait(&lease->wakeup, ms)) {
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
	wakeup_init(&lease->wakeup);
	failed = pthread_create(&lease->thread, NULL, keep, lease);
	if (failed) {
		wakeup_release(&lease->wakeup);
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
	wakeup_stop(&lease->wakeup);
	pthread_join(lease->thread, NULL);
	wakeup_release(&lease->wakeup);
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

#include "stages/orchestrator/api/pool.h"

#include <pthread.h>
#include <stddef.h>

#include "common/cleanup.h"
#include "stages/orchestrator/api/api.h"

/* Connections that no request uses now; never more than there are threads. */
static struct {
	const struct config *cfg;
	pthread_mutex_t lock;
	struct pg *idle[API_THREADS];
	unsigned count;
} pool = { .lock = PTHREAD_MUTEX_INITIALIZER };

void api_pool_open(const struct config *cfg)
{
	pool.cfg = cfg;
}

static struct pg *take_idle(void)
{
	struct pg *pg = NULL;

	pthread_mutex_lock(&pool.lock);
	if (pool.count > 0)
		pg = pool.idle[--pool.count];
	pthread_mutex_unlock(&pool.lock);
	return pg;
}

/*
 * What takes longer would keep a thread of the server, and those whose requests
 * wait for it. Compiling a query takes longer than running one of these.
 */
static int open_connection(struct pg **ret, struct err *err)
{
	CLEANUP(pg_freep) struct pg *pg = NULL;
	char ms[PG_INT_MAX];

	if (pg_open(&pg, pool.cfg, "penstock-orchestrator-api", err) ||
	    pg_query(pg, "SELECT set_config('jit', 'off', false), set_config('statement_timeout', $1, false)",
		     PG_PARAMS(pg_int_text(config_int(pool.cfg, "query_s") * 1000, ms)), NULL, err))
		return -1;
	*ret = STEAL(pg);
	return 0;
}

/* One that died while idle is found out here, and not by a request that would then be half done. */
int api_pool_take(struct pg **ret, struct err *err)
{
	struct err dead = ERR_INIT;

	while ((*ret = take_idle())) {
		if (pg_exec(*ret, "SELECT 1", &dead) == 0)
			return 0;
		pg_freep(ret);
	}
	return open_connection(ret, err);
}

void api_pool_give(struct pg **pg)
{
	if (!*pg)
		return;
	pg_rollback(*pg);
	pthread_mutex_lock(&pool.lock);
	if (pg_usable(*pg) && pool.count < API_THREADS) {
		pool.idle[pool.count++] = *pg;
		*pg = NULL;
	}
	pthread_mutex_unlock(&pool.lock);
	pg_freep(pg);
}

void api_pool_close(void)
{
	while (pool.count > 0)
		pg_freep(&pool.idle[--pool.count]);
}

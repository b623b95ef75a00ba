#include "stages/orchestrator/leader.h"

#include <inttypes.h>

#include "common/cleanup.h"

int leader_try(struct leader *leader, struct pg *pg, const char *holder, struct err *err)
{
	CLEANUP(pg_result_freep) struct pg_result *lock = NULL;
	CLEANUP(pg_result_freep) struct pg_result *row = NULL;

	if (pg_query(pg, "SELECT pg_try_advisory_lock(hashtext('etl'), hashtext('leader'))", PG_NO_PARAMS, &lock, err))
		return -1;
	if (!pg_bool(lock, 0, 0))
		return 0;
	if (pg_query(pg,
		     "WITH taken AS (INSERT INTO etl.leader AS l (epoch, holder, since) VALUES (1, $1, now())"
		     " ON CONFLICT (only_row) DO UPDATE SET epoch = l.epoch + 1, holder = EXCLUDED.holder,"
		     "                                      since = EXCLUDED.since RETURNING epoch),"
		     " leased AS (UPDATE etl.lease SET epoch = taken.epoch, renewed_at = now() FROM taken)"
		     " SELECT epoch FROM taken",
		     PG_PARAMS(holder), &row, err))
		return err_wrap(err, "becoming the active orchestrator");
	leader->epoch = pg_int(row, 0, 0);
	leader->lost = false;
	return 0;
}

int leader_begin(struct leader *leader, struct pg *pg, struct err *err)
{
	CLEANUP(pg_result_freep) struct pg_result *row = NULL;
	char epoch[PG_INT_MAX];

	if (pg_begin(pg, err))
		return -1;
	if (pg_query(pg, "SELECT 1 FROM etl.leader WHERE epoch = $1 FOR SHARE",
		     PG_PARAMS(pg_int_text(leader->epoch, epoch)), &row, err))
		return -1;
	if (pg_rows(row) > 0)
		return 0;
	leader->lost = true;
	return err_set(err, ERR_RETRY, "another orchestrator became active: epoch %" PRId64 " is over", leader->epoch);
}

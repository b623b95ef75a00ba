#include "stages/orchestrator/backlog.h"

#include <inttypes.h>
#include <jansson.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/json_in.h"
#include "common/log.h"
#include "common/mem.h"
#include "stages/orchestrator/dispatch.h"
#include "stages/orchestrator/orchestrator.h"

#define LOOK_NS (NS_PER_SECOND / 10)

/* Of all backfills together: they share the way. */
static const char in_flight_sql[] =
	"SELECT r.run, r.resting, (sum(sum(greatest(coalesce(a.fetched - l.records, 0), 0))) OVER ())::bigint"
	" FROM etl.runs r LEFT JOIN etl.attempts a ON a.run = r.run AND a.closed_at IS NULL"
	" LEFT JOIN LATERAL (SELECT coalesce(sum(records), 0) AS records FROM etl.ledger WHERE attempt = a.attempt) l ON true"
	" WHERE r.status = 'running' AND r.kind = 'backfill' AND r.windows_planned GROUP BY r.run, r.resting ORDER BY r.run";

static int tell(struct orchestrator *self, int64_t run, bool rest, struct err *err)
{
	CLEANUP(json_freep)
	json_t *told = json_pack("{s:s, s:I, s:b}", "action", "rest", "run", (json_int_t)run, "rest", rest);
	CLEANUP(freep) char *message = json_dumps(told, JSON_COMPACT);
	CLEANUP(freep) char *key = mem_printf("rest of run %" PRId64, run);
	bool is_told;

	if (dispatch_tell(self->dispatch, self, key, message, &is_told, err))
		return -1;
	if (!is_told)
		return 0;
	log_debug("backfill_rests", LOG_FIELDS(log_i64("run", run)), "run %" PRId64 " %s", run,
		  rest ? "rests: enough of it is on the way" : "goes on");
	if (leader_begin(&self->leader, self->pg, err) ||
	    pg_query(self->pg, "UPDATE etl.runs SET resting = $2 WHERE run = $1",
		     PG_PARAMS(INT_TEXT(run), rest ? "true" : "false"), NULL, err))
		return -1;
	return pg_commit(self->pg, err);
}

int backlog_step(struct backlog *backlog, struct orchestrator *self, struct err *err)
{
	CLEANUP(pg_result_freep) struct pg_result *r = NULL;
	int64_t most = config_int(self->cfg, "backfill_in_flight_max");

	if (clock_monotonic_ns() < backlog->next_ns)
		return 0;
	backlog->next_ns = clock_monotonic_ns() + LOOK_NS;
	if (pg_query(self->pg, in_flight_sql, PG_NO_PARAMS, &r, err))
		return err_wrap(err, "counting what is on the way");
	for (int i = 0; i < pg_rows(r); i++) {
		bool rests = pg_bool(r, i, 1), rest = pg_int(r, i, 2) > (rests ? most / 2 : most);

		if (rest != rests && tell(self, pg_int(r, i, 0), rest, err))
			return err_wrap(err, "telling a backfill to rest");
	}
	return 0;
}

#include "stages/orchestrator/backlog.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/json_in.h"
#include "common/mem.h"
#include "stages/orchestrator/dispatch.h"
#include "stages/orchestrator/orchestrator.h"

#define LOOK_NS (NS_PER_SECOND / 10)

/*
 * Of an attempt that is at work a fetcher must know how much is through, even
 * if that is all it has told of so far; and of one that it ended that this is
 * known, which stands in what is said for a moment after it was closed.
 */
static const char on_way_sql[] =
	"SELECT r.run, a.attempt, a.fetched, a.records FROM etl.runs r LEFT JOIN LATERAL"
	" (SELECT o.attempt, o.fetched, coalesce(sum(l.records), 0)::bigint AS records"
	"  FROM etl.attempts o LEFT JOIN etl.ledger l USING (attempt)"
	"  WHERE o.run = r.run AND o.closed_at IS NULL AND o.fetched > 0 GROUP BY o.attempt"
	"  HAVING o.state = 'running' OR o.fetched > coalesce(sum(l.records), 0)) a ON true"
	" WHERE r.status = 'running' AND r.kind = 'backfill'"
	" UNION ALL SELECT r.run, a.attempt, a.fetched, a.fetched FROM etl.attempts a JOIN etl.runs r USING (run)"
	"  WHERE a.closed_at > now() - interval '3 s' AND a.fetched > 0 AND r.status = 'running' AND r.kind = 'backfill'"
	" ORDER BY 1, 2";

/* {"action": "flow", "most": records, "runs": [run, …], "attempts": [[attempt, fetched, of these in the ledger], …]} */
static char *message_of(const struct pg_result *r, int64_t most)
{
	json_t *runs = json_array(), *attempts = json_array();
	CLEANUP(json_freep)
	json_t *flow = json_pack("{s:s, s:I, s:o, s:o}", "action", "flow", "most", (json_int_t)most, "runs", runs,
				 "attempts", attempts);

	for (int i = 0; i < pg_rows(r); i++) {
		if (i == 0 || pg_int(r, i, 0) != pg_int(r, i - 1, 0))
			json_array_append_new(runs, json_integer(pg_int(r, i, 0)));
		if (!pg_null(r, i, 1))
			json_array_append_new(attempts,
					      json_pack("[I, I, I]", (json_int_t)pg_int(r, i, 1),
							(json_int_t)pg_int(r, i, 2), (json_int_t)pg_int(r, i, 3)));
	}
	return json_dumps(flow, JSON_COMPACT);
}

static int tell(struct backlog *backlog, struct orchestrator *self, char **message, struct err *err)
{
	bool is_told;

	if (dispatch_tell(self->dispatch, self, "flow", *message, &is_told, err))
		return err_wrap(err, "telling how much of the backfills is on the way");
	if (is_told) {
		free(backlog->told);
		backlog->told = *message;
		*message = NULL;
	}
	return 0;
}

int backlog_step(struct backlog *backlog, struct orchestrator *self, struct err *err)
{
	CLEANUP(pg_result_freep) struct pg_result *r = NULL;
	CLEANUP(freep) char *message = NULL;

	if (clock_monotonic_ns() < backlog->next_ns)
		return 0;
	backlog->next_ns = clock_monotonic_ns() + LOOK_NS;
	if (pg_query(self->pg, on_way_sql, PG_NO_PARAMS, &r, err))
		return err_wrap(err, "counting what is on the way");
	if (pg_rows(r) == 0 && !backlog->told)
		return 0;
	message = message_of(r, config_int(self->cfg, "backfill_in_flight_max"));
	if (backlog->told && strcmp(message, backlog->told) == 0)
		return 0;
	return tell(backlog, self, &message, err);
}

void backlog_release(struct backlog *backlog)
{
	freep(&backlog->told);
}

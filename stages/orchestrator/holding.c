#include "stages/orchestrator/holding.h"

#include <inttypes.h>
#include <jansson.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/json_in.h"
#include "common/log.h"
#include "common/mem.h"
#include "stages/orchestrator/dispatch.h"
#include "stages/orchestrator/orchestrator.h"

#define LOOK_NS (NS_PER_SECOND / 5)

/* --- telling the fetchers ---------------------------------------------------------------------------------------------- */

/* What was sent since they were told, too: whoever asks for a pause does not know what is being sent at that moment. */
static const char untold_sql[] =
	"SELECT r.run, r.held, max(a.attempt) FROM etl.runs r JOIN etl.attempts a USING (run)"
	" WHERE r.held IN ('paused', 'cancelled') AND (r.finished_at IS NULL OR r.finished_at > now() - interval '1 day')"
	" AND a.closed_at IS NULL AND a.state IN ('sending', 'sent', 'running') AND a.source <> 'kafka'"
	" AND a.attempt > r.told_through GROUP BY r.run, r.held ORDER BY r.run";

static int tell(struct orchestrator *self, int64_t run, const char *why, int64_t through, struct err *err)
{
	CLEANUP(json_freep)
	json_t *told = json_pack("{s:s, s:I, s:I, s:s}", "action", "park", "run", (json_int_t)run, "through",
				 (json_int_t)through, "why", why);
	CLEANUP(freep) char *message = json_dumps(told, JSON_COMPACT);
	CLEANUP(freep) char *key = mem_printf("run %" PRId64, run);
	bool is_told;

	if (dispatch_tell(self->dispatch, self, key, message, &is_told, err))
		return -1;
	if (!is_told)
		return 0;
	log_info("run_held", LOG_FIELDS(log_i64("run", run), log_str("why", why), log_i64("through", through)),
		 "run %" PRId64 " is %s: the fetchers are told", run, why);
	if (leader_begin(&self->leader, self->pg, err) ||
	    pg_query(self->pg, "UPDATE etl.runs SET told_through = greatest(told_through, $2) WHERE run = $1",
		     PG_PARAMS(INT_TEXT(run), INT_TEXT(through)), NULL, err))
		return -1;
	return pg_commit(self->pg, err);
}

static int tell_all(struct orchestrator *self, struct err *err)
{
	CLEANUP(pg_result_freep) struct pg_result *r = NULL;

	if (pg_query(self->pg, untold_sql, PG_NO_PARAMS, &r, err))
		return -1;
	for (int i = 0; i < pg_rows(r); i++)
		if (tell(self, pg_int(r, i, 0), pg_text(r, i, 1), pg_int(r, i, 2), err))
			return -1;
	return 0;
}

/* --- budgets ------------------------------------------------------------------------------------------------------------ */

/* Nothing is on its way, so what is spent is known, and what comes next is more than what is left. */
static const char spent_sql[] =
	"SELECT r.run, x.calls, x.usd, x.budget_usd IS NULL FROM etl.runs r JOIN etl.budgets x USING (run)"
	" CROSS JOIN LATERAL (SELECT t.calls, t.cost_usd FROM etl.tasks t WHERE t.run = r.run AND t.state = 'pending'"
	"                     ORDER BY t.task LIMIT 1) n"
	" WHERE r.status = 'running' AND r.held = '' AND (x.calls_left < coalesce(n.calls, 1) OR x.usd_left < n.cost_usd)"
	" AND NOT EXISTS (SELECT 1 FROM etl.attempts a WHERE a.run = r.run AND a.closed_at IS NULL)";

static int hold(struct orchestrator *self, int64_t run, const char *spent, bool calls, struct err *err)
{
	if (leader_begin(&self->leader, self->pg, err) ||
	    pg_query(self->pg,
		     "UPDATE etl.runs SET held = 'budget' WHERE run = $1 AND held = '' AND status = 'running'",
		     PG_PARAMS(INT_TEXT(run)), NULL, err) ||
	    pg_commit(self->pg, err))
		return -1;
	log_warning("budget_spent", LOG_FIELDS(log_i64("run", run)),
		    "run %" PRId64
		    " stops: %s %s of its budget are spent, and the next window is more than what is left",
		    run, spent, calls ? "calls" : "USD");
	return 0;
}

static int hold_spent(struct orchestrator *self, struct err *err)
{
	CLEANUP(pg_result_freep) struct pg_result *r = NULL;

	if (pg_query(self->pg, spent_sql, PG_NO_PARAMS, &r, err))
		return -1;
	for (int i = 0; i < pg_rows(r); i++)
		if (hold(self, pg_int(r, i, 0), pg_text(r, i, pg_bool(r, i, 3) ? 1 : 2), pg_bool(r, i, 3), err))
			return -1;
	return 0;
}

int holding_step(struct holding *holding, struct orchestrator *self, struct err *err)
{
	if (clock_monotonic_ns() < holding->next_ns)
		return 0;
	if (tell_all(self, err) || hold_spent(self, err))
		return err_wrap(err, "looking after runs that stand still");
	holding->next_ns = clock_monotonic_ns() + LOOK_NS;
	return 0;
}

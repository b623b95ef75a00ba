#include <inttypes.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/log.h"
#include "common/mem.h"
#include "stages/orchestrator/breakers.h"
#include "stages/orchestrator/closing_internal.h"
#include "stages/orchestrator/coverage.h"
#include "stages/orchestrator/gauges.h"
#include "stages/orchestrator/orchestrator.h"
#include "stages/orchestrator/run.h"
#include "stages/orchestrator/withdrawals.h"

static int set_task(struct orchestrator *self, const struct ended *e, const char *state, const char *message,
		    struct err *err)
{
	return pg_query(self->pg,
			"UPDATE etl.tasks SET state = $2, message = $3, parameters = parameters - 'parked'"
			" WHERE task = $1 AND state = 'dispatched'",
			PG_PARAMS(INT_TEXT(e->task), state, message), NULL, err);
}

/* Its next attempt begins where this one was parked; that of a cancelled run when it is taken up again. */
static int put_off_task(struct orchestrator *self, const struct ended *e, bool *ret_busy, struct err *err)
{
	*ret_busy = true;
	return pg_query(self->pg,
			"UPDATE etl.tasks t SET state = $4, message = $3, parameters = t.parameters - 'parked'"
			" || jsonb_strip_nulls(jsonb_build_object('parked', a.result->'parked')) FROM etl.attempts a"
			" WHERE t.task = $1 AND t.state = 'dispatched' AND a.attempt = $2",
			PG_PARAMS(INT_TEXT(e->task), INT_TEXT(e->attempt),
				  e->run_open ? e->message : "the run was cancelled",
				  e->run_open ? "pending" : "failed"),
			NULL, err);
}

/* For good. */
static int fail_task(struct orchestrator *self, const struct ended *e, const char *message, struct err *err)
{
	if (e->is_window && coverage_fail(self, e->task, e->attempt, message, err))
		return -1;
	return set_task(self, e, "failed", message, err);
}

/* Another attempt, unless the task was given up that often before. */
static int try_again(struct orchestrator *self, const struct ended *e, const char *why, bool *ret_busy, struct err *err)
{
	CLEANUP(pg_result_freep) struct pg_result *r = NULL;
	CLEANUP(freep) char *message = NULL;

	if (pg_query(self->pg,
		     "SELECT count(*) FROM etl.attempts a JOIN etl.tasks t USING (task) WHERE a.task = $1"
		     " AND NOT coalesce(a.result ? 'parked', false)"
		     " AND (t.retried_at IS NULL OR a.created_at > t.retried_at)",
		     PG_PARAMS(INT_TEXT(e->task)), &r, err))
		return -1;
	*ret_busy = true;
	if (e->run_open && pg_int(r, 0, 0) < config_int(self->cfg, "attempts_max"))
		return set_task(self, e, "pending", why, err);
	message = mem_printf("given up after %s attempts: %s", pg_text(r, 0, 0), why);
	return fail_task(self, e, message, err);
}

static int fail_with_run(struct orchestrator *self, const struct ended *e, const char *message, struct err *err)
{
	if (fail_task(self, e, message, err))
		return -1;
	return run_task_failed(self, e->run, e->options, message, err);
}

/* All is accounted for; where it was a window, what the vendor says of it has to be understood as well. */
static int complete_task(struct orchestrator *self, const struct ended *e, struct err *err)
{
	CLEANUP(freep) char *why = NULL;

	if (e->is_window &&
	    (withdrawals_make(self, e->attempt, e->subscription, err) ||
	     coverage_close(self, e->task, e->attempt, &why, err) || (why && withdrawals_undo(self, err))))
		return -1;
	if (e->is_quote && coverage_note_days(self, e->attempt, err))
		return -1;
	return why ? fail_with_run(self, e, why, err) : set_task(self, e, "closed", "", err);
}

/* What is done is done; a task that was parked, or that a vendor's trouble ended while its source is held back, goes on later. */
static int ask_put_off(struct orchestrator *self, const struct ended *e, bool *ret, struct err *err)
{
	CLEANUP(pg_result_freep) struct pg_result *r = NULL;

	*ret = false;
	if (pg_query(
		    self->pg,
		    "SELECT CASE a.state WHEN 'abandoned' THEN coalesce(a.result ? 'parked', false) AND ($2::boolean OR r.held = 'cancelled')"
		    " WHEN 'failed' THEN $2::boolean AND " BREAKERS_WAITS_SQL
		    " END FROM etl.attempts a JOIN etl.runs r USING (run) WHERE a.attempt = $1",
		    PG_PARAMS(INT_TEXT(e->attempt), e->run_open ? "true" : "false"), &r, err))
		return -1;
	*ret = pg_rows(r) == 1 && pg_bool(r, 0, 0);
	return 0;
}

static int end_task(struct orchestrator *self, const struct ended *e, bool *ret_busy, struct err *err)
{
	bool put_off;

	if (strcmp(e->state, "done") == 0)
		return complete_task(self, e, err);
	if (ask_put_off(self, e, &put_off, err))
		return -1;
	if (put_off)
		return put_off_task(self, e, ret_busy, err);
	if (strcmp(e->state, "abandoned") == 0)
		return try_again(self, e, e->message, ret_busy, err);
	return fail_with_run(self, e, e->message, err);
}

int closing_close(struct orchestrator *self, const struct ended *e, bool *ret_busy, struct err *err)
{
	if (leader_begin(&self->leader, self->pg, err) ||
	    pg_query(self->pg, "UPDATE etl.attempts SET closed_at = now() WHERE attempt = $1 AND closed_at IS NULL",
		     PG_PARAMS(INT_TEXT(e->attempt)), NULL, err) ||
	    pg_query(self->pg, "DELETE FROM etl.alarms WHERE attempt = $1", PG_PARAMS(INT_TEXT(e->attempt)), NULL,
		     err) ||
	    end_task(self, e, ret_busy, err) || pg_commit(self->pg, err))
		return err_wrap(err, "closing attempt %" PRId64, e->attempt);
	metric_add(&orchestrator_metrics[GAUGE_CLOSED], 1);
	log_info("attempt_closed",
		 LOG_FIELDS(log_i64("run", e->run), log_i64("attempt", e->attempt), log_i64("fetched", e->fetched),
			    log_str("state", e->state)),
		 "attempt %" PRId64 " of %s is closed: %" PRId64 " records, all accounted", e->attempt, e->subscription,
		 e->fetched);
	return strcmp(e->state, "failed") == 0 ? breakers_look_at_sources(self, ret_busy, err) : 0;
}

int closing_expire(struct orchestrator *self, const struct ended *e, const char *message, bool *ret_busy,
		   struct err *err)
{
	if (leader_begin(&self->leader, self->pg, err) ||
	    pg_query(self->pg,
		     "UPDATE etl.attempts SET closed_at = now(), expired = true, message = $2"
		     " WHERE attempt = $1 AND closed_at IS NULL",
		     PG_PARAMS(INT_TEXT(e->attempt), message), NULL, err) ||
	    pg_query(self->pg, "DELETE FROM etl.alarms WHERE attempt = $1", PG_PARAMS(INT_TEXT(e->attempt)), NULL,
		     err) ||
	    (strcmp(e->state, "failed") == 0 ? fail_with_run(self, e, e->message, err)
					     : try_again(self, e, message, ret_busy, err)) ||
	    pg_commit(self->pg, err))
		return err_wrap(err, "closing attempt %" PRId64, e->attempt);
	metric_add(&orchestrator_metrics[GAUGE_EXPIRED], 1);
	log_warning("attempt_expired",
		    LOG_FIELDS(log_i64("run", e->run), log_i64("attempt", e->attempt), log_i64("fetched", e->fetched),
			       log_i64("accounted", e->accounted)),
		    "%s", message);
	return 0;
}

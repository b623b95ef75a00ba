#include <inttypes.h>

#include "common/cleanup.h"
#include "common/log.h"
#include "common/mem.h"
#include "stages/orchestrator/closing_internal.h"
#include "stages/orchestrator/gauges.h"
#include "stages/orchestrator/orchestrator.h"
#include "stages/orchestrator/run.h"

/* Raised once; said once. Inside a transaction. */
static int raise_alarm(struct orchestrator *self, const struct ended *e, const char *name, enum gauge counter,
		       const char *message, struct err *err)
{
	CLEANUP(pg_result_freep) struct pg_result *r = NULL;

	if (pg_query(self->pg,
		     "INSERT INTO etl.alarms (attempt, name, message) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
		     PG_PARAMS(INT_TEXT(e->attempt), name, message), &r, err))
		return -1;
	if (pg_affected(r) == 0)
		return 0;
	metric_add(&orchestrator_metrics[counter], 1);
	log_error(name,
		  LOG_FIELDS(log_i64("run", e->run), log_i64("attempt", e->attempt), log_i64("fetched", e->fetched),
			     log_i64("accounted", e->accounted)),
		  "%s", message);
	return 0;
}

/* The account is wrong and no waiting mends it: alarm, and the run's end. */
static int broken_account(struct orchestrator *self, const struct ended *e, const char *name, enum gauge counter,
			  const char *message, struct err *err)
{
	if (leader_begin(&self->leader, self->pg, err) || raise_alarm(self, e, name, counter, message, err) ||
	    (e->run_open && run_fail(self, e->run, message, err)))
		return -1;
	return pg_commit(self->pg, err);
}

int closing_too_many(struct orchestrator *self, const struct ended *e, struct err *err)
{
	CLEANUP(freep) char *message = NULL;

	message = mem_printf("attempt %" PRId64 " of %s: %" PRId64 " records were fetched, but %" PRId64
			     " are in the ledger: in flight is %" PRId64,
			     e->attempt, e->subscription, e->fetched, e->accounted, e->fetched - e->accounted);
	return broken_account(self, e, "in_flight_negative", GAUGE_NEGATIVE, message, err);
}

int closing_wrong_ones(struct orchestrator *self, const struct ended *e, struct err *err)
{
	CLEANUP(freep) char *message = NULL;

	message = mem_printf("attempt %" PRId64 " of %s: the ledger holds %" PRId64
			     " records as it should, but not each of them once: some are missing and others doubled",
			     e->attempt, e->subscription, e->accounted);
	return broken_account(self, e, "ledger_mix_differs", GAUGE_MIX_DIFFERS, message, err);
}

int closing_lost(struct orchestrator *self, const struct ended *e, struct err *err)
{
	CLEANUP(freep) char *message = NULL;

	message = mem_printf("attempt %" PRId64 " of %s: %" PRId64 " of %" PRId64
			     " records are lost: every group has passed all that was there, and they are in no account",
			     e->attempt, e->subscription, e->fetched - e->accounted, e->fetched);
	return broken_account(self, e, "attempt_lost", GAUGE_LOST, message, err);
}

int closing_stalled(struct orchestrator *self, const struct ended *e, int64_t seconds, bool fail, struct err *err)
{
	CLEANUP(freep) char *message = NULL;

	message = mem_printf("attempt %" PRId64 " of %s: %" PRId64 " records are in flight since %" PRId64 " s",
			     e->attempt, e->subscription, e->fetched - e->accounted, seconds);
	if (leader_begin(&self->leader, self->pg, err) ||
	    raise_alarm(self, e, "attempt_stalled", GAUGE_STALLED, message, err) ||
	    (fail && e->run_open && run_fail(self, e->run, message, err)))
		return -1;
	return pg_commit(self->pg, err);
}

int closing_moves(struct orchestrator *self, const struct ended *e, struct err *err)
{
	if (leader_begin(&self->leader, self->pg, err) ||
	    pg_query(self->pg, "DELETE FROM etl.alarms WHERE attempt = $1 AND name = 'attempt_stalled'",
		     PG_PARAMS(INT_TEXT(e->attempt)), NULL, err))
		return -1;
	return pg_commit(self->pg, err);
}

/* --- what the database alone can tell -------------------------------------------------------------------------------- */

/* The first of its slot says nothing: no fetcher runs, or it hangs. One behind a busy one only waits its turn. */
static const char silent_sql[] =
	"INSERT INTO etl.alarms (attempt, name, message)"
	" SELECT a.attempt, 'attempt_silent', format('attempt %s of %s: nothing heard from a fetcher since %s',"
	"        a.attempt, t.subscription, date_trunc('second', coalesce(a.last_event_at, a.sent_at)))"
	" FROM etl.attempts a JOIN etl.runs r USING (run) JOIN etl.tasks t USING (task)"
	" WHERE a.closed_at IS NULL AND a.state IN ('sent', 'running') AND r.status = 'running'"
	" AND coalesce(a.last_event_at, a.sent_at) < now() - make_interval(secs => $1::bigint)"
	" AND NOT EXISTS (SELECT 1 FROM etl.attempts b WHERE b.source = a.source AND b.slot = a.slot"
	"                 AND (b.closed_at IS NULL OR b.closed_at > now() - make_interval(secs => $1::bigint))"
	"                 AND b.last_event_at > now() - make_interval(secs => $1::bigint))"
	" ON CONFLICT DO NOTHING RETURNING attempt, name, message";

static const char changed_sql[] =
	"INSERT INTO etl.alarms (attempt, name, message)"
	" SELECT a.attempt, 'ledger_changed_after_close', format('attempt %s was closed with %s records,"
	" but the ledger now holds %s', a.attempt, a.fetched, l.records)"
	" FROM etl.attempts a CROSS JOIN LATERAL (SELECT coalesce(sum(records), 0) AS records FROM etl.ledger"
	"                                         WHERE attempt = a.attempt) l"
	" WHERE NOT a.expired AND a.closed_at > now() - interval '1 hour' AND l.records <> a.fetched"
	" ON CONFLICT DO NOTHING RETURNING attempt, name, message";

/*
 * The account that was kept when the attempt was closed (0012_looking_fast.sql) is forgotten by whoever changes the
 * ledger; but who had not committed by then did not know that it was closed.
 */
static const char unkeep_sql[] =
	"UPDATE etl.attempts a SET inserted = NULL, updated = NULL, unchanged = NULL, duplicate = NULL, superseded = NULL,"
	" dead_letters = NULL FROM etl.alarms al WHERE al.attempt = a.attempt AND al.name = 'ledger_changed_after_close'"
	" AND a.inserted IS NOT NULL";

static const char forget_sql[] =
	"DELETE FROM etl.alarms al USING etl.attempts a JOIN etl.runs r USING (run) WHERE a.attempt = al.attempt"
	" AND (al.since < now() - interval '7 days' OR (al.name = 'attempt_silent'"
	"      AND (a.state NOT IN ('sent', 'running') OR a.last_event_at > al.since OR r.status <> 'running')))";

static int raise_all(struct orchestrator *self, const char *sql, const char *const *params, unsigned count,
		     struct err *err)
{
	CLEANUP(pg_result_freep) struct pg_result *r = NULL;

	if (pg_query(self->pg, sql, params, count, &r, err))
		return -1;
	for (int i = 0; i < pg_rows(r); i++)
		log_error(pg_text(r, i, 1), LOG_FIELDS(log_i64("attempt", pg_int(r, i, 0))), "%s", pg_text(r, i, 2));
	return 0;
}

static const char overdue_sql[] =
	"UPDATE etl.runs SET overdue_at = now() WHERE status IN ('running', 'checking') AND overdue_at IS NULL AND $1 > 0"
	" AND started_at < now() - make_interval(secs => $1::bigint) RETURNING run";

static int warn_of_overdue(struct orchestrator *self, struct err *err)
{
	CLEANUP(pg_result_freep) struct pg_result *r = NULL;
	int64_t max_s = config_int(self->cfg, "run_duration_max_s");

	if (pg_query(self->pg, overdue_sql, PG_PARAMS(INT_TEXT(max_s)), &r, err))
		return -1;
	for (int i = 0; i < pg_rows(r); i++)
		log_warning("run_overdue",
			    LOG_FIELDS(log_i64("run", pg_int(r, i, 0)), log_i64("run_duration_max_s", max_s)),
			    "Duration of ETL pipeline run %s exceeded %" PRId64 " s", pg_text(r, i, 0), max_s);
	return 0;
}

int closing_watch(struct orchestrator *self, struct err *err)
{
	if (leader_begin(&self->leader, self->pg, err) || pg_query(self->pg, forget_sql, PG_NO_PARAMS, NULL, err) ||
	    raise_all(self, silent_sql, PG_PARAMS(INT_TEXT(config_int(self->cfg, "stalled_after_s"))), err) ||
	    raise_all(self, changed_sql, PG_NO_PARAMS, err) ||
	    pg_query(self->pg, unkeep_sql, PG_NO_PARAMS, NULL, err) || warn_of_overdue(self, err) ||
	    pg_commit(self->pg, err))
		return err_wrap(err, "watching accounts");
	return 0;
}

#include "stages/orchestrator/closing.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/fault.h"
#include "common/log.h"
#include "common/mem.h"
#include "stages/orchestrator/gauges.h"
#include "stages/orchestrator/orchestrator.h"
#include "stages/orchestrator/run.h"

#define ENDED_MAX 1000                    /* attempts looked at in one step */
#define LONG_LIST 100                     /* attempts that wait for their account */
#define LOST_AFTER_NS (2 * NS_PER_SECOND) /* an account that is open for so long is worth a marker (drain.h) */
#define LONG_LIST_NS (NS_PER_SECOND / 2)  /* between two looks at such a list */
#define FAIL_FACTOR 10 /* a run fails when an account stood still for this many times stalled_after_s */

/* One attempt that has ended, as the query tells it. */
struct ended {
	int64_t attempt, task, run;
	const char *state;
	int64_t fetched;
	const char *message;
	int64_t accounted;
	uint64_t mix;
	bool run_open;
	const char *subscription;
	const char *options;
};

void closing_release(struct closing *closing)
{
	mix_sum_release(&closing->mix);
	free(closing->waiting);
	*closing = (struct closing){ .mix = MIX_SUM_INIT };
}

/* --- alarms ------------------------------------------------------------------------------------------------------------ */

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

static int too_many(struct orchestrator *self, const struct ended *e, struct err *err)
{
	CLEANUP(freep) char *message = NULL;

	message = mem_printf("attempt %" PRId64 " of %s: %" PRId64 " records were fetched, but %" PRId64
			     " are in the ledger: in flight is %" PRId64,
			     e->attempt, e->subscription, e->fetched, e->accounted, e->fetched - e->accounted);
	return broken_account(self, e, "in_flight_negative", GAUGE_NEGATIVE, message, err);
}

static int wrong_ones(struct orchestrator *self, const struct ended *e, struct err *err)
{
	CLEANUP(freep) char *message = NULL;

	message = mem_printf("attempt %" PRId64 " of %s: the ledger holds %" PRId64
			     " records as it should, but not each of them once: some are missing and others doubled",
			     e->attempt, e->subscription, e->accounted);
	return broken_account(self, e, "ledger_mix_differs", GAUGE_MIX_DIFFERS, message, err);
}

/* --- waiting ----------------------------------------------------------------------------------------------------------- */

static int by_attempt(const void *a, const void *b)
{
	const struct waiting *x = a, *y = b;

	return (x->attempt > y->attempt) - (x->attempt < y->attempt);
}

static struct waiting look_up(const struct closing *closing, const struct ended *e)
{
	int64_t now_ns = clock_monotonic_ns();
	struct waiting now = {
		.attempt = e->attempt, .accounted = e->accounted, .since_ns = now_ns, .ended_ns = now_ns
	};
	const struct waiting *known =
		closing->count ? bsearch(&now, closing->waiting, closing->count, sizeof(*closing->waiting), by_attempt)
			       : NULL;

	if (!known)
		return now;
	now.alarmed = known->alarmed;
	now.ended_ns = known->ended_ns;
	if (known->accounted == e->accounted) {
		now.since_ns = known->since_ns;
		now.broken = known->broken;
	}
	return now;
}

static int set_stalled(struct orchestrator *self, const struct ended *e, int64_t seconds, bool fail, struct err *err)
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

static int clear_stalled(struct orchestrator *self, const struct ended *e, struct err *err)
{
	if (leader_begin(&self->leader, self->pg, err) ||
	    pg_query(self->pg, "DELETE FROM etl.alarms WHERE attempt = $1 AND name = 'attempt_stalled'",
		     PG_PARAMS(INT_TEXT(e->attempt)), NULL, err))
		return -1;
	return pg_commit(self->pg, err);
}

bool closing_waits(const struct closing *closing)
{
	for (unsigned i = 0; i < closing->count; i++)
		if (!closing->waiting[i].broken && clock_monotonic_ns() - closing->waiting[i].ended_ns > LOST_AFTER_NS)
			return true;
	return false;
}

static int wait_for(struct orchestrator *self, const struct ended *e, struct waiting *waiting, struct err *err)
{
	int64_t after = config_int(self->cfg, "stalled_after_s");
	int64_t seconds = (clock_monotonic_ns() - waiting->since_ns) / NS_PER_SECOND;
	bool fail = seconds >= after * FAIL_FACTOR && e->run_open;

	if (seconds >= after && (!waiting->alarmed || fail)) {
		waiting->alarmed = true;
		return set_stalled(self, e, seconds, fail, err);
	}
	if (seconds < after && waiting->alarmed) {
		waiting->alarmed = false;
		return clear_stalled(self, e, err);
	}
	return 0;
}

/* --- closing ----------------------------------------------------------------------------------------------------------- */

static int set_task(struct orchestrator *self, const struct ended *e, const char *state, const char *message,
		    struct err *err)
{
	return pg_query(self->pg,
			"UPDATE etl.tasks SET state = $2, message = $3 WHERE task = $1 AND state = 'dispatched'",
			PG_PARAMS(INT_TEXT(e->task), state, message), NULL, err);
}

/* Another attempt, unless the task was given up that often before. */
static int try_again(struct orchestrator *self, const struct ended *e, const char *why, bool *ret_busy, struct err *err)
{
	CLEANUP(pg_result_freep) struct pg_result *r = NULL;
	CLEANUP(freep) char *message = NULL;

	if (pg_query(self->pg, "SELECT count(*) FROM etl.attempts WHERE task = $1", PG_PARAMS(INT_TEXT(e->task)), &r,
		     err))
		return -1;
	*ret_busy = true;
	if (e->run_open && pg_int(r, 0, 0) < config_int(self->cfg, "attempts_max"))
		return set_task(self, e, "pending", why, err);
	message = mem_printf("given up after %s attempts: %s", pg_text(r, 0, 0), why);
	return set_task(self, e, "failed", message, err);
}

static int end_task(struct orchestrator *self, const struct ended *e, bool *ret_busy, struct err *err)
{
	if (strcmp(e->state, "done") == 0)
		return set_task(self, e, "closed", "", err);
	if (strcmp(e->state, "abandoned") == 0)
		return try_again(self, e, e->message, ret_busy, err);
	if (set_task(self, e, "failed", e->message, err))
		return -1;
	return run_task_failed(self, e->run, e->options, e->message, err);
}

static int close_attempt(struct orchestrator *self, const struct ended *e, bool *ret_busy, struct err *err)
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
	return 0;
}

/* --- lost, or skipped by somebody ---------------------------------------------------------------------------------------- */

/* Topics between fetcher and loader, whatever the prefix. */
static const char expired_sql[] = "SELECT x.consumer_group, x.topic, x.partition, x.why, x.who FROM etl.expired x"
				  " JOIN etl.attempts a ON a.attempt = $1 AND x.booked_at >= a.created_at"
				  " WHERE x.topic ~ 'etl[.]((raw|valid|clean)[.]|dlq$)' ORDER BY x.id DESC LIMIT 1";

/* Never balanced; what its task needs is another attempt, unless the fetcher itself gave up. */
static int expire(struct orchestrator *self, const struct ended *e, const char *message, bool *ret_busy,
		  struct err *err)
{
	if (leader_begin(&self->leader, self->pg, err) ||
	    pg_query(self->pg,
		     "UPDATE etl.attempts SET closed_at = now(), expired = true, message = $2"
		     " WHERE attempt = $1 AND closed_at IS NULL",
		     PG_PARAMS(INT_TEXT(e->attempt), message), NULL, err) ||
	    pg_query(self->pg, "DELETE FROM etl.alarms WHERE attempt = $1", PG_PARAMS(INT_TEXT(e->attempt)), NULL,
		     err) ||
	    (strcmp(e->state, "failed") == 0 ? end_task(self, e, ret_busy, err)
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

static int set_lost(struct orchestrator *self, const struct ended *e, struct err *err)
{
	CLEANUP(freep) char *message = NULL;

	message = mem_printf("attempt %" PRId64 " of %s: %" PRId64 " of %" PRId64
			     " records are lost: every group has passed all that was there, and they are in no account",
			     e->attempt, e->subscription, e->fetched - e->accounted, e->fetched);
	return broken_account(self, e, "attempt_lost", GAUGE_LOST, message, err);
}

/* A marker that started after its end has passed every group, and some of its records are in no account. */
static int miss(struct orchestrator *self, const struct ended *e, struct waiting *waiting, bool *ret_busy,
		struct err *err)
{
	CLEANUP(pg_result_freep) struct pg_result *r = NULL;
	CLEANUP(freep) char *message = NULL;

	waiting->broken = true;
	if (pg_query(self->pg, expired_sql, PG_PARAMS(INT_TEXT(e->attempt)), &r, err))
		return err_wrap(err, "looking for skipped records");
	if (pg_rows(r) == 0)
		return set_lost(self, e, err);
	message = mem_printf("attempt %" PRId64 " of %s: %" PRId64 " of %" PRId64
			     " records expired: %s skipped some of %s [%s] for %s: %s",
			     e->attempt, e->subscription, e->fetched - e->accounted, e->fetched, pg_text(r, 0, 4),
			     pg_text(r, 0, 1), pg_text(r, 0, 2), pg_text(r, 0, 0), pg_text(r, 0, 3));
	return expire(self, e, message, ret_busy, err);
}

/* --- one step ------------------------------------------------------------------------------------------------------------ */

/* Open runs first, so that old ones that never balance cannot crowd them out. */
static const char ended_attempts_sql[] =
	"SELECT a.attempt, a.task, a.run, a.state, a.fetched, a.message, l.records, l.mix,"
	" r.status IN ('running', 'checking'), t.subscription, r.options"
	" FROM etl.attempts a JOIN etl.runs r USING (run) JOIN etl.tasks t USING (task)"
	" CROSS JOIN LATERAL (SELECT coalesce(sum(records), 0)::bigint AS records,"
	"                     mod(coalesce(sum(mix), 0), 18446744073709551616) AS mix"
	"                     FROM etl.ledger WHERE attempt = a.attempt) l"
	" WHERE a.closed_at IS NULL AND a.state IN ('done', 'failed', 'abandoned')"
	" AND (r.status IN ('running', 'checking') OR r.finished_at > now() - interval '1 day')"
	" ORDER BY r.status = 'failed', a.attempt LIMIT $1";

static struct ended read_ended(const struct pg_result *r, int row)
{
	return (struct ended){
		.attempt = pg_int(r, row, 0),
		.task = pg_int(r, row, 1),
		.run = pg_int(r, row, 2),
		.state = pg_text(r, row, 3),
		.fetched = pg_int(r, row, 4),
		.message = pg_text(r, row, 5),
		.accounted = pg_int(r, row, 6),
		.mix = strtoull(pg_text(r, row, 7), NULL, 10),
		.run_open = pg_bool(r, row, 8),
		.subscription = pg_text(r, row, 9),
		.options = pg_text(r, row, 10),
	};
}

/* Entries of attempts that do not balance come to stand in `kept`. */
static int judge(struct closing *closing, struct orchestrator *self, const struct ended *e, struct waiting *kept,
		 unsigned *kept_count, bool *ret_busy, struct err *err)
{
	struct waiting *waiting = &kept[*kept_count];

	if (e->accounted == e->fetched &&
	    (mix_sum_to(&closing->mix, e->fetched) == e->mix || fault_defect("mix_left_out")))
		return close_attempt(self, e, ret_busy, err);
	*waiting = look_up(closing, e);
	(*kept_count)++;
	if (waiting->broken)
		return 0;
	if (e->accounted < e->fetched)
		return drain_covers(&self->drain, waiting->ended_ns) ? miss(self, e, waiting, ret_busy, err)
								     : wait_for(self, e, waiting, err);
	waiting->broken = true;
	return e->accounted > e->fetched ? too_many(self, e, err) : wrong_ones(self, e, err);
}

int closing_step(struct closing *closing, struct orchestrator *self, bool *ret_busy, struct err *err)
{
	CLEANUP(pg_result_freep) struct pg_result *r = NULL;
	struct waiting *kept;
	unsigned count = 0;
	int failed = 0;

	if (clock_monotonic_ns() < closing->next_ns)
		return 0;
	if (pg_query(self->pg, ended_attempts_sql, PG_PARAMS(INT_TEXT(ENDED_MAX)), &r, err))
		return err_wrap(err, "reading accounts");
	kept = mem_zalloc((size_t)pg_rows(r) + 1, sizeof(*kept));
	for (int i = 0; i < pg_rows(r) && !failed; i++) {
		const struct ended e = read_ended(r, i);

		failed = judge(closing, self, &e, kept, &count, ret_busy, err);
	}
	if (failed) { /* what was known stays known */
		free(kept);
		return -1;
	}
	qsort(kept, count, sizeof(*kept), by_attempt);
	free(closing->waiting);
	closing->waiting = kept;
	closing->count = count;
	closing->next_ns = clock_monotonic_ns() + (count > LONG_LIST ? LONG_LIST_NS : 0);
	return 0;
}

/* --- alarms that the database alone can tell -------------------------------------------------------------------------- */

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

int closing_watch(struct orchestrator *self, struct err *err)
{
	if (leader_begin(&self->leader, self->pg, err) || pg_query(self->pg, forget_sql, PG_NO_PARAMS, NULL, err) ||
	    raise_all(self, silent_sql, PG_PARAMS(INT_TEXT(config_int(self->cfg, "stalled_after_s"))), err) ||
	    raise_all(self, changed_sql, PG_NO_PARAMS, err) || pg_commit(self->pg, err))
		return err_wrap(err, "watching accounts");
	return 0;
}

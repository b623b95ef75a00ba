#include "stages/orchestrator/closing.h"

#include <inttypes.h>
#include <stdlib.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/fault.h"
#include "common/mem.h"
#include "stages/orchestrator/closing_internal.h"
#include "stages/orchestrator/orchestrator.h"

#define ENDED_MAX 1000                    /* attempts looked at in one step */
#define LONG_LIST 100                     /* attempts that wait for their account */
#define LOST_AFTER_NS (2 * NS_PER_SECOND) /* an account that is open for so long is worth a marker (drain.h) */
#define LONG_LIST_NS (NS_PER_SECOND / 2)  /* between two looks at such a list */
#define FAIL_FACTOR 10 /* a run fails when an account stood still for this many times stalled_after_s */

void closing_release(struct closing *closing)
{
	mix_sum_release(&closing->mix);
	free(closing->waiting);
	*closing = (struct closing){ .mix = MIX_SUM_INIT };
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
		return closing_stalled(self, e, seconds, fail, err);
	}
	if (seconds < after && waiting->alarmed) {
		waiting->alarmed = false;
		return closing_moves(self, e, err);
	}
	return 0;
}

/* --- lost, or skipped by somebody ---------------------------------------------------------------------------------------- */

/* Topics between fetcher and loader, whatever the prefix. */
static const char expired_sql[] = "SELECT x.consumer_group, x.topic, x.partition, x.why, x.who FROM etl.expired x"
				  " JOIN etl.attempts a ON a.attempt = $1 AND x.booked_at >= a.created_at"
				  " WHERE x.topic ~ 'etl[.]((raw|valid|clean)[.]|dlq$)' ORDER BY x.id DESC LIMIT 1";

/* A marker that started after its end has passed every group, and some of its records are in no account. */
static int miss(struct orchestrator *self, const struct ended *e, struct waiting *waiting, bool *ret_busy,
		struct err *err)
{
	CLEANUP(pg_result_freep) struct pg_result *r = NULL;
	CLEANUP(freep) char *message = NULL;

	waiting->broken = true;
	/* A gap that ended a moment ago is booked by a look. */
	if (gaps_watch(&self->gaps, self, err))
		return -1;
	if (pg_query(self->pg, expired_sql, PG_PARAMS(INT_TEXT(e->attempt)), &r, err))
		return err_wrap(err, "looking for skipped records");
	if (pg_rows(r) == 0)
		return closing_lost(self, e, err);
	message = mem_printf("attempt %" PRId64 " of %s: %" PRId64 " of %" PRId64
			     " records expired: %s skipped some of %s [%s] for %s: %s",
			     e->attempt, e->subscription, e->fetched - e->accounted, e->fetched, pg_text(r, 0, 4),
			     pg_text(r, 0, 1), pg_text(r, 0, 2), pg_text(r, 0, 0), pg_text(r, 0, 3));
	return closing_expire(self, e, message, ret_busy, err);
}

/* --- one step ------------------------------------------------------------------------------------------------------------ */

/* Open runs first, so that old ones that never balance cannot crowd them out. */
static const char ended_attempts_sql[] =
	"SELECT a.attempt, a.task, a.run, a.state, a.fetched, a.message, l.records, l.mix,"
	" r.status IN ('running', 'checking'), t.subscription, r.options, t.quote IS NOT NULL,"
	" t.action = 'quote'"
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
		.is_window = pg_bool(r, row, 11),
		.is_quote = pg_bool(r, row, 12),
	};
}

/* Entries of attempts that do not balance come to stand in `kept`. */
static int judge(struct closing *closing, struct orchestrator *self, const struct ended *e, struct waiting *kept,
		 unsigned *kept_count, bool *ret_busy, struct err *err)
{
	struct waiting *waiting = &kept[*kept_count];

	if (e->accounted == e->fetched &&
	    (mix_sum_to(&closing->mix, e->fetched) == e->mix || fault_defect("mix_left_out")))
		return closing_close(self, e, ret_busy, err);
	*waiting = look_up(closing, e);
	(*kept_count)++;
	if (waiting->broken)
		return 0;
	if (e->accounted < e->fetched)
		return drain_covers(&self->drain, waiting->ended_ns) ? miss(self, e, waiting, ret_busy, err)
								     : wait_for(self, e, waiting, err);
	waiting->broken = true;
	return e->accounted > e->fetched ? closing_too_many(self, e, err) : closing_wrong_ones(self, e, err);
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

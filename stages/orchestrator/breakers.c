#include "stages/orchestrator/breakers.h"

#include <inttypes.h>
#include <jansson.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/json_in.h"
#include "common/log.h"
#include "common/mem.h"
#include "stages/orchestrator/dispatch.h"
#include "stages/orchestrator/gauges.h"
#include "stages/orchestrator/orchestrator.h"

#define LOOK_NS (NS_PER_SECOND / 4)
#define LOOK_PART 50 /* of the time between two looks, at most so much is spent on one */

/* --- opening and closing ------------------------------------------------------------------------------------------ */

/* clang-format off */
static const char open_sql[] =
	"INSERT INTO etl.breakers AS b (kind, name, state, openings, probe_at, reason, park_through)"
	" VALUES ($1, $2, 'open', 1, now() + make_interval(secs => $4::bigint), $3,"
	"         CASE $1 WHEN 'subscription' THEN coalesce((SELECT max(a.attempt) FROM etl.attempts a JOIN etl.tasks t USING (task)"
	"          WHERE t.subscription = $2 AND a.closed_at IS NULL AND a.source <> 'kafka'), 0) ELSE 0 END)"
	" ON CONFLICT (kind, name) DO UPDATE SET state = 'open', since = now(), openings = b.openings + 1, probe = NULL,"
	"  probe_at = now() + make_interval(secs => least($4::bigint * power(2, least(b.openings, 20))::bigint, $5::bigint)),"
	"  reason = EXCLUDED.reason, park_through = greatest(b.park_through, EXCLUDED.park_through) WHERE b.state <> 'open'"
	" RETURNING extract(epoch FROM probe_at - since)::bigint";
/* clang-format on */

static int open_breaker(struct orchestrator *self, const char *kind, const char *name, const char *reason,
			struct err *err)
{
	CLEANUP(pg_result_freep) struct pg_result *r = NULL;

	if (pg_query(self->pg, open_sql,
		     PG_PARAMS(kind, name, reason, INT_TEXT(config_int(self->cfg, "breaker.open_s")),
			       INT_TEXT(config_int(self->cfg, "breaker.open_s_max"))),
		     &r, err))
		return -1;
	if (pg_rows(r) == 0)
		return 0;
	metric_add(&orchestrator_metrics[GAUGE_BREAKERS_OPENED], 1);
	log_error("breaker_opened",
		  LOG_FIELDS(log_str("kind", kind), log_str("name", name), log_i64("tried_in_s", pg_int(r, 0, 0))),
		  "%s %s is held back: %s", kind, name, reason);
	return 0;
}

static int close_breaker(struct orchestrator *self, const char *kind, const char *name, struct err *err)
{
	if (pg_query(
		    self->pg,
		    "UPDATE etl.breakers SET state = 'closed', since = now(), openings = 0, probe = NULL, probe_at = NULL"
		    " WHERE kind = $1 AND name = $2 AND state = 'half_open'",
		    PG_PARAMS(kind, name), NULL, err))
		return -1;
	log_info("breaker_closed", LOG_FIELDS(log_str("kind", kind), log_str("name", name)), "%s %s goes on", kind,
		 name);
	return 0;
}

/* What was let through to see told nothing: another one, at once. */
static int try_another(struct orchestrator *self, const char *kind, const char *name, struct err *err)
{
	return pg_query(self->pg,
			"UPDATE etl.breakers SET state = 'open', probe = NULL, probe_at = now()"
			" WHERE kind = $1 AND name = $2 AND state = 'half_open'",
			PG_PARAMS(kind, name), NULL, err);
}

/* --- subscriptions: the share of dead letters --------------------------------------------------------------------- */

/* Those with enough records, and those whose probe is over, whatever it brought. */
static const char counted_sql[] =
	"WITH c AS (SELECT subscription, sum(records)::bigint AS records, sum(dead_letters)::bigint AS letters"
	"           FROM etl.breaker_unjudged GROUP BY subscription),"
	" b AS (SELECT name, state, NOT EXISTS (SELECT 1 FROM etl.tasks p WHERE p.task = probe"
	"                                       AND p.state IN ('pending', 'dispatched')) AS ended"
	"       FROM etl.breakers WHERE kind = 'subscription' AND state <> 'closed')"
	" SELECT coalesce(b.name, c.subscription), coalesce(c.records, 0), coalesce(c.letters, 0), b.state = 'half_open'"
	" FROM c FULL JOIN b ON b.name = c.subscription"
	" WHERE b.state IS DISTINCT FROM 'open' AND (c.records >= $1 OR (b.state = 'half_open' AND b.ended))";

struct counted {
	const char *name;
	int64_t records, letters;
	bool half_open;
};

static int decide(struct orchestrator *self, const struct counted *c, bool too_many, struct err *err)
{
	CLEANUP(freep) char *reason = NULL;

	if (c->records == 0)
		return try_another(self, "subscription", c->name, err);
	if (!too_many)
		return c->half_open ? close_breaker(self, "subscription", c->name, err) : 0;
	reason = mem_printf("%" PRId64 " of its last %" PRId64 " records became dead letters (`penstock dlq summary"
			    " --by rule --subscription %s`)",
			    c->letters, c->records, c->name);
	return open_breaker(self, "subscription", c->name, reason, err);
}

static int judge(struct orchestrator *self, const struct counted *c, bool *ret_busy, struct err *err)
{
	/* 2^63 / 100 records are more than there will be */
	bool too_many = c->letters > 0 && c->letters * 100 >= c->records * config_int(self->cfg, "breaker.share_pct");

	if (leader_begin(&self->leader, self->pg, err) || decide(self, c, too_many, err) ||
	    pg_query(self->pg, "SELECT etl.breaker_judge($1)", PG_PARAMS(c->name), NULL, err))
		return -1;
	*ret_busy = *ret_busy || c->half_open;
	return pg_commit(self->pg, err);
}

static int look_at_subscriptions(struct orchestrator *self, bool *ret_busy, struct err *err)
{
	CLEANUP(pg_result_freep) struct pg_result *r = NULL;

	if (pg_query(self->pg, counted_sql, PG_PARAMS(INT_TEXT(config_int(self->cfg, "breaker.records_min"))), &r, err))
		return -1;
	for (int i = 0; i < pg_rows(r); i++) {
		const struct counted c = { pg_text(r, i, 0), pg_int(r, i, 1), pg_int(r, i, 2), pg_bool(r, i, 3) };

		if (judge(self, &c, ret_busy, err))
			return -1;
	}
	return 0;
}

/* --- sources: the vendor's trouble -------------------------------------------------------------------------------- */

/* Since the last one that went well, and since the breaker is as it is. One subscription alone may ask for what nobody has. */
static const char troubled_sql[] =
	"SELECT a.source, count(*), count(DISTINCT t.subscription), (array_agg(a.message ORDER BY a.closed_at DESC))[1]"
	" FROM etl.attempts a JOIN etl.tasks t USING (task) LEFT JOIN etl.breakers b ON b.kind = 'source' AND b.name = a.source"
	" WHERE a.closed_at > now() - interval '1 hour' AND a.state = 'failed' AND a.result ? 'trouble'"
	" AND b.state IS DISTINCT FROM 'open' AND b.state IS DISTINCT FROM 'half_open'"
	" AND (b.since IS NULL OR a.closed_at > b.since)"
	" AND NOT EXISTS (SELECT 1 FROM etl.attempts d WHERE d.source = a.source AND d.closed_at >= a.closed_at AND d.state = 'done')"
	" GROUP BY a.source HAVING count(*) >= $1 AND count(DISTINCT t.subscription) > 1";

static int open_troubled(struct orchestrator *self, const struct pg_result *r, int row, struct err *err)
{
	CLEANUP(freep) char *reason = NULL;

	reason = mem_printf("%s tasks in a row, of %s subscriptions, were ended by trouble at the vendor: %.300s",
			    pg_text(r, row, 1), pg_text(r, row, 2), pg_text(r, row, 3));
	if (leader_begin(&self->leader, self->pg, err) || open_breaker(self, "source", pg_text(r, row, 0), reason, err))
		return -1;
	return pg_commit(self->pg, err);
}

/* How the task ended that was let through; where it will not be sent any more, nothing is known. */
static const char probed_sql[] =
	"SELECT b.name, a.attempt IS NOT NULL, a.state = 'failed' AND coalesce(a.result ? 'trouble', false), a.message"
	" FROM etl.breakers b LEFT JOIN etl.tasks p ON p.task = b.probe LEFT JOIN LATERAL (SELECT * FROM etl.attempts a"
	" WHERE a.task = b.probe AND a.created_at >= b.since AND a.closed_at IS NOT NULL ORDER BY a.closed_at DESC LIMIT 1) a ON true"
	" WHERE b.kind = 'source' AND b.state = 'half_open'"
	" AND (a.attempt IS NOT NULL OR p.state IS NULL OR p.state NOT IN ('pending', 'dispatched'))";

static int end_probe(struct orchestrator *self, const struct pg_result *r, int row, struct err *err)
{
	const char *name = pg_text(r, row, 0);
	int failed;

	if (leader_begin(&self->leader, self->pg, err))
		return -1;
	if (!pg_bool(r, row, 1))
		failed = try_another(self, "source", name, err);
	else if (pg_bool(r, row, 2))
		failed = open_breaker(self, "source", name, pg_text(r, row, 3), err);
	else
		failed = close_breaker(self, "source", name, err);
	return failed ? -1 : pg_commit(self->pg, err);
}

int breakers_look_at_sources(struct orchestrator *self, bool *ret_busy, struct err *err)
{
	CLEANUP(pg_result_freep) struct pg_result *troubled = NULL;
	CLEANUP(pg_result_freep) struct pg_result *probed = NULL;

	if (pg_query(self->pg, troubled_sql, PG_PARAMS(INT_TEXT(config_int(self->cfg, "breaker.failures"))), &troubled,
		     err))
		return -1;
	for (int i = 0; i < pg_rows(troubled); i++)
		if (open_troubled(self, troubled, i, err))
			return -1;
	if (pg_query(self->pg, probed_sql, PG_NO_PARAMS, &probed, err))
		return -1;
	for (int i = 0; i < pg_rows(probed); i++) {
		*ret_busy = true;
		if (end_probe(self, probed, i, err))
			return -1;
	}
	return 0;
}

/* --- trying ------------------------------------------------------------------------------------------------------- */

/*
 * The first task that waits and is held back by nothing else, once all that was on its way is accounted for: what it
 * brings is its own then.
 */
static const char try_sql[] =
	"WITH due AS (SELECT kind, name FROM etl.breakers WHERE state = 'open' AND probe_at <= now()),"
	" probes AS (SELECT d.kind, d.name, (SELECT min(t.task) FROM etl.tasks t JOIN etl.runs r USING (run)"
	"             WHERE t.state = 'pending' AND r.status = 'running' AND t.source <> 'kafka'"
	"             AND CASE d.kind WHEN 'subscription' THEN t.subscription ELSE t.source END = d.name"
	"             AND NOT EXISTS (SELECT 1 FROM etl.breakers o WHERE o.state <> 'closed' AND o.kind <> d.kind"
	"                             AND (o.kind, o.name) IN (('subscription', t.subscription), ('source', t.source)))) AS task"
	"            FROM due d WHERE NOT EXISTS (SELECT 1 FROM etl.attempts a JOIN etl.tasks t USING (task) JOIN etl.runs r"
	"             ON r.run = a.run WHERE a.closed_at IS NULL AND r.status IN ('running', 'checking') AND t.source <> 'kafka'"
	"             AND CASE d.kind WHEN 'subscription' THEN t.subscription ELSE t.source END = d.name))"
	" UPDATE etl.breakers b SET state = 'half_open', since = now(), probe_at = NULL, probe = p.task FROM probes p"
	" WHERE p.task IS NOT NULL AND (b.kind, b.name) = (p.kind, p.name) AND b.state = 'open' RETURNING b.kind, b.name, b.probe";

static int judge_before(struct orchestrator *self, const struct pg_result *r, int row, struct err *err)
{
	log_info("breaker_half_open",
		 LOG_FIELDS(log_str("kind", pg_text(r, row, 0)), log_str("name", pg_text(r, row, 1)),
			    log_i64("task", pg_int(r, row, 2))),
		 "%s %s is tried with task %s", pg_text(r, row, 0), pg_text(r, row, 1), pg_text(r, row, 2));
	if (strcmp(pg_text(r, row, 0), "source") == 0) /* its tasks are counted, not their records */
		return 0;
	return pg_query(self->pg, "SELECT etl.breaker_judge($1)", PG_PARAMS(pg_text(r, row, 1)), NULL, err);
}

static int try_due(struct orchestrator *self, bool *ret_busy, struct err *err)
{
	CLEANUP(pg_result_freep) struct pg_result *due = NULL;
	CLEANUP(pg_result_freep) struct pg_result *r = NULL;

	if (pg_query(self->pg, "SELECT 1 FROM etl.breakers WHERE state = 'open' AND probe_at <= now() LIMIT 1",
		     PG_NO_PARAMS, &due, err))
		return -1;
	if (pg_rows(due) == 0)
		return 0;
	if (leader_begin(&self->leader, self->pg, err) || pg_query(self->pg, try_sql, PG_NO_PARAMS, &r, err))
		return -1;
	for (int i = 0; i < pg_rows(r); i++) {
		*ret_busy = true;
		if (judge_before(self, r, i, err))
			return -1;
	}
	return pg_commit(self->pg, err);
}

/* --- telling the fetchers ----------------------------------------------------------------------------------------- */

/* Attempts up to this one; later ones are not meant, so nobody has to be told that it is over. */
static int tell(struct orchestrator *self, const char *name, int64_t through, const char *why, struct err *err)
{
	CLEANUP(json_freep)
	json_t *told = json_pack("{s:s, s:s, s:I, s:s}", "action", "park", "subscription", name, "through",
				 (json_int_t)through, "why", why);
	CLEANUP(freep) char *message = json_dumps(told, JSON_COMPACT);
	bool is_told;

	if (dispatch_tell(self->dispatch, self, name, message, &is_told, err))
		return -1;
	if (!is_told)
		return 0;
	if (leader_begin(&self->leader, self->pg, err) ||
	    pg_query(
		    self->pg,
		    "UPDATE etl.breakers SET told_through = greatest(told_through, $2) WHERE kind = 'subscription' AND name = $1",
		    PG_PARAMS(name, INT_TEXT(through)), NULL, err))
		return -1;
	return pg_commit(self->pg, err);
}

static int tell_all(struct orchestrator *self, struct err *err)
{
	CLEANUP(pg_result_freep) struct pg_result *r = NULL;

	if (pg_query(self->pg,
		     "SELECT name, park_through, reason FROM etl.breakers WHERE kind = 'subscription'"
		     " AND park_through > told_through ORDER BY name",
		     PG_NO_PARAMS, &r, err))
		return -1;
	for (int i = 0; i < pg_rows(r); i++)
		if (tell(self, pg_text(r, i, 0), pg_int(r, i, 1), pg_text(r, i, 2), err))
			return -1;
	return 0;
}

/* --- one look ----------------------------------------------------------------------------------------------------- */

int breakers_step(struct breakers *breakers, struct orchestrator *self, bool *ret_busy, struct err *err)
{
	int64_t began_ns = clock_monotonic_ns(), took_ns;

	if (began_ns < breakers->next_ns)
		return 0;
	if (look_at_subscriptions(self, ret_busy, err) || breakers_look_at_sources(self, ret_busy, err) ||
	    try_due(self, ret_busy, err) || tell_all(self, err))
		return err_wrap(err, "looking after breakers");
	took_ns = clock_monotonic_ns() - began_ns;
	breakers->next_ns = clock_monotonic_ns() + (took_ns * LOOK_PART > LOOK_NS ? took_ns * LOOK_PART : LOOK_NS);
	return 0;
}

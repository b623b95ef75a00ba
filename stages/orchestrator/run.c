#include "stages/orchestrator/run.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/json_in.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/process.h"
#include "stages/orchestrator/backfill.h"
#include "stages/orchestrator/checks.h"
#include "stages/orchestrator/coverage.h"
#include "stages/orchestrator/gauges.h"
#include "stages/orchestrator/orchestrator.h"
#include "stages/orchestrator/plan.h"
#include "stages/orchestrator/replay.h"
#include "stages/orchestrator/replay_topic.h"

#define RUNS_PER_STEP 10

bool run_option(const char *options, const char *name, bool fallback)
{
	CLEANUP(json_freep) json_t *object = json_loads(options, 0, NULL);
	const json_t *value = json_object_get(object, name);

	return json_is_boolean(value) ? json_is_true(value) : fallback;
}

/* --- failing ----------------------------------------------------------------------------------------------------------- */

int run_fail(struct orchestrator *self, int64_t run, const char *message, struct err *err)
{
	CLEANUP(pg_result_freep) struct pg_result *r = NULL;

	if (pg_query(self->pg,
		     "UPDATE etl.runs SET status = 'failed', message = $2, finished_at = now(),"
		     " started_at = coalesce(started_at, now())"
		     " WHERE run = $1 AND status IN ('pending', 'running', 'checking')",
		     PG_PARAMS(INT_TEXT(run), message), &r, err) ||
	    pg_query(self->pg,
		     "UPDATE etl.tasks SET state = 'failed', message = 'not dispatched: the run had failed'"
		     " WHERE run = $1 AND state = 'pending'",
		     PG_PARAMS(INT_TEXT(run)), NULL, err))
		return -1;
	if (pg_affected(r) == 0)
		return 0;
	gauges_run_finished("failed");
	log_error("run_failed", LOG_FIELDS(log_i64("run", run)), "ETL pipeline run %" PRId64 " failed: %s", run,
		  message);
	return 0;
}

int run_task_failed(struct orchestrator *self, int64_t run, const char *options, const char *message, struct err *err)
{
	if (run_option(options, "continueOnComponentFailure", true))
		return 0;
	return run_fail(self, run, message, err);
}

/* --- starting ---------------------------------------------------------------------------------------------------------- */

/* A run to be begun. */
struct starting {
	int64_t run;
	const char *kind, *options;
	struct plan *plan; /* NULL: its tasks are made by the database itself */
};

/* *ret_tasks, *ret_quotes: what was stored. */
static int store_tasks(struct orchestrator *self, const struct starting *s, unsigned *ret_tasks, bool *ret_quotes,
		       struct err *err)
{
	if (strcmp(s->kind, "backfill") == 0)
		return backfill_begin(self, s->run, ret_tasks, ret_quotes, err);
	if (!s->plan)
		return replay_plan(self, s->run, s->options, ret_tasks, ret_quotes, err);
	*ret_tasks = s->plan->count;
	*ret_quotes = s->plan->quotes > 0;
	return plan_store(s->plan, self->pg, s->run, err);
}

static int start(struct orchestrator *self, const struct starting *s, unsigned *ret_tasks, struct err *err)
{
	CLEANUP(pg_result_freep) struct pg_result *r = NULL;
	bool quotes = false;

	if (leader_begin(&self->leader, self->pg, err) ||
	    pg_query(self->pg,
		     "UPDATE etl.runs SET status = 'running', started_at = now() WHERE run = $1 AND status = 'pending'",
		     PG_PARAMS(INT_TEXT(s->run)), &r, err))
		return -1;
	if (pg_affected(r) == 0) { /* ended by somebody meanwhile */
		pg_rollback(self->pg);
		return 0;
	}
	if (store_tasks(self, s, ret_tasks, &quotes, err) ||
	    pg_query(self->pg, "UPDATE etl.runs SET windows_planned = $2 WHERE run = $1",
		     PG_PARAMS(INT_TEXT(s->run), quotes ? "false" : "true"), NULL, err) ||
	    pg_commit(self->pg, err))
		return -1;
	return 0;
}

int run_fail_planning(struct orchestrator *self, int64_t run, const struct err *why, struct err *err)
{
	pg_rollback(self->pg);
	if (leader_begin(&self->leader, self->pg, err) || run_fail(self, run, why->text, err))
		return -1;
	return pg_commit(self->pg, err);
}

/* What the broker is asked before a run begins. *ret_away: it does not answer now, and the run is begun later. */
static int ask_broker(struct orchestrator *self, const char *options, bool *ret_away, struct err *why, struct err *err)
{
	*ret_away = !link_ready(&self->kafka);
	if (*ret_away || replay_topic_check(self, options, why) == 0 || why->kind == ERR_RECORD)
		return 0;
	*ret_away = true;
	*err = *why;
	return orchestrator_kafka_trouble(self, err);
}

/* A plan that cannot be made or stored is this run's failure, never the orchestrator's. */
static int start_one(struct orchestrator *self, int64_t run, const char *kind, const char *options, bool *ret_busy,
		     struct err *err)
{
	CLEANUP(plan_release) struct plan plan = PLAN_INIT;
	bool replay = strcmp(kind, "replay") == 0, planned = !replay && strcmp(kind, "backfill") != 0, away = false;
	const struct starting s = { run, kind, options, planned ? &plan : NULL };
	unsigned tasks = 0;
	struct err why = ERR_INIT;

	if (replay && replay_is_of_topic(options) && ask_broker(self, options, &away, &why, err))
		return -1;
	if (away)
		return 0;
	*ret_busy = true;
	log_info("run_started", LOG_FIELDS(log_i64("run", run), log_str("kind", kind)),
		 "Starting %s ETL pipeline run %" PRId64, kind, run);
	if (why.kind == ERR_RECORD || (planned && plan_make(&plan, self->cfg, kind, options, &why)))
		return run_fail_planning(self, run, &why, err);
	if (start(self, &s, &tasks, &why) == 0) {
		log_info("run_planned", LOG_FIELDS(log_i64("run", run), log_i64("tasks", tasks)),
			 "run %" PRId64 " has %u tasks", run, tasks);
		return 0;
	}
	if (why.kind == ERR_RECORD)
		return run_fail_planning(self, run, &why, err);
	*err = why;
	return -1;
}

int run_start_pending(struct orchestrator *self, bool *ret_busy, struct err *err)
{
	CLEANUP(pg_result_freep) struct pg_result *r = NULL;

	if (pg_query(self->pg, "SELECT run, kind, options FROM etl.runs WHERE status = 'pending' ORDER BY run LIMIT $1",
		     PG_PARAMS(INT_TEXT(RUNS_PER_STEP)), &r, err))
		return err_wrap(err, "reading pending runs");
	for (int i = 0; i < pg_rows(r); i++) {
		if (start_one(self, pg_int(r, i, 0), pg_text(r, i, 1), pg_text(r, i, 2), ret_busy, err))
			return err_wrap(err, "starting run %s", pg_text(r, i, 0));
	}
	return 0;
}

/* --- finishing --------------------------------------------------------------------------------------------------------- */

static const char verdict_sql[] =
	"SELECT count(*), count(*) FILTER (WHERE state = 'failed'),"
	" (SELECT format('%s %s: %s', f.subscription, coalesce(f.parameters->>'path',"
	"         f.parameters->>'letters' || ' dead letters', format('%s%s to %s',"
	"         CASE f.action WHEN 'quote' THEN 'quote ' END, f.parameters->>'start', f.parameters->>'end')), f.message)"
	"  FROM etl.tasks f WHERE f.run = $1 AND f.state = 'failed' ORDER BY f.task LIMIT 1),"
	" (SELECT string_agg(name || coalesce(' (' || nullif(detail, '') || ')', ''), ', ' ORDER BY name)"
	"  FROM etl.run_checks WHERE run = $1 AND NOT passed)"
	" FROM etl.tasks WHERE run = $1";

/* Empty: a success. Owned by the caller. */
static char *verdict(const struct pg_result *tasks, unsigned failed_checks)
{
	if (pg_int(tasks, 0, 1) > 0)
		return mem_printf("%s of %s tasks failed: %.600s", pg_text(tasks, 0, 1), pg_text(tasks, 0, 0),
				  pg_text(tasks, 0, 2));
	if (failed_checks > 0)
		return mem_printf("checks that did not pass: %s", pg_text(tasks, 0, 3));
	return mem_strdup("");
}

static const char completed_sql[] =
	"SELECT r.status, (extract(epoch FROM r.finished_at - r.started_at) * 1000)::bigint,"
	" (SELECT coalesce(sum(l.records), 0)::bigint FROM etl.attempts a JOIN etl.ledger l USING (attempt)"
	"  WHERE a.run = r.run) FROM etl.runs r WHERE r.run = $1";

static int log_completed(struct orchestrator *self, int64_t run, struct err *err)
{
	CLEANUP(pg_result_freep) struct pg_result *r = NULL;
	int64_t ms, records;

	if (pg_query(self->pg, completed_sql, PG_PARAMS(INT_TEXT(run)), &r, err))
		return -1;
	ms = pg_int(r, 0, 1);
	records = pg_int(r, 0, 2);
	log_info("run_completed",
		 LOG_FIELDS(log_i64("run", run), log_str("status", pg_text(r, 0, 0)),
			    log_i64("records_processed", records), log_seconds("execution_time", ms * NS_PER_MS),
			    log_i64("processing_rate", ms > 0 ? records * 1000 / ms : records),
			    log_i64("memory_peak", process_memory().peak)),
		 "Pipeline completed");
	return 0;
}

/* A success may have something to say, too: symbols that the vendor does not know, for one. */
static int succeed(struct orchestrator *self, int64_t run, struct err *err)
{
	CLEANUP(pg_result_freep) struct pg_result *notes = NULL;
	CLEANUP(pg_result_freep) struct pg_result *r = NULL;

	if (coverage_notes(self, run, &notes, err) ||
	    pg_query(self->pg,
		     "UPDATE etl.runs SET status = 'success', finished_at = now(), message = $2 WHERE run = $1"
		     " AND status = 'checking'",
		     PG_PARAMS(INT_TEXT(run), pg_text(notes, 0, 0)), &r, err))
		return -1;
	if (pg_affected(r) > 0)
		gauges_run_finished("success");
	return 0;
}

static int set_checking(struct orchestrator *self, int64_t run, struct err *err)
{
	if (leader_begin(&self->leader, self->pg, err) ||
	    pg_query(self->pg,
		     "UPDATE etl.runs SET status = 'checking', held = '' WHERE run = $1 AND status = 'running'",
		     PG_PARAMS(INT_TEXT(run)), NULL, err))
		return -1;
	return pg_commit(self->pg, err);
}

static int end(struct orchestrator *self, int64_t run, const char *message, struct err *err)
{
	if (leader_begin(&self->leader, self->pg, err) ||
	    (message[0] ? run_fail(self, run, message, err) : succeed(self, run, err)) || pg_commit(self->pg, err))
		return -1;
	return log_completed(self, run, err);
}

static int finish_one(struct orchestrator *self, int64_t run, const char *options, struct err *err)
{
	CLEANUP(pg_result_freep) struct pg_result *tasks = NULL;
	CLEANUP(freep) char *message = NULL;
	unsigned failed_checks = 0;

	if (set_checking(self, run, err) ||
	    (run_option(options, "validateAfterExecution", true) && checks_run(self, run, &failed_checks, err)) ||
	    pg_query(self->pg, verdict_sql, PG_PARAMS(INT_TEXT(run)), &tasks, err))
		return -1;
	message = verdict(tasks, failed_checks);
	return end(self, run, message, err);
}

int run_finish_ended(struct orchestrator *self, bool *ret_busy, struct err *err)
{
	CLEANUP(pg_result_freep) struct pg_result *r = NULL;

	if (pg_query(
		    self->pg,
		    "SELECT r.run, r.options FROM etl.runs r WHERE r.status IN ('running', 'checking') AND r.windows_planned"
		    " AND NOT EXISTS (SELECT 1 FROM etl.tasks t WHERE t.run = r.run"
		    "                 AND t.state IN ('pending', 'dispatched')) ORDER BY r.run LIMIT $1",
		    PG_PARAMS(INT_TEXT(RUNS_PER_STEP)), &r, err))
		return err_wrap(err, "reading ended runs");
	for (int i = 0; i < pg_rows(r); i++) {
		*ret_busy = true;
		if (finish_one(self, pg_int(r, i, 0), pg_text(r, i, 1), err))
			return err_wrap(err, "finishing run %s", pg_text(r, i, 0));
	}
	return 0;
}

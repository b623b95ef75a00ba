#include "stages/orchestrator/timescale.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/pg.h"
#include "common/wakeup.h"
#include "stages/orchestrator/gauges.h"
#include "stages/orchestrator/monthly.h"

struct timescale {
	const struct config *cfg;
	pthread_t thread;
	struct wakeup wakeup;
	_Atomic bool leading;
	struct pg *pg;
	_Atomic int64_t backend; /* of that connection, while it is at work */
	bool failing;            /* said once */
};

/* --- jobs ---------------------------------------------------------------------------------------------------------------- */

static int note_start(struct timescale *t, const struct pg_result *due, int row, struct err *err)
{
	log_info("database_job_started",
		 LOG_FIELDS(log_i64("job", pg_int(due, row, 0)), log_str("name", pg_text(due, row, 1)),
			    log_str("about", pg_text(due, row, 2))),
		 "TimescaleDB's job %s (%s of %s) is run: %s", pg_text(due, row, 0), pg_text(due, row, 1),
		 pg_text(due, row, 2), pg_text(due, row, 3));
	return pg_query(t->pg,
			"UPDATE etl.database_jobs SET started_at = now(), why = $2, runs = runs + 1 WHERE job = $1",
			PG_PARAMS(pg_text(due, row, 0), pg_text(due, row, 3)), NULL, err);
}

static int note_end(struct timescale *t, const struct pg_result *due, int row, const char *message, struct err *err)
{
	bool ok = !message;

	if (!ok)
		log_error("database_job_failed",
			  LOG_FIELDS(log_i64("job", pg_int(due, row, 0)), log_str("name", pg_text(due, row, 1)),
				     log_str("about", pg_text(due, row, 2))),
			  "TimescaleDB's job %s (%s of %s): %s", pg_text(due, row, 0), pg_text(due, row, 1),
			  pg_text(due, row, 2), message);
	return pg_query(
		t->pg,
		"WITH ended AS (UPDATE etl.database_jobs SET finished_at = now(), ok = $2::boolean, message = $3,"
		"   ok_at = CASE WHEN $2::boolean THEN now() ELSE ok_at END WHERE job = $1 RETURNING *)"
		" INSERT INTO etl.audit (who, role, action, target, detail)"
		" SELECT 'orchestrator', 'admin', 'database.run_job', job::text, jsonb_build_object('name', name,"
		"   'about', about, 'why', why, 'ok', ok, 'message', message) FROM ended",
		PG_PARAMS(pg_text(due, row, 0), ok ? "true" : "false", ok ? "" : message), NULL, err);
}

/* What a job itself does wrong is its own end; only a lost connection ends the round. */
static int run_job(struct timescale *t, const struct pg_result *due, int row, struct err *err)
{
	struct err wrong = ERR_INIT;

	if (note_start(t, due, row, err))
		return -1;
	if (pg_query(t->pg, "CALL run_job($1::integer)", PG_PARAMS(pg_text(due, row, 0)), NULL, &wrong) == 0)
		return note_end(t, due, row, NULL, err);
	if (!pg_usable(t->pg) || !atomic_load(&t->leading)) { /* or it was ended with us */
		*err = wrong;
		return -1;
	}
	return note_end(t, due, row, wrong.text, err);
}

static int run_due(struct timescale *t, struct err *err)
{
	CLEANUP(pg_result_freep) struct pg_result *due = NULL;
	const char *grace = INT_TEXT(config_int(t->cfg, "timescale.grace_s"));

	if (pg_query(t->pg, "SELECT job, name, about, why FROM etl.due_jobs(make_interval(secs => $1::bigint))",
		     PG_PARAMS(grace), &due, err))
		return -1;
	for (int row = 0; row < pg_rows(due) && atomic_load(&t->leading); row++)
		if (run_job(t, due, row, err))
			return -1;
	return 0;
}

/* --- a round --------------------------------------------------------------------------------------------------------------- */

static int show_figures(struct timescale *t, struct err *err)
{
	CLEANUP(pg_result_freep) struct pg_result *r = NULL;

	if (pg_query(t->pg,
		     "SELECT hypertable, chunks, compressed_chunks, overdue_chunks,"
		     " coalesce(before_bytes * 1000 / nullif(after_bytes, 0), 0)::bigint FROM etl.hypertable_figures()",
		     PG_NO_PARAMS, &r, err))
		return -1;
	for (int row = 0; row < pg_rows(r); row++)
		gauges_hypertable(&(struct hypertable_figures){ .name = pg_text(r, row, 0),
								.chunks = pg_int(r, row, 1),
								.compressed = pg_int(r, row, 2),
								.overdue = pg_int(r, row, 3),
								.ratio_thousandths = pg_int(r, row, 4) });
	gauges_show_hypertables(pg_rows(r) > 0);
	return 0;
}

static int connect_jobs(struct timescale *t, struct err *err)
{
	CLEANUP(pg_result_freep) struct pg_result *r = NULL;

	if (!pg_usable(t->pg)) {
		pg_freep(&t->pg);
		if (pg_open(&t->pg, t->cfg, "penstock-orchestrator-jobs", err))
			return -1;
	}
	if (pg_query(t->pg, "SELECT pg_backend_pid()", PG_NO_PARAMS, &r, err))
		return -1;
	atomic_store(&t->backend, pg_int(r, 0, 0));
	return 0;
}

static int is_there(struct timescale *t, bool *ret, struct err *err)
{
	CLEANUP(pg_result_freep) struct pg_result *r = NULL;

	if (pg_query(
		    t->pg,
		    "SELECT EXISTS (SELECT FROM etl.hypertables WHERE made_at IS NOT NULL) AND etl.timescale_complete()",
		    PG_NO_PARAMS, &r, err))
		return -1;
	*ret = pg_bool(r, 0, 0);
	return 0;
}

static int look_after(struct timescale *t, struct err *err)
{
	bool there, refreshed;

	if (connect_jobs(t, err) || is_there(t, &there, err))
		return -1;
	if (!there) {
		gauges_show_hypertables(false);
		return 0;
	}
	return monthly_refresh(t->pg, &refreshed, err) || run_due(t, err) || show_figures(t, err) ? -1 : 0;
}

static void *keep(void *self)
{
	struct timescale *t = self;
	int64_t ms = config_int(t->cfg, "timescale.look_s") * 1000;

	while (wakeup_wait(&t->wakeup, ms)) {
		struct err err = ERR_INIT;

		if (!atomic_load(&t->leading)) {
			pg_freep(&t->pg);
			gauges_show_hypertables(false);
			continue;
		}
		look_after(t, &err);
		atomic_store(&t->backend, 0);
		if (err.kind != ERR_OK && !t->failing && atomic_load(&t->leading))
			log_warning("database_jobs_not_looked_after", NULL, "%s", err.text);
		t->failing = err.kind != ERR_OK;
	}
	return NULL;
}

/* --- life ------------------------------------------------------------------------------------------------------------------ */

int timescale_open(struct timescale **ret, const struct config *cfg, struct err *err)
{
	struct timescale *t = mem_zalloc(1, sizeof(*t));
	int failed;

	t->cfg = cfg;
	wakeup_init(&t->wakeup);
	failed = pthread_create(&t->thread, NULL, keep, t);
	if (failed) {
		wakeup_release(&t->wakeup);
		free(t);
		return err_set(err, ERR_FATAL, "no thread for the database's jobs: %s", strerror(failed));
	}
	*ret = t;
	return 0;
}

/* A job may take hours; its work is committed chunk by chunk, and whoever comes next goes on. */
static void end_statement(const struct timescale *t)
{
	CLEANUP(pg_freep) struct pg *pg = NULL;
	struct err ignored = ERR_INIT;
	int64_t backend = atomic_load(&t->backend);

	if (backend && pg_open(&pg, t->cfg, "penstock-orchestrator-jobs", &ignored) == 0)
		pg_query(pg, "SELECT pg_cancel_backend($1::integer)", PG_PARAMS(INT_TEXT(backend)), NULL, &ignored);
}

void timescale_freep(struct timescale **pointer)
{
	struct timescale *t = *pointer;

	if (!t)
		return;
	atomic_store(&t->leading, false);
	wakeup_stop(&t->wakeup);
	end_statement(t);
	pthread_join(t->thread, NULL);
	wakeup_release(&t->wakeup);
	pg_freep(&t->pg);
	free(t);
	*pointer = NULL;
}

void timescale_lead(struct timescale *t, bool leading)
{
	atomic_store(&t->leading, leading);
	if (leading)
		wakeup_wake(&t->wakeup);
}

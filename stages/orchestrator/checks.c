#include "stages/orchestrator/checks.h"

#include <inttypes.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/embed.h"
#include "common/log.h"
#include "common/mem.h"
#include "stages/orchestrator/orchestrator.h"

#define CHECKS_DIR "stages/orchestrator/checks/"
#define SUFFIX ".sql"

/* "stages/orchestrator/checks/counts.sql" -> "counts", owned by the caller; NULL for any other file. */
static char *check_name(const char *path)
{
	size_t len = strlen(path), dir = strlen(CHECKS_DIR), suffix = strlen(SUFFIX);

	if (len <= dir + suffix || strncmp(path, CHECKS_DIR, dir) != 0 || strcmp(path + len - suffix, SUFFIX) != 0)
		return NULL;
	return mem_strndup(path + dir, len - dir - suffix);
}

static int store(struct orchestrator *self, int64_t run, const char *name, const struct pg_result *r, bool passed,
		 struct err *err)
{
	if (leader_begin(&self->leader, self->pg, err) ||
	    pg_query(self->pg,
		     "INSERT INTO etl.run_checks (run, name, passed, observed, expected, detail)"
		     " VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (run, name) DO UPDATE SET"
		     " passed = EXCLUDED.passed, observed = EXCLUDED.observed, expected = EXCLUDED.expected,"
		     " detail = EXCLUDED.detail, checked_at = now()",
		     PG_PARAMS(INT_TEXT(run), name, passed ? "true" : "false", pg_text(r, 0, 0), pg_text(r, 0, 1),
			       pg_text(r, 0, 2)),
		     NULL, err))
		return -1;
	return pg_commit(self->pg, err);
}

static int run_one(struct orchestrator *self, int64_t run, const char *name, const char *sql, bool *ret_passed,
		   struct err *err)
{
	CLEANUP(pg_result_freep) struct pg_result *r = NULL;

	if (pg_query(self->pg, sql, PG_PARAMS(INT_TEXT(run)), &r, err))
		return -1;
	*ret_passed = pg_int(r, 0, 0) == pg_int(r, 0, 1);
	if (!*ret_passed)
		log_error("check_failed",
			  LOG_FIELDS(log_i64("run", run), log_str("check", name), log_i64("observed", pg_int(r, 0, 0)),
				     log_i64("expected", pg_int(r, 0, 1))),
			  "run %" PRId64 ": %s: %s instead of %s %s", run, name, pg_text(r, 0, 0), pg_text(r, 0, 1),
			  pg_text(r, 0, 2));
	return store(self, run, name, r, *ret_passed, err);
}

int checks_run(struct orchestrator *self, int64_t run, unsigned *ret_failed, struct err *err)
{
	unsigned count = 0;

	*ret_failed = 0;
	for (const struct embedded *f = embedded_files; f->path; f++) {
		CLEANUP(freep) char *name = check_name(f->path);
		bool passed;

		if (!name)
			continue;
		if (run_one(self, run, name, f->start, &passed, err))
			return err_wrap(err, "check %s", name);
		*ret_failed += !passed;
		count++;
	}
	log_info("run_validated",
		 LOG_FIELDS(log_i64("run", run), log_i64("checks", count), log_i64("failed", *ret_failed)),
		 "validation of run %" PRId64 ": %u checks, %u failed", run, count, *ret_failed);
	return 0;
}

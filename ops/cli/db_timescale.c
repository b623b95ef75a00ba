/* db timescale apply, check, status: the statements are in schemas/sql, here is their order. */
#include "ops/cli/db_timescale.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/json_in.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/pg.h"
#include "ops/cli/cli.h"
#include "ops/cli/table.h"
#include "stages/orchestrator/monthly.h"

#define ROWS_A_SECOND 50000 /* moved from partitions to chunks, keys and indexes made: at least */

#define WISHES_MAX 32

/* "--chunk", "ohlcv_data=7 days" */
struct wish {
	const char *said;
	const char *option, *sql;
};

struct timescale {
	struct wish wishes[WISHES_MAX];
	unsigned wish_count;
	struct config *cfg;
	struct pg *pg;
	char *offered, *there; /* versions: what the server has, what this database has; "": none */
	bool dry_run;
	unsigned wanting; /* what is, or was, not as it is to be */
};

static void timescale_release(struct timescale *t)
{
	free(t->offered);
	free(t->there);
	pg_freep(&t->pg);
	config_freep(&t->cfg);
}

static int open_database(struct timescale *t, struct err *err)
{
	CLEANUP(pg_result_freep) struct pg_result *r = NULL;

	log_open("penstock", LOG_ERROR);
	if (pg_open(&t->pg, t->cfg, "penstock.timescale", err) ||
	    pg_query(
		    t->pg,
		    "SELECT coalesce((SELECT default_version FROM pg_available_extensions WHERE name = 'timescaledb'), ''),"
		    " coalesce((SELECT extversion FROM pg_extension WHERE extname = 'timescaledb'), '')"
		    " FROM (SELECT count(*) FROM etl.hypertables) migrated",
		    PG_NO_PARAMS, &r, err))
		return -1;
	t->offered = mem_strdup(pg_text(r, 0, 0));
	t->there = mem_strdup(pg_text(r, 0, 1));
	return 0;
}

static const char plain[] =
	"this server has no TimescaleDB: tables are partitioned by months, ohlcv_monthly is a view; there are no compressed\n"
	"chunks, no continuous aggregate and no jobs of theirs";

/* --- what is wanted -------------------------------------------------------------------------------------------------- */

static const struct wish options[] = {
	{ NULL, "--chunk", "UPDATE etl.hypertables SET chunk_interval = $2::interval WHERE table_name = $1" },
	{ NULL, "--compress-after",
	  "UPDATE etl.hypertables SET compress_after = nullif($2, 'never')::interval WHERE table_name = $1" },
};

static void take_wishes(struct timescale *t, int *argc, char **argv)
{
	const char *said;

	for (unsigned i = 0; i < sizeof(options) / sizeof(*options); i++)
		while (t->wish_count < WISHES_MAX && (said = cli_option(argc, argv, options[i].option)))
			t->wishes[t->wish_count++] = (struct wish){ said, options[i].option, options[i].sql };
}

static int want(struct timescale *t, const struct wish *wish, struct err *err)
{
	CLEANUP(pg_result_freep) struct pg_result *r = NULL;
	CLEANUP(freep) char *table = mem_strdup(wish->said);
	char *equals = strchr(table, '=');

	if (!equals)
		return err_set(err, ERR_RECORD, "%s takes TABLE=INTERVAL, not '%s'", wish->option, wish->said);
	*equals = '\0';
	if (pg_query(t->pg, wish->sql, PG_PARAMS(table, equals + 1), &r, err))
		return -1;
	return pg_affected(r) ? 0 : err_set(err, ERR_RECORD, "%s: there is no table '%s'", wish->option, table);
}

static int want_all(struct timescale *t, struct err *err)
{
	for (unsigned i = 0; i < t->wish_count; i++)
		if (want(t, &t->wishes[i], err))
			return -1;
	return 0;
}

/* --- from partitions to chunks ----------------------------------------------------------------------------------------- */

static double seconds_since(int64_t ns)
{
	return (double)(clock_monotonic_ns() - ns) / NS_PER_SECOND;
}

static int move_parts(struct timescale *t, const char *table, int64_t started, int64_t *ret_moved, struct err *err)
{
	CLEANUP(pg_result_freep) struct pg_result *parts = NULL;

	if (pg_query(t->pg, "SELECT part, rows_estimated FROM etl.begin_hypertable($1)", PG_PARAMS(table), &parts, err))
		return -1;
	for (int i = 0; i < pg_rows(parts); i++) {
		CLEANUP(pg_result_freep) struct pg_result *r = NULL;

		if (pg_query(t->pg, "SELECT etl.move_part($1, $2)", PG_PARAMS(table, pg_text(parts, i, 0)), &r, err))
			return -1;
		*ret_moved += pg_int(r, 0, 0);
		printf("%s: partition %d of %d, %" PRId64 " rows moved, %.1f s\n", table, i + 1, pg_rows(parts),
		       *ret_moved, seconds_since(started));
		fflush(stdout);
	}
	return 0;
}

/* All of a table or nothing of it; nobody reads or writes it meanwhile. */
static int convert(struct timescale *t, const char *table, struct err *err)
{
	CLEANUP(freep) char *analyze = mem_printf("ANALYZE %s", table);
	int64_t started = clock_monotonic_ns(), moved = 0;

	if (pg_begin(t->pg, err) || move_parts(t, table, started, &moved, err) ||
	    pg_query(t->pg, "SELECT etl.finish_hypertable($1)", PG_PARAMS(table), NULL, err) || pg_commit(t->pg, err) ||
	    pg_exec(t->pg, analyze, err)) {
		pg_rollback(t->pg);
		return -1;
	}
	printf("%s: a hypertable now, %" PRId64 " rows moved in %.1f s\n", table, moved, seconds_since(started));
	return 0;
}

static void tell_of_converting(const struct pg_result *tables, int row)
{
	printf("%s: would be a hypertable: about %s rows in %s partitions to be moved, %s, nobody can use it for %" PRId64
	       " s at most\n",
	       pg_text(tables, row, 0), pg_text(tables, row, 2), pg_text(tables, row, 3), pg_text(tables, row, 4),
	       pg_int(tables, row, 2) / ROWS_A_SECOND + 1);
}

/* --- the rest -------------------------------------------------------------------------------------------------------- */

static int settle(struct timescale *t, const char *what, const char *sql, struct err *err)
{
	CLEANUP(pg_result_freep) struct pg_result *r = NULL;

	if (pg_query(t->pg, sql, PG_PARAMS(t->dry_run ? "true" : "false", what), &r, err))
		return err_wrap(err, "%s", what);
	for (int i = 0; i < pg_rows(r); i++)
		printf("%s: %s %s\n", what, t->dry_run ? "wanted:" : "now", pg_text(r, i, 0));
	t->wanting += (unsigned)pg_rows(r);
	if (pg_rows(r) == 0)
		printf("%s: as it is to be\n", what);
	return 0;
}

static int settle_table(struct timescale *t, const struct pg_result *tables, int row, struct err *err)
{
	const char *table = pg_text(tables, row, 0);
	bool made = pg_bool(tables, row, 1);

	if (!made) {
		t->wanting++;
		if (t->dry_run)
			tell_of_converting(tables, row);
		else if (convert(t, table, err))
			return err_wrap(err, "%s", table);
	}
	if (t->dry_run && !made)
		return 0;
	return settle(t, table, "SELECT x FROM etl.settle_hypertable($2, $1::boolean) x", err);
}

static int settle_all(struct timescale *t, struct err *err)
{
	CLEANUP(pg_result_freep) struct pg_result *tables = NULL;
	bool refreshed;

	if (pg_query(
		    t->pg,
		    "SELECT h.table_name, h.made_at IS NOT NULL, p.rows, p.parts, pg_size_pretty(etl.table_bytes(h.table_name::regclass))"
		    " FROM etl.hypertables h, LATERAL (SELECT coalesce(sum(rows_estimated), 0)::bigint AS rows, count(*) AS parts"
		    "                                  FROM etl.parts(h.table_name::regclass)) p ORDER BY h.table_name",
		    PG_NO_PARAMS, &tables, err))
		return -1;
	for (int i = 0; i < pg_rows(tables); i++)
		if (settle_table(t, tables, i, err))
			return -1;
	if (settle(t, "ohlcv_monthly", "SELECT x FROM etl.settle_monthly($1::boolean) x WHERE $2::text IS NOT NULL",
		   err))
		return -1;
	return t->dry_run ? 0 : monthly_refresh(t->pg, &refreshed, err);
}

static int create_extension(struct timescale *t, struct err *err)
{
	if (pg_exec(t->pg, "CREATE EXTENSION IF NOT EXISTS timescaledb", err))
		return err_wrap(err, "the extension cannot be made here; it has to be in shared_preload_libraries");
	printf("timescaledb %s: made\n", t->offered);
	return 0;
}

static int apply(struct timescale *t, struct err *err)
{
	if (!t->offered[0]) {
		puts(plain);
		return 0;
	}
	if (!t->there[0] && t->dry_run) {
		printf("timescaledb %s: would be made\n", t->offered);
		t->wanting++;
	} else if (!t->there[0] && create_extension(t, err)) {
		return -1;
	}
	/* What is only told of is wanted for as long as it is told. */
	if (t->dry_run && pg_begin(t->pg, err))
		return -1;
	if (pg_query(t->pg, "SELECT pg_advisory_lock(hashtext('etl.timescale'))", PG_NO_PARAMS, NULL, err) ||
	    want_all(t, err) || settle_all(t, err))
		return -1;
	if (t->dry_run)
		pg_rollback(t->pg);
	return 0;
}

static int run(const char *command, struct timescale *t, int argc, char **argv)
{
	struct err err = ERR_INIT;

	if (cli_config(&t->cfg, &argc, argv, &err))
		return cli_fail(command, &err), EXIT_USAGE;
	if (cli_leftover(command, argc, argv, 0))
		return EXIT_USAGE;
	if (open_database(t, &err) || apply(t, &err))
		return cli_fail(command, &err);
	return EXIT_OK;
}

int command_db_timescale_apply(int argc, char **argv)
{
	CLEANUP(timescale_release) struct timescale t = { .dry_run = cli_flag(&argc, argv, "--dry-run") };

	take_wishes(&t, &argc, argv);
	return run("db timescale apply", &t, argc, argv);
}

int command_db_timescale_check(int argc, char **argv)
{
	CLEANUP(timescale_release) struct timescale t = { .dry_run = true };
	int code = run("db timescale check", &t, argc, argv);

	return code == EXIT_OK && t.wanting ? EXIT_FAILED : code;
}

/* --- status ------------------------------------------------------------------------------------------------------------ */

static const char status_sql[] =
	"SELECT json_build_object("
	" 'version', etl.timescale_version(), 'complete', etl.timescale_complete(),"
	" 'hypertables', (SELECT coalesce(json_agg(f), '[]') FROM ("
	"     SELECT hypertable, time_column, dimensions, chunk_interval::text AS chunk_interval,"
	"            coalesce(compress_after::text, 'never') AS compress_after, chunks, compressed_chunks, overdue_chunks,"
	"            bytes, pg_size_pretty(bytes) AS size, before_bytes, after_bytes,"
	"            round(before_bytes::numeric / nullif(after_bytes, 0), 2)::text AS ratio"
	"     FROM etl.hypertable_figures()) f),"
	" 'jobs', (SELECT coalesce(json_agg(j), '[]') FROM ("
	"     SELECT job, name, about, every::text AS every, scheduled, coalesce(there_status, 'never') AS scheduler,"
	"            there_at AS scheduler_at, next_at,"
	"            CASE WHEN here_ok THEN 'Success' WHEN NOT here_ok THEN 'Failed' ELSE 'never' END AS ours,"
	"            here_at AS ours_at, runs AS our_runs, message"
	"     FROM etl.timescale_jobs()) j))";

static void print_rows(const json_t *rows, const char *columns)
{
	CLEANUP(table_freep) struct table *table = table_new(columns);
	json_t *row;
	size_t at;

	json_array_foreach(rows, at, row) table_add(table, row);
	table_print(table);
}

static void print_status(const json_t *status)
{
	const char *version = json_string_value(json_object_get(status, "version"));
	const json_t *hypertables = json_object_get(status, "hypertables"), *jobs = json_object_get(status, "jobs");

	if (!version) {
		puts(plain);
		return;
	}
	printf("TimescaleDB %s%s\n", version,
	       json_is_true(json_object_get(status, "complete")) ? ""
								 : ", its free part alone: no compression, no jobs");
	if (json_array_size(hypertables) == 0)
		puts("no hypertables: penstock db timescale apply");
	print_rows(
		hypertables,
		"hypertable size dimensions chunk_interval chunks compressed_chunks overdue_chunks compress_after ratio");
	print_rows(jobs, "job name about every scheduler scheduler_at ours ours_at message");
}

int command_db_timescale_status(int argc, char **argv)
{
	CLEANUP(config_freep) struct config *cfg = NULL;
	CLEANUP(pg_freep) struct pg *pg = NULL;
	CLEANUP(pg_result_freep) struct pg_result *r = NULL;
	CLEANUP(json_freep) json_t *status = NULL;
	bool as_json = cli_flag(&argc, argv, "--json");
	struct err err = ERR_INIT;

	if (cli_config(&cfg, &argc, argv, &err))
		return cli_fail("db timescale status", &err), EXIT_USAGE;
	if (cli_leftover("db timescale status", argc, argv, 0))
		return EXIT_USAGE;
	log_open("penstock", LOG_ERROR);
	if (pg_open(&pg, cfg, "penstock.timescale", &err) ||
	    pg_query(pg, "SELECT FROM etl.hypertables LIMIT 1", PG_NO_PARAMS, NULL, &err) ||
	    pg_query(pg, status_sql, PG_NO_PARAMS, &r, &err))
		return cli_fail("db timescale status", &err);
	status = json_loads(pg_text(r, 0, 0), 0, NULL);
	if (!as_json)
		print_status(status);
	else if (json_dumpf(status, stdout, JSON_INDENT(2) | JSON_PRESERVE_ORDER) == 0)
		putchar('\n');
	return EXIT_OK;
}

/* `penstock status`: the pipeline at a glance, and with --comprehensive in the guides' nine lines. */
#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "common/buf.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "common/json_in.h"
#include "common/mem.h"
#include "ops/cli/api.h"
#include "ops/cli/cli.h"
#include "ops/cli/test_api.h"

#define TEXT_MAX 4096
#define QUERIES 5 /* that the average is of */

static int64_t number(const json_t *object, const char *key)
{
	return json_integer_value(json_object_get(object, key));
}

static const char *text(const json_t *object, const char *key)
{
	const char *value = json_string_value(json_object_get(object, key));

	return value ? value : "";
}

static bool is_well(const json_t *status)
{
	return json_array_size(json_object_get(status, "alarms")) == 0 &&
	       strcmp(text(status, "status"), "degraded") != 0;
}

/* --- the assessment ---------------------------------------------------------------------------------------------------- */

enum wanted { WANTED_ALL = 1, WANTED_DATABASE = 2, WANTED_API = 4 };

static unsigned wanted_of(int *argc, char **argv)
{
	unsigned wanted = cli_flag(argc, argv, "--comprehensive") ? WANTED_ALL : 0;

	wanted |= cli_flag(argc, argv, "--check-db") ? WANTED_DATABASE : 0;
	return wanted | (cli_flag(argc, argv, "--check-api") ? WANTED_API : 0);
}

struct assessment {
	const struct config *cfg;
	const char *config; /* the file, as --config said it; NULL: the usual one */
	json_t *status, *database;
	double query_ms;
	struct err unreachable; /* why nothing is known of what the orchestrator knows */
};

static void assessment_release(struct assessment *a)
{
	json_decref(a->status);
	json_decref(a->database);
}

static void ask(struct assessment *a)
{
	int64_t started;

	if (api_call(a->cfg, "GET", "/api/v1/status", NULL, &a->database, &a->unreachable)) {
		json_decref(a->database); /* it says what is wrong, and nothing of the database */
		a->database = NULL;
		return;
	}
	started = clock_monotonic_ns();
	for (int i = 0; i < QUERIES && a->unreachable.kind == ERR_OK; i++) {
		json_decref(a->status);
		a->status = NULL;
		api_call(a->cfg, "GET", "/api/etl/status", NULL, &a->status, &a->unreachable);
	}
	if (a->unreachable.kind != ERR_OK) {
		json_decref(a->status);
		a->status = NULL;
	}
	a->query_ms = (double)(clock_monotonic_ns() - started) / 1e6 / QUERIES;
}

static const json_t *of_database(const struct assessment *a)
{
	return json_object_get(a->database, "database");
}

/* Each says what it found; false: that is not well. */
typedef bool look_fn(struct assessment *a, struct buf *out);

static bool look_system(struct assessment *a, struct buf *out)
{
	bool well = a->status && is_well(a->status);

	buf_printf(out, "%s", !a->status ? "UNREACHABLE" : well ? "HEALTHY" : "ALARM");
	return well;
}

static bool look_database(struct assessment *a, struct buf *out)
{
	const char *timescale = text(of_database(a), "timescaledb");
	const json_t *s = json_object_get(of_database(a), "timescale");

	if (!a->database) {
		buf_printf(out, "Unknown: %s", a->unreachable.text);
		return false;
	}
	buf_printf(out, "Connected (%s%s%s)", text(of_database(a), "version"), timescale[0] ? ", TimescaleDB " : "",
		   timescale);
	if (number(s, "hypertables") > 0)
		buf_printf(out,
			   ": %" PRId64 " hypertables, %" PRId64 " of %" PRId64 " chunks compressed, %" PRId64
			   " overdue, %" PRId64 " of %" PRId64 " jobs fail in its scheduler, %" PRId64 " here",
			   number(s, "hypertables"), number(s, "compressed_chunks"), number(s, "chunks"),
			   number(s, "overdue_chunks"), number(s, "jobs_failed_there"), number(s, "jobs"),
			   number(s, "jobs_failed"));
	return number(s, "jobs_failed") == 0;
}

static bool look_api(struct assessment *a, struct buf *out)
{
	CLEANUP(buf_release) struct buf found = BUF_INIT(TEXT_MAX);
	int r = test_api_databento(a->config, &found);

	if (r < 0)
		buf_put_text(out, "no vendor's key is configured");
	else
		buf_printf(out, "%s (%s)", r ? "Databento connection valid" : "Databento connection FAILED",
			   buf_text(&found));
	return r != 0;
}

static bool look_storage(struct assessment *a, struct buf *out)
{
	struct statvfs fs;

	if (statvfs(".", &fs)) {
		buf_put_text(out, "unknown");
		return false;
	}
	buf_printf(out, "%.1fGB available here, the database has %.1fGB",
		   (double)fs.f_bavail * (double)fs.f_frsize / 1e9, (double)number(of_database(a), "bytes") / 1e9);
	return true;
}

/* The local stack's, beside the configuration file; elsewhere whoever started the workers has their stderr. */
static char *log_folder(const struct assessment *a)
{
	CLEANUP(freep) char *copy = mem_strdup(cli_config_file(a->config));
	char *slash = strrchr(copy, '/');

	if (slash)
		*slash = '\0';
	return mem_printf("%s/log", slash ? copy : ".");
}

static bool look_logs(struct assessment *a, struct buf *out)
{
	CLEANUP(freep) char *folder = log_folder(a);
	DIR *dir = opendir(folder);
	struct dirent *entry;
	unsigned files = 0;
	double bytes = 0;

	if (!dir) {
		buf_put_text(out, "on the standard error of each process");
		return true;
	}
	while ((entry = readdir(dir))) {
		struct stat st;

		if (fstatat(dirfd(dir), entry->d_name, &st, 0) == 0 && S_ISREG(st.st_mode)) {
			files++;
			bytes += (double)st.st_size;
		}
	}
	closedir(dir);
	buf_printf(out, "%s/ (%u files, %.1fMB)", folder, files, bytes / 1e6);
	return true;
}

static bool look_quarantine(struct assessment *a, struct buf *out)
{
	int64_t all = number(of_database(a), "dead_letters");

	if (!a->database)
		buf_put_text(out, "unknown");
	else if (all == 0)
		buf_put_text(out, "etl.dlq (empty)");
	else
		buf_printf(out, "etl.dlq (%" PRId64 " dead letters, %" PRId64 " of the last 24 h)", all,
			   number(of_database(a), "dead_letters_24h"));
	return a->database;
}

static bool look_query_time(struct assessment *a, struct buf *out)
{
	if (a->status)
		buf_printf(out, "%.1fms (status, %d times)", a->query_ms, QUERIES);
	else
		buf_put_text(out, "unknown");
	return a->status;
}

static bool look_ingestion(struct assessment *a, struct buf *out)
{
	const char *last = text(of_database(a), "last_ingestion");

	buf_put_text(out, last[0] ? last : a->database ? "nothing in the last 30 days" : "unknown");
	return a->database;
}

static bool look_integrity(struct assessment *a, struct buf *out)
{
	const json_t *rate = json_object_get(of_database(a), "validation_rate_pct");

	if (json_is_number(rate))
		buf_printf(out, "%.2f%% validation success rate (24 h, %" PRId64 " records)", json_number_value(rate),
			   number(of_database(a), "records_24h"));
	else
		buf_put_text(out, a->database ? "no records in the last 24 h" : "unknown");
	return a->database;
}

static const struct {
	const char *label, *key;
	unsigned wanted;
	look_fn *look;
} lines[] = {
	{ "System Status", "system_status", WANTED_ALL, look_system },
	{ "Database", "database", WANTED_ALL | WANTED_DATABASE, look_database },
	{ "API", "api", WANTED_ALL | WANTED_API, look_api },
	{ "Storage", "storage", WANTED_ALL, look_storage },
	{ "Logs", "logs", WANTED_ALL, look_logs },
	{ "Quarantine", "quarantine", WANTED_ALL, look_quarantine },
	{ "Average Query Time", "average_query_time", WANTED_ALL, look_query_time },
	{ "Last Ingestion", "last_ingestion", WANTED_ALL, look_ingestion },
	{ "Data Integrity", "data_integrity", WANTED_ALL, look_integrity },
};

/* Exit code 1 where something of what was wanted is not well. */
static int assess(const struct config *cfg, const char *config, unsigned wanted, bool as_json)
{
	CLEANUP(assessment_release) struct assessment a = { .cfg = cfg, .config = config, .unreachable = ERR_INIT };
	CLEANUP(json_freep) json_t *found = json_object();
	bool well = true;

	if (wanted != WANTED_API)
		ask(&a);
	for (unsigned i = 0; i < sizeof(lines) / sizeof(*lines); i++) {
		CLEANUP(buf_release) struct buf said = BUF_INIT(TEXT_MAX);
		bool line_well;

		if (!(lines[i].wanted & wanted))
			continue;
		line_well = lines[i].look(&a, &said);
		well = well && line_well;
		json_object_set_new(found, lines[i].key,
				    json_pack("{s:b, s:s}", "ok", line_well, "text", buf_text(&said)));
		if (!as_json)
			printf("%s: %s\n", lines[i].label, buf_text(&said));
	}
	if (as_json && json_dumpf(found, stdout, JSON_INDENT(2) | JSON_PRESERVE_ORDER) == 0)
		putchar('\n');
	return well ? EXIT_OK : EXIT_FAILED;
}

/* --- at a glance --------------------------------------------------------------------------------------------------------- */

static void print_status(const json_t *status)
{
	const json_t *runs = json_object_get(status, "runs"), *last = json_object_get(status, "last_run");
	size_t i;
	json_t *alarm_text;

	printf("status        %s\n", text(status, "status"));
	printf("runs          %" PRId64 " pending, %" PRId64 " running, %" PRId64 " successful, %" PRId64 " failed\n",
	       number(runs, "pending"), number(runs, "running"), number(runs, "success"), number(runs, "failed"));
	printf("in flight     %" PRId64 "\n", number(status, "in_flight"));
	printf("dead letters  %" PRId64 "\n", number(status, "dead_letters"));
	if (json_is_object(last))
		printf("last run      %" PRId64 ": %s, balanced: %s\n", number(last, "run"), text(last, "status"),
		       json_is_true(json_object_get(last, "balanced")) ? "yes" : "no");
	json_array_foreach(json_object_get(status, "alarms"), i, alarm_text)
		printf("ALARM         %s\n", json_string_value(alarm_text));
}

int command_status(int argc, char **argv)
{
	CLEANUP(config_freep) struct config *cfg = NULL;
	CLEANUP(json_freep) json_t *status = NULL;
	unsigned wanted = wanted_of(&argc, argv);
	bool as_json = cli_flag(&argc, argv, "--json");
	const char *config = cli_config_option(argc, argv);
	struct err err = ERR_INIT;

	if (cli_config(&cfg, &argc, argv, &err))
		return cli_fail("status", &err), EXIT_USAGE;
	if (cli_leftover("status", argc, argv, 0))
		return EXIT_USAGE;
	if (wanted)
		return assess(cfg, config, wanted, as_json);
	if (api_call(cfg, "GET", "/api/etl/status", NULL, &status, &err))
		return cli_fail("status", &err);
	if (as_json && json_dumpf(status, stdout, JSON_INDENT(2) | JSON_PRESERVE_ORDER) == 0)
		putchar('\n');
	else if (!as_json)
		print_status(status);
	return is_well(status) ? EXIT_OK : EXIT_FAILED;
}

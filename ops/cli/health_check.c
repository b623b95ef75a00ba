/* The guides' health_check.sh as one command: timestamp, workers, disk space, database, errors of the last hour, memory. */
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/json_in.h"
#include "common/kafka_admin.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/pg.h"
#include "common/topics.h"
#include "ops/cli/api.h"
#include "ops/cli/cli.h"
#include "ops/cli/health.h"
#include "ops/cli/local_workers.h"
#include "ops/cli/table.h"

#define MINUTES "60"
#define DISK_FREE_MIN 20 /* per cent */

struct health {
	const struct config *cfg;
	const char *config; /* the file */
	int64_t disk_free_min;
	struct local_worker *here;
	unsigned here_count;
};

static json_t *unknown(const struct err *err)
{
	return json_pack("{s:b, s:s}", "ok", 0, "text", err->text);
}

/* --- workers ------------------------------------------------------------------------------------------------------------- */

static int64_t count_here(const struct health *h, const char *kind)
{
	int64_t n = 0;

	for (unsigned i = 0; i < h->here_count; i++)
		n += strcmp(h->here[i].kind, kind) == 0;
	return n;
}

/* One that answers is alive; how many stand by is known of this machine only. */
static int count_orchestrators(const struct health *h, int64_t *ret, struct err *err)
{
	CLEANUP(json_freep) json_t *answer = NULL;
	int64_t here = count_here(h, "orchestrator");

	if (api_call(h->cfg, "GET", "/health", NULL, &answer, err) && !answer) {
		*ret = 0;
		return 0;
	}
	*ret = here > 1 ? here : 1;
	return 0;
}

/* The others are members of their groups while they live; one that was killed still is, until its session is over. */
static int count_members(const struct topics *topics, struct kafka_admin *admin, const char *kind, int64_t *ret,
			 struct err *err)
{
	CLEANUP(freep) char *group = mem_printf("penstock.%s", kind);
	unsigned members = 0;
	int r = kafka_admin_members(admin, topics_group(topics, group), &members, err);

	*ret = members;
	return r;
}

static json_t *worker_row(const struct health *h, const char *kind, bool known, int64_t alive)
{
	return json_pack("{s:s, s:o, s:I, s:s}", "kind", kind, "alive", known ? json_integer(alive) : json_null(),
			 "here", (json_int_t)count_here(h, kind), "state",
			 !known      ? "unknown"
			 : alive > 0 ? "alive"
				     : "MISSING");
}

static json_t *look_workers(struct health *h)
{
	CLEANUP(topics_freep) struct topics *topics = NULL;
	CLEANUP(kafka_admin_freep) struct kafka_admin *admin = NULL;
	json_t *found = json_pack("{s:b, s:s, s:[]}", "ok", 1, "text", "", "workers");
	struct err err = ERR_INIT;
	bool reached = topics_open(&topics, h->cfg, &err) == 0 && kafka_admin_open(&admin, h->cfg, &err) == 0;

	for (const char *const *w = cli_workers; *w; w++) {
		bool orchestrator = strcmp(*w, "orchestrator") == 0, known;
		struct err silent = ERR_INIT;
		int64_t alive = 0;

		if (strcmp(*w, "simulator") == 0)
			continue;
		known = orchestrator ? count_orchestrators(h, &alive, &silent) == 0
				     : reached && count_members(topics, admin, *w, &alive, &err) == 0;
		reached = reached && (orchestrator || known); /* one that does not answer is not waited for again */
		if (!known || alive == 0)
			json_object_set_new(found, "ok", json_false());
		json_array_append_new(json_object_get(found, "workers"), worker_row(h, *w, known, alive));
	}
	json_object_set_new(found, "text", json_string(err.text));
	return found;
}

/* --- disk, database, errors, memory ---------------------------------------------------------------------------------------- */

static json_t *look_disk(struct health *h)
{
	struct statvfs fs;
	double free_pct;

	if (statvfs(".", &fs) || fs.f_blocks == 0)
		return json_pack("{s:b, s:s}", "ok", 0, "text", "unknown: this folder's file system does not tell");
	free_pct = 100.0 * (double)fs.f_bavail / (double)fs.f_blocks;
	return json_pack("{s:b, s:o, s:f, s:f}", "ok", free_pct >= (double)h->disk_free_min, "text",
			 json_sprintf("%.1f GB (%.0f%%) available here, %" PRId64 "%% are wanted",
				      (double)fs.f_bavail * (double)fs.f_frsize / 1e9, free_pct, h->disk_free_min),
			 "free_pct", free_pct, "free_bytes", (double)fs.f_bavail * (double)fs.f_frsize);
}

/* Asked through the orchestrator; where that is away, the database may be there all the same. */
static json_t *look_database(struct health *h)
{
	CLEANUP(json_freep) json_t *status = NULL;
	CLEANUP(pg_freep) struct pg *pg = NULL;
	CLEANUP(pg_result_freep) struct pg_result *r = NULL;
	struct err through = ERR_INIT, err = ERR_INIT;

	if (api_call(h->cfg, "GET", "/api/v1/status", NULL, &status, &through) == 0)
		return json_pack("{s:b, s:o}", "ok", 1, "text",
				 json_sprintf("ready (%s)", json_string_value(json_object_get(
								    json_object_get(status, "database"), "version"))));
	if (pg_open(&pg, h->cfg, "penstock.health", &err) ||
	    pg_query(pg, "SELECT split_part(version(), ' on ', 1)", PG_NO_PARAMS, &r, &err))
		return unknown(&err);
	return json_pack(
		"{s:b, s:o}", "ok", 1, "text",
		json_sprintf("ready (%s), but not through the orchestrator: %s", pg_text(r, 0, 0), through.text));
}

static json_t *look_errors(struct health *h)
{
	CLEANUP(json_freep) json_t *answer = NULL;
	struct err err = ERR_INIT;
	json_int_t total = 0;
	bool ok = true;
	size_t i;
	json_t *row;

	if (api_call(h->cfg, "GET", "/api/v1/errors?minutes=" MINUTES, NULL, &answer, &err))
		return unknown(&err);
	json_array_foreach(json_object_get(answer, "errors"), i, row)
	{
		total += json_integer_value(json_object_get(row, "errors"));
		ok = ok && !json_is_true(json_object_get(row, "trouble"));
	}
	return json_pack("{s:b, s:o, s:I, s:O}", "ok", ok, "text", json_sprintf("%" JSON_INTEGER_FORMAT, total),
			 "total", total, "errors", json_object_get(answer, "errors"));
}

static json_t *look_memory(struct health *h)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < h->here_count; i++)
		json_array_append_new(list,
				      json_pack("{s:s, s:i, s:I, s:I}", "worker", h->here[i].kind, "pid",
						h->here[i].pid, "resident_kib", (json_int_t)h->here[i].resident_kib,
						"peak_kib", (json_int_t)h->here[i].peak_kib));
	return json_pack("{s:b, s:o, s:o}", "ok", 1, "text",
			 h->here_count > 0 ? json_string("")
					   : json_sprintf("no worker that reads %s is seen on this machine", h->config),
			 "memory", list);
}

/* --- the command --------------------------------------------------------------------------------------------------------- */

static const struct {
	const char *name, *title, *list, *columns;
	json_t *(*look)(struct health *h);
} sections[] = {
	{ "workers", "Workers", "workers", "kind alive here state", look_workers },
	{ "disk", "Disk space", NULL, NULL, look_disk },
	{ "database", "Database", NULL, NULL, look_database },
	{ "errors", "Errors in the last " MINUTES " minutes", "errors", "kind name errors last_at", look_errors },
	{ "memory", "Memory", "memory", "worker pid resident_kib peak_kib", look_memory },
};

static void print_section(unsigned section, const json_t *found)
{
	CLEANUP(table_freep) struct table *table = table_new(sections[section].columns);
	const char *text = json_string_value(json_object_get(found, "text"));
	size_t i;
	json_t *row;

	printf("\n%s:%s%s%s\n", sections[section].title, text[0] ? " " : "", text,
	       json_is_true(json_object_get(found, "ok")) ? "" : "  <- NOT WELL");
	if (!sections[section].list)
		return;
	json_array_foreach(json_object_get(found, sections[section].list), i, row) table_add(table, row);
	table_print(table);
}

static json_t *look_at_all(struct health *h, bool as_json, bool *ret_ok)
{
	json_t *all = json_object();
	char now[CLOCK_TEXT_MAX];

	clock_format(clock_now_ns(), 0, now);
	json_object_set_new(all, "timestamp", json_string(now));
	if (!as_json)
		printf("Health check at %s\n", now);
	*ret_ok = true;
	for (unsigned i = 0; i < sizeof(sections) / sizeof(*sections); i++) {
		json_t *found = sections[i].look(h);

		*ret_ok = *ret_ok && json_is_true(json_object_get(found, "ok"));
		json_object_set_new(all, sections[i].name, found);
		if (!as_json)
			print_section(i, found);
	}
	json_object_set_new(all, "healthy", json_boolean(*ret_ok));
	return all;
}

static int read_disk_free_min(struct health *h, const char *text)
{
	if (!cli_number("health_check", "--disk-free-min", text, &h->disk_free_min))
		return EXIT_USAGE;
	if (h->disk_free_min <= 100)
		return 0;
	fprintf(stderr, "penstock health_check: --disk-free-min takes per cent, not %s\n", text);
	return EXIT_USAGE;
}

/* What cannot be asked is not well either: every section is there in any case. */
int command_health_check(int argc, char **argv)
{
	CLEANUP(config_freep) struct config *cfg = NULL;
	CLEANUP(json_freep) json_t *all = NULL;
	bool as_json = cli_flag(&argc, argv, "--json"), ok;
	struct health h = { .config = cli_config_file(cli_config_option(argc, argv)), .disk_free_min = DISK_FREE_MIN };
	CLEANUP(freep) struct local_worker *here = NULL;
	struct err err = ERR_INIT;

	log_open("penstock", LOG_ERROR); /* what Kafka's client tries meanwhile, the error sums up */
	if (read_disk_free_min(&h, cli_option(&argc, argv, "--disk-free-min")))
		return EXIT_USAGE;
	if (cli_config(&cfg, &argc, argv, &err))
		return cli_fail("health_check", &err), EXIT_USAGE;
	if (cli_leftover("health_check", argc, argv, 0))
		return EXIT_USAGE;
	h.cfg = cfg;
	h.here_count = local_workers(h.config, &here);
	h.here = here;
	all = look_at_all(&h, as_json, &ok);
	if (as_json && json_dumpf(all, stdout, JSON_INDENT(2) | JSON_PRESERVE_ORDER) == 0)
		putchar('\n');
	return ok ? EXIT_OK : EXIT_FAILED;
}

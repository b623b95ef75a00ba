#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "common/json_in.h"
#include "common/mem.h"
#include "ops/cli/api.h"
#include "ops/cli/cli.h"

#define POLL_MS 250

static int64_t number(const json_t *object, const char *key)
{
	return json_integer_value(json_object_get(object, key));
}

static const char *text(const json_t *object, const char *key)
{
	const char *value = json_string_value(json_object_get(object, key));

	return value ? value : "";
}

static bool is_over(const json_t *run)
{
	const char *status = text(run, "status");

	return strcmp(status, "success") == 0 || strcmp(status, "failed") == 0;
}

/* Nothing of it goes on before somebody says so. */
static bool is_spent(const json_t *run)
{
	return strcmp(text(run, "held"), "budget") == 0;
}

static int run_exit_code(const json_t *run)
{
	return strcmp(text(run, "status"), "failed") == 0 || is_spent(run) ? EXIT_FAILED : EXIT_OK;
}

static void print_json(const json_t *json)
{
	json_dumpf(json, stdout, JSON_INDENT(2) | JSON_PRESERVE_ORDER);
	putchar('\n');
}

/* --- the report ------------------------------------------------------------------------------------------------------ */

static void print_counts(const json_t *run)
{
	static const char *const rows[][2] = {
		{ "fetched", "records with an ordinal" },
		{ "inserted", "new rows" },
		{ "updated", "rows that a newer reading corrected" },
		{ "unchanged", "rows that were there already" },
		{ "duplicate", "the same row again in one batch" },
		{ "superseded", "older than the row that is there" },
		{ "dead_letters", "refused, with their reasons in etl.dlq" },
		{ "in_flight", "not accounted for yet" },
	};

	for (unsigned i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		printf("  %-13s %12" PRId64 "  %s\n", rows[i][0], number(run, rows[i][0]), rows[i][1]);
	if (number(run, "withdrawn") > 0)
		printf("  %-13s %12" PRId64 "  rows removed that the vendor no longer has (`penstock withdrawals`)\n",
		       "withdrawn", number(run, "withdrawn"));
	if (number(run, "expired_attempts") > 0)
		printf("  %-13s %12" PRId64 "  in %" PRId64
		       " attempts that had records skipped (`penstock offsets skip`)"
		       " and were fetched again\n",
		       "expired", number(run, "expired_records"), number(run, "expired_attempts"));
}

static void print_checks(const json_t *run)
{
	size_t i;
	json_t *check;

	json_array_foreach(json_object_get(run, "checks"), i, check)
		printf("  check %-17s %s  observed %" PRId64 ", expected %" PRId64 "%s%s\n", text(check, "name"),
		       json_is_true(json_object_get(check, "passed")) ? "passed" : "FAILED", number(check, "observed"),
		       number(check, "expected"), text(check, "detail")[0] ? ": " : "", text(check, "detail"));
}

/* What a vendor asked for what the run was to fetch. */
static void print_quotes(const json_t *run)
{
	size_t i;
	json_t *quote;

	json_array_foreach(json_object_get(run, "quotes"), i, quote)
	{
		const char *cost = text(quote, "cost_usd");

		printf("  quote %-17s %s USD of %s at most, %" PRId64 " records, %" PRId64 " bytes, %" PRId64
		       " windows to fetch\n",
		       text(quote, "subscription"), cost[0] ? cost : "?", text(quote, "cost_max_usd"),
		       number(quote, "records"), number(quote, "bytes"), number(quote, "windows"));
	}
}

static void print_rule_sets(const json_t *run)
{
	size_t i;
	json_t *set;

	json_array_foreach(json_object_get(run, "rule_sets"), i, set)
		printf("%s%s", i ? ", " : "  rules         ", text(set, "rule_set"));
	if (i > 0)
		printf("\n");
}

/* Records per second between the run's start and its end, 0 where they are not known. */
static double rate_of(const json_t *run, double *ret_seconds)
{
	int64_t from, to;

	*ret_seconds = 0;
	if (!clock_parse(str_of(text(run, "started_at")), &from) ||
	    !clock_parse(str_of(text(run, "finished_at")), &to) || to <= from)
		return 0;
	*ret_seconds = (double)(to - from) / 1e9;
	return (double)number(run, "fetched") / *ret_seconds;
}

static void print_run(const json_t *run)
{
	double seconds, rate = rate_of(run, &seconds);

	printf("run %" PRId64 " (%s): %s%s%s\n", number(run, "run"), text(run, "kind"), text(run, "status"),
	       text(run, "message")[0] ? ": " : "", text(run, "message"));
	if (is_spent(run))
		printf("  its budget is spent: `penstock run resume %" PRId64 " --budget …` lets it go on\n",
		       number(run, "run"));
	else if (strcmp(text(run, "held"), "paused") == 0)
		printf("  it is paused: `penstock run resume %" PRId64 "` lets it go on\n", number(run, "run"));
	print_counts(run);
	printf("  balanced      %12s  %s\n", json_is_true(json_object_get(run, "balanced")) ? "yes" : "NO",
	       "fetched = everything that became of it, by count and by mix");
	print_rule_sets(run);
	print_checks(run);
	print_quotes(run);
	printf("  tasks %" PRId64 " of %" PRId64 " closed", number(run, "tasks_closed"), number(run, "tasks"));
	if (seconds > 0)
		printf(", %.1f s, %.0f records/s", seconds, rate);
	printf("\n");
}

static int fetch_run(const struct config *cfg, const char *id, json_t **ret, struct err *err)
{
	CLEANUP(json_freep) json_t *list = NULL;
	CLEANUP(freep) char *path = NULL;
	json_t *last;

	if (!id) {
		if (api_call(cfg, "GET", "/api/v1/runs?limit=1", NULL, &list, err))
			return -1;
		last = json_array_get(json_object_get(list, "runs"), 0);
		if (!last)
			return err_set(err, ERR_RECORD, "there is no run yet; `penstock run full` starts one");
		path = mem_printf("/api/v1/runs/%" PRId64, number(last, "run"));
	} else {
		path = mem_printf("/api/v1/runs/%s", id);
	}
	return api_call(cfg, "GET", path, NULL, ret, err);
}

int command_run_show(int argc, char **argv)
{
	CLEANUP(config_freep) struct config *cfg = NULL;
	CLEANUP(json_freep) json_t *run = NULL;
	struct err err = ERR_INIT;
	bool as_json = cli_flag(&argc, argv, "--json");

	if (cli_config(&cfg, &argc, argv, &err))
		return cli_fail("run show", &err), EXIT_USAGE;
	if (cli_leftover("run show", argc, argv, 1))
		return EXIT_USAGE;
	if (argc == 1 && (strspn(argv[0], "0123456789") != strlen(argv[0]) || !argv[0][0]))
		return fprintf(stderr, "penstock run show: '%s' is not a run's number\n", argv[0]), EXIT_USAGE;
	if (fetch_run(cfg, argc ? argv[0] : NULL, &run, &err))
		return cli_fail("run show", &err);
	if (as_json)
		print_json(run);
	else
		print_run(run);
	return run_exit_code(run);
}

/* --- run full -------------------------------------------------------------------------------------------------------- */

static void print_progress(const json_t *run, bool terminal)
{
	int64_t fetched = number(run, "fetched"), in_flight = number(run, "in_flight");

	printf("%srun %" PRId64 ": %s, %" PRId64 " fetched, %" PRId64 " accounted for, %" PRId64 " of %" PRId64
	       " tasks closed%s",
	       terminal ? "\r\033[K" : "", number(run, "run"), text(run, "status"), fetched, fetched - in_flight,
	       number(run, "tasks_closed"), number(run, "tasks"), terminal ? "" : "\n");
	fflush(stdout);
}

/* The API may be away for a moment: the run is not. */
static int follow(const struct config *cfg, const char *id, bool quiet, json_t **ret, struct err *err)
{
	bool terminal = isatty(STDOUT_FILENO);
	const struct timespec pause = { 0, POLL_MS * 1000000L };
	unsigned failures = 0;
	int64_t shown = -1;

	for (;;) {
		json_decref(*ret);
		*ret = NULL;
		if (fetch_run(cfg, id, ret, err)) {
			if (err->kind != ERR_RETRY || ++failures > 40)
				return -1;
			err_clear(err);
			nanosleep(&pause, NULL);
			continue;
		}
		failures = 0;
		if (!quiet && (terminal || number(*ret, "fetched") - number(*ret, "in_flight") != shown))
			print_progress(*ret, terminal);
		shown = number(*ret, "fetched") - number(*ret, "in_flight");
		if (is_over(*ret) || is_spent(*ret))
			break;
		nanosleep(&pause, NULL);
	}
	if (!quiet && terminal)
		printf("\n");
	return 0;
}

int run_started(const struct config *cfg, const char *command, const json_t *accepted, bool wait, bool as_json)
{
	CLEANUP(freep) char *id = mem_printf("%" PRId64, number(accepted, "run"));
	CLEANUP(json_freep) json_t *run = NULL;
	struct err err = ERR_INIT;

	if (!wait) {
		if (as_json)
			print_json(accepted);
		else
			printf("run %s is %s; `penstock run show %s` tells what becomes of it\n", id,
			       text(accepted, "status"), id);
		return EXIT_OK;
	}
	if (follow(cfg, id, as_json, &run, &err))
		return cli_fail(command, &err);
	if (as_json)
		print_json(run);
	else
		print_run(run);
	return run_exit_code(run);
}

static json_t *request_of(int *argc, char **argv)
{
	json_t *request = json_object(), *names = json_array();
	const char *name, *cost = cli_option(argc, argv, "--cost-max-usd");

	if (cost)
		json_object_set_new(request, "costMaxUsd", json_string(cost));
	if (cli_flag(argc, argv, "--refetch"))
		json_object_set_new(request, "refetch", json_true());

	while ((name = cli_option(argc, argv, "--subscription")))
		json_array_append_new(names, json_string(name));
	if (json_array_size(names) > 0)
		json_object_set(request, "subscriptions", names);
	json_decref(names);
	return request;
}

int command_run_full(int argc, char **argv)
{
	CLEANUP(config_freep) struct config *cfg = NULL;
	CLEANUP(json_freep) json_t *request = request_of(&argc, argv);
	CLEANUP(json_freep) json_t *accepted = NULL;
	bool as_json = cli_flag(&argc, argv, "--json"), wait = cli_flag(&argc, argv, "--follow");
	CLEANUP(freep) char *body = json_dumps(request, 0);
	struct err err = ERR_INIT;

	if (cli_config(&cfg, &argc, argv, &err))
		return cli_fail("run full", &err), EXIT_USAGE;
	if (cli_leftover("run full", argc, argv, 0))
		return EXIT_USAGE;
	if (api_call(cfg, "POST", "/api/etl/execute-full-pipeline", body, &accepted, &err))
		return cli_fail("run full", &err);
	return run_started(cfg, "run full", accepted, wait, as_json);
}

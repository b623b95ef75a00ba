/* backfill: a plan of what is missing, and the run of one that is approved. */
#include "ops/cli/backfill.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "common/cleanup.h"
#include "common/json_in.h"
#include "common/mem.h"
#include "ops/cli/api.h"
#include "ops/cli/cli.h"

#define COMMAND "backfill"
#define POLL_MS 100
#define FAILURES_MAX 40

/* --- what is asked for -------------------------------------------------------------------------------------------------- */

static bool ends_with(const char *text, const char *unit, size_t *ret_number)
{
	size_t n = strlen(text), u = strlen(unit);

	if (n <= u || strcasecmp(text + n - u, unit) != 0)
		return false;
	for (*ret_number = n - u; *ret_number > 0 && text[*ret_number - 1] == ' '; (*ret_number)--)
		;
	return true;
}

int backfill_budget(const char *command, const char *text, json_t *request)
{
	CLEANUP(freep) char *number = NULL;
	size_t n;

	if (!text)
		return 0;
	if (ends_with(text, "calls", &n) || ends_with(text, "call", &n)) {
		number = mem_strndup(text, n);
		if (n > 0 && n < 16 && strspn(number, "0123456789") == n && strtoll(number, NULL, 10) > 0)
			return json_object_set_new(request, "budget_calls", json_integer(strtoll(number, NULL, 10)));
	} else if (ends_with(text, "usd", &n)) {
		number = mem_strndup(text, n);
		if (n > 0 && n < 24 && strspn(number, "0123456789.") == n && strcspn(number, "123456789") < n)
			return json_object_set_new(request, "budget_usd", json_string(number));
	}
	fprintf(stderr, "penstock %s: --budget takes a number of calls or an amount, 500calls or 2.50usd, not '%s'\n",
		command, text);
	return EXIT_USAGE;
}

static int bad_symbols(const char *text)
{
	fprintf(stderr,
		"penstock " COMMAND
		": --symbols takes symbols with commas between them, or @FILE, one in a line: '%s'\n",
		text);
	return EXIT_USAGE;
}

/* Of a line of CSV the first field, so that lists of other commands can be given as they are. */
static int add_line(json_t *symbols, char *line)
{
	line[strcspn(line, ",\r")] = '\0';
	if (!line[0] || (json_array_size(symbols) == 0 && strcmp(line, "symbol") == 0))
		return 0;
	return json_array_append_new(symbols, json_string(line));
}

/* "-": from stdin. */
static int read_symbols_file(const char *path, json_t *symbols)
{
	FILE *file = strcmp(path, "-") == 0 ? stdin : fopen(path, "r");
	CLEANUP(freep) char *line = NULL;
	size_t room = 0;
	int code = 0;

	if (!file)
		return fprintf(stderr, "penstock " COMMAND ": %s: %s\n", path, strerror(errno)), EXIT_USAGE;
	while (!code && getline(&line, &room, file) > 0) {
		line[strcspn(line, "\n")] = '\0';
		code = add_line(symbols, line);
	}
	if (file != stdin)
		fclose(file);
	return code || json_array_size(symbols) == 0 ? bad_symbols(path) : 0;
}

static int read_symbols(const char *text, json_t *request)
{
	CLEANUP(freep) char *copy = text ? mem_strdup(text) : NULL;
	json_t *symbols = json_array();
	char *rest = copy, *symbol;
	int code = 0;

	if (text && text[0] == '@')
		code = read_symbols_file(text + 1, symbols);
	else
		while (!code && copy && (symbol = strsep(&rest, ",")))
			if (!symbol[0] || json_array_append_new(symbols, json_string(symbol)))
				code = bad_symbols(text);
	if (text && !code)
		json_object_set(request, "symbols", symbols);
	json_decref(symbols);
	return code;
}

/* Texts that go to the API as they are, which says what is wrong with them. */
static int take_texts(int *argc, char **argv, json_t *request)
{
	static const char *const options[][2] = {
		{ "--from", "from" }, { "--to", "to" }, { "--reprocess", "reprocess" }, { "--why", "why" }
	};

	for (unsigned i = 0; i < sizeof(options) / sizeof(*options); i++) {
		const char *text = cli_option(argc, argv, options[i][0]);

		if (text && json_object_set_new(request, options[i][1], json_string(text)))
			return fprintf(stderr, "penstock " COMMAND ": %s is not UTF-8\n", options[i][0]), EXIT_USAGE;
	}
	return 0;
}

/* --- the plan ----------------------------------------------------------------------------------------------------------- */

static const char *text(const json_t *object, const char *key)
{
	const char *value = json_string_value(json_object_get(object, key));

	return value ? value : "";
}

static int64_t number(const json_t *object, const char *key)
{
	return json_integer_value(json_object_get(object, key));
}

static void print_json(const json_t *json)
{
	json_dumpf(json, stdout, JSON_INDENT(2) | JSON_PRESERVE_ORDER);
	putchar('\n');
}

static void print_budget(const json_t *plan)
{
	if (json_is_integer(json_object_get(plan, "budget_calls")))
		printf("  budget   %14" PRId64 "  calls; the run stops there, and can be resumed\n",
		       number(plan, "budget_calls"));
	if (text(plan, "budget_usd")[0])
		printf("  budget   %14s  USD; the run stops there, and can be resumed\n", text(plan, "budget_usd"));
}

static void print_time(const json_t *plan)
{
	if (json_is_integer(json_object_get(plan, "seconds")))
		printf("  time     %14" PRId64 "  seconds about, as fast as the last run\n", number(plan, "seconds"));
	else
		printf("  time                  ?  no run of some size tells how fast it is here\n");
}

static void print_plan(const json_t *plan)
{
	bool newest = json_is_true(json_object_get(plan, "newest_first"));

	printf("plan %s: subscription %s, %s days from %s to %s, %s first\n", text(plan, "hash"),
	       text(plan, "subscription"), text(plan, "reprocess"), text(plan, "from"), text(plan, "to"),
	       newest ? "newest" : "oldest");
	printf("  symbols  %14" PRId64 "  of %" PRId64 ", for %" PRId64 " days of theirs in %" PRId64 " stretches\n",
	       number(plan, "symbols_wanting"), number(plan, "symbols"), number(plan, "symbol_days"),
	       number(plan, "stretches"));
	if (number(plan, "corrected_days") > 0)
		printf("  corrected%14" PRId64
		       "  of those days: they are here, but the vendor has changed them since\n",
		       number(plan, "corrected_days"));
	printf("  windows  %14" PRId64 "  of a %s at most\n", number(plan, "windows"), text(plan, "chunk"));
	printf("  calls    %14" PRId64 "  of the vendor, where none has to be tried again\n", number(plan, "calls"));
	printf("  records  %14" PRId64 "  as the vendor counts them\n", number(plan, "records"));
	printf("  bytes    %14" PRId64 "  that the vendor bills\n", number(plan, "bytes"));
	printf("  cost     %14s  USD as the vendor quotes it, of %s at most\n", text(plan, "cost_usd"),
	       text(plan, "cost_max_usd"));
	print_budget(plan);
	print_time(plan);
	if (text(plan, "vendor_ends_at")[0])
		printf("  the vendor's data ends at %s; what lies behind it is not in the plan\n",
		       text(plan, "vendor_ends_at"));
	printf("nothing is bought before somebody approves it: penstock backfill --approve %s\n", text(plan, "hash"));
}

static int fetch_plan(const struct config *cfg, int64_t backfill, json_t **ret, struct err *err)
{
	CLEANUP(freep) char *path = mem_printf("/api/v1/backfills?backfill=%" PRId64, backfill);
	CLEANUP(json_freep) json_t *list = NULL;

	if (api_call(cfg, "GET", path, NULL, &list, err))
		return -1;
	*ret = json_incref(json_array_get(json_object_get(list, "backfills"), 0));
	return *ret ? 0 : err_set(err, ERR_FATAL, "the plan is gone");
}

/* The API may be away for a moment: the plan is not. */
static int wait_for_plan(const struct config *cfg, int64_t backfill, json_t **ret, struct err *err)
{
	const struct timespec pause = { 0, POLL_MS * 1000000L };

	for (unsigned failures = 0;; nanosleep(&pause, NULL)) {
		json_decref(*ret);
		*ret = NULL;
		if (fetch_plan(cfg, backfill, ret, err) == 0) {
			if (strcmp(text(*ret, "state"), "planning") != 0)
				return 0;
			failures = 0;
		} else if (err->kind != ERR_RETRY || ++failures > FAILURES_MAX) {
			return -1;
		}
		err_clear(err);
	}
}

static int show(const json_t *plan, bool as_json)
{
	bool planned = strcmp(text(plan, "state"), "planned") == 0, nothing = !planned && text(plan, "cost_usd")[0];

	if (as_json)
		print_json(plan);
	else if (planned)
		print_plan(plan);
	else if (nothing)
		printf("%s\n", text(plan, "message"));
	else
		fprintf(stderr, "penstock " COMMAND ": %s\n", text(plan, "message"));
	return planned || nothing ? EXIT_OK : EXIT_FAILED;
}

/* Where it is long ago that the vendor said what it has changed, it is asked that first: then the plan can be made. */
static int ask_for_plan(const struct config *cfg, const json_t *request, json_t **accepted, json_t **plan,
			struct err *err)
{
	CLEANUP(freep) char *body = json_dumps(request, JSON_COMPACT);

	if (api_call(cfg, "POST", "/api/v1/backfills", body, accepted, err))
		return -1;
	if (!json_is_true(json_object_get(*accepted, "looks")))
		return 0;
	if (wait_for_plan(cfg, number(*accepted, "backfill"), plan, err))
		return -1;
	if (strcmp(text(*plan, "state"), "looked") != 0)
		return err_set(err, ERR_RECORD, "%s", text(*plan, "message"));
	json_decref(*accepted);
	*accepted = NULL;
	return api_call(cfg, "POST", "/api/v1/backfills", body, accepted, err);
}

static int make_plan(const struct config *cfg, const json_t *request, bool as_json)
{
	CLEANUP(json_freep) json_t *accepted = NULL;
	CLEANUP(json_freep) json_t *plan = NULL;
	struct err err = ERR_INIT;

	if (ask_for_plan(cfg, request, &accepted, &plan, &err))
		return cli_fail(COMMAND, &err);
	if (json_is_true(json_object_get(accepted, "nothing_to_do"))) {
		if (as_json)
			print_json(accepted);
		else
			printf("%s\n", text(accepted, "detail"));
		return EXIT_OK;
	}
	if (wait_for_plan(cfg, number(accepted, "backfill"), &plan, &err))
		return cli_fail(COMMAND, &err);
	return show(plan, as_json);
}

/* --- the command -------------------------------------------------------------------------------------------------------- */

static int approve(const struct config *cfg, json_t *request, const char *hash, bool wait, bool as_json)
{
	CLEANUP(json_freep) json_t *accepted = NULL;
	CLEANUP(freep) char *body = NULL;
	struct err err = ERR_INIT;

	if (json_object_set_new(request, "hash", json_string(hash)))
		return fprintf(stderr, "penstock " COMMAND ": --approve is not UTF-8\n"), EXIT_USAGE;
	body = json_dumps(request, JSON_COMPACT);
	if (api_call(cfg, "POST", "/api/v1/backfills/approvals", body, &accepted, &err))
		return cli_fail(COMMAND, &err);
	return run_started(cfg, COMMAND, accepted, wait, as_json);
}

static int read_request(int *argc, char **argv, const char *symbols, const char *budget, json_t *request)
{
	if (cli_flag(argc, argv, "--newest-first"))
		json_object_set_new(request, "newest_first", json_true());
	if (cli_leftover(COMMAND, *argc, argv, 1) || read_symbols(symbols, request) ||
	    backfill_budget(COMMAND, budget, request))
		return EXIT_USAGE;
	if (*argc == 1)
		return json_object_set_new(request, "subscription", json_string(argv[0])) ? EXIT_USAGE : 0;
	fprintf(stderr, "penstock " COMMAND ": it takes a subscription, or --approve with the hash of a plan\n");
	return EXIT_USAGE;
}

int command_backfill(int argc, char **argv)
{
	CLEANUP(config_freep) struct config *cfg = NULL;
	CLEANUP(json_freep) json_t *request = json_object();
	const char *hash = cli_option(&argc, argv, "--approve"), *symbols = cli_option(&argc, argv, "--symbols"),
		   *budget = cli_option(&argc, argv, "--budget");
	bool as_json = cli_flag(&argc, argv, "--json"), wait = cli_flag(&argc, argv, "--follow");
	struct err err = ERR_INIT;

	if (cli_config(&cfg, &argc, argv, &err))
		return cli_fail(COMMAND, &err), EXIT_USAGE;
	if (take_texts(&argc, argv, request))
		return EXIT_USAGE;
	if (!hash && wait)
		return fprintf(stderr, "penstock " COMMAND ": --follow follows a run: of --approve\n"), EXIT_USAGE;
	if (!hash)
		return read_request(&argc, argv, symbols, budget, request) ? EXIT_USAGE
									   : make_plan(cfg, request, as_json);
	if (symbols || budget || argc > 0 || json_object_size(request) > (json_object_get(request, "why") != NULL)) {
		fprintf(stderr, "penstock " COMMAND
				": --approve runs a plan as it is: it takes no more than --why, --follow and --json\n");
		return EXIT_USAGE;
	}
	return approve(cfg, request, hash, wait, as_json);
}

/* dlq replay: dead letters go back where they were refused, by a run of their own. */
#include <stdio.h>

#include "common/cleanup.h"
#include "common/json_in.h"
#include "common/mem.h"
#include "ops/cli/api.h"
#include "ops/cli/cli.h"
#include "ops/cli/dlq.h"
#include "ops/cli/dlq_dry_run.h"
#include "ops/cli/query_string.h"

struct replay {
	struct query_string query;
	int64_t max_replays;
	const char *why, *rules;
	bool follow, as_json, dry_run;
};

static void replay_release(struct replay *r)
{
	query_string_release(&r->query);
}

static int refuse(const char *why)
{
	fprintf(stderr, "penstock dlq replay: %s\n", why);
	return EXIT_USAGE;
}

/* 0, or the exit code. */
static int read_options(struct replay *r, int argc, char **argv)
{
	const char *max_replays = cli_option(&argc, argv, "--max-replays");

	r->why = cli_option(&argc, argv, "--why");
	r->rules = cli_option(&argc, argv, "--rules");
	r->dry_run = cli_flag(&argc, argv, "--dry-run");
	r->follow = cli_flag(&argc, argv, "--follow");
	r->as_json = cli_flag(&argc, argv, "--json");
	if (!cli_number("dlq replay", "--max-replays", max_replays, &r->max_replays))
		return EXIT_USAGE;
	while (argc > 0)
		if (!query_string_take(&r->query, &argc, &argv))
			return EXIT_USAGE;
	if (r->rules && !r->dry_run)
		return refuse("--rules goes with --dry-run: validators judge by the rules of their configuration");
	if (r->dry_run && (r->follow || r->why))
		return refuse("--dry-run changes nothing: there is nothing to follow, and no reason to be given");
	if (r->dry_run && r->query.text.len == 0)
		return refuse("nothing says which: give --where, or another filter");
	return 0;
}

static int ask(struct replay *r, const struct config *cfg, json_t **ret, struct err *err)
{
	CLEANUP(json_freep) json_t *request = json_pack("{s:I}", "max_replays", (json_int_t)r->max_replays);
	CLEANUP(freep) char *body = NULL;
	CLEANUP(freep)
	char *path = mem_printf("/api/v1/dead-letters/replays?%s", buf_text(&r->query.text));

	if (r->why && json_object_set_new(request, "why", json_string(r->why)))
		return err_set(err, ERR_FATAL, "--why is not UTF-8");
	body = json_dumps(request, JSON_COMPACT);
	return api_call(cfg, "POST", path, body, ret, err);
}

/* What was chosen, and is not put back. */
static void print_left(const json_t *accepted)
{
	static const struct {
		const char *name, *text;
	} reasons[] = {
		{ "discarded", "discarded" },
		{ "resolved", "resolved" },
		{ "replayed_before", "put back as often as --max-replays says" },
		{ "impossible", "that cannot be put back" },
	};
	const char *separator = "left out: ";

	for (unsigned i = 0; i < sizeof(reasons) / sizeof(*reasons); i++) {
		long long n = json_integer_value(json_object_get(accepted, reasons[i].name));

		if (n > 0)
			printf("%s%lld %s", separator, n, reasons[i].text);
		separator = n > 0 ? ", " : separator;
	}
	if (separator[0] == ',')
		putchar('\n');
}

int command_dlq_replay(int argc, char **argv)
{
	CLEANUP(config_freep) struct config *cfg = NULL;
	CLEANUP(replay_release) struct replay r = { .query = QUERY_STRING("dlq replay"), .max_replays = 1 };
	CLEANUP(json_freep) json_t *accepted = NULL;
	const char *config = cli_config_option(argc, argv);
	struct err err = ERR_INIT;
	int code;

	if (cli_config(&cfg, &argc, argv, &err))
		return cli_fail("dlq replay", &err), EXIT_USAGE;
	code = read_options(&r, argc, argv);
	if (code)
		return code;
	if (r.dry_run)
		return dlq_dry_run(
			&(struct dry_run){ buf_text(&r.query.text), config, r.rules, r.max_replays, r.as_json }, cfg);
	if (ask(&r, cfg, &accepted, &err))
		return cli_fail("dlq replay", &err);
	if (!r.as_json) {
		printf("%lld dead letters are put back\n",
		       (long long)json_integer_value(json_object_get(accepted, "letters")));
		print_left(accepted);
	}
	return run_started(cfg, "dlq replay", accepted, r.follow, r.as_json);
}

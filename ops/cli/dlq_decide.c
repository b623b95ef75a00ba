/* dlq discard, dlq resolve, dlq reopen: what is decided about dead letters without putting them back. */
#include <stdio.h>

#include "common/cleanup.h"
#include "common/json_in.h"
#include "common/mem.h"
#include "ops/cli/api.h"
#include "ops/cli/cli.h"
#include "ops/cli/dlq.h"
#include "ops/cli/query_string.h"

struct decision {
	const char *command, *path;
	bool needs_why;
};

static long long number(const json_t *answer, const char *name)
{
	return json_integer_value(json_object_get(answer, name));
}

static void print(const json_t *answer)
{
	long long discarded = number(answer, "discarded_before"), resolved = number(answer, "resolved_before"),
		  undecided = number(answer, "undecided_before");

	printf("%lld dead letters are %s\n", number(answer, "letters"),
	       json_string_value(json_object_get(answer, "state")));
	if (discarded + resolved > 0)
		printf("left as they were: %lld discarded, %lld resolved\n", discarded, resolved);
	if (undecided > 0)
		printf("left as they were: %lld that nothing was decided about\n", undecided);
}

static int ask(const struct decision *decision, const struct config *cfg, const char *query, const char *why,
	       json_t **ret, struct err *err)
{
	CLEANUP(json_freep) json_t *request = why ? json_pack("{s:s}", "why", why) : json_object();
	CLEANUP(freep) char *body = request ? json_dumps(request, JSON_COMPACT) : NULL;
	CLEANUP(freep) char *path = mem_printf("%s?%s", decision->path, query);

	if (!body)
		return err_set(err, ERR_FATAL, "--why is not UTF-8");
	return api_call(cfg, "POST", path, body, ret, err);
}

static int run(const struct decision *decision, int argc, char **argv)
{
	CLEANUP(config_freep) struct config *cfg = NULL;
	CLEANUP(query_string_release) struct query_string query = QUERY_STRING(decision->command);
	CLEANUP(json_freep) json_t *answer = NULL;
	const char *why = cli_option(&argc, argv, "--why");
	bool as_json = cli_flag(&argc, argv, "--json");
	struct err err = ERR_INIT;

	if (cli_config(&cfg, &argc, argv, &err))
		return cli_fail(decision->command, &err), EXIT_USAGE;
	while (argc > 0)
		if (!query_string_take(&query, &argc, &argv))
			return EXIT_USAGE;
	if (decision->needs_why && !why)
		return fprintf(stderr, "penstock %s: --why is missing: a text that says why\n", decision->command),
		       EXIT_USAGE;
	if (ask(decision, cfg, buf_text(&query.text), why, &answer, &err))
		return cli_fail(decision->command, &err);
	if (as_json && json_dumpf(answer, stdout, JSON_INDENT(2) | JSON_PRESERVE_ORDER) == 0)
		putchar('\n');
	else if (!as_json)
		print(answer);
	return EXIT_OK;
}

int command_dlq_discard(int argc, char **argv)
{
	static const struct decision discard = { "dlq discard", "/api/v1/dead-letters/discards", true };

	return run(&discard, argc, argv);
}

int command_dlq_resolve(int argc, char **argv)
{
	static const struct decision resolve = { "dlq resolve", "/api/v1/dead-letters/resolutions", false };

	return run(&resolve, argc, argv);
}

int command_dlq_reopen(int argc, char **argv)
{
	static const struct decision reopen = { "dlq reopen", "/api/v1/dead-letters/reopenings", true };

	return run(&reopen, argc, argv);
}

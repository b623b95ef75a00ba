/* `penstock breaker reset`: what is held back goes on. */
#include "ops/cli/breaker.h"

#include <stdio.h>

#include "common/cleanup.h"
#include "common/json_in.h"
#include "ops/cli/api.h"
#include "ops/cli/cli.h"

#define COMMAND "breaker reset"

static int ask(const struct config *cfg, const char *name, const char *kind, const char *why, json_t **ret,
	       struct err *err)
{
	CLEANUP(json_freep)
	json_t *request = json_pack("{s:s, s:s, s:s*}", "name", name, "why", why, "kind", kind);
	CLEANUP(freep) char *body = request ? json_dumps(request, JSON_COMPACT) : NULL;

	if (!body)
		return err_set(err, ERR_FATAL, "what is said is not UTF-8");
	return api_call(cfg, "POST", "/api/v1/breakers/resets", body, ret, err);
}

int command_breaker_reset(int argc, char **argv)
{
	CLEANUP(config_freep) struct config *cfg = NULL;
	CLEANUP(json_freep) json_t *answer = NULL;
	const char *why = cli_option(&argc, argv, "--why"), *kind = cli_option(&argc, argv, "--kind");
	bool as_json = cli_flag(&argc, argv, "--json");
	struct err err = ERR_INIT;

	if (cli_config(&cfg, &argc, argv, &err))
		return cli_fail(COMMAND, &err), EXIT_USAGE;
	if (cli_leftover(COMMAND, argc, argv, 1))
		return EXIT_USAGE;
	if (argc < 1 || !why)
		return fprintf(stderr, "penstock " COMMAND ": it takes a NAME and --why, a text that says why\n"),
		       EXIT_USAGE;
	if (ask(cfg, argv[0], kind, why, &answer, &err))
		return cli_fail(COMMAND, &err);
	if (as_json && json_dumpf(answer, stdout, JSON_INDENT(2) | JSON_PRESERVE_ORDER) == 0)
		putchar('\n');
	else if (!as_json)
		printf("%s %s goes on\n", json_string_value(json_object_get(answer, "kind")),
		       json_string_value(json_object_get(answer, "name")));
	return EXIT_OK;
}

/* Tokens of the API. The orchestrator makes them; here they are printed, once. */
#include "ops/cli/token.h"

#include <inttypes.h>
#include <stdio.h>

#include "common/cleanup.h"
#include "common/json_in.h"
#include "common/mem.h"
#include "ops/cli/api.h"
#include "ops/cli/cli.h"

int command_token_create(int argc, char **argv)
{
	CLEANUP(config_freep) struct config *cfg = NULL;
	CLEANUP(json_freep) json_t *made = NULL;
	CLEANUP(json_freep) json_t *order = json_object();
	CLEANUP(freep) char *body = NULL;
	const char *role = cli_option(&argc, argv, "--role"), *days = cli_option(&argc, argv, "--days");
	bool as_json = cli_flag(&argc, argv, "--json");
	int64_t count = 0;
	struct err err = ERR_INIT;

	if (cli_config(&cfg, &argc, argv, &err))
		return cli_fail("token create", &err), EXIT_USAGE;
	if (cli_leftover("token create", argc, argv, 1) || !cli_number("token create", "--days", days, &count))
		return EXIT_USAGE;
	if (argc < 1 || !role)
		return fprintf(stderr, "penstock token create: it takes a NAME and --role viewer, operator or admin\n"),
		       EXIT_USAGE;
	json_object_set_new(order, "name", json_string(argv[0]));
	json_object_set_new(order, "role", json_string(role));
	if (days)
		json_object_set_new(order, "days", json_integer(count));
	body = json_dumps(order, JSON_COMPACT);
	if (api_call(cfg, "POST", "/api/v1/tokens", body, &made, &err))
		return cli_fail("token create", &err);
	if (as_json)
		json_dumpf(made, stdout, JSON_INDENT(2));
	else
		fputs(json_string_value(json_object_get(made, "token")), stdout);
	putchar('\n');
	return EXIT_OK;
}

int command_token_revoke(int argc, char **argv)
{
	CLEANUP(config_freep) struct config *cfg = NULL;
	CLEANUP(json_freep) json_t *answer = NULL;
	CLEANUP(freep) char *path = NULL;
	struct err err = ERR_INIT;

	if (cli_config(&cfg, &argc, argv, &err))
		return cli_fail("token revoke", &err), EXIT_USAGE;
	if (cli_leftover("token revoke", argc, argv, 1))
		return EXIT_USAGE;
	if (argc < 1)
		return fprintf(stderr, "penstock token revoke: it takes the NAME of a token\n"), EXIT_USAGE;
	path = mem_printf("/api/v1/tokens/%s", argv[0]);
	if (api_call(cfg, "DELETE", path, NULL, &answer, &err))
		return cli_fail("token revoke", &err);
	printf("%s is revoked\n", argv[0]);
	return EXIT_OK;
}

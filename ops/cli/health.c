#include "ops/cli/health.h"

#include <inttypes.h>
#include <stdio.h>

#include "common/cleanup.h"
#include "common/json_in.h"
#include "ops/cli/api.h"
#include "ops/cli/cli.h"
#include "ops/cli/table.h"

static int64_t number(const json_t *object, const char *key)
{
	return json_integer_value(json_object_get(object, key));
}

static void print(const json_t *database, const json_t *stored)
{
	CLEANUP(table_freep) struct table *table = table_new("record_type inserted updated unchanged attempts");
	size_t i;
	json_t *row;

	printf("Quarantine files (last 24h): %" PRId64 "\n", number(database, "dead_letters_24h"));
	printf("Validation failures today: %" PRId64 "\n", number(database, "failures_today"));
	printf("\nRecord counts by schema (today)\n");
	json_array_foreach(stored, i, row) table_add(table, row);
	if (i == 0)
		printf("nothing was stored\n");
	table_print(table);
}

/* Exit code 1 where something of today was refused. */
int command_data_quality_check(int argc, char **argv)
{
	CLEANUP(config_freep) struct config *cfg = NULL;
	CLEANUP(json_freep) json_t *status = NULL;
	CLEANUP(json_freep) json_t *stored = NULL;
	CLEANUP(json_freep) json_t *both = json_object();
	bool as_json = cli_flag(&argc, argv, "--json");
	const json_t *database;
	struct err err = ERR_INIT;

	if (cli_config(&cfg, &argc, argv, &err))
		return cli_fail("data_quality_check", &err), EXIT_USAGE;
	if (cli_leftover("data_quality_check", argc, argv, 0))
		return EXIT_USAGE;
	if (api_call(cfg, "GET", "/api/v1/status", NULL, &status, &err) ||
	    api_call(cfg, "GET", "/api/v1/quality/stored", NULL, &stored, &err))
		return cli_fail("data_quality_check", &err);
	database = json_object_get(status, "database");
	json_object_set(both, "database", (json_t *)database);
	json_object_set(both, "stored", json_object_get(stored, "stored"));
	if (!as_json)
		print(database, json_object_get(stored, "stored"));
	else if (json_dumpf(both, stdout, JSON_INDENT(2)) == 0)
		putchar('\n');
	return number(database, "failures_today") > 0 ? EXIT_FAILED : EXIT_OK;
}

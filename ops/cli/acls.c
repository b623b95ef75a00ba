/* acls apply, acls check, acls ls: who may do what with topics, groups and transactional ids */
#include "common/acls.h"

#include <jansson.h>
#include <stdio.h>

#include "common/cleanup.h"
#include "common/json_in.h"
#include "common/log.h"
#include "common/mem.h"
#include "ops/cli/cli.h"
#include "ops/cli/table.h"

/* One command's arguments while it runs. */
struct acls_call {
	struct config *cfg;
	struct acls *acls;
};

static void call_release(struct acls_call *call)
{
	acls_freep(&call->acls);
	config_freep(&call->cfg);
}

/* 0, or the exit code. */
static int call_open(struct acls_call *call, const char *command, int *argc, char **argv)
{
	struct err err = ERR_INIT;

	if (cli_config(&call->cfg, argc, argv, &err))
		return cli_fail(command, &err), EXIT_USAGE;
	if (cli_leftover(command, *argc, argv, 0))
		return EXIT_USAGE;
	log_open("penstock", LOG_ERROR); /* what the client tries meanwhile, the error sums up */
	return acls_open(&call->acls, call->cfg, &err) ? cli_fail(command, &err) : 0;
}

int command_acls_apply(int argc, char **argv)
{
	CLEANUP(call_release) struct acls_call call = { .cfg = NULL };
	bool dry_run = cli_flag(&argc, argv, "--dry-run");
	int over = call_open(&call, "acls apply", &argc, argv);
	struct err err = ERR_INIT;
	unsigned left;

	if (over)
		return over;
	if (acls_apply(call.acls, call.cfg, dry_run, cli_print_line, NULL, &left, &err))
		return cli_fail("acls apply", &err);
	return left ? EXIT_FAILED : EXIT_OK;
}

int command_acls_check(int argc, char **argv)
{
	CLEANUP(call_release) struct acls_call call = { .cfg = NULL };
	int over = call_open(&call, "acls check", &argc, argv);
	struct err err = ERR_INIT;
	unsigned differences;

	if (over)
		return over;
	if (acls_check(call.acls, call.cfg, cli_print_line, NULL, &differences, &err))
		return cli_fail("acls check", &err);
	printf("%u rights, %u differences\n", acls_count(call.acls), differences);
	return differences ? EXIT_FAILED : EXIT_OK;
}

static json_t *row_of(const struct acl *acl)
{
	const struct kafka_acl *right = &acl->right;

	return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s}", "worker", acl->worker, "principal", right->principal,
			 "operation", kafka_operation_name(right->operation), "resource",
			 kafka_resource_name(right->resource), "name", right->name, "pattern",
			 right->prefixed ? "prefixed" : "literal");
}

static void print_commands(const struct acls *acls)
{
	for (unsigned i = 0; i < acls_count(acls); i++) {
		CLEANUP(freep) char *arguments = acl_arguments(acls_at(acls, i));

		puts(arguments);
	}
}

int command_acls_ls(int argc, char **argv)
{
	CLEANUP(call_release) struct acls_call call = { .cfg = NULL };
	CLEANUP(table_freep) struct table *table = table_new(NULL);
	CLEANUP(json_freep) json_t *rows = json_array();
	bool as_json = cli_flag(&argc, argv, "--json"), commands = cli_flag(&argc, argv, "--commands");
	int over = call_open(&call, "acls ls", &argc, argv);
	json_t *row;
	size_t i;

	if (over)
		return over;
	if (commands)
		return print_commands(call.acls), EXIT_OK;
	for (unsigned n = 0; n < acls_count(call.acls); n++)
		json_array_append_new(rows, row_of(acls_at(call.acls, n)));
	if (as_json)
		return json_dumpf(rows, stdout, JSON_INDENT(2)), putchar('\n'), EXIT_OK;
	json_array_foreach(rows, i, row) table_add(table, row);
	table_print(table);
	return EXIT_OK;
}

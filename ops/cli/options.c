#include "ops/cli/cli.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/kafka.h"

#define PRINCIPAL(worker) \
	{ \
		"acls." worker, CONFIG_TEXT, "User:penstock-" worker, 0, 0, NULL, \
			"Who the broker takes it for: whose rights `penstock acls` writes." \
	}

static const struct config_key keys[] = {
	PRINCIPAL("orchestrator"),
	PRINCIPAL("fetcher"),
	PRINCIPAL("validator"),
	PRINCIPAL("transformer"),
	PRINCIPAL("loader"),
	PRINCIPAL("cli"),
	{ 0 },
};
static const struct config_key *const shared[] = { config_common_keys, config_database_keys, NULL };

/* Everything is at its default, which is seldom what was meant. */
static bool no_file;

static bool usage_is_wrong;

void cli_blame_usage(void)
{
	usage_is_wrong = true;
}

static void take_out(int *argc, char **argv, int at, int count)
{
	memmove(&argv[at], &argv[at + count], (size_t)(*argc - at - count + 1) * sizeof(*argv));
	*argc -= count;
}

const char *cli_option(int *argc, char **argv, const char *name)
{
	for (int i = 0; i + 1 < *argc; i++)
		if (strcmp(argv[i], name) == 0) {
			const char *value = argv[i + 1];

			take_out(argc, argv, i, 2);
			return value;
		}
	return NULL;
}

bool cli_number(const char *command, const char *option, const char *text, int64_t *value)
{
	char *end;

	if (!text)
		return true;
	errno = 0;
	*value = strtoll(text, &end, 10);
	if (text[0] >= '0' && text[0] <= '9' && !*end && !errno)
		return true;
	fprintf(stderr, "penstock %s: %s takes a whole number from 0, not '%s'\n", command, option, text);
	return false;
}

bool cli_flag(int *argc, char **argv, const char *name)
{
	for (int i = 0; i < *argc; i++)
		if (strcmp(argv[i], name) == 0) {
			take_out(argc, argv, i, 1);
			return true;
		}
	return false;
}

int cli_leftover(const char *command, int argc, char **argv, int max)
{
	for (int i = 0; i < argc; i++)
		if (i >= max || argv[i][0] == '-') {
			fprintf(stderr, "penstock %s: unknown or incomplete argument '%s' (see `penstock help %s`)\n",
				command, argv[i], command);
			return EXIT_USAGE;
		}
	return 0;
}

int cli_fail(const char *command, const struct err *err)
{
	fprintf(stderr, "penstock %s: %s\n", command, err->text);
	if (no_file && err->kind != ERR_RECORD)
		fprintf(stderr, "(there is no " CONFIG_HERE " here, and PENSTOCK_CONFIG is not set: `. var/env` in the "
				"checkout sets it; nor is there a " CONFIG_SYSTEM ")\n");
	if (usage_is_wrong)
		return EXIT_USAGE;
	return err->kind == ERR_RECORD ? EXIT_FAILED : err_exit_code(err);
}

const char *cli_config_option(int argc, char **argv)
{
	for (int i = 0; i + 1 < argc; i++)
		if (strcmp(argv[i], "--config") == 0)
			return argv[i + 1];
	return NULL;
}

const char *cli_config_file(const char *said)
{
	const char *file = said && said[0] ? said : config_default_file();

	return file ? file : CONFIG_HERE;
}

void cli_print_line(void *self, const char *line)
{
	(void)self;
	puts(line);
}

int cli_config_of(const struct config_spec *spec, struct config **ret, int *argc, char **argv, struct err *err)
{
	const char *assignment, *said = cli_option(argc, argv, "--config");

	no_file = !said && !config_default_file();
	if (config_open(ret, spec, said, err))
		return -1;
	while ((assignment = cli_option(argc, argv, "--set")))
		if (config_set(*ret, assignment, err))
			return -1;
	return kafka_check(*ret, err);
}

int cli_config(struct config **ret, int *argc, char **argv, struct err *err)
{
	static const struct config_spec spec = { .binary = "cli", .summary = "", .keys = keys, .shared = shared };

	return cli_config_of(&spec, ret, argc, argv, err);
}

/* penstock: the command line */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/mem.h"
#include "common/version.h"
#include "ops/cli/cli.h"

static const char *const workers[] = { "fetcher", "validator", "transformer", "loader", "orchestrator", "simulator" };

static int usage(FILE *out, int code)
{
	fprintf(out, "penstock " PENSTOCK_VERSION
		     ": market-data ETL\n\nusage: penstock COMMAND [--config FILE] [--set KEY=VALUE]…\n\n");
	for (const struct command *c = cli_commands; c->name; c++)
		fprintf(out, "  %-18s  %s\n", c->name, c->summary);
	fprintf(out, "  %-18s  %s\n", "WORKER",
		"start a worker: fetcher, validator, transformer, loader, orchestrator");
	fprintf(out,
		"\n`penstock help COMMAND` shows a command's arguments, `penstock WORKER --help` a worker's settings\n"
		"configuration: $PENSTOCK_CONFIG, else ./var/penstock.yaml\n"
		"exit codes: 0 done, 1 the answer is no, 2 wrong arguments, 3 try again later, 4 cannot work\n");
	return code;
}

/* Words of the command's name that argv begins with; 0: another command. */
static int matches(const struct command *command, int argc, char **argv)
{
	CLEANUP(freep) char *name = mem_strdup(command->name);
	char *rest = name, *word;
	int n = 0;

	while ((word = strsep(&rest, " ")))
		if (n >= argc || strcmp(argv[n++], word) != 0)
			return 0;
	return n;
}

static bool begins_with(const struct command *command, int argc, char **argv)
{
	CLEANUP(freep) char *name = mem_strdup(command->name);
	char *rest = name, *word;

	for (int n = 0; n < argc; n++) {
		word = strsep(&rest, " ");
		if (!word || strcmp(argv[n], word) != 0)
			return false;
	}
	return true;
}

/* Of one command, or of all that begin with these words; how many. */
static unsigned describe(FILE *out, int argc, char **argv)
{
	unsigned shown = 0;

	for (const struct command *c = cli_commands; c->name; c++)
		if (begins_with(c, argc, argv))
			fprintf(out, "%spenstock %s %s\n    %s\n", shown++ ? "\n" : "", c->name, c->args, c->summary);
	return shown;
}

static int unknown(const char *word)
{
	fprintf(stderr, "penstock: unknown command '%s'\n\n", word);
	return usage(stderr, EXIT_USAGE);
}

/* The words of a command that stand before anything else. */
static int words_of(int argc, char **argv)
{
	int n = 0;

	while (n < argc && argv[n][0] != '-')
		n++;
	return n;
}

static bool asks_for_help(int argc, char **argv)
{
	for (int i = 0; i < argc; i++)
		if (strcmp(argv[i], "--help") == 0)
			return true;
	return false;
}

/* No command is called so; a beginning of some shows these. */
static int show_near(int argc, char **argv)
{
	int n = words_of(argc, argv);
	bool asked = asks_for_help(argc, argv);

	if (n > 0 && describe(asked ? stdout : stderr, n, argv) > 0)
		return asked ? EXIT_OK : EXIT_USAGE;
	return unknown(argv[0]);
}

/* `penstock loader …` is penstock-loader beside this binary. */
static int start_worker(const char *name, char **argv)
{
	char self[4096], path[4200];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	if (n > 0) {
		self[n] = '\0';
		*strrchr(self, '/') = '\0';
		snprintf(path, sizeof(path), "%s/penstock-%s", self, name);
		execv(path, argv);
	}
	fprintf(stderr, "penstock: penstock-%s cannot be started: %m\n", name);
	return EXIT_FATAL;
}

int main(int argc, char **argv)
{
	const struct command *best = NULL;
	int words = 0;

	if (argc > 2 && strcmp(argv[1], "help") == 0)
		return describe(stdout, argc - 2, argv + 2) ? EXIT_OK : unknown(argv[2]);
	if (argc < 2 || strcmp(argv[1], "help") == 0 || strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)
		return usage(argc < 2 ? stderr : stdout, argc < 2 ? EXIT_USAGE : EXIT_OK);
	if (strcmp(argv[1], "--version") == 0)
		return printf("penstock " PENSTOCK_VERSION "\n"), EXIT_OK;
	for (unsigned i = 0; i < sizeof(workers) / sizeof(*workers); i++)
		if (strcmp(argv[1], workers[i]) == 0)
			return start_worker(workers[i], argv + 1);
	for (const struct command *c = cli_commands; c->name; c++) {
		int n = matches(c, argc - 1, argv + 1);

		if (n > words) {
			best = c;
			words = n;
		}
	}
	if (!best)
		return show_near(argc - 1, argv + 1);
	if (asks_for_help(argc - 1 - words, argv + 1 + words))
		return describe(stdout, words, argv + 1), EXIT_OK;
	return best->run(argc - 1 - words, argv + 1 + words);
}

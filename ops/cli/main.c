/* penstock: the command line */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/mem.h"
#include "common/version.h"
#include "ops/cli/cli.h"

const char *const cli_workers[] = {
	"fetcher", "validator", "transformer", "loader", "orchestrator", "simulator", NULL
};

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

int cli_start_worker(const char *name, char *const *argv)
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

static bool is_help(const char *word)
{
	return strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0;
}

static bool asks_for_help(int argc, char **argv)
{
	for (int i = 0; i < argc; i++)
		if (is_help(argv[i]))
			return true;
	return false;
}

/* The words that stand before anything else. */
static int words_of(int argc, char **argv)
{
	int n = 0;

	while (n < argc && argv[n][0] != '-')
		n++;
	return n;
}

/* No command is called so; a beginning of some shows these. */
static int show_near(int argc, char **argv)
{
	int n = words_of(argc, argv);
	bool asked = asks_for_help(argc, argv);

	if (n > 0 && cli_describe(asked ? stdout : stderr, n, argv) > 0)
		return asked ? EXIT_OK : EXIT_USAGE;
	if (n == 0) {
		fprintf(stderr, "penstock: options stand behind the command, as in `penstock status %s …`\n", argv[0]);
		return EXIT_USAGE;
	}
	fprintf(stderr, "penstock: unknown command '%s%s%s'", argv[0], n > 1 ? " " : "", n > 1 ? argv[1] : "");
	cli_suggest(stderr, n, argv);
	fputs(" (`penstock help` lists the commands)\n", stderr);
	return EXIT_USAGE;
}

int main(int argc, char **argv)
{
	const struct command *best = NULL;
	int words = 0;

	if (argc < 2)
		return cli_usage(stderr, EXIT_USAGE);
	if (is_help(argv[1]))
		return cli_usage(stdout, EXIT_OK);
	if (strcmp(argv[1], "--version") == 0)
		return printf("penstock " PENSTOCK_VERSION "\n"), EXIT_OK;
	for (const char *const *w = cli_workers; *w; w++)
		if (strcmp(argv[1], *w) == 0)
			return cli_start_worker(*w, argv + 1);
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
		return cli_describe(stdout, words, argv + 1), EXIT_OK;
	return best->run(argc - 1 - words, argv + 1 + words);
}

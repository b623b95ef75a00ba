#include <stdio.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/man.h"
#include "common/mem.h"
#include "common/version.h"
#include "ops/cli/cli.h"

#define WORD_MAX 40 /* of a command's name, or what was meant as one */
#define EXIT_CODES "0 done, 1 the answer is no, 2 wrong arguments, 3 try again later, 4 cannot work"

int cli_usage(FILE *out, int code)
{
	fprintf(out, "penstock " PENSTOCK_VERSION
		     ": market-data ETL\n\nusage: penstock COMMAND [--config FILE] [--set KEY=VALUE]…\n\n");
	for (const struct command *c = cli_commands; c->name; c++)
		fprintf(out, "  %-18s  %s\n", c->name, c->summary);
	fprintf(out, "  %-18s  %s\n", "WORKER",
		"start a worker: fetcher, validator, transformer, loader, orchestrator");
	fprintf(out,
		"\n`penstock help COMMAND` shows a command's arguments, `penstock WORKER --help` a worker's settings\n"
		"lists come in pages: --limit N, --cursor C for the next one, --all; on a terminal through $PAGER, or --no-pager\n"
		"configuration: " CONFIG_PLACES "\n"
		"exit codes: " EXIT_CODES "\n");
	return code;
}

/* Whether the name's first words are these. */
static bool begins_with(const char *name, int count, char **words)
{
	for (int i = 0; i < count; i++) {
		size_t n = strlen(words[i]);

		if (strncmp(name, words[i], n) != 0 || (name[n] != ' ' && name[n] != '\0'))
			return false;
		name += n + (name[n] == ' ');
	}
	return true;
}

unsigned cli_describe(FILE *out, int count, char **words)
{
	unsigned shown = 0;

	for (const struct command *c = cli_commands; c->name; c++)
		if (begins_with(c->name, count, words))
			fprintf(out, "%spenstock %s%s%s\n    %s\n", shown++ ? "\n" : "", c->name, c->args[0] ? " " : "",
				c->args, c->summary);
	return shown;
}

/* Letters that are to be changed, put in or taken out to make one word of the other. */
static unsigned distance(const char *a, const char *b)
{
	unsigned row[WORD_MAX + 1];

	if (strlen(a) > WORD_MAX || strlen(b) > WORD_MAX)
		return WORD_MAX;
	for (unsigned j = 0; j <= strlen(b); j++)
		row[j] = j;
	for (unsigned i = 1; i <= strlen(a); i++) {
		unsigned corner = row[0];

		row[0] = i;
		for (unsigned j = 1; j <= strlen(b); j++) {
			unsigned change = corner + (a[i - 1] != b[j - 1]);
			unsigned more = (row[j] < row[j - 1] ? row[j] : row[j - 1]) + 1;

			corner = row[j];
			row[j] = change < more ? change : more;
		}
	}
	return row[strlen(b)];
}

void cli_suggest(FILE *out, int count, char **words)
{
	CLEANUP(freep) char *said = mem_printf("%s%s%s", words[0], count > 1 ? " " : "", count > 1 ? words[1] : "");
	const char *near = NULL;
	unsigned least = 3;

	for (const struct command *c = cli_commands; c->name; c++) {
		unsigned two = distance(said, c->name), one = distance(words[0], c->name);
		unsigned d = two < one ? two : one;

		if (d < least) {
			least = d;
			near = c->name;
		}
	}
	if (near)
		fprintf(out, "; is it '%s'?", near);
}

int command_help(int argc, char **argv)
{
	if (argc == 0)
		return cli_usage(stdout, EXIT_OK);
	if (cli_describe(stdout, argc, argv) > 0)
		return EXIT_OK;
	fprintf(stderr, "penstock help: there is no command '%s'", argv[0]);
	cli_suggest(stderr, argc, argv);
	fputs(" (`penstock help` lists the commands)\n", stderr);
	return EXIT_USAGE;
}

/* --- manual pages ---------------------------------------------------------------------------------------------------- */

static void put_commands(void)
{
	man_heading("COMMANDS");
	for (const struct command *c = cli_commands; c->name; c++) {
		man_item(c->name, c->args);
		man_text(c->summary);
	}
	for (const char *const *w = cli_workers; *w; w++) {
		man_item(*w, "[--help] ...");
		man_text("Starts that program; everything behind its name is its own.");
	}
}

static void put_page(void)
{
	man_begin("penstock", "1", "market-data ETL: runs, dead letters, topics, tables");
	man_heading("SYNOPSIS");
	man_synopsis("penstock", "COMMAND [--config FILE] [--set KEY=VALUE]...");
	put_commands();
	man_heading("OPTIONS");
	man_item("--config", "FILE");
	man_text("The configuration, instead of " CONFIG_PLACES ".");
	man_item("--set", "KEY=VALUE");
	man_text("One key of the configuration; stronger than environment and file. May be repeated.");
	man_heading("EXIT STATUS");
	man_text(EXIT_CODES ".");
	man_heading("SEE ALSO");
	man_text("penstock-fetcher(8), penstock-validator(8), penstock-transformer(8), penstock-loader(8), "
		 "penstock-orchestrator(8)");
}

/* A worker's page is printed by itself: its keys are in its own binary. */
int command_man(int argc, char **argv)
{
	char *const words[] = { "penstock", "--man", NULL };
	const char *page = argc > 0 ? argv[0] : "penstock";

	if (cli_leftover("man", argc, argv, 1))
		return EXIT_USAGE;
	if (strcmp(page, "penstock") == 0)
		return put_page(), EXIT_OK;
	if (strncmp(page, "penstock-", strlen("penstock-")) == 0)
		page += strlen("penstock-");
	for (const char *const *w = cli_workers; *w; w++)
		if (strcmp(page, *w) == 0 && strcmp(page, "simulator") != 0)
			return cli_start_worker(*w, words);
	fprintf(stderr, "penstock man: there is no page '%s'; there are: penstock", page);
	for (const char *const *w = cli_workers; *w; w++)
		if (strcmp(*w, "simulator") != 0)
			fprintf(stderr, ", penstock-%s", *w);
	fputs("\n", stderr);
	return EXIT_USAGE;
}

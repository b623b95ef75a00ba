#include "ops/cli/listing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/cleanup.h"
#include "common/json_in.h"
#include "common/mem.h"
#include "ops/cli/api.h"
#include "ops/cli/cli.h"
#include "ops/cli/query_string.h"
#include "ops/cli/table.h"

#define URL_MAX (64 * 1024)

/* One call of a command. */
struct request {
	const struct listing *listing;
	const char *values[LISTING_WORDS_MAX];
	struct query_string query; /* all but the cursor */
	char *cursor;
	bool as_json, all, no_pager;
};

static void request_release(struct request *r)
{
	query_string_release(&r->query);
	free(r->cursor);
}

/* --- the command line ------------------------------------------------------------------------------------------------------ */

static bool in_path(const struct listing *listing, const char *name)
{
	CLEANUP(freep) char *brace = mem_printf("{%s}", name);

	return strstr(listing->path, brace);
}

static int usage(const struct listing *listing, const char *what, const char *about)
{
	fprintf(stderr, "penstock %s: %s '%s' (see `penstock help %s`)\n", listing->command, what, about,
		listing->command);
	return EXIT_USAGE;
}

static int needs(const struct listing *listing, const char *word)
{
	fprintf(stderr, "penstock %s: its %s is missing (see `penstock help %s`)\n", listing->command, word,
		listing->command);
	return EXIT_USAGE;
}

/* The page is ours, the rest the API's. */
static int take_option(struct request *r, int *argc, char ***argv)
{
	if (strcmp(**argv, "--cursor") != 0 || *argc < 2)
		return query_string_take(&r->query, argc, argv) ? 0 : EXIT_USAGE;
	free(r->cursor);
	r->cursor = mem_strdup((*argv)[1]);
	*argc -= 2;
	*argv += 2;
	return 0;
}

static int take_word(struct request *r, const char *word, unsigned *count)
{
	if (*count == LISTING_WORDS_MAX || !r->listing->words[*count])
		return usage(r->listing, "there is nothing to do with", word);
	if (!in_path(r->listing, r->listing->words[*count]))
		query_string_put(&r->query, r->listing->words[*count], word);
	r->values[(*count)++] = word;
	return 0;
}

static int read_arguments(struct request *r, int argc, char **argv)
{
	unsigned words = 0;

	while (argc > 0) {
		if (argv[0][0] == '-' && argv[0][1] == '-' && argv[0][2]) {
			if (take_option(r, &argc, &argv))
				return EXIT_USAGE;
			continue;
		}
		if (take_word(r, argv[0], &words))
			return EXIT_USAGE;
		argc--;
		argv++;
	}
	if (words < r->listing->words_needed)
		return needs(r->listing, r->listing->words[words]);
	return 0;
}

/* --- asking ---------------------------------------------------------------------------------------------------------------- */

static void put_path(const struct request *r, struct buf *url)
{
	const char *at = r->listing->path;

	while (*at) {
		size_t len = *at == '{' ? strcspn(at, "}") : 0;

		for (unsigned i = 0; len > 0 && i < LISTING_WORDS_MAX && r->listing->words[i]; i++)
			if (strlen(r->listing->words[i]) == len - 1 &&
			    strncmp(r->listing->words[i], at + 1, len - 1) == 0)
				query_string_escape(url, r->values[i] ? r->values[i] : "");
		if (len > 0)
			at += len + 1;
		else
			buf_put_u8(url, (uint8_t)*at++);
	}
}

static int ask(const struct config *cfg, struct request *r, json_t **ret, struct err *err)
{
	CLEANUP(buf_release) struct buf url = BUF_INIT(URL_MAX);

	put_path(r, &url);
	buf_printf(&url, "%s%s", r->query.text.len > 0 ? "?" : "", buf_text(&r->query.text));
	if (r->cursor) {
		buf_put_text(&url, r->query.text.len > 0 ? "&cursor=" : "?cursor=");
		query_string_escape(&url, r->cursor);
	}
	return api_call(cfg, "GET", buf_text(&url), NULL, ret, err);
}

/* --- showing --------------------------------------------------------------------------------------------------------------- */

/* One row, a member a line; what is nested, as JSON of its own. */
static void print_one(const json_t *row)
{
	const char *name;
	json_t *value;

	json_object_foreach((json_t *)row, name, value)
	{
		CLEANUP(freep) char *nested = NULL;

		if (json_is_null(value))
			continue;
		if (json_is_object(value) || json_is_array(value))
			nested = json_dumps(value, JSON_INDENT(2));
		else if (json_is_string(value))
			nested = mem_strdup(json_string_value(value));
		else
			nested = json_dumps(value, JSON_ENCODE_ANY);
		for (char *at = nested; *at; at++)
			if ((unsigned char)*at < ' ' && *at != '\n')
				*at = ' ';
		printf("%-18s %s\n", name, nested);
	}
}

/* Of many rows each after an empty line. */
static void print_blocks(const json_t *rows, bool first)
{
	size_t i;
	json_t *row;

	json_array_foreach(rows, i, row)
	{
		if (i > 0 || !first)
			putchar('\n');
		print_one(row);
	}
}

static void print_json(const json_t *json)
{
	json_dumpf(json, stdout, JSON_INDENT(2) | JSON_PRESERVE_ORDER);
	putchar('\n');
}

static void take_cursor(struct request *r, const json_t *answer)
{
	const char *next = json_string_value(json_object_get(answer, "next_cursor"));

	free(r->cursor);
	r->cursor = next ? mem_strdup(next) : NULL;
}

/* Page after page where all are wanted. Of JSON each page is an object of its own. */
static int show_pages(const struct config *cfg, struct request *r, struct err *err)
{
	CLEANUP(table_freep) struct table *table = table_new(r->listing->columns);
	size_t rows = 0;

	do {
		CLEANUP(json_freep) json_t *answer = NULL;
		const json_t *list;
		size_t i;
		json_t *row;

		if (ask(cfg, r, &answer, err))
			return -1;
		take_cursor(r, answer);
		list = json_object_get(answer, r->listing->list);
		json_array_foreach(list, i, row) table_add(table, row);
		if (r->as_json)
			print_json(answer);
		else if (r->listing->blocks)
			print_blocks(list, rows == 0);
		else
			table_print(table);
		rows += json_array_size(list);
	} while (r->all && r->cursor);
	if (rows == 0 && !r->as_json)
		puts(r->listing->nothing);
	if (r->cursor && !r->as_json)
		fprintf(stderr, "there are more: --all, or --cursor %s\n", r->cursor);
	return 0;
}

static int show_one(const struct config *cfg, struct request *r, struct err *err)
{
	CLEANUP(json_freep) json_t *answer = NULL;

	if (ask(cfg, r, &answer, err))
		return -1;
	if (r->as_json)
		print_json(answer);
	else
		print_one(answer);
	return 0;
}

int listing_run(const struct listing *listing, int argc, char **argv)
{
	CLEANUP(config_freep) struct config *cfg = NULL;
	CLEANUP(request_release) struct request r = { .listing = listing, .query = QUERY_STRING(listing->command) };
	struct err err = ERR_INIT;
	int failed;

	r.as_json = cli_flag(&argc, argv, "--json");
	r.all = cli_flag(&argc, argv, "--all");
	r.no_pager = cli_flag(&argc, argv, "--no-pager");
	if (cli_config(&cfg, &argc, argv, &err))
		return cli_fail(listing->command, &err), EXIT_USAGE;
	if (read_arguments(&r, argc, argv))
		return EXIT_USAGE;
	if (!r.no_pager)
		pager_open();
	failed = listing->list ? show_pages(cfg, &r, &err) : show_one(cfg, &r, &err);
	pager_close();
	return failed ? cli_fail(listing->command, &err) : EXIT_OK;
}

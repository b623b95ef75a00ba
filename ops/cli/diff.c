/* diff: what tables beside the real ones have otherwise than these; --drop drops them. */
#include <jansson.h>

#include "common/cleanup.h"
#include "common/json_in.h"
#include "common/mem.h"
#include "ops/cli/api.h"
#include "ops/cli/cli.h"
#include "ops/cli/query_string.h"

static const char *text(const json_t *object, const char *name)
{
	const char *value = json_string_value(json_object_get(object, name));

	return value ? value : "";
}

static void print_object(const char *name, const json_t *object)
{
	CLEANUP(freep) char *shown = json_is_object(object) ? json_dumps(object, JSON_COMPACT) : NULL;

	if (shown)
		printf(" %s %s", name, shown);
}

/* Of a row that is only on one side its key says enough. */
static void print_example(const json_t *example, bool different)
{
	printf("   ");
	print_object("", json_object_get(example, "key"));
	if (different) {
		print_object("here", json_object_get(example, "here"));
		print_object("there", json_object_get(example, "there"));
	}
	putchar('\n');
}

static void print_line(const json_t *line)
{
	static const struct {
		const char *what, *shown;
	} kinds[] = { { "only_here", "only here" }, { "only_there", "only there" }, { "different", "different" } };
	bool different = strcmp(text(line, "what"), "different") == 0;
	const json_t *example;
	size_t n;

	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++)
		if (strcmp(kinds[i].what, text(line, "what")) == 0) {
			if (i == 0)
				printf("here %s, there %s (%s, run %lld)\n", text(line, "table_name"),
				       text(line, "side_name"), text(line, "schema"),
				       (long long)json_integer_value(json_object_get(line, "run")));
			printf("  %-10s %12lld\n", kinds[i].shown,
			       (long long)json_integer_value(json_object_get(line, "rows")));
		}
	json_array_foreach(json_object_get(line, "examples"), n, example) print_example(example, different);
}

static int show(const json_t *answer, const char *suffix, const char *schema, bool as_json)
{
	const json_t *lines = json_object_get(answer, "differences"), *line;
	struct err err = ERR_INIT;
	long long rows = 0;
	size_t i;

	if (json_array_size(lines) == 0) {
		err_set(&err, ERR_RECORD, "no replay%s%s has loaded into '%s'", schema ? " of " : "",
			schema ? schema : "", suffix);
		return cli_fail("diff", &err);
	}
	json_array_foreach(lines, i, line)
	{
		rows += json_integer_value(json_object_get(line, "rows"));
		if (!as_json)
			print_line(line);
	}
	if (as_json && json_dumpf(answer, stdout, JSON_INDENT(2) | JSON_PRESERVE_ORDER) == 0)
		putchar('\n');
	return rows > 0 ? EXIT_FAILED : EXIT_OK;
}

static int drop(const struct config *cfg, const char *path, const char *suffix)
{
	CLEANUP(json_freep) json_t *answer = NULL;
	struct err err = ERR_INIT;

	if (api_call(cfg, "DELETE", path, NULL, &answer, &err))
		return cli_fail("diff", &err);
	printf("what replays loaded into %s is dropped\n", suffix);
	return EXIT_OK;
}

int command_diff(int argc, char **argv)
{
	CLEANUP(config_freep) struct config *cfg = NULL;
	CLEANUP(json_freep) json_t *answer = NULL;
	CLEANUP(query_string_release) struct query_string query = QUERY_STRING("diff");
	CLEANUP(buf_release) struct buf path = BUF_INIT(QUERY_STRING_MAX);
	const char *schema = cli_option(&argc, argv, "--schema"), *examples = cli_option(&argc, argv, "--examples");
	bool dropping = cli_flag(&argc, argv, "--drop"), as_json = cli_flag(&argc, argv, "--json");
	struct err err = ERR_INIT;
	int64_t number;

	if (cli_config(&cfg, &argc, argv, &err))
		return cli_fail("diff", &err), EXIT_USAGE;
	if (cli_leftover("diff", argc, argv, 1) || !cli_number("diff", "--examples", examples, &number))
		return EXIT_USAGE;
	if (argc < 1)
		return fprintf(stderr, "penstock diff: it takes the SUFFIX that `penstock replay --into` was given\n"),
		       EXIT_USAGE;
	if (dropping && (schema || examples || as_json))
		return fprintf(stderr, "penstock diff: --drop drops all of a SUFFIX, and shows nothing\n"), EXIT_USAGE;
	if (schema)
		query_string_put(&query, "schema", schema);
	if (examples)
		query_string_put(&query, "examples", examples);
	buf_put_text(&path, "/api/v1/sides/");
	query_string_escape(&path, argv[0]);
	if (dropping)
		return drop(cfg, buf_text(&path), argv[0]);
	if (query.text.len > 0)
		buf_printf(&path, "?%s", buf_text(&query.text));
	if (api_call(cfg, "GET", buf_text(&path), NULL, &answer, &err))
		return cli_fail("diff", &err);
	return show(answer, argv[0], schema, as_json);
}

/* rules check, rules test */
#include <stdio.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/json_out.h"
#include "common/mem.h"
#include "ops/cli/cli.h"
#include "ops/cli/rules.h"
#include "stages/validator/rule_files.h"
#include "stages/validator/rule_tests.h"

#define TESTS_FOLDER "tests"
#define OUTPUT_MAX ((size_t)16 * 1024 * 1024)

void rules_release(struct rules *rules)
{
	ruleset_freep(&rules->set);
	freep(&rules->place);
}

int rules_open(struct rules *ret, const char *command, const char *path)
{
	struct err err = ERR_INIT;

	ret->place = mem_strdup(path);
	if (rule_file_read(&ret->set, path, &ret->type, &err) == 0)
		return 0;
	fprintf(stderr, "penstock %s: %s\n", command, err.text);
	return EXIT_FAILED;
}

int rules_open_installed(struct rules *ret, const char *command, const struct config *cfg,
			 const struct record_type *type)
{
	const struct data_type *data = &data_types[data_type_of(type)];
	const char *folder = config_text(cfg, "rules.folder");
	struct err err = ERR_INIT;

	ret->type = type;
	ret->place = rule_file_place(folder, data);
	if (rule_file_open(&ret->set, folder, data, &err) == 0)
		return 0;
	fprintf(stderr, "penstock %s: what is installed here: %s\n", command, err.text);
	return EXIT_FAILED;
}

json_t *rules_source(const struct rules *rules)
{
	return json_pack("{s:s, s:i, s:s}", "version", ruleset_version(rules->set), "number",
			 (int)ruleset_number(rules->set), "place", rules->place);
}

char *rules_one_line(const char *text)
{
	CLEANUP(buf_release) struct buf out = BUF_INIT(OUTPUT_MAX);
	bool quoted = false, space = false;

	for (; *text; text++) {
		bool is_space = strchr(" \t\r\n", *text) != NULL;

		if (!is_space || quoted) {
			if (space && out.len)
				buf_put_u8(&out, ' ');
			buf_put_u8(&out, is_space ? ' ' : (uint8_t)*text);
		}
		space = is_space && !quoted;
		quoted ^= *text == '\'';
	}
	return mem_strdup(buf_text(&out));
}

/* The one argument of `check` and `test`. */
static int open_rules(struct rules *rules, const char *command, int argc, char **argv)
{
	if (cli_leftover(command, argc, argv, 1))
		return EXIT_USAGE;
	if (argc < 1)
		return fprintf(stderr, "penstock %s: name a rule file (see `penstock help`)\n", command), EXIT_USAGE;
	return rules_open(rules, command, argv[0]);
}

static void print_json(const struct buf *json)
{
	printf("%.*s\n", STR_ARG(buf_str(json)));
}

static void put_text(struct json_out *json, const char *key, const char *text)
{
	json_put_key(json, key);
	json_put_str(json, str_of(text));
}

static void open_report(struct json_out *json, const struct rules *rules)
{
	json_put_open(json, '{');
	put_text(json, "record", rules->type->name);
	put_text(json, "version", ruleset_version(rules->set));
	json_put_key(json, "number");
	json_put_int(json, ruleset_number(rules->set));
}

/* --- rules check -------------------------------------------------------------------------------------------------------- */

static void put_rule(struct json_out *json, const struct rule_text *rule)
{
	json_put_open(json, '{');
	put_text(json, "name", rule->name);
	put_text(json, "severity", rule->rejects ? "reject" : "flag");
	put_text(json, "when", rule->when);
	put_text(json, "violated", rule->violated);
	put_text(json, "doc", rule->doc);
	json_put_close(json, '}');
}

static void check_as_json(const struct rules *rules)
{
	CLEANUP(buf_release) struct buf buf = BUF_INIT(OUTPUT_MAX);
	struct json_out json = JSON_OUT(&buf);

	open_report(&json, rules);
	json_put_key(&json, "rules");
	json_put_open(&json, '[');
	for (unsigned i = 0; i < ruleset_count(rules->set); i++) {
		struct rule_text rule = ruleset_rule(rules->set, i);

		put_rule(&json, &rule);
	}
	json_put_close(&json, ']');
	json_put_close(&json, '}');
	print_json(&buf);
}

static void print_rule(const struct rule_text *rule)
{
	CLEANUP(freep) char *violated = rules_one_line(rule->violated);
	CLEANUP(freep) char *when = rules_one_line(rule->when);

	printf("  %-6s %-30s %s%s%s\n", rule->rejects ? "reject" : "flag", rule->name, violated,
	       *when ? "   when " : "", when);
}

static void check_as_text(const struct rules *rules)
{
	printf("%s: %u rules for %s\n", ruleset_version(rules->set), ruleset_count(rules->set), rules->type->name);
	for (unsigned i = 0; i < ruleset_count(rules->set); i++) {
		const struct rule_text rule = ruleset_rule(rules->set, i);

		print_rule(&rule);
	}
}

int command_rules_check(int argc, char **argv)
{
	bool as_json = cli_flag(&argc, argv, "--json");
	CLEANUP(rules_release) struct rules rules = RULES_INIT;
	int over = open_rules(&rules, "rules check", argc, argv);

	if (over)
		return over;
	if (as_json)
		check_as_json(&rules);
	else
		check_as_text(&rules);
	return EXIT_OK;
}

/* --- rules test --------------------------------------------------------------------------------------------------------- */

struct report {
	const char *path; /* of the tests */
	bool as_json;
	struct json_out json;
};

static void report_test(void *self, const struct rule_test *test)
{
	struct report *report = self;

	if (!report->as_json) {
		printf("%-6s %s:%u: %s%s%s\n", test->why ? "FAILED" : "passed", report->path, test->line, test->name,
		       test->why ? ": " : "", test->why ? test->why : "");
		return;
	}
	json_put_open(&report->json, '{');
	put_text(&report->json, "name", test->name);
	json_put_key(&report->json, "line");
	json_put_int(&report->json, test->line);
	json_put_key(&report->json, "passed");
	json_put_bool(&report->json, !test->why);
	if (test->why)
		put_text(&report->json, "why", test->why);
	json_put_close(&report->json, '}');
}

static void close_json(struct json_out *json, const struct rules *rules, const struct rule_tests *sum)
{
	json_put_close(json, ']');
	json_put_key(json, "passed");
	json_put_int(json, sum->passed);
	json_put_key(json, "failed");
	json_put_int(json, sum->failed);
	json_put_key(json, "untested");
	json_put_open(json, '[');
	for (unsigned i = 0; i < ruleset_count(rules->set); i++)
		if (!(sum->violated >> i & 1))
			json_put_str(json, str_of(ruleset_rule(rules->set, i).name));
	json_put_close(json, ']');
	json_put_close(json, '}');
	print_json(json->buf);
}

static void print_sum(const struct rules *rules, const struct rule_tests *sum)
{
	printf("%u passed, %u failed", sum->passed, sum->failed);
	for (unsigned i = 0, n = 0; i < ruleset_count(rules->set); i++)
		if (!(sum->violated >> i & 1))
			printf("%s%s", n++ ? ", " : "; no test violates ", ruleset_rule(rules->set, i).name);
	printf("\n");
}

/* DIR/tests/NAME.yaml of DIR/NAME.yaml */
static char *tests_of(const char *rules)
{
	const char *slash = strrchr(rules, '/');
	int folder = slash ? (int)(slash - rules) + 1 : 0;

	return mem_printf("%.*s" TESTS_FOLDER "/%s", folder, rules, rules + folder);
}

static int run_tests(const struct rules *rules, const char *path, bool as_json)
{
	CLEANUP(buf_release) struct buf buf = BUF_INIT(OUTPUT_MAX);
	struct report report = { path, as_json, JSON_OUT(&buf) };
	struct err err = ERR_INIT;
	struct rule_tests sum;

	open_report(&report.json, rules);
	json_put_key(&report.json, "tests");
	json_put_open(&report.json, '[');
	if (rule_tests_run(rules->set, rules->type, path, report_test, &report, &sum, &err)) {
		fprintf(stderr, "penstock rules test: %s\n", err.text);
		return EXIT_FAILED;
	}
	if (as_json)
		close_json(&report.json, rules, &sum);
	else
		print_sum(rules, &sum);
	return sum.failed ? EXIT_FAILED : EXIT_OK;
}

int command_rules_test(int argc, char **argv)
{
	bool as_json = cli_flag(&argc, argv, "--json");
	const char *data = cli_option(&argc, argv, "--data");
	CLEANUP(freep) char *path = NULL;
	CLEANUP(rules_release) struct rules rules = RULES_INIT;
	int over = open_rules(&rules, "rules test", argc, argv);

	if (over)
		return over;
	path = data ? mem_strdup(data) : tests_of(argv[0]);
	return run_tests(&rules, path, as_json);
}

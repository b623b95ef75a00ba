#include "ops/cli/dlq_dry_run.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/json_in.h"
#include "common/mem.h"
#include "ops/cli/cli.h"
#include "ops/cli/dlq_pages.h"
#include "ops/cli/judge.h"
#include "ops/cli/table.h"
#include "stages/validator/settings.h"

#define EXAMPLES_MAX 3 /* of one reason */
#define SHOWN_MAX 20   /* lines of a table */

struct report {
	const struct dry_run *what;
	struct judge judge;
	int64_t now_ns;
	int64_t chosen, judged, passed, left_out, not_judged;
	json_t *by_rule, *by_symbol, *failing, *rule_sets; /* objects by name */
};

static void report_release(struct report *r)
{
	judge_release(&r->judge);
	json_decref(r->by_rule);
	json_decref(r->by_symbol);
	json_decref(r->failing);
	json_decref(r->rule_sets);
}

/* --- counting ------------------------------------------------------------------------------------------------------------ */

static void add(json_t *object, const char *member, int64_t n)
{
	json_t *count = json_object_get(object, member);

	json_integer_set(count, json_integer_value(count) + n);
}

static void count(json_t *groups, const char *column, const char *name, bool passes)
{
	json_t *group = json_object_get(groups, name);

	if (!group) {
		group = json_pack("{s:s, s:i, s:i}", column, name, "letters", 0, "would_pass", 0);
		json_object_set_new(groups, name, group);
	}
	add(group, "letters", 1);
	add(group, "would_pass", passes);
}

/* By every rule that it was refused by; what has none, by its class. */
static void count_rules(struct report *r, const json_t *letter, bool passes)
{
	const json_t *rules = json_object_get(letter, "rules");
	size_t i;
	json_t *rule;

	json_array_foreach(rules, i, rule) count(r->by_rule, "rule", json_string_value(rule), passes);
	if (json_array_size(rules) == 0)
		count(r->by_rule, "rule", json_string_value(json_object_get(letter, "class")), passes);
}

static void add_failing(struct report *r, const char *reason, const json_t *letter)
{
	json_t *group = json_object_get(r->failing, reason), *examples;

	if (!group) {
		group = json_pack("{s:s, s:i, s:[]}", "rule", reason, "letters", 0, "examples");
		json_object_set_new(r->failing, reason, group);
	}
	add(group, "letters", 1);
	examples = json_object_get(group, "examples");
	if (json_array_size(examples) < EXAMPLES_MAX)
		json_array_append_new(examples,
				      json_pack("{s:O, s:O, s:O, s:s}", "id", json_object_get(letter, "id"), "symbol",
						json_object_get(letter, "symbol"), "day",
						json_object_get(letter, "day"), "message", buf_text(&r->judge.text)));
}

static void count_failing(struct report *r, const json_t *letter)
{
	CLEANUP(freep) char *names = mem_strdup(buf_text(&r->judge.names));
	char *rest = names, *name;

	while ((name = strsep(&rest, ",")))
		add_failing(r, name, letter);
}

static void note_rule_set(struct report *r, const json_t *letter)
{
	const struct data_schema *schema = data_schema_find(json_string_value(json_object_get(letter, "schema")));

	if (schema && strcmp(json_string_value(json_object_get(letter, "stage")), "validator") == 0)
		json_object_set_new(r->rule_sets, ruleset_version(r->judge.rules[schema->type]), json_true());
}

/* A replay would not put it back: it is decided upon, or was put back that often. */
static bool is_left_out(const struct report *r, const json_t *letter)
{
	const char *state = json_string_value(json_object_get(letter, "state"));

	return strcmp(state, "discarded") == 0 || strcmp(state, "resolved") == 0 ||
	       json_integer_value(json_object_get(letter, "replays")) +
			       json_integer_value(json_object_get(letter, "put_back")) >=
		       r->what->max_replays;
}

static int visit(void *self, const json_t *letter, struct err *err)
{
	struct report *r = self;
	enum judge_verdict verdict;

	(void)err;
	r->chosen++;
	if (is_left_out(r, letter)) {
		r->left_out++;
		return 0;
	}
	verdict = judge_letter(&r->judge, letter, r->now_ns);
	if (verdict == JUDGE_CANNOT) {
		r->not_judged++;
		return 0;
	}
	r->judged++;
	r->passed += verdict == JUDGE_PASSES;
	note_rule_set(r, letter);
	count_rules(r, letter, verdict == JUDGE_PASSES);
	count(r->by_symbol, "symbol", json_string_value(json_object_get(letter, "symbol")), verdict == JUDGE_PASSES);
	if (verdict == JUDGE_FAILS)
		count_failing(r, letter);
	return 0;
}

/* --- showing ------------------------------------------------------------------------------------------------------------- */

static int64_t letters_of(const json_t *group)
{
	return json_integer_value(json_object_get(group, "letters"));
}

static int by_letters(const void *a, const void *b)
{
	int64_t x = letters_of(*(json_t *const *)a), y = letters_of(*(json_t *const *)b);

	return (x < y) - (x > y);
}

/* The most first. */
static json_t *sorted(const json_t *groups)
{
	size_t n = json_object_size(groups), i = 0;
	json_t **list = mem_zalloc(n + 1, sizeof(*list)), *out = json_array(), *group;
	const char *name;

	json_object_foreach((json_t *)groups, name, group) list[i++] = group;
	qsort(list, n, sizeof(*list), by_letters);
	for (i = 0; i < n; i++)
		json_array_append(out, list[i]);
	free(list);
	return out;
}

static json_t *report_json(const struct report *r)
{
	json_t *rule_sets = json_array(), *value;
	const char *name;

	json_object_foreach(r->rule_sets, name, value) json_array_append_new(rule_sets, json_string(name));
	return json_pack("{s:I, s:I, s:I, s:I, s:o, s:o, s:o, s:o}", "letters", (json_int_t)r->judged, "would_pass",
			 (json_int_t)r->passed, "left_out", (json_int_t)r->left_out, "not_judged",
			 (json_int_t)r->not_judged, "rule_sets", rule_sets, "by_rule", sorted(r->by_rule), "by_symbol",
			 sorted(r->by_symbol), "still_failing", sorted(r->failing));
}

/* "1,204" */
static const char *with_commas(int64_t n, char text[32])
{
	char digits[24];
	int len = snprintf(digits, sizeof(digits), "%" PRId64, n), to = 0;

	for (int i = 0; i < len; i++) {
		if (i > 0 && (len - i) % 3 == 0)
			text[to++] = ',';
		text[to++] = digits[i];
	}
	text[to] = '\0';
	return text;
}

static void print_groups(const json_t *groups, const char *columns, const char *title)
{
	CLEANUP(table_freep) struct table *table = table_new(columns);
	size_t i;
	json_t *group;

	if (json_array_size(groups) == 0)
		return;
	printf("\n%s\n", title);
	json_array_foreach(groups, i, group) if (i < SHOWN_MAX) table_add(table, group);
	table_print(table);
	if (i > SHOWN_MAX)
		printf("and %zu more: --json\n", i - SHOWN_MAX);
}

/* A symbol or a message may hold anything; orders for the terminal are none here. */
static void print_plain(const json_t *text)
{
	for (const char *at = json_string_value(text); at && *at; at++)
		putchar((unsigned char)*at < ' ' || *at == 0x7f ? ' ' : *at);
}

static void print_failing(const json_t *failing)
{
	size_t i, j;
	json_t *group, *example;

	if (json_array_size(failing) > 0)
		puts("\nstill failing");
	json_array_foreach(failing, i, group)
	{
		printf("%-30s %" PRId64 "\n", json_string_value(json_object_get(group, "rule")), letters_of(group));
		json_array_foreach(json_object_get(group, "examples"), j, example)
		{
			printf("    letter %" JSON_INTEGER_FORMAT " ",
			       json_integer_value(json_object_get(example, "id")));
			print_plain(json_object_get(example, "symbol"));
			putchar(' ');
			print_plain(json_object_get(example, "day"));
			fputs(": ", stdout);
			print_plain(json_object_get(example, "message"));
			putchar('\n');
		}
	}
}

static void print(const struct report *r, const json_t *report)
{
	const char *name, *separator = "rules ";
	char passed[32], judged[32];
	json_t *value;

	printf("would now pass %s of %s\n", with_commas(r->passed, passed), with_commas(r->judged, judged));
	json_object_foreach(r->rule_sets, name, value)
	{
		printf("%s%s", separator, name);
		separator = ", ";
	}
	if (separator[0] == ',')
		putchar('\n');
	if (r->left_out > 0)
		printf("left out, as a replay would: %" PRId64
		       " (decided upon, or put back as often as --max-replays says)\n",
		       r->left_out);
	if (r->not_judged > 0)
		printf("not judged: %" PRId64 " that the fetcher or the loader refused\n", r->not_judged);
	print_groups(json_object_get(report, "by_rule"), "rule letters would_pass", "by what they were refused by");
	print_groups(json_object_get(report, "by_symbol"), "symbol letters would_pass", "by symbol");
	print_failing(json_object_get(report, "still_failing"));
}

/* --- the command --------------------------------------------------------------------------------------------------------- */

/* The rules that validators have who read the same configuration. */
static int open_judge(struct report *r, struct err *err)
{
	CLEANUP(config_freep) struct config *cfg = NULL;

	return config_open(&cfg, &validator_config, r->what->validator, err) ||
			       judge_open(&r->judge, cfg, r->what->rules, err)
		       ? -1
		       : 0;
}

int dlq_dry_run(const struct dry_run *what, const struct config *cfg)
{
	CLEANUP(report_release)
	struct report r = { .what = what,
			    .now_ns = clock_now_ns(),
			    .by_rule = json_object(),
			    .by_symbol = json_object(),
			    .failing = json_object(),
			    .rule_sets = json_object() };
	CLEANUP(json_freep) json_t *report = NULL;
	struct err err = ERR_INIT;

	if (open_judge(&r, &err)) { /* as of `rules check`, a file that is none is the answer "no" */
		fprintf(stderr, "penstock dlq replay: %s\n", err.text);
		return EXIT_FAILED;
	}
	if (dlq_each(cfg, what->query, visit, &r, &err))
		return cli_fail("dlq replay", &err);
	if (r.chosen == 0) {
		fputs("penstock dlq replay: there is no such dead letter\n", stderr);
		return EXIT_FAILED;
	}
	report = report_json(&r);
	if (!what->as_json)
		print(&r, report);
	else if (json_dumpf(report, stdout, JSON_INDENT(2) | JSON_PRESERVE_ORDER) == 0)
		putchar('\n');
	return EXIT_OK;
}

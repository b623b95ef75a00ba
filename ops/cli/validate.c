/*
 * `penstock validate`: a schema's rules over stored rows, chosen at random. A
 * row is made the record again that the validator saw, as far as the table
 * keeps it, and judged by the same rule set.
 */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/data_types.h"
#include "common/json_in.h"
#include "common/mem.h"
#include "common/number_text.h"
#include "common/record_text.h"
#include "ops/cli/api.h"
#include "ops/cli/cli.h"
#include "stages/validator/rule_files.h"

#define SAMPLE_DEFAULT 1000
#define SAMPLE_MAX 10000 /* rows; they are held in memory */
#define EXAMPLES_MAX 3   /* of one rule */
#define TEXT_MAX 65536
#define WHOLE_TABLE "&breadth=1000000000"
#define NO_RECORD "NO_RECORD" /* beside the rules: a row that is none of the schema's any more */

struct validation {
	const struct data_schema *schema;
	const struct data_type *type;
	struct ruleset *rules;
	void *record;
	int64_t size, sampled, failed, flagged;
	json_t *found[RULES_MAX + 1]; /* by rule, then NO_RECORD: {rule, severity, records, examples}; NULL: never */
	struct buf text;
};

static void validation_release(struct validation *v)
{
	for (unsigned i = 0; i <= RULES_MAX; i++)
		json_decref(v->found[i]);
	ruleset_freep(&v->rules);
	free(v->record);
	buf_release(&v->text);
}

/* --- a row becomes a record -------------------------------------------------------------------------------------------- */

/* Where a field's column has another name than it. */
static const char *column_of(const struct validation *v, const char *field)
{
	static const struct {
		enum data_type_id type;
		const char *field, *column;
	} renamed[] = {
		{ DATA_OHLCV, "open", "open_price" },
		{ DATA_OHLCV, "high", "high_price" },
		{ DATA_OHLCV, "low", "low_price" },
		{ DATA_OHLCV, "close", "close_price" },
		{ DATA_TRADES, "side", "vendor_side" },
		{ DATA_TBBO, "side", "vendor_side" },
		{ DATA_SYMBOL_MAPPING, "symbol", "input_symbol" },
	};

	for (unsigned i = 0; i < sizeof(renamed) / sizeof(*renamed); i++)
		if (renamed[i].type == v->schema->type && strcmp(renamed[i].field, field) == 0)
			return renamed[i].column;
	return field;
}

static const char *text_of(const json_t *row, const char *column)
{
	return json_string_value(json_object_get(row, column));
}

/* Microseconds with their zone, and the nanoseconds that are left in a column of their own. -infinity stands for none. */
static bool put_time(struct validation *v, const struct record_field *field, const json_t *row, const char *column)
{
	CLEANUP(freep) char *rest = mem_printf("%s_ns", column);
	const char *text = text_of(row, column), *nanos = text_of(row, rest);
	int64_t ns;

	if (!text || strcmp(text, "-infinity") == 0)
		return record_put_text(v->record, field, NULL);
	if (!clock_parse((struct str){ text, (uint32_t)strcspn(text, "+") }, &ns))
		return false;
	if (field->nullable)
		record_set_present(v->record, field->bit, true);
	*(int64_t *)((char *)v->record + field->offset) = ns + (nanos ? strtoll(nanos, NULL, 10) : 0);
	return true;
}

/* A quantity is two fields of the record and one column. */
static bool put_quantity(struct validation *v, const struct record_field *field, const struct record_field *exponent,
			 const char *text)
{
	struct err ignored = ERR_INIT;
	bool rounded = false;

	if (!text)
		return record_put_text(v->record, field, NULL);
	if (field->nullable)
		record_set_present(v->record, field->bit, true);
	return number_text_quantity(str_of(text), NUMBER_EXACT, (int64_t *)((char *)v->record + field->offset),
				    (int32_t *)((char *)v->record + exponent->offset), &rounded, &ignored) == 0;
}

static bool put_field(struct validation *v, const struct record_field *field, const json_t *row)
{
	CLEANUP(freep) char *exponent = mem_printf("%s_exponent", field->name);
	const struct record_field *pair = record_field_find(v->type->raw, str_of(exponent));
	const char *column = column_of(v, field->name);

	if (strcmp(field->name, "schema") == 0)
		return record_put_text(v->record, field, v->schema->name);
	if (!json_object_get(row, column))
		return true; /* no table keeps ordinals; an exponent comes with its coefficient */
	if (pair)
		return put_quantity(v, field, pair, text_of(row, column));
	if (field->logical == LOGICAL_TIMESTAMP_NANOS)
		return put_time(v, field, row, column);
	return record_put_text(v->record, field, text_of(row, column));
}

/* False: with the field's name in v->text. */
static bool read_row(struct validation *v, const json_t *row)
{
	memset(v->record, 0, v->type->raw->size);
	for (unsigned i = 0; i < v->type->raw->field_count; i++)
		if (!put_field(v, &v->type->raw->fields[i], row)) {
			const char *column = column_of(v, v->type->raw->fields[i].name), *text = text_of(row, column);

			buf_printf(&v->text, "%s is %s", column, text ? text : "null");
			return false;
		}
	return true;
}

/* --- judging ------------------------------------------------------------------------------------------------------------- */

static json_t *found_of(struct validation *v, unsigned rule)
{
	bool none = rule == ruleset_count(v->rules);
	struct rule_text text =
		none ? (struct rule_text){ .name = NO_RECORD, .rejects = true } : ruleset_rule(v->rules, rule);

	if (!v->found[rule])
		v->found[rule] = json_pack("{s:s, s:s, s:i, s:[]}", "rule", text.name, "severity",
					   text.rejects ? "reject" : "flag", "records", 0, "examples");
	return v->found[rule];
}

/* What names the row in its table, and what is wrong with it: v->text. */
static json_t *example_of(struct validation *v, const json_t *row)
{
	static const char *const names[] = { "symbol",  "input_symbol", "output_symbol", "interval", "ts_event",
					     "ts_recv", "sequence",     "dataset",       "attempt" };
	json_t *example = json_object();

	for (unsigned i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (text_of(row, names[i]))
			json_object_set(example, names[i], json_object_get(row, names[i]));
	json_object_set_new(example, "message", json_string(buf_text(&v->text)));
	return example;
}

static void count(struct validation *v, unsigned rule, const json_t *row)
{
	json_t *found = found_of(v, rule), *examples = json_object_get(found, "examples"),
	       *records = json_object_get(found, "records");

	json_integer_set(records, json_integer_value(records) + 1);
	if (json_array_size(examples) < EXAMPLES_MAX)
		json_array_append_new(examples, example_of(v, row));
}

static void judge(struct validation *v, const json_t *row, int64_t now_ns)
{
	struct verdict verdict;

	v->sampled++;
	buf_reset(&v->text);
	if (!read_row(v, row)) {
		v->failed++;
		count(v, ruleset_count(v->rules), row);
		return;
	}
	verdict = ruleset_check(v->rules, v->record, now_ns);
	v->failed += verdict.rejected != 0;
	v->flagged += verdict.flagged != 0;
	for (unsigned i = 0; i < ruleset_count(v->rules); i++)
		if ((verdict.rejected | verdict.flagged) >> i & 1) {
			buf_reset(&v->text);
			ruleset_explain(v->rules, v->record, UINT64_C(1) << i, &v->text);
			count(v, i, row);
		}
}

/* --- the sample ---------------------------------------------------------------------------------------------------------- */

static int ask(const struct config *cfg, const struct validation *v, const char *more, json_t **ret, struct err *err)
{
	CLEANUP(freep)
	char *path = mem_printf("/api/v1/samples/%s?limit=%lld%s", v->schema->name, (long long)v->size, more);

	json_decref(*ret);
	*ret = NULL;
	return api_call(cfg, "GET", path, NULL, ret, err);
}

/* Where the schema's rows are rare in their table, some of its pages do not have as many: then all of it is looked at. */
static int check(const struct config *cfg, struct validation *v, struct err *err)
{
	CLEANUP(json_freep) json_t *answer = NULL;
	int64_t now_ns = clock_now_ns();
	size_t i;
	json_t *row;

	if (ask(cfg, v, "", &answer, err) || ((int64_t)json_array_size(json_object_get(answer, "rows")) < v->size &&
					      ask(cfg, v, WHOLE_TABLE, &answer, err)))
		return -1;
	json_array_foreach(json_object_get(answer, "rows"), i, row) judge(v, json_object_get(row, "row"), now_ns);
	return 0;
}

/* --- showing ------------------------------------------------------------------------------------------------------------- */

static json_t *report_of(const struct validation *v)
{
	json_t *rules = json_array();

	for (unsigned i = 0; i <= RULES_MAX; i++)
		if (v->found[i])
			json_array_append(rules, v->found[i]);
	return json_pack("{s:s, s:s, s:I, s:I, s:I, s:I, s:o}", "schema", v->schema->name, "rule_set",
			 ruleset_version(v->rules), "sampled", (json_int_t)v->sampled, "passed",
			 (json_int_t)(v->sampled - v->failed), "failed", (json_int_t)v->failed, "flagged",
			 (json_int_t)v->flagged, "rules", rules);
}

/* A symbol may hold anything; orders for the terminal are none here. */
static void print_plain(const json_t *text)
{
	for (const char *at = json_string_value(text); *at; at++)
		putchar((unsigned char)*at < ' ' || *at == 0x7f ? ' ' : *at);
}

static void print_example(const json_t *example)
{
	const char *name;
	json_t *value;

	printf("   ");
	json_object_foreach((json_t *)example, name, value)
	{
		fputs(strcmp(name, "message") == 0 ? ": " : " ", stdout);
		print_plain(value);
	}
	putchar('\n');
}

static void print(const struct validation *v, const json_t *report)
{
	size_t i, j;
	json_t *rule, *example;

	printf("%s by %s: %lld sampled, %lld passed (%lld flagged), %lld failed\n", v->schema->name,
	       ruleset_version(v->rules), (long long)v->sampled, (long long)(v->sampled - v->failed),
	       (long long)v->flagged, (long long)v->failed);
	json_array_foreach(json_object_get(report, "rules"), i, rule)
	{
		printf("%-6s  %-30s %lld\n", json_string_value(json_object_get(rule, "severity")),
		       json_string_value(json_object_get(rule, "rule")),
		       (long long)json_integer_value(json_object_get(rule, "records")));
		json_array_foreach(json_object_get(rule, "examples"), j, example) print_example(example);
	}
	if (v->sampled == 0)
		printf("no row of this schema is stored\n");
}

/* --- the command --------------------------------------------------------------------------------------------------------- */

static int usage_schema(const char *name)
{
	fprintf(stderr, "penstock validate: %s%s%s; --schema takes", name ? "there is no schema '" : "name a schema",
		name ? name : "", name ? "'" : "");
	for (const struct data_schema *s = data_schemas; s->name; s++)
		fprintf(stderr, "%s %s", s == data_schemas ? "" : ",", s->name);
	fputs("\n", stderr);
	return EXIT_USAGE;
}

static int read_options(struct validation *v, int *argc, char **argv)
{
	const char *schema = cli_option(argc, argv, "--schema"), *size = cli_option(argc, argv, "--sample-size");

	v->schema = schema ? data_schema_find(schema) : NULL;
	if (!v->schema)
		return usage_schema(schema);
	v->type = &data_types[v->schema->type];
	if (!cli_number("validate", "--sample-size", size, &v->size))
		return EXIT_USAGE;
	if (v->size >= 1 && v->size <= SAMPLE_MAX)
		return 0;
	fprintf(stderr, "penstock validate: --sample-size takes 1 to %d, not %s\n", SAMPLE_MAX, size);
	return EXIT_USAGE;
}

/* 0, or the exit code: as of `rules check` a file that is none is the answer "no". */
static int open_rules(struct validation *v, const char *path)
{
	const struct record_type *type = v->type->raw;
	struct err err = ERR_INIT;
	int failed = path ? rule_file_read(&v->rules, path, &type, &err) : rule_file_open(&v->rules, "", v->type, &err);

	if (failed) {
		fprintf(stderr, "penstock validate: %s\n", err.text);
		return EXIT_FAILED;
	}
	v->record = mem_zalloc(1, v->type->raw->size);
	if (type == v->type->raw)
		return 0;
	fprintf(stderr, "penstock validate: %s has rules for %s, and %s is %s\n", path, type->name, v->schema->name,
		v->type->name);
	return EXIT_USAGE;
}

int command_validate(int argc, char **argv)
{
	CLEANUP(config_freep) struct config *cfg = NULL;
	CLEANUP(json_freep) json_t *report = NULL;
	CLEANUP(validation_release)
	struct validation v = { .size = SAMPLE_DEFAULT, .text = BUF_INIT(TEXT_MAX) };
	const char *rules = cli_option(&argc, argv, "--rules");
	bool as_json = cli_flag(&argc, argv, "--json");
	struct err err = ERR_INIT;
	int code;

	if (cli_config(&cfg, &argc, argv, &err))
		return cli_fail("validate", &err), EXIT_USAGE;
	code = read_options(&v, &argc, argv);
	if (!code)
		code = cli_leftover("validate", argc, argv, 0);
	if (!code)
		code = open_rules(&v, rules);
	if (code)
		return code;
	if (check(cfg, &v, &err))
		return cli_fail("validate", &err);
	report = report_of(&v);
	if (!as_json)
		print(&v, report);
	else if (json_dumpf(report, stdout, JSON_INDENT(2) | JSON_PRESERVE_ORDER) == 0)
		putchar('\n');
	return v.failed > 0 ? EXIT_FAILED : EXIT_OK;
}

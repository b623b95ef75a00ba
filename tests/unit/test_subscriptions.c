/* subscriptions.yaml, the plan made of it, and the sums that accounts are compared with. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>
#include <jansson.h>

#include "common/cleanup.h"
#include "common/config.h"
#include "common/mem.h"
#include "common/record.h"
#include "stages/orchestrator/mix_sum.h"
#include "stages/orchestrator/plan.h"
#include "stages/orchestrator/subscriptions.h"

static char folder[] = "/tmp/penstock-subscriptions-XXXXXX";
static char *file;

static void write_file(const char *name, const char *text)
{
	CLEANUP(freep) char *path = mem_printf("%s/%s", folder, name);
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static int set_up(void **state)
{
	CLEANUP(freep) char *data = NULL, *odd = NULL, *nested = NULL;

	(void)state;
	if (!mkdtemp(folder))
		return -1;
	file = mem_printf("%s/subscriptions.yaml", folder);
	data = mem_printf("%s/data", folder);
	odd = mem_printf("%s/[odd]", folder);
	nested = mem_printf("%s/data/c.dbn", folder);
	if (mkdir(data, 0700) || mkdir(odd, 0700) || mkdir(nested, 0700))
		return -1;
	write_file("data/b.dbn", "");
	write_file("data/a.dbn", "");
	write_file("data/a.csv", "");
	write_file("[odd]/x.dbn", "");
	return 0;
}

static int tear_down(void **state)
{
	static const char *const names[] = { "subscriptions.yaml",
					     "data/b.dbn",
					     "data/a.dbn",
					     "data/a.csv",
					     "data/c.dbn",
					     "data/\xff.dbn",
					     "[odd]/x.dbn",
					     "[odd]/subscriptions.yaml",
					     "data",
					     "[odd]",
					     "" };

	(void)state;
	for (unsigned i = 0; i < sizeof(names) / sizeof(*names); i++) {
		CLEANUP(freep) char *path = mem_printf("%s/%s", folder, names[i]);

		remove(path);
	}
	free(file);
	return 0;
}

/* --- reading ----------------------------------------------------------------------------------------------------------- */

static void expect_error(const char *yaml, const char *place, const char *text)
{
	struct subscriptions list = SUBSCRIPTIONS_INIT;
	struct err err = ERR_INIT;
	CLEANUP(freep) char *where = mem_printf("subscriptions.yaml:%s", place);

	write_file("subscriptions.yaml", yaml);
	assert_int_equal(subscriptions_read(&list, file, &err), -1);
	assert_int_equal(err.kind, ERR_RECORD);
	if (!strstr(err.text, where) || !strstr(err.text, text))
		fail_msg("'%s' lacks '%s' or '%s'", err.text, where, text);
}

static void test_reads(void **state)
{
	CLEANUP(subscriptions_release) struct subscriptions list = SUBSCRIPTIONS_INIT;
	struct err err = ERR_INIT;
	const struct subscription *s;

	(void)state;
	write_file("subscriptions.yaml",
		   "subscriptions:\n"
		   "  - name: one\n    source: file\n    path: data/*.dbn\n"
		   "  - {name: two, source: file, path: [a, b], dataset: XNAS.ITCH, schema: ohlcv-1m}\n"
		   "  - {name: es, source: polygon, tickers: [AAPL], start: 2024-01-01}\n");
	assert_int_equal(subscriptions_read(&list, file, &err), 0);
	assert_int_equal(list.count, 3);
	s = subscriptions_find(&list, "two");
	assert_non_null(s);
	assert_non_null(s->how);
	assert_int_equal(s->path_count, 2);
	assert_string_equal(s->paths[1], "b");
	assert_string_equal(s->dataset, "XNAS.ITCH");
	assert_string_equal(s->schema, "ohlcv-1m");
	assert_int_equal(s->line, 5);
	assert_null(subscriptions_find(&list, "es")->how);
	assert_null(subscriptions_find(&list, "three"));
}

static void test_errors_name_the_line(void **state)
{
	(void)state;
	expect_error("", "1", "subscriptions");
	expect_error("subs: []\n", "1", "subs");
	expect_error("subscriptions: {}\n", "1", "list");
	expect_error("subscriptions:\n  - text\n", "2", "mapping");
	expect_error("subscriptions:\n  - source: file\n", "2", "name");
	expect_error("subscriptions:\n  - name: a\n", "2", "source");
	expect_error("subscriptions:\n  - name: a\n    source: file\n", "2", "path");
	expect_error("subscriptions:\n  - {name: a, source: file, path: []}\n", "2", "path");
	expect_error("subscriptions:\n  - {name: a, source: file, path: {b: c}}\n", "2", "path");
	expect_error("subscriptions:\n  - {name: a, source: file, path: [[b]]}\n", "2", "path");
	expect_error("subscriptions:\n  - name: a\n    source: file\n    paht: x\n", "4", "paht");
	expect_error("subscriptions:\n  - &a {name: a, source: file, path: x}\n  - {name: a, source: file, path: y}\n",
		     "3", "twice, first in line 2");
}

#define CSV_HEAD \
	"subscriptions:\n  - name: fx\n    source: file\n    path: x.csv\n    format: csv\n    dataset: FXCM\n    schema: ohlcv-1m\n"

static void test_csv(void **state)
{
	CLEANUP(subscriptions_release) struct subscriptions list = SUBSCRIPTIONS_INIT;
	CLEANUP(freep) char *parameters = NULL;
	struct err err = ERR_INIT;
	json_t *json, *csv;

	(void)state;
	write_file("subscriptions.yaml",
		   CSV_HEAD "    csv: {time: timestamp, symbol_constant: GBPUSD, volume: none, open: 2, header: true,\n"
			    "      delimiter: ;, price_text: float32, time_zone: Europe/London, time_twice: first}\n");
	if (subscriptions_read(&list, file, &err))
		fail_msg("%s", err.text);
	json = json_loads(list.items[0].parameters, 0, NULL);
	assert_string_equal(json_string_value(json_object_get(json, "format")), "csv");
	csv = json_object_get(json, "csv");
	parameters = json_dumps(csv, JSON_COMPACT | JSON_SORT_KEYS);
	assert_string_equal(parameters,
			    "{\"close\":\"close\",\"delimiter\":\";\",\"header\":\"true\",\"high\":\"high\","
			    "\"low\":\"low\",\"open\":\"2\",\"price_text\":\"float32\","
			    "\"symbol_constant\":\"GBPUSD\",\"time\":\"timestamp\",\"time_twice\":\"first\","
			    "\"time_zone\":\"Europe/London\",\"volume\":\"none\"}");
	json_decref(json);
}

static void test_csv_errors_name_the_line(void **state)
{
	(void)state;
	expect_error(CSV_HEAD, "2", "mapping `csv:`");
	expect_error(CSV_HEAD "    csv:\n      time: t\n      opne: o\n", "10",
		     "opne is not a key of csv; these are: time, open");
	expect_error(CSV_HEAD "    csv:\n      time: t\n", "9",
		     "symbol (a column) or symbol_constant (a text) is needed");
	expect_error(CSV_HEAD "    csv:\n      symbol: s\n", "9", "time is needed");
	expect_error(CSV_HEAD "    csv:\n      symbol: [s]\n", "9", "symbol: a text");
	expect_error(CSV_HEAD "    csv:\n      symbol: \"\"\n", "9", "symbol: it is empty");
	expect_error(CSV_HEAD "    csv:\n      time: t\n      symbol: s\n      price_text: double\n", "11",
		     "price_text: 'double' is none of exact, float32, float64");
	expect_error(CSV_HEAD "    csv:\n      delimiter: ab\n", "9", "delimiter: 'ab'");
	expect_error(CSV_HEAD "    csv:\n      header: maybe\n", "9", "header: 'maybe'");
	expect_error(CSV_HEAD "    csv: {time: t, symbol: s, time_zone: Mars/Phobos}\n", "8", "Mars/Phobos");
	expect_error(CSV_HEAD "    csv: {time: t, symbol: s, time_format: '%Y'}\n", "8", "lacks a month");
	expect_error(CSV_HEAD "    csv: {time: t, symbol: s, time_twice: never}\n", "8", "time_twice 'never'");
	expect_error(CSV_HEAD "    csv: {time: t, symbol: s, symbol_constant: X}\n", "8", "only one of them");
	expect_error(CSV_HEAD "    csv: {time: 1, symbol: 2, header: false}\n", "8",
		     "open is needed: a column, by its number");
	expect_error(CSV_HEAD "    csv: {time: 1, symbol: 2, header: false, open: o}\n", "8", "open: 'o' is no number");
	expect_error("subscriptions:\n  - name: a\n    source: file\n    path: x\n    format: xls\n", "5",
		     "format 'xls' is not csv");
	expect_error("subscriptions:\n  - name: a\n    source: file\n    path: x\n    csv: {}\n", "5",
		     "without format: csv");
	expect_error(
		"subscriptions:\n  - name: a\n    source: file\n    path: x\n    format: csv\n    csv: {time: t}\n",
		"2", "needs a dataset");
	expect_error("subscriptions:\n  - name: a\n    source: file\n    path: x\n    format: csv\n    dataset: D\n"
		     "    schema: trades\n    csv: {time: t}\n",
		     "7", "needs a schema: ohlcv-1s");
}

#define VENDOR_HEAD "subscriptions:\n  - name: es\n    source: databento\n    dataset: GLBX.MDP3\n"
#define VENDOR VENDOR_HEAD "    schema: ohlcv-1m\n    symbols: [ES.FUT, NQ.FUT]\n    start: 2024-01-01\n"

static void test_vendor(void **state)
{
	CLEANUP(subscriptions_release) struct subscriptions list = SUBSCRIPTIONS_INIT;
	struct err err = ERR_INIT;
	const struct vendor_request *v;

	(void)state;
	write_file(
		"subscriptions.yaml", VENDOR
		"    stype_in: parent\n    end: 2024-03-01T12:00:00.5Z\n    chunk: week\n"
		"    cost_max_usd: 12.345678901\n    via: batch\n"
		"  - {name: all, source: databento, dataset: D, schema: tbbo, symbols: ALL_SYMBOLS, start: 2024-02-29}\n");
	if (subscriptions_read(&list, file, &err))
		fail_msg("%s", err.text);
	v = &list.items[0].vendor;
	assert_int_equal(v->symbol_count, 2);
	assert_string_equal(v->symbols[1], "NQ.FUT");
	assert_string_equal(v->stype_in, "parent");
	assert_string_equal(v->record_type, "ohlcv");
	assert_string_equal(v->via, "batch");
	assert_true(v->start == INT64_C(1704067200000000000) && v->has_end && v->end == INT64_C(1709294400500000000));
	assert_true(v->chunk == CHUNK_WEEK && v->cost_max == INT64_C(12345678901));
	v = &list.items[1].vendor;
	assert_string_equal(v->symbols[0], "ALL_SYMBOLS");
	assert_string_equal(v->stype_in, "raw_symbol");
	assert_string_equal(v->record_type, "tbbo");
	assert_string_equal(v->via, "stream");
	assert_true(!v->has_end && v->chunk == CHUNK_MONTH && v->cost_max == 1000000000);
}

static void test_vendor_errors_name_the_line(void **state)
{
	(void)state;
	expect_error("subscriptions:\n  - {name: es, source: databento}\n", "2", "needs a dataset");
	expect_error(VENDOR_HEAD, "2", "needs a schema");
	expect_error(
		VENDOR_HEAD "    schema: mbo\n", "5",
		"schema 'mbo' is none of ohlcv-1s, ohlcv-1m, ohlcv-1h, ohlcv-1d, ohlcv-eod, trades, tbbo, statistics, "
		"definition, symbol_mapping, which can be loaded");
	expect_error(VENDOR_HEAD "    schema: trades\n", "2", "needs symbols");
	expect_error(VENDOR_HEAD "    schema: trades\n    symbols: []\n", "6", "needs symbols");
	expect_error(VENDOR_HEAD "    schema: trades\n    symbols: {a: b}\n", "6", "symbols must be a text");
	expect_error(VENDOR_HEAD "    schema: trades\n    symbols: 'A,B'\n", "6", "'A,B' is no symbol");
	expect_error(VENDOR_HEAD "    schema: trades\n    symbols:\n      - A\n      - B\n      - A\n", "9", "twice");
	expect_error(VENDOR_HEAD "    schema: trades\n    symbols: [A, ALL_SYMBOLS]\n", "6", "stands alone");
	expect_error(VENDOR_HEAD "    schema: trades\n    symbols: ALL_SYMBOLS\n    stype_in: parent\n", "6",
		     "stands alone");
	expect_error(VENDOR_HEAD "    schema: trades\n    symbols: A\n", "2", "needs a start");
	expect_error(VENDOR_HEAD "    schema: trades\n    symbols: A\n    start: yesterday\n", "7", "'yesterday'");
	expect_error(VENDOR_HEAD "    schema: trades\n    symbols: A\n    start: 1969-12-31\n", "7", "between 1970");
	expect_error(VENDOR "    end: 2024-01-01\n", "8", "not after its start");
	expect_error(VENDOR "    stype_in: nasdaq\n", "8",
		     "stype_in 'nasdaq' is none of raw_symbol, parent, continuous, instrument_id");
	expect_error(VENDOR "    chunk: decade\n", "8", "chunk 'decade' is none of day, week, month, year");
	expect_error(VENDOR "    via: post\n", "8", "via 'post' is none of stream, batch");
	expect_error(VENDOR_HEAD "    schema: symbol_mapping\n    via: batch\n", "6",
		     "schema symbol_mapping comes via stream only");
	expect_error(VENDOR "    cost_max_usd: five\n", "8", "cost_max_usd");
	expect_error(VENDOR "    cost_max_usd: -1\n", "8", "less than 0");
	expect_error(VENDOR "    cost_max_usd: 0.0000000001\n", "8", "cost_max_usd");
	expect_error(VENDOR "    path: x\n", "8", "path");
}

static void test_too_many_symbols(void **state)
{
	CLEANUP(buf_release) struct buf yaml = BUF_INIT(1 << 20);

	(void)state;
	buf_put_text(&yaml, VENDOR_HEAD "    schema: trades\n    symbols: [S0");
	for (unsigned i = 1; i <= 2000; i++)
		buf_printf(&yaml, ", S%u", i);
	buf_put_text(&yaml, "]\n");
	expect_error(buf_text(&yaml), "6", "symbols: 2001 are more than 2000");
}

static void test_missing_file(void **state)
{
	struct subscriptions list = SUBSCRIPTIONS_INIT;
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(subscriptions_read(&list, "/nowhere/subscriptions.yaml", &err), -1);
	assert_int_equal(err.kind, ERR_RECORD);
	assert_non_null(strstr(err.text, "/nowhere/subscriptions.yaml"));
}

/* --- planning ---------------------------------------------------------------------------------------------------------- */

static const struct config_key keys[] = {
	{ "subscriptions", CONFIG_TEXT, "", 0, 0, NULL, "file" },
	{ "tasks_max", CONFIG_INT, "100", 1, 1000, NULL, "tasks" },
	{ 0 },
};

static int make(struct plan *plan, const char *in, const char *yaml, const char *options, const char *setting,
		struct err *err)
{
	static const struct config_key *const shared[] = { NULL };
	const struct config_spec spec = { .binary = "orchestrator", .summary = "", .keys = keys, .shared = shared };
	CLEANUP(config_freep) struct config *cfg = NULL;
	CLEANUP(freep) char *name = mem_printf("%ssubscriptions.yaml", in);
	CLEANUP(freep) char *assignment = mem_printf("subscriptions=%s/%s", folder, name);

	write_file(name, yaml);
	assert_int_equal(config_open(&cfg, &spec, "/dev/null", err), 0);
	assert_int_equal(config_set(cfg, assignment, err), 0);
	if (setting)
		assert_int_equal(config_set(cfg, setting, err), 0);
	return plan_make(plan, cfg, "full", options, err);
}

/* The paths of the plan's tasks below the folder, joined with spaces. */
static char *paths_of(struct plan *plan)
{
	json_t *tasks = json_loads(buf_text(&plan->tasks), 0, NULL);
	char *all = mem_strdup("");
	size_t i;
	json_t *task;

	assert_true(json_is_array(tasks));
	assert_int_equal(json_array_size(tasks), plan->count);
	json_array_foreach(tasks, i, task)
	{
		const char *path = json_string_value(json_object_get(json_object_get(task, "parameters"), "path"));
		CLEANUP(freep) char *before = all;

		assert_non_null(path);
		assert_memory_equal(path, folder, strlen(folder));
		all = mem_printf("%s%s%s", before, i ? " " : "", path + strlen(folder) + 1);
	}
	json_decref(tasks);
	return all;
}

static void expect_plan(const char *in, const char *yaml, const char *options, const char *paths)
{
	CLEANUP(plan_release) struct plan plan = PLAN_INIT;
	CLEANUP(freep) char *found = NULL;
	struct err err = ERR_INIT;

	if (make(&plan, in, yaml, options, NULL, &err))
		fail_msg("%s", err.text);
	found = paths_of(&plan);
	assert_string_equal(found, paths);
}

static void expect_no_plan(const char *yaml, const char *options, const char *setting, const char *text)
{
	CLEANUP(plan_release) struct plan plan = PLAN_INIT;
	struct err err = ERR_INIT;

	assert_int_equal(make(&plan, "", yaml, options, setting, &err), -1);
	if (!strstr(err.text, text))
		fail_msg("'%s' lacks '%s'", err.text, text);
}

#define TWO \
	"subscriptions:\n  - {name: a, source: file, path: 'data/*.dbn'}\n  - {name: b, source: file, path: x.dbn}\n"

static void test_plans(void **state)
{
	(void)state;
	/* A glob is sorted and leaves folders out; a plain name needs not exist. */
	expect_plan("", TWO, "{}", "data/a.dbn data/b.dbn x.dbn");
	expect_plan("", TWO, "{\"subscriptions\": [\"b\", \"a\", \"b\"]}", "x.dbn data/a.dbn data/b.dbn");
	/* Two patterns of one subscription, one file: one task. */
	expect_plan("", "subscriptions:\n  - {name: a, source: file, path: ['data/*.dbn', 'data/a.*']}\n", "{}",
		    "data/a.dbn data/b.dbn data/a.csv");
	/* The folder of the YAML file is a name, whatever is in it. */
	expect_plan("[odd]/", "subscriptions:\n  - {name: a, source: file, path: '*.dbn'}\n", "{}", "[odd]/x.dbn");
	/* A source that is not asked for does no harm. */
	expect_plan("", TWO "  - {name: c, source: polygon}\n", "{\"subscriptions\": [\"b\"]}", "x.dbn");
}

static void test_plans_that_fail(void **state)
{
	(void)state;
	expect_no_plan(TWO, "{\"subscriptions\": [\"zzz\"]}", NULL, "no subscription zzz");
	expect_no_plan("subscriptions:\n  - {name: a, source: file, path: 'none*'}\n", "{}", NULL,
		       "subscription a: no file matches");
	expect_no_plan("subscriptions:\n  - {name: a, source: file, path: '*ata'}\n", "{}", NULL, "folders only");
	expect_no_plan("subscriptions:\n  - {name: a, source: schwab}\n", "{}", NULL, "source 'schwab'");
	expect_no_plan("subscriptions: []\n", "{}", NULL, "nothing to do");
	expect_no_plan(TWO, "{}", "tasks_max=2", "more than 2 files");
	write_file("data/\xff.dbn", "");
	expect_no_plan(TWO, "{}", NULL, "not UTF-8");
}

/* A vendor is asked for a quote first; all that windows need later stands in its parameters. */
static void test_plans_a_quote(void **state)
{
	CLEANUP(plan_release) struct plan plan = PLAN_INIT;
	CLEANUP(freep) char *text = NULL;
	struct err err = ERR_INIT;
	json_t *tasks;

	(void)state;
	if (make(&plan, "", VENDOR "    end: 2024-03-01\n    cost_max_usd: 2.50\n", "{}", NULL, &err))
		fail_msg("%s", err.text);
	assert_int_equal(plan.count, 1);
	assert_int_equal(plan.quotes, 1);
	tasks = json_loads(buf_text(&plan.tasks), 0, NULL);
	text = json_dumps(tasks, JSON_COMPACT | JSON_PRESERVE_ORDER);
	assert_string_equal(
		text,
		"[{\"subscription\":\"es\",\"source\":\"databento\",\"action\":\"quote\",\"parameters\":{\"symbol_mappings\":true,"
		"\"dataset\":\"GLBX.MDP3\",\"schema\":\"ohlcv-1m\",\"record_type\":\"ohlcv\",\"stype_in\":\"raw_symbol\","
		"\"symbols\":[\"ES.FUT\",\"NQ.FUT\"],\"start\":\"2024-01-01T00:00:00.000000000Z\","
		"\"end\":\"2024-03-01T00:00:00.000000000Z\",\"chunk\":\"month\",\"via\":\"stream\",\"cost_max_usd\":\"2.5\","
		"\"parameters\":\"{\\\"action\\\":\\\"quote\\\",\\\"from\\\":\\\"2024-01-01\\\","
		"\\\"to\\\":\\\"2024-02-29\\\"}\"}}]");
	json_decref(tasks);
	expect_no_plan(VENDOR_HEAD "    schema: tbbo\n    symbols: A\n    start: 2150-01-01\n", "{}", NULL,
		       "start is in the future");
}

static void test_only_kind_full(void **state)
{
	CLEANUP(plan_release) struct plan plan = PLAN_INIT;
	struct err err = ERR_INIT;
	static const struct config_key *const shared[] = { NULL };
	const struct config_spec spec = { .binary = "orchestrator", .summary = "", .keys = keys, .shared = shared };
	CLEANUP(config_freep) struct config *cfg = NULL;

	(void)state;
	assert_int_equal(config_open(&cfg, &spec, "/dev/null", &err), 0);
	assert_int_equal(plan_make(&plan, cfg, "backfill", "{}", &err), -1);
	assert_non_null(strstr(err.text, "backfill"));
}

/* --- sums -------------------------------------------------------------------------------------------------------------- */

static void test_mix_sum(void **state)
{
	CLEANUP(mix_sum_release) struct mix_sum mix = MIX_SUM_INIT;
	const int64_t last = 2 * (INT64_C(1) << 20) + 1;
	uint64_t sum = 0;

	(void)state;
	assert_true(mix_sum_to(&mix, 0) == 0);
	for (int64_t i = 1; i <= last; i++) {
		sum += record_mix(i);
		/* Around the kept sums, and here and there. */
		if ((i & 0xFFFFF) <= 1 || (i & 0xFFFFF) == 0xFFFFF || i % 700001 == 0)
			assert_true(mix_sum_to(&mix, i) == sum);
	}
	assert_true(mix_sum_to(&mix, 1) == record_mix(1)); /* smaller again */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reads),
		cmocka_unit_test(test_errors_name_the_line),
		cmocka_unit_test(test_csv),
		cmocka_unit_test(test_csv_errors_name_the_line),
		cmocka_unit_test(test_vendor),
		cmocka_unit_test(test_vendor_errors_name_the_line),
		cmocka_unit_test(test_too_many_symbols),
		cmocka_unit_test(test_plans_a_quote),
		cmocka_unit_test(test_missing_file),
		cmocka_unit_test(test_plans),
		cmocka_unit_test(test_plans_that_fail),
		cmocka_unit_test(test_only_kind_full),
		cmocka_unit_test(test_mix_sum),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}

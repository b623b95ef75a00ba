/* The rule sets that are built in, over their examples (stages/validator/rules/tests), and the runner of examples itself. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/decimal.h"
#include "common/mem.h"
#include "schemas.h"
#include "stages/validator/rule_files.h"
#include "stages/validator/rule_tests.h"
#include "tests/unit/rule_folder.h"

#define EXAMPLES "stages/validator/rules/tests/%s.yaml"

static void fail_of(void *self, const struct rule_test *test)
{
	if (test->why)
		fail_msg("%s:%u: %s: %s", (const char *)self, test->line, test->name, test->why);
}

static void run_examples(const struct data_type *type)
{
	CLEANUP(freep) char *path = mem_printf(EXAMPLES, type->name);
	CLEANUP(ruleset_freep) struct ruleset *set = NULL;
	struct err err = ERR_INIT;
	struct rule_tests sum;

	if (rule_file_open(&set, "", type, &err) || rule_tests_run(set, type->raw, path, fail_of, path, &sum, &err))
		fail_msg("%s", err.text);
	for (unsigned i = 0; i < ruleset_count(set); i++)
		if (!(sum.violated >> i & 1))
			fail_msg("%s: no example violates %s", path, ruleset_rule(set, i).name);
}

/* Every rule has an example that violates it and says so: without the rule its example would fail. */
static void test_examples(void **state)
{
	(void)state;
	for (unsigned id = 0; id < DATA_TYPES; id++)
		run_examples(&data_types[id]);
}

/* Every dataset of shares, and none else. */
static void test_prices_by_class(void **state)
{
	static const char *const shares[] = { "XNAS.ITCH", "XNYS.PILLAR", "ARCX.PILLAR", "IEXG.TOPS",  "DBEQ.BASIC",
					      "EQUS.MINI", "XTKS.FLEX",   "BATS.PITCH",  "OCEA.MEMOIR" };
	static const char *const others[] = { "GLBX.MDP3", "OPRA.PILLAR", "IFEU.IMPACT", "ACME.FEED", "", "XNAS" };
	CLEANUP(ruleset_freep) struct ruleset *set = NULL;
	struct err err = ERR_INIT;
	struct trades trade = { .present = TRADES_PRESENT,
				.symbol = STR_LIT("A"),
				.side = STR_LIT("N"),
				.price = -DECIMAL_ONE,
				.size = 1,
				.ts_event = NS_PER_DAY * 20000,
				.ts_recv = NS_PER_DAY * 20000 };

	(void)state;
	assert_int_equal(rule_file_open(&set, "", &data_types[DATA_TRADES], &err), 0);
	for (size_t i = 0; i < sizeof(shares) / sizeof(shares[0]); i++) {
		trade.dataset = str_of(shares[i]);
		assert_true(ruleset_check(set, &trade, NS_PER_DAY * 20000).rejected != 0);
	}
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		trade.dataset = str_of(others[i]);
		assert_true(ruleset_check(set, &trade, NS_PER_DAY * 20000).rejected == 0);
		assert_true(ruleset_check(set, &trade, NS_PER_DAY * 20000).flagged != 0);
	}
}

/* --- asset classes in the language ------------------------------------------------------------------------------------ */

static struct ruleset *compile(const char *condition, struct err *err)
{
	struct ruleset *set = NULL;
	char yaml[512];

	snprintf(yaml, sizeof(yaml), "name: t\nrecord: ohlcv\nrules:\n  - name: R\n    violated: \"%s\"\n", condition);
	return ruleset_compile(&set, "t.yaml", str_of(yaml), &ohlcv_type, err) ? NULL : set;
}

static bool holds(const char *condition, const char *dataset)
{
	struct ohlcv record = { .present = OHLCV_PRESENT, .dataset = str_of(dataset), .volume = 7 };
	struct err err = ERR_INIT;
	CLEANUP(ruleset_freep) struct ruleset *set = compile(condition, &err);

	if (!set)
		fail_msg("%s: %s", condition, err.text);
	return ruleset_check(set, &record, 0).rejected != 0;
}

static void test_asset_class(void **state)
{
	(void)state;
	assert_true(holds("asset_class == 'equities'", "XNAS.ITCH"));
	assert_false(holds("asset_class == 'equities'", "GLBX.MDP3"));
	assert_true(holds("'futures' == asset_class", "GLBX.MDP3"));
	assert_true(holds("asset_class != 'equities'", "GLBX.MDP3"));
	assert_false(holds("asset_class != 'equities'", "XNAS.ITCH"));
	assert_true(holds("asset_class in ('options', 'futures')", "OPRA.PILLAR"));
	assert_false(holds("asset_class in ('options', 'futures')", "XNAS.ITCH"));
	assert_true(holds("asset_class not in ('options', 'futures')", "XNAS.ITCH"));
	assert_true(holds("not asset_class == 'options' and volume == 7", "XNAS.ITCH"));
	assert_false(holds("asset_class == 'equities' or asset_class == 'options' or asset_class == 'futures'",
			   "ACME.FEED"));
	assert_true(holds("asset_class != 'equities'", "ACME.FEED"));
}

static void expect_wrong(const char *condition, const char *part)
{
	struct err err = ERR_INIT;

	assert_null(compile(condition, &err));
	if (!strstr(err.text, part))
		fail_msg("'%s' lacks '%s'", err.text, part);
}

static void test_wrong_asset_class(void **state)
{
	(void)state;
	expect_wrong("asset_class == 'equitys'",
		     "t.yaml:5:31: no dataset is of class 'equitys' (there are: futures, equities, options)");
	expect_wrong("asset_class == symbol", "t.yaml:5:31: asset_class is compared with a string");
	expect_wrong("asset_class == 1", "a number stands beside a string");
	expect_wrong("asset_class < 'equities'", "strings have no order");
	expect_wrong("asset_class is null", "only a field is null");
	expect_wrong("asset_class is text", "only a field of strings");
	expect_wrong("length(asset_class) == 1", "no field 'asset_class'");
	expect_wrong("asset_class", "a condition is needed here, not a string");
}

/* --- files ------------------------------------------------------------------------------------------------------------ */

static int make_folder(void **state)
{
	(void)state;
	return rule_folder_make();
}

static int remove_folder(void **state)
{
	(void)state;
	return rmdir(folder);
}

static void expect_folder(const char *part)
{
	struct err err = ERR_INIT;

	assert_int_equal(rule_files_check(folder, &err), -1);
	assert_int_equal(err.kind, ERR_FATAL);
	if (!strstr(err.text, part))
		fail_msg("'%s' lacks '%s'", err.text, part);
}

static void test_folder(void **state)
{
	CLEANUP(ruleset_freep) struct ruleset *own = NULL;
	CLEANUP(ruleset_freep) struct ruleset *built_in = NULL;
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(rule_files_check("", &err), 0);
	assert_int_equal(rule_files_check(folder, &err), 0);
	write_file("trades.yaml", "name: mine\nrecord: trades\nrules:\n  - {name: R, violated: size > 5}\n");
	write_file("notes.txt", "nothing\n");
	assert_int_equal(rule_files_check(folder, &err), 0);
	assert_int_equal(rule_file_open(&own, folder, &data_types[DATA_TRADES], &err), 0);
	assert_memory_equal(ruleset_version(own), "mine@", 5);
	assert_int_equal(rule_file_open(&built_in, folder, &data_types[DATA_TBBO], &err), 0);
	assert_memory_equal(ruleset_version(built_in), "tbbo@", 5);
	write_file("trades.yaml", "name: mine\nrecord: trades\nrules:\n  - {name: R, violated: sise > 5}\n");
	expect_folder("/trades.yaml:4:25: trades has no field 'sise'");
	write_file("trades.yaml", "name: mine\nrecord: tbbo\nrules:\n  - {name: R, violated: size > 5}\n");
	expect_folder("/trades.yaml:2:9: these are rules for record 'tbbo'");
	remove_file("trades.yaml");
	write_file("trade.yaml", "");
	expect_folder("no record type is called 'trade.yaml' (there are: ohlcv, trades,");
	remove_file("trade.yaml");
	remove_file("notes.txt");
	assert_int_equal(rule_files_check("/no/where", &err), -1);
	assert_non_null(strstr(err.text, "rules.folder /no/where: No such file"));
}

static int read_any(const char *text, struct err *err)
{
	CLEANUP(freep) char *path = mem_printf("%s/any.yaml", folder);
	CLEANUP(ruleset_freep) struct ruleset *set = NULL;
	const struct record_type *type = NULL;
	int r;

	write_file("any.yaml", text);
	r = rule_file_read(&set, path, &type, err);
	remove_file("any.yaml");
	assert_true(r || type == &statistics_type);
	return r;
}

static void test_any_file(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(read_any("name: x\nrecord: statistics\nrules: [{name: R, violated: price < 1}]\n", &err), 0);
	assert_int_equal(read_any("name: x\nrecord: quotes\nrules: [{name: R, violated: price < 1}]\n", &err), -1);
	assert_non_null(strstr(err.text, "no record type is called 'quotes'"));
	assert_int_equal(read_any("name: x\nrules: [{name: R, violated: price < 1}]\n", &err), -1);
	assert_non_null(strstr(err.text, "no record type is called ''"));
	assert_int_equal(read_any("name: x\nrecord: [\n", &err), -1);
	assert_non_null(strstr(err.text, "any.yaml:"));
}

/* --- the runner of examples ------------------------------------------------------------------------------------------- */

struct seen {
	unsigned tests;
	unsigned line;
	char why[512]; /* of the last that failed */
};

static void see(void *self, const struct rule_test *test)
{
	struct seen *seen = self;

	seen->tests++;
	if (!test->why)
		return;
	seen->line = test->line;
	snprintf(seen->why, sizeof(seen->why), "%s: %s", test->name, test->why);
}

#define RULES \
	"name: t\nrecord: ohlcv\nrules:\n" \
	"  - {name: A, violated: high < low}\n" \
	"  - {name: B, violated: volume == 0, severity: flag}\n"
#define HEAD "record: ohlcv\nnow: 2024-01-01\nbase: {high: 2, low: 1, volume: 5}\n"

static int run_text(const char *tests, struct seen *seen, struct rule_tests *sum, struct err *err)
{
	CLEANUP(freep) char *path = mem_printf("%s/t.yaml", folder);
	CLEANUP(ruleset_freep) struct ruleset *set = NULL;
	int r;

	*seen = (struct seen){ 0 };
	assert_int_equal(ruleset_compile(&set, "r.yaml", STR_LIT(RULES), &ohlcv_type, err), 0);
	write_file("t.yaml", tests);
	r = rule_tests_run(set, &ohlcv_type, path, see, seen, sum, err);
	remove_file("t.yaml");
	return r;
}

static void expect_failure(const char *test, const char *why)
{
	CLEANUP(freep) char *text = mem_printf(HEAD "tests:\n  - %s\n  - {name: good}\n", test);
	struct err err = ERR_INIT;
	struct rule_tests sum;
	struct seen seen;

	if (run_text(text, &seen, &sum, &err))
		fail_msg("%s", err.text);
	assert_string_equal(seen.why, why);
	assert_true(sum.passed == 1 && sum.failed == 1 && seen.tests == 2 && seen.line == 5);
}

static void test_failures(void **state)
{
	(void)state;
	expect_failure("{name: x, rejected: [A]}", "x: not violated: A");
	expect_failure("{name: x, flagged: [B]}", "x: not violated: B");
	expect_failure("{name: x, fields: {high: 0}}", "x: violated: A");
	expect_failure("{name: x, fields: {high: 0, volume: 0}, flagged: [B]}", "x: violated: A");
	expect_failure("{name: x, fields: {volume: 0}, rejected: [A]}", "x: not violated: A; violated: B");
	expect_failure("{name: x, fields: {high: 0}, rejected: [A], message: high}",
		       "x: message: high < low (high=0, low=1)");
}

static void test_passes(void **state)
{
	static const char text[] = HEAD
		"tests:\n"
		"  - {name: a, fields: {high: 0, low: 0.5}, rejected: [A], message: 'high < low (high=0, low=0.5)'}\n"
		"  - {\"name\": \"as JSON shows it\", \"fields\": {\"high\": \"2\", \"low\":null, \"volume\":7,\n"
		"     \"ts_event\":\"2024-01-01T00:00:00.000000001Z\", \"symbol\":\"ES\"}}\n";
	struct err err = ERR_INIT;
	struct rule_tests sum;
	struct seen seen;

	(void)state;
	if (run_text(text, &seen, &sum, &err))
		fail_msg("%s", err.text);
	assert_true(sum.passed == 2 && sum.failed == 0 && sum.violated == 1);
}

static void expect_bad_tests(const char *tests, const char *part)
{
	struct err err = ERR_INIT;
	struct rule_tests sum;
	struct seen seen;

	assert_int_equal(run_text(tests, &seen, &sum, &err), -1);
	assert_int_equal(err.kind, ERR_FATAL);
	if (!strstr(err.text, part))
		fail_msg("'%s' lacks '%s'", err.text, part);
}

static void test_bad_tests(void **state)
{
	(void)state;
	expect_bad_tests("", "t.yaml:1:1: a mapping is needed");
	expect_bad_tests("record: trades\nnow: 2024-01-01\ntests: []\n",
			 "records of 'trades', and the rules are for 'ohlcv'");
	expect_bad_tests("record: ohlcv\nnow: soon\ntests: []\n", "`now` is a time");
	expect_bad_tests(HEAD "tests: []\n", "t.yaml:4:8: `tests` is a list of at least one test");
	expect_bad_tests(HEAD "tests: [{fields: {}}]\n", "t.yaml:4:9: a test has a name");
	expect_bad_tests(HEAD "tests: [{name: x, field: {}}]\n", "t.yaml:4:19: unknown key 'field'");
	expect_bad_tests(HEAD "tests: [{name: x, fields: []}]\n", "fields are a mapping");
	expect_bad_tests(HEAD "tests: [{name: x, fields: {hihg: 1}}]\n", "no field is called 'hihg'");
	expect_bad_tests(HEAD "tests: [{name: x, fields: {high: [1]}}]\n", "high takes a single value");
	expect_bad_tests(HEAD "tests: [{name: x, fields: {high: 1e400}}]\n", "'1e400' is no value of high");
	expect_bad_tests(HEAD "tests: [{name: x, fields: {volume: 1.5}}]\n", "'1.5' is no value of volume");
	expect_bad_tests(HEAD "tests: [{name: x, fields: {volume: null}}]\n", "'null' is no value of volume");
	expect_bad_tests(HEAD "tests: [{name: x, fields: {publisher_id: 2147483648}}]\n",
			 "is no value of publisher_id");
	expect_bad_tests(HEAD "tests: [{name: x, fields: {ts_event: 2024-02-30}}]\n",
			 "'2024-02-30' is no value of ts_event");
	expect_bad_tests(HEAD "tests: [{name: x, rejected: A}]\n", "`rejected` is a list of rules");
	expect_bad_tests(HEAD "tests: [{name: x, rejected: [C]}]\n", "has no rule 'C'");
	expect_bad_tests(HEAD "tests: [{name: x, rejected: [B]}]\n", "rule B flags");
	expect_bad_tests(HEAD "tests: [{name: x, flagged: [A]}]\n", "rule A rejects");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_examples),    cmocka_unit_test(test_prices_by_class),
		cmocka_unit_test(test_asset_class), cmocka_unit_test(test_wrong_asset_class),
		cmocka_unit_test(test_folder),      cmocka_unit_test(test_any_file),
		cmocka_unit_test(test_failures),    cmocka_unit_test(test_passes),
		cmocka_unit_test(test_bad_tests),
	};

	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}

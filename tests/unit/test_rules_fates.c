#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "common/cleanup.h"
#include "ops/cli/rules_fates.h"
#include "schemas.h"
#include "tests/unit/rules_of_tests.h"

#define HEAD "name: t\nrecord: ohlcv\nrules:\n"
#define TODAY \
	HEAD "  - {name: LARGE, violated: volume > 100}\n  - {name: GONE, violated: volume == 7}\n" \
	     "  - {name: ODD, violated: volume == 3, severity: flag}\n"
#define CANDIDATE \
	HEAD "  - {name: LARGE, violated: volume > 50}\n  - {name: ODD, violated: volume == 4, severity: flag}\n" \
	     "  - {name: OLD, violated: ts_event < now - 1d}\n"
#define NOW_MS INT64_C(1700000000000)
#define ATTEMPT (ATTEMPT_MIN + 5)

static struct ruleset *today, *candidate;

static int setup(void **state)
{
	(void)state;
	today = bars_set(TODAY);
	candidate = bars_set(CANDIDATE);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	ruleset_freep(&today);
	ruleset_freep(&candidate);
	return 0;
}

static void open_tally(struct fate_tally *tally)
{
	fate_tally_open(tally, data_schema_find("ohlcv-1m"), today, candidate);
}

struct bar {
	const char *symbol, *schema;
	int64_t volume;
	int64_t age_ms; /* older than its message */
};

static void take(struct fate_tally *tally, struct bar bar, int64_t timestamp_ms, int32_t partition, int64_t offset)
{
	CLEANUP(buf_release) struct buf value = BUF_INIT(4096);
	const struct ohlcv record = { .present = OHLCV_PRESENT,
				      .attempt = ATTEMPT,
				      .ordinal = offset + 1,
				      .symbol = str_of(bar.symbol),
				      .schema = str_of(bar.schema ? bar.schema : "ohlcv-1m"),
				      .dataset = STR_LIT("XNAS.ITCH"),
				      .ts_event = (timestamp_ms - bar.age_ms) * 1000000,
				      .volume = bar.volume };
	struct kafka_message m = { .partition = partition, .offset = offset, .timestamp_ms = timestamp_ms };

	record_encode(&ohlcv_type, &record, &value);
	m.value = buf_str(&value);
	fate_tally_take(tally, &m);
}

static void test_each_change(void **state)
{
	struct fate_tally tally;
	size_t count;
	struct fate_symbol *symbols;

	(void)state;
	open_tally(&tally);
	take(&tally, (struct bar){ .symbol = "A", .volume = 1 }, NOW_MS, 0, 0);
	take(&tally, (struct bar){ .symbol = "A", .volume = 60 }, NOW_MS, 0, 1);
	take(&tally, (struct bar){ .symbol = "B", .volume = 101 }, NOW_MS, 0, 2);
	take(&tally, (struct bar){ .symbol = "B", .volume = 7 }, NOW_MS, 0, 3);
	take(&tally, (struct bar){ .symbol = "C", .volume = 3 }, NOW_MS, 0, 4);
	take(&tally, (struct bar){ .symbol = "C", .volume = 4 }, NOW_MS, 0, 5);
	take(&tally, (struct bar){ .symbol = "D", .volume = 1, .age_ms = 90000000 }, NOW_MS, 0, 6);
	assert_int_equal(tally.records, 7);
	assert_int_equal(tally.changes[CHANGE_FAIL], 2);
	assert_int_equal(tally.changes[CHANGE_PASS], 1);
	assert_int_equal(tally.changes[CHANGE_FLAG], 1);
	assert_int_equal(tally.changes[CHANGE_FLAG_GONE], 1);
	assert_int_equal(tally.fates[FATE_PASS][FATE_PASS], 1);
	assert_int_equal(tally.fates[FATE_FAIL][FATE_FAIL], 1);
	assert_int_equal(tally.fates[FATE_PASS][FATE_FAIL], 2);
	assert_int_equal(tally.fates[FATE_FAIL][FATE_PASS], 1);
	assert_int_equal(tally.rules[CHANGE_FAIL][0].records, 1);
	assert_int_equal(tally.rules[CHANGE_FAIL][2].records, 1);
	assert_int_equal(tally.rules[CHANGE_PASS][1].records, 1);
	assert_string_equal(tally.rules[CHANGE_FAIL][0].example[0].message, "volume > 50 (volume=60)");
	assert_string_equal(tally.rules[CHANGE_PASS][1].example[0].message, "volume == 7 (volume=7)");
	assert_int_equal(tally.rules[CHANGE_FAIL][0].example[0].attempt, ATTEMPT);
	assert_int_equal(tally.rules[CHANGE_FAIL][0].example[0].ordinal, 2);
	symbols = fate_symbols_sorted(&tally, CHANGE_FAIL, &count);
	assert_int_equal(count, 2);
	assert_string_equal(symbols[0].name, "A");
	assert_string_equal(symbols[1].name, "D");
	fate_symbols_drop(symbols, count);
	fate_tally_release(&tally);
}

static void test_what_is_no_record_of_the_schema(void **state)
{
	const struct kafka_message hello = { .value = STR_LIT("hello") };
	struct fate_tally tally;

	(void)state;
	open_tally(&tally);
	take(&tally, (struct bar){ .symbol = "A", .schema = "ohlcv-1h", .volume = 60 }, NOW_MS, 0, 0);
	fate_tally_take(&tally, &hello);
	assert_int_equal(tally.records, 0);
	assert_int_equal(tally.other_schemas, 1);
	assert_int_equal(tally.undecoded, 1);
	assert_int_equal(tally.changes[CHANGE_FAIL], 0);
	fate_tally_release(&tally);
}

/* Whichever tally had them, and in whatever order they came, the examples are the earliest. */
static void test_tallies_add_up(void **state)
{
	static const int64_t times[] = { 9, 2, 5, 1, 8, 2, 7, 3 };
	struct fate_tally sum, parts[2];
	const struct fate_rule *rule = &sum.rules[CHANGE_FAIL][0];
	struct fate_symbol *symbols;
	size_t count;

	(void)state;
	open_tally(&sum);
	for (unsigned k = 0; k < 2; k++)
		open_tally(&parts[k]);
	for (unsigned i = 0; i < 8; i++)
		take(&parts[i % 2], (struct bar){ .symbol = i < 2 ? "X" : "Y", .volume = 60 }, NOW_MS + times[i],
		     (int32_t)(i % 2), i);
	for (unsigned k = 0; k < 2; k++) {
		fate_tally_add(&sum, &parts[k]);
		fate_tally_release(&parts[k]);
	}
	assert_int_equal(sum.records, 8);
	assert_int_equal(sum.first_ms, NOW_MS + 1);
	assert_int_equal(sum.last_ms, NOW_MS + 9);
	assert_int_equal(rule->records, 8);
	assert_int_equal(rule->examples, FATE_EXAMPLES);
	assert_int_equal(rule->example[0].offset, 3);
	assert_int_equal(rule->example[1].offset, 1);
	assert_int_equal(rule->example[2].offset, 5);
	symbols = fate_symbols_sorted(&sum, CHANGE_FAIL, &count);
	assert_int_equal(count, 2);
	assert_string_equal(symbols[0].name, "Y");
	assert_int_equal(symbols[0].records, 6);
	fate_symbols_drop(symbols, count);
	fate_tally_release(&sum);
}

static void test_many_symbols(void **state)
{
	struct fate_tally tally;
	struct fate_symbol *symbols;
	size_t count;
	char name[400];

	(void)state;
	open_tally(&tally);
	for (unsigned i = 0; i < 20000; i++) {
		snprintf(name, sizeof(name), "S%u", i % 5000);
		take(&tally, (struct bar){ .symbol = name, .volume = 60 }, NOW_MS, 0, i);
	}
	memset(name, 'L', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	take(&tally, (struct bar){ .symbol = name, .volume = 60 }, NOW_MS, 0, 20000);
	take(&tally, (struct bar){ .symbol = "\xff", .volume = 60 }, NOW_MS, 0, 20001);
	symbols = fate_symbols_sorted(&tally, CHANGE_FAIL, &count);
	assert_int_equal(count, 5002);
	assert_int_equal(symbols[0].records, 4);
	assert_int_equal(symbols[4999].records, 4);
	assert_int_equal(strlen(symbols[5000].name), 255);
	assert_string_equal(symbols[5001].name, "\\xff");
	fate_symbols_drop(symbols, count);
	fate_tally_release(&tally);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_change),
		cmocka_unit_test(test_what_is_no_record_of_the_schema),
		cmocka_unit_test(test_tallies_add_up),
		cmocka_unit_test(test_many_symbols),
	};

	return cmocka_run_group_tests_name("fates of records under two rule sets", tests, setup, teardown);
}

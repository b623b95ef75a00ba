#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/decimal.h"
#include "common/embed.h"
#include "schemas.h"
#include "stages/validator/rules.h"
#include "tests/unit/rules_of_tests.h"

/* The bars' own rules. */

#define OHLCV_RULES "stages/validator/rules/ohlcv.yaml"
#define PRICES (1 << OHLCV_OPEN | 1 << OHLCV_HIGH | 1 << OHLCV_LOW | 1 << OHLCV_CLOSE)

static struct ruleset *bars;

static int bars_setup(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	if (ruleset_compile(&bars, OHLCV_RULES, embed_find(OHLCV_RULES), &ohlcv_type, &err))
		fail_msg("%s", err.text);
	return 0;
}

static int bars_teardown(void **state)
{
	(void)state;
	ruleset_freep(&bars);
	return 0;
}

static struct ohlcv bar(const char *open, const char *high, const char *low, const char *close)
{
	return (struct ohlcv){
		.present = OHLCV_PRESENT,
		.symbol = STR_LIT("ESH1"),
		.schema = STR_LIT("ohlcv-1m"),
		.dataset = STR_LIT("GLBX.MDP3"),
		.ts_event = INT64_C(1609113600000000000),
		.open = price(open),
		.high = price(high),
		.low = price(low),
		.close = price(close),
		.volume = 306,
	};
}

static void expect_bar(const struct ohlcv *record, const char *rejected, const char *flagged)
{
	CLEANUP(buf_release) struct buf names = BUF_INIT(4096);
	struct verdict v = ruleset_check(bars, record, ns("2024-06-01T12:00:00"));

	ruleset_names(bars, v.rejected, &names);
	assert_string_equal(buf_text(&names), rejected);
	buf_reset(&names);
	ruleset_names(bars, v.flagged, &names);
	assert_string_equal(buf_text(&names), flagged);
}

static void expect_prices(const char *open, const char *high, const char *low, const char *close, const char *rejected,
			  const char *flagged)
{
	struct ohlcv record = bar(open, high, low, close);

	expect_bar(&record, rejected, flagged);
}

static void test_bar_prices(void **state)
{
	(void)state;
	expect_prices("3702.75", "3704.75", "3702.5", "3704.75", "", "");
	expect_prices("1", "1", "1", "1", "", "");
	expect_prices("372025", "372100", "372000", "372050", "", ""); /* Databento's samples, 100 times too large */
	expect_prices("1000000000", "1000000000", "1000000000", "1000000000", "", "");
	expect_prices("1.5", "1", "2", "1.5",
		      "HIGH_LESS_THAN_LOW,HIGH_LESS_THAN_OPEN,HIGH_LESS_THAN_CLOSE,LOW_GREATER_THAN_OPEN,"
		      "LOW_GREATER_THAN_CLOSE",
		      "");
	expect_prices("3", "2", "1", "2", "HIGH_LESS_THAN_OPEN", "");
	expect_prices("2", "2", "1", "3", "HIGH_LESS_THAN_CLOSE", "");
	expect_prices("1", "3", "2", "2", "LOW_GREATER_THAN_OPEN", "");
	expect_prices("2", "3", "2", "1.999999999", "LOW_GREATER_THAN_CLOSE", "");
	expect_prices("2", "1000000000.000000001", "2", "2", "PRICE_OUT_OF_RANGE", "");
	expect_prices("2", "2", "-1000000001", "2", "PRICE_OUT_OF_RANGE", "PRICE_NOT_POSITIVE");
	expect_prices("-10", "5", "-40.32", "-37.63", "", "PRICE_NOT_POSITIVE"); /* CL, 2020-04-20 */
	expect_prices("0", "0", "0", "0", "", "PRICE_NOT_POSITIVE");
}

static void test_bar_order_alone(void **state)
{
	struct ohlcv record = bar("3", "2", "2.5", "3");
	uint64_t needed = 1 << OHLCV_HIGH | 1 << OHLCV_LOW;

	(void)state;
	record.present &= ~(uint64_t)PRICES | needed;
	expect_bar(&record, "HIGH_LESS_THAN_LOW,PRICE_MISSING", "");
}

static void test_bar_missing(void **state)
{
	(void)state;
	for (unsigned bit = OHLCV_OPEN; bit <= OHLCV_CLOSE; bit++) {
		struct ohlcv record = bar("1", "1", "1", "1");

		record_set_present(&record, bit, false);
		record.open = record.high = record.low = record.close = DECIMAL_ONE;
		expect_bar(&record, "PRICE_MISSING", "");
	}
}

static void test_bar_others(void **state)
{
	struct ohlcv good = bar("1", "1", "1", "1"), record = good;
	char symbol[256];

	(void)state;
	record.volume = 0;
	expect_bar(&record, "", "PRICE_REPEATED_WITHOUT_VOLUME");
	record.high = 2 * DECIMAL_ONE;
	expect_bar(&record, "", "PRICE_MOVED_WITHOUT_VOLUME");
	record.high = good.high;
	record.volume = -1;
	expect_bar(&record, "VOLUME_OUT_OF_RANGE", "");
	record.volume = INT64_MAX;
	expect_bar(&record, "VOLUME_OUT_OF_RANGE", "");
	record = good;
	record.ts_event = ns("1990-01-01");
	expect_bar(&record, "", "");
	record.ts_event--;
	expect_bar(&record, "TIMESTAMP_OUT_OF_RANGE", "");
	record.ts_event = ns("2024-06-02T12:00:00");
	expect_bar(&record, "", "");
	record.ts_event++;
	expect_bar(&record, "TIMESTAMP_OUT_OF_RANGE", "");
	record.ts_event = INT64_MIN;
	expect_bar(&record, "TIMESTAMP_OUT_OF_RANGE", "");
	record = good;
	record.symbol = (struct str){ "", 0 };
	expect_bar(&record, "SYMBOL_INVALID", "");
	record.symbol = STR_LIT("A\xff");
	expect_bar(&record, "SYMBOL_INVALID", "");
	memset(symbol, 'A', sizeof(symbol));
	record.symbol = (struct str){ symbol, 255 };
	expect_bar(&record, "", "");
	record.symbol = (struct str){ symbol, 256 };
	expect_bar(&record, "SYMBOL_INVALID", "");
}

/* Everything that can be wrong at once. */
static void test_bar_all(void **state)
{
	struct ohlcv record = bar("5", "-2000000000", "6", "5");

	(void)state;
	record.volume = -5;
	record.ts_event = 0;
	record.symbol = STR_LIT("\xc0");
	expect_bar(
		&record,
		"HIGH_LESS_THAN_LOW,HIGH_LESS_THAN_OPEN,HIGH_LESS_THAN_CLOSE,LOW_GREATER_THAN_OPEN,"
		"LOW_GREATER_THAN_CLOSE,PRICE_OUT_OF_RANGE,VOLUME_OUT_OF_RANGE,TIMESTAMP_OUT_OF_RANGE,SYMBOL_INVALID",
		"PRICE_NOT_POSITIVE");
}

int main(void)
{
	const struct CMUnitTest bar_rules[] = {
		cmocka_unit_test(test_bar_prices),  cmocka_unit_test(test_bar_order_alone),
		cmocka_unit_test(test_bar_missing), cmocka_unit_test(test_bar_others),
		cmocka_unit_test(test_bar_all),
	};

	return cmocka_run_group_tests_name("rules of bars", bar_rules, bars_setup, bars_teardown);
}

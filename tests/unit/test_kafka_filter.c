/* Which messages of a topic a replay puts back, and which tasks of ranges are none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/cleanup.h"
#include "schemas.h"
#include "stages/fetcher/sources/kafka_filter.h"
#include "tests/unit/file_source.h"

#define TEXT_MAX 4096
#define OURS (ATTEMPT_MIN + 9)

static enum kafka_fate judge(struct kafka_filter *filter, const char *symbol, struct str value)
{
	return kafka_filter_judge(filter, &(struct kafka_message){ .key = str_of(symbol), .value = value });
}

static void make_raw(struct buf *out, int64_t attempt, const char *symbol, const char *schema)
{
	struct ohlcv bar = { .attempt = attempt, .ordinal = 4, .as_of = 5, .symbol = str_of(symbol) };

	bar.schema = str_of(schema);
	buf_reset(out);
	record_encode(&ohlcv_type, &bar, out);
}

static void make_clean(struct buf *out, const char *symbol, const char *interval)
{
	struct ohlcv_clean bar = { .attempt = OURS, .ordinal = 4, .as_of = 5, .symbol = str_of(symbol) };

	bar.interval = str_of(interval);
	buf_reset(out);
	record_encode(&ohlcv_clean_type, &bar, out);
}

static void bars_are_told_apart_by_schema_and_interval(void **state)
{
	CLEANUP(buf_release) struct buf bar = BUF_INIT(TEXT_MAX);
	CLEANUP(kafka_filter_release) struct kafka_filter raw, clean;

	(void)state;
	kafka_filter_open(&raw, data_schema_find("ohlcv-1m"), DATA_VALID, NULL, 0, NULL, 0);
	kafka_filter_open(&clean, data_schema_find("ohlcv-eod"), DATA_CLEAN, NULL, 0, NULL, 0);
	make_raw(&bar, OURS, "A", "ohlcv-1m");
	assert_int_equal(judge(&raw, "A", buf_str(&bar)), KAFKA_PUT_BACK);
	assert_int_equal(judge(&clean, "A", buf_str(&bar)), KAFKA_OTHER_SCHEMA); /* does not decode as one */
	make_raw(&bar, OURS, "A", "ohlcv-1d");
	assert_int_equal(judge(&raw, "A", buf_str(&bar)), KAFKA_OTHER_SCHEMA);
	make_clean(&bar, "A", "eod");
	assert_int_equal(judge(&clean, "A", buf_str(&bar)), KAFKA_PUT_BACK);
	make_clean(&bar, "A", "1d");
	assert_int_equal(judge(&clean, "A", buf_str(&bar)), KAFKA_OTHER_SCHEMA);
	assert_int_equal(judge(&raw, "A", STR_LIT("nothing")), KAFKA_FOREIGN);
	assert_int_equal(judge(&raw, "A", STR_LIT("")), KAFKA_FOREIGN);
}

static void symbols_and_replays(void **state)
{
	static char a[] = "AAPL  250221C00250000", b[] = "A", c[] = "AAPL";
	static char *const symbols[] = { a, b, c };
	static const int64_t replays[] = { OURS + 7, OURS + 1, OURS + 3 };
	CLEANUP(buf_release) struct buf bar = BUF_INIT(TEXT_MAX);
	CLEANUP(kafka_filter_release) struct kafka_filter filter;

	(void)state;
	kafka_filter_open(&filter, data_schema_find("ohlcv-1m"), DATA_RAW, symbols, 3, replays, 3);
	for (unsigned i = 0; i < 3; i++) {
		make_raw(&bar, OURS, symbols[i], "ohlcv-1m");
		assert_int_equal(judge(&filter, symbols[i], buf_str(&bar)), KAFKA_PUT_BACK);
		make_raw(&bar, replays[i], symbols[i], "ohlcv-1m");
		assert_int_equal(judge(&filter, symbols[i], buf_str(&bar)), KAFKA_REPLAYED);
		assert_true(kafka_filter_symbol(&filter, str_of(symbols[i])) >= 0);
	}
	for (unsigned i = 0; i < 4; i++) {
		static const char *const others[] = { "", "AA", "AAPL ", "B" };

		make_raw(&bar, OURS, others[i], "ohlcv-1m");
		assert_int_equal(judge(&filter, others[i], buf_str(&bar)), KAFKA_OTHER_SYMBOL);
		assert_true(kafka_filter_symbol(&filter, str_of(others[i])) < 0);
	}
}

static void no_broker_is_needed_to_refuse(void **state)
{
	/* The task outlives the source. */
	static struct fetch_task task;
	CLEANUP(source_freep) struct source *source = NULL;
	struct err err = ERR_INIT;

	(void)state;
	task = (struct fetch_task){ .source = (char *)"kafka",
				    .record_type = (char *)"ohlcv",
				    .schema = (char *)"ohlcv-1m",
				    .parameters =
					    (char *)"{\"stage\": \"raw\", \"partition\": 0, \"from\": 1, \"to\": 2}" };
	assert_int_equal(file_source_open(&source, &task, &err), -1);
	assert_int_equal(err.kind, ERR_RECORD);
	assert_non_null(strstr(err.text, "no broker is configured"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bars_are_told_apart_by_schema_and_interval),
		cmocka_unit_test(symbols_and_replays),
		cmocka_unit_test(no_broker_is_needed_to_refuse),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

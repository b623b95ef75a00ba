/* The simulated market: series, streams, symbology, what happens to data, records. */
#include "tests/unit/dbn_files.h"

#include <stdlib.h>

#include "common/cleanup.h"
#include "common/mem.h"
#include "ops/simulator/market/stream.h"
#include "ops/simulator/market/symbology.h"
#include "ops/simulator/records/layout.h"

#define AT(day, minute) ((day)*NS_PER_DAY + (minute)*MINUTE_NS)

static struct instruments markets[3];
static struct archive archive = { .lock = PTHREAD_MUTEX_INITIALIZER, .now = { .seed = 1 } };
static const struct market_options options = { 1, 40, 0, 0 };

static int open_markets(void **state)
{
	struct market_options all = options;

	(void)state;
	all.first_day = DAY(2020, 1, 1);
	all.end_day = DAY(2025, 1, 1);
	for (size_t i = 0; i < 3; i++)
		instruments_open(&markets[i], &datasets[i], &all);
	return 0;
}

static int close_markets(void **state)
{
	(void)state;
	for (size_t i = 0; i < 3; i++)
		instruments_release(&markets[i]);
	return 0;
}

static const struct instruments *market_of(const char *dataset)
{
	return &markets[dataset_find(str_of(dataset)) - datasets];
}

static struct resolution resolve(const char *dataset, uint8_t stype, const char *symbols, int32_t first, int32_t end)
{
	struct resolution resolution;
	struct err err = ERR_INIT;

	if (resolution_open(&resolution, market_of(dataset), stype, str_of(symbols), first, end, &err))
		fail_msg("%s", err.text);
	return resolution;
}

struct opened {
	struct resolution resolution;
	struct history *history;
	struct stream *stream;
};

static struct opened open_stream(const char *dataset, uint8_t stype, const char *symbols, uint16_t schema,
				 int64_t start, int64_t end, uint32_t broken_permille)
{
	struct opened opened = { resolve(dataset, stype, symbols, clock_day_of(start), clock_day_of(end - 1) + 1),
				 archive_copy(&archive, dataset_find(str_of(dataset))), NULL };
	struct market market = { 1, dataset_find(str_of(dataset)), opened.resolution.instruments, opened.history };
	struct stream_window window = { schema_find(schema), start, end, 0 };
	struct defects defects = { 1, broken_permille, defects_default() };
	uint32_t count;
	struct series *series = resolution_series(&opened.resolution, 1, &count);

	opened.stream = stream_open(&market, &window, series, count, &defects);
	return opened;
}

static void close_stream(struct opened *opened)
{
	stream_freep(&opened->stream);
	free(opened->history);
	resolution_release(&opened->resolution);
}

/* A sum over the records in their order, and their number. */
static uint64_t sum_of(const char *dataset, uint8_t stype, const char *symbols, uint16_t schema, int64_t start,
		       int64_t end, uint64_t *sum)
{
	struct opened opened = open_stream(dataset, stype, symbols, schema, start, end, 0);
	CLEANUP(buf_release) struct buf buf = BUF_INIT(1024);
	struct record record;
	uint64_t count = 0;

	for (; stream_next(opened.stream, &record); count++) {
		assert_true(record.ts_recv >= start && record.ts_recv < end);
		buf_reset(&buf);
		record_put_dbn(&buf, &record, layout_find(schema), 3);
		assert_int_equal(buf.len, layout_find(schema)->bytes[2]);
		for (size_t i = 0; i < buf.len; i++)
			*sum = *sum * 1099511628211u + buf.data[i];
	}
	close_stream(&opened);
	return count;
}

static const uint16_t all_schemas[] = {
	SCHEMA_TBBO,     SCHEMA_TRADES,     SCHEMA_OHLCV_1S,   SCHEMA_OHLCV_1M,  SCHEMA_OHLCV_1H,
	SCHEMA_OHLCV_1D, SCHEMA_DEFINITION, SCHEMA_STATISTICS, SCHEMA_OHLCV_EOD,
};

static void test_windows(void **state)
{
	int64_t start = AT(DAY(2024, 3, 14), 0), end = AT(DAY(2024, 3, 18), 1440);

	(void)state;
	for (size_t s = 0; s < sizeof(all_schemas) / sizeof(all_schemas[0]); s++) {
		uint64_t whole = 1, parts = 1, count, n = 0;

		count = sum_of("GLBX.MDP3", STYPE_CONTINUOUS, "ES.c.0,CL.c.1", all_schemas[s], start, end, &whole);
		for (int64_t at = start; at < end;) {
			int64_t next = at + 31 * HOUR_NS + 12345678901;

			next = next < end ? next : end;
			n += sum_of("GLBX.MDP3", STYPE_CONTINUOUS, "ES.c.0,CL.c.1", all_schemas[s], at, next, &parts);
			at = next;
		}
		assert_true(count > 0);
		assert_int_equal(n, count);
		assert_true(whole == parts);
	}
}

static void test_minutes_are_sane(void **state)
{
	int32_t day = DAY(2024, 3, 14);
	struct opened opened = open_stream("XNAS.ITCH", STYPE_RAW_SYMBOL, "ALL_SYMBOLS", SCHEMA_OHLCV_1M, AT(day, 0),
					   AT(day, 1440), 0);
	int64_t before = 0;
	struct record r;
	uint32_t count = 0;

	(void)state;
	for (; stream_next(opened.stream, &r); count++) {
		assert_true(r.bar.high >= r.bar.open && r.bar.high >= r.bar.close);
		assert_true(r.bar.low <= r.bar.open && r.bar.low <= r.bar.close);
		assert_true(r.bar.low > 0 && r.bar.volume > 0);
		assert_true(r.ts_event >= before);
		before = r.ts_event;
	}
	assert_true(count > 40 * 390 / 2 && count <= 40 * 390);
	close_stream(&opened);
}

static void test_trades_add_up(void **state)
{
	struct resolution resolution =
		resolve("XNAS.ITCH", STYPE_RAW_SYMBOL, "MSFT", DAY(2024, 3, 14), DAY(2024, 3, 15));
	const struct dataset *dataset = dataset_find(STR_LIT("XNAS.ITCH"));
	struct history *history = archive_copy(&archive, dataset);
	struct minute_trade trades[TRADES_MAX];
	struct minute m;
	uint32_t count;
	struct series *series = resolution_series(&resolution, 1, &count);

	(void)state;
	assert_int_equal(count, 1);
	for (int64_t n = DAY(2024, 3, 14) * (int64_t)DAY_MINUTES + 870;
	     n < DAY(2024, 3, 14) * (int64_t)DAY_MINUTES + 1260; n++) {
		int64_t volume = 0, high = INT64_MIN, low = INT64_MAX;

		assert_true(series_minute(series, dataset, history, n, &m));
		minute_trades(&m, series->instrument->tick, trades);
		for (uint32_t i = 0; i < m.trades; i++) {
			volume += trades[i].size;
			high = trades[i].price > high ? trades[i].price : high;
			low = trades[i].price < low ? trades[i].price : low;
			assert_true(i == 0 || trades[i].ns > trades[i - 1].ns);
			assert_true(trades[i].ns / MINUTE_NS == n);
		}
		assert_true(trades[0].price == m.open && trades[m.trades - 1].price == m.close);
		assert_true(high == m.high && low == m.low && volume == m.volume);
	}
	free(series);
	free(history);
	resolution_release(&resolution);
}

/* --- symbology --------------------------------------------------------------------------------------------------- */

static void test_ids_of_shares(void **state)
{
	const struct instruments *shares = market_of("XNAS.ITCH");

	(void)state;
	for (uint32_t i = 0; i < shares->count; i++)
		for (int32_t day = DAY(2024, 3, 11); day < DAY(2024, 3, 16); day++) {
			uint32_t id = instruments_id(shares, &shares->list[i], day);

			assert_true(id != instruments_id(shares, &shares->list[i], day + 1));
			assert_ptr_equal(instruments_by_id(shares, id, day),
					 instrument_is_listed(&shares->list[i], day) ? &shares->list[i] : NULL);
		}
	assert_null(instruments_by_id(shares, 0, DAY(2024, 3, 11)));
	assert_null(instruments_by_id(shares, UINT32_MAX, DAY(2024, 3, 11)));
}

static void test_continuous_rolls(void **state)
{
	struct resolution r = resolve("GLBX.MDP3", STYPE_CONTINUOUS, "ES.c.0", DAY(2024, 1, 2), DAY(2024, 12, 31));

	(void)state;
	assert_int_equal(r.list[0].count, 5);
	assert_string_equal(r.list[0].spans[0].instrument->raw, "ESH4");
	assert_int_equal(r.list[0].spans[0].end_day, DAY(2024, 3, 16));
	assert_string_equal(r.list[0].spans[1].instrument->raw, "ESM4");
	assert_string_equal(r.list[0].spans[4].instrument->raw, "ESH5");
	assert_int_equal(r.list[0].found, FOUND_ALL);
	resolution_release(&r);
	r = resolve("GLBX.MDP3", STYPE_CONTINUOUS, "ES.v.0", DAY(2024, 3, 4), DAY(2024, 3, 15));
	assert_int_equal(r.list[0].count, 2);
	assert_int_equal(r.list[0].spans[0].end_day, DAY(2024, 3, 8));
	resolution_release(&r);
}

static void test_found(void **state)
{
	static const struct {
		const char *dataset;
		uint8_t stype;
		const char *symbol;
		enum found found;
	} cases[] = {
		{ "XNAS.ITCH", STYPE_RAW_SYMBOL, "AAPL", FOUND_ALL },
		{ "XNAS.ITCH", STYPE_RAW_SYMBOL, "AAP", FOUND_NOT },
		{ "XNAS.ITCH", STYPE_RAW_SYMBOL, "AAPLE", FOUND_NOT },
		{ "XNAS.ITCH", STYPE_PARENT, "AAPL.OPT", FOUND_NOT },
		{ "XNAS.ITCH", STYPE_INSTRUMENT_ID, "x", FOUND_NOT },
		{ "GLBX.MDP3", STYPE_RAW_SYMBOL, "ESH4", FOUND_PARTIAL },
		{ "GLBX.MDP3", STYPE_PARENT, "ES.FUT", FOUND_ALL },
		{ "GLBX.MDP3", STYPE_CONTINUOUS, "ES.c", FOUND_NOT },
		{ "GLBX.MDP3", STYPE_CONTINUOUS, "ES.x.0", FOUND_NOT },
		{ "GLBX.MDP3", STYPE_CONTINUOUS, "ES..0", FOUND_NOT },
		{ "GLBX.MDP3", STYPE_CONTINUOUS, "ES.c.9", FOUND_NOT },
		{ "OPRA.PILLAR", STYPE_PARENT, "AAPL.OPT", FOUND_ALL },
		{ "OPRA.PILLAR", STYPE_RAW_SYMBOL, "AAPL  240419C00220000", FOUND_ALL },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct resolution r =
			resolve(cases[i].dataset, cases[i].stype, cases[i].symbol, DAY(2024, 3, 11), DAY(2024, 3, 20));

		assert_int_equal(r.count, 1);
		assert_int_equal(r.list[0].found, cases[i].found);
		resolution_release(&r);
	}
}

static void test_symbol_lists(void **state)
{
	CLEANUP(buf_release) struct buf many = BUF_INIT(1 << 20);
	struct resolution r =
		resolve("XNAS.ITCH", STYPE_RAW_SYMBOL, ",AAPL,,AAPL,MSFT,", DAY(2024, 3, 11), DAY(2024, 3, 12));
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(r.count, 2);
	resolution_release(&r);
	assert_int_equal(resolution_open(&r, market_of("XNAS.ITCH"), STYPE_RAW_SYMBOL, STR_LIT(","), 0, 1, &err), -1);
	resolution_release(&r);
	assert_int_equal(resolution_open(&r, market_of("XNAS.ITCH"), 11, STR_LIT("AAPL"), 0, 1, &err), -1);
	resolution_release(&r);
	for (int i = 0; i <= SYMBOLS_MAX; i++)
		buf_printf(&many, "S%d,", i);
	assert_int_equal(resolution_open(&r, market_of("XNAS.ITCH"), STYPE_RAW_SYMBOL, buf_str(&many), 0, 1, &err), -1);
	assert_int_equal(err.kind, ERR_RECORD);
	resolution_release(&r);
}

/* --- what happens to data ---------------------------------------------------------------------------------------- */

static uint64_t count_minutes(uint64_t *sum)
{
	int32_t day = DAY(2024, 3, 14);

	*sum = 1;
	return sum_of("XNAS.ITCH", STYPE_RAW_SYMBOL, "AAPL", SCHEMA_OHLCV_1M, AT(day, 0), AT(day, 1440), sum);
}

static void test_history(void **state)
{
	int32_t day = DAY(2024, 3, 14), modified;
	struct change change = {
		CHANGE_CORRECTION, dataset_find(STR_LIT("XNAS.ITCH")), "AAPL", AT(day, 900), AT(day, 910), day + 9
	};
	struct day_state degraded = { NULL, day, CONDITION_DEGRADED, day + 20 };
	uint64_t before, after, again, count = count_minutes(&before);
	struct err err = ERR_INIT;
	struct history *history;

	(void)state;
	assert_int_equal(archive_change(&archive, &change, &err), 0);
	assert_int_equal(count_minutes(&after), count);
	assert_true(after != before);
	assert_int_equal(archive_change(&archive, &change, &err), 0); /* corrected once more */
	assert_int_equal(count_minutes(&again), count);
	assert_true(again != after);
	history = archive_copy(&archive, change.dataset);
	assert_int_equal(history_condition(history, change.dataset, day, &modified), CONDITION_AVAILABLE);
	assert_int_equal(modified, day + 9);
	free(history);
	change.kind = CHANGE_WITHDRAWAL;
	assert_int_equal(archive_change(&archive, &change, &err), 0);
	assert_int_equal(count_minutes(&after), count - 10);
	assert_int_equal(archive_day(&archive, &degraded, &err), 0);
	assert_true(count_minutes(&after) < count - 10);
	for (int i = 3; i < HISTORY_CHANGES_MAX; i++)
		assert_int_equal(archive_change(&archive, &change, &err), 0);
	assert_int_equal(archive_change(&archive, &change, &err), -1);
	archive_clear(&archive);
	assert_int_equal(count_minutes(&again), count);
	assert_true(again == before);
}

static void test_defects(void **state)
{
	int32_t day = DAY(2024, 3, 14);
	struct opened opened = open_stream("XNAS.ITCH", STYPE_RAW_SYMBOL, "AAPL,MSFT", SCHEMA_OHLCV_1M, AT(day, 0),
					   AT(day, 1440), 1000);
	uint32_t kinds, bad = 0;
	struct record r;

	(void)state;
	while (stream_next(opened.stream, &r)) {
		assert_int_equal(r.length_words, 0); /* only where it is asked for */
		bad += r.bar.high < r.bar.low;
	}
	assert_true(bad > 10 && bad < 200);
	close_stream(&opened);
	assert_true(defects_parse(STR_LIT("length_zero,high_below_low"), &kinds));
	assert_int_equal(__builtin_popcount(kinds), 2);
	assert_false(defects_parse(STR_LIT("high_below_low,nope"), &kinds));
	assert_false(defects_parse(STR_LIT(""), &kinds));
}

/* --- records ----------------------------------------------------------------------------------------------------- */

/* Fields of a version do not overlap and stay within the record. */
static void test_layouts(void **state)
{
	(void)state;
	for (size_t s = 0; s < sizeof(all_schemas) / sizeof(all_schemas[0]); s++) {
		const struct layout *layout = layout_find(all_schemas[s]);

		for (unsigned v = 0; v < DBN_VERSIONS; v++) {
			bool used[520] = { false };

			for (uint32_t f = 0; f < layout->count; f++) {
				struct field_place place = layout->fields[f].places[v];

				assert_true(place.bytes == 0 || place.at >= 16);
				assert_true(place.at + place.bytes <= layout->bytes[v]);
				for (unsigned i = 0; i < place.bytes; i++) {
					assert_false(used[place.at + i]);
					used[place.at + i] = true;
				}
			}
		}
	}
	assert_null(layout_find(0));
	assert_true(layout_has_ts_recv(SCHEMA_TRADES) && !layout_has_ts_recv(SCHEMA_OHLCV_1M));
}

static void test_undefined_quantity(void **state)
{
	CLEANUP(buf_release) struct buf buf = BUF_INIT(1024);
	struct record r = { .statistic = { .quantity = INT64_MAX } };
	int32_t narrow;
	int64_t wide;

	(void)state;
	record_put_dbn(&buf, &r, layout_find(SCHEMA_STATISTICS), 1);
	memcpy(&narrow, buf.data + 40, sizeof(narrow));
	assert_int_equal(narrow, INT32_MAX);
	buf_reset(&buf);
	record_put_dbn(&buf, &r, layout_find(SCHEMA_STATISTICS), 3);
	memcpy(&wide, buf.data + 40, sizeof(wide));
	assert_true(wide == INT64_MAX);
}

static void test_text(void **state)
{
	CLEANUP(buf_release) struct buf buf = BUF_INIT(4096);
	struct text_style pretty = { true, true, true }, plain = { 0 };
	struct record r = { .rtype = 0x21,
			    .publisher_id = 2,
			    .instrument_id = 7,
			    .ts_event = AT(DAY(2024, 3, 14), 870),
			    .symbol = "AAPL",
			    .bar = { INT64_MAX, -1500000000, 5, 0, 9 } };

	(void)state;
	record_put_csv(&buf, &r, layout_find(SCHEMA_OHLCV_1M), &pretty);
	assert_string_equal(buf_text(&buf),
			    "2024-03-14T14:30:00.000000000Z,33,2,7,,-1.500000000,0.000000005,0.000000000,9,AAPL\n");
	buf_reset(&buf);
	record_put_json(&buf, &r, layout_find(SCHEMA_OHLCV_1M), &plain);
	assert_string_equal(
		buf_text(&buf),
		"{\"hd\":{\"ts_event\":\"1710426600000000000\",\"rtype\":33,\"publisher_id\":2,\"instrument_id\":7},"
		"\"open\":\"9223372036854775807\",\"high\":\"-1500000000\",\"low\":\"5\",\"close\":\"0\","
		"\"volume\":\"9\"}\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_windows),
		cmocka_unit_test(test_minutes_are_sane),
		cmocka_unit_test(test_trades_add_up),
		cmocka_unit_test(test_ids_of_shares),
		cmocka_unit_test(test_continuous_rolls),
		cmocka_unit_test(test_found),
		cmocka_unit_test(test_symbol_lists),
		cmocka_unit_test(test_history),
		cmocka_unit_test(test_defects),
		cmocka_unit_test(test_layouts),
		cmocka_unit_test(test_undefined_quantity),
		cmocka_unit_test(test_text),
	};

	return cmocka_run_group_tests(tests, open_markets, close_markets);
}

/* databento_csv, databento_json, databento_text, symbol_shelf: the vendor's text encodings as source items. */
#include "tests/unit/dbn_files.h"

#include "schemas.h"
#include "stages/fetcher/formats/symbol_shelf.h"
#include "tests/unit/file_source.h"

#define BARS "ts_event,rtype,publisher_id,instrument_id,open,high,low,close,volume,symbol\n"
#define BAR "2020-12-28T00:00:00.000000000Z,33,1,5482,3702.750000000,3704.750000000,,3704.750000000,306,ESH1\n"
#define RAW_BAR "1609113600000000000,33,1,5482,3702750000000,3704750000000,9223372036854775807,3704750000000,306,ESH1\n"
#define JSON_BAR \
	"{\"hd\":{\"ts_event\":\"2020-12-28T00:00:00.000000000Z\",\"rtype\":33,\"publisher_id\":1," \
	"\"instrument_id\":5482},\"open\":\"3702.750000000\",\"high\":\"3704.750000000\",\"low\":null," \
	"\"close\":\"3704.750000000\",\"volume\":\"306\",\"symbol\":\"ESH1\"}\n"
#define TRADES \
	"ts_recv,ts_event,rtype,publisher_id,instrument_id,action,side,depth,price,size,flags,ts_in_delta,sequence,symbol\n"

static struct fetch_task task_of(const char *text, size_t n, const char *schema)
{
	const char *path = files_path("vendor.txt");

	files_write(path, text, n);
	return (struct fetch_task){
		.source = (char *)"file",
		.path = (char *)path,
		.dataset = (char *)"GLBX.MDP3",
		.schema = (char *)schema,
	};
}

static struct source *open_text(const char *text, const char *schema)
{
	struct fetch_task task = task_of(text, strlen(text), schema);
	struct source *source = NULL;
	struct err err = ERR_INIT;

	if (file_source_open(&source, &task, &err))
		fail_msg("%s", err.text);
	return source;
}

static struct source_item next_item(struct source *source, enum source_kind kind)
{
	struct source_item item;
	struct err err = ERR_INIT;

	if (source_next(source, &item, &err))
		fail_msg("%s", err.text);
	if (item.kind != kind)
		fail_msg("kind %d: %s", item.kind, item.message ? item.message : "");
	return item;
}

static void expect_unopened(const char *text, const char *schema, const char *part)
{
	struct fetch_task task = task_of(text, strlen(text), schema);
	struct source *source = NULL;
	struct err err = ERR_INIT;

	assert_int_equal(file_source_open(&source, &task, &err), -1);
	assert_int_equal(err.kind, ERR_RECORD);
	assert_contains(err.text, part);
	assert_contains(err.text, "vendor.txt");
	assert_true(str_is_text(str_of(err.text)));
}

static void check_bar(const struct source_item *item)
{
	const struct ohlcv *bar = item->record;

	assert_ptr_equal(item->type, &ohlcv_type);
	assert_ptr_equal(item->lineage, &bar->attempt);
	assert_true(str_eq(item->symbol, STR_LIT("ESH1")));
	assert_true(str_eq(bar->symbol, STR_LIT("ESH1")));
	assert_true(str_eq(bar->schema, STR_LIT("ohlcv-1m")));
	assert_true(str_eq(bar->dataset, STR_LIT("GLBX.MDP3")));
	assert_string_equal(item->schema, "ohlcv-1m");
	assert_int_equal(bar->publisher_id, 1);
	assert_int_equal(bar->instrument_id, 5482);
	assert_int_equal(bar->ts_event, INT64_C(1609113600000000000));
	assert_int_equal(item->ts_event, bar->ts_event);
	assert_int_equal(bar->present, OHLCV_PRESENT & ~(UINT64_C(1) << OHLCV_LOW));
	assert_int_equal(bar->open, INT64_C(3702750000000));
	assert_int_equal(bar->high, INT64_C(3704750000000));
	assert_int_equal(bar->close, INT64_C(3704750000000));
	assert_int_equal(bar->volume, 306);
	assert_int_equal(bar->flags, 0);
}

static void test_bars(void **state)
{
	static const char *const texts[] = {
		BARS BAR, BARS RAW_BAR, "\xEF\xBB\xBF" BARS BAR, JSON_BAR, "\xEF\xBB\xBF" JSON_BAR, "\r\n"
	};

	(void)state;
	for (unsigned i = 0; i < 5; i++)
		for (unsigned with = 0; with < 2; with++) {
			struct source *source = open_text(texts[i], with ? "ohlcv-1m" : "");
			struct source_item item = next_item(source, SOURCE_RECORD);

			check_bar(&item);
			next_item(source, SOURCE_END);
			next_item(source, SOURCE_END);
			assert_int_equal(source_input_bytes(source), strlen(texts[i]));
			source_freep(&source);
		}
}

/* Between two that are read. */
static void expect_refused(const char *head, const char *good, const char *bad, const char *why, const char *symbol)
{
	char text[8192], place[64];
	struct source *source;
	struct source_item item;

	snprintf(text, sizeof(text), "%s%s%s%s", head, good, bad, good);
	snprintf(place, sizeof(place), "vendor.txt: record 2 at byte offset %zu: ", strlen(head) + strlen(good));
	source = open_text(text, "");
	next_item(source, SOURCE_RECORD);
	item = next_item(source, SOURCE_REFUSED);
	assert_contains(item.message, why);
	assert_contains(item.message, place);
	assert_true(str_is_text(str_of(item.message)));
	assert_int_equal(item.bytes.len, strlen(bad) - 1);
	assert_memory_equal(item.bytes.data, bad, item.bytes.len);
	if (!str_eq(item.symbol, str_of(symbol)))
		fail_msg("symbol '%.*s' of %s", STR_ARG(item.symbol), bad);
	next_item(source, SOURCE_RECORD);
	next_item(source, SOURCE_END);
	source_freep(&source);
}

#define T "2020-12-28T00:00:00.000000000Z"

static void test_refused_csv(void **state)
{
	static const struct {
		const char *line, *why, *symbol;
	} cases[] = {
		{ T ",33,1,5482,1e400,1.0,1.0,1.0,1,E\n", "open '1e400' has no point", "E" },
		{ T ",33,1,5482,1.0e400,1.0,1.0,1.0,1,E\n", "open: '1.0e400' is not exact", "E" },
		{ T ",33,1,5482,1.0,1.0000000000001,1.0,1.0,1,E\n", "high: '1.0000000000001' is not exact", "E" },
		{ T ",33,1,5482,1.0,1.0,3702750000000,1.0,1,E\n", "low '3702750000000' has no point; the file's prices",
		  "E" },
		{ T ",33,1,5482,1.0,1.0,1.0,1.0,-1,E\n", "volume '-1' is no whole number that fits", "E" },
		{ T ",33,1,5482,1.0,1.0,1.0,1.0,9223372036854775808,E\n", "volume 9223372036854775808 does not fit",
		  "E" },
		{ T ",33,1,5482,1.0,1.0,1.0,1.0,18446744073709551616,E\n", "volume '18446744073709551616' is no whole",
		  "E" },
		{ T ",33,1,5482,1.0,1.0,1.0,1.0,,E\n", "volume is empty", "E" },
		{ T ",33,65536,5482,1.0,1.0,1.0,1.0,1,E\n", "publisher_id '65536' is no whole number that fits", "E" },
		{ T ",33,1,5482,1.0,1.0,1.0,1.0,1,\n", "symbol is empty", "" },
		{ T ",33,1,5482,1.0,1.0,1.0,1.0,1,\xc3(\n", "symbol '\\xc3(' is not UTF-8", "" },
		{ T ",33,1,5482,1.0,1.0,1.0,1.0,1\n", "9 fields, the header has 10", "" },
		{ ",33,1,5482,1.0,1.0,1.0,1.0,1,E\n", "ts_event is undefined", "E" },
		{ "18446744073709551614,33,1,5482,1.0,1.0,1.0,1.0,1,E\n",
		  "ts_event 18446744073709551614 is out of range", "E" },
		{ "1969-01-01,33,1,5482,1.0,1.0,1.0,1.0,1,E\n", "ts_event '1969-01-01' is before 1970", "E" },
		{ "now,33,1,5482,1.0,1.0,1.0,1.0,1,E\n", "ts_event: time 'now' is not written", "E" },
		{ T ",153,1,5482,1.0,1.0,1.0,1.0,1,E\n", "record type 0x99 is not known", "E" },
		{ T ",\"33,1,5482,1.0,1.0,1.0,1.0,1,E\n", "a quoted field does not end", "" },
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		expect_refused(BARS, BAR, cases[i].line, cases[i].why, cases[i].symbol);
	expect_refused(BARS, RAW_BAR, BAR, "open '3702.750000000' has a point", "ESH1");
}

#define HD "\"hd\":{\"ts_event\":\"" T "\",\"rtype\":33,\"publisher_id\":1,\"instrument_id\":1}"
#define REST ",\"high\":\"1.0\",\"low\":\"1.0\",\"close\":\"1.0\",\"volume\":\"1\",\"symbol\":\"E\"}\n"

static void test_refused_json(void **state)
{
	static const struct {
		const char *line, *why, *symbol;
	} cases[] = {
		{ "{" HD ",\"open\":\"1.0\",\"high\":\"1.0\",\"lo\n", "no JSON: ", "" },
		{ "{" HD ",\"open\":\"1.0\"}}\n", "no JSON: end of file expected", "" },
		{ "[1]\n", "no JSON object", "" },
		{ "{" HD ",\"open\":\"\xff\"" REST, "no JSON: unable to decode byte 0xff", "" },
		{ "{" HD ",\"open\":\"1.0\",\"open\":\"1.0\"" REST, "no JSON: duplicate", "" },
		{ "{" HD ",\"open\":1.5" REST, "open is neither a text nor a whole number", "E" },
		{ "{" HD ",\"open\":true" REST, "open is neither a text nor a whole number", "E" },
		{ "{" HD ",\"open\":\"1.0e400\"" REST, "open: '1.0e400' is not exact", "E" },
		{ "{" HD ",\"opn\":\"1.0\"" REST, "there is no open", "E" },
		{ "{\"hd\":{\"rtype\":33},\"open\":\"1.0\"" REST, "there is no hd.publisher_id", "E" },
		{ "{\"hd\":33,\"open\":\"1.0\"" REST, "there is no hd.rtype", "E" },
		{ "{\"hd\":{\"rtype\":299},\"open\":\"1.0\"" REST, "rtype 299 is not known", "E" },
	};
	char deep[4096] = "{\"hd\":";

	(void)state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		expect_refused("", JSON_BAR, cases[i].line, cases[i].why, cases[i].symbol);
	memset(deep + 6, '[', sizeof(deep) - 8);
	deep[sizeof(deep) - 2] = '\n';
	expect_refused("", JSON_BAR, deep, "no JSON: ", "");
}

/* What the file is told as a whole. */
static void test_unopened(void **state)
{
	struct fetch_task task = task_of(BARS BAR, strlen(BARS BAR), "");
	struct source *source = NULL;
	struct err err = ERR_INIT;

	(void)state;
	task.dataset = NULL;
	assert_int_equal(file_source_open(&source, &task, &err), -1);
	assert_int_equal(err.kind, ERR_RECORD);
	assert_contains(err.text, "names no dataset");
	expect_unopened("ts_event,rtype,publisher_id,instrument_id,open,high,low,close,volume\n", "",
			"lacks the column symbol: ask the vendor for map_symbols");
	expect_unopened("ts_event,rtype,publisher_id,instrument_id,open,high,low,volume,symbol\n", "",
			"lacks the column close");
	expect_unopened("ts_event,rtype,publisher_id,instrument_id,open,high,low,close,volume,symbol,open\n", "",
			"column open stands twice");
	expect_unopened("ts_event,rtype,symbol\n", "", "columns are of no schema that can be loaded");
	expect_unopened("ts_recv,ts_event,rtype,order_id,symbol,ts_in_delta\n", "", "no schema that can be loaded");
	expect_unopened("ts_event,\"rtype\n", "", "the header cannot be read");
	expect_unopened(BARS BAR, "ohlcv-1d", "rtype 33 is ohlcv-1m, the task's schema is ohlcv-1d");
	expect_unopened(JSON_BAR, "ohlcv-1d", "rtype 33 is ohlcv-1m, the task's schema is ohlcv-1d");
	expect_unopened(JSON_BAR, "mbo", "schema mbo cannot be loaded");
	expect_unopened("{\"a\":1}\n", "", "there is no hd.rtype: this is not the vendor's JSON");
	expect_unopened("{\"hd\":{\"rtype\":1}}\n", "", "tbbo or mbp-1");
	expect_unopened("{\"hd\":{\"rtype\":160}}\n", "", "rtype 160 (mbo) cannot be loaded");
}

/* A first record that cannot be read is refused, and the next one says what the file is. */
static void test_first_is_bad(void **state)
{
	static const char *const texts[] = { BARS "x\n" BAR, "{\n" JSON_BAR };

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		struct source *source = open_text(texts[i], "");
		struct source_item item = next_item(source, SOURCE_REFUSED);

		assert_contains(item.message, "record 1 at byte offset");
		item = next_item(source, SOURCE_RECORD);
		check_bar(&item);
		next_item(source, SOURCE_END);
		source_freep(&source);
	}
}

static void test_cut(void **state)
{
	struct source *source =
		open_text(BARS BAR "2020-12-28T00:00:00.000000000Z,33,1,5482,1.0,1.0,1.0,1.0,306,ES", "");
	struct source_item item;

	(void)state;
	next_item(source, SOURCE_RECORD);
	item = next_item(source, SOURCE_REFUSED);
	assert_contains(item.message, "no line end: cut short");
	next_item(source, SOURCE_END);
	source_freep(&source);
	source = open_text(BARS, ""); /* no records at all */
	next_item(source, SOURCE_END);
	source_freep(&source);
}

static void test_other_schema_is_skipped(void **state)
{
	struct source *source = open_text(BARS BAR T ",32,1,5482,1.0,1.0,1.0,1.0,306,ES\n" BAR, "");
	struct source_item item;

	(void)state;
	next_item(source, SOURCE_RECORD);
	item = next_item(source, SOURCE_SKIPPED);
	assert_string_equal(item.schema, "ohlcv-1s");
	next_item(source, SOURCE_RECORD);
	next_item(source, SOURCE_END);
	source_freep(&source);
}

/* Equal but for their symbols, and all equal; then the next ts_recv. */
static void test_ties(void **state)
{
	static const struct {
		const char *symbol;
		int64_t ts_recv;
		int32_t tie;
	} rows[] = { { "A", 5, 0 }, { "A", 5, 1 }, { "B", 5, 0 }, { "A", 5, 2 },
		     { "B", 5, 1 }, { "A", 6, 0 }, { "A", 5, 0 } };
	char text[2048];
	struct source *source;
	size_t n = (size_t)snprintf(text, sizeof(text), "%s", TRADES);

	(void)state;
	for (unsigned i = 0; i < 7; i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, "%d,4,0,1,7,T,A,0,1.000000000,3,128,-9,77,%s\n",
				      (int)rows[i].ts_recv, rows[i].symbol);
	source = open_text(text, "");
	for (unsigned i = 0; i < 7; i++) {
		struct source_item item = next_item(source, SOURCE_RECORD);
		const struct trades *trade = item.record;

		assert_ptr_equal(item.type, &trades_type);
		assert_int_equal(trade->tie, rows[i].tie);
		assert_int_equal(trade->ts_recv, rows[i].ts_recv);
		assert_int_equal(trade->ts_in_delta, -9);
		assert_int_equal(trade->vendor_flags, 128);
		assert_true(str_eq(trade->symbol, str_of(rows[i].symbol)));
		assert_true(str_eq(trade->action, STR_LIT("T")) && str_eq(trade->side, STR_LIT("A")));
	}
	source_freep(&source);
}

static void test_shelf(void **state)
{
	struct symbol_shelf shelf = { 0 };
	char name[32];
	struct str first = symbol_shelf_put(&shelf, 1, STR_LIT("AAPL"));

	(void)state;
	assert_true(str_eq(first, STR_LIT("AAPL")));
	for (unsigned i = 1; i < SYMBOL_SHELF_COUNT_MAX; i++) {
		snprintf(name, sizeof(name), "S%u", i);
		assert_true(str_eq(symbol_shelf_put(&shelf, 1, str_of(name)), str_of(name)));
	}
	assert_ptr_equal(symbol_shelf_put(&shelf, 1, STR_LIT("AAPL")).data, first.data);
	assert_int_equal(symbol_shelf_put(&shelf, 1, STR_LIT("one too many")).len, 0);
	assert_int_equal(symbol_shelf_put(&shelf, 2, STR_LIT("one too many")).len, 12);
	symbol_shelf_release(&shelf);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bars),         cmocka_unit_test(test_refused_csv),
		cmocka_unit_test(test_refused_json), cmocka_unit_test(test_unopened),
		cmocka_unit_test(test_first_is_bad), cmocka_unit_test(test_cut),
		cmocka_unit_test(test_ties),         cmocka_unit_test(test_other_schema_is_skipped),
		cmocka_unit_test(test_shelf),
	};

	return cmocka_run_group_tests(tests, files_setup, files_teardown);
}

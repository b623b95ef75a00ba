/* csv_bars, csv_plan: plain CSV files as source items. */
#include "tests/unit/dbn_files.h"

#include <inttypes.h>

#include "schemas.h"
#include "tests/unit/file_source.h"

#define HEADER "t,o,h,l,c,v,s\n"
#define COLUMNS \
	"\"time\": \"t\", \"open\": \"o\", \"high\": \"h\", \"low\": \"l\", \"close\": \"c\", \"volume\": \"v\", " \
	"\"symbol\": \"s\""

static struct fetch_task task_of(const char *path, const char *settings)
{
	static char parameters[2048];

	snprintf(parameters, sizeof(parameters), "{\"format\": \"csv\", \"csv\": {%s}}", settings);
	return (struct fetch_task){
		.source = (char *)"file",
		.path = (char *)path,
		.dataset = (char *)"FXCM",
		.schema = (char *)"ohlcv-1m",
		.parameters = parameters,
	};
}

static const char *write_text(const char *text)
{
	const char *path = files_path("bars.csv");

	files_write(path, text, strlen(text));
	return path;
}

static struct source *open_text(const char *text, const char *settings)
{
	struct fetch_task task = task_of(write_text(text), settings);
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

static void expect_unopened(const char *text, const char *settings, const char *part)
{
	struct fetch_task task = task_of(write_text(text), settings);
	struct source *source = NULL;
	struct err err = ERR_INIT;

	assert_int_equal(file_source_open(&source, &task, &err), -1);
	assert_int_equal(err.kind, ERR_RECORD);
	assert_contains(err.text, part);
	assert_contains(err.text, "bars.csv");
}

static void test_bar(void **state)
{
	struct source *source = open_text(HEADER "2024-01-02 09:30,1.5,2,1,1.75,10.5,GBP/USD\n"
						 "2024-01-02 09:31,,,,,0,GBP/USD\n",
					  COLUMNS);
	struct source_item item = next_item(source, SOURCE_RECORD);
	const struct ohlcv *bar = item.record;

	(void)state;
	assert_ptr_equal(item.type, &ohlcv_type);
	assert_ptr_equal(item.lineage, &bar->attempt);
	assert_true(str_eq(item.symbol, STR_LIT("GBP/USD")));
	assert_true(str_eq(bar->symbol, STR_LIT("GBP/USD")));
	assert_true(str_eq(bar->dataset, STR_LIT("FXCM")));
	assert_true(str_eq(bar->schema, STR_LIT("ohlcv-1m")));
	assert_string_equal(item.schema, "ohlcv-1m");
	assert_int_equal(bar->ts_event, INT64_C(1704187800) * NS_PER_SECOND);
	assert_int_equal(item.ts_event, bar->ts_event);
	assert_int_equal(bar->present, OHLCV_PRESENT);
	assert_int_equal(bar->open, 1500000000);
	assert_int_equal(bar->high, 2000000000);
	assert_int_equal(bar->low, 1000000000);
	assert_int_equal(bar->close, 1750000000);
	assert_int_equal(bar->volume, 105);
	assert_int_equal(bar->volume_exponent, -1);
	assert_int_equal(bar->flags, 0);
	next_item(source, SOURCE_RECORD);
	assert_int_equal(bar->present, 0);
	assert_int_equal(bar->volume, 0);
	next_item(source, SOURCE_END);
	next_item(source, SOURCE_END);
	source_freep(&source);
}

static void test_floats(void **state)
{
	struct source *source = open_text(HEADER "2024-01-02,1286.5699462890625,1,1,1,3,X\n2024-01-02,1,1,1,1,3,X\n",
					  COLUMNS ", \"price_text\": \"float32\"");
	struct source_item item = next_item(source, SOURCE_RECORD);
	const struct ohlcv *bar = item.record;

	(void)state;
	assert_int_equal(bar->open, INT64_C(1286570000000));
	assert_int_equal(bar->flags, FLAG_ROUNDED);
	next_item(source, SOURCE_RECORD);
	assert_int_equal(bar->flags, 0);
	source_freep(&source);
}

static void test_without_header(void **state)
{
	struct source *source =
		open_text("x;1609113600;\"1\";2;1;1;\n",
			  "\"header\": \"false\", \"delimiter\": \";\", \"time\": \"2\", \"open\": \"3\", "
			  "\"high\": \"4\", \"low\": \"5\", \"close\": \"6\", \"volume\": \"none\", "
			  "\"time_format\": \"s\", \"symbol_constant\": \"X\"");
	struct source_item item = next_item(source, SOURCE_RECORD);
	const struct ohlcv *bar = item.record;

	(void)state;
	assert_int_equal(bar->ts_event, INT64_C(1609113600) * NS_PER_SECOND);
	assert_int_equal(bar->open, 1000000000);
	assert_int_equal(bar->volume, 0);
	assert_true(str_eq(bar->symbol, STR_LIT("X")));
	source_freep(&source);
}

/* A record that is refused, between two that are not. */
static void test_refused(void **state)
{
	static const struct {
		const char *line, *why;
		bool symbol_known;
	} cases[] = {
		{ "2024-01-02,1e400,1,1,1,1,X", "open: '1e400' is not exact in a decimal(19,9)", true },
		{ "2024-01-02,1,1,1,1.0000000000001,1,X", "close: '1.0000000000001' is not exact", true },
		{ "2024-01-02,1,0x10,1,1,1,X", "high: '0x10' is not a number", true },
		{ "2024-01-02,1,1,\xff\xfe,1,1,X", "low: '\\xff\\xfe' is not a number", true },
		{ "2024-01-02,1,1,1,1,,X", "volume is empty", true },
		{ "2024-01-02,1,1,1,1,1e30,X", "volume: '1e30' does not fit", true },
		{ "2024-01-32,1,1,1,1,1,X", "time '2024-01-32' is in no calendar", true },
		{ "yesterday,1,1,1,1,1,X", "time 'yesterday' is not written as its format says", true },
		{ "2024-01-02,1,1,1,1,1,", "symbol is empty", false },
		{ "2024-01-02,1,1,1,1,1,\xc3\x28", "symbol '\\xc3(' is not UTF-8", false },
		{ "2024-01-02,1,1,1,1,1", "6 fields, the header has 7", false },
		{ "2024-01-02,1,1,1,1,1,234,X", "8 fields, the header has 7", false },
		{ "2024-01-02,\"1,1,1,1,1,X", "a quoted field does not end", false },
		{ "2024-01-02,1,1,1,1,1,\"X\"Y", "a quoted field does not end, or goes on", false },
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		char text[512];
		struct source *source;
		struct source_item item;
		const char *good = "2024-01-02,1,1,1,1,1,GOOD\r\n";

		snprintf(text, sizeof(text), HEADER "%s%s\r\n%s", good, cases[i].line, good);
		source = open_text(text, COLUMNS);
		next_item(source, SOURCE_RECORD);
		item = next_item(source, SOURCE_REFUSED);
		assert_contains(item.message, cases[i].why);
		assert_contains(item.message, "bars.csv: record 2 at byte offset 41: ");
		assert_true(str_eq(item.bytes, str_of(cases[i].line)));
		assert_true(str_is_text(str_of(item.message)));
		assert_true(str_eq(item.symbol, str_of(cases[i].symbol_known ? "X" : "")));
		assert_string_equal(item.schema, "ohlcv-1m");
		item = next_item(source, SOURCE_RECORD);
		assert_true(str_eq(item.symbol, STR_LIT("GOOD")));
		next_item(source, SOURCE_END);
		source_freep(&source);
	}
}

static void test_unopened(void **state)
{
	struct fetch_task task;
	struct source *source = NULL;
	struct err err = ERR_INIT;

	(void)state;
	expect_unopened("t,o,h,l,c,v\n", COLUMNS, "symbol: column 's' is not in the header: t,o,h,l,c,v");
	expect_unopened("t,o,h,l,c,v,s,o\n", COLUMNS, "open: column 'o' stands twice");
	expect_unopened("t\n", "\"time\": \"2\", \"symbol_constant\": \"X\"", "time: column 2: the header has 1");
	expect_unopened("\n", COLUMNS, "no lines");
	expect_unopened("", COLUMNS, "empty");
	expect_unopened("\"t,o\n", COLUMNS, "the header cannot be read: a quoted field does not end");
	expect_unopened("t\n", "\"time\": \"t\"", "symbol (a column) or symbol_constant");
	expect_unopened("t\n", "\"tine\": \"t\"", "tine is not a key of csv");
	expect_unopened("\xff\xfet\0\n", COLUMNS, "is not in the header: \\xff\\xfet");
	task = task_of(write_text(HEADER), COLUMNS);
	task.dataset = (char *)"";
	assert_int_equal(file_source_open(&source, &task, &err), -1);
	assert_contains(err.text, "names no dataset");
	task.dataset = (char *)"D";
	task.schema = (char *)"trades";
	assert_int_equal(file_source_open(&source, &task, &err), -1);
	assert_contains(err.text, "holds bars");
	task.parameters = (char *)"{";
	assert_int_equal(file_source_open(&source, &task, &err), -1);
	assert_int_equal(err.kind, ERR_RECORD);
	assert_contains(err.text, "parameters");
	task.parameters = (char *)"{\"format\": \"xls\"}";
	assert_int_equal(file_source_open(&source, &task, &err), -1);
	assert_contains(err.text, "'xls' is not csv");
}

struct sums {
	unsigned records, refused;
	int64_t first, last, close;
	bool fractions;
};

static struct sums read_sample(const char *name, const char *settings)
{
	char path[600];
	struct sums sums = { 0 };
	struct source *source = NULL;
	struct source_item item;
	struct fetch_task task;
	struct err err = ERR_INIT;

	snprintf(path, sizeof(path), "%s/../ohlcv-csv/%s", files_samples(), name);
	task = task_of(path, settings);
	if (file_source_open(&source, &task, &err))
		fail_msg("%s", err.text);
	while (source_next(source, &item, &err) == 0 && item.kind != SOURCE_END) {
		const struct ohlcv *bar = item.record;

		if (item.kind == SOURCE_REFUSED) {
			sums.refused++;
			continue;
		}
		sums.first = sums.records++ ? sums.first : bar->ts_event;
		sums.last = bar->ts_event;
		sums.close = bar->close;
		sums.fractions |= bar->volume_exponent != 0;
	}
	assert_int_equal(err.kind, ERR_OK);
	source_freep(&source);
	return sums;
}

/* First and last rows, as they stand in the files. */
static void test_samples(void **state)
{
	struct sums sums;

	(void)state;
	sums = read_sample("gbpusd-m1-ask-2012.csv",
			   "\"time\": \"timestamp\", \"volume\": \"none\", \"symbol_constant\": \"GBPUSD\"");
	assert_int_equal(sums.records, 30117);
	assert_int_equal(sums.refused, 0);
	assert_int_equal(sums.first, INT64_C(1328054400) * NS_PER_SECOND);
	sums = read_sample("btc-perp-20211231-20220201_1m.csv",
			   "\"time\": \"timestamp\", \"symbol_constant\": \"BTC-PERP\"");
	assert_int_equal(sums.records, 45031);
	assert_int_equal(sums.refused, 0);
	assert_int_equal(sums.first, INT64_C(1640991660) * NS_PER_SECOND);
	assert_true(sums.fractions);
	sums = read_sample("6EH4.XCME_1min_bars_20240101_20240131.csv.gz",
			   "\"time\": \"timestamp_utc\", \"symbol_constant\": \"6EH4\"");
	assert_int_equal(sums.records, 29996);
	assert_int_equal(sums.refused, 0);
	assert_int_equal(sums.first, INT64_C(1704150060) * NS_PER_SECOND);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bar),     cmocka_unit_test(test_floats),   cmocka_unit_test(test_without_header),
		cmocka_unit_test(test_refused), cmocka_unit_test(test_unopened), cmocka_unit_test(test_samples),
	};

	return cmocka_run_group_tests(tests, files_setup, files_teardown);
}

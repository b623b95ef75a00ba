#include "tests/unit/dbn_files.h"

#include <sys/stat.h>

#include "common/str.h"
#include "ops/simulator/generate.h"
#include "ops/simulator/market/datasets.h"
#include "schemas.h"
#include "tests/unit/file_source.h"

static struct generate_options options_of(const char *path)
{
	return (struct generate_options){
		.bars = { .schema = 6,
			  .bars = 50000,
			  .symbols = 20,
			  .start_day = DAY(2024, 1, 5),
			  .seed = 1,
			  .publisher_id = 2 },
		.dataset = "XNAS.ITCH",
		.path = path,
		.files = 1,
	};
}

static struct generate_summary generate_ok(const struct generate_options *options)
{
	struct generate_summary summary = { 0 };
	struct err err = ERR_INIT;

	if (generate(options, &summary, &err))
		fail_msg("%s", err.text);
	return summary;
}

static void expect_usage(const struct generate_options *options, const char *part)
{
	struct generate_summary summary = { 0 };
	struct err err = ERR_INIT;

	assert_int_equal(generate(options, &summary, &err), -1);
	assert_int_equal(err.kind, ERR_FATAL);
	assert_contains(err.text, part);
}

static struct source *open_file(const char *path)
{
	struct fetch_task task = { .source = (char *)"file", .path = (char *)path };
	struct source *source = NULL;
	struct err err = ERR_INIT;

	if (file_source_open(&source, &task, &err))
		fail_msg("%s", err.text);
	return source;
}

static void expect_sane(const struct ohlcv *bar)
{
	assert_true(bar->high >= bar->low);
	assert_true(bar->high >= bar->open && bar->high >= bar->close);
	assert_true(bar->low <= bar->open && bar->low <= bar->close);
	assert_true(bar->low > 0 && bar->high < 10000 * INT64_C(1000000000));
	assert_int_equal(bar->open % 10000000, 0); /* whole cents */
	assert_in_range(bar->volume, 1, 100000000);
}

/* Every bar once: time goes on, and within a time each symbol in turn. */
static void check_good_file(const char *path, const struct generate_options *options, int64_t step)
{
	struct source *source = open_file(path);
	struct source_item item;
	struct err err = ERR_INIT;
	char symbol[BARS_SYMBOL_MAX];
	int64_t before = 0;
	uint64_t n = 0;

	for (;; n++) {
		const struct ohlcv *bar;

		assert_int_equal(source_next(source, &item, &err), 0);
		if (item.kind == SOURCE_END)
			break;
		assert_int_equal(item.kind, SOURCE_RECORD);
		bar = item.record;
		expect_sane(bar);
		bars_symbol((uint32_t)(n % options->bars.symbols), symbol);
		assert_true(str_eq(bar->symbol, str_of(symbol)));
		assert_int_equal(bar->ts_event % step, 0);
		assert_true(n % options->bars.symbols == 0 ? bar->ts_event > before : bar->ts_event == before);
		before = bar->ts_event;
	}
	assert_int_equal(n, options->bars.bars);
	source_freep(&source);
}

static void test_schemas(void **state)
{
	static const struct {
		uint16_t schema;
		int64_t step;
	} schemas[] = {
		{ 5, NS_PER_SECOND }, { 6, 60 * NS_PER_SECOND }, { 7, 3600 * NS_PER_SECOND }, { 8, NS_PER_DAY }
	};

	(void)state;
	for (size_t i = 0; i < sizeof(schemas) / sizeof(schemas[0]); i++) {
		struct generate_options options = options_of(files_path("bars.dbn.zst"));
		struct generate_summary summary;

		options.bars.schema = schemas[i].schema;
		summary = generate_ok(&options);
		assert_int_equal(summary.bars, options.bars.bars);
		assert_int_equal(summary.file_count, 1);
		assert_int_equal(summary.files[0].bars, options.bars.bars);
		assert_int_equal(summary.first / NS_PER_DAY, DAY(2024, 1, 5));
		check_good_file(options.path, &options, schemas[i].step);
		generate_summary_release(&summary);
	}
}

/* 2024-01-05 is a Friday. */
static void test_weekdays(void **state)
{
	struct bars_options options = { .schema = 8, .bars = 4, .symbols = 1, .start_day = DAY(2024, 1, 5) };
	static const uint8_t days[] = { 5, 8, 9, 10 };
	struct err err = ERR_INIT;
	struct bars *bars = NULL;

	(void)state;
	assert_int_equal(bars_new(&bars, &options, &err), 0);
	assert_int_equal(bars_days(bars)->count, 4);
	for (uint32_t i = 0; i < 4; i++)
		assert_int_equal(bars_days(bars)->list[i], DAY(2024, 1, days[i]));
	bars_freep(&bars);
	options.start_day = DAY(2024, 1, 6);
	assert_int_equal(bars_new(&bars, &options, &err), 0);
	assert_int_equal(bars_days(bars)->list[0], DAY(2024, 1, 8));
	assert_int_not_equal(days_instrument_id(bars_days(bars), 0, DAY(2024, 1, 8)),
			     days_instrument_id(bars_days(bars), 0, DAY(2024, 1, 9)));
	bars_freep(&bars);
}

static int compare_texts(const void *a, const void *b)
{
	return strcmp(a, b);
}

static void test_symbols(void **state)
{
	static char symbols[BARS_SYMBOLS_MAX][BARS_SYMBOL_MAX];

	(void)state;
	for (uint32_t i = 0; i < BARS_SYMBOLS_MAX; i++)
		bars_symbol(i, symbols[i]);
	qsort(symbols, BARS_SYMBOLS_MAX, sizeof(symbols[0]), compare_texts);
	for (uint32_t i = 1; i < BARS_SYMBOLS_MAX; i++)
		assert_string_not_equal(symbols[i - 1], symbols[i]);
}

static void expect_same(const char *left, const char *right, bool same)
{
	struct buf a = files_read(left), b = files_read(right);

	assert_int_equal(a.len == b.len && memcmp(a.data, b.data, a.len) == 0, same);
	buf_release(&a);
	buf_release(&b);
}

static void test_deterministic(void **state)
{
	static const char *const names[] = { "a.dbn", "b.dbn", "c.dbn.zst", "d.dbn.zst", "e.dbn" };

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct generate_options options = options_of(files_path(names[i]));
		struct generate_summary summary;

		options.bars.broken = 130;
		options.bars.seed = i == 4 ? 2 : 1;
		summary = generate_ok(&options);
		generate_summary_release(&summary);
	}
	expect_same(files_path("a.dbn"), files_path("b.dbn"), true);
	expect_same(files_path("c.dbn.zst"), files_path("d.dbn.zst"), true);
	expect_same(files_path("a.dbn"), files_path("e.dbn"), false);
	assert_int_not_equal(access(files_path("a.dbn.part"), F_OK), 0);
}

struct seen {
	uint64_t refused, undefined, high_low, high_open, high_close, low_open, low_close, only_one_rule;
	uint64_t price, volume, past, future, unaligned, good;
};

static void see_bar(struct seen *seen, const struct ohlcv *bar)
{
	unsigned order = 0;

	if (~bar->present & (1 << OHLCV_OPEN)) {
		seen->undefined++;
		return;
	}
	order += bar->high < bar->open;
	order += bar->high < bar->close;
	order += bar->low > bar->open;
	order += bar->low > bar->close;
	seen->only_one_rule += order == 1 && bar->high >= bar->low;
	seen->high_low += bar->high < bar->low;
	if (bar->high >= bar->low) {
		seen->high_open += bar->high < bar->open;
		seen->high_close += bar->high < bar->close;
		seen->low_open += bar->low > bar->open;
		seen->low_close += bar->low > bar->close;
	}
	seen->price += bar->low <= 0 || bar->high > 1000000 * INT64_C(1000000000);
	seen->volume += bar->volume > 1000000000000;
	seen->past += bar->ts_event < DAY(1990, 1, 1) * NS_PER_DAY;
	seen->future += bar->ts_event > DAY(2100, 1, 1) * NS_PER_DAY;
	seen->unaligned += bar->ts_event % (60 * NS_PER_SECOND) != 0;
}

static void see_file(struct seen *seen, const char *path)
{
	struct source *source = open_file(path);
	struct source_item item;
	struct err err = ERR_INIT;

	for (;;) {
		assert_int_equal(source_next(source, &item, &err), 0);
		if (item.kind == SOURCE_END)
			break;
		if (item.kind == SOURCE_REFUSED)
			seen->refused++;
		else
			see_bar(seen, item.record);
	}
	source_freep(&source);
}

static void check_seen(const struct seen *seen, const struct generate_summary *summary)
{
	const uint64_t *broken = summary->broken;

	assert_int_equal(seen->refused, broken[BROKEN_INSTRUMENT_UNMAPPED]);
	assert_int_equal(seen->undefined, broken[BROKEN_PRICE_UNDEFINED]);
	assert_int_equal(seen->high_low, broken[BROKEN_HIGH_BELOW_LOW]);
	assert_int_equal(seen->high_open, broken[BROKEN_HIGH_BELOW_OPEN]);
	assert_int_equal(seen->high_close, broken[BROKEN_HIGH_BELOW_CLOSE]);
	assert_int_equal(seen->low_open, broken[BROKEN_LOW_ABOVE_OPEN]);
	assert_int_equal(seen->low_close, broken[BROKEN_LOW_ABOVE_CLOSE]);
	assert_int_equal(seen->only_one_rule, broken[BROKEN_HIGH_BELOW_OPEN] + broken[BROKEN_HIGH_BELOW_CLOSE] +
						      broken[BROKEN_LOW_ABOVE_OPEN] + broken[BROKEN_LOW_ABOVE_CLOSE]);
	assert_int_equal(seen->price, broken[BROKEN_PRICE_ZERO] + broken[BROKEN_PRICE_HUGE]);
	assert_int_equal(seen->volume, broken[BROKEN_VOLUME_HUGE]);
	assert_int_equal(seen->past, broken[BROKEN_TIME_PAST]);
	assert_int_equal(seen->future, broken[BROKEN_TIME_FUTURE]);
	assert_int_equal(seen->unaligned, broken[BROKEN_TIME_UNALIGNED]);
}

/* Each bar is broken in its own way only, as often as the summary says. */
static void test_broken(void **state)
{
	static const uint64_t counts[] = { 1, 13, 500, 50000 };

	(void)state;
	for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
		struct generate_options options = options_of(files_path("broken.dbn"));
		struct generate_summary summary;
		struct seen seen = { 0 };
		uint64_t total = 0;

		options.bars.broken = counts[i];
		summary = generate_ok(&options);
		for (unsigned kind = 0; kind < BROKEN_KINDS; kind++) {
			assert_in_range(summary.broken[kind], counts[i] / BROKEN_KINDS, counts[i] / BROKEN_KINDS + 1);
			total += summary.broken[kind];
		}
		assert_int_equal(total, counts[i]);
		see_file(&seen, options.path);
		check_seen(&seen, &summary);
		generate_summary_release(&summary);
	}
}

/* The same records as in one file, in files that share no day. */
static void test_files(void **state)
{
	struct generate_options options = options_of(files_path("split.dbn"));
	struct generate_summary one, split;
	struct buf all = BUF_INIT(FILE_MAX_BYTES);
	struct buf whole;

	(void)state;
	one = generate_ok(&options);
	whole = files_read(options.path);
	options.files = 3;
	split = generate_ok(&options);
	assert_int_equal(split.bars, one.bars);
	assert_int_equal(split.file_count, 3);
	for (uint32_t i = 0; i < 3; i++) {
		struct buf part = files_read(split.files[i].path);
		size_t bytes = split.files[i].bars * DBN_OHLCV_BYTES;

		assert_int_equal(part.len, split.files[i].bytes);
		buf_put(&all, part.data + part.len - bytes, bytes);
		buf_release(&part);
	}
	assert_string_equal(split.files[0].path, files_path("split-1.dbn"));
	assert_int_equal(all.len, one.bars * DBN_OHLCV_BYTES);
	assert_memory_equal(all.data, whole.data + whole.len - all.len, all.len);
	generate_summary_release(&one);
	generate_summary_release(&split);
	buf_release(&all);
	buf_release(&whole);
}

/* More files than days: the records are shared out, evenly. */
static void test_many_files(void **state)
{
	struct generate_options options = options_of(files_path("many.dbn"));
	struct generate_summary summary;
	struct seen seen = { 0 };

	(void)state;
	options.files = 500;
	options.bars.broken = 1000;
	summary = generate_ok(&options);
	assert_int_equal(summary.bars, options.bars.bars);
	for (uint32_t i = 0; i < options.files; i++) {
		assert_int_equal(summary.files[i].bars, 100);
		see_file(&seen, summary.files[i].path);
	}
	check_seen(&seen, &summary);
	generate_summary_release(&summary);
}

static uint32_t symbol_index(struct str symbol, uint32_t symbols)
{
	char text[BARS_SYMBOL_MAX];

	for (uint32_t i = 0; i < symbols; i++) {
		bars_symbol(i, text);
		if (str_eq(symbol, str_of(text)))
			return i;
	}
	fail_msg("%.*s is no symbol of the file", (int)symbol.len, symbol.data);
	return 0;
}

/* Time goes on; per symbol as many as Zipf says, within a tenth. */
static void check_trades(const char *path, uint64_t records)
{
	struct source *source = open_file(path);
	uint64_t counts[4] = { 0 }, n = 0;
	struct source_item item;
	struct err err = ERR_INIT;
	int64_t before = 0;

	for (;; n++) {
		const struct trades *trade;

		assert_int_equal(source_next(source, &item, &err), 0);
		if (item.kind == SOURCE_END)
			break;
		assert_int_equal(item.kind, SOURCE_RECORD);
		trade = item.record;
		assert_true(trade->ts_event > before && trade->ts_recv > trade->ts_event);
		assert_true(trade->price > 0 && trade->size > 0);
		before = trade->ts_event;
		counts[symbol_index(trade->symbol, 4)]++;
	}
	assert_int_equal(n, records);
	for (uint64_t i = 0; i < 4; i++) { /* 1 + 1/2 + 1/3 + 1/4 is 25/12 */
		uint64_t due = records * 12 / (25 * (i + 1));

		assert_in_range(counts[i], due * 9 / 10, due * 11 / 10);
	}
	source_freep(&source);
}

static void test_trades(void **state)
{
	struct generate_options options = options_of(files_path("trades.dbn"));
	struct generate_summary summary;

	(void)state;
	options.bars.schema = SCHEMA_TRADES;
	options.bars.symbols = 4;
	options.bars.bars = 600000; /* two days */
	summary = generate_ok(&options);
	assert_int_equal(summary.bars, options.bars.bars);
	assert_int_equal(summary.first / NS_PER_DAY, DAY(2024, 1, 5));
	assert_int_equal(summary.last / NS_PER_DAY, DAY(2024, 1, 8));
	check_trades(options.path, options.bars.bars);
	generate_summary_release(&summary);
}

/* Every record of the other schemas is one that the fetcher reads, and the same options give the same bytes. */
static void test_other_schemas(void **state)
{
	static const uint16_t schemas[] = { SCHEMA_TRADES, SCHEMA_TBBO, SCHEMA_STATISTICS, SCHEMA_DEFINITION };

	(void)state;
	for (size_t i = 0; i < sizeof(schemas) / sizeof(schemas[0]); i++) {
		struct generate_options options = options_of(files_path("ticks.dbn"));
		struct generate_summary summary;
		struct source *source;
		struct source_item item;
		struct err err = ERR_INIT;
		uint64_t n = 0;

		options.bars.schema = schemas[i];
		options.bars.bars = 5000;
		summary = generate_ok(&options);
		generate_summary_release(&summary);
		source = open_file(options.path);
		while (source_next(source, &item, &err) == 0 && item.kind == SOURCE_RECORD)
			n++;
		assert_int_equal(item.kind, SOURCE_END);
		assert_int_equal(n, options.bars.bars);
		source_freep(&source);
		options.path = files_path("again.dbn");
		summary = generate_ok(&options);
		generate_summary_release(&summary);
		expect_same(files_path("ticks.dbn"), files_path("again.dbn"), true);
	}
}

static void test_file_names(void **state)
{
	static const struct {
		const char *name, *first;
	} names[] = { { "n.zst", "n-1.zst" }, { "none", "none-1" }, { "x.y.dbn.zst", "x.y-1.dbn.zst" } };

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct generate_options options = options_of(files_path(names[i].name));
		struct generate_summary summary;

		options.files = 2;
		summary = generate_ok(&options);
		assert_string_equal(summary.files[0].path, files_path(names[i].first));
		generate_summary_release(&summary);
	}
}

static void test_options(void **state)
{
	struct generate_options options = options_of(files_path("o.dbn"));
	struct generate_summary summary = { 0 };
	struct err err = ERR_INIT;

	(void)state;
	options.bars.broken = 50001;
	expect_usage(&options, "50001 broken bars of 50000");
	options.bars.broken = 0;
	options.files = 50001;
	expect_usage(&options, "50001 files of 50000 records");
	options.files = 1;
	options.dataset = "A.NAME.TOO.LONG.";
	expect_usage(&options, "longer than 15");
	options.dataset = "XNAS.ITCH";
	options.bars.schema = 1;
	expect_usage(&options, "not made");
	options.bars.schema = SCHEMA_TRADES;
	options.bars.broken = 1;
	expect_usage(&options, "only bars are broken");
	options.bars.broken = 0;
	options.bars.schema = 8;
	options.bars.bars = UINT64_C(1) << 62;
	expect_usage(&options, "reach past 2100");
	options.bars.bars = 1;
	options.bars.start_day = DAY(1980, 1, 2);
	expect_usage(&options, "after 1980-01-02");
	options.bars.start_day = DAY(2024, 1, 2);
	options.bars.symbols = 0;
	expect_usage(&options, "symbols");
	options.bars.symbols = BARS_SYMBOLS_MAX;
	options.bars.bars = UINT64_C(20) * BARS_SYMBOLS_MAX;
	expect_usage(&options, "fewer symbols");
	options = options_of(files_path("pipe"));
	assert_int_equal(mkfifo(options.path, 0600), 0);
	expect_usage(&options, "not a regular file");
	options = options_of(files_dir);
	expect_usage(&options, "not a regular file");
	options = options_of(files_path("no/such/folder.dbn"));
	assert_int_equal(generate(&options, &summary, &err), -1);
	assert_int_equal(err.kind, ERR_RETRY);
	assert_contains(err.text, "no/such/folder.dbn");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_schemas),       cmocka_unit_test(test_weekdays),
		cmocka_unit_test(test_symbols),       cmocka_unit_test(test_deterministic),
		cmocka_unit_test(test_broken),        cmocka_unit_test(test_files),
		cmocka_unit_test(test_many_files),    cmocka_unit_test(test_trades),
		cmocka_unit_test(test_other_schemas), cmocka_unit_test(test_file_names),
		cmocka_unit_test(test_options),
	};

	return cmocka_run_group_tests(tests, files_setup, files_teardown);
}

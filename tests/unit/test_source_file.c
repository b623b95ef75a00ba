#include "tests/unit/dbn_files.h"

#include <sys/stat.h>

#include "schemas.h"
#include "tests/unit/file_source.h"

static struct source *open_file(const char *path)
{
	struct fetch_task task = { .source = (char *)"file", .path = (char *)path };
	struct source *source = NULL;
	struct err err = ERR_INIT;

	if (file_source_open(&source, &task, &err))
		fail_msg("%s", err.text);
	return source;
}

static void expect_refused(const struct fetch_task *task, const char *part)
{
	struct source *source = NULL;
	struct err err = ERR_INIT;

	assert_int_equal(file_source_open(&source, task, &err), -1);
	assert_int_equal(err.kind, ERR_RECORD);
	assert_null(source);
	assert_contains(err.text, part);
}

static struct source_item next_item(struct source *source, enum source_kind kind)
{
	struct source_item item;
	struct err err = ERR_INIT;

	if (source_next(source, &item, &err))
		fail_msg("%s", err.text);
	assert_int_equal(item.kind, kind);
	return item;
}

static void test_records(void **state)
{
	struct source *source = open_file(files_write_bars("bars.dbn.zst", 3));
	struct stat st;

	(void)state;
	for (int64_t i = 0; i < 3; i++) {
		struct source_item item = next_item(source, SOURCE_RECORD);
		const struct ohlcv *bar = item.record;

		assert_ptr_equal(item.type, &ohlcv_type);
		assert_ptr_equal(item.lineage, &bar->attempt);
		assert_true(str_eq(item.symbol, STR_LIT("AAPL")));
		assert_string_equal(item.schema, "ohlcv-1m");
		assert_int_equal(item.ts_event, FILES_NOON + (uint64_t)i * 60 * NS_PER_SECOND);
		assert_int_equal(bar->present, OHLCV_PRESENT);
		assert_int_equal(bar->attempt, 0);
		assert_true(str_eq(bar->symbol, STR_LIT("AAPL")));
		assert_true(str_eq(bar->schema, STR_LIT("ohlcv-1m")));
		assert_true(str_eq(bar->dataset, STR_LIT("XNAS.ITCH")));
		assert_int_equal(bar->publisher_id, 2);
		assert_int_equal(bar->instrument_id, 1);
		assert_int_equal(bar->ts_event, item.ts_event);
		assert_int_equal(bar->open, 101250000000 + i);
		assert_int_equal(bar->high, 102000000000);
		assert_int_equal(bar->low, 100500000001);
		assert_int_equal(bar->close, 101000000000);
		assert_int_equal(bar->volume, 306);
		assert_int_equal(bar->volume_exponent, 0);
		assert_int_equal(bar->flags, 0);
	}
	next_item(source, SOURCE_END);
	next_item(source, SOURCE_END);
	assert_int_equal(stat(files_path("bars.dbn.zst"), &st), 0);
	assert_int_equal(source_input_bytes(source), st.st_size);
	source_freep(&source);
	source_freep(&source);
}

/* One bar of one minute past noon, with 8 bytes at `at` replaced. */
static const char *write_patched(size_t at, uint64_t value, size_t bytes)
{
	struct dbn_metadata metadata = files_metadata();
	uint8_t record[2 * DBN_OHLCV_BYTES];

	files_bar(record, 1);
	files_bar(record + DBN_OHLCV_BYTES, 2);
	value = htole64(value);
	memcpy(record + at, &value, bytes);
	return files_write_records("patched.dbn", &metadata, record, sizeof(record));
}

static void expect_dead(const char *path, const char *symbol, int64_t ts_event, const char *part)
{
	struct source *source = open_file(path);
	struct source_item item = next_item(source, SOURCE_REFUSED);

	assert_contains(item.message, part);
	assert_contains(item.message, path);
	assert_contains(item.message, "record 1 at byte offset ");
	assert_int_equal(item.ts_event, ts_event);
	assert_true(str_eq(item.symbol, str_of(symbol)));
	assert_string_equal(item.schema, "ohlcv-1m");
	assert_true(item.bytes.len >= DBN_HEADER_BYTES);
	next_item(source, SOURCE_RECORD); /* and on it goes */
	next_item(source, SOURCE_END);
	source_freep(&source);
}

static void test_refused_records(void **state)
{
	int64_t ts = (int64_t)FILES_NOON + 60 * NS_PER_SECOND;

	(void)state;
	expect_dead(write_patched(4, 99, 4), "", ts, "no symbol to instrument id 99 on 2024-01-02");
	expect_dead(write_patched(48, UINT64_C(1) << 63, 8), "AAPL", ts, "volume 9223372036854775808 ");
	expect_dead(write_patched(8, UINT64_MAX, 8), "", 0, "ts_event 18446744073709551615 is undefined");
	expect_dead(write_patched(8, UINT64_C(1) << 63, 8), "", 0, "ts_event 9223372036854775808 is out of range");
	expect_dead(write_patched(8, 0, 8), "", 0, "on 1970-01-01");
}

static void test_wrong_length(void **state)
{
	struct dbn_metadata metadata = files_metadata();
	uint8_t records[DBN_OHLCV_BYTES + 8 + DBN_OHLCV_BYTES] = { 0 };

	(void)state;
	files_bar(records, 1);
	records[0] = 64 / 4;
	files_bar(records + 64, 2);
	expect_dead(files_write_records("long.dbn", &metadata, records, sizeof(records)), "AAPL",
		    (int64_t)FILES_NOON + 60 * NS_PER_SECOND, "64 bytes, ohlcv-1m has 56");
}

static void test_undefined_price(void **state)
{
	static const unsigned bits[] = { OHLCV_OPEN, OHLCV_HIGH, OHLCV_LOW, OHLCV_CLOSE };

	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		struct source *source = open_file(write_patched(16 + 8 * i, INT64_MAX, 8));
		struct source_item item = next_item(source, SOURCE_RECORD);
		const struct ohlcv *bar = item.record;

		assert_int_equal(bar->present, OHLCV_PRESENT & ~(UINT64_C(1) << bits[i]));
		next_item(source, SOURCE_RECORD);
		assert_int_equal(bar->present, OHLCV_PRESENT);
		source_freep(&source);
	}
}

/* Records of other types are no data here, whatever they are. */
static void test_skipped(void **state)
{
	static const uint8_t rtypes[] = { 0x17, 0x20, 0x22, 0x24, 0xA0 };

	(void)state;
	for (size_t i = 0; i < sizeof(rtypes); i++) {
		struct source *source = open_file(write_patched(1, rtypes[i], 1));

		next_item(source, SOURCE_SKIPPED);
		next_item(source, SOURCE_RECORD);
		next_item(source, SOURCE_END);
		source_freep(&source);
	}
}

static void test_tasks(void **state)
{
	struct dbn_metadata metadata = files_metadata();
	char *bars = strdup(files_write_bars("bars.dbn", 1));
	struct fetch_task task = { .source = (char *)"file", .path = bars };
	struct source *source = NULL;
	struct err err = ERR_INIT;

	(void)state;
	task.dataset = (char *)"XNAS.ITCH";
	task.schema = (char *)"ohlcv-1m";
	assert_int_equal(file_source_open(&source, &task, &err), 0);
	source_freep(&source);
	task.dataset = (char *)"GLBX.MDP3";
	expect_refused(&task, "dataset is XNAS.ITCH, the task's is GLBX.MDP3");
	task.dataset = (char *)"";
	task.schema = (char *)"ohlcv-1d";
	expect_refused(&task, "schema is ohlcv-1m, the task's is ohlcv-1d");
	task.schema = (char *)"";
	metadata.schema = 0;
	task.path = (char *)files_write_records("mbo.dbn", &metadata, "", 0);
	expect_refused(&task, "schema mbo cannot be loaded");
	metadata.schema = 99;
	task.path = (char *)files_write_records("new.dbn", &metadata, "", 0);
	expect_refused(&task, "schema 99 cannot be loaded");
	task.path = (char *)files_path("absent.dbn");
	expect_refused(&task, "No such file");
	task.path = files_dir;
	expect_refused(&task, "directory");
	task.path = NULL;
	expect_refused(&task, "no path");
	task.path = (char *)files_path("fifo");
	assert_int_equal(mkfifo(task.path, 0600), 0);
	expect_refused(&task, "not a regular file");
	task.source = (char *)"tape";
	expect_refused(&task, "source 'tape' is not known (known: file, databento, kafka)");
	free(bars);
}

static void test_identity(void **state)
{
	const char *path = files_write_bars("bars.dbn", 2);
	struct source *first = open_file(path), *second = open_file(path);
	struct stat st;
	char text[96];

	(void)state;
	assert_string_equal(source_identity(first), source_identity(second));
	assert_int_equal(stat(path, &st), 0);
	snprintf(text, sizeof(text), "%ju:%ju:%jd:%jd", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino,
		 (intmax_t)st.st_size, (intmax_t)(st.st_mtim.tv_sec * NS_PER_SECOND + st.st_mtim.tv_nsec));
	assert_string_equal(source_identity(first), text);
	source_freep(&second);
	second = open_file(files_write_bars("bars.dbn", 3)); /* another file under the same name */
	assert_string_not_equal(source_identity(first), source_identity(second));
	next_item(first, SOURCE_RECORD); /* the open one is still the old one */
	next_item(first, SOURCE_RECORD);
	next_item(first, SOURCE_END);
	source_freep(&first);
	source_freep(&second);
}

static void test_cut(void **state)
{
	struct buf file = files_read(files_write_bars("bars.dbn", 3));
	const char *path = files_path("cut.dbn");
	struct source_item item;
	struct err err = ERR_INIT;
	struct source *source;

	(void)state;
	files_write(path, file.data, file.len - 10);
	source = open_file(path);
	next_item(source, SOURCE_RECORD);
	next_item(source, SOURCE_RECORD);
	assert_int_equal(source_next(source, &item, &err), -1);
	assert_int_equal(err.kind, ERR_RECORD);
	assert_contains(err.text, "record 3 at byte offset");
	source_freep(&source);
	buf_release(&file);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_records),      cmocka_unit_test(test_refused_records),
		cmocka_unit_test(test_wrong_length), cmocka_unit_test(test_undefined_price),
		cmocka_unit_test(test_skipped),      cmocka_unit_test(test_tasks),
		cmocka_unit_test(test_identity),     cmocka_unit_test(test_cut),
	};

	return cmocka_run_group_tests(tests, files_setup, files_teardown);
}

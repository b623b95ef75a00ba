#include "tests/unit/dbn_files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "ops/cli/decode.h"

/* Runs the command in a process of its own, as it writes to standard output and may end by a signal. */
static int run(const char *argument, const char *path, int out)
{
	char *argv[] = { (char *)"decode", (char *)(argument ? argument : path), (char *)(argument ? path : NULL),
			 NULL };
	int argc = !argv[1] ? 1 : argv[2] ? 3 : 2, status;
	pid_t pid;

	fflush(NULL);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		dup2(out, STDOUT_FILENO);
		freopen(files_path("stderr"), "w", stderr);
		status = command_decode(argc, argv);
		fflush(NULL);
		_exit(status);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static int run_to_file(const char *argument, const char *path)
{
	int out = open(files_path("stdout"), O_WRONLY | O_CREAT | O_TRUNC, 0600), status;

	assert_true(out >= 0);
	status = run(argument, path, out);
	close(out);
	return status;
}

static void expect_text(const char *name, const char *text)
{
	struct buf got = files_read(files_path(name));

	assert_string_equal(buf_text(&got), text);
	buf_release(&got);
}

static void expect_part(const char *name, const char *part)
{
	struct buf got = files_read(files_path(name));

	assert_contains(buf_text(&got), part);
	buf_release(&got);
}

static void test_bars(void **state)
{
	(void)state;
	assert_int_equal(run_to_file(NULL, files_write_bars("bars.dbn.zst", 2)), 0);
	expect_text("stdout",
		    "{\"ts_event\":\"2024-01-02T12:00:00.000000000Z\",\"rtype\":33,\"publisher_id\":2,"
		    "\"instrument_id\":1,\"symbol\":\"AAPL\",\"schema\":\"ohlcv-1m\",\"open\":\"101.25\","
		    "\"high\":\"102\",\"low\":\"100.500000001\",\"close\":\"101\",\"volume\":306}\n"
		    "{\"ts_event\":\"2024-01-02T12:01:00.000000000Z\",\"rtype\":33,\"publisher_id\":2,"
		    "\"instrument_id\":1,\"symbol\":\"AAPL\",\"schema\":\"ohlcv-1m\",\"open\":\"101.250000001\","
		    "\"high\":\"102\",\"low\":\"100.500000001\",\"close\":\"101\",\"volume\":306}\n");
	expect_text("stderr", "");
}

static void test_nulls(void **state)
{
	struct dbn_metadata metadata = files_metadata();
	struct dbn_record header = { .rtype = DBN_OHLCV_1D, .ts_event = UINT64_MAX, .instrument_id = 9 };
	struct dbn_ohlcv bar = { INT64_MAX, -37630000000, INT64_MIN, 0, UINT64_MAX };
	uint8_t record[DBN_OHLCV_BYTES];

	(void)state;
	dbn_put_ohlcv(record, &header, &bar);
	assert_int_equal(run_to_file(NULL, files_write_records("n.dbn", &metadata, record, sizeof(record))), 0);
	expect_text("stdout", "{\"ts_event\":null,\"rtype\":35,\"publisher_id\":0,\"instrument_id\":9,\"symbol\":null,"
			      "\"schema\":\"ohlcv-1d\",\"open\":null,\"high\":\"-37.63\","
			      "\"low\":\"-9223372036.854775808\",\"close\":\"0\",\"volume\":18446744073709551615}\n");
}

/* What cannot be read by its type is shown as it is, and named. */
static void test_bad_records(void **state)
{
	static const uint8_t records[] = { 5, 0x17, 1, 0,    2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x80, 0xDE, 0xAD,
					   0, 0xFF, 4, 0x99, 1, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0,    0,    0 };
	struct dbn_metadata metadata = files_metadata();

	(void)state;
	assert_int_equal(run_to_file(NULL, files_write_records("o.dbn", &metadata, records, sizeof(records))), 1);
	expect_text("stdout", "{\"ts_event\":9223372036854775808,\"rtype\":23,\"publisher_id\":1,"
			      "\"instrument_id\":2,\"hex\":\"dead00ff\"}\n"
			      "{\"ts_event\":\"1970-01-01T00:00:00.000000000Z\",\"rtype\":153,\"publisher_id\":1,"
			      "\"instrument_id\":2,\"hex\":\"\"}\n");
	expect_part("stderr", "o.dbn: record 1 at byte offset 664: 20 bytes, system has 320\n");
	expect_part("stderr", "o.dbn: record 2 at byte offset 684: record type 0x99 is not known\n");
	expect_part("stderr", "o.dbn: 2 bad records\n");
}

static void test_metadata(void **state)
{
	(void)state;
	assert_int_equal(run_to_file("--metadata", files_write_bars("bars.dbn", 2)), 0);
	expect_text("stdout",
		    "{\"dataset\":\"XNAS.ITCH\",\"schema\":\"ohlcv-1m\",\"version\":3,"
		    "\"start\":\"2024-01-02T00:00:00.000000000Z\",\"end\":\"2024-01-05T00:00:00.000000000Z\","
		    "\"limit\":null,\"stype_in\":\"raw_symbol\",\"stype_out\":\"instrument_id\",\"ts_out\":false,"
		    "\"symbols\":[\"AAPL\",\"MSFT\"],\"partial\":[],\"not_found\":[],\"mappings\":["
		    "{\"raw_symbol\":\"AAPL\",\"intervals\":["
		    "{\"start_date\":\"2024-01-02\",\"end_date\":\"2024-01-04\",\"symbol\":\"1\"},"
		    "{\"start_date\":\"2024-01-04\",\"end_date\":\"2024-01-05\",\"symbol\":\"2\"}]},"
		    "{\"raw_symbol\":\"MSFT\",\"intervals\":["
		    "{\"start_date\":\"2024-01-02\",\"end_date\":\"2024-01-04\",\"symbol\":\"2\"}]}]}\n");
}

/* What stands before the damage is printed. */
static void test_cut(void **state)
{
	struct buf file = files_read(files_write_bars("bars.dbn", 2));
	const char *path = files_path("cut.dbn");

	(void)state;
	files_write(path, file.data, file.len - 1);
	assert_int_equal(run_to_file(NULL, path), 1);
	expect_part("stdout", "\"2024-01-02T12:00:00.000000000Z\"");
	expect_part("stderr", "penstock decode: /");
	expect_part("stderr", "cut.dbn: record 2 at byte offset ");
	buf_release(&file);
}

static void test_arguments(void **state)
{
	(void)state;
	assert_int_equal(run_to_file(NULL, NULL), 2);
	expect_part("stderr", "penstock decode: no file named");
	assert_int_equal(run_to_file("--meta-data", "x"), 2);
	expect_part("stderr", "penstock decode: unknown option '--meta-data'");
	assert_int_equal(run_to_file("--help", NULL), 0);
	expect_part("stdout", "usage: penstock decode");
	assert_int_equal(run_to_file(NULL, files_path("absent")), 1);
	expect_part("stderr", "absent: No such file");
}

static void test_output(void **state)
{
	const char *path = files_write_bars("many.dbn", 5000);
	int ends[2], full = open("/dev/full", O_WRONLY | O_CLOEXEC);

	(void)state;
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	close(ends[0]);
	assert_int_equal(run(NULL, path, ends[1]), 0); /* as with `| head` */
	expect_text("stderr", "");
	close(ends[1]);
	if (full < 0)
		return;
	assert_int_equal(run(NULL, path, full), 1);
	expect_part("stderr", "penstock decode: standard output: No space left");
	close(full);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bars),     cmocka_unit_test(test_nulls), cmocka_unit_test(test_bad_records),
		cmocka_unit_test(test_metadata), cmocka_unit_test(test_cut),   cmocka_unit_test(test_arguments),
		cmocka_unit_test(test_output),
	};

	return cmocka_run_group_tests(tests, files_setup, files_teardown);
}

/* csv, text_lines */
#include "tests/unit/dbn_files.h"

#include <zlib.h>
#include <zstd.h>

#include "stages/fetcher/formats/csv.h"

static const char *write_text(const char *text, size_t n)
{
	const char *path = files_path("x.csv");

	files_write(path, text, n);
	return path;
}

static void open_csv(struct csv *csv, const char *path)
{
	struct err err = ERR_INIT;

	*csv = (struct csv)CSV_INIT;
	if (text_lines_open(&csv->lines, path, &err))
		fail_msg("%s", err.text);
}

/* Fields between brackets, records on lines, spoilt ones as "!". */
static void read_all(const char *text, size_t n, struct buf *out)
{
	struct csv csv;
	struct err err = ERR_INIT;
	int got;

	open_csv(&csv, write_text(text, n));
	buf_reset(out);
	while ((got = csv_next(&csv, &err)) > 0) {
		for (unsigned i = 0; i < csv.count; i++)
			buf_printf(out, "[%.*s]", STR_ARG(csv.fields[i]));
		buf_put_text(out, csv.fault ? "!\n" : "\n");
	}
	assert_int_equal(got, 0);
	assert_int_equal(csv_next(&csv, &err), 0);
	csv_release(&csv);
}

static void expect(const char *text, const char *records)
{
	struct buf out = BUF_INIT(1 << 20);

	read_all(text, strlen(text), &out);
	assert_string_equal(buf_text(&out), records);
	buf_release(&out);
}

static void test_records(void **state)
{
	(void)state;
	expect("a,b\n1,2\n", "[a][b]\n[1][2]\n");
	expect("a,b\r\n1,2\r\n", "[a][b]\n[1][2]\n");
	expect("a,b\n1,2", "[a][b]\n[1][2]\n");
	expect("\xEF\xBB\xBF"
	       "a,b\n",
	       "[a][b]\n");
	expect("\n\r\na\n\n\nb\n\n", "[a]\n[b]\n");
	expect(",\n,,\n", "[][]\n[][][]\n");
	expect("a b, c \n", "[a b][ c ]\n");
	expect("a\rb,c\n", "[a\rb][c]\n");
	expect("\n", "");
}

static void test_quotes(void **state)
{
	(void)state;
	expect("\"a\",\"b,c\",d\n", "[a][b,c][d]\n");
	expect("\"a\"\"b\",\"\",\"\"\"\"\n", "[a\"b][][\"]\n");
	expect("\"a\nb\",c\r\n\"d\r\n\r\ne\"\r\nf\n", "[a\nb][c]\n[d\r\n\r\ne]\n[f]\n");
	expect("a\"b,c\"\n", "[a\"b][c\"]\n");
	expect("\"a\"", "[a]\n");
	expect("\"a\",", "[a][]\n");
	/* spoilt: one line each */
	expect("\"a\"b,c\nd\n", "!\n[d]\n");
	expect("\"a,b\nc,d\n", "!\n[c][d]\n");
	expect("x\n\"a", "[x]\n!\n");
	expect("\"a\nb\"c\nd,\"e\"\n", "!\n[b\"c]\n[d][e]\n");
}

/* A line may be as long as the maximum, no longer; what follows is read, wherever the window ends. */
static void test_long_lines(void **state)
{
	static const size_t lengths[] = { TEXT_LINE_MAX - 2, TEXT_LINE_MAX - 1, TEXT_LINE_MAX,
					  TEXT_LINE_MAX + 1, 3 * TEXT_LINE_MAX, 1000000 };

	(void)state;
	for (unsigned i = 0; i < 6; i++) {
		char *text = malloc(lengths[i] + 16);
		struct csv csv;
		struct err err = ERR_INIT;

		assert_non_null(text);
		memset(text, 'x', lengths[i] + 16);
		memcpy(text, "1\n2\n", 4);
		memcpy(text + 4 + lengths[i], "\n3\n", 3);
		open_csv(&csv, write_text(text, lengths[i] + 7));
		assert_int_equal(csv_next(&csv, &err), 1);
		assert_int_equal(csv_next(&csv, &err), 1);
		assert_int_equal(csv_next(&csv, &err), 1);
		assert_int_equal(csv.lines.offset, 4);
		assert_int_equal(csv.fault != NULL, lengths[i] + 1 > TEXT_LINE_MAX);
		assert_int_equal(csv_next(&csv, &err), 1);
		assert_int_equal(csv.count, 1);
		assert_int_equal(csv.lines.offset, 4 + lengths[i] + 1);
		assert_true(str_eq(csv.fields[0], STR_LIT("3")));
		assert_int_equal(csv_next(&csv, &err), 0);
		assert_int_equal(csv.records, 4);
		csv_release(&csv);
		free(text);
	}
}

/* A quote that never ends costs its line, and no more time than the file is long. */
static void test_quote_without_end(void **state)
{
	struct buf text = BUF_INIT(16 << 20);
	struct csv csv;
	struct err err = ERR_INIT;
	unsigned spoilt = 0;

	(void)state;
	for (unsigned i = 0; i < 200000; i++)
		buf_put_text(&text, i % 5000 == 7 ? "\"1,2,3\n" : "1,2,3,\"4\"\"4\"\n");
	open_csv(&csv, write_text((const char *)text.data, text.len));
	while (csv_next(&csv, &err) > 0)
		if (csv.fault)
			spoilt++;
		else
			assert_true(csv.count == 4);
	assert_true(csv.records > 100000);
	assert_true(spoilt >= 40);
	csv_release(&csv);
	buf_release(&text);
}

static void test_many_fields(void **state)
{
	char text[2 * CSV_FIELDS_MAX + 8];
	struct buf out = BUF_INIT(1 << 20);

	(void)state;
	for (unsigned i = 0; i < CSV_FIELDS_MAX; i++)
		memcpy(text + (size_t)i * 2, "1,", 2);
	memcpy(text + (size_t)2 * CSV_FIELDS_MAX - 1, "\nx\n", 3);
	read_all(text, (size_t)2 * CSV_FIELDS_MAX + 2, &out);
	assert_int_equal(out.data[out.len - 5], '\n');
	assert_contains(buf_text(&out), "[1]\n[x]");
	memcpy(text + (size_t)2 * CSV_FIELDS_MAX - 1, ",1\nx\n", 5);
	read_all(text, (size_t)2 * CSV_FIELDS_MAX + 4, &out);
	assert_string_equal(buf_text(&out), "!\n[x]\n");
	buf_release(&out);
}

/* As a file cut in a zstd frame: what came before is given, then the failure. */
static void test_cut_zstd(void **state)
{
	char text[20000], packed[20000];
	struct csv csv;
	struct err err = ERR_INIT;
	unsigned records = 0;
	uint64_t seed = 1;
	size_t n;
	int got;

	(void)state;
	for (size_t i = 0; i < sizeof(text); i++) {
		seed = seed * 6364136223846793005u + 1442695040888963407u;
		text[i] = i % 10 == 9 ? '\n' : (char)('a' + (seed >> 60));
	}
	n = ZSTD_compress(packed, sizeof(packed), text, sizeof(text), 3);
	assert_false(ZSTD_isError(n));
	open_csv(&csv, write_text(packed, n));
	while ((got = csv_next(&csv, &err)) > 0)
		records++;
	assert_int_equal(got, 0);
	assert_int_equal(records, sizeof(text) / 10);
	csv_release(&csv);
	open_csv(&csv, write_text(packed, n - 5));
	while ((got = csv_next(&csv, &err)) > 0)
		assert_int_equal(csv.fields[0].len, 9); /* never a part of a line */
	assert_int_equal(got, -1);
	assert_int_equal(err.kind, ERR_RECORD);
	assert_contains(err.text, "cut short");
	csv_release(&csv);
}

/* Two members in one file, then one that is cut, corrupt, or followed by something else. */
static void test_gzip(void **state)
{
	const char *path = files_path("x.csv.gz");
	struct buf packed;
	struct csv csv;
	struct err err = ERR_INIT;

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		gzFile gz = gzopen(path, i ? "ab" : "wb");

		assert_non_null(gz);
		assert_int_equal(gzputs(gz, i ? "3,4\n5,6\n" : "1,2\n"), i ? 8 : 4);
		assert_int_equal(gzclose(gz), Z_OK);
	}
	open_csv(&csv, path);
	while (csv_next(&csv, &err) > 0)
		assert_int_equal(csv.fields[1].data[0], '0' + 2 * csv.records);
	assert_int_equal(err.kind, ERR_OK);
	assert_int_equal(csv.records, 3);
	packed = files_read(path);
	assert_int_equal(byte_stream_input_bytes(&csv.lines.stream), packed.len);
	csv_release(&csv);
	for (unsigned i = 0; i < 3; i++) {
		files_write(path, packed.data, packed.len - (i == 0 ? 6 : 0));
		if (i > 0) {
			packed.data[packed.len - (i == 1 ? 8 : 1)] ^= 0x55; /* CRC, length */
			files_write(path, packed.data, packed.len);
		}
		open_csv(&csv, path);
		while (csv_next(&csv, &err) > 0)
			;
		assert_int_equal(err.kind, ERR_RECORD);
		assert_contains(err.text, i == 0 ? "gzip stream cut short" : "gzip stream corrupt");
		assert_int_equal(csv.records, 3);
		csv_release(&csv);
		err_clear(&err);
	}
	buf_release(&packed);
}

/* Any bytes: each is in one record or is a line's end, and it ends. */
static void test_noise(void **state)
{
	static const char alphabet[] = "\"\",,\n\n\r\rab\xff\0";
	uint64_t seed = 4711;

	(void)state;
	for (unsigned round = 0; round < 300; round++) {
		char text[400];
		struct csv csv;
		struct err err = ERR_INIT;
		size_t n = 1 + round, seen = 0;

		for (size_t i = 0; i < n; i++) {
			seed = seed * 6364136223846793005u + 1442695040888963407u;
			text[i] = alphabet[(seed >> 33) % (sizeof(alphabet) - 1)];
		}
		if (memcmp(text, "\xEF\xBB", 2) == 0)
			continue;
		open_csv(&csv, write_text(text, n));
		while (csv_next(&csv, &err) > 0) {
			assert_memory_equal(csv.lines.line.data, text + csv.lines.offset, csv.lines.line.len);
			assert_true(csv.lines.offset >= seen);
			for (; seen < csv.lines.offset; seen++)
				assert_true(text[seen] == '\n' || text[seen] == '\r');
			seen += csv.lines.line.len;
		}
		csv_release(&csv);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_records),     cmocka_unit_test(test_quotes),
		cmocka_unit_test(test_long_lines),  cmocka_unit_test(test_quote_without_end),
		cmocka_unit_test(test_many_fields), cmocka_unit_test(test_cut_zstd),
		cmocka_unit_test(test_gzip),        cmocka_unit_test(test_noise),
	};

	return cmocka_run_group_tests(tests, files_setup, files_teardown);
}

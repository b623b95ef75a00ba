#include "tests/unit/dbn_files.h"

#include <sys/stat.h>
#include <zstd.h>

#include "common/mem.h"
#include "stages/fetcher/formats/dbn_types.h"

#define PREFIX 8

static void put_le32(struct buf *file, size_t at, uint32_t value)
{
	value = htole32(value);
	assert_in_range(at + 4, 0, file->len);
	memcpy(file->data + at, &value, sizeof(value));
}

/* Opening, or reading on, ends with this kind of error, which names the path. */
static void expect_error(const char *path, enum err_kind kind, uint64_t records, const char *part)
{
	struct err err = ERR_INIT;
	uint64_t count;

	assert_int_equal(files_count(path, &count, &err), -1);
	assert_int_equal(err.kind, kind);
	assert_int_equal(count, records);
	assert_contains(err.text, path);
	assert_contains(err.text, part);
}

static void expect_records(const char *path, uint64_t records)
{
	struct err err = ERR_INIT;
	uint64_t count;

	if (files_count(path, &count, &err) != 0)
		fail_msg("%s", err.text);
	assert_int_equal(count, records);
}

static void expect_bytes_error(struct buf *file, uint64_t records, const char *part)
{
	const char *path = files_path("damaged");

	files_write(path, file->data, file->len);
	expect_error(path, ERR_RECORD, records, part);
}

/* --- what is there is read --------------------------------------------------------------------------------------- */

static void test_names(void **state)
{
	(void)state;
	assert_string_equal(dbn_schema_name(6), "ohlcv-1m");
	assert_string_equal(dbn_schema_name(19), "bbo-1m");
	assert_null(dbn_schema_name(20));
	assert_null(dbn_schema_name(UINT16_MAX));
	assert_int_equal(dbn_schema_number(STR_LIT("ohlcv-eod")), 13);
	assert_int_equal(dbn_schema_number(STR_LIT("ohlcv")), UINT16_MAX);
	assert_string_equal(dbn_stype_name(4), "parent");
	assert_null(dbn_stype_name(UINT8_MAX));
	assert_string_equal(dbn_ohlcv_schema(0x21), "ohlcv-1m");
	assert_string_equal(dbn_ohlcv_schema(0x24), "ohlcv-eod");
	assert_null(dbn_ohlcv_schema(0x11));
	assert_int_equal(dbn_ohlcv_rtype(8), 0x23);
	assert_int_equal(dbn_ohlcv_rtype(4), 0);
	assert_string_equal(dbn_type_of(0xA0)->name, "mbo");
	assert_null(dbn_type_of(0x99));
}

static void check_metadata(const struct dbn_metadata *m)
{
	assert_int_equal(m->version, 3);
	assert_true(str_eq(m->dataset, STR_LIT("XNAS.ITCH")));
	assert_int_equal(m->schema, 6);
	assert_int_equal(m->start, (uint64_t)DAY(2024, 1, 2) * NS_PER_DAY);
	assert_int_equal(m->end, (uint64_t)DAY(2024, 1, 5) * NS_PER_DAY);
	assert_int_equal(m->stype_in, DBN_STYPE_RAW_SYMBOL);
	assert_int_equal(m->stype_out, DBN_STYPE_INSTRUMENT_ID);
	assert_false(m->ts_out);
	assert_int_equal(m->symbol_count, 2);
	assert_true(str_eq(m->symbols[1], STR_LIT("MSFT")));
	assert_int_equal(m->partial_count, 0);
	assert_int_equal(m->not_found_count, 0);
	assert_int_equal(m->mapping_count, 2);
	assert_int_equal(m->mappings[0].interval_count, 2);
	assert_int_equal(m->mappings[0].intervals[1].start_day, DAY(2024, 1, 4));
	assert_true(str_eq(m->mappings[1].raw_symbol, STR_LIT("MSFT")));
	assert_int_equal(m->mappings[1].intervals[0].end_day, DAY(2024, 1, 4));
	assert_true(str_eq(m->mappings[1].intervals[0].symbol, STR_LIT("2")));
}

static void check_file(const char *path, uint64_t bars)
{
	struct dbn_reader *reader = NULL;
	struct err err = ERR_INIT;
	struct dbn_record record;
	struct dbn_ohlcv bar;
	uint64_t offset = 0, ts_out;
	struct stat st;

	assert_int_equal(dbn_open(&reader, path, &err), 0);
	check_metadata(dbn_metadata(reader));
	for (uint64_t i = 0; i < bars; i++) {
		assert_int_equal(dbn_next(reader, &record, &err), 1);
		assert_int_equal(record.number, i + 1);
		assert_true(i == 0 || record.byte_offset == offset + DBN_OHLCV_BYTES);
		offset = record.byte_offset;
		assert_int_equal(record.rtype, DBN_OHLCV_1M);
		assert_int_equal(record.publisher_id, 2);
		assert_int_equal(record.instrument_id, 1);
		assert_int_equal(record.ts_event, FILES_NOON + i * 60 * NS_PER_SECOND);
		assert_int_equal(record.bytes.len, DBN_OHLCV_BYTES);
		assert_true(dbn_ohlcv(reader, &record, &bar));
		assert_int_equal(bar.open, 101250000000 + (int64_t)i);
		assert_int_equal(bar.high, 102000000000);
		assert_int_equal(bar.low, 100500000001);
		assert_int_equal(bar.close, 101000000000);
		assert_int_equal(bar.volume, 306);
		assert_false(dbn_ts_out(reader, &record, &ts_out));
	}
	assert_int_equal(dbn_next(reader, &record, &err), 0);
	assert_int_equal(dbn_next(reader, &record, &err), 0);
	assert_int_equal(fstat(dbn_fd(reader), &st), 0);
	assert_int_equal(dbn_input_bytes(reader), st.st_size);
	dbn_freep(&reader);
}

/* More than the window holds, so that records straddle its edge. */
static void test_plain_and_zstd(void **state)
{
	static const uint64_t counts[] = { 0, 1, 2, 20000 };

	(void)state;
	for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
		check_file(files_write_bars("bars.dbn", counts[i]), counts[i]);
		check_file(files_write_bars("bars.dbn.zst", counts[i]), counts[i]);
	}
}

static void put_frame(struct buf *out, const uint8_t *bytes, size_t n)
{
	size_t bound = ZSTD_compressBound(n);
	uint8_t *room = buf_room(out, bound);
	size_t len;

	assert_non_null(room);
	len = ZSTD_compress(room, bound, bytes, n, 1);
	assert_false(ZSTD_isError(len));
	out->len += len;
}

static void test_zstd_frames(void **state)
{
	static const size_t pieces[] = { 1, 7, 100, 1000 };
	struct buf plain = files_read(files_write_bars("bars.dbn", 50));
	struct buf zstd = BUF_INIT(FILE_MAX_BYTES);
	const char *path = files_path("frames.dbn.zst");

	(void)state;
	for (size_t p = 0; p < sizeof(pieces) / sizeof(pieces[0]); p++) {
		buf_reset(&zstd);
		for (size_t i = 0; i < plain.len; i += pieces[p])
			put_frame(&zstd, plain.data + i, plain.len - i < pieces[p] ? plain.len - i : pieces[p]);
		files_write(path, zstd.data, zstd.len);
		check_file(path, 50);
	}
	buf_put(&zstd, "garbage", 7);
	files_write(path, zstd.data, zstd.len);
	expect_error(path, ERR_RECORD, 50, "record 51 at byte offset");
	buf_release(&zstd);
	buf_release(&plain);
}

static void test_ts_out(void **state)
{
	struct dbn_metadata metadata = files_metadata();
	uint8_t records[2 * (DBN_OHLCV_BYTES + DBN_TS_OUT_BYTES)] = { 0 };
	struct dbn_reader *reader = NULL;
	struct err err = ERR_INIT;
	struct dbn_record record;
	struct dbn_ohlcv bar;
	uint64_t ts_out;

	(void)state;
	metadata.ts_out = true;
	files_bar(records, 0);
	records[0] = (DBN_OHLCV_BYTES + DBN_TS_OUT_BYTES) / 4;
	records[DBN_OHLCV_BYTES] = 7;
	files_bar(records + 64, 1);
	assert_int_equal(dbn_open(&reader, files_write_records("t.dbn", &metadata, records, 64 + 56), &err), 0);
	assert_int_equal(dbn_next(reader, &record, &err), 1);
	assert_true(dbn_ohlcv(reader, &record, &bar));
	assert_true(dbn_ts_out(reader, &record, &ts_out));
	assert_int_equal(ts_out, 7);
	assert_int_equal(bar.volume, 306);
	assert_int_equal(dbn_next(reader, &record, &err), 1);
	assert_false(dbn_ohlcv(reader, &record, &bar)); /* without the eight bytes it is no bar of this file */
	dbn_freep(&reader);
}

/* Types of later versions step by their length. */
static void test_unknown_record(void **state)
{
	struct dbn_metadata metadata = files_metadata();
	uint8_t records[DBN_RECORD_MAX + DBN_HEADER_BYTES + DBN_OHLCV_BYTES] = { 255, 0x99 };
	struct dbn_reader *reader = NULL;
	struct err err = ERR_INIT;
	struct dbn_record record;
	struct dbn_ohlcv bar;

	(void)state;
	records[DBN_RECORD_MAX] = DBN_HEADER_BYTES / 4;
	files_bar(records + DBN_RECORD_MAX + DBN_HEADER_BYTES, 0);
	assert_int_equal(dbn_open(&reader, files_write_records("u.dbn", &metadata, records, sizeof(records)), &err), 0);
	assert_int_equal(dbn_next(reader, &record, &err), 1);
	assert_int_equal(record.rtype, 0x99);
	assert_int_equal(record.bytes.len, DBN_RECORD_MAX);
	assert_int_equal(dbn_next(reader, &record, &err), 1);
	assert_int_equal(record.bytes.len, DBN_HEADER_BYTES);
	assert_int_equal(dbn_next(reader, &record, &err), 1);
	assert_true(dbn_ohlcv(reader, &record, &bar));
	assert_int_equal(dbn_next(reader, &record, &err), 0);
	dbn_freep(&reader);
}

/* --- what is damaged is named ------------------------------------------------------------------------------------ */

static void test_no_file(void **state)
{
	struct err err = ERR_INIT;
	uint64_t count;

	(void)state;
	expect_error(files_path("absent.dbn"), ERR_RECORD, 0, "No such file");
	expect_error(files_dir, ERR_RECORD, 0, "directory");
	files_write(files_path("empty"), "", 0);
	expect_error(files_path("empty"), ERR_RECORD, 0, "empty");
	if (geteuid() == 0)
		return; /* root may read anything */
	assert_int_equal(chmod(files_path("empty"), 0), 0);
	assert_int_equal(files_count(files_path("empty"), &count, &err), -1);
	assert_int_equal(err.kind, ERR_RECORD);
	assert_int_equal(chmod(files_path("empty"), 0600), 0);
}

static void test_no_dbn(void **state)
{
	struct buf file = files_read(files_write_bars("bars.dbn", 1));
	uint8_t fragment[DBN_OHLCV_BYTES];

	(void)state;
	files_write(files_path("text"), "symbol,open\nAAPL,1\n", 19);
	expect_error(files_path("text"), ERR_RECORD, 0, "not 'DBN'");
	files_write(files_path("text"), "a", 1);
	expect_error(files_path("text"), ERR_RECORD, 0, "not 'DBN'");
	files_bar(fragment, 0);
	files_write(files_path("bars.frag"), fragment, sizeof(fragment));
	expect_error(files_path("bars.frag"), ERR_RECORD, 0, "fragment");
	files_write(files_path("bars.dbz"), "P*M\x18\x90\0\0\0DBZ\x01XNAS", 16);
	expect_error(files_path("bars.dbz"), ERR_RECORD, 0, "DBZ (version 0, byte offset 8)");
	for (unsigned version = 0; version < 256; version++) {
		char text[40];

		file.data[3] = (uint8_t)version;
		snprintf(text, sizeof(text), "DBN version %u ", version);
		if (version < 1 || version > DBN_VERSION)
			expect_bytes_error(&file, 0, text);
	}
	buf_release(&file);
}

/* A plain file shows no end, so a cut between two records cannot be seen; every other one is. */
static void test_cut_plain(void **state)
{
	struct buf file = files_read(files_write_bars("bars.dbn", 4));
	const char *path = files_path("cut.dbn");
	size_t metadata = file.len - (size_t)4 * DBN_OHLCV_BYTES;

	(void)state;
	for (size_t n = 1; n < file.len; n++) {
		size_t records = n < metadata ? 0 : (n - metadata) / DBN_OHLCV_BYTES;

		files_write(path, file.data, n);
		if (n >= metadata && (n - metadata) % DBN_OHLCV_BYTES == 0)
			expect_records(path, records);
		else
			expect_error(path, ERR_RECORD, records, "cut short");
	}
	files_write(path, file.data, file.len - 1);
	expect_error(path, ERR_RECORD, 3, "record 4 at byte offset");
	expect_error(path, ERR_RECORD, 3, "55 of 56 bytes");
	buf_release(&file);
}

static void test_cut_zstd(void **state)
{
	struct buf file = files_read(files_write_bars("bars.dbn.zst", 200));
	const char *path = files_path("cut.dbn.zst");
	struct err err;
	uint64_t count;

	(void)state;
	for (size_t n = 1; n < file.len; n++) {
		files_write(path, file.data, n);
		err = (struct err)ERR_INIT;
		assert_int_equal(files_count(path, &count, &err), -1);
		assert_int_equal(err.kind, ERR_RECORD);
		assert_contains(err.text, path);
		assert_contains(err.text, "byte");
	}
	files_write(path, file.data, file.len - 1); /* in the checksum */
	expect_error(path, ERR_RECORD, 200, "record 201 at byte offset");
	expect_error(path, ERR_RECORD, 200, "zstd stream cut short at byte");
	buf_release(&file);
}

/* Any flipped bit of a compressed file is an error, never other records. */
static void test_corrupt_zstd(void **state)
{
	struct buf file = files_read(files_write_bars("bars.dbn.zst", 200));
	const char *path = files_path("corrupt.dbn.zst");

	(void)state;
	for (size_t i = 0; i < file.len; i++)
		for (unsigned bit = 0; bit < 8; bit += 3) {
			struct err err = ERR_INIT;
			uint64_t count;

			file.data[i] ^= (uint8_t)(1 << bit);
			files_write(path, file.data, file.len);
			if (files_count(path, &count, &err) == 0)
				assert_int_equal(count, 200); /* a bit of the header that means nothing */
			else
				assert_contains(err.text, path);
			file.data[i] ^= (uint8_t)(1 << bit);
		}
	file.data[file.len / 2] ^= 0xFF;
	files_write(path, file.data, file.len);
	expect_error(path, ERR_RECORD, 0, "zstd stream corrupt at byte");
	buf_release(&file);
}

static void test_record_length(void **state)
{
	struct buf file = files_read(files_write_bars("bars.dbn", 3));
	size_t second = file.len - (size_t)2 * DBN_OHLCV_BYTES;

	(void)state;
	for (uint8_t words = 0; words < DBN_HEADER_BYTES / 4; words++) {
		file.data[second] = words;
		expect_bytes_error(&file, 1, "record 2 at byte offset");
	}
	file.data[second] = 255;
	expect_bytes_error(&file, 1, "112 of 1020 bytes");
	buf_release(&file);
}

/* Metadata of the file, at its offsets: fixed fields 8, counts 112, then what they count. */
static void test_metadata_counts(void **state)
{
	static const uint32_t absurd[] = { 100, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF };
	size_t symbols = 112, partial = symbols + 4 + 2 * 71, not_found = partial + 4, mappings = not_found + 4;
	size_t intervals = mappings + 4 + 71;
	const size_t places[] = { symbols, partial, not_found, mappings, intervals };
	struct buf file = files_read(files_write_bars("bars.dbn", 1));

	(void)state;
	for (size_t p = 0; p < sizeof(places) / sizeof(places[0]); p++)
		for (size_t i = 0; i < sizeof(absurd) / sizeof(absurd[0]); i++) {
			uint32_t good;

			memcpy(&good, file.data + places[p], sizeof(good));
			put_le32(&file, places[p], absurd[i]);
			expect_bytes_error(&file, 0, "do not fit into the");
			memcpy(file.data + places[p], &good, sizeof(good));
		}
	buf_release(&file);
}

static void test_metadata_fields(void **state)
{
	struct buf file = files_read(files_write_bars("bars.dbn", 1));
	size_t start_day = 112 + 4 + 142 + 4 + 4 + 4 + 71 + 4;

	(void)state;
	put_le32(&file, start_day, 20240230);
	expect_bytes_error(&file, 0, "20240230 is no date");
	put_le32(&file, start_day, 20240102);
	file.data[116] = 0xFF;
	expect_bytes_error(&file, 0, "not UTF-8");
	file.data[116] = 'A';
	put_le32(&file, 108, 1);
	expect_bytes_error(&file, 0, "schema definition");
	put_le32(&file, 108, 0);
	file.data[53] = 0; /* symbols of no bytes */
	expect_bytes_error(&file, 0, "symbols of 0 bytes");
	file.data[54] = 0xFF;
	expect_bytes_error(&file, 0, "symbols of 65280 bytes");
	file.data[53] = 71;
	file.data[54] = 0;
	put_le32(&file, 4, DBN_METADATA_MAX + 1);
	expect_bytes_error(&file, 0, "byte offset 4");
	put_le32(&file, 4, DBN_METADATA_MAX);
	expect_bytes_error(&file, 0, "cut short");
	buf_release(&file);
}

/* A block that says it is shorter than what it holds. */
static void test_metadata_length(void **state)
{
	struct buf file = files_read(files_write_bars("bars.dbn", 0));
	uint32_t padding = 8, length = (uint32_t)file.len - PREFIX;
	const char *path = files_path("short.dbn");
	struct err err = ERR_INIT;
	uint64_t count;

	(void)state;
	for (uint32_t n = 0; n + padding < length; n++) {
		put_le32(&file, 4, n);
		expect_bytes_error(&file, 0, "metadata is corrupt at byte offset");
	}
	for (size_t i = PREFIX; i < file.len; i++) /* whatever a byte says: an answer, and nothing read beyond */
		for (unsigned value = 0; value < 256; value += 51) {
			uint8_t good = file.data[i];

			put_le32(&file, 4, length);
			file.data[i] = (uint8_t)value;
			files_write(path, file.data, file.len);
			files_count(path, &count, &err);
			file.data[i] = good;
		}
	buf_release(&file);
}

/* --- symbols ----------------------------------------------------------------------------------------------------- */

static struct dbn_reader *open_mapped(const struct dbn_metadata *metadata)
{
	struct dbn_reader *reader = NULL;
	struct err err = ERR_INIT;

	assert_int_equal(dbn_open(&reader, files_write_records("mapped.dbn", metadata, "", 0), &err), 0);
	return reader;
}

static void expect_symbol(const struct dbn_reader *reader, uint32_t id, int32_t day, uint64_t in_day,
			  const char *symbol)
{
	struct str found = dbn_symbol(reader, id, (uint64_t)day * NS_PER_DAY + in_day);

	if (!str_eq(found, str_of(symbol)))
		fail_msg("%u: '%.*s', not '%s'", id, STR_ARG(found), symbol);
}

static void test_symbols(void **state)
{
	struct dbn_metadata metadata = files_metadata();
	struct dbn_reader *reader = open_mapped(&metadata);
	uint64_t last = NS_PER_DAY - 1;

	(void)state;
	for (unsigned again = 0; again < 2; again++) {
		expect_symbol(reader, 1, DAY(2024, 1, 1), last, "");
		expect_symbol(reader, 1, DAY(2024, 1, 2), 0, "AAPL");
		expect_symbol(reader, 2, DAY(2024, 1, 3), last, "MSFT");
		expect_symbol(reader, 2, DAY(2024, 1, 4), 0, "AAPL");
		expect_symbol(reader, 2, DAY(2024, 1, 2), 0, "MSFT");
		expect_symbol(reader, 1, DAY(2024, 1, 3), last, "AAPL");
		expect_symbol(reader, 1, DAY(2024, 1, 4), 0, "");
		expect_symbol(reader, 2, DAY(2024, 1, 5), 0, "");
		expect_symbol(reader, 3, DAY(2024, 1, 2), 0, "");
		assert_int_equal(dbn_symbol(reader, 1, DBN_UNDEF_TIMESTAMP).len, 0);
	}
	dbn_freep(&reader);
}

static void test_symbols_from_ids(void **state)
{
	struct dbn_interval intervals[] = { { DAY(2024, 1, 2), DAY(2024, 1, 3), STR_LIT("ESH4") },
					    { DAY(2024, 1, 3), DAY(2024, 1, 4), STR_LIT("") } };
	struct dbn_mapping mappings[] = { { STR_LIT("4294967295"), intervals, 2 } };
	struct dbn_metadata metadata = files_metadata();
	struct dbn_reader *reader;

	(void)state;
	metadata.mappings = mappings;
	metadata.mapping_count = 1;
	metadata.stype_in = DBN_STYPE_INSTRUMENT_ID;
	metadata.stype_out = DBN_STYPE_RAW_SYMBOL;
	reader = open_mapped(&metadata);
	expect_symbol(reader, UINT32_MAX, DAY(2024, 1, 2), 0, "ESH4");
	expect_symbol(reader, UINT32_MAX, DAY(2024, 1, 3), 0, "");
	dbn_freep(&reader);
}

/* Two requested names for one instrument; ids that are none. */
static void test_symbols_overlap(void **state)
{
	struct dbn_interval intervals[] = {
		{ DAY(2024, 1, 1), DAY(2024, 2, 1), STR_LIT("7") },
		{ DAY(2024, 1, 5), DAY(2024, 1, 6), STR_LIT("7") },
		{ DAY(2024, 1, 5), DAY(2024, 1, 6), STR_LIT("7") },
		{ DAY(2024, 1, 1), DAY(2024, 2, 1), STR_LIT("") },
		{ DAY(2024, 1, 1), DAY(2024, 2, 1), STR_LIT("4294967296") },
		{ DAY(2024, 1, 1), DAY(2024, 2, 1), STR_LIT("7x") },
	};
	struct dbn_mapping mappings[] = {
		{ STR_LIT("A"), intervals, 1 },     { STR_LIT("B"), intervals + 1, 1 },
		{ STR_LIT("C"), intervals + 2, 1 }, { STR_LIT("D"), intervals + 3, 1 },
		{ STR_LIT("E"), intervals + 4, 1 }, { STR_LIT("F"), intervals + 5, 1 },
	};
	struct dbn_metadata metadata = files_metadata();
	struct dbn_reader *reader;

	(void)state;
	metadata.mappings = mappings;
	metadata.mapping_count = 6;
	reader = open_mapped(&metadata);
	for (unsigned again = 0; again < 2; again++) {
		expect_symbol(reader, 7, DAY(2024, 1, 4), 0, "A");
		expect_symbol(reader, 7, DAY(2024, 1, 5), 0, "C");
		expect_symbol(reader, 7, DAY(2024, 1, 6), 0, "A");
		expect_symbol(reader, 0, DAY(2024, 1, 4), 0, "");
	}
	dbn_freep(&reader);
}

static void test_symbols_many(void **state)
{
	enum { SYMBOLS = 100000 };
	struct dbn_metadata metadata = files_metadata();
	struct dbn_interval *intervals = mem_zalloc(SYMBOLS, sizeof(*intervals));
	struct dbn_mapping *mappings = mem_zalloc(SYMBOLS, sizeof(*mappings));
	char(*texts)[12] = mem_zalloc(SYMBOLS, sizeof(*texts));
	struct dbn_reader *reader;

	(void)state;
	for (uint32_t i = 0; i < SYMBOLS; i++) {
		snprintf(texts[i], sizeof(texts[i]), "%u", i * 42941);
		intervals[i] = (struct dbn_interval){ DAY(2024, 1, 2), DAY(2024, 1, 3), str_of(texts[i]) };
		mappings[i] = (struct dbn_mapping){ str_of(texts[i]), &intervals[i], 1 };
	}
	metadata.mappings = mappings;
	metadata.mapping_count = SYMBOLS;
	reader = open_mapped(&metadata);
	for (uint32_t i = 0; i < SYMBOLS; i++)
		expect_symbol(reader, i * 42941, DAY(2024, 1, 2), 5, texts[i]);
	expect_symbol(reader, 1, DAY(2024, 1, 2), 5, "");
	dbn_freep(&reader);
	free(texts);
	free(mappings);
	free(intervals);
}

/* --- the vendor's own files -------------------------------------------------------------------------------------- */

struct golden {
	const char *file;
	uint16_t publisher_id;
	uint32_t instrument_id;
	const char *symbol;
	uint64_t ts_event;
	struct dbn_ohlcv bar;
	uint64_t records;
};

static const struct golden goldens[] = {
	{ "GLBX.MDP3/test_data.ohlcv-1m.dbn.zst",
	  1,
	  5482,
	  "ESH1",
	  UINT64_C(1609113600000000000),
	  { 3702750000000, 3704750000000, 3702500000000, 3704750000000, 306 },
	  4 },
	{ "GLBX.MDP3/test_data.ohlcv-1d.dbn.zst",
	  1,
	  5482,
	  "ESH1",
	  UINT64_C(1609113600000000000),
	  { 3702750000000, 3735000000000, 3697250000000, 3735000000000, 718174 },
	  1 },
	{ "EQUS.MINI/test_data.ohlcv-1d.dbn.zst",
	  95,
	  13340,
	  "QQQ",
	  UINT64_C(1679961600000000000),
	  { 307830000000, 308600000000, 304780000000, 307500000000, 3309022 },
	  1 },
	{ "XNAS.ITCH/test_data.ohlcv-1d.dbn.zst",
	  2,
	  6155,
	  "NVDA",
	  UINT64_C(1609113600000000000),
	  { 521000000000, 522860000000, 510540000000, 515600000000, 1424253 },
	  1 },
	{ "OPRA.PILLAR/test_data.ohlcv-1m.dbn.zst",
	  31,
	  16783963,
	  "AAPL  250221C00250000",
	  UINT64_C(1740061800000000000),
	  { 250000000, 380000000, 250000000, 330000000, 70 },
	  4 },
};

static void check_golden(const char *path, const struct golden *golden)
{
	struct dbn_reader *reader = NULL;
	struct err err = ERR_INIT;
	struct dbn_record record;
	struct dbn_ohlcv bar;

	assert_int_equal(dbn_open(&reader, path, &err), 0);
	assert_int_equal(dbn_next(reader, &record, &err), 1);
	assert_int_equal(record.publisher_id, golden->publisher_id);
	assert_int_equal(record.instrument_id, golden->instrument_id);
	assert_int_equal(record.ts_event, golden->ts_event);
	assert_true(str_eq(dbn_symbol(reader, record.instrument_id, record.ts_event), str_of(golden->symbol)));
	assert_true(dbn_ohlcv(reader, &record, &bar));
	assert_memory_equal(&bar, &golden->bar, sizeof(bar));
	dbn_freep(&reader);
	expect_records(path, golden->records);
}

static void test_samples(void **state)
{
	const char *samples = files_samples();
	char path[1024];

	(void)state;
	for (size_t i = 0; i < sizeof(goldens) / sizeof(goldens[0]); i++) {
		snprintf(path, sizeof(path), "%s/databento-python-tests/%s", samples, goldens[i].file);
		check_golden(path, &goldens[i]);
	}
	snprintf(path, sizeof(path), "%s/dbn-tests/test_data.ohlcv-1d.v3.dbn.zst", samples);
	expect_records(path, 0);
	snprintf(path, sizeof(path), "%s/dbn-tests/test_data.mbo.v3.dbn", samples);
	expect_records(path, 2);
	snprintf(path, sizeof(path), "%s/dbn-tests/test_data.ohlcv-1m.dbn", samples);
	expect_records(path, 2);
	snprintf(path, sizeof(path), "%s/dbn-tests/test_data.ohlcv-1m.v1.dbn.zst", samples);
	expect_records(path, 2);
	snprintf(path, sizeof(path), "%s/dbn-tests/test_data.ohlcv-1m.dbz", samples);
	expect_error(path, ERR_RECORD, 0, "DBZ");
	snprintf(path, sizeof(path), "%s/dbn-tests/test_data.definition.v3.dbn.frag.zst", samples);
	expect_error(path, ERR_RECORD, 0, "fragment");
	snprintf(path, sizeof(path), "%s/dbn-tests/multi-frame.definition.v1.dbn.frag.zst", samples);
	expect_error(path, ERR_RECORD, 0, "fragment");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),           cmocka_unit_test(test_plain_and_zstd),
		cmocka_unit_test(test_zstd_frames),     cmocka_unit_test(test_ts_out),
		cmocka_unit_test(test_unknown_record),  cmocka_unit_test(test_no_file),
		cmocka_unit_test(test_no_dbn),          cmocka_unit_test(test_cut_plain),
		cmocka_unit_test(test_cut_zstd),        cmocka_unit_test(test_corrupt_zstd),
		cmocka_unit_test(test_record_length),   cmocka_unit_test(test_metadata_counts),
		cmocka_unit_test(test_metadata_fields), cmocka_unit_test(test_metadata_length),
		cmocka_unit_test(test_symbols),         cmocka_unit_test(test_symbols_from_ids),
		cmocka_unit_test(test_symbols_overlap), cmocka_unit_test(test_symbols_many),
		cmocka_unit_test(test_samples),
	};

	return cmocka_run_group_tests(tests, files_setup, files_teardown);
}

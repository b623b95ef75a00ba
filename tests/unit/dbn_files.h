#pragma once
/* DBN files in a folder of the test's own, and their bytes to be damaged. Included by the tests of what reads them. */
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/buf.h"
#include "common/clock.h"
#include "ops/simulator/dbn_write.h"
#include "stages/fetcher/formats/dbn.h"

#define FILE_MAX_BYTES (256u * 1024u * 1024u)
#define DAY(y, m, d) clock_days((struct civil){ y, m, d })

static char files_dir[256];

static inline int files_setup(void **state)
{
	const char *tmp = getenv("TMPDIR");

	(void)state;
	snprintf(files_dir, sizeof(files_dir), "%s/penstock-unit-XXXXXX", tmp ? tmp : "/tmp");
	return mkdtemp(files_dir) ? 0 : -1;
}

static inline int files_remove(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static inline int files_teardown(void **state)
{
	(void)state;
	return nftw(files_dir, files_remove, 8, FTW_DEPTH | FTW_PHYS);
}

/* Good until the fourth call after this one. */
static inline const char *files_path(const char *name)
{
	static char paths[4][512];
	static unsigned next;
	char *path = paths[next++ % 4];

	snprintf(path, sizeof(paths[0]), "%s/%s", files_dir, name);
	return path;
}

static inline void files_write(const char *path, const void *bytes, size_t n)
{
	FILE *file = fopen(path, "wb");

	assert_non_null(file);
	assert_int_equal(fwrite(bytes, 1, n, file), n);
	assert_int_equal(fclose(file), 0);
}

/* The caller releases the buffer. */
static inline struct buf files_read(const char *path)
{
	struct buf buf = BUF_INIT(FILE_MAX_BYTES);
	FILE *file = fopen(path, "rb");
	uint8_t *room;
	size_t n;

	assert_non_null(file);
	do {
		room = buf_room(&buf, 65536);
		assert_non_null(room);
		n = fread(room, 1, 65536, file);
		buf.len += n;
	} while (n > 0);
	fclose(file);
	return buf;
}

/* AAPL is 1 on the 2nd and 3rd of January 2024, and 2 on the 4th; MSFT is 2 on the 2nd and 3rd. */
static inline struct dbn_metadata files_metadata(void)
{
	static struct dbn_interval intervals[3];
	static struct dbn_mapping mappings[2];
	static struct str symbols[2];

	intervals[0] = (struct dbn_interval){ DAY(2024, 1, 2), DAY(2024, 1, 4), STR_LIT("1") };
	intervals[1] = (struct dbn_interval){ DAY(2024, 1, 4), DAY(2024, 1, 5), STR_LIT("2") };
	intervals[2] = (struct dbn_interval){ DAY(2024, 1, 2), DAY(2024, 1, 4), STR_LIT("2") };
	mappings[0] = (struct dbn_mapping){ STR_LIT("AAPL"), intervals, 2 };
	mappings[1] = (struct dbn_mapping){ STR_LIT("MSFT"), intervals + 2, 1 };
	symbols[0] = STR_LIT("AAPL");
	symbols[1] = STR_LIT("MSFT");
	return (struct dbn_metadata){
		.dataset = STR_LIT("XNAS.ITCH"),
		.schema = 6,
		.start = (uint64_t)DAY(2024, 1, 2) * NS_PER_DAY,
		.end = (uint64_t)DAY(2024, 1, 5) * NS_PER_DAY,
		.stype_in = DBN_STYPE_RAW_SYMBOL,
		.stype_out = DBN_STYPE_INSTRUMENT_ID,
		.symbols = symbols,
		.symbol_count = 2,
		.mappings = mappings,
		.mapping_count = 2,
	};
}

#define FILES_NOON ((uint64_t)DAY(2024, 1, 2) * NS_PER_DAY + 12 * 3600 * (uint64_t)NS_PER_SECOND)

/* A one-minute bar of instrument 1, `minute` minutes after noon. */
static inline void files_bar(uint8_t bytes[DBN_OHLCV_BYTES], uint64_t minute)
{
	struct dbn_record header = {
		.rtype = DBN_OHLCV_1M,
		.publisher_id = 2,
		.instrument_id = 1,
		.ts_event = FILES_NOON + minute * 60 * NS_PER_SECOND,
	};
	struct dbn_ohlcv bar = { 101250000000 + (int64_t)minute, 102000000000, 100500000001, 101000000000, 306 };

	dbn_put_ohlcv(bytes, &header, &bar);
}

static inline const char *files_write_records(const char *name, const struct dbn_metadata *metadata,
					      const void *records, size_t n)
{
	const char *path = files_path(name);
	struct dbn_writer *writer = NULL;
	struct err err = ERR_INIT;
	int64_t bytes;

	assert_int_equal(dbn_writer_open(&writer, path, metadata, &err), 0);
	assert_int_equal(dbn_writer_put(writer, records, n, &err), 0);
	assert_int_equal(dbn_writer_close(&writer, &bytes, &err), 0);
	return path;
}

static inline const char *files_write_bars(const char *name, uint64_t count)
{
	struct dbn_metadata metadata = files_metadata();
	uint8_t *records = malloc(count * DBN_OHLCV_BYTES + 1);
	const char *path;

	assert_non_null(records);
	for (uint64_t i = 0; i < count; i++)
		files_bar(records + i * DBN_OHLCV_BYTES, i);
	path = files_write_records(name, &metadata, records, count * DBN_OHLCV_BYTES);
	free(records);
	return path;
}

/* Records up to the end, -1 with what came before in *ret_count. */
static inline int files_count(const char *path, uint64_t *ret_count, struct err *err)
{
	struct dbn_reader *reader = NULL;
	struct dbn_record record;
	int got = -1;

	*ret_count = 0;
	if (dbn_open(&reader, path, err) == 0)
		while ((got = dbn_next(reader, &record, err)) > 0)
			++*ret_count;
	dbn_freep(&reader);
	return got;
}

/* Where vendors' files are, or a skipped test. */
static inline const char *files_samples(void)
{
	static char path[512];
	const char *samples = getenv("PENSTOCK_SAMPLES");

	snprintf(path, sizeof(path), "%s/databento", samples ? samples : "../shared/samples");
	if (access(path, R_OK) != 0)
		skip();
	return path;
}

#define assert_contains(text, part) \
	do { \
		if (!strstr(text, part)) \
			fail_msg("'%s' does not contain '%s'", text, part); \
	} while (0)

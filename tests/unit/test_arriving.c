/* DBN that arrives in pieces of any size, with waits in between, is what it is as a file. */
#include "tests/unit/dbn_files.h"

#include <zstd.h>

#include "common/cleanup.h"
#include "stages/fetcher/formats/byte_stream.h"
#include "stages/fetcher/formats/format.h"

#define BARS 20000 /* more than the window holds */

struct pieces {
	struct buf bytes;
	size_t at, most;   /* bytes of a piece: 1 to most */
	unsigned calls;    /* every other one has nothing */
	const char *fails; /* what is wrong at the end; NULL: nothing */
};

static ssize_t take_piece(void *self, uint8_t *to, size_t n, struct err *failure)
{
	struct pieces *p = self;
	size_t piece = 1 + p->calls % p->most, left = p->bytes.len - p->at;

	if (p->calls++ % 2 == 0)
		return BYTE_INPUT_LATER;
	if (left == 0 && p->fails)
		err_set(failure, ERR_RETRY, "%s", p->fails);
	piece = piece < n ? piece : n;
	piece = piece < left ? piece : left;
	memcpy(to, p->bytes.data + p->at, piece);
	p->at += piece;
	return (ssize_t)piece;
}

/* Records until the end; -1 with the reason. Each LATER is asked again at once. */
static int64_t count_records(struct pieces *p, struct err *err)
{
	const struct byte_input input = { take_piece, p };
	CLEANUP(dbn_freep) struct dbn_reader *reader = dbn_new("the answer", &input);
	struct dbn_record record;
	enum dbn_step step;
	int64_t count = 0;

	do
		step = dbn_begin(reader, err);
	while (step == DBN_LATER);
	while (step == DBN_READ || step == DBN_LATER) {
		step = dbn_next(reader, &record, err);
		if (step != DBN_READ)
			continue;
		assert_int_equal(record.number, ++count);
		assert_int_equal(record.ts_event, FILES_NOON + (uint64_t)(count - 1) * 60 * NS_PER_SECOND);
	}
	return step == DBN_FAILED ? -1 : count;
}

static void release(struct pieces *p)
{
	buf_release(&p->bytes);
}

static size_t second_frame;

static void pack_zstd(struct buf *bytes)
{
	struct buf packed = BUF_INIT(FILE_MAX_BYTES);
	size_t half = bytes->len / 2, n;

	/* two frames */
	for (unsigned i = 0; i < 2; i++) {
		size_t from = i * half, len = i == 0 ? half : bytes->len - half;
		uint8_t *room = buf_room(&packed, ZSTD_compressBound(len));

		assert_non_null(room);
		n = ZSTD_compress(room, ZSTD_compressBound(len), bytes->data + from, len, 3);
		assert_false(ZSTD_isError(n));
		packed.len += n;
		second_frame = packed.len - n;
	}
	buf_release(bytes);
	*bytes = packed;
}

static struct pieces pieces_of(bool zstd, size_t most)
{
	struct pieces p = { .bytes = files_read(files_write_bars("bars.dbn", BARS)), .most = most };

	if (zstd)
		pack_zstd(&p.bytes);
	return p;
}

static void test_pieces(void **state)
{
	static const size_t sizes[] = { 1, 7, 56, 1000, 100000 };

	(void)state;
	for (unsigned zstd = 0; zstd < 2; zstd++)
		for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
			CLEANUP(release) struct pieces p = pieces_of(zstd, sizes[i]);
			struct err err = ERR_INIT;

			if (count_records(&p, &err) != BARS)
				fail_msg("pieces of up to %zu bytes: %s", sizes[i], err.text);
		}
}

static void expect_failure(struct pieces *p, enum err_kind kind, const char *said)
{
	struct err err = ERR_INIT;

	assert_int_equal(count_records(p, &err), -1);
	assert_int_equal(err.kind, kind);
	if (!strstr(err.text, said) || !strstr(err.text, "the answer"))
		fail_msg("'%s' does not say '%s'", err.text, said);
}

/* A cut within a record, within a frame, within the metadata, and before the first byte. */
static void test_cuts(void **state)
{
	(void)state;
	for (unsigned zstd = 0; zstd < 2; zstd++) {
		CLEANUP(release) struct pieces p = pieces_of(zstd, 1000);

		p.bytes.len -= 5;
		expect_failure(&p, ERR_RECORD, "cut short");
		p.bytes.len = 40;
		p.at = 0;
		expect_failure(&p, ERR_RECORD, "metadata");
		p.bytes.len = p.at = 0;
		expect_failure(&p, ERR_RECORD, "empty");
	}
}

static void test_failure_of_the_input(void **state)
{
	CLEANUP(release) struct pieces p = pieces_of(true, 1000);

	(void)state;
	p.bytes.len /= 2;
	p.fails = "connection reset";
	expect_failure(&p, ERR_RETRY, "connection reset");
}

static void test_corrupt(void **state)
{
	CLEANUP(release) struct pieces p = pieces_of(true, 1000);

	(void)state;
	p.bytes.data[second_frame] ^= 0xFF;
	expect_failure(&p, ERR_RECORD, "zstd");
}

/* As a format: items wait, and the metadata is there once the first record is. */
static void test_format(void **state)
{
	CLEANUP(release) struct pieces p = pieces_of(true, 100);
	const struct byte_input input = { take_piece, &p };
	const struct fetch_task task = { .dataset = "XNAS.ITCH", .schema = "ohlcv-1m" };
	CLEANUP(format_freep) struct format *format = NULL;
	struct source_item item = { .kind = SOURCE_LATER };
	struct err err = ERR_INIT;
	unsigned records = 0, waits = 0;

	(void)state;
	format_dbn_open_input(&format, "the answer", &input, &task);
	assert_null(format_dbn_metadata(format));
	while (item.kind != SOURCE_END) {
		assert_int_equal(format->ops->next(format, &item, &err), 0);
		waits += item.kind == SOURCE_LATER;
		if (item.kind == SOURCE_LATER || item.kind == SOURCE_END)
			continue;
		records++;
		assert_non_null(format_dbn_metadata(format));
		assert_int_equal(item.ts_index, item.ts_event);
		assert_int_equal(item.bytes.len, DBN_OHLCV_BYTES);
	}
	assert_int_equal(records, BARS);
	assert_true(waits > 100);
}

static void test_format_of_another_schema(void **state)
{
	CLEANUP(release) struct pieces p = pieces_of(false, 1000);
	const struct byte_input input = { take_piece, &p };
	const struct fetch_task task = { .dataset = "XNAS.ITCH", .schema = "trades" };
	CLEANUP(format_freep) struct format *format = NULL;
	struct source_item item = { .kind = SOURCE_LATER };
	struct err err = ERR_INIT;
	int outcome = 0;

	(void)state;
	format_dbn_open_input(&format, "the answer", &input, &task);
	while (outcome == 0 && item.kind == SOURCE_LATER)
		outcome = format->ops->next(format, &item, &err);
	assert_int_equal(outcome, -1);
	assert_non_null(strstr(err.text, "the task's is trades"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pieces),
		cmocka_unit_test(test_cuts),
		cmocka_unit_test(test_failure_of_the_input),
		cmocka_unit_test(test_corrupt),
		cmocka_unit_test(test_format),
		cmocka_unit_test(test_format_of_another_schema),
	};

	return cmocka_run_group_tests(tests, files_setup, files_teardown);
}

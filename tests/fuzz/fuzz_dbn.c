/* DBN, whole and in pieces: the same items, and each record survives the codec. First bytes: task's schema, piece. */
#include "tests/fuzz/fuzz.h"

#include "common/cleanup.h"
#include "stages/fetcher/formats/byte_stream.h"
#include "stages/fetcher/formats/format.h"

static const char *const schemas[] = {
	"", "ohlcv-1m", "ohlcv-1d", "trades", "tbbo", "statistics", "definition", "mbp-1"
};

static void read_all(struct fuzz_bytes bytes, size_t piece, const struct fetch_task *task, struct fuzz_items *ret)
{
	struct fuzz_pieces pieces = { .bytes = bytes, .piece = piece };
	const struct byte_input input = { fuzz_read_piece, &pieces };
	CLEANUP(format_freep) struct format *format = NULL;

	ret->count = 0;
	ret->outcome = 0;
	err_clear(&ret->err);
	format_dbn_open_input(&format, "the input", &input, task);
	fuzz_read_items(format, ret);
}

/* A corrupt frame may take with it what one step of its decoder had: what came before that is the same. */
static void check_same(const struct fuzz_items *a, const struct fuzz_items *b)
{
	unsigned both = a->count < b->count ? a->count : b->count;

	FUZZ_CHECK(memcmp(a->hashes, b->hashes, both * sizeof(a->hashes[0])) == 0);
	if (a->count < FUZZ_ITEMS_MAX && b->count < FUZZ_ITEMS_MAX)
		FUZZ_CHECK(a->outcome == b->outcome && (a->outcome || a->count == b->count));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct fuzz_items whole, pieces;
	struct fuzz_bytes bytes = { data, size };
	struct fetch_task task = { .dataset = (char *)"", .schema = (char *)FUZZ_CHOOSE(&bytes, schemas) };
	size_t piece = (size_t)fuzz_take(&bytes) + 1;

	read_all(bytes, 0, &task, &whole);
	read_all(bytes, piece * piece, &task, &pieces);
	check_same(&whole, &pieces);
	return 0;
}

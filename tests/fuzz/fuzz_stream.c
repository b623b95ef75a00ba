/* zstd, gzip and plain bytes, whole and in pieces: the same bytes come out. First bytes: piece, what is asked for. */
#include "tests/fuzz/fuzz.h"

#include "common/cleanup.h"
#include "stages/fetcher/formats/byte_stream.h"

#define OUTPUT_MAX (64 * 1024 * 1024)  /* where a bomb has shown that it takes no memory */
#define COMPARED_MAX (4 * 1024 * 1024) /* how much is read twice */

struct output {
	uint64_t len, hash;
	struct err failure; /* ERR_OK: it ended properly */
};

static void take(struct byte_stream *stream, size_t n, struct output *output)
{
	FUZZ_CHECK(byte_stream_offset(stream) == output->len);
	output->hash = fuzz_hash(output->hash, byte_stream_at(stream), n);
	output->len += n;
	stream->pos += n;
}

static struct output read_all(struct fuzz_bytes bytes, size_t piece, size_t need)
{
	struct fuzz_pieces pieces = { .bytes = bytes, .piece = piece };
	const struct byte_input input = { fuzz_read_piece, &pieces };
	CLEANUP(byte_stream_release) struct byte_stream stream = BYTE_STREAM_INIT;
	struct output output = { .hash = FUZZ_HASH };
	size_t n;

	byte_stream_open_input(&stream, &input);
	do {
		n = byte_stream_need(&stream, need);
		if (n < need && stream.starved)
			continue;
		take(&stream, n, &output);
	} while ((n > 0 || stream.starved) && output.len < OUTPUT_MAX);
	FUZZ_CHECK(byte_stream_input_bytes(&stream) <= (int64_t)bytes.len);
	FUZZ_CHECK(n > 0 || stream.failure.kind != ERR_OK || byte_stream_input_bytes(&stream) == (int64_t)bytes.len);
	output.failure = stream.failure;
	return output;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_bytes bytes = { data, size };
	size_t piece = (size_t)fuzz_take(&bytes) + 1, need = ((size_t)fuzz_take(&bytes) << 8) + 1;
	struct output whole = read_all(bytes, 0, BYTE_STREAM_NEED_MAX), pieces;

	if (whole.len >= COMPARED_MAX)
		return 0;
	FUZZ_CHECK(whole.failure.kind == ERR_OK || whole.failure.kind == ERR_RECORD);
	pieces = read_all(bytes, piece, need);
	FUZZ_CHECK(pieces.failure.kind == whole.failure.kind);
	if (whole.failure.kind == ERR_OK)
		FUZZ_CHECK(whole.len == pieces.len && whole.hash == pieces.hash);
	return 0;
}

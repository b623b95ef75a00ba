#include "stages/fetcher/formats/byte_stream.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include "common/mem.h"

#define WINDOW_BYTES (256 * 1024)
#define INPUT_BYTES (128 * 1024)
#define GZIP_WINDOW_BITS (16 + 15) /* zlib: gzip only, the largest window */
#define ZSTD_WINDOW_LOG 27         /* 128 MiB: zstd's own limit for streams that do not say --long */

/* Errors of open() and read() that the path is to blame for; everything else may pass. */
static enum err_kind errno_kind(int error)
{
	switch (error) {
	case ENOENT:
	case ENOTDIR:
	case EISDIR:
	case EACCES:
	case EPERM:
	case ELOOP:
	case ENAMETOOLONG:
		return ERR_RECORD;
	default:
		return ERR_RETRY;
	}
}

static int set_errno(struct err *err, int error)
{
	return err_set(err, errno_kind(error), "%s", strerror(error));
}

static ssize_t read_fd(int fd, uint8_t *to, size_t n, struct err *failure)
{
	ssize_t got;

	do
		got = read(fd, to, n);
	while (got < 0 && errno == EINTR);
	if (got < 0)
		set_errno(failure, errno);
	return got < 0 ? 0 : got;
}

/* Fills up to n bytes at `to` with what can be had at once; 0: none, with the reason kept. */
static size_t read_input(struct byte_stream *stream, uint8_t *to, size_t n)
{
	const struct byte_input *input = &stream->input;
	ssize_t got = input->read ? input->read(input->self, to, n, &stream->failure)
				  : read_fd(stream->fd, to, n, &stream->failure);

	stream->starved = got == BYTE_INPUT_LATER;
	stream->file_ended = got == 0;
	if (got <= 0)
		return 0;
	stream->file_bytes += got;
	return (size_t)got;
}

static void advance_plain(struct byte_stream *stream)
{
	stream->len += read_input(stream, stream->window + stream->len, WINDOW_BYTES - stream->len);
	stream->ended = stream->file_ended;
}

static void fail_packed(struct byte_stream *stream, const char *what)
{
	err_set(&stream->failure, ERR_RECORD, "%s stream %s at byte %" PRId64 " of the file",
		stream->zstd ? "zstd" : "gzip", what, byte_stream_input_bytes(stream));
	stream->ended = true;
}

/*
 * Compressed bytes to go on with. False: there are none now, or the stream
 * has ended, by a failure or behind its last frame. Within a frame the
 * decoder may have something left without any.
 */
static bool fill_input(struct byte_stream *stream)
{
	if (stream->in_pos == stream->in_len && !stream->file_ended) {
		stream->in_pos = 0;
		stream->in_len = read_input(stream, stream->in, INPUT_BYTES);
	}
	if (stream->starved)
		return stream->in_frame;
	stream->ended = stream->failure.kind != ERR_OK || (stream->in_pos == stream->in_len && !stream->in_frame);
	return !stream->ended;
}

/* What a step gave; a frame that does not go on is cut. */
static void take_output(struct byte_stream *stream, size_t len)
{
	if (!stream->ended && len == stream->len && stream->in_pos == stream->in_len && stream->file_ended &&
	    stream->in_frame)
		fail_packed(stream, "cut short");
	stream->len = len;
}

static void advance_gzip(struct byte_stream *stream)
{
	z_stream *z = stream->gzip;
	int outcome;

	if (!fill_input(stream))
		return;
	z->next_in = stream->in + stream->in_pos;
	z->avail_in = (uInt)(stream->in_len - stream->in_pos);
	z->next_out = stream->window + stream->len;
	z->avail_out = (uInt)(WINDOW_BYTES - stream->len);
	outcome = inflate(z, Z_NO_FLUSH);
	stream->in_pos = stream->in_len - z->avail_in;
	stream->in_frame = outcome != Z_STREAM_END;
	if (outcome == Z_STREAM_END)
		inflateReset(z); /* another member may follow */
	else if (outcome != Z_OK && outcome != Z_BUF_ERROR)
		fail_packed(stream, "corrupt");
	take_output(stream, WINDOW_BYTES - z->avail_out);
}

/* One step of decompression. Ends the stream on a failure, a cut frame, or the last frame's end. */
static void advance_zstd(struct byte_stream *stream)
{
	ZSTD_outBuffer out = { stream->window, WINDOW_BYTES, stream->len };
	ZSTD_inBuffer in;
	size_t hint;

	if (!fill_input(stream))
		return;
	in = (ZSTD_inBuffer){ stream->in, stream->in_len, stream->in_pos };
	hint = ZSTD_decompressStream(stream->zstd, &out, &in);
	stream->in_pos = in.pos;
	if (ZSTD_isError(hint)) {
		fail_packed(stream, "corrupt");
		err_wrap(&stream->failure, "%s", ZSTD_getErrorName(hint));
		return;
	}
	stream->in_frame = hint != 0;
	take_output(stream, out.pos);
}

int64_t byte_stream_input_bytes(const struct byte_stream *stream)
{
	size_t ahead = stream->in ? stream->in_len - stream->in_pos : byte_stream_left(stream);

	return stream->file_bytes - (int64_t)ahead;
}

static bool is_zstd(const uint8_t magic[4])
{
	static const uint8_t frame[] = { 0x28, 0xB5, 0x2F, 0xFD }, skippable[] = { 0x2A, 0x4D, 0x18 };

	return memcmp(magic, frame, sizeof(frame)) == 0 ||
	       ((magic[0] & 0xF0) == 0x50 && memcmp(magic + 1, skippable, sizeof(skippable)) == 0);
}

static bool is_gzip(const uint8_t magic[4])
{
	static const uint8_t member[] = { 0x1F, 0x8B, 0x08 };

	return memcmp(magic, member, sizeof(member)) == 0;
}

/* The first bytes are in the window: from now on they are compressed input. */
static void start_packed(struct byte_stream *stream)
{
	stream->in = mem_alloc(INPUT_BYTES);
	memcpy(stream->in, stream->window, stream->len);
	stream->in_len = stream->len;
	stream->len = 0;
	stream->ended = false;
}

static void start_gzip(struct byte_stream *stream)
{
	stream->gzip = mem_zalloc(1, sizeof(*stream->gzip));
	if (inflateInit2(stream->gzip, GZIP_WINDOW_BITS) != Z_OK)
		err_set(&stream->failure, ERR_RETRY, "no memory for a gzip decoder");
	start_packed(stream);
}

static void start_zstd(struct byte_stream *stream)
{
	size_t failed;

	stream->zstd = ZSTD_createDCtx();
	if (!stream->zstd) {
		err_set(&stream->failure, ERR_RETRY, "no memory for a zstd decoder");
		return;
	}
	failed = ZSTD_DCtx_setParameter(stream->zstd, ZSTD_d_windowLogMax, ZSTD_WINDOW_LOG);
	if (ZSTD_isError(failed))
		err_set(&stream->failure, ERR_FATAL, "zstd: %s", ZSTD_getErrorName(failed));
	start_packed(stream);
}

/* By the first bytes; false: they are not there yet. No more is read: they must fit into the input buffer. */
static bool tell(struct byte_stream *stream)
{
	size_t n;

	while (stream->len < BYTE_STREAM_HEAD_BYTES && !stream->file_ended) {
		n = read_input(stream, stream->window + stream->len, BYTE_STREAM_HEAD_BYTES - stream->len);
		if (stream->starved)
			return false;
		stream->len += n;
	}
	stream->told = true;
	if (stream->failure.kind == ERR_OK && stream->len == 0)
		err_set(&stream->failure, ERR_RECORD, "the file is empty");
	memcpy(stream->head, stream->window, stream->len);
	stream->head_len = stream->len;
	if (stream->len >= 4 && is_zstd(stream->window))
		start_zstd(stream);
	else if (stream->len >= 4 && is_gzip(stream->window))
		start_gzip(stream);
	stream->ended = stream->failure.kind != ERR_OK;
	return true;
}

size_t byte_stream_need(struct byte_stream *stream, size_t n)
{
	size_t left;

	stream->starved = false;
	if (!stream->told && !tell(stream))
		return 0;
	left = byte_stream_left(stream);
	if (left >= n || stream->ended)
		return left;
	memmove(stream->window, stream->window + stream->pos, left);
	stream->offset += stream->pos;
	stream->pos = 0;
	stream->len = left;
	while (stream->len < n && !stream->ended && !stream->starved) {
		if (stream->zstd)
			advance_zstd(stream);
		else if (stream->gzip)
			advance_gzip(stream);
		else
			advance_plain(stream);
	}
	return stream->len;
}

int byte_stream_open(struct byte_stream *stream, const char *path, struct err *err)
{
	struct stat st;

	*stream = (struct byte_stream)BYTE_STREAM_INIT;
	stream->fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (stream->fd < 0 || fstat(stream->fd, &st) != 0)
		return set_errno(err, errno);
	if (S_ISDIR(st.st_mode))
		return set_errno(err, EISDIR);
	posix_fadvise(stream->fd, 0, 0, POSIX_FADV_SEQUENTIAL);
	stream->window = mem_alloc(WINDOW_BYTES);
	tell(stream);
	if (stream->failure.kind != ERR_OK)
		return *err = stream->failure, -1;
	return 0;
}

void byte_stream_open_input(struct byte_stream *stream, const struct byte_input *input)
{
	*stream = (struct byte_stream)BYTE_STREAM_INIT;
	stream->input = *input;
	stream->window = mem_alloc(WINDOW_BYTES);
}

void byte_stream_release(struct byte_stream *stream)
{
	ZSTD_freeDCtx(stream->zstd);
	if (stream->gzip)
		inflateEnd(stream->gzip);
	free(stream->gzip);
	free(stream->in);
	free(stream->window);
	if (stream->fd >= 0)
		close(stream->fd);
	*stream = (struct byte_stream)BYTE_STREAM_INIT;
}

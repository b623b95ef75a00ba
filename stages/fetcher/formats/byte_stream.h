#pragma once
/*
 * What every format reads from: the bytes of a file, or of an answer that is
 * still arriving, through one fixed window, decompressed where they are zstd
 * or gzip (told by their magic; several frames or members may follow each
 * other). A failure, such as a corrupt frame, is kept until what came before
 * it has been read.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/err.h"

#define BYTE_STREAM_NEED_MAX 65536 /* bytes that byte_stream_need() can be asked for */
#define BYTE_STREAM_HEAD_BYTES 12

struct ZSTD_DCtx_s;
struct z_stream_s;

/* Bytes that come as they come. */
#define BYTE_INPUT_LATER (-1) /* none now */
struct byte_input {
	/* How many of up to n were put at `to`; 0: it has ended, properly or with the reason; BYTE_INPUT_LATER. */
	ssize_t (*read)(void *self, uint8_t *to, size_t n, struct err *failure);
	void *self;
};

struct byte_stream {
	int fd;
	struct byte_input input;  /* instead of fd, where it has a function */
	bool told;                /* what it is compressed with */
	bool starved;             /* the last byte_stream_need() got less for want of input: later there may be more */
	bool file_ended;          /* read() said so */
	bool ended;               /* nothing comes after the window */
	bool in_frame;            /* compressed: the last frame is not complete */
	struct ZSTD_DCtx_s *zstd; /* NULL: it is none */
	struct z_stream_s *gzip;  /* NULL: it is none */
	uint8_t *in;              /* compressed bytes; NULL: plain */
	size_t in_pos, in_len;
	uint8_t head[BYTE_STREAM_HEAD_BYTES]; /* the file's first bytes as they are, compressed or not */
	size_t head_len;
	uint8_t *window;
	size_t pos, len;
	int64_t file_bytes; /* read from the file */
	uint64_t offset;    /* of the window's first byte in the uncompressed stream */
	struct err failure;
};

#define BYTE_STREAM_INIT \
	{ \
		.fd = -1 \
	}

/* Errors are without the path. ERR_RECORD for what a path itself is at fault for, ERR_RETRY for the machine. */
int byte_stream_open(struct byte_stream *stream, const char *path, struct err *err);

/* Nothing is read yet; what is wrong is found by byte_stream_need(), and kept as the stream's failure. */
void byte_stream_open_input(struct byte_stream *stream, const struct byte_input *input);
void byte_stream_release(struct byte_stream *stream);

/* Makes n bytes stand at window + pos, if that many are left, or there already; returns how many stand there. */
size_t byte_stream_need(struct byte_stream *stream, size_t n);

static inline const uint8_t *byte_stream_at(const struct byte_stream *stream)
{
	return stream->window + stream->pos;
}

static inline size_t byte_stream_left(const struct byte_stream *stream)
{
	return stream->len - stream->pos;
}

/* Where the next byte stands in the uncompressed stream. */
static inline uint64_t byte_stream_offset(const struct byte_stream *stream)
{
	return stream->offset + stream->pos;
}

/* Bytes of the file that are used up. */
int64_t byte_stream_input_bytes(const struct byte_stream *stream);

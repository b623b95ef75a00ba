#pragma once
/*
 * What every format reads from: a file's bytes through one fixed window,
 * decompressed where it is zstd or gzip (told by its magic; several frames or
 * members may follow each other). A failure, such as a corrupt frame, is kept until what came
 * before it has been read.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"

#define BYTE_STREAM_NEED_MAX 65536 /* bytes that byte_stream_need() can be asked for */
#define BYTE_STREAM_HEAD_BYTES 12

struct ZSTD_DCtx_s;
struct z_stream_s;

struct byte_stream {
	int fd;
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
void byte_stream_release(struct byte_stream *stream);

/* Makes n bytes stand at window + pos, if that many are left; returns how many stand there. */
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

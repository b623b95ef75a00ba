#pragma once
/*
 * A file's bytes through one fixed window, decompressed where it is zstd
 * (told by its magic; several frames may follow each other). A failure, such
 * as a corrupt frame, is kept until what came before it has been read.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"

#define DBN_STREAM_NEED_MAX 65536 /* bytes that dbn_stream_need() can be asked for */

struct ZSTD_DCtx_s;

struct dbn_stream {
	int fd;
	bool file_ended;          /* read() said so */
	bool ended;               /* nothing comes after the window */
	bool in_frame;            /* zstd: the last frame is not complete */
	struct ZSTD_DCtx_s *zstd; /* NULL: plain */
	uint8_t *in;              /* zstd: compressed bytes */
	size_t in_pos, in_len;
	uint8_t *window;
	size_t pos, len;
	int64_t file_bytes; /* read from the file */
	uint64_t offset;    /* of the window's first byte in the uncompressed stream */
	struct err failure;
};

#define DBN_STREAM_INIT \
	{ \
		.fd = -1 \
	}

/* Errors are without the path. ERR_RECORD for what a path itself is at fault for, ERR_RETRY for the machine. */
int dbn_stream_open(struct dbn_stream *stream, const char *path, struct err *err);
void dbn_stream_release(struct dbn_stream *stream);

/* Makes n bytes stand at window + pos, if that many are left; returns how many stand there. */
size_t dbn_stream_need(struct dbn_stream *stream, size_t n);

static inline size_t dbn_stream_left(const struct dbn_stream *stream)
{
	return stream->len - stream->pos;
}

/* Where the next byte stands in the uncompressed stream. */
static inline uint64_t dbn_stream_offset(const struct dbn_stream *stream)
{
	return stream->offset + stream->pos;
}

/* Bytes of the file that are used up. */
int64_t dbn_stream_input_bytes(const struct dbn_stream *stream);

#pragma once
/* What an answer sends: read piece by piece, by the connection's own thread. */
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/buf.h"

#define BODY_SIZE_UNKNOWN (-1)

struct body {
	/* Up to max bytes; 0: the end; -1: it cannot go on. */
	ssize_t (*read)(void *self, uint8_t *to, size_t max);
	void (*release)(void *self);
	void *self;
	int64_t size; /* BODY_SIZE_UNKNOWN: sent in chunks */
};

void body_release(struct body *body);
struct body body_of_buf(struct buf *buf); /* takes its bytes over */

/* Bytes first to end-1 of an open file, which it closes. */
struct body body_of_file(int fd, int64_t first, int64_t end);

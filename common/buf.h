#pragma once
/*
 * A growable byte buffer with a maximum. Appending past the maximum sets
 * `overflow` and drops the bytes: check it once, after a run of appends.
 * The buffer owns its memory; buf_reset() keeps it for the next use.
 */
#include <endian.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "common/str.h"

struct buf {
	uint8_t *data;
	size_t len;
	size_t cap;
	size_t max; /* bytes */
	bool overflow;
};

#define BUF_INIT(max_bytes) \
	{ \
		.max = (max_bytes) \
	}

void buf_release(struct buf *buf);

/* Makes room for n more bytes; NULL (and overflow) when that passes max. */
uint8_t *buf_grow(struct buf *buf, size_t n);

static inline void buf_reset(struct buf *buf)
{
	buf->len = 0;
	buf->overflow = false;
}

/* Room for n bytes at the end, to be written by the caller and counted with buf->len. */
static inline uint8_t *buf_room(struct buf *buf, size_t n)
{
	if (__builtin_expect(buf->cap - buf->len >= n, 1))
		return buf->data + buf->len;
	return buf_grow(buf, n);
}

static inline void buf_put(struct buf *buf, const void *bytes, size_t n)
{
	uint8_t *room = n > 0 ? buf_room(buf, n) : NULL;

	if (room) {
		memcpy(room, bytes, n);
		buf->len += n;
	}
}

static inline void buf_put_str(struct buf *buf, struct str s)
{
	buf_put(buf, s.data, s.len);
}

static inline void buf_put_text(struct buf *buf, const char *text)
{
	buf_put(buf, text, strlen(text));
}

static inline void buf_put_u8(struct buf *buf, uint8_t v)
{
	buf_put(buf, &v, 1);
}

static inline void buf_put_be16(struct buf *buf, uint16_t v)
{
	v = htobe16(v);
	buf_put(buf, &v, sizeof(v));
}

static inline void buf_put_be32(struct buf *buf, uint32_t v)
{
	v = htobe32(v);
	buf_put(buf, &v, sizeof(v));
}

void buf_printf(struct buf *buf, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* The bytes so far with a NUL behind them (not counted); "" when empty. */
const char *buf_text(struct buf *buf);

static inline struct str buf_str(const struct buf *buf)
{
	return (struct str){ (const char *)buf->data, (uint32_t)buf->len };
}

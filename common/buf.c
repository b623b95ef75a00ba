#include "common/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/mem.h"

#define CAP_FIRST 256 /* bytes */

void buf_release(struct buf *buf)
{
	free(buf->data);
	*buf = (struct buf)BUF_INIT(buf->max);
}

uint8_t *buf_grow(struct buf *buf, size_t n)
{
	size_t want, cap = buf->cap ? buf->cap : CAP_FIRST;

	if (buf->overflow || n > buf->max || buf->len > buf->max - n) {
		buf->overflow = true;
		return NULL;
	}
	want = buf->len + n;
	if (cap > buf->max)
		cap = buf->max;
	while (cap < want)
		cap = cap > buf->max / 2 ? buf->max : cap * 2;
	if (cap > buf->cap) {
		buf->data = mem_realloc(buf->data, cap, 1);
		buf->cap = cap;
	}
	return buf->data + buf->len;
}

void buf_printf(struct buf *buf, const char *fmt, ...)
{
	va_list ap;
	uint8_t *room;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	room = n < 0 ? NULL : buf_room(buf, (size_t)n + 1);
	if (!room)
		return;
	va_start(ap, fmt);
	vsnprintf((char *)room, (size_t)n + 1, fmt, ap);
	va_end(ap);
	buf->len += (size_t)n;
}

const char *buf_text(struct buf *buf)
{
	uint8_t *room = buf_room(buf, 1);

	if (!room) {
		if (buf->len == 0)
			return "";
		room = buf->data + --buf->len; /* full: the last byte makes room */
	}
	*room = '\0';
	return (const char *)buf->data;
}

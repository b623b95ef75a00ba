#pragma once
/*
 * A bounds-checked cursor over bytes from outside. A read past the end
 * returns 0, moves nothing and sets `failed`; check it once after a group of
 * reads. The cursor borrows its bytes.
 */
#include <endian.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "common/str.h"

struct bytes {
	const uint8_t *pos;
	const uint8_t *end;
	bool failed;
};

static inline struct bytes bytes_of(const void *data, size_t len)
{
	const uint8_t *pos = data;

	return (struct bytes){ pos, len > 0 ? pos + len : pos, false }; /* nothing may stand at NULL */
}

static inline size_t bytes_left(const struct bytes *b)
{
	return (size_t)(b->end - b->pos);
}

/* The next n bytes, or NULL. */
static inline const uint8_t *bytes_take(struct bytes *b, size_t n)
{
	const uint8_t *p = b->pos;

	if (__builtin_expect(b->failed || bytes_left(b) < n, 0)) {
		b->failed = true;
		return NULL;
	}
	b->pos += n;
	return p;
}

#define BYTES_READER(name, type, convert) \
	static inline type bytes_##name(struct bytes *b) \
	{ \
		const uint8_t *p = bytes_take(b, sizeof(type)); \
		type v = 0; \
\
		if (p) \
			memcpy(&v, p, sizeof(v)); \
		return convert(v); \
	}

BYTES_READER(u8, uint8_t, )
BYTES_READER(le16, uint16_t, le16toh)
BYTES_READER(le32, uint32_t, le32toh)
BYTES_READER(le64, uint64_t, le64toh)
BYTES_READER(be32, uint32_t, be32toh)
#undef BYTES_READER

/*
 * Text in a fixed field of n bytes, up to its first NUL. A field without a
 * NUL is taken whole.
 */
static inline struct str bytes_cstr(struct bytes *b, size_t n)
{
	const char *p = (const char *)bytes_take(b, n);

	return p ? (struct str){ p, (uint32_t)strnlen(p, n) } : (struct str){ "", 0 };
}

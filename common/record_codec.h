#pragma once
/*
 * What the generated codecs are made of: schemas/gen.c writes one function a
 * type for each way, field after field, as one would by hand.
 */
#include "common/bytes.h"
#include "common/str.h"
#include "common/varint.h"

#define DECIMAL_BYTES_MAX 8 /* the value is an int64 */

/* --- encoding; every field has room for 1 + VARINT_MAX bytes and its string's ---------------------------------------- */

static inline uint8_t *put_boolean(uint8_t *p, bool value)
{
	*p = value;
	return p + 1;
}

static inline uint8_t *put_int(uint8_t *p, int32_t value)
{
	return varint_put(p, value);
}

static inline uint8_t *put_long(uint8_t *p, int64_t value)
{
	return varint_put(p, value);
}

static inline uint8_t *put_string(uint8_t *p, struct str value)
{
	p = varint_put(p, value.len);
	if (value.len)
		memcpy(p, value.data, value.len);
	return p + value.len;
}

/* The unscaled value, two's complement, big-endian, as short as it can be. */
static inline uint8_t *put_bytes(uint8_t *p, int64_t value)
{
	uint64_t magnitude = value < 0 ? ~(uint64_t)value : (uint64_t)value;
	unsigned bits = magnitude ? 64 - (unsigned)__builtin_clzll(magnitude) : 0;
	unsigned n = bits / 8 + 1; /* with room for the sign bit */
	uint64_t be = htobe64((uint64_t)value << (64 - 8 * n));

	*p++ = (uint8_t)(n << 1);
	memcpy(p, &be, sizeof(be)); /* of which n count */
	return p + n;
}

/* The branch of a union with null. */
static inline uint8_t *put_branch(uint8_t *p, unsigned branch)
{
	*p = (uint8_t)(branch << 1);
	return p + 1;
}

/* --- decoding -------------------------------------------------------------------------------------------------------- */

/*
 * All return where the next field begins; NULL: cut short, or no such value. The place goes from one to the next in a
 * register: kept in memory, each field would wait for the one before it to be written there.
 */

struct codec_in {
	const uint8_t *p, *end;
};

#define CODEC_GET static inline __attribute__((always_inline)) const uint8_t *

CODEC_GET get_long(const uint8_t *p, const uint8_t *end, int64_t *ret)
{
	return varint_get(p, end, ret);
}

CODEC_GET get_int(const uint8_t *p, const uint8_t *end, int32_t *ret)
{
	int64_t value;

	p = varint_get(p, end, &value);
	if (!p || value != (int32_t)value)
		return NULL;
	*ret = (int32_t)value;
	return p;
}

CODEC_GET get_boolean(const uint8_t *p, const uint8_t *end, bool *ret)
{
	if (p == end || *p > 1)
		return NULL;
	*ret = *p;
	return p + 1;
}

/* A length and that many bytes. */
CODEC_GET get_string(const uint8_t *p, const uint8_t *end, struct str *ret)
{
	int64_t n;

	p = varint_get(p, end, &n);
	if (!p || n < 0 || n > end - p)
		return NULL;
	*ret = (struct str){ (const char *)p, (uint32_t)n };
	return p + n;
}

/* Of other lengths than one to eight, or near the end. Sign extension is allowed, no more digits are. */
static __attribute__((noinline, unused)) const uint8_t *get_bytes_slowly(const uint8_t *p, const uint8_t *end,
									 int64_t *ret)
{
	struct str bytes;
	const uint8_t *next = get_string(p, end, &bytes);
	uint64_t value;

	if (!next || bytes.len == 0)
		return NULL;
	for (; bytes.len > DECIMAL_BYTES_MAX; bytes.data++, bytes.len--)
		if (bytes.data[0] != (bytes.data[1] & 0x80 ? '\xff' : '\0'))
			return NULL;
	value = bytes.data[0] & 0x80 ? ~UINT64_C(0) : 0;
	for (uint32_t i = 0; i < bytes.len; i++)
		value = value << 8 | (uint8_t)bytes.data[i];
	*ret = (int64_t)value;
	return next;
}

CODEC_GET get_bytes(const uint8_t *p, const uint8_t *end, int64_t *ret)
{
	uint64_t value;
	unsigned n;

	if (end - p <= DECIMAL_BYTES_MAX)
		return get_bytes_slowly(p, end, ret);
	n = *p >> 1; /* of a length that is one byte */
	if ((*p & 1) || n == 0 || n > DECIMAL_BYTES_MAX)
		return get_bytes_slowly(p, end, ret);
	memcpy(&value, p + 1, sizeof(value));
	*ret = (int64_t)be64toh(value) >> (64 - 8 * n);
	return p + 1 + n;
}

/* Whether the other branch than null's follows. */
CODEC_GET get_branch(const uint8_t *p, const uint8_t *end, unsigned null_branch, uint64_t *present, unsigned bit,
		     bool *ret)
{
	if (p == end || (*p != 0 && *p != 2))
		return NULL;
	*ret = *p >> 1 != null_branch;
	*present |= (uint64_t)*ret << bit;
	return p + 1;
}

/* The field at p does not decode, the `place`th. */
static inline unsigned codec_stop(struct codec_in *in, const uint8_t *p, unsigned place)
{
	in->p = p;
	return place;
}

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

/* --- decoding; false: cut short, or no such value -------------------------------------------------------------------- */

struct codec_in {
	const uint8_t *p, *end;
};

static inline bool get_long(struct codec_in *in, int64_t *ret)
{
	const uint8_t *next = varint_get(in->p, in->end, ret);

	if (!next)
		return false;
	in->p = next;
	return true;
}

static inline bool get_int(struct codec_in *in, int32_t *ret)
{
	int64_t value;

	if (!get_long(in, &value) || value != (int32_t)value)
		return false;
	*ret = (int32_t)value;
	return true;
}

static inline bool get_boolean(struct codec_in *in, bool *ret)
{
	if (in->p == in->end || *in->p > 1)
		return false;
	*ret = *in->p++;
	return true;
}

/* A length and that many bytes. */
static inline bool get_string(struct codec_in *in, struct str *ret)
{
	int64_t n;

	if (!get_long(in, &n) || n < 0 || n > in->end - in->p)
		return false;
	*ret = (struct str){ (const char *)in->p, (uint32_t)n };
	in->p += n;
	return true;
}

/* Sign extension is allowed, no more digits are. */
static inline bool drop_signs(struct str *bytes)
{
	for (; bytes->len > DECIMAL_BYTES_MAX; bytes->data++, bytes->len--)
		if (bytes->data[0] != (bytes->data[1] & 0x80 ? '\xff' : '\0'))
			return false;
	return true;
}

static inline bool get_bytes(struct codec_in *in, int64_t *ret)
{
	struct str bytes;
	uint64_t value;

	if (!get_string(in, &bytes) || bytes.len == 0 || (bytes.len > DECIMAL_BYTES_MAX && !drop_signs(&bytes)))
		return false;
	if (in->end - (const uint8_t *)bytes.data >= DECIMAL_BYTES_MAX) {
		memcpy(&value, bytes.data, sizeof(value));
		*ret = (int64_t)be64toh(value) >> (64 - 8 * bytes.len);
		return true;
	}
	value = bytes.data[0] & 0x80 ? ~UINT64_C(0) : 0;
	for (uint32_t i = 0; i < bytes.len; i++)
		value = value << 8 | (uint8_t)bytes.data[i];
	*ret = (int64_t)value;
	return true;
}

/* Whether the other branch than null's follows. */
static inline bool get_branch(struct codec_in *in, unsigned null_branch, uint64_t *present, unsigned bit, bool *ret)
{
	if (in->p == in->end || (*in->p != 0 && *in->p != 2))
		return false;
	*ret = *in->p++ >> 1 != null_branch;
	*present |= (uint64_t)*ret << bit;
	return true;
}

#pragma once
/*
 * Avro's int and long (zig-zag, then seven bits a byte, the lowest first; Avro
 * 1.11, "Binary Encoding"), eight bytes at once: a loop over the bytes ends
 * where the processor does not expect it, as every field has another length.
 */
#include <endian.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define VARINT_MAX 10 /* bytes of a long */
#define VARINT_MORE UINT64_C(0x8080808080808080)

/* The low 56 bits as eight bytes of seven, and back. */
static inline uint64_t varint_spread(uint64_t z)
{
	z = (z & UINT64_C(0x00fffffff0000000)) << 4 | (z & UINT64_C(0x000000000fffffff));
	z = (z & UINT64_C(0x0fffc0000fffc000)) << 2 | (z & UINT64_C(0x00003fff00003fff));
	return (z & UINT64_C(0x3f803f803f803f80)) << 1 | (z & UINT64_C(0x007f007f007f007f));
}

static inline uint64_t varint_gather(uint64_t x)
{
	x = (x & UINT64_C(0x7f007f007f007f00)) >> 1 | (x & UINT64_C(0x007f007f007f007f));
	x = (x & UINT64_C(0x3fff00003fff0000)) >> 2 | (x & UINT64_C(0x00003fff00003fff));
	return (x & UINT64_C(0x0fffffff00000000)) >> 4 | (x & UINT64_C(0x000000000fffffff));
}

/* Writes VARINT_MAX bytes, of which those up to the one that is returned count. */
static inline uint8_t *varint_put(uint8_t *p, int64_t value)
{
	uint64_t z = ((uint64_t)value << 1) ^ (uint64_t)(value >> 63), x;

	if (z < 0x80) {
		*p = (uint8_t)z;
		return p + 1;
	}
	if (z >> 56) {
		uint64_t rest = z >> 56;

		x = htole64(varint_spread(z) | VARINT_MORE);
		memcpy(p, &x, sizeof(x));
		p[8] = (uint8_t)(rest < 0x80 ? rest : rest | 0x80);
		p[9] = (uint8_t)(rest >> 7);
		return p + (rest < 0x80 ? 9 : 10);
	}
	unsigned bits = 63 - (unsigned)__builtin_clzll(z), last = bits / 7; /* the last byte's place */

	x = htole64(varint_spread(z) | (VARINT_MORE & ((UINT64_C(1) << 8 * last) - 1)));
	memcpy(p, &x, sizeof(x));
	return p + last + 1;
}

static inline int64_t varint_value(uint64_t z)
{
	return (int64_t)(z >> 1) ^ -(int64_t)(z & 1);
}

/* Byte by byte, where the end is near or the number long. NULL: cut short, or more than a long. */
static inline const uint8_t *varint_get_slowly(const uint8_t *p, const uint8_t *end, int64_t *ret)
{
	uint64_t z = 0;

	for (unsigned shift = 0; shift < 64 && p < end; shift += 7) {
		uint8_t byte = *p++;

		z |= (uint64_t)(byte & 0x7f) << shift;
		if (byte < 0x80) {
			*ret = varint_value(z);
			return shift < 63 || byte <= 1 ? p : NULL;
		}
	}
	return NULL;
}

/* Of more than one byte: a function of its own, as a decoder has one in every other line. */
static __attribute__((noinline, unused)) const uint8_t *varint_get_long(const uint8_t *p, const uint8_t *end,
									int64_t *ret)
{
	uint64_t x, stops;

	if (end - p < VARINT_MAX)
		return varint_get_slowly(p, end, ret);
	memcpy(&x, p, sizeof(x));
	x = le64toh(x);
	stops = ~x & VARINT_MORE;
	if (stops) {
		unsigned n = (unsigned)__builtin_ctzll(stops) / 8 + 1;

		*ret = varint_value(varint_gather(n == 8 ? x : x & ((UINT64_C(1) << 8 * n) - 1)));
		return p + n;
	}
	if (p[8] < 0x80) {
		*ret = varint_value(varint_gather(x & ~VARINT_MORE) | (uint64_t)p[8] << 56);
		return p + 9;
	}
	if (p[9] > 1)
		return NULL;
	*ret = varint_value(varint_gather(x & ~VARINT_MORE) | (uint64_t)(p[8] & 0x7f) << 56 | (uint64_t)p[9] << 63);
	return p + 10;
}

/* What follows it; NULL: cut short, or more than a long. */
static inline __attribute__((always_inline)) const uint8_t *varint_get(const uint8_t *p, const uint8_t *end,
								       int64_t *ret)
{
	if (p < end && *p < 0x80) {
		*ret = varint_value(*p);
		return p + 1;
	}
	return varint_get_long(p, end, ret);
}

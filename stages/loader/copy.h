#pragma once
/*
 * Fields of a binary COPY row (PostgreSQL documentation, "COPY", Binary
 * Format): each a length and the type's own binary form, big-endian. All
 * return where the next one goes; the caller has made room for COPY_FIELD_MAX
 * bytes a field, and the text's own length.
 */
#include <endian.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "common/clock.h"
#include "common/decimal.h"
#include "common/str.h"

#define COPY_ROW_HEAD 2       /* bytes: how many fields follow */
#define COPY_FIELD_MAX 48     /* bytes with the length word: a numeric has at most 8 + 2 * 10 */
#define COPY_EPOCH_DAYS 10957 /* 2000-01-01 in days since 1970 */

static inline uint8_t *copy_be16(uint8_t *p, uint16_t v)
{
	v = htobe16(v);
	memcpy(p, &v, sizeof(v));
	return p + sizeof(v);
}

static inline uint8_t *copy_be32(uint8_t *p, uint32_t v)
{
	v = htobe32(v);
	memcpy(p, &v, sizeof(v));
	return p + sizeof(v);
}

static inline uint8_t *copy_be64(uint8_t *p, uint64_t v)
{
	v = htobe64(v);
	memcpy(p, &v, sizeof(v));
	return p + sizeof(v);
}

static inline uint8_t *copy_row(uint8_t *p, unsigned fields)
{
	return copy_be16(p, (uint16_t)fields);
}

static inline uint8_t *copy_null(uint8_t *p)
{
	return copy_be32(p, UINT32_MAX);
}

static inline uint8_t *copy_bool(uint8_t *p, bool v)
{
	p = copy_be32(p, 1);
	*p = v;
	return p + 1;
}

static inline uint8_t *copy_int2(uint8_t *p, int16_t v)
{
	return copy_be16(copy_be32(p, 2), (uint16_t)v);
}

static inline uint8_t *copy_int4(uint8_t *p, int32_t v)
{
	return copy_be32(copy_be32(p, 4), (uint32_t)v);
}

static inline uint8_t *copy_int8(uint8_t *p, int64_t v)
{
	return copy_be64(copy_be32(p, 8), (uint64_t)v);
}

static inline uint8_t *copy_date(uint8_t *p, int32_t days)
{
	return copy_int4(p, days - COPY_EPOCH_DAYS);
}

#define COPY_NO_TIME INT64_MIN /* -infinity */

/* ns since 1970 to µs since 2000, downwards. */
static inline uint8_t *copy_timestamp(uint8_t *p, int64_t ns)
{
	int64_t us = ns / 1000 - (ns % 1000 < 0);

	if (ns == COPY_NO_TIME)
		return copy_int8(p, INT64_MIN);
	return copy_int8(p, us - COPY_EPOCH_DAYS * (NS_PER_DAY / 1000));
}

/* The 0 to 999 ns that copy_timestamp() leaves. */
static inline uint8_t *copy_nanos(uint8_t *p, int64_t ns)
{
	int64_t left = ns == COPY_NO_TIME ? 0 : ns % 1000;

	return copy_int2(p, (int16_t)(left < 0 ? left + 1000 : left));
}

static inline uint8_t *copy_text(uint8_t *p, struct str s)
{
	p = copy_be32(p, s.len);
	if (s.len)
		memcpy(p, s.data, s.len);
	return p + s.len;
}

static inline uint8_t *copy_numeric(uint8_t *p, int64_t coefficient, int exponent)
{
	unsigned n = decimal_numeric(coefficient, exponent, p + 4);

	copy_be32(p, n);
	return p + 4 + n;
}

#define COPY_FIELD_HEAD 4 /* bytes: the length word */

static inline bool copy_is_null(const uint8_t *p)
{
	uint32_t n;

	memcpy(&n, p, sizeof(n));
	return n == UINT32_MAX;
}

/* How many bytes a field takes with its length word. */
static inline size_t copy_field_bytes(const uint8_t *p)
{
	uint32_t n;

	memcpy(&n, p, sizeof(n));
	n = be32toh(n);
	return sizeof(n) + (n == UINT32_MAX ? 0 : n);
}

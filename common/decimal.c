#include "common/decimal.h"

#include <stdbool.h>
#include <stdio.h>

#define NUMERIC_NEGATIVE 0x4000
#define NUMERIC_BASE 10000
#define NUMERIC_BASE_DIGITS 4

/* Digits without the point, and where the point stands. */
struct number {
	bool negative;
	uint64_t digits;
	int exponent;
	bool any;
	bool too_long;
};

static const char *scan_digits(const char *p, const char *end, struct number *n, int step)
{
	for (; p < end && *p >= '0' && *p <= '9'; p++) {
		unsigned digit = (unsigned)(*p - '0');

		n->any = true;
		if (__builtin_mul_overflow(n->digits, 10, &n->digits) ||
		    __builtin_add_overflow(n->digits, digit, &n->digits))
			n->too_long = true;
		n->exponent += step;
	}
	return p;
}

static const char *scan_exponent(const char *p, const char *end, struct number *n)
{
	bool negative = false;
	int exponent = 0;

	if (p < end && (*p == '+' || *p == '-'))
		negative = *p++ == '-';
	if (p == end)
		n->any = false;
	for (; p < end && *p >= '0' && *p <= '9'; p++)
		exponent = exponent < 1000 ? exponent * 10 + (*p - '0') : exponent;
	n->exponent += negative ? -exponent : exponent;
	return p;
}

static bool scan(struct str text, struct number *n)
{
	const char *p = text.data, *end = text.data + text.len;

	if (p < end && (*p == '-' || *p == '+'))
		n->negative = *p++ == '-';
	p = scan_digits(p, end, n, 0);
	if (p < end && *p == '.')
		p = scan_digits(p + 1, end, n, -1);
	if (n->any && p < end && (*p == 'e' || *p == 'E'))
		p = scan_exponent(p + 1, end, n);
	return n->any && p == end;
}

/* digits * 10^exponent in units of 1e-9; false when that is not exact or too large. */
static bool rescale(const struct number *n, int64_t *ret_value)
{
	uint64_t v = n->digits;
	int exponent = n->exponent + DECIMAL_SCALE;

	if (v == 0 && !n->too_long) {
		*ret_value = 0;
		return true;
	}
	for (; exponent < 0; exponent++) {
		if (v % 10 != 0)
			return false;
		v /= 10;
	}
	for (; exponent > 0; exponent--)
		if (__builtin_mul_overflow(v, 10, &v))
			return false;
	if (n->too_long || v > (uint64_t)INT64_MAX)
		return false;
	*ret_value = n->negative ? -(int64_t)v : (int64_t)v;
	return true;
}

int decimal_parse(struct str text, int64_t *ret_value, struct err *err)
{
	struct number n = { 0 };

	if (!scan(text, &n))
		return err_set(err, ERR_RECORD, "'%.*s' is not a number", STR_ARG(text));
	if (!rescale(&n, ret_value))
		return err_set(err, ERR_RECORD, "'%.*s' is not exact in a decimal(19,9)", STR_ARG(text));
	return 0;
}

unsigned decimal_format(int64_t value, char text[DECIMAL_TEXT_MAX])
{
	uint64_t v = value < 0 ? -(uint64_t)value : (uint64_t)value;
	uint64_t fraction = v % DECIMAL_ONE;
	int places = fraction ? DECIMAL_SCALE : 0;
	const char *sign = value < 0 ? "-" : "";

	for (; places > 0 && fraction % 10 == 0; places--)
		fraction /= 10;
	if (places == 0)
		return (unsigned)snprintf(text, DECIMAL_TEXT_MAX, "%s%llu", sign,
					  (unsigned long long)(v / DECIMAL_ONE));
	return (unsigned)snprintf(text, DECIMAL_TEXT_MAX, "%s%llu.%0*llu", sign, (unsigned long long)(v / DECIMAL_ONE),
				  places, (unsigned long long)fraction);
}

static const uint64_t powers_of_ten[] = { 1, 10, 100, 1000 };

static uint8_t *put_be16(uint8_t *p, uint16_t v)
{
	*p++ = (uint8_t)(v >> 8);
	*p++ = (uint8_t)v;
	return p;
}

/* A base-10000 digit stands for a power of ten that is a multiple of four. */
unsigned decimal_numeric(int64_t coefficient, int exponent, uint8_t out[DECIMAL_NUMERIC_MAX])
{
	uint64_t v = coefficient < 0 ? -(uint64_t)coefficient : (uint64_t)coefficient;
	int scale = exponent < 0 ? -exponent : 0;
	int power = exponent >> 2; /* of 10000, rounded down */
	uint64_t shift = powers_of_ten[exponent - power * NUMERIC_BASE_DIGITS];
	uint64_t high = v / NUMERIC_BASE, low = (v % NUMERIC_BASE) * shift;
	uint16_t digits[10];
	unsigned n = 0, zeros = 0;
	uint8_t *p = out;

	/* v * shift, digit by digit: the product itself may not fit in 64 bits. */
	while (high || low) {
		uint64_t next = (high % NUMERIC_BASE) * shift + low / NUMERIC_BASE;

		digits[n++] = (uint16_t)(low % NUMERIC_BASE);
		high /= NUMERIC_BASE;
		low = next;
	}
	while (zeros < n && digits[zeros] == 0)
		zeros++;
	p = put_be16(p, (uint16_t)(n - zeros));
	p = put_be16(p, (uint16_t)(n ? power + (int)n - 1 : 0));
	p = put_be16(p, coefficient < 0 ? NUMERIC_NEGATIVE : 0);
	p = put_be16(p, (uint16_t)scale);
	for (unsigned i = n; i-- > zeros;)
		p = put_be16(p, digits[i]);
	return (unsigned)(p - out);
}

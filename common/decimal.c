#include "common/decimal.h"

#include <stdio.h>

#include "common/number_text.h"

#define NUMERIC_NEGATIVE 0x4000
#define NUMERIC_BASE 10000
#define NUMERIC_BASE_DIGITS 4

int decimal_parse(struct str text, int64_t *ret_value, struct err *err)
{
	bool rounded;

	return number_text_price(text, NUMBER_EXACT, ret_value, &rounded, err);
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

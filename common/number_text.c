#include "common/number_text.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define DIGITS_MAX 19 /* 10^19 - 1 fits a uint64 */
#define NANO_PLACES 9
#define EXPONENT_FAR 100000 /* what an exponent is taken for that says more */
#define FLOAT_DIGITS_MAX 17 /* that tell any two float64 apart */

static const uint64_t powers_of_ten[] = {
	1ULL,
	10ULL,
	100ULL,
	1000ULL,
	10000ULL,
	100000ULL,
	1000000ULL,
	10000000ULL,
	100000000ULL,
	1000000000ULL,
	10000000000ULL,
	100000000000ULL,
	1000000000000ULL,
	10000000000000ULL,
	100000000000000ULL,
	1000000000000000ULL,
	10000000000000000ULL,
	100000000000000000ULL,
	1000000000000000000ULL,
	10000000000000000000ULL,
};

static const char *const kind_names[] = {
	[NUMBER_EXACT] = "exact",
	[NUMBER_FLOAT32] = "float32",
	[NUMBER_FLOAT64] = "float64",
};

bool number_kind_of(struct str name, enum number_kind *ret)
{
	for (unsigned i = 0; i < sizeof(kind_names) / sizeof(*kind_names); i++)
		if (str_eq(name, str_of(kind_names[i]))) {
			*ret = (enum number_kind)i;
			return true;
		}
	return false;
}

const char *number_kind_name(enum number_kind kind)
{
	return kind_names[kind];
}

/* --- scanning ---------------------------------------------------------------------------------------------------------- */

static bool is_digit(const char *p, const char *end)
{
	return p < end && *p >= '0' && *p <= '9';
}

/* `step` is what a digit that is taken does to the exponent: -1 behind the point. One that is dropped does step + 1. */
static const char *scan_digits(const char *p, const char *end, struct number_text *n, unsigned *count, int step)
{
	for (; is_digit(p, end); p++) {
		unsigned digit = (unsigned)(*p - '0');

		if (*count < DIGITS_MAX) {
			n->digits = n->digits * 10 + digit;
			n->exponent += step;
			*count += n->digits != 0;
		} else {
			n->longer |= digit != 0;
			n->exponent += step + 1;
		}
	}
	return p;
}

/* NULL where no digit follows. */
static const char *scan_exponent(const char *p, const char *end, struct number_text *n)
{
	bool negative = false;
	int32_t exponent = 0;

	if (p < end && (*p == '+' || *p == '-'))
		negative = *p++ == '-';
	if (!is_digit(p, end))
		return NULL;
	for (; is_digit(p, end); p++)
		exponent = exponent < EXPONENT_FAR ? exponent * 10 + (*p - '0') : exponent;
	n->exponent += negative ? -exponent : exponent;
	return p;
}

bool number_text_scan(struct str text, struct number_text *ret)
{
	const char *p = text.data, *end = p + text.len, *first;
	unsigned count = 0;
	bool point;

	*ret = (struct number_text){ 0 };
	if (text.len > INT16_MAX)
		return false;
	if (p < end && (*p == '-' || *p == '+'))
		ret->negative = *p++ == '-';
	first = p;
	p = scan_digits(p, end, ret, &count, 0);
	point = p < end && *p == '.';
	if (point)
		p = scan_digits(p + 1, end, ret, &count, -1);
	if (p - first <= point)
		return false;
	if (p < end && (*p == 'e' || *p == 'E'))
		p = scan_exponent(p + 1, end, ret);
	return p == end;
}

bool number_text_u64(struct str text, uint64_t *ret)
{
	uint64_t v = 0;

	for (uint32_t i = 0; i < text.len; i++)
		if (text.data[i] < '0' || text.data[i] > '9' || __builtin_mul_overflow(v, 10, &v) ||
		    __builtin_add_overflow(v, (unsigned)(text.data[i] - '0'), &v))
			return false;
	*ret = v;
	return text.len > 0;
}

bool number_text_i64(struct str text, int64_t *ret)
{
	bool negative = text.len > 0 && text.data[0] == '-';
	uint64_t v;

	if (negative)
		text = (struct str){ text.data + 1, text.len - 1 };
	if (!number_text_u64(text, &v) || v > (uint64_t)INT64_MAX + negative)
		return false;
	*ret = (int64_t)(negative ? -v : v);
	return true;
}

/* --- powers of ten ----------------------------------------------------------------------------------------------------- */

static bool signed_of(uint64_t v, bool negative, int64_t *ret)
{
	if (v > (uint64_t)INT64_MAX)
		return false;
	*ret = negative ? -(int64_t)v : (int64_t)v;
	return true;
}

/* v * 10^shift where that is a whole number that fits. */
static bool shift_exact(uint64_t v, int32_t shift, uint64_t *ret)
{
	if (v == 0 || shift == 0)
		return *ret = v, true;
	if (shift > 0)
		return shift <= DIGITS_MAX && !__builtin_mul_overflow(v, powers_of_ten[shift], ret);
	if (shift < -DIGITS_MAX || v % powers_of_ten[-shift] != 0)
		return false;
	*ret = v / powers_of_ten[-shift];
	return true;
}

/* The same, half-even to a whole number; shift is negative. */
static uint64_t shift_rounded(uint64_t v, int32_t shift)
{
	uint64_t unit, rest;

	if (shift < -DIGITS_MAX)
		return 0; /* less than 10^19, so less than half */
	unit = powers_of_ten[-shift];
	rest = v % unit;
	v /= unit;
	return v + (rest > unit / 2 || (rest == unit / 2 && v % 2 == 1));
}

bool number_text_nano(const struct number_text *n, int64_t *ret)
{
	uint64_t v;

	return !n->longer && shift_exact(n->digits, n->exponent + NANO_PLACES, &v) && signed_of(v, n->negative, ret);
}

/* --- floats ------------------------------------------------------------------------------------------------------------ */

static int not_number(struct str text, struct err *err)
{
	char shown[STR_SHOWN_MAX];

	return err_set(err, ERR_RECORD, "'%s' is not a number", str_show(text, shown));
}

static int does_not_fit(struct str text, const char *what, struct err *err)
{
	char shown[STR_SHOWN_MAX];

	return err_set(err, ERR_RECORD, "'%s' %s", str_show(text, shown), what);
}

/* A decimal of so few digits is the shortest one of the float next to it, where that is neither huge nor tiny. */
static bool is_short(const struct number_text *n, enum number_kind kind)
{
	uint64_t below = powers_of_ten[kind == NUMBER_FLOAT32 ? FLT_DIG : DBL_DIG];
	int32_t most = kind == NUMBER_FLOAT32 ? FLT_MAX_10_EXP - FLT_DIG : DBL_MAX_10_EXP - DBL_DIG;
	int32_t least = kind == NUMBER_FLOAT32 ? FLT_MIN_10_EXP : DBL_MIN_10_EXP;

	return n->digits == 0 || (!n->longer && n->digits < below && n->exponent <= most && n->exponent >= least);
}

static double to_float(const char *text, enum number_kind kind)
{
	return kind == NUMBER_FLOAT32 ? (double)strtof(text, NULL) : strtod(text, NULL);
}

/* The shortest decimal that means the same float as the text, and of those the one next to it. */
static int shorten(struct str text, enum number_kind kind, struct number_text *n, struct err *err)
{
	char copy[NUMBER_FLOAT_BYTES_MAX + 1], shortest[32];
	int digits = kind == NUMBER_FLOAT32 ? FLT_DIG : DBL_DIG;
	double value;

	if (text.len > NUMBER_FLOAT_BYTES_MAX)
		return err_set(err, ERR_RECORD, "a number of %u bytes; at most %d are read", text.len,
			       NUMBER_FLOAT_BYTES_MAX);
	memcpy(copy, text.data, text.len);
	copy[text.len] = '\0';
	value = to_float(copy, kind);
	if (isinf(value))
		return does_not_fit(text, kind == NUMBER_FLOAT32 ? "is no float32" : "is no float64", err);
	do
		snprintf(shortest, sizeof(shortest), "%.*e", digits - 1, value);
	while (to_float(shortest, kind) != value && digits++ < FLOAT_DIGITS_MAX);
	number_text_scan(str_of(shortest), n);
	return 0;
}

/* What the source means by the text. */
static int read_number(struct str text, enum number_kind kind, struct number_text *n, struct err *err)
{
	if (!number_text_scan(text, n))
		return not_number(text, err);
	if (kind == NUMBER_EXACT || is_short(n, kind))
		return 0;
	return shorten(text, kind, n, err);
}

/* --- prices and quantities --------------------------------------------------------------------------------------------- */

static bool same_number(const struct number_text *a, const struct number_text *b)
{
	int32_t shift = a->exponent - b->exponent;
	uint64_t v;

	if (a->longer || b->longer)
		return false;
	if (shift < 0)
		return shift_exact(b->digits, -shift, &v) && v == a->digits;
	return shift_exact(a->digits, shift, &v) && v == b->digits;
}

/* Half-even to so many places; what has no more stays as it is. */
static void round_to(struct number_text *n, int32_t places)
{
	if (n->exponent >= -places)
		return;
	n->digits = shift_rounded(n->digits, n->exponent + places);
	n->exponent = -places;
}

static void note_rounded(struct str text, const struct number_text *n, bool *ret_rounded)
{
	struct number_text written;

	if (number_text_scan(text, &written) && !same_number(&written, n))
		*ret_rounded = true;
}

int number_text_price(struct str text, enum number_kind kind, int64_t *ret_price, bool *ret_rounded, struct err *err)
{
	struct number_text n;

	if (read_number(text, kind, &n, err))
		return -1;
	if (kind != NUMBER_EXACT) {
		round_to(&n, NANO_PLACES);
		note_rounded(text, &n, ret_rounded);
	}
	if (number_text_nano(&n, ret_price))
		return 0;
	return does_not_fit(text, "is not exact in a decimal(19,9)", err);
}

/* The one pair for each number; see the header. */
static bool to_quantity(struct number_text n, int64_t *ret_coefficient, int32_t *ret_exponent)
{
	uint64_t whole;

	while (n.digits != 0 && n.digits % 10 == 0) {
		n.digits /= 10;
		n.exponent++;
	}
	if (n.longer)
		return false;
	if ((n.digits == 0 || n.exponent > 0) && shift_exact(n.digits, n.exponent, &whole) && whole <= INT64_MAX) {
		n.digits = whole;
		n.exponent = 0;
	}
	*ret_exponent = n.exponent;
	return n.exponent <= NUMBER_EXPONENT_MAX && n.exponent >= -NUMBER_EXPONENT_MAX &&
	       signed_of(n.digits, n.negative, ret_coefficient);
}

int number_text_quantity(struct str text, enum number_kind kind, int64_t *ret_coefficient, int32_t *ret_exponent,
			 bool *ret_rounded, struct err *err)
{
	struct number_text n;

	if (read_number(text, kind, &n, err))
		return -1;
	if (kind != NUMBER_EXACT) {
		round_to(&n, NUMBER_EXPONENT_MAX);
		note_rounded(text, &n, ret_rounded);
	}
	if (to_quantity(n, ret_coefficient, ret_exponent))
		return 0;
	return does_not_fit(text, "does not fit 63 bits and an exponent between -18 and 18", err);
}

#pragma once
/*
 * Numbers as vendors write them, without any binary float on the way: text
 * becomes digits times a power of ten, and these become a price (int64 in
 * units of 1e-9) or a quantity (coefficient and exponent).
 *
 * Where a source's numbers have been binary floats, their text shows what the
 * float is, not what was meant: 1286.5699462890625 is the float32 nearest to
 * 1286.57. Of such a source the shortest decimal is taken that means the same
 * float, and a price is rounded half-even to nine places.
 */
#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "common/str.h"

/* `price_text` of a source. */
enum number_kind { NUMBER_EXACT, NUMBER_FLOAT32, NUMBER_FLOAT64 };

/* "exact", "float32", "float64"; false for anything else. */
bool number_kind_of(struct str name, enum number_kind *ret);
const char *number_kind_name(enum number_kind kind);
#define NUMBER_KINDS "exact, float32, float64"

#define NUMBER_FLOAT_BYTES_MAX 400 /* of a float's text */
#define NUMBER_EXPONENT_MAX 18     /* of a quantity, either way: what decimal_numeric() takes */

/* (-1)^negative * digits * 10^exponent. */
struct number_text {
	uint64_t digits; /* at most 19 of them, none in front that is zero */
	int32_t exponent;
	bool negative;
	bool longer; /* there are more, not all zero */
};

/* "-12.5", "12", ".5", "1e-3"; false for anything else: there is no white space, no hexadecimal, no infinity. */
bool number_text_scan(struct str text, struct number_text *ret);

/* Units of 1e-9, between -INT64_MAX and INT64_MAX; false where that is not exact or does not fit. */
bool number_text_nano(const struct number_text *n, int64_t *ret);

/*
 * A price. ERR_RECORD where the text is no number or does not fit. *ret_rounded
 * is set, and never cleared, where the price is another number than the text's.
 */
int number_text_price(struct str text, enum number_kind kind, int64_t *ret_price, bool *ret_rounded, struct err *err);

/*
 * A quantity, always as the same pair: exponent 0 where it is a whole number
 * that fits, else the coefficient ends in no zero. A float's is rounded to 18
 * places.
 */
int number_text_quantity(struct str text, enum number_kind kind, int64_t *ret_coefficient, int32_t *ret_exponent,
			 bool *ret_rounded, struct err *err);

/* Decimal digits, for one of the signed ones after a '-'; false where there is anything else, or it does not fit. */
bool number_text_u64(struct str text, uint64_t *ret);
bool number_text_i64(struct str text, int64_t *ret);

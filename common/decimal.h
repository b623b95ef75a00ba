#pragma once
/*
 * Prices: an int64 in units of 1e-9 (Avro decimal(19,9), the vendor's own
 * scale). Text becomes such a number, and back, without any binary float.
 */
#include <stdint.h>

#include "common/err.h"
#include "common/str.h"

#define DECIMAL_SCALE 9
#define DECIMAL_ONE INT64_C(1000000000)
#define DECIMAL_TEXT_MAX 24 /* bytes with NUL: sign, 10 digits, point, 9 digits */

/*
 * Parses "-12.5", "12", "1e-3". ERR_RECORD where the text is no number, has
 * more than nine places that matter, or does not fit.
 */
int decimal_parse(struct str text, int64_t *ret_value, struct err *err);

/* The shortest exact text: 3702.75, -37.63, 0. Returns its length. */
unsigned decimal_format(int64_t value, char text[DECIMAL_TEXT_MAX]);

#define DECIMAL_NUMERIC_MAX 28 /* bytes: head and ten digits */

/*
 * coefficient * 10^exponent as PostgreSQL's binary NUMERIC, without the
 * field's length word: int16 digit count, weight, sign, display scale, then
 * base-10000 digits (src/backend/utils/adt/numeric.c, numeric_send). Exponent
 * is between -18 and 18. Returns the number of bytes.
 */
unsigned decimal_numeric(int64_t coefficient, int exponent, uint8_t out[DECIMAL_NUMERIC_MAX]);

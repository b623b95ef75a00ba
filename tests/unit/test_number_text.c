/* number_text: text to prices and quantities. Vectors made by Python's decimal and numpy are in tests/stage/test_numbers.py. */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/decimal.h"
#include "common/number_text.h"

#define COUNT(a) (sizeof(a) / sizeof(*(a)))

static void prices(void **state)
{
	static const struct {
		const char *text;
		enum number_kind kind;
		int64_t price;
		bool rounded;
	} cases[] = {
		{ "3702.750000000", NUMBER_EXACT, INT64_C(3702750000000), false },
		{ "-37.63", NUMBER_EXACT, -INT64_C(37630000000), false },
		{ "+.5", NUMBER_EXACT, 500000000, false },
		{ "5.", NUMBER_EXACT, INT64_C(5000000000), false },
		{ "-0", NUMBER_EXACT, 0, false },
		{ "0e400", NUMBER_EXACT, 0, false },
		{ "1e9", NUMBER_EXACT, INT64_C(1000000000000000000), false },
		{ "12e-10", NUMBER_EXACT, 0, true }, /* refused: see below */
		{ "10e-10", NUMBER_EXACT, 1, false },
		{ "00000000000000000000000000000000001", NUMBER_EXACT, 1000000000, false },
		{ "1.00000000000000000000000000000000", NUMBER_EXACT, 1000000000, false },
		{ "100000000000000000000000000000e-29", NUMBER_EXACT, 1000000000, false },
		{ "0.00000000000000000000000000001e29", NUMBER_EXACT, 1000000000, false },
		{ "9223372036.854775807", NUMBER_EXACT, INT64_MAX, false },
		{ "-9223372036.854775807", NUMBER_EXACT, -INT64_MAX, false },
		{ "1286.5699462890625", NUMBER_FLOAT32, INT64_C(1286570000000), true },
		{ "1286.57", NUMBER_FLOAT32, INT64_C(1286570000000), false },
		{ "1286.570000000", NUMBER_FLOAT32, INT64_C(1286570000000), false },
		{ "0.30000000000000004", NUMBER_FLOAT64, 300000000, true },
		{ "0.1", NUMBER_FLOAT64, 100000000, false },
		{ "0.1000000000000000055511151231257827021181583404541015625", NUMBER_FLOAT64, 100000000, true },
		{ "0.1000000000000000055511151231257827021181583404541015625", NUMBER_FLOAT32, 100000000, true },
		{ "0.0000000005", NUMBER_FLOAT64, 0, true }, /* half, to even */
		{ "0.0000000015", NUMBER_FLOAT64, 2, true },
		{ "0.0000000025", NUMBER_FLOAT64, 2, true },
		{ "-0.0000000015", NUMBER_FLOAT64, -2, true },
		{ "4.9e-324", NUMBER_FLOAT64, 0, true },
		{ "16777217", NUMBER_FLOAT32, INT64_C(16777216000000000), true },
	};

	(void)state;
	for (unsigned i = 0; i < COUNT(cases); i++) {
		struct err err = ERR_INIT;
		int64_t price = 0;
		bool rounded = false;
		int r = number_text_price(str_of(cases[i].text), cases[i].kind, &price, &rounded, &err);

		if (cases[i].kind == NUMBER_EXACT && cases[i].rounded) {
			assert_int_equal(r, -1);
			continue;
		}
		if (r || price != cases[i].price || rounded != cases[i].rounded)
			fail_msg("%s: %" PRId64 "%s %s", cases[i].text, price, rounded ? " rounded" : "", err.text);
	}
}

static void refused(void **state)
{
	static const char *const never[] = { "",
					     " ",
					     "-",
					     "+",
					     ".",
					     "e5",
					     "-.e1",
					     "1e",
					     "1e+",
					     "1 ",
					     " 1",
					     "1,5",
					     "0x10",
					     "nan",
					     "inf",
					     "1.2.3",
					     "--1",
					     "1e5.0",
					     "1e400",
					     "-1e400",
					     "9223373000",
					     "1e19",
					     "1e99999999999999999999",
					     "1_000",
					     "\xff\xfe" };
	static const char *const exact_only[] = { "1286.5699462890625", "0.0000000001", "1.0000000000001", "1e-400" };

	(void)state;
	for (unsigned i = 0; i < COUNT(never); i++)
		for (int kind = NUMBER_EXACT; kind <= NUMBER_FLOAT64; kind++) {
			struct err err = ERR_INIT;
			int64_t price;
			bool rounded;

			if (number_text_price(str_of(never[i]), (enum number_kind)kind, &price, &rounded, &err) == 0)
				fail_msg("'%s' passed", never[i]);
			assert_int_equal(err.kind, ERR_RECORD);
			assert_true(str_is_text(str_of(err.text)));
		}
	for (unsigned i = 0; i < COUNT(exact_only); i++) {
		struct err err = ERR_INIT;
		int64_t price;
		bool rounded = false;

		assert_int_equal(number_text_price(str_of(exact_only[i]), NUMBER_EXACT, &price, &rounded, &err), -1);
		assert_non_null(strstr(err.text, "not exact in a decimal(19,9)"));
		assert_int_equal(number_text_price(str_of(exact_only[i]), NUMBER_FLOAT64, &price, &rounded, &err), 0);
		assert_true(rounded);
	}
}

static void quantities(void **state)
{
	static const struct {
		const char *text;
		int64_t coefficient;
		int32_t exponent;
	} cases[] = {
		{ "205", 205, 0 },
		{ "205.0", 205, 0 },
		{ "2050", 2050, 0 },
		{ "2300413.7295", INT64_C(23004137295), -4 },
		{ "0.000000000000000001", 1, -18 },
		{ "0.00", 0, 0 },
		{ "0e-30", 0, 0 },
		{ "-1.50", -15, -1 },
		{ "9223372036854775807", INT64_MAX, 0 },
		{ "9223372036854775810", INT64_C(922337203685477581), 1 },
		{ "1e30", 0, 0 }, /* refused: its coefficient is 1, its exponent 30 */
		{ "1e18", INT64_C(1000000000000000000), 0 },
		{ "12e18", 12, 18 },
		{ "1.2e19", 12, 18 },
	};

	(void)state;
	for (unsigned i = 0; i < COUNT(cases); i++) {
		struct err err = ERR_INIT;
		int64_t coefficient = 0;
		int32_t exponent = 0;
		bool rounded = false;

		if (number_text_quantity(str_of(cases[i].text), NUMBER_EXACT, &coefficient, &exponent, &rounded,
					 &err)) {
			assert_string_equal(cases[i].text, "1e30");
			continue;
		}
		if (coefficient != cases[i].coefficient || exponent != cases[i].exponent || rounded)
			fail_msg("%s: %" PRId64 "e%d", cases[i].text, coefficient, exponent);
	}
}

static void quantities_of_floats(void **state)
{
	struct err err = ERR_INIT;
	int64_t coefficient;
	int32_t exponent;
	bool rounded = false;

	(void)state;
	assert_int_equal(number_text_quantity(STR_LIT("0.100000001490116119384765625"), NUMBER_FLOAT32, &coefficient,
					      &exponent, &rounded, &err),
			 0);
	assert_int_equal(coefficient, 1);
	assert_int_equal(exponent, -1);
	assert_true(rounded);
	rounded = false;
	assert_int_equal(
		number_text_quantity(STR_LIT("1e-30"), NUMBER_FLOAT64, &coefficient, &exponent, &rounded, &err), 0);
	assert_int_equal(coefficient, 0);
	assert_int_equal(exponent, 0);
	assert_true(rounded);
}

static uint64_t next_random(uint64_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return *seed;
}

/* Every price has a text, and every text of it is that price again. */
static void prices_come_back(void **state)
{
	uint64_t seed = 88172645463325252ULL;

	(void)state;
	for (unsigned i = 0; i < 200000; i++) {
		int64_t value = (int64_t)(next_random(&seed) >> (next_random(&seed) % 63 + 1)), back = 0;
		char text[DECIMAL_TEXT_MAX], scaled[48];
		int shift = (int)(next_random(&seed) % 40) - 20;
		struct err err = ERR_INIT;
		bool rounded = false;

		value = next_random(&seed) & 1 ? -value : value;
		decimal_format(value, text);
		assert_int_equal(number_text_price(str_of(text), NUMBER_EXACT, &back, &rounded, &err), 0);
		assert_true(back == value);
		snprintf(scaled, sizeof(scaled), "%" PRId64 "%.*se%d", value, shift > 0 ? shift : 0,
			 "00000000000000000000", -9 - (shift > 0 ? shift : 0));
		assert_int_equal(number_text_price(str_of(scaled), NUMBER_EXACT, &back, &rounded, &err), 0);
		assert_true(back == value);
	}
}

/* Of a float64 with few digits: the text of its 17 comes back to them. */
static void floats_come_back(void **state)
{
	uint64_t seed = 2463534242ULL;

	(void)state;
	for (unsigned i = 0; i < 100000; i++) {
		uint64_t cents = next_random(&seed) % 1000000000;
		bool narrow = i % 2, rounded = false;
		char text[64];
		int64_t price;
		struct err err = ERR_INIT;

		cents = narrow ? cents % 1000000 : cents;
		snprintf(text, sizeof(text), "%.20f", narrow ? (double)((float)cents / 100.0f) : (double)cents / 100.0);
		assert_int_equal(number_text_price(str_of(text), narrow ? NUMBER_FLOAT32 : NUMBER_FLOAT64, &price,
						   &rounded, &err),
				 0);
		assert_true(price == (int64_t)cents * 10000000);
	}
}

static void integers(void **state)
{
	uint64_t u;
	int64_t i;

	(void)state;
	assert_true(number_text_u64(STR_LIT("18446744073709551615"), &u) && u == UINT64_MAX);
	assert_false(number_text_u64(STR_LIT("18446744073709551616"), &u));
	assert_false(number_text_u64(STR_LIT(""), &u));
	assert_false(number_text_u64(STR_LIT("+1"), &u));
	assert_true(number_text_i64(STR_LIT("-9223372036854775808"), &i) && i == INT64_MIN);
	assert_true(number_text_i64(STR_LIT("9223372036854775807"), &i) && i == INT64_MAX);
	assert_false(number_text_i64(STR_LIT("9223372036854775808"), &i));
	assert_false(number_text_i64(STR_LIT("-9223372036854775809"), &i));
	assert_false(number_text_i64(STR_LIT("-"), &i));
}

static void shown(void **state)
{
	char out[STR_SHOWN_MAX], big[200];

	(void)state;
	assert_string_equal(str_show(STR_LIT("1,5"), out), "1,5");
	assert_string_equal(str_show(STR_LIT("\xff\n"), out), "\\xff\\x0a");
	memset(big, 0xee, sizeof(big));
	str_show((struct str){ big, sizeof(big) }, out);
	assert_string_equal(out + strlen(out) - 3, "...");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(prices),           cmocka_unit_test(refused),
		cmocka_unit_test(quantities),       cmocka_unit_test(quantities_of_floats),
		cmocka_unit_test(prices_come_back), cmocka_unit_test(floats_come_back),
		cmocka_unit_test(integers),         cmocka_unit_test(shown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

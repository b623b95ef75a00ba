/* decimal, clock, buf, str, json_out, bytes */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/bytes.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "common/decimal.h"
#include "common/json_out.h"

/* --- decimal --------------------------------------------------------------------------------------------------------- */

static void decimal_text_round_trips(void **state)
{
	static const struct {
		const char *text;
		int64_t value;
	} cases[] = {
		{ "0", 0 },
		{ "3702.75", INT64_C(3702750000000) },
		{ "-37.63", -INT64_C(37630000000) },
		{ "0.000000001", 1 },
		{ "-0.000000001", -1 },
		{ "9223372036.854775807", INT64_MAX },
		{ "-9223372036.854775807", -INT64_MAX },
	};
	char text[DECIMAL_TEXT_MAX];
	struct err err = ERR_INIT;
	int64_t value;

	(void)state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		assert_int_equal(decimal_parse(str_of(cases[i].text), &value, &err), 0);
		assert_int_equal(value, cases[i].value);
		decimal_format(value, text);
		assert_string_equal(text, cases[i].text);
	}
	decimal_format(INT64_MIN, text);
	assert_string_equal(text, "-9223372036.854775808");
}

static void decimal_reads_other_spellings(void **state)
{
	static const struct {
		const char *text;
		int64_t value;
	} cases[] = {
		{ "1e3", INT64_C(1000000000000) },
		{ "1E-9", 1 },
		{ "+2.50", INT64_C(2500000000) },
		{ "12.3400000000000", INT64_C(12340000000) },
		{ "0e400", 0 },
		{ ".5", INT64_C(500000000) },
	};
	struct err err = ERR_INIT;
	int64_t value;

	(void)state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		assert_int_equal(decimal_parse(str_of(cases[i].text), &value, &err), 0);
		assert_int_equal(value, cases[i].value);
	}
}

static void decimal_refuses_what_is_not_exact(void **state)
{
	static const char *const cases[] = { "",
					     "-",
					     ".",
					     "abc",
					     "1e",
					     "1e400",
					     "0.0000000001",
					     "1286.5699462890625",
					     "9223372036.854775808",
					     "1 ",
					     "0x10",
					     "1.2.3",
					     "99999999999999999999" };
	struct err err;
	int64_t value;

	(void)state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		err_clear(&err);
		assert_int_equal(decimal_parse(str_of(cases[i]), &value, &err), -1);
		assert_int_equal(err.kind, ERR_RECORD);
	}
}

/* Digits as PostgreSQL's numeric_send writes them, taken from `SELECT numeric_send(…)` of PostgreSQL 15. */
static void numeric_is_postgresqls(void **state)
{
	static const struct {
		int64_t coefficient;
		int exponent;
		const char *hex;
	} cases[] = {
		{ 0, -9, "0000000000000009" },
		{ INT64_C(3702750000000), -9, "00020000000000090e761d4c" },
		{ -1, -9, "0001fffd4000000903e8" },
		{ 306, 0, "00010000000000000132" },
		{ 718174, 0, "000200010000000000471fee" },
		{ INT64_C(10000), 0, "00010001000000000001" },
		{ 5, 2, "000100000000000001f4" },
		{ INT64_MAX, 0, "0005000400000000039a0d2c0170156516af" },
	};
	uint8_t out[DECIMAL_NUMERIC_MAX];
	char hex[2 * DECIMAL_NUMERIC_MAX + 1];

	(void)state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		unsigned n = decimal_numeric(cases[i].coefficient, cases[i].exponent, out);

		for (unsigned k = 0; k < n; k++)
			snprintf(hex + 2 * k, 3, "%02x", out[k]);
		assert_string_equal(hex, cases[i].hex);
	}
}

/* --- clock ----------------------------------------------------------------------------------------------------------- */

static void clock_text_round_trips(void **state)
{
	static const char *const cases[] = { "2020-12-28T13:00:00.000000000Z", "1969-12-31T23:59:59.999999999Z",
					     "2024-02-29T00:00:00.000000001Z", "2262-04-11T23:47:16.854775807Z" };
	char text[CLOCK_TEXT_MAX];
	int64_t ns;

	(void)state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		assert_true(clock_parse(str_of(cases[i]), &ns));
		clock_format(ns, 9, text);
		assert_string_equal(text, cases[i]);
	}
	assert_true(clock_parse(str_of("2024-01-31"), &ns));
	assert_int_equal(ns, INT64_C(1706659200) * NS_PER_SECOND);
}

/* Whatever an integer of a record is: the day of the least time begins before it. */
static void clock_shows_every_time(void **state)
{
	char text[CLOCK_TEXT_MAX];

	(void)state;
	clock_format(INT64_MIN, 9, text);
	assert_string_equal(text, "1677-09-21T00:12:43.145224192Z");
	clock_format(INT64_MAX, 9, text);
	assert_string_equal(text, "2262-04-11T23:47:16.854775807Z");
}

static void clock_refuses_what_is_no_time(void **state)
{
	static const char *const cases[] = { "",
					     "2024",
					     "2023-02-29",
					     "2024-13-01",
					     "2024-01-31T24:00:00",
					     "2024-01-31x",
					     "2024-01-31T10:00",
					     "9999-01-01" };
	int64_t ns;

	(void)state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		assert_false(clock_parse(str_of(cases[i]), &ns));
}

static void days_and_dates_agree_over_four_centuries(void **state)
{
	(void)state;
	for (int32_t day = -146097; day < 146097; day++)
		assert_int_equal(clock_days(clock_civil(day)), day);
}

/* --- buf, str, bytes ------------------------------------------------------------------------------------------------- */

static void a_buffer_stops_at_its_maximum(void **state)
{
	CLEANUP(buf_release) struct buf buf = BUF_INIT(10);

	(void)state;
	buf_put_text(&buf, "12345");
	buf_put_text(&buf, "67890x");
	assert_true(buf.overflow);
	assert_string_equal(buf_text(&buf), "12345");
	buf_reset(&buf);
	buf_put_text(&buf, "1234567890");
	assert_false(buf.overflow);
}

static void text_is_utf8_without_nul(void **state)
{
	(void)state;
	assert_true(str_is_text(str_of("AAPL  250221C00250000")));
	assert_true(str_is_text(str_of("\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80")));
	assert_false(str_is_text((struct str){ "a\0b", 3 }));
	assert_false(str_is_text(str_of("\xC0\x80")));         /* overlong */
	assert_false(str_is_text(str_of("\xED\xA0\x80")));     /* surrogate */
	assert_false(str_is_text(str_of("\xF4\x90\x80\x80"))); /* above U+10FFFF */
	assert_false(str_is_text(str_of("\xE2\x82")));         /* cut short */
}

static void a_cursor_never_leaves_its_bytes(void **state)
{
	static const uint8_t data[] = { 1, 2, 3 };
	struct bytes b = bytes_of(data, sizeof(data));

	(void)state;
	assert_int_equal(bytes_le16(&b), 0x0201);
	assert_int_equal(bytes_le32(&b), 0);
	assert_true(b.failed);
	assert_null(bytes_take(&b, 1));
}

/* --- json ------------------------------------------------------------------------------------------------------------ */

static void json_always_parses(void **state)
{
	CLEANUP(buf_release) struct buf buf = BUF_INIT(1000);
	struct json_out out = JSON_OUT(&buf);

	(void)state;
	json_put_open(&out, '{');
	json_put_key(&out, "a");
	json_put_str(&out, (struct str){ "q\"\\\n\x01\0\xFF\xE2\x82\xAC", 10 });
	json_put_key(&out, "b");
	json_put_open(&out, '[');
	json_put_int(&out, -1);
	json_put_bool(&out, true);
	json_put_null(&out);
	json_put_decimal(&out, 1);
	json_put_close(&out, ']');
	json_put_close(&out, '}');
	assert_string_equal(buf_text(&buf), "{\"a\":\"q\\\"\\\\\\n\\u0001\xEF\xBF\xBD\xEF\xBF\xBD\xE2\x82\xAC\","
					    "\"b\":[-1,true,null,\"0.000000001\"]}");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(decimal_text_round_trips),
		cmocka_unit_test(decimal_reads_other_spellings),
		cmocka_unit_test(decimal_refuses_what_is_not_exact),
		cmocka_unit_test(numeric_is_postgresqls),
		cmocka_unit_test(clock_text_round_trips),
		cmocka_unit_test(clock_shows_every_time),
		cmocka_unit_test(clock_refuses_what_is_no_time),
		cmocka_unit_test(days_and_dates_agree_over_four_centuries),
		cmocka_unit_test(a_buffer_stops_at_its_maximum),
		cmocka_unit_test(text_is_utf8_without_nul),
		cmocka_unit_test(a_cursor_never_leaves_its_bytes),
		cmocka_unit_test(json_always_parses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

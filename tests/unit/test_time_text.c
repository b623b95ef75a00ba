#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include "common/clock.h"
#include "common/time_text.h"

#define COUNT(a) (sizeof(a) / sizeof(*(a)))

static struct time_format open_format(const char *format, const char *zone, const char *twice)
{
	struct time_format opened;
	struct err err = ERR_INIT;

	if (time_format_open(&opened, format, zone, twice, &err))
		fail_msg("%s", err.text);
	return opened;
}

/* `utc` NULL: refused, with `why`. */
struct time_case {
	const char *format, *zone, *twice, *text, *utc, *why;
};

static void check(const struct time_case *c)
{
	struct time_format format = open_format(c->format, c->zone, c->twice);
	struct err err = ERR_INIT;
	int64_t ns = 0;
	char text[CLOCK_TEXT_MAX];

	if (time_text_parse(&format, str_of(c->text), &ns, &err)) {
		assert_int_equal(err.kind, ERR_RECORD);
		if (c->utc || !strstr(err.text, c->why))
			fail_msg("'%s': %s", c->text, err.text);
	} else {
		clock_format(ns, 9, text);
		if (!c->utc || strcmp(text, c->utc) != 0)
			fail_msg("'%s' became %s", c->text, text);
	}
	time_format_release(&format);
}

static void times(void **state)
{
	static const char ny[] = "America/New_York";
	static const struct time_case cases[] = {
		{ "", "", "", "2020-12-28T00:01:02.000000003Z", "2020-12-28T00:01:02.000000003Z", "" },
		{ "iso", "", "", "2021-12-31 23:01:00.000000", "2021-12-31T23:01:00.000000000Z", "" },
		{ "iso", "", "", "2012-02-01 00:00:00+00:00", "2012-02-01T00:00:00.000000000Z", "" },
		{ "iso", "", "", "2012-02-01 00:00-05:30", "2012-02-01T05:30:00.000000000Z", "" },
		{ "iso", ny, "", "2012-02-01 00:00:00+09", "2012-01-31T15:00:00.000000000Z", "" },
		{ "iso", "", "", "2012-02-01 00:00:00.5+0900", "2012-01-31T15:00:00.500000000Z", "" },
		{ "iso", "", "", "2024-02-29", "2024-02-29T00:00:00.000000000Z", "" },
		{ "iso", "", "", "1969-12-31T23:59:59.999999999Z", "1969-12-31T23:59:59.999999999Z", "" },
		{ "iso", ny, "", "2024-02-29", "2024-02-29T00:00:00.000000000Z", "" }, /* a day, not an instant */
		{ "iso", ny, "", "2024-01-02 09:30", "2024-01-02T14:30:00.000000000Z", "" },
		{ "iso", ny, "", "2024-07-02 09:30:00.25", "2024-07-02T13:30:00.250000000Z", "" },
		{ "iso", "", "", "2024-01-02 09:30:00.1234567890", "2024-01-02T09:30:00.123456789Z", "" },
		{ "iso", "", "", "2024-01-02 09:30:00.1234567891", NULL, "format" },
		{ "iso", "", "", "2023-02-29", NULL, "calendar" },
		{ "iso", "", "", "2024-13-01", NULL, "calendar" },
		{ "iso", "", "", "2024-01-01 24:00", NULL, "calendar" },
		{ "iso", "", "", "2024-01-01 23:59:60", NULL, "calendar" },
		{ "iso", "", "", "", NULL, "format" },
		{ "iso", "", "", "2024-01-01T", NULL, "format" },
		{ "iso", "", "", "2024-01-01 00:00:00 ", NULL, "format" },
		{ "iso", "", "", "2024-01-01 00:00:00.Z", NULL, "format" },
		{ "iso", "", "", "2024-01-01 00:00+24:00", NULL, "format" },
		{ "iso", "", "", "9999-01-01", NULL, "64 bits" },
		{ "iso", "", "", "0001-01-01", NULL, "64 bits" },
		{ "iso", "", "", "\xff\xff", NULL, "\\xff" },
		{ "iso", ny, "", "2024-03-10 02:30", NULL, "skipped" },
		{ "iso", ny, "first", "2024-03-10 02:00", NULL, "skipped" },
		{ "iso", ny, "", "2024-03-10 01:59:59", "2024-03-10T06:59:59.000000000Z", "" },
		{ "iso", ny, "", "2024-03-10 03:00", "2024-03-10T07:00:00.000000000Z", "" },
		{ "iso", ny, "", "2024-11-03 01:30", NULL, "twice" },
		{ "iso", ny, "first", "2024-11-03 01:30", "2024-11-03T05:30:00.000000000Z", "" },
		{ "iso", ny, "second", "2024-11-03 01:30", "2024-11-03T06:30:00.000000000Z", "" },
		{ "iso", ny, "", "2024-11-03 01:30-05:00", "2024-11-03T06:30:00.000000000Z", "" },
		{ "iso", ny, "", "2024-11-03 00:59:59", "2024-11-03T04:59:59.000000000Z", "" },
		{ "iso", ny, "", "2024-11-03 02:00", "2024-11-03T07:00:00.000000000Z", "" },
		{ "s", "", "", "1609113600", "2020-12-28T00:00:00.000000000Z", "" },
		{ "s", ny, "", "1609113600.25", "2020-12-28T00:00:00.250000000Z", "" },
		{ "s", "", "", "-1", "1969-12-31T23:59:59.000000000Z", "" },
		{ "ms", "", "", "1609113600001", "2020-12-28T00:00:00.001000000Z", "" },
		{ "us", "", "", "1609113600000001", "2020-12-28T00:00:00.000001000Z", "" },
		{ "ns", "", "", "1609113600000000001", "2020-12-28T00:00:00.000000001Z", "" },
		{ "ns", "", "", "0.5", NULL, "finer" },
		{ "s", "", "", "1609113600000", NULL, "64 bits" }, /* milliseconds taken for seconds */
		{ "s", "", "", "today", NULL, "number" },
		{ "%Y%m%d", "Asia/Seoul", "", "20240102", "2024-01-02T00:00:00.000000000Z", "" },
		{ "%Y%m%d %H%M", "Asia/Seoul", "", "20240102 0900", "2024-01-02T00:00:00.000000000Z", "" },
		{ "%d.%m.%Y %H:%M:%S.%f", "Europe/Berlin", "", "02.01.2024 09:00:00.000",
		  "2024-01-02T08:00:00.000000000Z", "" },
		{ "%m/%d/%y %I:%M %p", "", "", "1/2/24 9:05 pm", "2024-01-02T21:05:00.000000000Z", "" },
		{ "%m/%d/%y %I:%M %p", "", "", "12/31/69 12:05 AM", "1969-12-31T00:05:00.000000000Z", "" },
		{ "%d-%b-%Y", "", "", "03-Nov-2024", "2024-11-03T00:00:00.000000000Z", "" },
		{ "%b %d, %Y", "", "", "September 3, 2024", "2024-09-03T00:00:00.000000000Z", "" },
		{ "%Y%m%dT%H%M%S%z", "", "", "20240102T090000+0900", "2024-01-02T00:00:00.000000000Z", "" },
		{ "%d%%%m%%%Y", "", "", "1%2%2024", "2024-02-01T00:00:00.000000000Z", "" },
		{ "%Y%m%d", "", "", "2024010", "2024-01-00T", "" },
		{ "%Y%m%d", "", "", "20240102x", NULL, "format" },
		{ "%I %p %Y%m%d", "", "", "13 PM 20240102", NULL, "format" },
	};

	(void)state;
	for (unsigned i = 0; i < COUNT(cases); i++)
		if (cases[i].utc && strlen(cases[i].utc) < 20) { /* day 0: no such date */
			struct time_case c = cases[i];

			c.utc = NULL;
			c.why = "calendar";
			check(&c);
		} else {
			check(&cases[i]);
		}
}

static void formats_refused(void **state)
{
	static const struct {
		const char *format, *zone, *twice, *why;
	} cases[] = {
		{ "epoch", "", "", "none of iso" },
		{ "%Y-%m-%q", "", "", "%q" },
		{ "%Y-%m", "", "", "lacks a day" },
		{ "%H:%M", "", "", "lacks a year" },
		{ "%Y%d", "", "", "lacks a month" },
		{ "%Y%m%d %M", "", "", "lacks an hour" },
		{ "%Y%m%d%", "", "", "% " },
		{ "%Y%m%d%b", "", "", "again" },
		{ "", "Mars/Olympus", "", "Mars" },
		{ "", "", "third", "time_twice 'third'" },
		{ "", "../../etc/passwd", "", "passwd" },
	};

	(void)state;
	for (unsigned i = 0; i < COUNT(cases); i++) {
		struct time_format format = TIME_FORMAT_INIT;
		struct err err = ERR_INIT;

		assert_int_equal(time_format_open(&format, cases[i].format, cases[i].zone, cases[i].twice, &err), -1);
		assert_int_equal(err.kind, ERR_RECORD);
		if (!strstr(err.text, cases[i].why))
			fail_msg("'%s': %s", cases[i].format, err.text);
	}
}

/* Each instant, as its zone's clocks show it, comes back; where they show it twice, as one of both. */
static void zones_come_back(void **state)
{
	static const char *const zones[] = { "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata",
					     "Africa/Casablanca" };

	(void)state;
	for (unsigned z = 0; z < COUNT(zones); z++) {
		struct time_format first = open_format("%Y-%m-%dT%H:%M:%S.%fZ", zones[z], "first");
		struct time_format second = open_format("%Y-%m-%dT%H:%M:%S.%fZ", zones[z], "second");

		for (int64_t utc = 1704067200; utc < 1704067200 + 366 * 86400; utc += 900) {
			char text[CLOCK_TEXT_MAX];
			int64_t a, b;
			struct err err = ERR_INIT;

			clock_format(tz_local(first.zone, utc) * NS_PER_SECOND, 9, text);
			assert_int_equal(time_text_parse(&first, str_of(text), &a, &err), 0);
			assert_int_equal(time_text_parse(&second, str_of(text), &b, &err), 0);
			assert_true(a == utc * NS_PER_SECOND || b == utc * NS_PER_SECOND);
			assert_true(a <= b);
		}
		time_format_release(&first);
		time_format_release(&second);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(times),
		cmocka_unit_test(formats_refused),
		cmocka_unit_test(zones_come_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

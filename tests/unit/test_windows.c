/* A vendor's time cut into windows, what of a window was fetched, and what a quote costs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "common/buf.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "common/mem.h"
#include "stages/orchestrator/quotes.h"
#include "stages/orchestrator/windows.h"

static int64_t at(const char *text)
{
	int64_t ns;

	assert_true(clock_parse(str_of(text), &ns));
	return ns;
}

static int32_t day(const char *text)
{
	return clock_day_of(at(text));
}

static void expect_next(enum window_chunk chunk, const char *from, const char *next)
{
	char text[CLOCK_TEXT_MAX];

	clock_format_date(window_next(chunk, day(from)), text);
	assert_string_equal(text, next);
}

static void test_chunks(void **state)
{
	(void)state;
	expect_next(CHUNK_DAY, "2024-02-28", "2024-02-29");
	expect_next(CHUNK_WEEK, "2024-01-01", "2024-01-08"); /* a Monday */
	expect_next(CHUNK_WEEK, "2024-01-07", "2024-01-08");
	expect_next(CHUNK_WEEK, "1970-01-01", "1970-01-05");
	expect_next(CHUNK_WEEK, "1970-01-05", "1970-01-12");
	expect_next(CHUNK_MONTH, "2024-02-01", "2024-03-01");
	expect_next(CHUNK_MONTH, "2024-02-29", "2024-03-01");
	expect_next(CHUNK_MONTH, "2023-12-31", "2024-01-01");
	expect_next(CHUNK_YEAR, "2024-01-01", "2025-01-01");
	expect_next(CHUNK_YEAR, "2024-12-31", "2025-01-01");
}

/* --- cutting ----------------------------------------------------------------------------------------------------------- */

static char *in_short(int64_t ns)
{
	char text[CLOCK_TEXT_MAX];

	clock_format(ns, 0, text);
	return mem_strndup(text, ns % NS_PER_DAY ? strlen(text) : strlen("2024-01-01"));
}

/* "start..end", and "/until" where the vendor's data ends before it. */
static void print_window(struct buf *out, const struct window *w)
{
	CLEANUP(freep) char *start = in_short(w->start), *end = in_short(w->end), *until = in_short(w->until);

	buf_printf(out, "%s%s..%s", out->len ? " " : "", start, end);
	if (w->until != w->end)
		buf_printf(out, "/%s", until);
}

/* `lacking`: which of the days are to be fetched, by a function of the day; NULL: all. */
static void expect_cut(const char *start, const char *end, const char *until, enum window_chunk chunk,
		       bool (*lacking)(int32_t), const char *expected)
{
	const struct window bounds = { at(start), at(end), at(until) };
	CLEANUP(buf_release) struct buf found = BUF_INIT(10000);
	int32_t first = clock_day_of(bounds.start), last = clock_day_of(bounds.until - 1);
	CLEANUP(freep) int32_t *days = mem_zalloc((size_t)(last - first + 1), sizeof(*days));
	CLEANUP(freep) struct window *windows = mem_zalloc((size_t)(last - first + 1), sizeof(*windows));
	unsigned count = 0, n;

	for (int32_t d = first; d <= last; d++)
		if (!lacking || lacking(d))
			days[count++] = d;
	n = windows_cut(&bounds, chunk, days, count, windows);
	for (unsigned i = 0; i < n; i++)
		print_window(&found, &windows[i]);
	assert_string_equal(buf_text(&found), expected);
}

static void test_cuts_at_boundaries(void **state)
{
	(void)state;
	expect_cut("2024-01-15", "2024-04-01", "2024-04-01", CHUNK_MONTH, NULL,
		   "2024-01-15..2024-02-01 2024-02-01..2024-03-01 2024-03-01..2024-04-01");
	expect_cut("2024-02-28", "2024-03-02", "2024-03-02", CHUNK_DAY, NULL,
		   "2024-02-28..2024-02-29 2024-02-29..2024-03-01 2024-03-01..2024-03-02");
	expect_cut("2024-02-28", "2024-03-12", "2024-03-12", CHUNK_WEEK, NULL,
		   "2024-02-28..2024-03-04 2024-03-04..2024-03-11 2024-03-11..2024-03-12");
	expect_cut("2023-07-01", "2025-01-02", "2025-01-02", CHUNK_YEAR, NULL,
		   "2023-07-01..2024-01-01 2024-01-01..2025-01-01 2025-01-01..2025-01-02");
	/* On the day that New York changes its clocks, a day has 24 hours all the same. */
	expect_cut("2024-03-10", "2024-03-12", "2024-03-12", CHUNK_DAY, NULL,
		   "2024-03-10..2024-03-11 2024-03-11..2024-03-12");
}

static void test_cuts_within_days(void **state)
{
	(void)state;
	expect_cut("2024-01-31T12:00:00", "2024-02-01T06:00:00", "2024-02-01T06:00:00", CHUNK_MONTH, NULL,
		   "2024-01-31T12:00:00Z..2024-02-01 2024-02-01..2024-02-01T06:00:00Z");
	expect_cut("2024-01-31T12:00:00", "2024-01-31T12:00:01", "2024-01-31T12:00:01", CHUNK_YEAR, NULL,
		   "2024-01-31T12:00:00Z..2024-01-31T12:00:01Z");
}

/* What lies behind the vendor's data is no window; the last one tells where it would have ended. */
static void test_cuts_where_the_data_ends(void **state)
{
	(void)state;
	expect_cut("2024-01-15", "2024-02-10T08:00:00", "2024-04-01", CHUNK_MONTH, NULL,
		   "2024-01-15..2024-02-01 2024-02-01..2024-02-10T08:00:00Z/2024-03-01");
	expect_cut("2024-01-15", "2024-02-01", "2024-02-20", CHUNK_MONTH, NULL, "2024-01-15..2024-02-01");
	expect_cut("2024-01-15", "2024-01-15", "2024-02-20", CHUNK_MONTH, NULL, "");
	expect_cut("2024-01-15", "2024-01-01", "2024-02-20", CHUNK_DAY, NULL, "");
	expect_cut("2024-01-15", "2024-01-16T01:00:00", "2024-01-19", CHUNK_DAY, NULL,
		   "2024-01-15..2024-01-16 2024-01-16..2024-01-16T01:00:00Z/2024-01-17");
}

static bool on_weekdays(int32_t d)
{
	return (d + 3) % 7 < 5;
}

static bool on_the_17th(int32_t d)
{
	return clock_civil(d).day == 17;
}

static bool never(int32_t d)
{
	return d < 0;
}

static void test_cuts_around_what_is_covered(void **state)
{
	(void)state;
	expect_cut("2024-01-29", "2024-02-13", "2024-02-13", CHUNK_MONTH, on_weekdays,
		   "2024-01-29..2024-02-01 2024-02-01..2024-02-03 2024-02-05..2024-02-10 2024-02-12..2024-02-13");
	expect_cut("2024-01-01", "2024-03-01", "2024-03-01", CHUNK_YEAR, on_the_17th,
		   "2024-01-17..2024-01-18 2024-02-17..2024-02-18");
	expect_cut("2024-01-01", "2024-03-01", "2024-03-01", CHUNK_DAY, never, "");
}

/* --- what of a window was fetched -------------------------------------------------------------------------------------- */

static void expect_days(const char *end, const char *until, const char *covered, const char *full_to,
			const char *partial)
{
	const struct window w = { at("2024-01-10"), at(end), at(until) };
	struct window_days days = window_days(&w, at(covered));

	assert_int_equal(days.first, day("2024-01-10"));
	assert_int_equal(days.last, clock_day_of(w.until - 1));
	assert_int_equal(days.full_to, day(full_to));
	assert_int_equal(days.partial, partial ? day(partial) : days.last + 1);
}

static void test_days_of_a_window(void **state)
{
	(void)state;
	expect_days("2024-01-20", "2024-01-20", "2024-01-20", "2024-01-19", NULL);
	expect_days("2024-01-20", "2024-01-20", "2024-02-20", "2024-01-19", NULL);
	expect_days("2024-01-20", "2024-01-20", "2024-01-15", "2024-01-14", NULL);
	expect_days("2024-01-20", "2024-01-20", "2024-01-15T00:00:00.000000001", "2024-01-14", "2024-01-15");
	expect_days("2024-01-20", "2024-01-20", "2024-01-10", "2024-01-09", NULL);
	expect_days("2024-01-20", "2024-01-20", "2024-01-01", "2024-01-09", NULL);
	expect_days("2024-01-15T06:00:00", "2024-01-20", "2024-01-15T06:00:00", "2024-01-14", "2024-01-15");
	/* Nothing more of the last day was asked for. */
	expect_days("2024-01-15T06:00:00", "2024-01-15T06:00:00", "2024-01-15T06:00:00", "2024-01-15", NULL);
	expect_days("2024-01-15T06:00:00", "2024-01-15T06:00:00", "2024-01-15T05:00:00", "2024-01-14", "2024-01-15");
}

/* --- money ------------------------------------------------------------------------------------------------------------- */

static void expect_cost(const char *text, int64_t expected)
{
	int64_t cost;

	if (!quote_cost(str_of(text), &cost) || cost != expected)
		fail_msg("%s", text);
}

static void test_costs(void **state)
{
	static const char *const none[] = {
		"", "x", "-1", "-0.000000000001", "1e30", "99999999999", "1.2.3", " 1", "1 "
	};
	int64_t cost;

	(void)state;
	expect_cost("0", 0);
	expect_cost("5", INT64_C(5000000000));
	expect_cost("0.123456789", 123456789);
	expect_cost("1.2e-05", 12000);
	/* More places than nine: up, never down. */
	expect_cost("0.1234567890", 123456789);
	expect_cost("0.1234567891", 123456790);
	expect_cost("0.009870827198028564", 9870828);
	expect_cost("4.999999999999999999", INT64_C(5000000000));
	expect_cost("5.000000000000000000000000000001", INT64_C(5000000001));
	expect_cost("1e-300", 1);
	expect_cost("0e-300", 0);
	for (unsigned i = 0; i < sizeof(none) / sizeof(*none); i++)
		if (quote_cost(str_of(none[i]), &cost))
			fail_msg("'%s'", none[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_chunks),
		cmocka_unit_test(test_cuts_at_boundaries),
		cmocka_unit_test(test_cuts_within_days),
		cmocka_unit_test(test_cuts_where_the_data_ends),
		cmocka_unit_test(test_cuts_around_what_is_covered),
		cmocka_unit_test(test_days_of_a_window),
		cmocka_unit_test(test_costs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

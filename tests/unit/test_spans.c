/* Where rows of a series are far from each other. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "stages/loader/spans.h"

#define ROWS_MAX 200
#define MINUTE 60000000

static struct span_row rows[ROWS_MAX];
static struct span spans[ROWS_MAX];
static uint32_t row_count;

static int none(void **state)
{
	(void)state;
	row_count = 0;
	return 0;
}

/* So many of one series, a step apart. */
static void add(int64_t first, int64_t step, int count, bool begins)
{
	for (int i = 0; i < count; i++) {
		rows[row_count] = (struct span_row){ first + i * step, (int32_t)row_count, begins && i == 0, false };
		row_count++;
	}
}

static void check(uint32_t count, const uint32_t *sizes)
{
	int64_t steps[ROWS_MAX];
	uint32_t first = 0;

	assert_int_equal(spans_cut(rows, row_count, steps, spans), count);
	for (uint32_t i = 0; i < count; i++) {
		assert_int_equal(spans[i].first, first);
		assert_int_equal(spans[i].count, sizes[i]);
		for (uint32_t j = first + 1; j < first + sizes[i]; j++)
			assert_true(rows[j - 1].time <= rows[j].time);
		first += sizes[i];
	}
	assert_int_equal(first, row_count);
}

static void a_series_without_gaps_is_one(void **state)
{
	(void)state;
	add(0, MINUTE, 80, true);
	check(1, (uint32_t[]){ 80 });
}

static void series_are_apart(void **state)
{
	(void)state;
	add(0, MINUTE, 20, true);
	add(0, MINUTE, 30, true);
	check(2, (uint32_t[]){ 20, 30 });
}

static void files_that_are_read_at_a_time_are_apart(void **state)
{
	(void)state;
	for (int i = 0; i < 20; i++) /* one bar of each in turn */
		for (int64_t file = 0; file < 4; file++)
			add((file * 100000 + i) * MINUTE, 0, 1, i + file == 0);
	check(4, (uint32_t[]){ 20, 20, 20, 20 });
}

static void a_night_between_two_days_is_a_gap_and_a_missing_bar_is_none(void **state)
{
	(void)state;
	add(0, MINUTE, 40, true);
	add(42L * MINUTE, MINUTE, 40, false);
	add(1440L * MINUTE, MINUTE, 40, false);
	check(2, (uint32_t[]){ 80, 40 });
}

static void bursts_of_one_time_are_kept_together(void **state)
{
	(void)state;
	add(7, 0, 50, true);
	check(1, (uint32_t[]){ 50 });
}

static void a_few_rows_are_each_for_itself_unless_their_time_is_the_same(void **state)
{
	(void)state;
	add(5L * MINUTE, -MINUTE, 3, true);
	add(0, 0, 2, true);
	add(INT64_MIN / 4, INT64_MAX / 4, 3, true);
	check(7, (uint32_t[]){ 1, 1, 1, 2, 1, 1, 1 });
}

static void no_rows(void **state)
{
	(void)state;
	check(0, NULL);
}

static void the_first_row_that_is_not_before_a_time(void **state)
{
	(void)state;
	add(10, 10, 3, true);
	add(30, 0, 2, false);
	assert_ptr_equal(span_row_at(rows, row_count, 0), rows);
	assert_ptr_equal(span_row_at(rows, row_count, 20), rows + 1);
	assert_ptr_equal(span_row_at(rows, row_count, 21), rows + 2);
	assert_ptr_equal(span_row_at(rows, row_count, 30), rows + 2);
	assert_ptr_equal(span_row_at(rows, row_count, 31), rows + 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(a_series_without_gaps_is_one, none),
		cmocka_unit_test_setup(series_are_apart, none),
		cmocka_unit_test_setup(files_that_are_read_at_a_time_are_apart, none),
		cmocka_unit_test_setup(a_night_between_two_days_is_a_gap_and_a_missing_bar_is_none, none),
		cmocka_unit_test_setup(bursts_of_one_time_are_kept_together, none),
		cmocka_unit_test_setup(a_few_rows_are_each_for_itself_unless_their_time_is_the_same, none),
		cmocka_unit_test_setup(no_rows, none),
		cmocka_unit_test_setup(the_first_row_that_is_not_before_a_time, none),
	};

	return cmocka_run_group_tests_name("spans", tests, NULL, NULL);
}

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/clock.h"
#include "stages/fetcher/pace.h"

#define START (1000 * NS_PER_SECOND)

static void test_burst_then_rate(void **state)
{
	struct limiter limiter;
	int64_t at;

	(void)state;
	limiter_init(&limiter, 60, 5);
	assert_int_equal(limiter_left(&limiter, START), 5);
	for (int i = 0; i < 5; i++)
		assert_int_equal(limiter_take(&limiter, START), 0);
	assert_int_equal(limiter_left(&limiter, START), 0);
	at = limiter_take(&limiter, START);
	assert_int_equal(at, START + NS_PER_SECOND);
	assert_int_equal(limiter_take(&limiter, at - 1), at);
	assert_int_equal(limiter_take(&limiter, at), 0);
	assert_int_equal(limiter_take(&limiter, at), at + NS_PER_SECOND);
}

/* Nothing is saved up beyond the burst. */
static void test_idle_time_fills_the_bucket_and_no_more(void **state)
{
	struct limiter limiter;
	int64_t later = START + 3600 * NS_PER_SECOND, count = 0;

	(void)state;
	limiter_init(&limiter, 600, 3);
	while (limiter_take(&limiter, START) == 0)
		count++;
	assert_int_equal(count, 3);
	assert_int_equal(limiter_left(&limiter, later), 3);
	for (count = 0; limiter_take(&limiter, later) == 0;)
		count++;
	assert_int_equal(count, 3);
}

static void test_in_the_long_run(void **state)
{
	struct limiter limiter;
	int64_t now = START, count = 0, at;

	(void)state;
	limiter_init(&limiter, 120, 10);
	while (now < START + 60 * NS_PER_SECOND) {
		at = limiter_take(&limiter, now);
		if (at == 0)
			count++;
		else
			now = at;
	}
	assert_int_equal(count, 120 + 10 - 1);
}

static void test_backoff_doubles_up_to_its_greatest(void **state)
{
	struct backoff backoff = { 100, 1000, 0 };
	static const int64_t full[] = { 100, 200, 400, 800, 1000, 1000 };

	(void)state;
	for (unsigned i = 0; i < sizeof(full) / sizeof(full[0]); i++) {
		int64_t ns = backoff_ns(&backoff);

		assert_in_range(ns, full[i] / 2 * NS_PER_MS, full[i] * NS_PER_MS);
	}
	backoff_reset(&backoff);
	assert_in_range(backoff_ns(&backoff), 50 * NS_PER_MS, 100 * NS_PER_MS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_burst_then_rate),
		cmocka_unit_test(test_idle_time_fills_the_bucket_and_no_more),
		cmocka_unit_test(test_in_the_long_run),
		cmocka_unit_test(test_backoff_doubles_up_to_its_greatest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

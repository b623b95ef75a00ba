#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "stages/fetcher/formats/dbn_live.h"

static void test_names(void **state)
{
	struct dbn_live live = { 0 };
	struct str first;

	(void)state;
	assert_int_equal(dbn_live_find(&live, 7).len, 0);
	assert_true(dbn_live_put(&live, 7, STR_LIT("ESH4")));
	assert_true(dbn_live_put(&live, 0, STR_LIT("NQH4")));
	first = dbn_live_find(&live, 7);
	assert_true(str_eq(first, STR_LIT("ESH4")));
	assert_true(str_eq(dbn_live_find(&live, 0), STR_LIT("NQH4")));
	assert_int_equal(dbn_live_find(&live, 8).len, 0);
	assert_true(dbn_live_put(&live, 7, STR_LIT("ESM4")));
	assert_true(dbn_live_put(&live, 7, (struct str){ "", 0 }));
	assert_true(str_eq(dbn_live_find(&live, 7), STR_LIT("ESM4")));
	assert_true(str_eq(first, STR_LIT("ESH4"))); /* stays where it was */
	assert_int_equal(live.count, 2);
	dbn_live_release(&live);
}

/* A stream that names more than anybody has gets no more memory. */
static void test_limits(void **state)
{
	struct dbn_live live = { 0 };
	char text[71];
	int len;

	(void)state;
	for (uint32_t i = 0; i < DBN_LIVE_MAX; i++)
		if (!dbn_live_put(&live, i * 3, STR_LIT("S")))
			fail_msg("instrument %u", i);
	assert_false(dbn_live_put(&live, 1, STR_LIT("S")));
	assert_true(dbn_live_put(&live, 3, STR_LIT("T")));
	assert_true(str_eq(dbn_live_find(&live, 3), STR_LIT("T")));
	assert_true(str_eq(dbn_live_find(&live, 6), STR_LIT("S")));
	for (uint32_t i = 0; i < 2000000; i++) { /* one instrument, ever another symbol */
		len = snprintf(text, sizeof(text), "%070u", i);
		if (!dbn_live_put(&live, 3, (struct str){ text, (uint32_t)len }))
			break;
	}
	assert_in_range(live.text_bytes, DBN_LIVE_TEXT_MAX - 70, DBN_LIVE_TEXT_MAX);
	dbn_live_release(&live);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_names), cmocka_unit_test(test_limits) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}

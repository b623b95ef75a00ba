#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "stages/fetcher/formats/ties.h"

static struct tie_key key_of(uint64_t sequence)
{
	return (struct tie_key){ .symbol = STR_LIT("ESH4"), .ts_event = 1, .sequence = sequence };
}

static void test_groups(void **state)
{
	struct tie_key a = key_of(1), b = key_of(1), c = key_of(2);
	struct ties ties = { 0 };

	(void)state;
	b.symbol = STR_LIT("ESM4");
	for (int64_t ts_recv = 0; ts_recv < 3; ts_recv++) { /* a time of 0 is one, too */
		assert_int_equal(ties_next(&ties, ts_recv, &a), 0);
		assert_int_equal(ties_next(&ties, ts_recv, &b), 0);
		assert_int_equal(ties_next(&ties, ts_recv, &c), 0);
		assert_int_equal(ties_next(&ties, ts_recv, &a), 1);
		assert_int_equal(ties_next(&ties, ts_recv, &b), 1);
		assert_int_equal(ties_next(&ties, ts_recv, &a), 2);
	}
	assert_int_equal(ties_next(&ties, 0, &a), 0);
	ties_release(&ties);
}

static void test_every_field_counts(void **state)
{
	struct tie_key keys[7];
	struct ties ties = { 0 };

	(void)state;
	for (unsigned i = 0; i < 7; i++)
		keys[i] = key_of(1);
	keys[1].symbol = STR_LIT("ES");
	keys[2].ts_event = 2;
	keys[3].sequence = 2;
	keys[4].publisher_id = 2;
	keys[5].kind = 2;
	keys[6].more = 2;
	for (int32_t tie = 0; tie < 3; tie++)
		for (unsigned i = 0; i < 7; i++)
			assert_int_equal(ties_next(&ties, 5, &keys[i]), tie);
	ties_release(&ties);
}

/* A snapshot has many records of one time: the table grows, and is small again afterwards. */
static void test_many(void **state)
{
	static const uint64_t counts[] = { 15, 16, 17, 1000, TIES_MAX };
	struct ties ties = { 0 };

	(void)state;
	for (unsigned c = 0; c < sizeof(counts) / sizeof(counts[0]); c++)
		for (int32_t tie = 0; tie < 2; tie++)
			for (uint64_t i = 0; i < counts[c]; i++) {
				struct tie_key key = key_of(i);

				assert_int_equal(ties_next(&ties, c, &key), tie);
			}
	assert_int_equal(ties.room, TIES_MAX);
	ties_release(&ties);
}

/* More than are kept: numbers that are not 0..N any more, but no two of a key are equal. */
static void test_too_many(void **state)
{
	struct tie_key known = key_of(7), unknown = key_of(UINT64_MAX);
	struct ties ties = { 0 };
	int32_t last = -1;

	(void)state;
	for (uint64_t i = 0; i < TIES_MAX; i++) {
		struct tie_key key = key_of(i);

		assert_int_equal(ties_next(&ties, 1, &key), 0);
	}
	for (int32_t i = 1; i < 100; i++) {
		int32_t tie = ties_next(&ties, 1, &unknown);

		assert_true(tie > last);
		last = tie;
		assert_int_equal(ties_next(&ties, 1, &known), i);
	}
	assert_int_equal(ties.count, TIES_MAX);
	assert_int_equal(ties_next(&ties, 2, &unknown), 0);
	ties_release(&ties);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_groups),
		cmocka_unit_test(test_every_field_counts),
		cmocka_unit_test(test_many),
		cmocka_unit_test(test_too_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

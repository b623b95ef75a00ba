#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "common/cleanup.h"
#include "schemas.h"
#include "stages/validator/rules_diff.h"
#include "tests/unit/rules_of_tests.h"

#define HEAD "name: t\nrecord: ohlcv\nrules:\n"

static struct rules_diff compare(const char *from, const char *to)
{
	CLEANUP(ruleset_freep) struct ruleset *a = bars_set(from);
	CLEANUP(ruleset_freep) struct ruleset *b = bars_set(to);
	struct rules_diff diff;

	rules_diff(a, b, &diff);
	return diff;
}

static void test_same(void **state)
{
	const char *from = HEAD "  - {name: A, violated: volume < 0, when: dataset == 'X'}\n"
				"  - name: B\n    violated: >\n      high <\n      low\n    doc: Some  words.\n";
	struct rules_diff diff = compare(from, from);

	(void)state;
	assert_true(rules_diff_is_none(&diff));
	diff = compare(from, HEAD "  - {name: B, violated: ' high < low ', doc: ' Some words.'}\n"
				  "  - {name: A, violated: volume < 0, when: dataset == 'X', severity: reject}\n");
	assert_true(rules_diff_is_none(&diff));
	assert_int_equal(diff.was[0], 1);
	assert_int_equal(diff.was[1], 0);
}

static void test_added_and_removed(void **state)
{
	struct rules_diff diff =
		compare(HEAD "  - {name: A, violated: volume < 0}\n  - {name: B, violated: volume < 1}\n",
			HEAD "  - {name: C, violated: volume < 0}\n  - {name: A, violated: volume < 0}\n");

	(void)state;
	assert_int_equal(diff.added, 1);
	assert_int_equal(diff.removed, 2);
	assert_int_equal(diff.changed, 0);
	assert_int_equal(diff.was[0], RULE_NONE);
	assert_false(rules_diff_is_none(&diff));
}

static unsigned parts(const char *from, const char *to)
{
	char a[512], b[512];
	struct rules_diff diff;

	snprintf(a, sizeof(a), HEAD "  - {name: A, %s}\n", from);
	snprintf(b, sizeof(b), HEAD "  - {name: A, %s}\n", to);
	diff = compare(a, b);
	assert_int_equal(diff.added | diff.removed, 0);
	assert_int_equal(diff.changed, diff.parts[0] ? 1 : 0);
	return diff.parts[0];
}

static void test_parts(void **state)
{
	(void)state;
	assert_int_equal(parts("violated: volume < 0", "violated: volume < 1"), RULE_VIOLATED);
	assert_int_equal(parts("violated: volume < 0", "violated: volume < 01"), RULE_VIOLATED);
	assert_int_equal(parts("violated: volume < 0", "violated: volume < 0 or high < low"), RULE_VIOLATED);
	assert_int_equal(parts("violated: volume < 0", "violated: volume < 0, severity: flag"), RULE_SEVERITY);
	assert_int_equal(parts("violated: volume < 0", "violated: volume < 0, doc: x"), RULE_DOC);
	assert_int_equal(parts("violated: volume < 0, when: high < low", "violated: volume < 0, doc: x"),
			 RULE_WHEN | RULE_DOC);
}

static void test_spaces_in_quotes_count(void **state)
{
	(void)state;
	assert_int_equal(parts("violated: symbol == 'A B'", "violated: symbol == 'A  B'"), RULE_VIOLATED);
	assert_int_equal(parts("violated: symbol == 'A' and  high < low", "violated: symbol == 'A' and high < low"), 0);
	assert_int_equal(parts("violated: high < low, doc: it's  so", "violated: high < low, doc: it's so"), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_same),
		cmocka_unit_test(test_added_and_removed),
		cmocka_unit_test(test_parts),
		cmocka_unit_test(test_spaces_in_quotes_count),
	};

	return cmocka_run_group_tests_name("what becomes of rules", tests, NULL, NULL);
}

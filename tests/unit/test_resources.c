#include "stages/orchestrator/api/resources.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "common/cleanup.h"

#define HEAD "-- Things.\n-- path: /api/v1/things/{kind}\n-- list: things\n-- cursor: id, name\n-- limit: 5 50\n"

static void parse(struct resource *q, const char *text)
{
	struct err err = ERR_INIT;

	if (resource_parse(q, "things", str_of(text), &err))
		fail_msg("%s", err.text);
}

static void expect_refused(const char *text, const char *part)
{
	struct resource q;
	struct err err = ERR_INIT;

	assert_int_equal(resource_parse(&q, "things", str_of(text), &err), -1);
	if (!strstr(err.text, part))
		fail_msg("'%s' is not in '%s'", part, err.text);
}

static void test_a_file_is_read(void **state)
{
	CLEANUP(resource_release) struct resource q;

	(void)state;
	parse(&q, HEAD
	      "-- kind text: the kind\n-- day date: a day\n-- by day|symbol = day: what by\n-- must integer!: a number\n"
	      "--\n-- of the SQL\nSELECT '{1}'::int[], {kind}::text WHERE {after_id} < {after_name} AND {by} LIMIT {limit}\n");
	assert_string_equal(q.doc, "Things.");
	assert_string_equal(q.role, "viewer");
	assert_int_equal(q.parameter_count, 4);
	assert_true(q.parameters[0].in_path && !q.parameters[1].in_path);
	assert_true(!q.parameters[1].required && q.parameters[3].required && q.parameters[3].type == RESOURCE_INTEGER);
	assert_string_equal(q.parameters[2].choices, "day|symbol");
	assert_string_equal(q.parameters[2].fallback, "day");
	assert_int_equal(q.cursor_count, 2);
	assert_true(q.limit == 5 && q.limit_max == 50);
	assert_string_equal(q.sql, "-- of the SQL\nSELECT '{1}'::int[], $1::text WHERE $5 < $6 AND $3 LIMIT $7\n");
}

static void test_what_is_wrong_is_named(void **state)
{
	(void)state;
	expect_refused("SELECT 1", "no sentence and path");
	expect_refused("-- Things.\nSELECT 1", "no sentence and path");
	expect_refused("-- Things.\n-- nothing\n", "things.sql:2: no `key: value`: nothing");
	expect_refused(HEAD "-- kind text: k\nSELECT {sort}", "no such parameter: sort");
	expect_refused(HEAD "SELECT 1", "the path has no parameter: kind");
	expect_refused(HEAD "-- kind word: k\nSELECT 1", "no parameter and type: kind word");
	expect_refused("-- Things.\n-- path: /x\n-- path: /y\n", "said twice");
	expect_refused("-- Things.\n-- path: /x\n-- limit: 9 5\n", "no two sizes");
	expect_refused("-- Things.\n-- path: /x\n-- cursor: a, b, c, d, e, f\n", "more members of a cursor");
}

static void test_a_span(void **state)
{
	CLEANUP(resource_release) struct resource q;

	(void)state;
	parse(&q, HEAD "-- kind text: k\n-- from date: a day\n-- to date: a day\n-- span: from, to\nSELECT 1");
	assert_true(q.span[0] == 2 && q.span[1] == 3 && q.parameter_count == 3);
	expect_refused(HEAD "-- kind text: k\n-- from date: a day\n-- span: from, kind\nSELECT 1", "no two dates");
	expect_refused(HEAD "-- span: from, to\n-- from date: a day\n-- to date: a day\nSELECT 1", "no two dates");
}

static bool accepts(const struct resource_parameter *p, const char *text, const char *wanted)
{
	CLEANUP(buf_release) struct buf out = BUF_INIT(100);
	bool taken = resource_value(p, str_of(text), &out);

	if (taken && wanted)
		assert_string_equal(buf_text(&out), wanted);
	return taken;
}

static void test_values(void **state)
{
	const struct resource_parameter number = { .type = RESOURCE_INTEGER }, day = { .type = RESOURCE_DATE },
					time = { .type = RESOURCE_TIME }, flag = { .type = RESOURCE_FLAG },
					choice = { .type = RESOURCE_CHOICE, .choices = (char *)"day|symbol" },
					text = { .type = RESOURCE_TEXT };

	(void)state;
	assert_true(accepts(&number, "9223372036854775807", NULL) && accepts(&number, "0", "0"));
	assert_false(accepts(&number, "9223372036854775808", NULL) || accepts(&number, "-1", NULL) ||
		     accepts(&number, "", NULL) || accepts(&number, "1 OR 1=1", NULL));
	assert_true(accepts(&day, "2024-02-29", "2024-02-29"));
	assert_false(accepts(&day, "2024-02-30", NULL) || accepts(&day, "2024-02-29T00:00:00Z", NULL));
	assert_true(accepts(&time, "2024-02-29", "2024-02-29T00:00:00.000000Z"));
	assert_false(accepts(&time, "yesterday", NULL));
	assert_true(accepts(&flag, "true", "true") && !accepts(&flag, "yes", NULL));
	assert_true(accepts(&choice, "symbol", "symbol"));
	assert_false(accepts(&choice, "day|symbol", NULL) || accepts(&choice, "", NULL) ||
		     accepts(&choice, "sym", NULL));
	assert_true(accepts(&text, "'; DROP TABLE etl.runs", NULL) && !accepts(&text, "\xff", NULL));
}

static void test_a_cursor_comes_back(void **state)
{
	CLEANUP(resource_release) struct resource q;
	static const char *const places[][2] = { { "1", "" }, { "", "" }, { "12", "ES.FUT äö" }, { "123", "abc" } };

	(void)state;
	parse(&q, HEAD "-- kind text: k\nSELECT 1");
	for (unsigned i = 0; i < sizeof(places) / sizeof(*places); i++) {
		CLEANUP(buf_release) struct buf cursor = BUF_INIT(1000);
		CLEANUP(buf_release) struct buf storage = BUF_INIT(1000);
		const char *values[RESOURCE_CURSOR_MAX];

		resource_cursor_put(&q, places[i], &cursor);
		assert_true(resource_cursor_get(&q, buf_str(&cursor), &storage, values));
		assert_string_equal(values[0], places[i][0]);
		assert_string_equal(values[1], places[i][1]);
	}
}

static void test_cursors_that_are_none(void **state)
{
	CLEANUP(resource_release) struct resource q;
	CLEANUP(buf_release) struct buf storage = BUF_INIT(100);
	static const char *const wrong[] = { "", "A", "MQ", "MQAy", "MQAyAA3", "????", "MQAyADMA", "_wAyAA" };
	const char *values[RESOURCE_CURSOR_MAX];

	(void)state;
	parse(&q, HEAD "-- kind text: k\nSELECT 1");
	for (unsigned i = 0; i < sizeof(wrong) / sizeof(*wrong); i++)
		if (resource_cursor_get(&q, str_of(wrong[i]), &storage, values))
			fail_msg("%s was taken", wrong[i]);
}

static void test_all_that_are_compiled_in(void **state)
{
	struct resources resources = RESOURCES_INIT;
	struct resource_match match;
	struct err err = ERR_INIT;

	(void)state;
	if (resources_open(&resources, &err))
		fail_msg("%s", err.text);
	assert_true(resources.count > 10);
	assert_true(resources_match(&resources, "/api/v1/dead-letters/12", &match));
	assert_string_equal(match.resource->name, "dead_letter");
	assert_true(str_eq(match.values[0], STR_LIT("12")));
	assert_true(resources_match(&resources, "/api/v1/dead-letters/summary", &match));
	assert_string_equal(match.resource->name, "dead_letters_summary");
	assert_false(resources_match(&resources, "/api/v1/dead-letters/12/13", &match));
	assert_false(resources_match(&resources, "/api/v1/dead-letters//", &match));
	assert_false(resources_match(&resources, "/api/v1/nothing", &match));
	resources_release(&resources);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_file_is_read),
		cmocka_unit_test(test_what_is_wrong_is_named),
		cmocka_unit_test(test_a_span),
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_a_cursor_comes_back),
		cmocka_unit_test(test_cursors_that_are_none),
		cmocka_unit_test(test_all_that_are_compiled_in),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

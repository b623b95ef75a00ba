#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/decimal.h"
#include "common/mem.h"
#include "stages/validator/rules.h"
#include "tests/unit/rules_of_tests.h"

/* --- expressions over a record with every type ------------------------------------------------------------------------ */

struct thing {
	uint64_t present;
	int64_t amount, limit; /* decimals; limit may be null */
	int64_t count;
	int64_t total; /* may be null */
	int32_t small;
	int32_t day; /* may be null */
	int64_t time;
	struct str side;
	struct str note; /* may be null */
	bool final;
	bool good; /* may be null */
};

enum { LIMIT = 1, TOTAL = 3, DAY = 5, NOTE = 8, GOOD = 10 };

#define THING(member) offsetof(struct thing, member)

static const struct record_field thing_fields[] = {
	{ "amount", FIELD_DECIMAL, LOGICAL_NONE, THING(amount), 0, false, FIELD_NOT_NULLABLE },
	{ "limit", FIELD_DECIMAL, LOGICAL_NONE, THING(limit), LIMIT, true, 0 },
	{ "count", FIELD_LONG, LOGICAL_NONE, THING(count), 2, false, FIELD_NOT_NULLABLE },
	{ "total", FIELD_LONG, LOGICAL_NONE, THING(total), TOTAL, true, 0 },
	{ "small", FIELD_INT, LOGICAL_NONE, THING(small), 4, false, FIELD_NOT_NULLABLE },
	{ "day", FIELD_INT, LOGICAL_DATE, THING(day), DAY, true, 0 },
	{ "time", FIELD_LONG, LOGICAL_TIMESTAMP_NANOS, THING(time), 6, false, FIELD_NOT_NULLABLE },
	{ "side", FIELD_STRING, LOGICAL_NONE, THING(side), 7, false, FIELD_NOT_NULLABLE },
	{ "note", FIELD_STRING, LOGICAL_NONE, THING(note), NOTE, true, 0 },
	{ "final", FIELD_BOOL, LOGICAL_NONE, THING(final), 9, false, FIELD_NOT_NULLABLE },
	{ "good", FIELD_BOOL, LOGICAL_NONE, THING(good), GOOD, true, 0 },
};
static const struct record_type thing_type = { .name = "thing",
					       .file = "",
					       .schema_id = 1,
					       .size = sizeof(struct thing),
					       .field_count = 11,
					       .fields = thing_fields };

/* Everything present; those that may be null are null in `nulls`. */
static struct thing thing(void)
{
	return (struct thing){
		.present = (1 << 11) - 1,
		.amount = price("-37.63"),
		.limit = price("100.25"),
		.count = 7,
		.total = INT64_C(5000000000),
		.small = -3,
		.day = clock_day_of(ns("2024-02-29")),
		.time = ns("2024-03-10T08:00:00.000000001Z"),
		.side = STR_LIT("B"),
		.note = STR_LIT("x y"),
		.final = true,
		.good = false,
	};
}

static struct thing nulls(void)
{
	struct thing t = thing();

	t.present &= ~(uint64_t)(1 << LIMIT | 1 << TOTAL | 1 << DAY | 1 << NOTE | 1 << GOOD);
	t.limit = t.total = INT64_MAX;
	t.note = (struct str){ NULL, 0 };
	t.good = true;
	return t;
}

static struct ruleset *compile(const char *yaml, struct err *err)
{
	struct ruleset *set = NULL;

	return ruleset_compile(&set, "t.yaml", str_of(yaml), &thing_type, err) ? NULL : set;
}

static bool holds(const char *expression, const struct thing *record)
{
	CLEANUP(ruleset_freep) struct ruleset *set = NULL;
	struct err err = ERR_INIT;
	char yaml[8192];

	snprintf(yaml, sizeof(yaml), "name: t\nrecord: thing\nrules:\n  - name: R\n    violated: >-\n      %s\n",
		 expression);
	set = compile(yaml, &err);
	if (!set)
		fail_msg("%s: %s", expression, err.text);
	return ruleset_check(set, record, ns("2024-03-10T00:00:00")).rejected;
}

static void expect_all(const char *const *expressions, const struct thing *record, bool outcome)
{
	for (; *expressions; expressions++)
		if (holds(*expressions, record) != outcome)
			fail_msg("%s: not %s", *expressions, outcome ? "true" : "false");
}

static void test_true(void **state)
{
	static const char *const list[] = {
		"amount == -37.63",
		"amount < 0",
		"0 > amount",
		"-37.63 >= amount",
		"amount <= -37.629999999",
		"amount != limit",
		"limit > amount",
		"limit >= 100.25 and limit <= 100.250",
		"count == 7",
		"7 == count",
		"8 > count",
		"count * 2 == 14",
		"count + small == 4",
		"count - small == 10",
		"-count == -7",
		"-(count + 1) == -8",
		"count - 3 - 2 == 2",
		"1 + count * 2 == 15",
		"(1 + count) * 2 == 16",
		"small == -3",
		"small < count",
		"total == 5000000000",
		"amount * 2 == -75.26",
		"2 * amount + limit == 24.99",
		"amount + 0.000000001 > -37.63",
		"count * amount < -263",
		"length(side) == 1",
		"length(note) + length(side) == 4",
		"length(note) > length(side)",
		"side == 'B'",
		"'B' == side",
		"side != note",
		"side in ('A', 'B')",
		"side not in ('A', 'S')",
		"count in (1, 3, 7)",
		"amount in (1.5, -37.63)",
		"note is text and side is text",
		"note is not null",
		"not note is null",
		"final",
		"not good",
		"final and not good",
		"good or final",
		"day == 2024-02-29",
		"day < 2024-03-01",
		"time > 2024-03-10",
		"time > 2024-03-10T08:00:00Z",
		"time == 2024-03-10T08:00:00.000000001Z",
		"time > now",
		"time < now + 1d",
		"time - now == 28800000000001ns",
		"now - time < 0s",
		"time < 2024-03-10 + 9h",
		"1h + now < time",
		"time - 8h - 1ns == now",
		"2 * 4h < time - now",
		"-1h < time - now",
		"count < 0 or count < 1 or count > 6",
		"count > 0 and count > 1 and not count > 7",
		"not (count > 7 or count < 7)",
		"not not final",
		"count == 1 or final and side == 'B'", /* and binds closer */
		"not count == 1 and final",            /* not binds closer still */
		NULL,
	};
	struct thing record = thing();

	(void)state;
	expect_all(list, &record, true);
}

static void test_false(void **state)
{
	static const char *const list[] = {
		"amount > 0",
		"amount == -37.630000001",
		"count != 7",
		"count >= 8",
		"side == 'BB'",
		"side == 'b'",
		"side == ''",
		"side in ('A')",
		"side not in ('B')",
		"note is null",
		"good",
		"not final",
		"time < now",
		"time >= 2024-03-10T08:00:00.000000002Z",
		"day != 2024-02-29",
		"(count == 1 or final) and side == 'A'",
		"final and good",
		"note is not text",
		NULL,
	};
	struct thing record = thing();

	(void)state;
	expect_all(list, &record, false);
}

/* A comparison with a null operand is false, whichever way round it asks. */
static void test_null(void **state)
{
	static const char *const no[] = {
		"limit < amount",
		"limit >= amount",
		"limit == limit",
		"limit != limit",
		"limit > 0",
		"0 < limit",
		"total + 1 > 0",
		"total * total > 0",
		"total - count != 0",
		"note == 'x'",
		"note != 'x'",
		"note in ('x')",
		"note not in ('x')",
		"note is text",
		"note is not text",
		"length(note) == 0",
		"day < 2030-01-01",
		"day >= 1970-01-01",
		"good",
		"limit is not null",
		"limit * 9223372036854775807 > 1",
		NULL,
	};
	static const char *const yes[] = {
		"limit is null", "not limit is not null",      "not limit > 0",           "not (note == 'x')",
		"not good",      "limit is null or limit < 0", "total is null and final", NULL,
	};
	struct thing record = nulls();

	(void)state;
	expect_all(no, &record, false);
	expect_all(yes, &record, true);
}

/* What cannot be calculated is violated. */
static void test_overflow(void **state)
{
	static const char *const list[] = {
		"count + 1 < 0",
		"count * 2 < 0",
		"-count - 3 > 0",
		"not (count + 1 > 0)",
		"final and count * count == 1",
		"time + 106751d + 106751d < now",
		"time > now + 106751d",
		"not time < now + 106751d",
		NULL,
	};
	struct thing record = thing();

	(void)state;
	record.count = INT64_MAX;
	record.time = ns("2261-01-01");
	expect_all(list, &record, true);
	assert_false(holds("good and count + 1 < 0", &record)); /* never asked */
	record.count = INT64_MAX - 1;
	assert_false(holds("count + 1 < 0", &record));
}

/* Both bounds of a field are one look: at the bounds, next to them, at the ends of what 64 bits hold. */
static void test_bounds_of_a_field(void **state)
{
	static const struct {
		int64_t count;
		bool outside;
	} cases[] = { { -5, false }, { 7, false },        { 0, false },       { -6, true },
		      { 8, true },   { INT64_MIN, true }, { INT64_MAX, true } };
	struct thing record = thing(), empty = nulls();

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		record.count = cases[i].count;
		assert_int_equal(holds("count < -5 or count > 7", &record), cases[i].outside);
		assert_int_equal(holds("good or count < -5 or count > 7 or good", &record), cases[i].outside);
		assert_int_equal(holds("good or good or count < -5 or count > 7", &record), cases[i].outside);
		assert_int_equal(holds("not (count < -5 or count > 7)", &record), !cases[i].outside);
		assert_int_equal(holds("final and (count < -5 or count > 7)", &record), cases[i].outside);
		assert_int_equal(holds("not count >= -5 or count > 7", &record), cases[i].outside);
		assert_true(holds("count < 7 or count > -5", &record));
	}
	record.count = INT64_MAX;
	assert_false(holds("count < -9223372036854775807 or count > 9223372036854775807", &record));
	record.count = INT64_MIN;
	assert_true(holds("count < -9223372036854775807 or count > 9223372036854775807", &record));
	assert_true(holds("count < 3 or count > 3", &record));
	assert_false(holds("total < 0 or total > 1", &empty));
	assert_true(holds("not (total < 0 or total > 1)", &empty));
	assert_true(holds("total < 0 or total > 1 or total is null", &empty));
	assert_true(holds("amount < 0 or limit > 1000", &record)); /* of two fields */
	assert_true(holds("limit < 0 or limit > 100.249999999 or amount < -40 or amount > 40", &record));
}

/* The same of fields side by side is one look where none is null; the answer is that of each alone. */
static const struct {
	const char *violated;
	bool less, equal, greater;
} sides[] = {
	{ "amount < 0 or limit < 0 or count < 0 or total < 0", true, false, false },
	{ "amount <= 0 or limit <= 0 or count <= 0 or total <= 0", true, true, false },
	{ "amount > 0 or limit > 0 or count > 0 or total > 0", false, false, true },
	{ "amount >= 0 or limit >= 0 or count >= 0 or total >= 0", false, true, true },
	{ "amount < 0 or amount > 0 or limit < 0 or limit > 0 or count < 0 or count > 0 or total < 0 or total > 0",
	  true, false, true },
	{ "final and (amount < 0 or limit < 0) or (count < 0 or total < 0)", true, false, false },
};

static void expect_sides(size_t side, const struct ruleset *set, struct thing *record, unsigned numbers)
{
	static const int64_t values[] = { -1, 0, 1, INT64_MIN, INT64_MAX };
	int64_t *const fields[] = { &record->amount, &record->limit, &record->count, &record->total };
	bool expected = false;

	for (unsigned f = 0; f < 4; f++, numbers /= 5) {
		int64_t value = *fields[f] = values[numbers % 5];
		bool null = (f == 1 && !(record->present >> LIMIT & 1)) || (f == 3 && !(record->present >> TOTAL & 1));

		expected |= !null && (value < 0   ? sides[side].less
				      : value > 0 ? sides[side].greater
						  : sides[side].equal);
	}
	if ((ruleset_check(set, record, 0).rejected != 0) != expected)
		fail_msg("%s: not %d", sides[side].violated, expected);
}

static void test_fields_side_by_side(void **state)
{
	struct thing record = thing();

	(void)state;
	for (size_t i = 0; i < sizeof(sides) / sizeof(sides[0]); i++) {
		CLEANUP(freep)
		char *yaml = mem_printf("name: t\nrecord: thing\nrules:\n  - name: R\n    violated: %s\n",
					sides[i].violated);
		struct err err = ERR_INIT;
		CLEANUP(ruleset_freep) struct ruleset *set = compile(yaml, &err);

		assert_non_null(set);
		for (unsigned numbers = 0; numbers < 4 * 625; numbers++) {
			record_set_present(&record, LIMIT, numbers / 625 & 1);
			record_set_present(&record, TOTAL, numbers / 625 & 2);
			expect_sides(i, set, &record, numbers);
		}
	}
}

static void test_text(void **state)
{
	struct thing record = thing();

	(void)state;
	record.side = STR_LIT("S\xc3\xa9");
	assert_true(holds("side is text", &record));
	record.side = STR_LIT("S\xc3");
	assert_true(holds("side is not text", &record));
	record.side = (struct str){ "a\0b", 3 };
	assert_true(holds("not side is text", &record));
	record.side = (struct str){ "", 0 };
	assert_true(holds("side is text and length(side) == 0 and side == '' and side in ('')", &record));
}

/* Several bytes are one look: whatever the length, and wherever the one is that is no text. */
static void test_text_of_any_length(void **state)
{
	static const char wrong[] = { '\0', '\xff', '\x80' };
	CLEANUP(freep) char *text = NULL; /* as long as the text, so that nothing behind it is looked at */
	struct thing record = thing();

	(void)state;
	for (uint32_t n = 1; n <= 20; n++) {
		freep(&text);
		text = mem_alloc(n);
		record.side = (struct str){ text, n };
		memset(text, 'A', n);
		assert_true(holds("side is text", &record));
		for (uint32_t at = 0; at < n; at++)
			for (size_t i = 0; i < sizeof(wrong); i++) {
				text[at] = wrong[i];
				assert_true(holds("side is not text", &record));
				text[at] = 'A';
			}
		if (n < 2)
			continue;
		memcpy(text + n - 2, "\xc3\xa9", 2);
		assert_true(holds("side is text", &record));
	}
}

static void test_when(void **state)
{
	static const char yaml[] = "name: t\nrecord: thing\nrules:\n"
				   "  - {name: A, when: side == 'B', violated: count > 5}\n"
				   "  - {name: B, when: side == 'S', violated: count > 5}\n"
				   "  - {name: C, when: limit > 0, violated: count < 5, severity: flag}\n"
				   "  - {name: D, when: note == 'x y' or good, violated: small < 0, severity: flag}\n";
	struct thing record = thing();
	struct err err = ERR_INIT;
	CLEANUP(ruleset_freep) struct ruleset *set = compile(yaml, &err);
	struct verdict v;

	(void)state;
	assert_non_null(set);
	v = ruleset_check(set, &record, 0);
	assert_int_equal(v.rejected, 1);
	assert_int_equal(v.flagged, 8);
}

/* --- what is refused -------------------------------------------------------------------------------------------------- */

static void expect_error(const char *yaml, const char *prefix, const char *part)
{
	struct err err = ERR_INIT;

	assert_null(compile(yaml, &err));
	assert_int_equal(err.kind, ERR_FATAL);
	if (strncmp(err.text, prefix, strlen(prefix)) != 0 || !strstr(err.text, part))
		fail_msg("'%s' lacks '%s' or '%s'", err.text, prefix, part);
}

/* The column is that of the expression's 1st character plus `offset`. */
static void expect_wrong(const char *expression, unsigned offset, const char *part)
{
	char yaml[8192], prefix[32];

	snprintf(yaml, sizeof(yaml), "name: t\nrecord: thing\nrules:\n  - name: R\n    violated: \"%s\"\n", expression);
	snprintf(prefix, sizeof(prefix), "t.yaml:5:%u: ", 16 + offset);
	expect_error(yaml, prefix, part);
}

static void test_wrong_types(void **state)
{
	(void)state;
	expect_wrong("amuont < 1", 0,
		     "thing has no field 'amuont' (fields: amount, limit, count, total, small, day, "
		     "time, side, note, final, good)");
	expect_wrong("final and amuont < 1", 10, "no field 'amuont'");
	expect_wrong("amount < count", 7, "a decimal cannot be compared with a whole number");
	expect_wrong("side < 'B'", 5, "strings have no order");
	expect_wrong("side == 1", 8, "a number stands beside a string");
	expect_wrong("time > 1", 7, "times are written 2024-01-31");
	expect_wrong("time > '2024-01-01'", 5, "a time cannot be compared with a string");
	expect_wrong("day > 2024-01-01T01:00:00", 6, "a time of day stands beside a date");
	expect_wrong("time > now + 1", 13, "1 needs a unit");
	expect_wrong("time + time > now", 5, "a time and a time do not go together");
	expect_wrong("amount * limit > 1", 7, "one factor is a whole number");
	expect_wrong("amount * 1.5 > 1", 9, "1.5 is no whole number");
	expect_wrong("count == 1.5", 9, "1.5 is no whole number");
	expect_wrong("count == 9223372036854775808", 9, "no whole number of 64 bits");
	expect_wrong("amount > 0.0000000001", 9, "not exact");
	expect_wrong("amount > 9999999999", 9, "not exact");
	expect_wrong("1 < 2", 2, "both sides are constants");
	expect_wrong("count > 1 + 1", 10, "both sides are constants");
	expect_wrong("count", 0, "a condition is needed here, not a whole number");
	expect_wrong("final and count", 10, "a condition is needed here");
	expect_wrong("final == good", 6, "cannot be compared");
	expect_wrong("final + 1 > 1", 8, "a number stands beside a condition");
	expect_wrong("not count", 4, "a condition is needed");
	expect_wrong("count is null", 0, "count is never null");
	expect_wrong("(total + 1) is null", 7, "only a field is null");
	expect_wrong("total is text", 0, "only a field of strings");
	expect_wrong("length(total) > 1", 7, "length takes a field of strings");
	expect_wrong("-time > 1", 0, "a time has no sign");
	expect_wrong("side in ('A', 1)", 14, "a number stands beside a string");
}

static void test_wrong_syntax(void **state)
{
	(void)state;
	expect_wrong("count >", 7, "a value is missing at the end");
	expect_wrong("count > 1 )", 10, "')' is one too many");
	expect_wrong("(count > 1", 10, "')' is missing at the end");
	expect_wrong("count > 1 2", 10, "'2' is one too many");
	expect_wrong("count = 1", 6, "'=' is not used here (use: ==)");
	expect_wrong("count <> 1", 6, "(use: !=)");
	expect_wrong("final && good", 6, "(use: and)");
	expect_wrong("final || good", 6, "(use: or)");
	expect_wrong("!final", 0, "(use: not)");
	expect_wrong("count / 2 > 1", 6, "no division");
	expect_wrong("count % 2", 6, "'%' is not used here");
	expect_wrong("1 < count < 5", 10, "two comparisons in a row");
	expect_wrong("side == 'B", 8, "a string is not closed");
	expect_wrong("and final", 0, "a value is needed before 'and'");
	expect_wrong("count > * 1", 8, "a value is needed before '*'");
	expect_wrong("side is empty", 8, "'is' goes on with null");
	expect_wrong("side not 'A'", 9, "`not` behind a value goes on with `in`");
	expect_wrong("side in 'A'", 8, "'(' is needed before 'A'");
	expect_wrong("side in ()", 9, "a value is needed before ')'");
	expect_wrong("side in ('A',)", 13, "a value is needed before ')'");
	expect_wrong("time > 2024-02-30", 7, "2024-02-30 is no time");
	expect_wrong("time > 2024-02-28T25:00:00Z", 7, "is no time");
	expect_wrong("time > now + 1w", 13, "'1w' is neither a number nor a duration");
	expect_wrong("time > now + 1.5h", 13, "a duration is a whole number and a unit");
	expect_wrong("time > now + 999999d", 13, "at most 292 years");
	expect_wrong("length > 1", 0, "no field 'length'");
	expect_wrong("asset_class == 'equities'", 0, "thing has no field 'dataset'");
}

static void test_places(void **state)
{
	(void)state;
	expect_error("name: t\nrecord: thing\nrules:\n  - {name: R, violated: count > 1 and nope}\n",
		     "t.yaml:4:39: ", "nope");
	expect_error("name: t\nrecord: thing\nrules:\n  - name: R\n    violated: 'side == ''B'' and nope'\n",
		     "t.yaml:5:34: ", "nope");
	expect_error("name: t\nrecord: thing\nrules:\n  - name: R\n    violated: >\n      count > 1 and\n\n"
		     "        final and\n      nope\n",
		     "t.yaml:9:7: ", "nope");
	expect_error("name: t\nrecord: thing\nrules:\n  - name: R\n    violated: count > 1\n      and nope\n",
		     "t.yaml:6:11: ", "nope");
	expect_error("name: t\nrecord: thing\nrules:\n  - name: R\n    when: nope\n    violated: final\n",
		     "t.yaml:5:11: ", "nope");
}

static void test_wrong_files(void **state)
{
	(void)state;
	expect_error("", "t.yaml:1:1: ", "a mapping is needed here (name, version, record, rules)");
	expect_error("name: t\nrecord: thing\n", "t.yaml:1:1: ", "`rules` is a list");
	expect_error("name: t\nrecord: thing\nrules: []\n", "t.yaml:3:8: ", "`rules` is a list");
	expect_error("name: t\nrecord: trades\nrules: []\n", "t.yaml:2:9: ", "'trades', and 'thing' is needed");
	expect_error("name: T t\nrecord: thing\n", "t.yaml:1:1: ", "a name is needed");
	expect_error("name: t\nrecord: thing\nrule: []\n", "t.yaml:3:1: ", "unknown key 'rule'");
	expect_error("name: t\nrecord: thing\nrules:\n  - {name: r, violated: final}\n",
		     "t.yaml:4:5: ", "a name is needed");
	expect_error("name: t\nrecord: thing\nrules:\n  - {name: R}\n", "t.yaml:4:5: ", "lacks `violated`");
	expect_error("name: t\nrecord: thing\nrules:\n  - {name: R, violated: [final]}\n",
		     "t.yaml:4:25: ", "violated takes a single value");
	expect_error("name: t\nrecord: thing\nrules:\n  - {name: R, violated: final, severity: warn}\n",
		     "t.yaml:4:42: ", "severity is reject or flag, not 'warn'");
	expect_error("name: t\nrecord: thing\nrules:\n  - {name: R, violated: final}\n  - {name: R, violated: good}\n",
		     "t.yaml:5:5: ", "two rules R");
	expect_error("name: t\nrecord: thing\nrules:\n  - {name: R, violated: final, serverity: flag}\n",
		     "t.yaml:4:32: ", "unknown key 'serverity'");
	expect_error("name: t\nversion: 0\nrecord: thing\n", "t.yaml:2:10: ", "from 1, of at most 9 digits, not '0'");
	expect_error("name: t\nversion: 1.5\nrecord: thing\n", "t.yaml:2:10: ", "not '1.5'");
	expect_error("name: t\nversion: 1000000000\nrecord: thing\n", "t.yaml:2:10: ", "not '1000000000'");
}

/* `text`, n times, between `before` and `after`. */
static void repeat(char *out, size_t size, const char *before, const char *text, unsigned n, const char *after)
{
	size_t used = (size_t)snprintf(out, size, "%s", before);

	for (unsigned i = 0; i < n && used < size; i++)
		used += (size_t)snprintf(out + used, size - used, "%s", text);
	snprintf(out + used, size - used, "%s", after);
}

static void test_bounds(void **state)
{
	struct thing record = thing();
	char text[8192];

	(void)state;
	repeat(text, sizeof(text), "", "(", 31, "final");
	repeat(text + strlen(text), sizeof(text) / 2, "", ")", 31, "");
	assert_true(holds(text, &record));
	repeat(text, sizeof(text), "", "(", 40, "final");
	expect_wrong(text, 32, "nested deeper than 32");
	repeat(text, sizeof(text), "", "not ", 40, "final");
	expect_wrong(text, 4 * 32, "nested deeper than 32");
	repeat(text, sizeof(text), "count > ", "-", 5000, "1");
	expect_wrong(text, 8 + 32, "nested deeper than 32");
	repeat(text, sizeof(text), "final", " or final", 127, "");
	assert_true(holds(text, &record));
	repeat(text, sizeof(text), "final", " or final", 128, "");
	expect_wrong(text, 9 * 128 - 3, "at most 256 parts");
	repeat(text, sizeof(text), "count", " + count", 60, " == 427");
	assert_true(holds(text, &record));
	repeat(text, sizeof(text), "", "count + (", 20, "count");
	repeat(text + strlen(text), sizeof(text) / 2, "", ")", 20, " > 1");
	expect_wrong(text, 9 * 16 + 6, "arithmetic nested deeper than 16");
}

static void test_many_rules(void **state)
{
	CLEANUP(buf_release) struct buf yaml = BUF_INIT(65536);
	CLEANUP(ruleset_freep) struct ruleset *set = NULL;
	struct thing record = thing();
	struct err err = ERR_INIT;

	(void)state;
	buf_put_text(&yaml, "name: t\nrecord: thing\nrules:\n");
	for (unsigned i = 0; i < RULES_MAX; i++)
		buf_printf(&yaml, "  - {name: R%u, violated: count > 1}\n", i);
	set = compile(buf_text(&yaml), &err);
	assert_non_null(set);
	assert_int_equal(ruleset_count(set), RULES_MAX);
	assert_true(ruleset_check(set, &record, 0).rejected == UINT64_MAX);
	assert_string_equal(ruleset_rule(set, 63).name, "R63");
	buf_put_text(&yaml, "  - {name: R64, violated: count > 1}\n");
	expect_error(buf_text(&yaml), "t.yaml:4:3: ", "at most 64 rules");
}

/* --- telling ---------------------------------------------------------------------------------------------------------- */

static void test_explain(void **state)
{
	static const char yaml[] = "name: t\nrecord: thing\nrules:\n"
				   "  - {name: A, violated: count > 5 and count + small > 1}\n"
				   "  - name: B\n    violated: >\n      side != 'S' and\n      time > 2024-01-01\n"
				   "  - {name: C, violated: limit is null or amount < limit or day is null}\n"
				   "  - {name: D, when: not good, violated: final}\n"
				   "  - {name: E, violated: note is not text}\n";
	CLEANUP(buf_release) struct buf out = BUF_INIT(4096);
	struct thing record = thing(), empty = nulls();
	struct err err = ERR_INIT;
	CLEANUP(ruleset_freep) struct ruleset *set = compile(yaml, &err);
	char longer[100];

	(void)state;
	ruleset_explain(set, &record, 3, &out);
	assert_string_equal(buf_text(&out),
			    "count > 5 and count + small > 1 (count=7, small=-3); side != 'S' and time > "
			    "2024-01-01 (side='B', time=2024-03-10T08:00:00.000000001Z)");
	buf_reset(&out);
	ruleset_explain(set, &record, 4, &out);
	assert_string_equal(buf_text(&out),
			    "limit is null or amount < limit or day is null (limit=100.25, amount=-37.63, "
			    "day=2024-02-29)");
	buf_reset(&out);
	ruleset_explain(set, &empty, 4 | 8, &out);
	assert_string_equal(buf_text(&out),
			    "limit is null or amount < limit or day is null (limit=null, amount=-37.63, "
			    "day=null); final (good=null, final=true)");
	buf_reset(&out);
	memset(longer, 'x', sizeof(longer));
	memcpy(longer, "\xff\n'", 3);
	record.note = (struct str){ longer, sizeof(longer) };
	ruleset_explain(set, &record, 16, &out);
	assert_string_equal(buf_text(&out),
			    "note is not text (note='\\xff\\x0a\\x27"
			    "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx'… of 100 bytes)");
	buf_reset(&out);
	ruleset_names(set, 1 | 4 | 16, &out);
	assert_string_equal(buf_text(&out), "A,C,E");
	buf_reset(&out);
	ruleset_names(set, 0, &out);
	assert_string_equal(buf_text(&out), "");
}

static void test_version(void **state)
{
	struct err err = ERR_INIT;
	CLEANUP(ruleset_freep)
	struct ruleset *a = compile("name: t\nrecord: thing\nrules: [{name: R, violated: final}]", &err);
	CLEANUP(ruleset_freep)
	struct ruleset *b = compile("name: t\nrecord: thing\nrules: [{name: R, violated: good}]", &err);
	CLEANUP(ruleset_freep)
	struct ruleset *c = compile("name: t\nversion: 123\nrecord: thing\nrules: [{name: R, violated: good}]", &err);

	(void)state;
	assert_int_equal(strlen(ruleset_version(a)), strlen("t@1-12345678"));
	assert_memory_equal(ruleset_version(a), "t@1-", 4);
	assert_string_not_equal(ruleset_version(a), ruleset_version(b));
	assert_memory_equal(ruleset_version(c), "t@123-", 6);
	assert_int_equal(ruleset_number(c), 123);
}

int main(void)
{
	const struct CMUnitTest language[] = {
		cmocka_unit_test(test_true),
		cmocka_unit_test(test_false),
		cmocka_unit_test(test_null),
		cmocka_unit_test(test_overflow),
		cmocka_unit_test(test_text),
		cmocka_unit_test(test_text_of_any_length),
		cmocka_unit_test(test_when),
		cmocka_unit_test(test_wrong_types),
		cmocka_unit_test(test_wrong_syntax),
		cmocka_unit_test(test_places),
		cmocka_unit_test(test_wrong_files),
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_many_rules),
		cmocka_unit_test(test_bounds_of_a_field),
		cmocka_unit_test(test_fields_side_by_side),
		cmocka_unit_test(test_explain),
		cmocka_unit_test(test_version),
	};

	return cmocka_run_group_tests_name("rules", language, NULL, NULL);
}

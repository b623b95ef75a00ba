#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/buf.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "common/tz.h"

static int64_t seconds(const char *text)
{
	int64_t ns;

	assert_true(clock_parse(str_of(text), &ns));
	return ns / NS_PER_SECOND;
}

static struct tz *open_zone(const char *name)
{
	struct tz *tz = NULL;
	struct err err = ERR_INIT;

	if (tz_open(&tz, name, &err))
		fail_msg("%s", err.text);
	return tz;
}

/* Expected values: Python's zoneinfo. */
static void test_offsets(void **state)
{
	static const struct {
		const char *zone, *utc;
		int32_t offset;
	} golden[] = {
		{ "America/Chicago", "2024-03-10T07:59:59Z", -21600 },
		{ "America/Chicago", "2024-03-10T08:00:00Z", -18000 },
		{ "America/Chicago", "2024-11-03T06:59:59Z", -18000 },
		{ "America/Chicago", "2024-11-03T07:00:00Z", -21600 },
		{ "America/Chicago", "2050-03-13T07:59:59Z", -21600 },
		{ "America/Chicago", "2050-03-13T08:00:00Z", -18000 },
		{ "America/Chicago", "2050-11-06T07:00:00Z", -21600 },
		{ "Europe/London", "2024-03-31T00:59:59Z", 0 },
		{ "Europe/London", "2024-03-31T01:00:00Z", 3600 },
		{ "Europe/London", "2045-10-29T00:59:59Z", 3600 },
		{ "Europe/London", "2045-10-29T01:00:00Z", 0 },
		{ "Asia/Tokyo", "2024-06-01T00:00:00Z", 32400 },
		{ "Asia/Seoul", "1988-07-01T00:00:00Z", 36000 },
		{ "Australia/Sydney", "2040-01-01T00:00:00Z", 39600 }, /* summer over new year */
		{ "Australia/Sydney", "2040-06-01T00:00:00Z", 36000 },
		{ "Asia/Kolkata", "2024-01-01T00:00:00Z", 19800 },
		{ "America/St_Johns", "2060-07-01T00:00:00Z", -9000 },
		{ "America/Sao_Paulo", "2018-11-04T02:59:59Z", -10800 },
		{ "America/Sao_Paulo", "2018-11-04T03:00:00Z", -7200 },
		{ "Africa/Casablanca", "2024-03-15T00:00:00Z", 0 },
		{ "Pacific/Apia", "2011-12-30T09:59:59Z", -36000 },
		{ "Pacific/Apia", "2011-12-30T10:00:00Z", 50400 },
		{ "Asia/Tehran", "2050-07-01T00:00:00Z", 12600 },
		{ "Europe/Dublin", "2050-01-01T00:00:00Z", 0 }, /* winter time is the exception there */
		{ "Europe/Dublin", "2050-07-01T00:00:00Z", 3600 },
		{ "America/New_York", "1969-07-01T00:00:00Z", -14400 },
		{ "America/New_York", "1883-01-01T00:00:00Z", -17762 },
		{ "Australia/Lord_Howe", "2050-01-01T00:00:00Z", 39600 },
		{ "UTC", "2024-01-01T00:00:00Z", 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(golden) / sizeof(golden[0]); i++) {
		CLEANUP(tz_freep) struct tz *tz = open_zone(golden[i].zone);
		int32_t offset = tz_offset(tz, seconds(golden[i].utc));

		if (offset != golden[i].offset)
			fail_msg("%s at %s: %d, not %d", golden[i].zone, golden[i].utc, offset, golden[i].offset);
	}
}

static void expect_utc(const char *zone, const char *local, const char *utc)
{
	CLEANUP(tz_freep) struct tz *tz = open_zone(zone);
	char text[CLOCK_TEXT_MAX];

	clock_format(tz_utc(tz, seconds(local)) * NS_PER_SECOND, 0, text);
	assert_string_equal(text, utc);
}

static void test_local_times(void **state)
{
	(void)state;
	expect_utc("America/Chicago", "2024-01-15T17:00:00", "2024-01-15T23:00:00Z");
	expect_utc("America/Chicago", "2024-07-15T17:00:00", "2024-07-15T22:00:00Z");
	expect_utc("America/Chicago", "2024-03-10T01:59:59", "2024-03-10T07:59:59Z");
	expect_utc("America/Chicago", "2024-03-10T02:30:00", "2024-03-10T08:00:00Z"); /* skipped */
	expect_utc("America/Chicago", "2024-03-10T03:00:00", "2024-03-10T08:00:00Z");
	expect_utc("America/Chicago", "2024-11-03T01:30:00", "2024-11-03T06:30:00Z"); /* twice */
	expect_utc("America/Chicago", "2024-11-03T02:00:00", "2024-11-03T08:00:00Z");
	expect_utc("America/Sao_Paulo", "2018-11-04T00:00:00", "2018-11-04T03:00:00Z"); /* no midnight */
	expect_utc("Pacific/Apia", "2011-12-30T12:00:00", "2011-12-30T10:00:00Z");      /* no such day */
	expect_utc("Europe/London", "2060-03-28T01:30:00", "2060-03-28T01:00:00Z");     /* by the rule */
	expect_utc("UTC", "2024-01-01T00:00:00", "2024-01-01T00:00:00Z");
}

static void expect_error(const char *zone, const char *part)
{
	struct tz *tz = NULL;
	struct err err = ERR_INIT;

	assert_int_equal(tz_open(&tz, zone, &err), -1);
	assert_null(tz);
	assert_int_equal(err.kind, ERR_FATAL);
	if (!strstr(err.text, part))
		fail_msg("'%s' lacks '%s'", err.text, part);
}

static void test_names(void **state)
{
	(void)state;
	expect_error("America/Chicagoo", "zoneinfo/America/Chicagoo: No such file");
	expect_error("America", "zoneinfo/America: Is a directory");
	expect_error("", "'' is not the name of a time zone");
	expect_error("../../../etc/passwd", "is not the name of a time zone");
	expect_error("/etc/passwd", "is not the name of a time zone");
	expect_error("Europe/\nLondon", "is not the name of a time zone");
}

/* --- damaged files, in a folder that $TZDIR names --------------------------------------------------------------------- */

static char folder[] = "/tmp/penstock-unit-XXXXXX";

static int folder_setup(void **state)
{
	(void)state;
	return mkdtemp(folder) && setenv("TZDIR", folder, 1) == 0 ? 0 : -1;
}

static int folder_teardown(void **state)
{
	char path[64];

	(void)state;
	snprintf(path, sizeof(path), "%s/zone", folder);
	unlink(path);
	unsetenv("TZDIR");
	return rmdir(folder);
}

static void write_zone(const struct buf *file)
{
	char path[64];
	FILE *out;

	snprintf(path, sizeof(path), "%s/zone", folder);
	out = fopen(path, "wb");
	assert_non_null(out);
	assert_int_equal(fwrite(file->data, 1, file->len, out), file->len);
	fclose(out);
}

static void put_header(struct buf *file, char version, uint32_t transitions, uint32_t types)
{
	static const uint8_t unused[15];

	buf_put_text(file, "TZif");
	buf_put_u8(file, (uint8_t)version);
	buf_put(file, unused, sizeof(unused));
	buf_put(file, unused, 12); /* isutcnt, isstdcnt, leapcnt */
	buf_put_be32(file, transitions);
	buf_put_be32(file, types);
	buf_put_be32(file, 4);
}

/* One type, two hours east, and what the rule says afterwards. */
static void put_zone(struct buf *file, char version, const char *rule)
{
	buf_reset(file);
	for (unsigned i = 0; i < 2; i++) {
		put_header(file, version, 0, 1);
		buf_put_be32(file, 7200);
		buf_put_be16(file, 0);
		buf_put(file, "XXX", 4);
	}
	buf_printf(file, "\n%s\n", rule);
	write_zone(file);
}

static int32_t offset_by_rule(struct buf *file, const char *rule, const char *utc)
{
	CLEANUP(tz_freep) struct tz *tz = NULL;

	put_zone(file, '2', rule);
	tz = open_zone("zone");
	return tz_offset(tz, seconds(utc));
}

static void test_rules(void **state)
{
	CLEANUP(buf_release) struct buf file = BUF_INIT(4096);

	(void)state;
	assert_int_equal(offset_by_rule(&file, "", "2024-01-01"), 7200);
	assert_int_equal(offset_by_rule(&file, "<+0330>-3:30", "2024-01-01"), 12600);
	/* J60 is 1 March in every year, 59 is 29 February or 1 March. */
	assert_int_equal(offset_by_rule(&file, "AAA0BBB,J60/0,J300/0", "2024-02-29T23:59:59"), 0);
	assert_int_equal(offset_by_rule(&file, "AAA0BBB,J60/0,J300/0", "2024-03-01T00:00:00"), 3600);
	assert_int_equal(offset_by_rule(&file, "AAA0BBB,J60/0,J300/0", "2023-03-01T00:00:00"), 3600);
	assert_int_equal(offset_by_rule(&file, "AAA0BBB,59/0,300/0", "2024-02-29T00:00:00"), 3600);
	assert_int_equal(offset_by_rule(&file, "AAA0BBB,59/0,300/0", "2023-03-01T00:00:00"), 3600);
	assert_int_equal(offset_by_rule(&file, "AAA0BBB,59/0,300/0", "2023-02-28T23:59:59"), 0);
	assert_int_equal(offset_by_rule(&file, "AAA0BBB-2,M3.1.0/-24,M10.1.0", "2024-03-02T00:00:00"), 7200);
	assert_int_equal(offset_by_rule(&file, "AAA0BBB-2,M3.1.0/-24,M10.1.0", "2024-03-01T23:59:59"), 0);
}

static void test_damaged(void **state)
{
	static const char *const rules[] = { "A0",
					     "AAA",
					     "AAA0BBB",
					     "AAA0BBB,M13.1.0,M1.1.0",
					     "AAA99",
					     "AAA0BBB,J0,J5",
					     "AAA0BBB,1",
					     "AAA0BBB,M3.6.0,M1.1.0",
					     "AAA0 BBB",
					     "AAA0BBB,366,1",
					     "AAA0BBB,1,2,3",
					     "AAA0BBB,M3.1.7,M1.1.0",
					     "<AAA0",
					     "AAA0BBB,1/168,2",
					     "AAA0:60",
					     "AAA0BBB,M3.1,M1.1.0" };
	CLEANUP(buf_release) struct buf file = BUF_INIT(4096);

	(void)state;
	for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
		put_zone(&file, '2', rules[i]);
		expect_error("zone", "damaged near byte");
	}
	put_zone(&file, '\0', "");
	expect_error("zone", "version 1");
	buf_reset(&file);
	buf_put_text(&file, "GIF89a");
	write_zone(&file);
	expect_error("zone", "not a time zone file");
	buf_reset(&file);
	put_header(&file, '2', UINT32_MAX, 1);
	write_zone(&file);
	expect_error("zone", "not a time zone file");
}

static void test_cut_short(void **state)
{
	CLEANUP(buf_release) struct buf file = BUF_INIT(4096);
	size_t whole;

	(void)state;
	put_zone(&file, '2', "AAA0BBB,M3.1.0,M10.1.0");
	whole = file.len;
	for (file.len = 0; file.len < whole; file.len++) {
		write_zone(&file);
		expect_error("zone", "time zone zone: ");
	}
	file.len = whole;
	write_zone(&file);
	tz_freep(&(struct tz *){ open_zone("zone") });
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_offsets),
		cmocka_unit_test(test_local_times),
		cmocka_unit_test(test_names),
	};
	const struct CMUnitTest files[] = {
		cmocka_unit_test(test_rules),
		cmocka_unit_test(test_damaged),
		cmocka_unit_test(test_cut_short),
	};

	return cmocka_run_group_tests_name("tz", tests, NULL, NULL) +
	       cmocka_run_group_tests_name("tz files", files, folder_setup, folder_teardown);
}

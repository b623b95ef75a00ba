#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/cleanup.h"
#include "common/datasets.h"
#include "common/embed.h"

#define HOUR 3600

static struct datasets *own;

static int setup(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	if (datasets_read(&own, DATASETS_FILE, embed_find(DATASETS_FILE), &err))
		fail_msg("%s", err.text);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	datasets_freep(&own);
	return 0;
}

static void test_every_name_is_found(void **state)
{
	(void)state;
	assert_true(datasets_count(own) > 40);
	for (unsigned i = 0; i < datasets_count(own); i++) {
		const struct dataset *d = datasets_at(own, i);

		assert_ptr_equal(datasets_find(own, d->name), d);
		assert_null(datasets_find(own, (struct str){ d->name.data, d->name.len - 1 }));
	}
	assert_null(datasets_find(own, STR_LIT("")));
	assert_null(datasets_find(own, (struct str){ NULL, 0 }));
	assert_null(datasets_find(own, STR_LIT("X")));
	assert_null(datasets_find(own, STR_LIT("glbx.mdp3")));
	assert_null(datasets_find(own, STR_LIT("A.NAME.THAT.IS.LONGER.THAN.ANY.THAT.A.VENDOR.HAS.FOR.ITS.DATASETS")));
}

static void expect_class(const char *dataset, const char *asset_class)
{
	const struct dataset *d = datasets_find(own, str_of(dataset));

	assert_non_null(d);
	assert_string_equal(datasets_class_name(own, d->asset_class), asset_class);
	assert_int_equal(datasets_class(own, str_of(asset_class)), d->asset_class);
}

static void test_classes(void **state)
{
	(void)state;
	expect_class("GLBX.MDP3", "futures");
	expect_class("IFEU.IMPACT", "futures");
	expect_class("XNAS.ITCH", "equities");
	expect_class("EQUS.MINI", "equities");
	expect_class("DBEQ.BASIC", "equities");
	expect_class("XTKS.FLEX", "equities");
	expect_class("OPRA.PILLAR", "options");
	assert_int_equal(datasets_class(own, STR_LIT("equity")), -1);
	assert_int_equal(datasets_class(own, STR_LIT("")), -1);
	assert_null(datasets_class_name(own, 3));
}

static void test_what_a_dataset_says(void **state)
{
	const struct dataset *cme = datasets_find(own, STR_LIT("GLBX.MDP3"));
	const struct dataset *nasdaq = datasets_find(own, STR_LIT("XNAS.ITCH"));

	(void)state;
	assert_string_equal(cme->region, "US");
	assert_string_equal(cme->timezone, "America/Chicago");
	assert_int_equal(cme->session_start, -7 * HOUR);
	assert_true(cme->has_hours && cme->opens == -7 * HOUR && cme->closes == 16 * HOUR + HOUR / 2);
	assert_int_equal(nasdaq->session_start, 0);
	assert_true(nasdaq->has_hours && nasdaq->opens == 4 * HOUR && nasdaq->closes == 20 * HOUR);
	assert_false(datasets_find(own, STR_LIT("OPRA.PILLAR"))->has_hours);
}

static void expect_bad_dataset(const char *yaml, const char *part)
{
	struct datasets *all = NULL;
	struct err err = ERR_INIT;

	assert_int_equal(datasets_read(&all, "d.yaml", str_of(yaml), &err), -1);
	assert_int_equal(err.kind, ERR_FATAL);
	if (!strstr(err.text, part))
		fail_msg("'%s' lacks '%s'", err.text, part);
}

static void test_bad_datasets(void **state)
{
	(void)state;
	expect_bad_dataset("", "d.yaml:1:1: a mapping is needed here (datasets)");
	expect_bad_dataset("datasets: 1\n", "d.yaml:1:11: `datasets` is a list");
	expect_bad_dataset("datasets:\n- {name: A, zone: UTC}\n", "d.yaml:2:13: unknown key 'zone'");
	expect_bad_dataset(
		"datasets:\n- {name: A, region: U, asset_class: x, timezone: UTC, session_start: '7:00', mics: []}\n",
		"d.yaml:2:3: session_start of A");
	expect_bad_dataset(
		"datasets:\n- {name: A, region: U, asset_class: x, timezone: UTC, session_start: '24:00', mics: []}\n",
		"session_start of A");
	expect_bad_dataset(
		"datasets:\n- {name: A, region: U, asset_class: x, timezone: UTC, session_start: '17:00 +1d', mics: []}\n",
		"session_start of A");
	expect_bad_dataset(
		"datasets:\n- {name: A, region: U, asset_class: x, timezone: UTC, session_start: '17:00', mics: [XNASD]}\n",
		"four capitals");
	expect_bad_dataset("datasets:\n- {name: A, region: U, asset_class: x, timezone: UTC, session_start: '17:00'}\n",
			   "`mics` is a list");
	expect_bad_dataset("datasets:\n- {name: A, region: U, asset_class: x, session_start: '17:00', mics: []}\n",
			   "needs name, region and timezone");
	expect_bad_dataset("datasets:\n"
			   "- {name: A, region: U, asset_class: x, timezone: UTC, session_start: '17:00', mics: []}\n"
			   "- {name: A, region: U, asset_class: x, timezone: UTC, session_start: '18:00', mics: []}\n",
			   "dataset A is listed twice");
	expect_bad_dataset("datasets:\n- {name: A, region: U, timezone: UTC, session_start: '17:00', mics: []}\n",
			   "d.yaml:2:3: asset_class of A is a word");
	expect_bad_dataset(
		"datasets:\n"
		"- {name: A, region: U, asset_class: Equities, timezone: UTC, session_start: '17:00', mics: []}\n",
		"asset_class of A is a word");
}

static void expect_bad_hours(const char *hours)
{
	char yaml[512];

	snprintf(
		yaml, sizeof(yaml),
		"datasets:\n- {name: A, region: U, asset_class: x, timezone: UTC, session_start: '17:00 -1d', mics: [],\n"
		"   hours: %s}\n",
		hours);
	expect_bad_dataset(yaml, "d.yaml:3:11: hours of A are two times within its session");
}

static void test_bad_hours(void **state)
{
	(void)state;
	expect_bad_hours("'17:00 -1d'");
	expect_bad_hours("['17:00 -1d']");
	expect_bad_hours("['17:00 -1d', '16:00', '16:30']");
	expect_bad_hours("['16:59 -1d', '16:00']");
	expect_bad_hours("['17:00 -1d', '17:01']");
	expect_bad_hours("['16:00', '16:00']");
	expect_bad_hours("['25:00', '16:00']");
	expect_bad_hours("[[], '16:00']");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_name_is_found), cmocka_unit_test(test_classes),
		cmocka_unit_test(test_what_a_dataset_says), cmocka_unit_test(test_bad_datasets),
		cmocka_unit_test(test_bad_hours),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}

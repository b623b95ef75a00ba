#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/cleanup.h"
#include "common/mem.h"
#include "stages/validator/installed.h"
#include "tests/unit/rule_folder.h"

static int make_folder(void **state)
{
	(void)state;
	installed_watch();
	return rule_folder_make();
}

static int remove_folder(void **state)
{
	(void)state;
	return rmdir(folder);
}

static struct installed *open_installed(void)
{
	struct installed *installed = NULL;
	struct err err = ERR_INIT;

	if (installed_open(&installed, folder, &err))
		fail_msg("%s", err.text);
	return installed;
}

static void expect_look(struct installed *installed, enum installed_outcome outcome, unsigned changed)
{
	unsigned found = 99;

	assert_int_equal(raise(SIGHUP), 0);
	assert_int_equal(installed_look(installed, &found), outcome);
	assert_int_equal(found, changed);
	assert_int_equal(installed_look(installed, &found), INSTALLED_NOT_ASKED);
	assert_int_equal(found, 0);
}

static void expect_version(const struct installed *installed, enum data_type_id type, const char *prefix)
{
	const char *version = ruleset_version(installed_set(installed, type));

	if (strncmp(version, prefix, strlen(prefix)) != 0)
		fail_msg("%s instead of %s…", version, prefix);
}

static void serve(struct buf *body, int status)
{
	const struct http_request request = { .method = "GET", .path = "/rules" };
	struct http_response response = { .status = 200, .body = BUF_INIT(65536) };

	installed_serve(NULL, &request, &response);
	assert_int_equal(response.status, status);
	*body = response.body;
}

static void expect_served(const char *part)
{
	CLEANUP(buf_release) struct buf body;

	serve(&body, 200);
	if (!strstr(buf_text(&body), part))
		fail_msg("%s lacks %s", buf_text(&body), part);
}

static void test_others(void **state)
{
	CLEANUP(installed_freep) struct installed *installed = open_installed();

	(void)state;
	expect_version(installed, DATA_TRADES, "trades@1-");
	expect_look(installed, INSTALLED_SAME, 0);
	write_file("trades.yaml",
		   "name: mine\nversion: 7\nrecord: trades\nrules:\n  - {name: R, violated: size > 5}\n");
	expect_look(installed, INSTALLED_OTHERS, 1u << DATA_TRADES);
	expect_version(installed, DATA_TRADES, "mine@7-");
	expect_version(installed, DATA_OHLCV, "ohlcv@1-");
	expect_served("\"record_type\":\"trades\",\"rule_set\":\"mine@7-");
	expect_look(installed, INSTALLED_SAME, 0);
	remove_file("trades.yaml");
	expect_look(installed, INSTALLED_OTHERS, 1u << DATA_TRADES);
	expect_version(installed, DATA_TRADES, "trades@1-");
}

static void test_refused(void **state)
{
	CLEANUP(installed_freep) struct installed *installed = open_installed();

	(void)state;
	write_file("ohlcv.yaml", "name: mine\nrecord: ohlcv\nrules:\n  - {name: R, violated: volume > 5}\n");
	write_file("trades.yaml", "name: mine\nrecord: trades\nrules:\n  - {name: R, violated: sise > 5}\n");
	expect_look(installed, INSTALLED_REFUSED, 0);
	expect_version(installed, DATA_OHLCV, "ohlcv@1-");
	expect_served("/trades.yaml:4:25: trades has no field 'sise'");
	remove_file("trades.yaml");
	write_file("trade.yaml", "");
	expect_look(installed, INSTALLED_REFUSED, 0);
	expect_version(installed, DATA_OHLCV, "ohlcv@1-");
	remove_file("trade.yaml");
	expect_look(installed, INSTALLED_OTHERS, 1u << DATA_OHLCV);
	expect_served("\"refused_at\":null,\"refused\":\"\"");
	remove_file("ohlcv.yaml");
}

/* However often it came before somebody looked. */
static void test_many_signals(void **state)
{
	CLEANUP(installed_freep) struct installed *installed = open_installed();
	unsigned changed;

	(void)state;
	assert_int_equal(installed_look(installed, &changed), INSTALLED_NOT_ASKED);
	for (unsigned i = 0; i < 10; i++)
		raise(SIGHUP);
	expect_look(installed, INSTALLED_SAME, 0);
}

/* Versions beyond what the metric has room for are counted together, and judge all the same. */
static void test_many_versions(void **state)
{
	CLEANUP(installed_freep) struct installed *installed = open_installed();
	CLEANUP(buf_release) struct buf metrics = BUF_INIT(1 << 20);
	char text[200];

	(void)state;
	for (unsigned i = 1; i < 500; i++) {
		snprintf(text, sizeof(text),
			 "name: mine\nversion: %u\nrecord: tbbo\nrules:\n  - {name: R, violated: size > 5}\n", i);
		write_file("tbbo.yaml", text);
		expect_look(installed, INSTALLED_OTHERS, 1u << DATA_TBBO);
		snprintf(text, sizeof(text), "mine@%u-", i);
		expect_version(installed, DATA_TBBO, text);
	}
	metric_family_render(&installed_sets, &metrics);
	assert_non_null(strstr(buf_text(&metrics), "type=\"other\",rule_set=\"other\"} 1\n"));
	remove_file("tbbo.yaml");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_others),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_many_signals),
		cmocka_unit_test(test_many_versions),
	};

	return cmocka_run_group_tests_name("rule sets that take another's place", tests, make_folder, remove_folder);
}

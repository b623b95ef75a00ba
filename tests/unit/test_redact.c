/* Secrets in texts and in connection strings. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "common/err.h"
#include "common/redact.h"

static void masked(const char *text, const char *expected)
{
	char out[200];

	snprintf(out, sizeof(out), "%s", text);
	redact(out);
	assert_string_equal(out, expected);
}

static void a_secret_is_masked_wherever_it_stands(void **state)
{
	(void)state;
	redact_add("sesame-open");
	redact_add("sesame-open");
	masked("sesame-open", "***");
	masked("key sesame-open, again sesame-open.", "key ***, again ***.");
	masked("sesame-ope", "sesame-ope");
	assert_true(redact_finds("a sesame-open b"));
	assert_false(redact_finds(""));
}

static void short_ones_are_not_looked_for(void **state)
{
	(void)state;
	redact_add("etl");
	redact_add("");
	redact_add(NULL);
	masked("etl.raw", "etl.raw");
}

static void a_secret_of_stars_ends(void **state)
{
	(void)state;
	redact_add("******");
	masked("*************", "****");
}

static void errors_are_masked(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	redact_add("err-secret-1");
	err_set(&err, ERR_RETRY, "login with %s failed", "err-secret-1");
	assert_string_equal(err.text, "login with *** failed");
	err_wrap(&err, "as err-secret-1");
	assert_string_equal(err.text, "as ***: login with *** failed");
}

static void passwords_of_connection_strings(void **state)
{
	static const struct {
		const char *dsn, *password;
	} cases[] = {
		{ "host=db password=pass-a user=x", "pass-a" },
		{ "password = 'pass of \\'2\\'' host=db", "pass of '2'" },
		{ "host=db sslpassword=pass-of-3 password=pass-of-33", "pass-of-3" },
		{ "host=db sslpassword=pass-of-4 password=pass-of-44", "pass-of-44" },
		{ "postgresql://me:pass-of-5@db:5432/x", "pass-of-5" },
		{ "postgres://me:pass%20of%206@db/x", "pass of 6" },
		{ "postgres://me:pass%20of%207@db/x", "pass%20of%207" },
		{ "postgres://me:pass@of-8@db/x", "pass@of-8" },
		{ "postgres://me:pass/of-9@db/x", "pass/of-9" },
		{ "postgres://db/x?user=me&password=pass-j&sslmode=require", "pass-j" },
		{ "password=pass-k", "pass-k" },
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		assert_false(redact_finds(cases[i].password));
		redact_add_dsn(cases[i].dsn);
		masked(cases[i].password, "***");
		assert_true(redact_is_secret_dsn(cases[i].dsn));
	}
}

static void connection_strings_without_one(void **state)
{
	static const char *const cases[] = { "", "dbname=penstock", "postgresql://me@db/x", "postgresql://db:5432/x",
					     "host=/run/postgresql dbname=a@b:c" };

	(void)state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		redact_add_dsn(cases[i]);
		assert_false(redact_is_secret_dsn(cases[i]));
	}
	redact_add_dsn("password");
	redact_add_dsn("password=");
	redact_add_dsn("password='open-end-12");
	masked("open-end-12", "***");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_secret_is_masked_wherever_it_stands),
		cmocka_unit_test(short_ones_are_not_looked_for),
		cmocka_unit_test(a_secret_of_stars_ends),
		cmocka_unit_test(errors_are_masked),
		cmocka_unit_test(passwords_of_connection_strings),
		cmocka_unit_test(connection_strings_without_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

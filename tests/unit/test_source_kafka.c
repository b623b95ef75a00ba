/* Source `kafka`: the messages that its task holds, and those that cannot be put back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/evp.h>

#include "common/cleanup.h"
#include "schemas.h"
#include "tests/unit/file_source.h"

#define TEXT_MAX 8192

static void put_base64(struct str bytes, char text[TEXT_MAX])
{
	EVP_EncodeBlock((unsigned char *)text, (const unsigned char *)bytes.data, (int)bytes.len);
}

static void make_bar(const char *symbol, struct buf *out)
{
	struct ohlcv bar = { .attempt = ATTEMPT_MIN + 9, .ordinal = 4, .as_of = 5, .symbol = str_of(symbol) };

	bar.schema = STR_LIT("ohlcv-1m");
	record_encode(&ohlcv_type, &bar, out);
}

static int open_with(struct source **ret, const char *record_type, const char *parameters, struct err *err)
{
	/* The task outlives the source. */
	static struct fetch_task task;

	task = (struct fetch_task){ .source = (char *)"kafka",
				    .record_type = (char *)record_type,
				    .schema = (char *)"ohlcv-1m",
				    .parameters = (char *)parameters };
	return file_source_open(ret, &task, err);
}

static struct source_item next_item(struct source *source, enum source_kind kind)
{
	struct source_item item;
	struct err err = ERR_INIT;

	assert_int_equal(source_next(source, &item, &err), 0);
	assert_int_equal(item.kind, kind);
	return item;
}

/* Keys of every length modulo three, as base64 ends in other ways for each. */
static void messages_are_as_they_were(void **state)
{
	static const char *const keys[] = { "A", "AB", "ABC", "ABCD" };
	static const struct {
		const char *text;
		struct dead_letter_past past;
	} pasts[] = {
		{ "", { 0, 0 } },
		{ ", 3, 77", { 3, 77 } },
		{ ", null, null", { 0, 0 } },
		{ ", 2147483648, -1", { 0, 0 } },
	};
	CLEANUP(source_freep) struct source *source = NULL;
	struct err err = ERR_INIT;
	CLEANUP(buf_release) struct buf parameters = BUF_INIT(8 * TEXT_MAX);

	(void)state;
	buf_put_text(&parameters, "{\"stage\": \"valid\", \"messages\": [");
	for (unsigned i = 0; i < 4; i++) {
		CLEANUP(buf_release) struct buf bar = BUF_INIT(TEXT_MAX);
		char key[TEXT_MAX], value[TEXT_MAX];

		make_bar(keys[i], &bar);
		put_base64(str_of(keys[i]), key);
		put_base64(buf_str(&bar), value);
		buf_printf(&parameters, "%s[\"%s\", \"%s\"%s]", i ? ", " : "", key, value, pasts[i].text);
	}
	buf_put_text(&parameters, "]}");
	assert_int_equal(open_with(&source, "ohlcv", buf_text(&parameters), &err), 0);
	assert_string_equal(source_identity(source), "messages:4");
	for (unsigned i = 0; i < 4; i++) {
		CLEANUP(buf_release) struct buf bar = BUF_INIT(TEXT_MAX);
		struct source_item item = next_item(source, SOURCE_MESSAGE);

		make_bar(keys[i], &bar);
		assert_true(str_eq(item.symbol, str_of(keys[i])));
		assert_true(str_eq(item.bytes, buf_str(&bar)));
		assert_int_equal(item.data, DATA_OHLCV);
		assert_int_equal(item.stage, DATA_VALID);
		assert_int_equal(item.past.replays, pasts[i].past.replays);
		assert_int_equal(item.past.first, pasts[i].past.first);
	}
	next_item(source, SOURCE_END);
	assert_true(source_input_bytes(source) > 0);
}

/* Each of them stays one record of the account. */
static void what_cannot_be_put_back_is_refused(void **state)
{
	static const struct {
		const char *pair, *why;
	} cases[] = {
		{ "[\"QQ==\", null]", "it has no bytes" },
		{ "[\"QQ==\", \"AAAA\"]", "it has no lineage" },
		{ "[\"QQ==\", \"AAA\"]", "its value is no base64" },
		{ "[\"QQ==\", \"A!==\"]", "its value is no base64" },
		{ "[\"Q\", null]", "its key is no base64" },
		{ "[null, \"\"]", "it has no lineage" },
		{ "17", "its key is no base64" },
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		CLEANUP(source_freep) struct source *source = NULL;
		struct err err = ERR_INIT;
		char parameters[256];

		snprintf(parameters, sizeof(parameters), "{\"stage\": \"raw\", \"messages\": [%s]}", cases[i].pair);
		assert_int_equal(open_with(&source, "ohlcv", parameters, &err), 0);
		assert_non_null(strstr(next_item(source, SOURCE_REFUSED).message, cases[i].why));
		next_item(source, SOURCE_END);
	}
}

static void a_task_that_is_none_is_refused(void **state)
{
	static const struct {
		const char *type, *parameters, *why;
	} cases[] = {
		{ "ohlcv", "", "the task's parameters" },
		{ "ohlcv", "[]", "no object" },
		{ "ohlcv", "{}", "stage '' is not" },
		{ "ohlcv", "{\"stage\": \"dlq\", \"messages\": []}", "stage 'dlq' is not" },
		{ "ohlcv", "{\"stage\": \"raw\"}", "no messages" },
		{ "ohlcv", "{\"stage\": \"raw\", \"messages\": null}", "no messages" },
		{ "quotes", "{\"stage\": \"raw\", \"messages\": []}", "record type 'quotes'" },
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		CLEANUP(source_freep) struct source *source = NULL;
		struct err err = ERR_INIT;

		assert_int_equal(open_with(&source, cases[i].type, cases[i].parameters, &err), -1);
		assert_int_equal(err.kind, ERR_RECORD);
		assert_non_null(strstr(err.text, cases[i].why));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(messages_are_as_they_were),
		cmocka_unit_test(what_cannot_be_put_back_is_refused),
		cmocka_unit_test(a_task_that_is_none_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

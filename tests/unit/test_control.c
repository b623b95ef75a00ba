/* Control records: what one side writes the other reads, and bytes from outside cannot do harm. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "common/cleanup.h"
#include "common/control.h"
#include "common/mem.h"
#include "common/record.h"

static char *symbols[] = { (char *)"ESM4", (char *)"AAPL  250221C00250000", (char *)"005930" };

static struct fetch_task sample_task(void)
{
	return (struct fetch_task){
		.attempt = INT64_MAX,
		.task = 7,
		.run = 12,
		.subscription = (char *)"demo-bars",
		.source = (char *)"file",
		.record_type = (char *)"ohlcv",
		.dataset = (char *)"GLBX.MDP3",
		.schema = (char *)"ohlcv-1m",
		.path = (char *)"/data/\xC3\xA4.dbn.zst",
		.stype_in = (char *)"raw_symbol",
		.parameters = (char *)"{\"format\": \"csv\"}",
		.symbols = symbols,
		.symbol_count = 3,
		.has_start = true,
		.start = -1,
		.has_end = false,
	};
}

static struct task_event sample_event(void)
{
	return (struct task_event){
		.attempt = 1,
		.task = 2,
		.run = 3,
		.state = ATTEMPT_FAILED,
		.fetched = INT64_C(1) << 40,
		.refused = 5,
		.skipped = 6,
		.input_bytes = 7,
		.worker = (char *)"host.0",
		.ts = INT64_C(1700000000123456789),
		.message = (char *)"file.dbn: record 3: byte 99: cut short",
		.result = (char *)"{\"records\":7}",
	};
}

static struct buf encoded_event(void)
{
	struct task_event event = sample_event();
	struct buf out = BUF_INIT(4096);
	struct err err = ERR_INIT;

	assert_int_equal(task_event_encode(&event, &out, &err), 0);
	return out;
}

static void test_task_round_trip(void **state)
{
	CLEANUP(buf_release) struct buf out = BUF_INIT(4096);
	CLEANUP(fetch_task_release) struct fetch_task back = FETCH_TASK_INIT;
	struct fetch_task task = sample_task();
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(fetch_task_encode(&task, &out, &err), 0);
	assert_int_equal(record_schema_id(buf_str(&out)), control_schema_id("fetch_task"));
	assert_int_equal(fetch_task_decode(buf_str(&out), &back, &err), 0);
	assert_true(back.attempt == task.attempt && back.task == 7 && back.run == 12);
	assert_string_equal(back.subscription, "demo-bars");
	assert_string_equal(back.source, "file");
	assert_string_equal(back.record_type, "ohlcv");
	assert_string_equal(back.dataset, "GLBX.MDP3");
	assert_string_equal(back.schema, "ohlcv-1m");
	assert_string_equal(back.path, task.path);
	assert_string_equal(back.stype_in, "raw_symbol");
	assert_string_equal(back.parameters, task.parameters);
	assert_int_equal(back.symbol_count, 3);
	assert_string_equal(back.symbols[1], symbols[1]);
	assert_true(back.has_start && back.start == -1);
	assert_false(back.has_end);
}

/* A task that was sent by the version before: the same bytes without the last field. */
static void test_task_of_version_1(void **state)
{
	CLEANUP(buf_release) struct buf out = BUF_INIT(4096);
	CLEANUP(fetch_task_release) struct fetch_task back = FETCH_TASK_INIT;
	struct fetch_task task = sample_task();
	struct err err = ERR_INIT;

	(void)state;
	task.parameters = NULL;
	assert_int_equal(fetch_task_encode(&task, &out, &err), 0);
	out.len--;
	memcpy(out.data, "\0\0\0\0\1", 5);
	assert_int_equal(fetch_task_decode(buf_str(&out), &back, &err), 0);
	assert_string_equal(back.stype_in, "raw_symbol");
	assert_string_equal(back.parameters, "");
	out.len--; /* cut */
	fetch_task_release(&back);
	assert_int_equal(fetch_task_decode(buf_str(&out), &back, &err), -1);
}

static void test_event_round_trip(void **state)
{
	CLEANUP(buf_release) struct buf out = encoded_event();
	CLEANUP(task_event_release) struct task_event back = TASK_EVENT_INIT;
	struct task_event event = sample_event();
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(task_event_decode(buf_str(&out), &back, &err), 0);
	assert_int_equal(back.state, ATTEMPT_FAILED);
	assert_true(back.fetched == event.fetched && back.refused == 5 && back.skipped == 6);
	assert_true(back.input_bytes == 7 && back.ts == event.ts);
	assert_string_equal(back.worker, "host.0");
	assert_string_equal(back.message, event.message);
	assert_string_equal(back.result, event.result);
}

/* An event of the version before: the same bytes without the last field. */
static void test_event_of_version_1(void **state)
{
	CLEANUP(buf_release) struct buf out = BUF_INIT(4096);
	CLEANUP(task_event_release) struct task_event back = TASK_EVENT_INIT;
	struct task_event event = sample_event();
	struct err err = ERR_INIT;

	(void)state;
	event.result = NULL;
	assert_int_equal(task_event_encode(&event, &out, &err), 0);
	out.len--;
	memcpy(out.data, "\0\0\0\0\4", 5);
	assert_true(control_is("task_event", buf_str(&out)));
	assert_false(control_is("fetch_task", buf_str(&out)));
	assert_int_equal(task_event_decode(buf_str(&out), &back, &err), 0);
	assert_string_equal(back.message, event.message);
	assert_string_equal(back.result, "");
}

/* A result may be as long as it says, and no longer; every other text keeps its own bound. */
static void test_long_results(void **state)
{
	CLEANUP(buf_release) struct buf out = BUF_INIT(TASK_RESULT_MAX + 4096);
	CLEANUP(task_event_release) struct task_event back = TASK_EVENT_INIT;
	CLEANUP(freep) char *text = mem_alloc(TASK_RESULT_MAX + 2);
	struct task_event event = sample_event();
	struct err err = ERR_INIT;

	(void)state;
	memset(text, 'a', TASK_RESULT_MAX + 1);
	text[TASK_RESULT_MAX + 1] = '\0';
	event.result = text;
	assert_int_equal(task_event_encode(&event, &out, &err), -1);
	assert_non_null(strstr(err.text, "result"));
	text[TASK_RESULT_MAX] = '\0';
	buf_reset(&out);
	assert_int_equal(task_event_encode(&event, &out, &err), 0);
	assert_int_equal(task_event_decode(buf_str(&out), &back, &err), 0);
	assert_int_equal(strlen(back.result), TASK_RESULT_MAX);
	event.message = text;
	assert_int_equal(task_event_encode(&event, &out, &err), -1);
}

/* The bytes that Avro's specification gives for this record, written down by hand. */
static void test_event_bytes(void **state)
{
	static const uint8_t body[] = { 2, 4, 6, 2, 0, 0, 0, 0, 2, 'w', 0, 0, 0 };
	CLEANUP(buf_release) struct buf out = BUF_INIT(64);
	struct task_event event = { .attempt = 1, .task = 2, .run = 3, .state = ATTEMPT_DONE, .worker = (char *)"w" };
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(task_event_encode(&event, &out, &err), 0);
	assert_int_equal(out.len, CONFLUENT_PREFIX + sizeof(body));
	assert_memory_equal(out.data + CONFLUENT_PREFIX, body, sizeof(body));
}

static void test_state_names(void **state)
{
	(void)state;
	assert_string_equal(attempt_state_name(ATTEMPT_RUNNING), "running");
	assert_string_equal(attempt_state_name(ATTEMPT_ABANDONED), "abandoned");
}

static void test_every_cut_is_refused(void **state)
{
	CLEANUP(buf_release) struct buf out = encoded_event();
	struct err err = ERR_INIT;

	(void)state;
	for (size_t len = 0; len < out.len; len++) {
		CLEANUP(task_event_release) struct task_event event = TASK_EVENT_INIT;
		CLEANUP(freep) char *exact = mem_strndup("", 0);

		/* A copy of just that size, so that a read past the end is caught by the sanitizer. */
		exact = mem_realloc(exact, len + 1, 1);
		memcpy(exact, out.data, len);
		assert_int_equal(task_event_decode((struct str){ exact, (uint32_t)len }, &event, &err), -1);
		assert_int_equal(err.kind, ERR_RECORD);
	}
}

static void test_trailing_bytes_are_refused(void **state)
{
	CLEANUP(buf_release) struct buf out = encoded_event();
	CLEANUP(task_event_release) struct task_event event = TASK_EVENT_INIT;
	struct err err = ERR_INIT;

	(void)state;
	buf_put_u8(&out, 0);
	assert_int_equal(task_event_decode(buf_str(&out), &event, &err), -1);
	assert_int_equal(err.kind, ERR_RECORD);
	assert_non_null(strstr(err.text, "bytes left over"));
}

static void test_other_schema_id_is_tried_again(void **state)
{
	CLEANUP(buf_release) struct buf out = encoded_event();
	CLEANUP(task_event_release) struct task_event event = TASK_EVENT_INIT;
	struct err err = ERR_INIT;

	(void)state;
	out.data[1] = 0x7f;
	assert_int_equal(task_event_decode(buf_str(&out), &event, &err), -1);
	assert_int_equal(err.kind, ERR_RETRY);
}

/* A frame of event's schema with 12 fields up to `worker`, whose length is what `varint` says. */
static int decode_with_length(const uint8_t *varint, size_t n, struct err *err)
{
	CLEANUP(buf_release) struct buf out = BUF_INIT(64);
	CLEANUP(task_event_release) struct task_event event = TASK_EVENT_INIT;

	buf_put_u8(&out, 0);
	buf_put_be32(&out, control_schema_id("task_event"));
	buf_put(&out, "\2\4\6\2\0\0\0\0", 8);
	buf_put(&out, varint, n);
	buf_put(&out, "w\0\0\0", 4);
	return task_event_decode(buf_str(&out), &event, err);
}

static void test_hostile_lengths(void **state)
{
	static const uint8_t good[] = { 2 }, minus_one[] = { 1 };
	static const uint8_t huge[] = { 0xfe, 0xff, 0xff, 0xff, 0x0f }; /* 2^31 */
	static const uint8_t most[] = { 0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01 };
	static const uint8_t long_varint[] = { 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01 };
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(decode_with_length(good, sizeof(good), &err), 0);
	assert_int_equal(decode_with_length(minus_one, sizeof(minus_one), &err), -1);
	assert_int_equal(decode_with_length(huge, sizeof(huge), &err), -1);
	assert_int_equal(decode_with_length(most, sizeof(most), &err), -1);
	assert_int_equal(decode_with_length(long_varint, sizeof(long_varint), &err), -1);
	assert_int_equal(err.kind, ERR_RECORD);
}

static void test_bad_text_and_enum(void **state)
{
	CLEANUP(buf_release) struct buf out = encoded_event();
	CLEANUP(task_event_release) struct task_event event = TASK_EVENT_INIT;
	struct err err = ERR_INIT;

	(void)state;
	out.data[out.len - 1] = 0xff; /* the result's last byte: no UTF-8 */
	assert_int_equal(task_event_decode(buf_str(&out), &event, &err), -1);
	assert_int_equal(err.kind, ERR_RECORD);
	out.data[out.len - 1] = '}';
	out.data[CONFLUENT_PREFIX + 3] = 8; /* state: symbol 4 of 0..3 */
	assert_int_equal(task_event_decode(buf_str(&out), &event, &err), -1);
	assert_int_equal(err.kind, ERR_RECORD);
}

static void test_encode_refuses(void **state)
{
	CLEANUP(buf_release) struct buf out = BUF_INIT(16384);
	CLEANUP(buf_release) struct buf small = BUF_INIT(8);
	CLEANUP(freep) char *text = mem_alloc(9001);
	struct fetch_task task = sample_task();
	struct err err = ERR_INIT;

	(void)state;
	task.path = (char *)"/data/\xff.dbn";
	assert_int_equal(fetch_task_encode(&task, &out, &err), -1);
	assert_non_null(strstr(err.text, "path"));
	memset(text, 'a', 9000);
	text[9000] = '\0';
	task.path = text;
	assert_int_equal(fetch_task_encode(&task, &out, &err), -1);
	text[8000] = '\0'; /* passes itself, but not the buffer */
	assert_int_equal(fetch_task_encode(&task, &small, &err), -1);
	assert_int_equal(err.kind, ERR_RECORD);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_task_round_trip),
		cmocka_unit_test(test_task_of_version_1),
		cmocka_unit_test(test_event_round_trip),
		cmocka_unit_test(test_event_of_version_1),
		cmocka_unit_test(test_long_results),
		cmocka_unit_test(test_event_bytes),
		cmocka_unit_test(test_state_names),
		cmocka_unit_test(test_every_cut_is_refused),
		cmocka_unit_test(test_trailing_bytes_are_refused),
		cmocka_unit_test(test_other_schema_id_is_tried_again),
		cmocka_unit_test(test_hostile_lengths),
		cmocka_unit_test(test_bad_text_and_enum),
		cmocka_unit_test(test_encode_refuses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

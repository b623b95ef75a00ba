/* The simulated vendor: times, forms, faults, the meter. */
#include "tests/unit/dbn_files.h"

#include <stdlib.h>

#include "common/mem.h"
#include "ops/simulator/market/calendar.h"
#include "ops/simulator/vendor/faults.h"
#include "ops/simulator/vendor/meter.h"
#include "ops/simulator/vendor/moment.h"
#include "ops/simulator/vendor/request.h"

static void test_moments(void **state)
{
	int64_t day = DAY(2024, 3, 14) * NS_PER_DAY, noon = day + 12 * HOUR_NS, ns, next;
	const struct {
		const char *text;
		int64_t ns, step;
	} good[] = {
		{ "2024-03-14", day, NS_PER_DAY },
		{ "2024-03-14T12", noon, HOUR_NS },
		{ "2024-03-14T12:00", noon, MINUTE_NS },
		{ "2024-03-14T12:00:00", noon, NS_PER_SECOND },
		{ "2024-03-14 12:00:00+00:00", noon, NS_PER_SECOND },
		{ "2024-03-14T12:00:00Z", noon, NS_PER_SECOND },
		{ "2024-03-14T13:00:00+01:00", noon, NS_PER_SECOND },
		{ "2024-03-14T07:00-05:00", noon, MINUTE_NS },
		{ "2024-03-14T12:00:00.000000001", noon + 1, 1 },
		{ "1710417600000000000", noon, 1 },
	};
	static const char *const bad[] = { "",
					   "now",
					   "2024-3",
					   "2024-13-01",
					   "2024-03-14T25:00",
					   "2024-03-14T12:00:00+99:00",
					   "20240314T120000000000000000000000000000000000000000",
					   "9223372036854775807",
					   "2262-04-11",
					   "9999-12-31",
					   "99999999999999999999",
					   "-5" };

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		if (!moment_parse(good[i].text, &ns, &next))
			fail_msg("%s", good[i].text);
		assert_true(ns == good[i].ns && next - ns == good[i].step);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (moment_parse(bad[i], &ns, &next))
			fail_msg("%s", bad[i]);
}

static void test_forms(void **state)
{
	struct request request = { .body = BUF_INIT(4096) };
	uint64_t n;

	(void)state;
	buf_put_text(&request.body, "a=1%2C2&b=x+y&empty=&none&flag=True&off=false&n=12&bad=-1&a=again");
	request_parse_form(&request);
	assert_string_equal(request_text(&request, "a"), "1,2");
	assert_string_equal(request_text(&request, "b"), "x y");
	assert_null(request_text(&request, "empty"));
	assert_null(request_text(&request, "none"));
	assert_true(request_flag(&request, "flag", false) && !request_flag(&request, "off", true));
	assert_true(request_flag(&request, "absent", true));
	assert_true(request_number(&request, "n", &n) && n == 12);
	assert_false(request_number(&request, "bad", &n));
	request_release(&request);
	request.body = (struct buf)BUF_INIT(4096);
	for (int i = 0; i < REQUEST_PARAMETERS_MAX + 10; i++)
		buf_printf(&request.body, "p%d=1&", i);
	request_parse_form(&request);
	assert_int_equal(request.parameter_count, REQUEST_PARAMETERS_MAX);
	request_release(&request);
	assert_true(request_key_is_valid("db-0123456789012345678901234567X"));
	assert_false(request_key_is_valid("db-short"));
	assert_false(request_key_is_valid(NULL));
}

static void test_faults(void **state)
{
	struct faults faults = { .lock = PTHREAD_MUTEX_INITIALIZER };
	struct fault fault, hit;
	struct err err = ERR_INIT;
	uint64_t id;

	(void)state;
	assert_int_equal(fault_parse_text("status=503,count=2,path=/v0/metadata.*,skip=1", &fault, &err), 0);
	assert_int_equal(faults_add(&faults, &fault, &id, &err), 0);
	assert_false(faults_take(&faults, "GET", "/v0/timeseries.get_range", &hit));
	assert_false(faults_take(&faults, "GET", "/v0/metadata.list_datasets", &hit));
	for (int i = 0; i < 2; i++) {
		assert_true(faults_take(&faults, "GET", "/v0/metadata.list_datasets", &hit));
		assert_int_equal(hit.status, 503);
	}
	assert_false(faults_take(&faults, "GET", "/v0/metadata.list_datasets", &hit));
	assert_int_equal(fault_parse_text("cut_after_bytes=0,count=-1,method=POST", &fault, &err), 0);
	assert_int_equal(faults_add(&faults, &fault, &id, &err), 0);
	for (int i = 0; i < 5; i++)
		assert_true(faults_take(&faults, "POST", "/any", &hit));
	assert_int_equal(hit.cut_after_bytes, 0);
	assert_int_equal(hit.corrupt_after_bytes, -1);
	while (faults_add(&faults, &fault, &id, &err) == 0)
		assert_true(id <= FAULTS_MAX);
	assert_int_equal(faults.count, FAULTS_MAX);
	assert_int_equal(fault_parse_text("status", &fault, &err), -1);
	assert_int_equal(fault_parse_text("status=x", &fault, &err), -1);
	assert_int_equal(fault_parse_text("status=200", &fault, &err), -1);
	assert_int_equal(fault_parse_text("nope=1", &fault, &err), -1);
	assert_int_equal(fault_parse_text("method=TOOLONGFORTHIS", &fault, &err), -1);
}

static size_t read_all(struct answer *answer, uint8_t *to, size_t max, bool *ret_cut)
{
	size_t n = 0;
	ssize_t got;

	while ((got = answer->body.read(answer->body.self, to + n, max - n < 7 ? max - n : 7)) > 0)
		n += (size_t)got;
	*ret_cut = got < 0;
	return n;
}

static void test_troubled_bodies(void **state)
{
	static const struct {
		const char *fault;
		size_t bytes;
		bool cut;
		int wrong; /* -1: none */
	} cases[] = {
		{ "cut_after_bytes=0", 0, true, -1 },           { "cut_after_bytes=10", 10, true, -1 },
		{ "cut_after_bytes=100", 26, false, -1 },       { "corrupt_after_bytes=13", 26, false, 13 },
		{ "slow_bytes_per_second=400", 26, false, -1 }, { "stall_after_bytes=5,stall_ms=1", 26, false, -1 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct answer answer = ANSWER_INIT;
		struct buf buf = BUF_INIT(64);
		uint8_t got[64] = { 0 };
		struct err err = ERR_INIT;
		struct fault fault;
		bool cut;

		buf_put_text(&buf, "abcdefghijklmnopqrstuvwxyz");
		answer_json(&answer, &buf);
		assert_int_equal(fault_parse_text(cases[i].fault, &fault, &err), 0);
		fault_trouble_body(&fault, &answer);
		assert_int_equal(read_all(&answer, got, sizeof(got), &cut), cases[i].bytes);
		assert_int_equal(cut, cases[i].cut);
		for (size_t b = 0; b < cases[i].bytes; b++)
			assert_int_equal(got[b] == 'a' + b, (int)b != cases[i].wrong);
		answer_release(&answer);
	}
}

static void test_meter(void **state)
{
	struct meter *meter = mem_zalloc(1, sizeof(*meter));
	struct meter_window window = {
		.key = "db-1", .dataset = "D", .schema = "S", .symbols = "A", .start = 1, .end = 2
	};
	struct meter_place place, late;

	(void)state;
	pthread_mutex_init(&meter->lock, NULL);
	place = meter_enter(meter, &window);
	meter_add(&place, 2, 112);
	late = meter_enter(meter, &window);
	meter_add(&late, 1, 56);
	assert_int_equal(meter->windows[0].count.bytes, 168);
	assert_int_equal(meter->keys[0].count.requests, 2);
	for (int i = 0; i < METER_WINDOWS_MAX + 5; i++) {
		window.start = 10 + i;
		snprintf(window.key, sizeof(window.key), "db-%d", i);
		place = meter_enter(meter, &window);
		meter_add(&place, 1, 1);
	}
	assert_int_equal(meter->window_count, METER_WINDOWS_MAX);
	assert_int_equal(meter->key_count, METER_KEYS_MAX);
	assert_int_equal(meter->total.bytes, 168 + METER_WINDOWS_MAX + 5);
	meter_reset(meter);
	meter_add(&late, 1, 56); /* of before */
	assert_int_equal(meter->total.bytes, 0);
	free(meter);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_moments),         cmocka_unit_test(test_forms), cmocka_unit_test(test_faults),
		cmocka_unit_test(test_troubled_bodies), cmocka_unit_test(test_meter),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* config, cursor, metrics, err */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/cleanup.h"
#include "common/config.h"
#include "common/kafka_internal.h"
#include "common/mem.h"
#include "common/metrics.h"
#include "stages/fetcher/cursor.h"

static const struct config_key keys[] = {
	{ "batch.records_max", CONFIG_INT, "10000", 1, 1000, "records", "A batch." },
	{ "eager", CONFIG_BOOL, "false", 0, 0, NULL, "A switch." },
	{ 0 },
};
static const struct config_key *const shared[] = { config_common_keys, NULL };
static const struct config_spec spec = { .binary = "loader", .summary = "", .keys = keys, .shared = shared };

struct file {
	char path[64];
};

static void file_write(struct file *file, const char *text)
{
	int fd;
	FILE *out;

	snprintf(file->path, sizeof(file->path), "/tmp/penstock-test-XXXXXX");
	fd = mkstemp(file->path);
	out = fdopen(fd, "w");
	fputs(text, out);
	fclose(out);
}

static void file_remove(struct file *file)
{
	if (file->path[0])
		unlink(file->path);
}

static void assert_refused(const char *yaml, const char *line, const char *said)
{
	CLEANUP(file_remove) struct file file;
	CLEANUP(config_freep) struct config *cfg = NULL;
	struct err err = ERR_INIT;

	file_write(&file, yaml);
	assert_int_equal(config_open(&cfg, &spec, file.path, &err), -1);
	assert_non_null(strstr(err.text, file.path));
	assert_non_null(strstr(err.text, line));
	assert_non_null(strstr(err.text, said));
}

static void a_higher_origin_wins(void **state)
{
	CLEANUP(file_remove) struct file file;
	CLEANUP(config_freep) struct config *cfg = NULL;
	struct err err = ERR_INIT;

	(void)state;
	file_write(&file, "log: {level: debug}\nhttp: {port: 1}\nloader: {batch: {records_max: 5}, http: {port: 2}}\n"
			  "fetcher: {nobody: knows}\n");
	assert_int_equal(config_open(&cfg, &spec, file.path, &err), 0);
	assert_string_equal(config_text(cfg, "log.level"), "debug");
	assert_int_equal(config_int(cfg, "batch.records_max"), 5);
	assert_int_equal(config_int(cfg, "http.port"), 2);
	assert_false(config_bool(cfg, "eager"));
	assert_int_equal(config_set(cfg, "batch.records_max=7", &err), 0);
	assert_int_equal(config_int(cfg, "batch.records_max"), 7);
	config_freep(&cfg);

	setenv("PENSTOCK_LOADER_BATCH_RECORDS_MAX", "6", 1);
	setenv("PENSTOCK_LOG_LEVEL", "error", 1);
	assert_int_equal(config_open(&cfg, &spec, file.path, &err), 0);
	unsetenv("PENSTOCK_LOADER_BATCH_RECORDS_MAX");
	unsetenv("PENSTOCK_LOG_LEVEL");
	assert_int_equal(config_int(cfg, "batch.records_max"), 6);
	assert_string_equal(config_text(cfg, "log.level"), "error");
}

static void mistakes_are_named_with_their_line(void **state)
{
	(void)state;
	assert_refused("log: {level: info}\nlogg: {level: info}\n", ":2", "logg.level");
	assert_refused("loader:\n  batch:\n    records: 5\n", ":3", "batch.records");
	assert_refused("loader: {batch: {records_max: many}}\n", ":1", "many");
	assert_refused("loader: {batch: {records_max: 1001}}\n", ":1", "between 1 and 1000");
	assert_refused("loader: {eager: maybe}\n", ":1", "maybe");
	assert_refused("http:\n  port: [1, 2]\n", ":2", "http.port");
	assert_refused("log: {level: info\n", ":2", "");
	assert_refused("api: {token_file: /nowhere/at/all}\n", ":1", "/nowhere/at/all");
}

static int collect(void *self, const char *key, const char *value, struct err *err)
{
	char *text = self;

	(void)err;
	snprintf(text + strlen(text), 200 - strlen(text), "%s=%s;", key, value);
	return 0;
}

static void a_map_is_handed_on(void **state)
{
	CLEANUP(file_remove) struct file file;
	CLEANUP(config_freep) struct config *cfg = NULL;
	struct err err = ERR_INIT;
	char text[200] = "";

	(void)state;
	file_write(&file, "kafka: {bootstrap.servers: \"a:1,b:2\", sasl: {mechanisms: PLAIN}}\n");
	setenv("PENSTOCK_KAFKA_CLIENT_RACK", "r1", 1);
	assert_int_equal(config_open(&cfg, &spec, file.path, &err), 0);
	unsetenv("PENSTOCK_KAFKA_CLIENT_RACK");
	assert_int_equal(config_map(cfg, "kafka", collect, text, &err), 0);
	assert_string_equal(text, "bootstrap.servers=a:1,b:2;sasl.mechanisms=PLAIN;client.rack=r1;");
}

static void keys_that_kafka_refuses_are_named_with_their_line(void **state)
{
	static const char *const mistakes[][2] = {
		{ "kafka:\n  client.id: me\n  nonsense: 1\n", ":3: kafka.nonsense: " },
		{ "kafka:\n  fetch: {min: {bytes: few}}\n", ":2: kafka.fetch.min.bytes: " },
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(mistakes) / sizeof(*mistakes); i++) {
		CLEANUP(file_remove) struct file file;
		CLEANUP(config_freep) struct config *cfg = NULL;
		struct err err = ERR_INIT;

		file_write(&file, mistakes[i][0]);
		assert_int_equal(config_open(&cfg, &spec, file.path, &err), 0);
		assert_int_equal(kafka_check(cfg, &err), -1);
		assert_memory_equal(err.text, file.path, strlen(file.path));
		assert_memory_equal(err.text + strlen(file.path), mistakes[i][1], strlen(mistakes[i][1]));
	}
}

static void assert_property(rd_kafka_conf_t *conf, const char *name, const char *expected)
{
	char value[64];
	size_t size = sizeof(value);

	assert_int_equal(rd_kafka_conf_get(conf, name, value, &size), RD_KAFKA_CONF_OK);
	assert_string_equal(value, expected);
}

static void clients_get_what_is_for_them(void **state)
{
	CLEANUP(file_remove) struct file file;
	CLEANUP(config_freep) struct config *cfg = NULL;
	CLEANUP(kafka_conf_freep) rd_kafka_conf_t *consumer = NULL;
	CLEANUP(kafka_conf_freep) rd_kafka_conf_t *producer = NULL;
	static const struct kafka_property defaults[] = { { "session.timeout.ms", "9000" },
							  { "linger.ms", "4" },
							  { 0 } };
	struct err err = ERR_INIT;

	(void)state;
	file_write(&file, "kafka: {session.timeout.ms: 7000, queue.buffering.max.ms: 3, client.id: me, acks: 1}\n");
	assert_int_equal(config_open(&cfg, &spec, file.path, &err), 0);
	assert_int_equal(kafka_check(cfg, &err), 0);
	assert_int_equal(kafka_conf_new(&consumer, RD_KAFKA_CONSUMER, cfg, defaults, NULL, &err), 0);
	assert_int_equal(kafka_conf_new(&producer, RD_KAFKA_PRODUCER, cfg, defaults, NULL, &err), 0);
	assert_property(consumer, "client.id", "me");
	assert_property(producer, "client.id", "me");
	assert_property(consumer, "session.timeout.ms", "7000");
	assert_property(producer, "session.timeout.ms", "9000");
	assert_property(consumer, "linger.ms", "4");
	assert_property(producer, "linger.ms", "3");
	assert_property(producer, "acks", "1");
}

static void a_secret_comes_from_its_file(void **state)
{
	CLEANUP(file_remove) struct file secret;
	CLEANUP(file_remove) struct file file;
	CLEANUP(config_freep) struct config *cfg = NULL;
	CLEANUP(freep) char *yaml = NULL;
	struct err err = ERR_INIT;

	(void)state;
	file_write(&secret, "s3cret\nnot this\n");
	yaml = mem_printf("api: {token_file: %s}\n", secret.path);
	file_write(&file, yaml);
	assert_int_equal(config_open(&cfg, &spec, file.path, &err), 0);
	assert_string_equal(config_text(cfg, "api.token"), "s3cret");
}

/* --- cursor ---------------------------------------------------------------------------------------------------------- */

static void a_cursor_round_trips(void **state)
{
	const struct cursor in = {
		.attempt = 5000000000000000001,
		.task = 7,
		.run = 6,
		.as_of = 1700000000123456789,
		.fetched = 10,
		.refused = 2,
		.skipped = 3,
		.starts = 4,
		.identity = "8:1:\"x\"",
	};
	struct cursor out;
	char text[CURSOR_TEXT_MAX];

	(void)state;
	cursor_format(&in, text);
	assert_true(cursor_parse(text, &out));
	assert_true(cursor_same(&in, &out));
	assert_int_equal(out.task, 7);
	assert_int_equal(out.run, 6);
	assert_int_equal(out.as_of, in.as_of);
	assert_int_equal(out.fetched, 10);
	assert_int_equal(out.refused, 2);
	assert_int_equal(out.skipped, 3);
	assert_int_equal(out.starts, 4);
	assert_string_equal(out.identity, in.identity);
}

static void the_worst_cursor_fits_an_offset(void **state)
{
	struct cursor in = {
		.attempt = INT64_MAX,
		.task = INT64_MAX,
		.run = INT64_MAX,
		.as_of = INT64_MIN,
		.fetched = INT64_MAX,
		.refused = INT64_MAX,
		.skipped = INT64_MAX,
		.starts = INT64_MAX,
	};
	struct cursor out;
	char text[CURSOR_TEXT_MAX];

	(void)state;
	memset(in.identity, '\1', sizeof(in.identity) - 1);
	cursor_format(&in, text);
	assert_true(cursor_parse(text, &out));
	assert_string_equal(out.identity, in.identity);
}

static void an_older_cursor_has_no_starts(void **state)
{
	struct cursor out;

	(void)state;
	assert_true(cursor_parse("{\"attempt\":9,\"as_of\":1,\"fetched\":5,\"refused\":1,\"skipped\":2,"
				 "\"identity\":\"8:1\"}",
				 &out));
	assert_int_equal(out.attempt, 9);
	assert_int_equal(out.fetched, 5);
	assert_int_equal(out.starts, 0);
}

static void what_is_no_cursor_is_none(void **state)
{
	static const char *const cases[] = {
		"",
		"{}",
		"null",
		"[1]",
		"starts=1",
		"{\"attempt\":0}",
		"{\"attempt\":1,\"as_of\":1,\"fetched\":-1,\"refused\":0,\"skipped\":0,\"identity\":\"\"}",
		"{\"attempt\":1,\"as_of\":1,\"fetched\":1,\"refused\":0,\"skipped\":0,\"starts\":-1,\"identity\":\"\"}",
	};
	struct cursor out;

	(void)state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		assert_false(cursor_parse(cases[i], &out));
}

/* --- metrics, err ---------------------------------------------------------------------------------------------------- */

static void metrics_are_prometheus_text(void **state)
{
	static struct metric table[] = {
		{ "rows_total", "outcome=\"inserted\"", METRIC_COUNTER, "Rows.", 3 },
		{ "rows_total", "outcome=\"updated\"", METRIC_COUNTER, "Rows.", 0 },
		{ "open", NULL, METRIC_GAUGE, "Open ones.", -1 },
	};
	CLEANUP(buf_release) struct buf text = BUF_INIT(1000);

	(void)state;
	metrics_render(table, 3, &text);
	assert_string_equal(buf_text(&text), "# HELP rows_total Rows.\n# TYPE rows_total counter\n"
					     "rows_total{outcome=\"inserted\"} 3\nrows_total{outcome=\"updated\"} 0\n"
					     "# HELP open Open ones.\n# TYPE open gauge\nopen -1\n");
}

static void a_family_grows_to_its_last_row(void **state)
{
	static struct metric rows[3];
	static struct metric_family family = { .name = "calls_total",
					       .type = METRIC_COUNTER,
					       .help = "Calls.",
					       .others = "to=\"other\"",
					       .rows = rows,
					       .max = 3 };
	CLEANUP(buf_release) struct buf text = BUF_INIT(1000);

	(void)state;
	metric_family_render(&family, &text);
	assert_int_equal(text.len, 0);
	for (const char *to = "abacd"; *to; to++) {
		char labels[] = "to=\"?\"";

		labels[4] = *to;
		metric_add(metric_family_row(&family, labels), 1);
	}
	metric_family_render(&family, &text);
	assert_string_equal(buf_text(&text), "# HELP calls_total Calls.\n# TYPE calls_total counter\n"
					     "calls_total{to=\"a\"} 2\ncalls_total{to=\"b\"} 1\n"
					     "calls_total{to=\"other\"} 2\n");
	atomic_store(&family.hidden, true);
	buf_reset(&text);
	metric_family_render(&family, &text);
	assert_int_equal(text.len, 0);
	free((char *)rows[0].labels);
	free((char *)rows[1].labels);
}

static void a_histogram_sums_its_buckets(void **state)
{
	static struct histogram histogram = {
		.name = "wait_seconds", .help = "Waits.", .unit = 1000, .bound_count = 2, .bounds = { 10, 2500 }
	};
	CLEANUP(buf_release) struct buf text = BUF_INIT(1000);

	(void)state;
	histogram_observe(&histogram, 10);
	histogram_observe(&histogram, 11);
	histogram_observe(&histogram, 4000);
	histogram_render(&histogram, &text);
	assert_string_equal(buf_text(&text), "# HELP wait_seconds Waits.\n# TYPE wait_seconds histogram\n"
					     "wait_seconds_bucket{le=\"0.01\"} 1\nwait_seconds_bucket{le=\"2.5\"} 2\n"
					     "wait_seconds_bucket{le=\"+Inf\"} 3\nwait_seconds_sum 4.021\n"
					     "wait_seconds_count 3\n");
}

static void a_reason_survives_a_long_context(void **state)
{
	struct err err = ERR_INIT;
	char long_path[600];

	(void)state;
	memset(long_path, 'p', sizeof(long_path) - 1);
	long_path[sizeof(long_path) - 1] = '\0';
	assert_int_equal(err_set(&err, ERR_RECORD, "no such file"), -1);
	assert_int_equal(err_wrap(&err, "%s", long_path), -1);
	assert_int_equal(err.kind, ERR_RECORD);
	assert_non_null(strstr(err.text, "p: no such file"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_higher_origin_wins),
		cmocka_unit_test(mistakes_are_named_with_their_line),
		cmocka_unit_test(a_map_is_handed_on),
		cmocka_unit_test(keys_that_kafka_refuses_are_named_with_their_line),
		cmocka_unit_test(clients_get_what_is_for_them),
		cmocka_unit_test(a_secret_comes_from_its_file),
		cmocka_unit_test(a_cursor_round_trips),
		cmocka_unit_test(what_is_no_cursor_is_none),
		cmocka_unit_test(metrics_are_prometheus_text),
		cmocka_unit_test(a_family_grows_to_its_last_row),
		cmocka_unit_test(a_histogram_sums_its_buckets),
		cmocka_unit_test(a_reason_survives_a_long_context),
		cmocka_unit_test(the_worst_cursor_fits_an_offset),
		cmocka_unit_test(an_older_cursor_has_no_starts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

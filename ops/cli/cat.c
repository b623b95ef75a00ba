#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/control.h"
#include "common/data_types.h"
#include "common/json_out.h"
#include "common/kafka.h"
#include "common/kafka_admin.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/registry_remote.h"
#include "common/topics.h"
#include "ops/cli/cli.h"
#include "ops/cli/control_json.h"

#define LINE_MAX_BYTES ((size_t)64 * 1024 * 1024)
#define FROM_BEGINNING (-2)
#define ALL_PARTITIONS (-1)

struct cat {
	const struct config *cfg;
	const char *topic;
	int64_t left; /* messages still to print */
	bool follow;
	struct buf line;
};

/* --- values ---------------------------------------------------------------------------------------------------------- */

static bool put_as(struct json_out *out, const struct record_type *type, struct str value)
{
	CLEANUP(freep) void *record = NULL;
	struct err err = ERR_INIT;

	if (type->schema_id != record_schema_id(value))
		return false;
	record = mem_zalloc(1, type->size);
	if (record_decode(type, record, value, &err))
		return false;
	record_json(type, record, out);
	return true;
}

/* A data record's JSON; false where it is none of ours. */
static bool put_record(struct json_out *out, struct str value)
{
	for (unsigned id = 0; id < DATA_TYPES; id++)
		if (put_as(out, data_types[id].raw, value) || put_as(out, data_types[id].clean, value))
			return true;
	return false;
}

static bool put_task(struct json_out *out, struct str value)
{
	CLEANUP(fetch_task_release) struct fetch_task task = FETCH_TASK_INIT;
	struct err err = ERR_INIT;

	if (!control_is("fetch_task", value) || fetch_task_decode(value, &task, &err))
		return false;
	json_put_open(out, '{');
	control_json_number(out, "attempt", task.attempt);
	control_json_number(out, "task", task.task);
	control_json_number(out, "run", task.run);
	control_json_text(out, "subscription", task.subscription);
	control_json_text(out, "source", task.source);
	control_json_text(out, "record_type", task.record_type);
	control_json_text(out, "dataset", task.dataset);
	control_json_text(out, "schema", task.schema);
	control_json_text(out, "path", task.path);
	json_put_close(out, '}');
	return true;
}

static bool put_event(struct json_out *out, struct str value)
{
	CLEANUP(task_event_release) struct task_event event = TASK_EVENT_INIT;
	struct err err = ERR_INIT;

	if (!control_is("task_event", value) || task_event_decode(value, &event, &err))
		return false;
	control_event_json(out, &event);
	return true;
}

/* What decodes as JSON, text as text, everything else in hex. */
static void put_value(struct json_out *out, struct str value)
{
	if (put_record(out, value) || put_task(out, value) || put_event(out, value))
		return;
	if (str_is_text(value)) {
		json_put_str(out, value);
		return;
	}
	CLEANUP(buf_release) struct buf hex = BUF_INIT(LINE_MAX_BYTES);

	for (uint32_t i = 0; i < value.len; i++)
		buf_printf(&hex, "%02x", (unsigned char)value.data[i]);
	json_put_str(out, buf_str(&hex));
}

static void put_headers(struct json_out *out, const struct kafka_message *m)
{
	struct kafka_header header;

	if (!kafka_message_header(m, 0, &header))
		return;
	json_put_key(out, "headers");
	json_put_open(out, '{');
	for (unsigned i = 0; kafka_message_header(m, i, &header); i++) {
		json_put_key(out, header.name);
		json_put_str(out, header.value);
	}
	json_put_close(out, '}');
}

static bool print_message(struct cat *cat, const struct kafka_message *m)
{
	struct json_out out = JSON_OUT(&cat->line);

	buf_reset(&cat->line);
	json_put_open(&out, '{');
	control_json_number(&out, "partition", m->partition);
	control_json_number(&out, "offset", m->offset);
	json_put_key(&out, "timestamp");
	json_put_time(&out, m->timestamp_ms * 1000000);
	json_put_key(&out, "key");
	json_put_str(&out, m->key);
	put_headers(&out, m);
	json_put_key(&out, "value");
	put_value(&out, m->value);
	json_put_close(&out, '}');
	buf_put_u8(&cat->line, '\n');
	return fwrite(cat->line.data, 1, cat->line.len, stdout) == cat->line.len;
}

/* --- reading --------------------------------------------------------------------------------------------------------- */

/* To the partition's end, or for ever. */
static int cat_partition(struct cat *cat, int32_t partition, struct err *err)
{
	CLEANUP(kafka_consumer_freep) struct kafka_consumer *consumer = NULL;
	bool more = true;

	if (kafka_consumer_assign_new(&consumer, cat->cfg, cat->topic, partition, FROM_BEGINNING, err))
		return -1;
	while (more && cat->left > 0) {
		CLEANUP(kafka_message_done) struct kafka_message m = { .handle = NULL };

		switch (kafka_consumer_poll(consumer, 1000, &m, err)) {
		case KAFKA_MESSAGE:
			more = print_message(cat, &m);
			cat->left--;
			break;
		case KAFKA_END:
			fflush(stdout);
			more = cat->follow;
			break;
		case KAFKA_ERROR:
		case KAFKA_OFFSET_GONE:
			return -1;
		case KAFKA_NOTHING:
			break;
		}
	}
	return 0;
}

/* The name as it is, or a base name of the table with the prefix. */
static const char *topic_name(const struct topics *topics, const char *name)
{
	for (unsigned i = 0; i < topics_count(topics); i++)
		if (strcmp(topics_at(topics, i)->base, name) == 0)
			return topics_at(topics, i)->name;
	return name;
}

static int cat_topic(struct cat *cat, int64_t only, struct err *err)
{
	CLEANUP(kafka_admin_freep) struct kafka_admin *admin = NULL;
	int32_t partitions;

	if (kafka_admin_open(&admin, cat->cfg, err) || kafka_admin_partitions(admin, cat->topic, &partitions, err))
		return -1;
	if (partitions == 0)
		return err_set(err, ERR_FATAL, "topic %s does not exist", cat->topic);
	if (only >= partitions)
		return err_set(err, ERR_FATAL, "topic %s has no partition %" PRId64 ", only 0 to %d", cat->topic, only,
			       partitions - 1);
	if (cat->follow && only == ALL_PARTITIONS && partitions > 1)
		return err_set(err, ERR_FATAL, "%s has %d partitions: --follow takes one of them (--partition P)",
			       cat->topic, partitions);
	for (int32_t p = 0; p < partitions; p++)
		if ((only == ALL_PARTITIONS || only == p) && cat_partition(cat, p, err))
			return -1;
	return 0;
}

int command_cat(int argc, char **argv)
{
	CLEANUP(config_freep) struct config *cfg = NULL;
	CLEANUP(topics_freep) struct topics *topics = NULL;
	const char *count = cli_option(&argc, argv, "-n"), *partition = cli_option(&argc, argv, "--partition");
	int64_t only = ALL_PARTITIONS;
	struct cat cat = { .left = INT64_MAX,
			   .follow = cli_flag(&argc, argv, "--follow"),
			   .line = BUF_INIT(LINE_MAX_BYTES) };
	struct err err = ERR_INIT;
	int r;

	signal(SIGPIPE, SIG_DFL); /* `penstock cat … | head` ends quietly */
	if (!cli_number("cat", "-n", count, &cat.left) || !cli_number("cat", "--partition", partition, &only))
		return EXIT_USAGE;
	if (cli_config(&cfg, &argc, argv, &err))
		return cli_fail("cat", &err), EXIT_USAGE;
	if (cli_leftover("cat", argc, argv, 1))
		return EXIT_USAGE;
	if (argc != 1)
		return fprintf(stderr, "penstock cat: name a topic, e.g. etl.dlq\n"), EXIT_USAGE;
	if (registry_register(cfg, &err))
		return cli_fail("cat", &err);
	log_open("penstock", LOG_ERROR); /* what the client tries meanwhile, the error sums up */
	if (topics_open(&topics, cfg, &err))
		return cli_fail("cat", &err);
	cat.cfg = cfg;
	cat.topic = topic_name(topics, argv[0]);
	r = cat_topic(&cat, only, &err);
	fflush(stdout);
	buf_release(&cat.line);
	return r ? cli_fail("cat", &err) : EXIT_OK;
}

/* `penstock events`: what fetchers say of their attempts, as it stands in etl.events. */
#include <inttypes.h>
#include <jansson.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/json_in.h"
#include "common/kafka.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/topics.h"
#include "ops/cli/cli.h"
#include "ops/cli/control_json.h"
#include "ops/cli/table.h"

#define PARTITION 0 /* the topic has one, so that events have one order */
#define LAST_DEFAULT 20
#define LAST_MAX 1000 /* they are held in memory */
#define LINE_MAX_BYTES ((size_t)4 * 1024 * 1024)
#define COLUMNS "ts state run attempt fetched refused skipped worker message"
#define POLL_MS 200
#define ANY (-1)

static volatile sig_atomic_t stopped;

static void on_signal(int number)
{
	(void)number;
	stopped = 1;
}

struct events {
	const struct config *cfg;
	const char *topic;
	struct kafka_consumer *consumer;
	int64_t run; /* of this one only; ANY */
	int type;    /* likewise: enum attempt_state */
	int64_t last;
	int64_t seen_from; /* what stands behind it was looked at before; INT64_MAX: nothing */
	bool as_json, follow;
	char *kept[LAST_MAX]; /* JSON; a ring, the oldest at `count % last` once it is full */
	int64_t count;
	struct table *table;
	struct buf line;
};

static void forget_kept(struct events *e)
{
	for (int64_t i = 0; i < e->count && i < e->last; i++)
		free(e->kept[i]);
	e->count = 0;
}

static void events_release(struct events *e)
{
	forget_kept(e);
	kafka_consumer_freep(&e->consumer);
	table_freep(&e->table);
	buf_release(&e->line);
}

/* --- one message --------------------------------------------------------------------------------------------------------- */

/* Its JSON, or NULL where it is not wanted; what is no event is told. */
static const char *wanted(struct events *e, const struct kafka_message *m)
{
	CLEANUP(task_event_release) struct task_event event = TASK_EVENT_INIT;
	struct json_out out = JSON_OUT(&e->line);
	struct err err = ERR_INIT;

	buf_reset(&e->line);
	if (task_event_decode(m->value, &event, &err)) {
		if (m->offset < e->seen_from)
			fprintf(stderr, "penstock events: %s at offset %" PRId64 ": %s\n", e->topic, m->offset,
				err.text);
		return NULL;
	}
	if ((e->run != ANY && event.run != e->run) || (e->type != ANY && (int)event.state != e->type))
		return NULL;
	control_event_json(&out, &event);
	return buf_text(&e->line);
}

static void keep(struct events *e, const char *line)
{
	int64_t at;

	if (!line || e->last == 0)
		return;
	at = e->count % e->last;
	if (e->count++ >= e->last)
		free(e->kept[at]);
	e->kept[at] = mem_strdup(line);
}

/* A stage's word on the rules that it judges an attempt by: no progress, and of no run that it knows. */
static void put_rules(json_t *row)
{
	CLEANUP(json_freep) json_t *result = json_loads(json_string_value(json_object_get(row, "result")), 0, NULL);
	static const char *const empty[] = { "run", "fetched", "refused", "skipped" };
	const char *rules = json_string_value(json_object_get(result, "rule_set"));

	if (!rules)
		return;
	json_object_set_new(row, "message", json_sprintf("judged by %s", rules));
	for (unsigned i = 0; i < sizeof(empty) / sizeof(*empty); i++)
		json_object_set_new(row, empty[i], json_null());
}

static void show(struct events *e, const char *line)
{
	CLEANUP(json_freep) json_t *row = NULL;

	if (!line)
		return;
	if (e->as_json) {
		puts(line);
		return;
	}
	row = json_loads(line, 0, NULL);
	if (strcmp(json_string_value(json_object_get(row, "state")), "running") == 0)
		put_rules(row);
	table_add(e->table, row);
}

static void show_kept(struct events *e)
{
	int64_t first = e->count > e->last ? e->count - e->last : 0;

	for (int64_t i = first; i < e->count; i++)
		show(e, e->kept[i % e->last]);
	table_print(e->table); /* flushes, too */
	forget_kept(e);
}

/* --- the last ones ------------------------------------------------------------------------------------------------------- */

/* From there to what is the end now. */
static int read_from(struct events *e, int64_t offset, struct err *err)
{
	bool more = true;

	forget_kept(e);
	kafka_consumer_freep(&e->consumer);
	if (kafka_consumer_assign_new(&e->consumer, e->cfg, e->topic, PARTITION, offset, err))
		return -1;
	while (more && !stopped) {
		CLEANUP(kafka_message_done) struct kafka_message m = { .handle = NULL };
		enum kafka_poll outcome = kafka_consumer_poll(e->consumer, POLL_MS, &m, err);

		if (outcome == KAFKA_MESSAGE)
			keep(e, wanted(e, &m));
		else if (outcome != KAFKA_NOTHING && outcome != KAFKA_END)
			return -1;
		more = outcome != KAFKA_END;
	}
	return 0;
}

/* How far back they begin nobody knows: some offsets are marks, some events are not wanted. Ever larger steps find it. */
static int read_last(struct events *e, struct err *err)
{
	int64_t low, high, from, back = 4 * e->last;

	if (kafka_consumer_assign_new(&e->consumer, e->cfg, e->topic, PARTITION, 0, err) ||
	    kafka_watermarks(e->consumer, e->topic, PARTITION, &low, &high, err))
		return -1;
	do {
		from = high - back > low ? high - back : low;
		if (read_from(e, from, err))
			return -1;
		e->seen_from = from;
		back *= 4;
	} while (e->count < e->last && from > low && !stopped);
	e->seen_from = INT64_MAX;
	return 0;
}

/* --- what comes ---------------------------------------------------------------------------------------------------------- */

/* Nobody reads what we would say: without this, only the next event tells. */
static bool reader_is_gone(void)
{
	struct pollfd out = { .fd = STDOUT_FILENO };

	return poll(&out, 1, 0) == 1 && out.revents & (POLLERR | POLLNVAL);
}

/* A broker that is away for a moment comes back. */
static int follow(struct events *e, struct err *err)
{
	while (!stopped && !reader_is_gone()) {
		CLEANUP(kafka_message_done) struct kafka_message m = { .handle = NULL };

		switch (kafka_consumer_poll(e->consumer, POLL_MS, &m, err)) {
		case KAFKA_MESSAGE:
			show(e, wanted(e, &m));
			table_print(e->table);
			break;
		case KAFKA_ERROR:
		case KAFKA_OFFSET_GONE:
			if (err->kind != ERR_RETRY)
				return -1;
			err_clear(err);
			break;
		case KAFKA_NOTHING:
		case KAFKA_END:
			break;
		}
	}
	return 0;
}

/* --- the command --------------------------------------------------------------------------------------------------------- */

static bool read_type(const char *name, int *ret)
{
	*ret = ANY;
	if (!name)
		return true;
	for (int i = ATTEMPT_RUNNING; i <= ATTEMPT_ABANDONED; i++)
		if (strcmp(name, attempt_state_name((enum attempt_state)i)) == 0)
			*ret = i;
	if (*ret == ANY)
		fprintf(stderr, "penstock events: --type takes running, done, failed or abandoned, not '%s'\n", name);
	return *ret != ANY;
}

static int read_options(struct events *e, int *argc, char **argv)
{
	const char *last = cli_option(argc, argv, "-n"), *run = cli_option(argc, argv, "--run");

	e->follow = cli_flag(argc, argv, "--follow");
	e->as_json = cli_flag(argc, argv, "--json");
	if (!read_type(cli_option(argc, argv, "--type"), &e->type) || !cli_number("events", "-n", last, &e->last) ||
	    !cli_number("events", "--run", run, &e->run))
		return EXIT_USAGE;
	if (e->last <= LAST_MAX)
		return 0;
	fprintf(stderr, "penstock events: -n takes %d at most; `penstock cat etl.events` prints all\n", LAST_MAX);
	return EXIT_USAGE;
}

static int run(struct events *e, struct err *err)
{
	if (read_last(e, err))
		return -1;
	if (!stopped)
		show_kept(e);
	return e->follow ? follow(e, err) : 0;
}

int command_events(int argc, char **argv)
{
	CLEANUP(config_freep) struct config *cfg = NULL;
	CLEANUP(topics_freep) struct topics *topics = NULL;
	CLEANUP(events_release)
	struct events e = { .run = ANY,
			    .last = LAST_DEFAULT,
			    .seen_from = INT64_MAX,
			    .table = table_new(COLUMNS),
			    .line = BUF_INIT(LINE_MAX_BYTES) };
	struct err err = ERR_INIT;

	log_open("penstock", LOG_ERROR); /* what the client tries meanwhile, the error sums up */
	signal(SIGPIPE, SIG_DFL);
	if (read_options(&e, &argc, argv))
		return EXIT_USAGE;
	if (cli_config(&cfg, &argc, argv, &err))
		return cli_fail("events", &err), EXIT_USAGE;
	if (cli_leftover("events", argc, argv, 0))
		return EXIT_USAGE;
	if (topics_open(&topics, cfg, &err))
		return cli_fail("events", &err);
	signal(SIGINT, on_signal);
	signal(SIGTERM, on_signal);
	e.cfg = cfg;
	e.topic = topics_name(topics, "etl.events");
	return run(&e, &err) ? cli_fail("events", &err) : EXIT_OK;
}

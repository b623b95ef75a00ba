/*
 * What a hop costs that does nothing: reads what is committed in one topic and
 * sends the same bytes to the same partition of another, in transactions as
 * large as a stage's, through librdkafka and nothing else. Less than that no
 * stage between two topics can take. AT_ONCE: 1, as the stages take messages,
 * or more with one call. Prints one JSON object.
 */
#include <inttypes.h>
#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>

#define TRANSACTION 10000 /* records */
#define TIMEOUT_MS 30000
#define AT_ONCE_MAX 4096

static void die(const char *what, const char *why)
{
	fprintf(stderr, "bench-hop: %s: %s\n", what, why);
	exit(1);
}

static void check(rd_kafka_error_t *error, const char *what)
{
	if (error)
		die(what, rd_kafka_error_string(error));
}

static rd_kafka_t *client(rd_kafka_type_t type, const char *const (*settings)[2])
{
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	char text[512];
	rd_kafka_t *rk;

	for (; (*settings)[0]; settings++)
		if (rd_kafka_conf_set(conf, (*settings)[0], (*settings)[1], text, sizeof(text)))
			die((*settings)[0], text);
	rk = rd_kafka_new(type, conf, text, sizeof(text));
	if (!rk)
		die("client", text);
	return rk;
}

static double seconds(struct timespec t)
{
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static double now(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return seconds(t);
}

struct hop {
	rd_kafka_t *consumer, *producer;
	rd_kafka_queue_t *queue; /* of the consumer */
	rd_kafka_message_t *taken[AT_ONCE_MAX];
	long at_once, count, used;
	rd_kafka_topic_t *to;
	int64_t next[1024]; /* of each partition; 0: nothing was read */
	const char *from;
};

static void commit(struct hop *hop)
{
	rd_kafka_topic_partition_list_t *offsets = rd_kafka_topic_partition_list_new(16);
	rd_kafka_consumer_group_metadata_t *group = rd_kafka_consumer_group_metadata(hop->consumer);

	for (int p = 0; p < 1024; p++)
		if (hop->next[p])
			rd_kafka_topic_partition_list_add(offsets, hop->from, p)->offset = hop->next[p];
	check(rd_kafka_send_offsets_to_transaction(hop->producer, offsets, group, TIMEOUT_MS), "offsets");
	check(rd_kafka_commit_transaction(hop->producer, TIMEOUT_MS), "commit");
	rd_kafka_consumer_group_metadata_destroy(group);
	rd_kafka_topic_partition_list_destroy(offsets);
}

static void forward(struct hop *hop, const rd_kafka_message_t *m)
{
	if (m->partition >= 1024)
		die("partition", "more than 1024");
	while (rd_kafka_produce(hop->to, m->partition, RD_KAFKA_MSG_F_COPY, m->payload, m->len, m->key, m->key_len,
				NULL)) {
		if (rd_kafka_last_error() != RD_KAFKA_RESP_ERR__QUEUE_FULL)
			die("produce", rd_kafka_err2str(rd_kafka_last_error()));
		rd_kafka_poll(hop->producer, 10);
	}
	hop->next[m->partition] = m->offset + 1;
}

static rd_kafka_message_t *take_one(struct hop *hop, int timeout_ms)
{
	if (hop->at_once == 1)
		return rd_kafka_consumer_poll(hop->consumer, timeout_ms);
	if (hop->used == hop->count) {
		hop->used = 0;
		hop->count = rd_kafka_consume_batch_queue(hop->queue, timeout_ms, hop->taken, (size_t)hop->at_once);
	}
	return hop->used < hop->count ? hop->taken[hop->used++] : NULL;
}

static rd_kafka_message_t *take(struct hop *hop)
{
	for (double end = now(CLOCK_MONOTONIC) + TIMEOUT_MS / 1e3;;) {
		rd_kafka_message_t *m = take_one(hop, 0);

		m = m ? m : take_one(hop, 100);
		if (m && !m->err)
			return m;
		if (m)
			rd_kafka_message_destroy(m);
		else if (now(CLOCK_MONOTONIC) > end)
			die(hop->from, "no message for 30 s");
	}
}

static void run(struct hop *hop, int64_t records)
{
	double cpu = 0, wall = 0;
	rd_kafka_message_t *m;

	for (int64_t n = 0; n < records; n++) {
		m = take(hop);
		if (n == 0) {
			cpu = now(CLOCK_PROCESS_CPUTIME_ID);
			wall = now(CLOCK_MONOTONIC);
		}
		if (n % TRANSACTION == 0)
			check(rd_kafka_begin_transaction(hop->producer), "begin");
		forward(hop, m);
		rd_kafka_message_destroy(m);
		if ((n + 1) % TRANSACTION == 0 || n + 1 == records)
			commit(hop);
	}
	cpu = now(CLOCK_PROCESS_CPUTIME_ID) - cpu;
	wall = now(CLOCK_MONOTONIC) - wall;
	printf("{\"rate\": %.0f, \"cpu_us\": %.3f}\n", (double)records / wall, cpu / (double)records * 1e6);
}

int main(int argc, char **argv)
{
	if (argc != 7) {
		fputs("usage: bench-hop BROKERS FROM TO GROUP RECORDS AT_ONCE\n", stderr);
		return 2;
	}
	if (strtol(argv[6], NULL, 10) < 1 || strtol(argv[6], NULL, 10) > AT_ONCE_MAX)
		die("AT_ONCE", "1 to 4096");
	/* As the stages have it (common/kafka_consumer.c, common/kafka_producer.c). */
	const char *const reading[][2] = {
		{ "bootstrap.servers", argv[1] },
		{ "group.id", argv[4] },
		{ "isolation.level", "read_committed" },
		{ "auto.offset.reset", "earliest" },
		{ "enable.auto.commit", "false" },
		{ "enable.auto.offset.store", "false" },
		{ "queued.max.messages.kbytes", "16384" },
		{ "queued.min.messages", "20000" },
		{ NULL },
	};
	const char *const writing[][2] = {
		{ "bootstrap.servers", argv[1] }, { "transactional.id", argv[4] },
		{ "compression.type", "lz4" },    { "linger.ms", "5" },
		{ "batch.size", "1000000" },      { NULL },
	};
	struct hop hop = { .from = argv[2], .at_once = strtol(argv[6], NULL, 10) };
	rd_kafka_topic_partition_list_t *topics = rd_kafka_topic_partition_list_new(1);

	hop.consumer = client(RD_KAFKA_CONSUMER, reading);
	hop.queue = rd_kafka_queue_get_consumer(hop.consumer);
	hop.producer = client(RD_KAFKA_PRODUCER, writing);
	rd_kafka_poll_set_consumer(hop.consumer);
	hop.to = rd_kafka_topic_new(hop.producer, argv[3], NULL);
	check(rd_kafka_init_transactions(hop.producer, TIMEOUT_MS), "transactions");
	rd_kafka_topic_partition_list_add(topics, argv[2], RD_KAFKA_PARTITION_UA);
	if (rd_kafka_subscribe(hop.consumer, topics))
		die(argv[2], "cannot be subscribed");
	run(&hop, strtoll(argv[5], NULL, 10));
	while (hop.used < hop.count)
		rd_kafka_message_destroy(hop.taken[hop.used++]);
	rd_kafka_queue_destroy(hop.queue);
	rd_kafka_topic_partition_list_destroy(topics);
	rd_kafka_topic_destroy(hop.to);
	rd_kafka_consumer_close(hop.consumer);
	rd_kafka_destroy(hop.consumer);
	rd_kafka_destroy(hop.producer);
	return 0;
}

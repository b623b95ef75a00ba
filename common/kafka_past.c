#include "common/kafka_past.h"

#include <inttypes.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/kafka_internal.h"
#include "common/mem.h"

#define BATCH 1024 /* messages taken at once */
#define POLL_MS 200
#define QUEUE_FULL 40000 /* messages: the client may think that it has enough */
#define QUEUE_LOW 20000  /* then it is to ask for more */
#define NUDGE_MS 20
#define FETCH_MIN 65536 /* bytes */
#define FETCH_MAX (1024 * 1024)
#define ENTRY_BYTES 128  /* about; the broker answers with a batch at least */
#define SILENCE_MS 30000 /* without any word of the broker */

struct past {
	rd_kafka_t *rk;
	rd_kafka_queue_t *queue;
	const struct kafka_range *ranges;
	unsigned count, left;
	bool *done; /* of each range */
	unsigned last;
	kafka_past_fn *fn;
	void *self;
	bool enough;
	bool was_full;     /* the client may have stopped asking the broker */
	int64_t nudged_ns; /* last time */
};

static void past_release(struct past *past)
{
	if (past->queue)
		rd_kafka_queue_destroy(past->queue);
	if (past->rk) {
		rd_kafka_consumer_close(past->rk);
		rd_kafka_destroy(past->rk);
	}
	freep(&past->done);
}

/* What one answer holds of a partition: little for a short range, as what is behind it is thrown away. */
static int64_t fetch_bytes(const struct past *past)
{
	int64_t most = 0;

	for (unsigned i = 0; i < past->count; i++) {
		int64_t entries = past->ranges[i].to - past->ranges[i].from;

		most = entries > most ? entries : most;
	}
	return most > FETCH_MAX / ENTRY_BYTES   ? FETCH_MAX
	       : most < FETCH_MIN / ENTRY_BYTES ? FETCH_MIN
						: most * ENTRY_BYTES;
}

static int open_client(struct past *past, const struct config *cfg, struct err *err)
{
	CLEANUP(freep) char *bytes = mem_printf("%" PRId64, fetch_bytes(past));
	const struct kafka_property defaults[] = {
		{ "fetch.wait.max.ms", "10" },
		{ "fetch.message.max.bytes", bytes },
		{ "queued.min.messages", "10000000" },    /* bytes alone say what is enough */
		{ "queued.max.messages.kbytes", "8192" }, /* a client takes some four times as much for them */
		{ 0 },
	};
	static const struct kafka_property fixed[] = {
		{ "group.id", "penstock.reader" }, /* a name is required; nothing is committed under it */
		{ "enable.auto.commit", "false" },       { "enable.auto.offset.store", "false" },
		{ "isolation.level", "read_committed" }, { "auto.offset.reset", "error" },
		{ "enable.partition.eof", "true" },      { 0 },
	};
	CLEANUP(kafka_conf_freep) rd_kafka_conf_t *conf = NULL;
	char text[KAFKA_ERRSTR];

	if (kafka_conf_new(&conf, RD_KAFKA_CONSUMER, cfg, defaults, fixed, err))
		return -1;
	past->rk = rd_kafka_new(RD_KAFKA_CONSUMER, conf, text, sizeof(text));
	if (!past->rk)
		return err_set(err, ERR_FATAL, "kafka: %s", text);
	conf = NULL; /* the client owns it now */
	rd_kafka_poll_set_consumer(past->rk);
	past->queue = rd_kafka_queue_get_consumer(past->rk);
	return 0;
}

static void destroy_listp(rd_kafka_topic_partition_list_t **list)
{
	rd_kafka_topic_partition_list_destroy(*list);
}

/* Ranges that hold nothing are not asked for. */
static int begin(struct past *past, struct err *err)
{
	CLEANUP(destroy_listp)
	rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)past->count);
	rd_kafka_resp_err_t e;

	past->done = mem_zalloc(past->count, sizeof(*past->done));
	for (unsigned i = 0; i < past->count; i++) {
		const struct kafka_range *range = &past->ranges[i];

		past->done[i] = range->from >= range->to;
		if (past->done[i])
			continue;
		past->left++;
		rd_kafka_topic_partition_list_add(list, range->topic, range->partition)->offset = range->from;
	}
	e = past->left ? rd_kafka_assign(past->rk, list) : RD_KAFKA_RESP_ERR_NO_ERROR;
	return e ? err_set(err, ERR_RETRY, "kafka: reading partitions: %s", rd_kafka_err2str(e)) : 0;
}

static bool is_of(const struct kafka_range *range, const rd_kafka_message_t *m)
{
	return range->partition == m->partition && strcmp(range->topic, rd_kafka_topic_name(m->rkt)) == 0;
}

/* Messages of one partition come together. */
static const struct kafka_range *find(struct past *past, const rd_kafka_message_t *m)
{
	if (!m->rkt)
		return NULL;
	if (is_of(&past->ranges[past->last], m))
		return &past->ranges[past->last];
	for (unsigned i = 0; i < past->count; i++)
		if (is_of(&past->ranges[i], m)) {
			past->last = i;
			return &past->ranges[i];
		}
	return NULL;
}

static void end(struct past *past, const struct kafka_range *range)
{
	bool *done = &past->done[range - past->ranges];

	past->left -= !*done;
	*done = true;
}

/* Reported by the client where it cannot go on by itself; the rest it retries. */
static int meet_error(struct past *past, const rd_kafka_message_t *m, struct err *err)
{
	const struct kafka_range *range = find(past, m);

	switch (m->err) {
	case RD_KAFKA_RESP_ERR__PARTITION_EOF:
		if (range && m->offset >= range->to)
			end(past, range);
		return 0;
	case RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET:
	case RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE:
		return err_set(err, ERR_RETRY, "kafka: %s [%d]: records were deleted before they were read",
			       range ? range->topic : "", m->partition);
	case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART:
	case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
	case RD_KAFKA_RESP_ERR__FATAL:
		return err_set(err, ERR_FATAL, "kafka: %s", rd_kafka_message_errstr(m));
	default:
		return 0;
	}
}

static void take(struct past *past, const rd_kafka_message_t *m)
{
	const struct kafka_range *range = find(past, m);
	rd_kafka_timestamp_type_t kind;
	struct kafka_message message;

	if (!range || past->done[range - past->ranges])
		return;
	if (m->offset >= range->to - 1)
		end(past, range);
	if (m->offset >= range->to)
		return;
	message = (struct kafka_message){
		.topic = range->topic,
		.partition = m->partition,
		.offset = m->offset,
		.timestamp_ms = rd_kafka_message_timestamp(m, &kind),
		.key = { m->key ? m->key : "", (uint32_t)m->key_len },
		.value = { m->payload ? m->payload : "", (uint32_t)m->len },
	};
	past->enough = !past->fn(past->self, &message);
}

/*
 * Where enough is queued, librdkafka 2.0.2 looks again only after a second, unless its thread has something else to do:
 * then all was read long ago, and it took three times as long. Any request is something else.
 */
static void nudge(struct past *past)
{
	size_t queued = rd_kafka_queue_length(past->queue);
	const struct kafka_range *range = &past->ranges[past->last];
	int64_t low, high, now_ns;

	past->was_full |= queued > QUEUE_FULL;
	if (!past->was_full || queued > QUEUE_LOW)
		return;
	now_ns = clock_monotonic_ns();
	if (now_ns - past->nudged_ns < NUDGE_MS * NS_PER_MS)
		return;
	past->nudged_ns = now_ns;
	rd_kafka_query_watermark_offsets(past->rk, range->topic, range->partition, &low, &high, POLL_MS);
}

/* How many came; -1: it cannot go on. */
static ssize_t step(struct past *past, rd_kafka_message_t **batch, struct err *err)
{
	ssize_t n = rd_kafka_consume_batch_queue(past->queue, POLL_MS, batch, BATCH);
	bool failed = false;

	for (ssize_t i = 0; i < n; i++) {
		if (!failed && !past->enough && batch[i]->err)
			failed = meet_error(past, batch[i], err) != 0;
		else if (!failed && !past->enough)
			take(past, batch[i]);
		rd_kafka_message_destroy(batch[i]);
	}
	return failed ? -1 : n;
}

int kafka_past_read(const struct config *cfg, const struct kafka_range *ranges, unsigned count, kafka_past_fn *fn,
		    void *self, struct err *err)
{
	CLEANUP(past_release)
	struct past past = { .ranges = ranges, .count = count, .fn = fn, .self = self };
	CLEANUP(freep) rd_kafka_message_t **batch = mem_zalloc(BATCH, sizeof(*batch));
	int64_t heard_ns = clock_monotonic_ns();

	if (open_client(&past, cfg, err) || begin(&past, err))
		return -1;
	while (past.left > 0 && !past.enough) {
		ssize_t n = step(&past, batch, err);

		nudge(&past);
		if (n < 0)
			return -1;
		if (n > 0)
			heard_ns = clock_monotonic_ns();
		else if (clock_monotonic_ns() - heard_ns > SILENCE_MS * NS_PER_MS)
			return err_set(err, ERR_RETRY, "kafka: nothing came for %d s; look at kafka.bootstrap.servers",
				       SILENCE_MS / 1000);
	}
	return 0;
}

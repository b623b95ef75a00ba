#include "common/kafka_past.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/kafka_internal.h"
#include "common/mem.h"

#define BATCH 1024 /* messages taken at once */
#define POLL_MS 200
#define NUDGE_MS 20
#define QUEUE_RANGE_KIB 2048 /* of each range, as a fetcher has a client for each of its tasks … */
#define QUEUE_KIB_MAX 8192   /* … and others read a topic by one; a client takes some four times as much for them */
#define QUEUE_FULL_PER_KIB 5 /* messages: the client may think that it has enough */
#define FETCH_MIN 65536      /* bytes */
#define FETCH_MAX (1024 * 1024)
#define ENTRY_BYTES 128  /* about; the broker answers with a batch at least */
#define SILENCE_MS 30000 /* without any word of the broker */

struct kafka_past {
	rd_kafka_t *rk;
	rd_kafka_queue_t *queue;
	const struct kafka_range *ranges;
	unsigned count, left;
	bool *done; /* of each range */
	unsigned last;
	rd_kafka_message_t *batch[BATCH];
	ssize_t held, at;  /* so many were taken; the next one to look at */
	size_t full;       /* messages */
	bool was_full;     /* the client may have stopped asking the broker */
	int64_t nudged_ns; /* last time */
};

static void drop_batch(struct kafka_past *past)
{
	for (ssize_t i = 0; i < past->held; i++)
		rd_kafka_message_destroy(past->batch[i]);
	past->held = past->at = 0;
}

void kafka_past_freep(struct kafka_past **pointer)
{
	struct kafka_past *past = *pointer;

	if (!past)
		return;
	drop_batch(past);
	if (past->queue)
		rd_kafka_queue_destroy(past->queue);
	if (past->rk) {
		rd_kafka_consumer_close(past->rk);
		rd_kafka_destroy(past->rk);
	}
	free(past->done);
	free(past);
	*pointer = NULL;
}

/* What one answer holds of a partition: little for a short range, as what is behind it is thrown away. */
static int64_t fetch_bytes(const struct kafka_past *past)
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

static unsigned queue_kib(const struct kafka_past *past)
{
	return past->count < QUEUE_KIB_MAX / QUEUE_RANGE_KIB ? past->count * QUEUE_RANGE_KIB : QUEUE_KIB_MAX;
}

static int open_client(struct kafka_past *past, const struct config *cfg, struct err *err)
{
	CLEANUP(freep) char *bytes = mem_printf("%" PRId64, fetch_bytes(past));
	CLEANUP(freep) char *kib = mem_printf("%u", queue_kib(past));
	const struct kafka_property defaults[] = {
		{ "fetch.wait.max.ms", "10" },         { "fetch.message.max.bytes", bytes },
		{ "queued.min.messages", "10000000" }, /* bytes alone say what is enough */
		{ "queued.max.messages.kbytes", kib }, { 0 },
	};
	static const struct kafka_property fixed[] = {
		{ "group.id", "penstock.reader" }, /* a name is required; nothing is committed under it */
		{ "enable.auto.commit", "false" },       { "enable.auto.offset.store", "false" },
		{ "isolation.level", "read_committed" }, { "auto.offset.reset", "error" },
		{ "enable.partition.eof", "true" },      { 0 },
	};
	CLEANUP(kafka_conf_freep) rd_kafka_conf_t *conf = NULL;

	if (kafka_conf_new(&conf, RD_KAFKA_CONSUMER, cfg, defaults, fixed, err) ||
	    kafka_new(&past->rk, RD_KAFKA_CONSUMER, &conf, err))
		return -1;
	rd_kafka_poll_set_consumer(past->rk);
	past->queue = rd_kafka_queue_get_consumer(past->rk);
	return 0;
}

static void destroy_listp(rd_kafka_topic_partition_list_t **list)
{
	rd_kafka_topic_partition_list_destroy(*list);
}

/* Ranges that hold nothing are not asked for. */
static int begin(struct kafka_past *past, struct err *err)
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
static const struct kafka_range *find(struct kafka_past *past, const rd_kafka_message_t *m)
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

static void end(struct kafka_past *past, const struct kafka_range *range)
{
	bool *done = &past->done[range - past->ranges];

	past->left -= !*done;
	*done = true;
}

/* Reported by the client where it cannot go on by itself; the rest it retries. */
static int meet_error(struct kafka_past *past, const rd_kafka_message_t *m, struct err *err)
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

/* False: it is none of the ranges'. */
static bool take(struct kafka_past *past, const rd_kafka_message_t *m, struct kafka_message *ret)
{
	const struct kafka_range *range = find(past, m);
	rd_kafka_timestamp_type_t kind;

	if (!range || past->done[range - past->ranges])
		return false;
	if (m->offset >= range->to - 1)
		end(past, range);
	if (m->offset >= range->to)
		return false;
	*ret = (struct kafka_message){
		.topic = range->topic,
		.partition = m->partition,
		.offset = m->offset,
		.timestamp_ms = rd_kafka_message_timestamp(m, &kind),
		.key = { m->key ? m->key : "", (uint32_t)m->key_len },
		.value = { m->payload ? m->payload : "", (uint32_t)m->len },
	};
	return true;
}

/*
 * Where enough is queued, librdkafka 2.0.2 looks again only after a second, unless its thread has something else to do:
 * then all was read long ago, and it took three times as long. Any request is something else.
 */
static void nudge(struct kafka_past *past)
{
	size_t queued = rd_kafka_queue_length(past->queue);
	const struct kafka_range *range = &past->ranges[past->last];
	int64_t low, high, now_ns;

	past->was_full |= queued > past->full;
	if (!past->was_full || queued > past->full / 2) /* it has room, and is to ask */
		return;
	now_ns = clock_monotonic_ns();
	if (now_ns - past->nudged_ns < NUDGE_MS * NS_PER_MS)
		return;
	past->nudged_ns = now_ns;
	rd_kafka_query_watermark_offsets(past->rk, range->topic, range->partition, &low, &high, POLL_MS);
}

/* False: nothing came. */
static bool refill(struct kafka_past *past, int timeout_ms)
{
	drop_batch(past);
	past->held = rd_kafka_consume_batch_queue(past->queue, timeout_ms, past->batch, BATCH);
	if (past->held < 0)
		past->held = 0;
	nudge(past);
	return past->held > 0;
}

int kafka_past_open(struct kafka_past **ret, const struct config *cfg, const struct kafka_range *ranges, unsigned count,
		    struct err *err)
{
	CLEANUP(kafka_past_freep) struct kafka_past *past = mem_zalloc(1, sizeof(*past));

	past->ranges = ranges;
	past->count = count;
	past->full = (size_t)queue_kib(past) * QUEUE_FULL_PER_KIB;
	if (open_client(past, cfg, err) || begin(past, err))
		return -1;
	*ret = STEAL(past);
	return 0;
}

enum kafka_poll kafka_past_next(struct kafka_past *past, int timeout_ms, struct kafka_message *ret, struct err *err)
{
	while (past->left > 0) {
		const rd_kafka_message_t *m;

		if (past->at == past->held && !refill(past, timeout_ms))
			return KAFKA_NOTHING;
		m = past->batch[past->at++];
		if (m->err && meet_error(past, m, err))
			return KAFKA_ERROR;
		if (!m->err && take(past, m, ret))
			return KAFKA_MESSAGE;
	}
	return KAFKA_END;
}

int kafka_past_read(const struct config *cfg, const struct kafka_range *ranges, unsigned count, kafka_past_fn *fn,
		    void *self, struct err *err)
{
	CLEANUP(kafka_past_freep) struct kafka_past *past = NULL;
	int64_t heard_ns = clock_monotonic_ns();
	struct kafka_message message;
	bool heard = false;

	if (kafka_past_open(&past, cfg, ranges, count, err))
		return -1;
	for (;;) {
		switch (kafka_past_next(past, POLL_MS, &message, err)) {
		case KAFKA_MESSAGE:
			heard = true;
			if (!fn(self, &message))
				return 0;
			break;
		case KAFKA_NOTHING:
			if (heard)
				heard_ns = clock_monotonic_ns();
			heard = false;
			if (clock_monotonic_ns() - heard_ns > SILENCE_MS * NS_PER_MS)
				return err_set(err, ERR_RETRY,
					       "kafka: nothing came for %d s; look at kafka.bootstrap.servers",
					       SILENCE_MS / 1000);
			break;
		case KAFKA_END:
			return 0;
		default:
			return -1;
		}
	}
}

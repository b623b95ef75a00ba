#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/fault.h"
#include "common/kafka_internal.h"
#include "common/log.h"
#include "common/mem.h"

#define TOPICS_MAX 32 /* handles of one producer */
#define METADATA_TIMEOUT_MS 10000
#define INIT_TIMEOUT_MS 20000
#define OFFSETS_TIMEOUT_MS 10000
#define COMMIT_TIMEOUT_MS 10000
#define COMMIT_SECONDS 60
#define QUEUE_FULL_TIMEOUT_MS 60000
#define MESSAGE_BYTES_MAX 1000000 /* key and value: what a topic of 1 MiB takes with the batch around them */

#define TRANSACTIONS "penstock_kafka_transactions_total"
#define TRANSACTIONS_HELP "Kafka transactions by how they ended."

struct metric kafka_metrics[KAFKA_METRICS] = {
	[KAFKA_PRODUCED] = { "penstock_output_messages_total", NULL, METRIC_COUNTER,
			     "Messages produced, also those whose transaction was dropped later.", 0 },
	[KAFKA_PRODUCED_BYTES] = { "penstock_output_bytes_total", NULL, METRIC_COUNTER,
				   "Bytes (key and value) of the messages produced.", 0 },
	[KAFKA_COMMITTED] = { TRANSACTIONS, "result=\"committed\"", METRIC_COUNTER, TRANSACTIONS_HELP, 0 },
	[KAFKA_ABORTED] = { TRANSACTIONS, "result=\"aborted\"", METRIC_COUNTER, TRANSACTIONS_HELP, 0 },
};

struct kafka_topic {
	char *name;
	rd_kafka_topic_t *handle;
	int32_t partitions;
	uint32_t message_bytes_max;
};

struct kafka_producer {
	rd_kafka_conf_t *conf; /* for another client of the same kind */
	rd_kafka_t *rk;
	struct kafka_topic *topics[TOPICS_MAX];
	unsigned topic_count;
};

static int init_transactions(struct kafka_producer *producer, struct err *err)
{
	char servers[KAFKA_ERRSTR] = "", id[KAFKA_ERRSTR] = "";
	size_t size = sizeof(servers), id_size = sizeof(id);
	int64_t deadline = clock_monotonic_ns() + 3 * INIT_TIMEOUT_MS * INT64_C(1000000);

	rd_kafka_conf_get(producer->conf, "bootstrap.servers", servers, &size);
	rd_kafka_conf_get(producer->conf, "transactional.id", id, &id_size);
	for (;;) {
		rd_kafka_error_t *error = rd_kafka_init_transactions(producer->rk, INIT_TIMEOUT_MS);
		bool again = error && rd_kafka_error_is_retriable(error) && clock_monotonic_ns() < deadline;

		if (!again && kafka_take_error(error, "starting transactions", err))
			return err->kind == ERR_FATAL ? err_wrap(err, "transactional id %s", id)
						      : err_wrap(err, "kafka.bootstrap.servers=%s", servers);
		if (!again)
			return 0;
		log_warning("broker_unavailable", NULL, "kafka.bootstrap.servers=%s: %s; trying again", servers,
			    rd_kafka_error_string(error));
		rd_kafka_error_destroy(error);
	}
}

static int open_client(struct kafka_producer *producer, struct err *err)
{
	CLEANUP(kafka_conf_freep) rd_kafka_conf_t *conf = rd_kafka_conf_dup(producer->conf);

	return kafka_new(&producer->rk, RD_KAFKA_PRODUCER, &conf, err) || init_transactions(producer, err) ? -1 : 0;
}

int kafka_producer_new(struct kafka_producer **ret, const struct config *cfg, const char *transactional_id,
		       struct err *err)
{
	static const struct kafka_property defaults[] = {
		{ "retry.backoff.ms", "5" }, /* 100 ms would be added to every transaction after the first */
		{ "linger.ms", "5" },
		{ "batch.num.messages", "10000" },
		{ "batch.size", "1000000" },
		{ "message.max.bytes", "4000000" }, /* of any topic; each has its own */
		{ "queue.buffering.max.messages", "200000" },
		{ "queue.buffering.max.kbytes", "49152" },
		{ "compression.type", "lz4" },
		{ 0 },
	};
	const struct kafka_property fixed[] = {
		{ "enable.idempotence", "true" },
		{ "transactional.id", transactional_id },
		{ "transaction.timeout.ms", "10000" },
		{ 0 },
	};
	CLEANUP(kafka_producer_freep) struct kafka_producer *producer = mem_zalloc(1, sizeof(*producer));

	if (kafka_conf_new(&producer->conf, RD_KAFKA_PRODUCER, cfg, defaults, fixed, err))
		return -1;
	if (open_client(producer, err))
		return -1;
	*ret = STEAL(producer);
	return 0;
}

static void close_client(struct kafka_producer *producer)
{
	for (unsigned i = 0; i < producer->topic_count; i++) {
		if (producer->topics[i]->handle)
			rd_kafka_topic_destroy(producer->topics[i]->handle);
		producer->topics[i]->handle = NULL;
	}
	if (producer->rk)
		rd_kafka_destroy(producer->rk);
	producer->rk = NULL;
}

void kafka_producer_freep(struct kafka_producer **pointer)
{
	struct kafka_producer *producer = *pointer;

	if (!producer)
		return;
	close_client(producer);
	for (unsigned i = 0; i < producer->topic_count; i++) {
		free(producer->topics[i]->name);
		free(producer->topics[i]);
	}
	kafka_conf_freep(&producer->conf);
	free(producer);
	*pointer = NULL;
}

/* --- topics ---------------------------------------------------------------------------------------------------------- */

static void destroy_metadatap(const struct rd_kafka_metadata **metadata)
{
	if (*metadata)
		rd_kafka_metadata_destroy(*metadata);
}

static int open_topic(struct kafka_producer *producer, struct kafka_topic *topic, struct err *err)
{
	CLEANUP(destroy_metadatap) const struct rd_kafka_metadata *metadata = NULL;
	const char *name = topic->name;
	rd_kafka_resp_err_t e;

	topic->handle = rd_kafka_topic_new(producer->rk, name, NULL);
	if (!topic->handle)
		return err_set(err, ERR_FATAL, "kafka: topic %s: %s", name, rd_kafka_err2str(rd_kafka_last_error()));
	e = rd_kafka_metadata(producer->rk, 0, topic->handle, &metadata, METADATA_TIMEOUT_MS);
	if (!e && metadata->topic_cnt == 1)
		e = metadata->topics[0].err;
	if (e == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART)
		return err_set(err, ERR_RETRY, "kafka: topic %s does not exist; run `penstock topics apply`", name);
	if (e || metadata->topic_cnt != 1)
		return kafka_fail(err, e, "metadata of topic %s", name);
	if (topic->partitions && topic->partitions != metadata->topics[0].partition_cnt)
		return err_set(
			err, ERR_FATAL,
			"kafka: topic %s has %d partitions, and had %d: keys would move to other partitions and lose "
			"their order; `penstock topics check` shows what the table says",
			name, metadata->topics[0].partition_cnt, topic->partitions);
	topic->partitions = metadata->topics[0].partition_cnt;
	return 0;
}

int kafka_producer_topic(struct kafka_producer *producer, const char *name, struct kafka_topic **ret, struct err *err)
{
	struct kafka_topic *topic;

	if (producer->topic_count == TOPICS_MAX)
		return err_set(err, ERR_FATAL, "kafka: more than %d topics in one producer", TOPICS_MAX);
	topic = mem_zalloc(1, sizeof(*topic));
	topic->name = mem_strdup(name);
	topic->message_bytes_max = MESSAGE_BYTES_MAX;
	producer->topics[producer->topic_count++] = topic;
	if (open_topic(producer, topic, err))
		return -1;
	*ret = topic;
	return 0;
}

void kafka_topic_allow(struct kafka_topic *topic, uint32_t message_bytes_max)
{
	topic->message_bytes_max = message_bytes_max;
}

int32_t kafka_topic_partitions(const struct kafka_topic *topic)
{
	return topic->partitions;
}

/* --- messages -------------------------------------------------------------------------------------------------------- */

static rd_kafka_resp_err_t enqueue(struct kafka_topic *topic, int32_t partition, struct str key, struct str value)
{
	if (rd_kafka_produce(topic->handle, partition, RD_KAFKA_MSG_F_COPY, (void *)value.data, value.len, key.data,
			     key.len, NULL) == 0)
		return RD_KAFKA_RESP_ERR_NO_ERROR;
	return rd_kafka_last_error();
}

static rd_kafka_resp_err_t enqueue_with_headers(struct kafka_producer *producer, struct kafka_topic *topic,
						int32_t partition, struct str key, struct str value,
						const struct kafka_header *headers, unsigned count)
{
	rd_kafka_headers_t *list = rd_kafka_headers_new(count);
	rd_kafka_resp_err_t e = RD_KAFKA_RESP_ERR_NO_ERROR;

	for (unsigned i = 0; !e && i < count; i++)
		e = rd_kafka_header_add(list, headers[i].name, -1, headers[i].value.data, headers[i].value.len);
	if (!e)
		e = rd_kafka_producev(
			producer->rk, RD_KAFKA_V_RKT(topic->handle), RD_KAFKA_V_PARTITION(partition),
			RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_KEY((void *)key.data, key.len),
			RD_KAFKA_V_VALUE((void *)value.data, value.len), RD_KAFKA_V_HEADERS(list), RD_KAFKA_V_END);
	if (e)
		rd_kafka_headers_destroy(list);
	return e;
}

static int enqueue_error(rd_kafka_resp_err_t e, const struct kafka_topic *topic, struct err *err)
{
	enum err_kind kind = e == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE ? ERR_RECORD : ERR_RETRY;

	return err_set(err, kind, "kafka: producing to %s: %s", rd_kafka_topic_name(topic->handle),
		       rd_kafka_err2str(e));
}

static void count_produced(struct str key, struct str value)
{
	metric_add(&kafka_metrics[KAFKA_PRODUCED], 1);
	metric_add(&kafka_metrics[KAFKA_PRODUCED_BYTES], (int64_t)key.len + value.len);
}

int kafka_produce(struct kafka_producer *producer, struct kafka_topic *topic, int32_t partition, struct str key,
		  struct str value, const struct kafka_header *headers, unsigned header_count, struct err *err)
{
	int64_t deadline = 0;

	/* The broker would refuse it too, but with the whole batch, and again at every try. */
	if (key.len + (uint64_t)value.len > topic->message_bytes_max)
		return enqueue_error(RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE, topic, err);
	for (;;) {
		rd_kafka_resp_err_t e = header_count ? enqueue_with_headers(producer, topic, partition, key, value,
									    headers, header_count)
						     : enqueue(topic, partition, key, value);

		if (e == RD_KAFKA_RESP_ERR_NO_ERROR)
			return count_produced(key, value), 0;
		if (deadline == 0)
			deadline = clock_monotonic_ns() + QUEUE_FULL_TIMEOUT_MS * INT64_C(1000000);
		if (e != RD_KAFKA_RESP_ERR__QUEUE_FULL || clock_monotonic_ns() > deadline)
			return enqueue_error(e, topic, err);
		rd_kafka_poll(producer->rk, 10);
	}
}

/* --- transactions ---------------------------------------------------------------------------------------------------- */

int kafka_txn_begin(struct kafka_producer *producer, struct err *err)
{
	if (!producer->rk)
		return err_set(err, ERR_RETRY, "kafka: there is no client since a transaction could not be ended");
	return kafka_take_error(rd_kafka_begin_transaction(producer->rk), "beginning a transaction", err);
}

static void destroy_listp(rd_kafka_topic_partition_list_t **list)
{
	rd_kafka_topic_partition_list_destroy(*list);
}

int kafka_txn_offsets(struct kafka_producer *producer, const struct kafka_offset *offsets, unsigned count,
		      const struct kafka_group *group, struct err *err)
{
	CLEANUP(destroy_listp) rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)count);

	for (unsigned i = 0; i < count; i++) {
		rd_kafka_topic_partition_t *p =
			rd_kafka_topic_partition_list_add(list, offsets[i].topic, offsets[i].partition);

		p->offset = offsets[i].offset;
		if (offsets[i].metadata) {
			p->metadata = mem_strdup(offsets[i].metadata);
			p->metadata_size = strlen(offsets[i].metadata);
		}
	}
	for (unsigned tries = 0;; tries++) {
		rd_kafka_error_t *error = rd_kafka_send_offsets_to_transaction(
			producer->rk, list, (const rd_kafka_consumer_group_metadata_t *)group, OFFSETS_TIMEOUT_MS);

		if (!error || tries >= 3 || !rd_kafka_error_is_retriable(error) ||
		    rd_kafka_error_txn_requires_abort(error))
			return kafka_take_error(error, "sending offsets to the transaction", err);
		rd_kafka_error_destroy(error);
	}
}

/*
 * With an end: once, after topics had been deleted and made anew under it, the
 * client waited for messages that nothing would ever come of, and with it the
 * worker, for ever.
 */
int kafka_txn_commit(struct kafka_producer *producer, struct err *err)
{
	int64_t deadline = clock_monotonic_ns() + COMMIT_SECONDS * NS_PER_SECOND;

	for (;;) {
		rd_kafka_error_t *error = rd_kafka_commit_transaction(producer->rk, COMMIT_TIMEOUT_MS);

		if (!error)
			metric_add(&kafka_metrics[KAFKA_COMMITTED], 1);
		if (!error || clock_monotonic_ns() >= deadline || !rd_kafka_error_is_retriable(error) ||
		    rd_kafka_error_txn_requires_abort(error))
			return kafka_take_error(error, "committing the transaction", err);
		rd_kafka_error_destroy(error);
	}
}

int kafka_txn_abort(struct kafka_producer *producer, struct err *err)
{
	metric_add(&kafka_metrics[KAFKA_ABORTED], 1);
	if (fault_defect("producer_reused"))
		return kafka_take_error(rd_kafka_abort_transaction(producer->rk, -1), "aborting the transaction", err);
	close_client(producer);
	if (open_client(producer, err))
		return err_wrap(err, "ending the transaction");
	for (unsigned i = 0; i < producer->topic_count; i++)
		if (open_topic(producer, producer->topics[i], err))
			return err_wrap(err, "ending the transaction");
	return 0;
}

/* Kafka's org.apache.kafka.common.utils.Utils.murmur2 and toPositive (Austin Appleby's MurmurHash2, seed 0x9747b28c). */
int32_t kafka_partition(struct str key, int32_t partition_count)
{
	const uint32_t m = 0x5bd1e995;
	const unsigned char *p = (const unsigned char *)key.data;
	uint32_t h = 0x9747b28c ^ key.len;
	uint32_t left = key.len;

	for (; left >= 4; left -= 4, p += 4) {
		uint32_t k;

		memcpy(&k, p, sizeof(k));
		k = le32toh(k) * m;
		k ^= k >> 24;
		h = (h * m) ^ (k * m);
	}
	if (left >= 3)
		h ^= (uint32_t)p[2] << 16;
	if (left >= 2)
		h ^= (uint32_t)p[1] << 8;
	if (left >= 1)
		h = (h ^ p[0]) * m;
	h = (h ^ (h >> 13)) * m;
	h ^= h >> 15;
	return (int32_t)(h & 0x7fffffff) % partition_count;
}

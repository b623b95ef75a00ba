#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/kafka_internal.h"
#include "common/mem.h"

#define ASSIGNMENT_MAX 1024 /* partitions of one consumer */
#define CALL_TIMEOUT_MS 10000
#define ANSWER_TIMEOUT_MS 1000

struct kafka_consumer {
	rd_kafka_t *rk;
	rd_kafka_queue_t *queue; /* what it polls */
	struct kafka_rebalance rebalance;
	struct err failed; /* of the rebalance callback */
	int64_t patience_ms;
};

static void destroy_listp(rd_kafka_topic_partition_list_t **list)
{
	if (*list)
		rd_kafka_topic_partition_list_destroy(*list);
}

/* --- rebalance ------------------------------------------------------------------------------------------------------- */

static int ask_where_to_start(struct kafka_consumer *consumer, rd_kafka_topic_partition_list_t *list)
{
	struct kafka_offset offsets[ASSIGNMENT_MAX];

	if (list->cnt > ASSIGNMENT_MAX)
		return err_set(&consumer->failed, ERR_FATAL, "kafka: more than %d partitions assigned", ASSIGNMENT_MAX);
	for (int i = 0; i < list->cnt; i++)
		offsets[i] = (struct kafka_offset){ list->elems[i].topic, list->elems[i].partition, KAFKA_OFFSET_NONE,
						    NULL };
	if (consumer->rebalance.assigned(consumer->rebalance.self, offsets, (unsigned)list->cnt, &consumer->failed))
		return -1;
	for (int i = 0; i < list->cnt; i++)
		list->elems[i].offset =
			offsets[i].offset == KAFKA_OFFSET_NONE ? RD_KAFKA_OFFSET_INVALID : offsets[i].offset;
	return 0;
}

static void on_rebalance(rd_kafka_t *rk, rd_kafka_resp_err_t e, rd_kafka_topic_partition_list_t *list, void *opaque)
{
	struct kafka_consumer *consumer = opaque;

	if (e == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS) {
		if (ask_where_to_start(consumer, list))
			rd_kafka_assign(rk, NULL); /* the poll that called us reports why */
		else
			rd_kafka_assign(rk, list);
		return;
	}
	consumer->rebalance.revoked(consumer->rebalance.self, rd_kafka_assignment_lost(rk));
	rd_kafka_assign(rk, NULL);
}

/* --- life ------------------------------------------------------------------------------------------------------------ */

static int open_consumer(struct kafka_consumer *consumer, const struct config *cfg, const char *group, struct err *err)
{
	/* librdkafka before 2.2 asks for no more for a second once its queue is full: what is queued has to last as long. */
	bool waits = rd_kafka_version() < 0x020200ff;
	const struct kafka_property defaults[] = {
		{ "session.timeout.ms", "10000" },
		{ "heartbeat.interval.ms", "3000" },
		{ "max.poll.interval.ms", "300000" },
		{ "fetch.wait.max.ms", "100" },
		{ "queued.max.messages.kbytes", "16384" },
		{ "queued.min.messages", "1000000" }, /* bytes alone say what is enough */
		{ waits ? NULL : "fetch.queue.backoff.ms", "50" },
		{ 0 },
	};
	const struct kafka_property fixed[] = {
		{ "group.id", group },
		{ "enable.auto.commit", "false" },
		{ "enable.auto.offset.store", "false" },
		{ "isolation.level", "read_committed" },
		{ "auto.offset.reset", "error" },
		{ "partition.assignment.strategy", "range" },
		{ "enable.partition.eof", consumer->rebalance.assigned ? "false" : "true" },
		{ 0 },
	};
	CLEANUP(kafka_conf_freep) rd_kafka_conf_t *conf = NULL;
	char text[KAFKA_ERRSTR];
	size_t size = sizeof(text);

	if (kafka_conf_new(&conf, RD_KAFKA_CONSUMER, cfg, defaults, fixed, err))
		return -1;
	rd_kafka_conf_set_opaque(conf, consumer);
	if (consumer->rebalance.assigned)
		rd_kafka_conf_set_rebalance_cb(conf, on_rebalance);
	if (rd_kafka_conf_get(conf, "max.poll.interval.ms", text, &size) == RD_KAFKA_CONF_OK)
		consumer->patience_ms = strtoll(text, NULL, 10);
	if (kafka_new(&consumer->rk, RD_KAFKA_CONSUMER, &conf, err))
		return -1;
	rd_kafka_poll_set_consumer(consumer->rk);
	consumer->queue = rd_kafka_queue_get_consumer(consumer->rk);
	return 0;
}

static int subscribe(struct kafka_consumer *consumer, const char *const *topics, unsigned topic_count, struct err *err)
{
	CLEANUP(destroy_listp)
	rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)topic_count);
	rd_kafka_resp_err_t e;

	for (unsigned i = 0; i < topic_count; i++)
		rd_kafka_topic_partition_list_add(list, topics[i], RD_KAFKA_PARTITION_UA);
	e = rd_kafka_subscribe(consumer->rk, list);
	return e ? err_set(err, ERR_FATAL, "kafka: subscribing: %s", rd_kafka_err2str(e)) : 0;
}

int kafka_consumer_new(struct kafka_consumer **ret, const struct config *cfg, const char *group,
		       const char *const *topics, unsigned topic_count, const struct kafka_rebalance *rebalance,
		       struct err *err)
{
	CLEANUP(kafka_consumer_freep) struct kafka_consumer *consumer = mem_zalloc(1, sizeof(*consumer));

	consumer->rebalance = *rebalance;
	if (open_consumer(consumer, cfg, group, err) || subscribe(consumer, topics, topic_count, err))
		return -1;
	*ret = STEAL(consumer);
	return 0;
}

int kafka_consumer_assign_new(struct kafka_consumer **ret, const struct config *cfg, const char *topic,
			      int32_t partition, int64_t offset, struct err *err)
{
	CLEANUP(kafka_consumer_freep) struct kafka_consumer *consumer = mem_zalloc(1, sizeof(*consumer));
	CLEANUP(destroy_listp) rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
	rd_kafka_resp_err_t e;

	if (open_consumer(consumer, cfg, "penstock.reader",
			  err)) /* a name is required; nothing is committed under it */
		return -1;
	rd_kafka_topic_partition_list_add(list, topic, partition)->offset = offset;
	e = rd_kafka_assign(consumer->rk, list);
	if (e)
		return err_set(err, ERR_FATAL, "kafka: reading %s [%d]: %s", topic, partition, rd_kafka_err2str(e));
	*ret = STEAL(consumer);
	return 0;
}

void kafka_consumer_freep(struct kafka_consumer **pointer)
{
	struct kafka_consumer *consumer = *pointer;

	if (!consumer)
		return;
	if (consumer->rk) {
		rd_kafka_queue_destroy(consumer->queue);
		rd_kafka_consumer_close(consumer->rk);
		rd_kafka_destroy(consumer->rk);
	}
	free(consumer);
	*pointer = NULL;
}

/* --- messages -------------------------------------------------------------------------------------------------------- */

/* Reported by the library where it cannot go on by itself; the rest it retries. */
static enum err_kind kind_of(rd_kafka_resp_err_t e)
{
	switch (e) {
	case RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET:
	case RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE:
	case RD_KAFKA_RESP_ERR__FATAL:
	case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
	case RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED:
		return ERR_FATAL;
	default:
		return ERR_RETRY;
	}
}

static bool is_offset_gone(const rd_kafka_message_t *m)
{
	return m->rkt &&
	       (m->err == RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET || m->err == RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE);
}

/* The library's text names the topic, but not the group. */
static void meet_denial(const struct kafka_consumer *consumer, const rd_kafka_message_t *m, struct err *err)
{
	char what[KAFKA_ERRSTR] = "group ";
	size_t size = sizeof(what) - strlen(what);

	rd_kafka_conf_get(rd_kafka_conf(consumer->rk), "group.id", what + strlen(what), &size);
	kafka_fail_as(err, m->err, what, rd_kafka_message_errstr(m));
}

static enum kafka_poll poll_error(const struct kafka_consumer *consumer, rd_kafka_message_t *m,
				  struct kafka_message *ret, struct err *err)
{
	if (m->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
		rd_kafka_message_destroy(m);
		return KAFKA_END;
	}
	if (m->err == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART)
		err_set(err, ERR_RETRY, "kafka: %s; run `penstock topics apply`", rd_kafka_message_errstr(m));
	else if (m->err == RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED ||
		 m->err == RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED)
		meet_denial(consumer, m, err);
	else if (m->rkt)
		err_set(err, kind_of(m->err), "kafka: %s [%d] at offset %lld: %s", rd_kafka_topic_name(m->rkt),
			m->partition, (long long)m->offset, rd_kafka_message_errstr(m));
	else
		err_set(err, kind_of(m->err), "kafka: %s", rd_kafka_message_errstr(m));
	if (consumer->rebalance.assigned && is_offset_gone(m)) { /* the name lives as long as the message */
		*ret = (struct kafka_message){ .topic = rd_kafka_topic_name(m->rkt),
					       .partition = m->partition,
					       .handle = m };
		return KAFKA_OFFSET_GONE;
	}
	rd_kafka_message_destroy(m);
	return KAFKA_ERROR;
}

enum kafka_poll kafka_consumer_poll(struct kafka_consumer *consumer, int timeout_ms, struct kafka_message *ret,
				    struct err *err)
{
	rd_kafka_message_t *m = rd_kafka_consumer_poll(consumer->rk, timeout_ms);
	rd_kafka_timestamp_type_t kind;

	if (consumer->failed.kind != ERR_OK) {
		*err = consumer->failed;
		err_clear(&consumer->failed);
		if (m)
			rd_kafka_message_destroy(m);
		return KAFKA_ERROR;
	}
	if (!m)
		return KAFKA_NOTHING;
	if (m->err)
		return poll_error(consumer, m, ret, err);
	*ret = (struct kafka_message){
		.topic = rd_kafka_topic_name(m->rkt),
		.partition = m->partition,
		.offset = m->offset,
		.timestamp_ms = rd_kafka_message_timestamp(m, &kind),
		.key = { m->key ? m->key : "", (uint32_t)m->key_len },
		.value = { m->payload ? m->payload : "", (uint32_t)m->len },
		.handle = m,
	};
	return KAFKA_MESSAGE;
}

int64_t kafka_consumer_patience_ms(const struct kafka_consumer *consumer)
{
	return consumer->patience_ms;
}

void kafka_consumer_wake(struct kafka_consumer *consumer)
{
	rd_kafka_queue_yield(consumer->queue);
}

bool kafka_message_header(const struct kafka_message *message, unsigned index, struct kafka_header *ret)
{
	rd_kafka_headers_t *headers;
	const void *value;
	size_t size;

	if (!message->handle || rd_kafka_message_headers(message->handle, &headers) ||
	    rd_kafka_header_get_all(headers, index, &ret->name, &value, &size))
		return false;
	ret->value = (struct str){ value ? value : "", (uint32_t)size };
	return true;
}

void kafka_message_done(struct kafka_message *message)
{
	if (message->handle)
		rd_kafka_message_destroy(message->handle);
	message->handle = NULL;
}

/* --- positions ------------------------------------------------------------------------------------------------------- */

int kafka_consumer_seek(struct kafka_consumer *consumer, const struct kafka_offset *offsets, unsigned count,
			struct err *err)
{
	CLEANUP(destroy_listp) rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)count);

	for (unsigned i = 0; i < count; i++)
		rd_kafka_topic_partition_list_add(list, offsets[i].topic, offsets[i].partition)->offset =
			offsets[i].offset;
	/* Without waiting: 2.0.2 takes the time-out for a thousandth of what it says. */
	return kafka_take_error(rd_kafka_seek_partitions(consumer->rk, list, 0), "going back", err);
}

int kafka_consumer_reassign(struct kafka_consumer *consumer, const struct kafka_offset *offsets, unsigned count,
			    struct err *err)
{
	CLEANUP(destroy_listp) rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)count);
	rd_kafka_resp_err_t e;

	for (unsigned i = 0; i < count; i++)
		rd_kafka_topic_partition_list_add(list, offsets[i].topic, offsets[i].partition)->offset =
			offsets[i].offset == KAFKA_OFFSET_NONE ? RD_KAFKA_OFFSET_INVALID : offsets[i].offset;
	e = rd_kafka_assign(consumer->rk, list);
	return e ? err_set(err, ERR_FATAL, "kafka: reading on: %s", rd_kafka_err2str(e)) : 0;
}

int kafka_consumer_rejoin(struct kafka_consumer *consumer, const char *const *topics, unsigned topic_count,
			  struct err *err)
{
	rd_kafka_resp_err_t e = rd_kafka_unsubscribe(consumer->rk);

	if (e)
		return err_set(err, ERR_FATAL, "kafka: leaving the group: %s", rd_kafka_err2str(e));
	return subscribe(consumer, topics, topic_count, err);
}

static void destroy_metadatap(const struct rd_kafka_metadata **metadata)
{
	if (*metadata)
		rd_kafka_metadata_destroy(*metadata);
}

bool kafka_consumer_answers(struct kafka_consumer *consumer)
{
	CLEANUP(destroy_metadatap) const struct rd_kafka_metadata *metadata = NULL;

	return rd_kafka_metadata(consumer->rk, 0, NULL, &metadata, ANSWER_TIMEOUT_MS) == RD_KAFKA_RESP_ERR_NO_ERROR;
}

char *kafka_cluster_id(struct kafka_consumer *consumer)
{
	char *id = rd_kafka_clusterid(consumer->rk, CALL_TIMEOUT_MS);
	char *copy = id ? mem_strdup(id) : NULL;

	if (id)
		rd_kafka_mem_free(consumer->rk, id);
	return copy;
}

int kafka_consumer_committed(struct kafka_consumer *consumer, const char *topic, int32_t partition, int64_t *ret_offset,
			     char **ret_metadata, struct err *err)
{
	CLEANUP(destroy_listp) rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
	rd_kafka_topic_partition_t *p = rd_kafka_topic_partition_list_add(list, topic, partition);
	rd_kafka_resp_err_t e = rd_kafka_committed(consumer->rk, list, CALL_TIMEOUT_MS);

	if (!e)
		e = p->err;
	if (e)
		return kafka_fail(err, e, "committed offset of %s [%d]", topic, partition);
	*ret_offset = p->offset < 0 ? KAFKA_OFFSET_NONE : p->offset;
	*ret_metadata = p->metadata && p->metadata_size ? mem_strndup(p->metadata, p->metadata_size) : NULL;
	return 0;
}

struct kafka_group *kafka_group_now(struct kafka_consumer *consumer)
{
	struct kafka_group *group = (struct kafka_group *)rd_kafka_consumer_group_metadata(consumer->rk);

	/* Asked for afterwards: the client forgets its membership and sets this in one step. */
	if (rd_kafka_assignment_lost(consumer->rk))
		kafka_group_freep(&group);
	return group;
}

void kafka_group_freep(struct kafka_group **group)
{
	if (*group)
		rd_kafka_consumer_group_metadata_destroy((rd_kafka_consumer_group_metadata_t *)*group);
	*group = NULL;
}

/*
 * What the client heard of a topic while the broker was starting, that it is
 * not there, it believes for metadata.max.age.ms; and 2.0.2 goes on asking who
 * led a partition before, for five minutes. All topics anew replace it.
 */
static void ask_for_topics_anew(struct kafka_consumer *consumer)
{
	CLEANUP(destroy_metadatap) const struct rd_kafka_metadata *metadata = NULL;

	rd_kafka_metadata(consumer->rk, 1, NULL, &metadata, ANSWER_TIMEOUT_MS);
}

int kafka_watermarks(struct kafka_consumer *consumer, const char *topic, int32_t partition, int64_t *ret_low,
		     int64_t *ret_high, struct err *err)
{
	rd_kafka_resp_err_t e =
		rd_kafka_query_watermark_offsets(consumer->rk, topic, partition, ret_low, ret_high, CALL_TIMEOUT_MS);

	if (e) {
		ask_for_topics_anew(consumer);
		return kafka_fail(err, e, "offsets of %s [%d]", topic, partition);
	}
	return 0;
}

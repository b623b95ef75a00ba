#include "common/kafka_peek.h"

#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/kafka_internal.h"
#include "common/mem.h"

static void closep(rd_kafka_t **rk)
{
	if (!*rk)
		return;
	rd_kafka_consumer_close(*rk);
	rd_kafka_destroy(*rk);
}

static void destroy_listp(rd_kafka_topic_partition_list_t **list)
{
	rd_kafka_topic_partition_list_destroy(*list);
}

/* One record of each place is enough: little is asked for, and little is kept. */
static int open_client(rd_kafka_t **ret, const struct config *cfg, struct err *err)
{
	static const struct kafka_property fixed[] = {
		{ "group.id", "penstock.reader" }, /* a name is required; nothing is committed under it */
		{ "enable.auto.commit", "false" },       { "enable.auto.offset.store", "false" },
		{ "isolation.level", "read_committed" }, { "auto.offset.reset", "error" },
		{ "enable.partition.eof", "true" },      { "fetch.wait.max.ms", "10" },
		{ "fetch.message.max.bytes", "4096" },   { "queued.min.messages", "1" },
		{ "queued.max.messages.kbytes", "64" },  { 0 },
	};
	CLEANUP(kafka_conf_freep) rd_kafka_conf_t *conf = NULL;

	if (kafka_conf_new(&conf, RD_KAFKA_CONSUMER, cfg, NULL, fixed, err) ||
	    kafka_new(ret, RD_KAFKA_CONSUMER, &conf, err))
		return -1;
	rd_kafka_poll_set_consumer(*ret);
	return 0;
}

static int assign(rd_kafka_t *rk, const struct kafka_peek *places, unsigned count, struct err *err)
{
	CLEANUP(destroy_listp) rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)count);
	rd_kafka_resp_err_t e;

	for (unsigned i = 0; i < count; i++)
		rd_kafka_topic_partition_list_add(list, places[i].topic, places[i].partition)->offset = places[i].from;
	e = rd_kafka_assign(rk, list);
	return e ? err_set(err, ERR_RETRY, "kafka: looking into partitions: %s", rd_kafka_err2str(e)) : 0;
}

static int find(const struct kafka_peek *places, unsigned count, const rd_kafka_message_t *m)
{
	for (unsigned i = 0; m->rkt && i < count; i++)
		if (places[i].partition == m->partition && strcmp(places[i].topic, rd_kafka_topic_name(m->rkt)) == 0)
			return (int)i;
	return -1;
}

/* False: it says nothing about a place. */
static bool outcome_of(const rd_kafka_message_t *m, enum kafka_peek_outcome *ret)
{
	switch (m->err) {
	case RD_KAFKA_RESP_ERR_NO_ERROR:
		*ret = KAFKA_PEEK_RECORD;
		return true;
	case RD_KAFKA_RESP_ERR__PARTITION_EOF:
		*ret = KAFKA_PEEK_END;
		return true;
	case RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET:
	case RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE:
		*ret = KAFKA_PEEK_GONE;
		return true;
	default:
		return false;
	}
}

/* The first word about a place counts. */
static unsigned take(struct kafka_peek *places, bool *answered, unsigned count, const rd_kafka_message_t *m)
{
	enum kafka_peek_outcome outcome;
	int at = find(places, count, m);

	if (at < 0 || answered[at] || !outcome_of(m, &outcome))
		return 0;
	answered[at] = true;
	places[at].outcome = outcome;
	places[at].offset = m->offset;
	places[at].timestamp_ms = outcome == KAFKA_PEEK_RECORD ? rd_kafka_message_timestamp(m, NULL) : 0;
	return 1;
}

int kafka_peek(const struct config *cfg, struct kafka_peek *places, unsigned count, int timeout_ms, struct err *err)
{
	CLEANUP(freep) bool *answered = mem_zalloc((size_t)count + 1, sizeof(*answered));
	CLEANUP(closep) rd_kafka_t *rk = NULL;
	int64_t deadline = clock_monotonic_ns() + timeout_ms * INT64_C(1000000);
	unsigned done = 0;

	if (open_client(&rk, cfg, err) || assign(rk, places, count, err))
		return -1;
	while (done < count && clock_monotonic_ns() < deadline) {
		rd_kafka_message_t *m = rd_kafka_consumer_poll(rk, 50);

		if (!m)
			continue;
		done += take(places, answered, count, m);
		rd_kafka_message_destroy(m);
	}
	if (done < count)
		return err_set(err, ERR_RETRY, "kafka: %u of %u partitions could not be looked into within %d ms",
			       count - done, count, timeout_ms);
	return 0;
}

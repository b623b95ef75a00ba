#include "common/kafka_courier.h"

#include <stdlib.h>

#include "common/cleanup.h"
#include "common/kafka_internal.h"
#include "common/mem.h"

#define METADATA_TIMEOUT_MS 3000

struct kafka_courier {
	rd_kafka_t *rk;
	rd_kafka_topic_t *topic;
	int32_t partitions;
	unsigned under_way;
};

static void on_delivery(rd_kafka_t *rk, const rd_kafka_message_t *message, void *opaque)
{
	struct kafka_courier *courier = opaque;
	struct kafka_receipt *receipt = message->_private;

	(void)rk;
	*receipt = (struct kafka_receipt){ true, message->err, message->partition, message->offset };
	courier->under_way--;
}

static void destroy_metadatap(const struct rd_kafka_metadata **metadata)
{
	if (*metadata)
		rd_kafka_metadata_destroy(*metadata);
}

static int count_partitions(struct kafka_courier *courier, struct err *err)
{
	CLEANUP(destroy_metadatap) const struct rd_kafka_metadata *metadata = NULL;
	rd_kafka_resp_err_t e = rd_kafka_metadata(courier->rk, 0, courier->topic, &metadata, METADATA_TIMEOUT_MS);

	if (!e && metadata->topic_cnt == 1)
		e = metadata->topics[0].err;
	if (e || metadata->topic_cnt != 1 || metadata->topics[0].partition_cnt == 0)
		return kafka_fail(err, e, "metadata of topic %s", rd_kafka_topic_name(courier->topic));
	courier->partitions = metadata->topics[0].partition_cnt;
	return 0;
}

static int open_client(struct kafka_courier *courier, const struct config *cfg, struct err *err)
{
	static const struct kafka_property defaults[] = {
		{ "retry.backoff.ms", "50" },
		{ "linger.ms", "5" },
		{ "message.max.bytes", "4000000" },
		{ "compression.type", "lz4" },
		{ 0 },
	};
	static const struct kafka_property fixed[] = {
		{ "enable.idempotence", "true" },
		{ "message.timeout.ms", "15000" }, /* whoever waits may try again */
		{ 0 },
	};
	CLEANUP(kafka_conf_freep) rd_kafka_conf_t *conf = NULL;

	if (kafka_conf_new(&conf, RD_KAFKA_PRODUCER, cfg, defaults, fixed, err))
		return -1;
	rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
	rd_kafka_conf_set_opaque(conf, courier);
	return kafka_new(&courier->rk, RD_KAFKA_PRODUCER, &conf, err);
}

int kafka_courier_new(struct kafka_courier **ret, const struct config *cfg, const char *topic, struct err *err)
{
	CLEANUP(kafka_courier_freep) struct kafka_courier *courier = mem_zalloc(1, sizeof(*courier));

	if (open_client(courier, cfg, err))
		return -1;
	courier->topic = rd_kafka_topic_new(courier->rk, topic, NULL);
	if (!courier->topic)
		return err_set(err, ERR_FATAL, "kafka: topic %s: %s", topic, rd_kafka_err2str(rd_kafka_last_error()));
	if (count_partitions(courier, err))
		return -1;
	*ret = STEAL(courier);
	return 0;
}

void kafka_courier_freep(struct kafka_courier **pointer)
{
	struct kafka_courier *courier = *pointer;

	if (!courier)
		return;
	if (courier->topic)
		rd_kafka_topic_destroy(courier->topic);
	if (courier->rk)
		rd_kafka_destroy(courier->rk);
	free(courier);
	*pointer = NULL;
}

int kafka_courier_send(struct kafka_courier *courier, struct str key, struct str value,
		       const struct kafka_header *headers, unsigned header_count, struct kafka_receipt *receipt,
		       struct err *err)
{
	rd_kafka_headers_t *list = rd_kafka_headers_new(header_count);
	rd_kafka_resp_err_t e = RD_KAFKA_RESP_ERR_NO_ERROR;

	*receipt = (struct kafka_receipt){ .done = false };
	for (unsigned i = 0; !e && i < header_count; i++)
		e = rd_kafka_header_add(list, headers[i].name, -1, headers[i].value.data, headers[i].value.len);
	if (!e)
		e = rd_kafka_producev(courier->rk, RD_KAFKA_V_RKT(courier->topic),
				      RD_KAFKA_V_PARTITION(kafka_partition(key, courier->partitions)),
				      RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
				      RD_KAFKA_V_KEY((void *)key.data, key.len),
				      RD_KAFKA_V_VALUE((void *)value.data, value.len), RD_KAFKA_V_HEADERS(list),
				      RD_KAFKA_V_OPAQUE(receipt), RD_KAFKA_V_END);
	if (e) {
		rd_kafka_headers_destroy(list);
		return err_set(err, ERR_RETRY, "kafka: producing to %s: %s", rd_kafka_topic_name(courier->topic),
			       rd_kafka_err2str(e));
	}
	courier->under_way++;
	return 0;
}

unsigned kafka_courier_poll(struct kafka_courier *courier, int timeout_ms)
{
	rd_kafka_poll(courier->rk, timeout_ms);
	return courier->under_way;
}

const char *kafka_receipt_text(const struct kafka_receipt *receipt)
{
	return receipt->done ? rd_kafka_err2str((rd_kafka_resp_err_t)receipt->error) : "not acknowledged in time";
}

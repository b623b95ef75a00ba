#pragma once
/*
 * Messages of one topic whose places are asked for: an idempotent producer
 * that writes on a receipt where its message came to stand. Belongs to the
 * thread that made it.
 */
#include "common/kafka.h"

struct kafka_courier;

/* Of one message, in the caller's hands until it is done or the courier is gone. */
struct kafka_receipt {
	bool done;
	int error; /* 0: delivered */
	int32_t partition;
	int64_t offset;
};

/* ERR_RETRY while the topic cannot be reached. */
int kafka_courier_new(struct kafka_courier **ret, const struct config *cfg, const char *topic, struct err *err);

/* Drops what is under way. */
void kafka_courier_freep(struct kafka_courier **courier);

/* Copies all it is given. The partition is the key's. */
int kafka_courier_send(struct kafka_courier *courier, struct str key, struct str value,
		       const struct kafka_header *headers, unsigned header_count, struct kafka_receipt *receipt,
		       struct err *err);

/* Serves the courier; how many messages are still under way. */
unsigned kafka_courier_poll(struct kafka_courier *courier, int timeout_ms);

/* What a receipt's error says. */
const char *kafka_receipt_text(const struct kafka_receipt *receipt);

#pragma once
/*
 * Effects go to Kafka: output messages, dead letters and the consumer's
 * offsets become visible together in one transaction. The consumer group's
 * metadata is taken when a transaction begins: taken at its commit it would
 * let a former owner of the partitions commit.
 */
#include "common/stage.h"

struct commit_kafka;

int commit_kafka_open(struct commit_kafka **ret, const struct config *cfg, const char *transactional_id,
		      struct err *err);
void commit_kafka_freep(struct commit_kafka **commit);
struct commit_ops commit_kafka_ops(struct commit_kafka *commit);

/* Its producer, for output topics and messages. */
struct kafka_producer *commit_kafka_producer(struct commit_kafka *commit);

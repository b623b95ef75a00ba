#pragma once
/*
 * librdkafka behind one door: clients made from the configuration's `kafka:`
 * map, messages, transactions with the error ladder in one place. A client
 * belongs to the thread that made it. Errors: ERR_RETRY for what a broker may
 * yet mend, ERR_FATAL for what it will not.
 */
#include <stdbool.h>
#include <stdint.h>

#include "common/config.h"
#include "common/err.h"
#include "common/metrics.h"
#include "common/str.h"

struct kafka_producer;
struct kafka_consumer;
struct kafka_topic; /* a producer's handle of one topic, owned by the producer */
struct kafka_group; /* consumer group metadata as it was at one moment */

struct kafka_header {
	const char *name;
	struct str value;
};

struct kafka_offset {
	const char *topic;
	int32_t partition;
	int64_t offset;       /* the next one to read; -1: none is known */
	const char *metadata; /* NULL: none */
};

#define KAFKA_OFFSET_NONE INT64_C(-1)

/* Whether librdkafka knows every key of the `kafka:` map and takes its value; ERR_FATAL names the key and its place. */
int kafka_check(const struct config *cfg, struct err *err);

/*
 * Before a worker begins: ERR_FATAL, with the way out, where the brokers
 * refuse it for good (a certificate, a password) or are too old. Where none
 * answers yet that is said in the log, and is no error.
 */
int kafka_reach(const struct config *cfg, struct err *err);

/* What all producers of the process did. */
enum kafka_metric { KAFKA_PRODUCED, KAFKA_PRODUCED_BYTES, KAFKA_COMMITTED, KAFKA_ABORTED, KAFKA_METRICS };
extern struct metric kafka_metrics[KAFKA_METRICS];

/* --- producer ---------------------------------------------------------------------------------------------------- */

/* Ends what a former client of this id left open, and its epoch. */
int kafka_producer_new(struct kafka_producer **ret, const struct config *cfg, const char *transactional_id,
		       struct err *err);
void kafka_producer_freep(struct kafka_producer **producer);

/* A handle with its metadata loaded (the first message would wait a second for it otherwise). */
int kafka_producer_topic(struct kafka_producer *producer, const char *topic, struct kafka_topic **ret, struct err *err);
int32_t kafka_topic_partitions(const struct kafka_topic *topic);

/* Key and value of its messages, in bytes; without it what a topic of the broker's default takes. */
void kafka_topic_allow(struct kafka_topic *topic, uint32_t message_bytes_max);

/*
 * Copies key and value. Blocks, serving the producer, while its queue is
 * full. Headers may be NULL. ERR_RECORD: larger than the topic takes.
 */
int kafka_produce(struct kafka_producer *producer, struct kafka_topic *topic, int32_t partition, struct str key,
		  struct str value, const struct kafka_header *headers, unsigned header_count, struct err *err);

int kafka_txn_begin(struct kafka_producer *producer, struct err *err);
int kafka_txn_offsets(struct kafka_producer *producer, const struct kafka_offset *offsets, unsigned count,
		      const struct kafka_group *group, struct err *err);
int kafka_txn_commit(struct kafka_producer *producer, struct err *err);

/*
 * Drops the transaction by a new client under the same id, which ends the old
 * one's epoch. An abort alone would not do: what the old client had sent and
 * got no answer to (offsets, for one) may reach the broker after it, and would
 * be taken for part of the next transaction. Topics' handles stay valid.
 */
int kafka_txn_abort(struct kafka_producer *producer, struct err *err);

/* Java's default partitioner: murmur2 of the key modulo the count. */
int32_t kafka_partition(struct str key, int32_t partition_count);

/* --- consumer ---------------------------------------------------------------------------------------------------- */

struct kafka_message {
	const char *topic;
	int32_t partition;
	int64_t offset;
	int64_t timestamp_ms; /* the broker's, as all our topics are LogAppendTime */
	struct str key;
	struct str value;
	void *handle; /* owned: kafka_message_done() */
};

/* A message's headers, in order; false past the last. */
bool kafka_message_header(const struct kafka_message *message, unsigned index, struct kafka_header *ret);
void kafka_message_done(struct kafka_message *message);

/*
 * Called from kafka_consumer_poll(). `assigned` may fill in where to start
 * (offset -1 keeps the group's committed one). `revoked` must finish or drop
 * what is open before it returns; lost: the partitions are somebody else's
 * already.
 */
struct kafka_rebalance {
	void *self;
	int (*assigned)(void *self, struct kafka_offset *partitions, unsigned count, struct err *err);
	void (*revoked)(void *self, bool lost);
};

int kafka_consumer_new(struct kafka_consumer **ret, const struct config *cfg, const char *group,
		       const char *const *topics, unsigned topic_count, const struct kafka_rebalance *rebalance,
		       struct err *err);

/* A consumer without a group, on one partition from one offset on (-2: the beginning); reads committed only. */
int kafka_consumer_assign_new(struct kafka_consumer **ret, const struct config *cfg, const char *topic,
			      int32_t partition, int64_t offset, struct err *err);

/* Leaves the group, calling `revoked` first. */
void kafka_consumer_freep(struct kafka_consumer **consumer);

/* From any thread, while the consumer lives: the poll that waits, or comes next, returns at once. */
void kafka_consumer_wake(struct kafka_consumer *consumer);

/* KAFKA_END: a consumer of kafka_consumer_assign_new() has read all that is committed; more may come. */
enum kafka_poll { KAFKA_MESSAGE, KAFKA_NOTHING, KAFKA_ERROR, KAFKA_OFFSET_GONE, KAFKA_END };

/*
 * KAFKA_ERROR: *err is set; ERR_RETRY goes on by itself, poll again.
 * KAFKA_OFFSET_GONE (of a group's consumer): likewise, and *ret names a
 * partition that is not read from until it is put to another offset; the
 * others are.
 */
enum kafka_poll kafka_consumer_poll(struct kafka_consumer *consumer, int timeout_ms, struct kafka_message *ret,
				    struct err *err);

/* Who has not polled for so long (max.poll.interval.ms) is thrown out of the group. */
int64_t kafka_consumer_patience_ms(const struct kafka_consumer *consumer);

/* Puts the reading position of assigned partitions; the next poll starts there. */
int kafka_consumer_seek(struct kafka_consumer *consumer, const struct kafka_offset *offsets, unsigned count,
			struct err *err);

/* Reads from these partitions of its assignment, and no others, from these offsets on (none: where the group is). */
int kafka_consumer_reassign(struct kafka_consumer *consumer, const struct kafka_offset *offsets, unsigned count,
			    struct err *err);

/* Leaves the group, which calls `revoked`, and joins it again: the next polls do it. */
int kafka_consumer_rejoin(struct kafka_consumer *consumer, const char *const *topics, unsigned topic_count,
			  struct err *err);

/* Asks a broker for anything at all; waits a second at most. */
bool kafka_consumer_answers(struct kafka_consumer *consumer);

/* The cluster's own name, owned by the caller; NULL while no broker told it. */
char *kafka_cluster_id(struct kafka_consumer *consumer);

/* The group's committed offset and metadata of one partition; metadata is owned by the caller, NULL if none. */
int kafka_consumer_committed(struct kafka_consumer *consumer, const char *topic, int32_t partition, int64_t *ret_offset,
			     char **ret_metadata, struct err *err);

/* NULL where the assignment is lost: whoever commits then would not be told apart from an owner. */
struct kafka_group *kafka_group_now(struct kafka_consumer *consumer);
void kafka_group_freep(struct kafka_group **group);

/* First and next offset of a partition. */
int kafka_watermarks(struct kafka_consumer *consumer, const char *topic, int32_t partition, int64_t *ret_low,
		     int64_t *ret_high, struct err *err);

#pragma once
/*
 * consume → handle → commit: the loop of every worker that reads data topics,
 * once, over two ways to commit (commit_kafka.h, commit_pg.h). One thread.
 *
 * A batch begins with its first message and ends by time or size. It holds
 * messages of one assignment only. When anything in it fails with RETRY, the
 * batch is dropped and the positions go back to what is committed.
 */
#include <stdint.h>

#include "common/kafka.h"

/* Why a message is rejected: handle() said so, or the stage crashed on it again and again, so nobody looked into it. */
enum stage_refusal { STAGE_NOT_HANDLED, STAGE_CRASHED };

/* What a stage does with a message. */
struct stage_ops {
	void *self;
	/* ERR_RECORD: reject() is called with the reason. */
	int (*handle)(void *self, const struct kafka_message *message, struct err *err);
	int (*reject)(void *self, const struct kafka_message *message, enum stage_refusal refusal,
		      const struct err *why, struct err *err);
	/* NULL, or whether the batch is to be committed now, for what it holds in memory. */
	bool (*full)(void *self);
};

/* How effects and offsets become durable together. */
struct commit_ops {
	void *self;
	int (*begin)(void *self, struct kafka_consumer *consumer, struct err *err);
	/* offsets: for each partition of the batch, the next one to read. */
	int (*commit)(void *self, const struct kafka_offset *offsets, unsigned count, struct err *err);
	/* Drops what is open; -1: this process cannot go on and is to be started again. */
	int (*abort)(void *self, struct err *err);
	/* Fills in where partitions go on after an assignment; NULL: where the group committed. */
	int (*assigned)(void *self, struct kafka_offset *partitions, unsigned count, struct err *err);
	/* Fills in where partitions go on after a dropped batch. */
	int (*rewind)(void *self, struct kafka_consumer *consumer, struct kafka_offset *partitions, unsigned count,
		      struct err *err);
};

struct stage {
	const char *group;
	const char *const *topics;
	unsigned topic_count;
	int64_t batch_ms; /* a batch is committed this long after its first message */
	int64_t batch_records_max;
	struct stage_ops ops;
	struct commit_ops commit;
};

/* Until SIGTERM (0: the open batch was committed) or an error that only a new start mends. */
int stage_run(const struct stage *stage, const struct config *cfg, struct err *err);

#pragma once
/*
 * consume → handle → commit: the loop of every worker that reads data topics,
 * once, over two ways to commit (commit_kafka.h, commit_pg.h). One thread, but
 * for what a commit does in one of its own.
 *
 * A batch begins with its first message and ends by time or size, or when no
 * message has come for a tenth of that time: under load batches are large, else
 * nobody waits for company that does not come. It holds
 * messages of one assignment only. When anything in it fails with RETRY, the
 * batch is dropped and the positions go back to what is committed.
 *
 * Where the commit can be left to another thread, one batch is on its way while
 * the next is filled, which ends by time only when that one has arrived; when
 * it fails, both are dropped. Before partitions are given back, and before
 * anything else is asked of the store, it is waited for. However long that
 * takes, the group is polled for meanwhile: who is slow with a batch is not
 * thrown out.
 *
 * A message that crashes the process is met again by the next start. So the
 * first message of every partition counts the start where the offsets are
 * stored, before anybody looks into it; progress resets the count. From the
 * third start on batches hold one message, and grow again only after many went
 * well; from the fifth, the message is rejected unseen.
 *
 * A partition that cannot be read on (its offset is gone, its log is another
 * one) stops; the others go on. It is looked at again every few seconds.
 */
#include <stdint.h>

#include "common/kafka.h"
#include "common/worker.h"

/* Why a message is rejected: handle() said so, or the stage crashed on it again and again, so nobody looked into it. */
enum stage_refusal { STAGE_NOT_HANDLED, STAGE_CRASHED };

/* What a stage does with a message. */
struct stage_ops {
	void *self;
	/* ERR_RECORD: reject() is called with the reason. */
	int (*handle)(void *self, const struct kafka_message *message, struct err *err);
	int (*reject)(void *self, const struct kafka_message *message, enum stage_refusal refusal,
		      const struct err *why, struct err *err);
	/* NULL, or told that the batch was dropped: what it did was not done, its messages come again. */
	void (*dropped)(void *self);
	/* NULL, or whether the batch is to be committed now, for what it holds in memory. */
	bool (*full)(void *self);
	/* NULL, or called again and again while there is no batch: what may only change between two of them. */
	int (*between)(void *self, struct err *err);
};

/* A partition, as stage and commit tell each other of it. */
struct stage_position {
	const char *topic; /* outlives the stage */
	int32_t partition;
	/* commit(): the offset behind the batch's last message. assigned(), rewind(): where to go on. */
	int64_t next;
	/* assigned(), rewind(): an earlier message to read first and give to check(); KAFKA_OFFSET_NONE: none. */
	int64_t probe;
	unsigned starts;                  /* commit(): the count to store with the offset */
	const struct kafka_message *last; /* commit(): the batch's last message; lives during the call */
};

/* How effects and offsets become durable together. */
struct commit_ops {
	void *self;
	int (*begin)(void *self, struct kafka_consumer *consumer, struct err *err);
	int (*commit)(void *self, const struct stage_position *positions, unsigned count, struct err *err);
	/*
	 * NULL, or does the same while the stage goes on: returns when the batch is on its way, of which there is one
	 * at most. busy(): it still is, also after ms of waiting for it. settle() waits for it; -1: it failed, and
	 * nothing of it was done. Without a batch on its way it does nothing.
	 */
	int (*hand_over)(void *self, const struct stage_position *positions, unsigned count, struct err *err);
	bool (*busy)(void *self, int64_t ms);
	int (*settle)(void *self, struct err *err);
	/* Drops what is open; -1: this process cannot go on and is to be started again. */
	int (*abort)(void *self, struct err *err);

	/* After an assignment; NULL: the group's committed offsets, which the client finds by itself. */
	int (*assigned)(void *self, struct kafka_consumer *consumer, struct stage_position *positions, unsigned count,
			struct err *err);
	/* After a dropped batch. */
	int (*rewind)(void *self, struct kafka_consumer *consumer, struct stage_position *positions, unsigned count,
		      struct err *err);
	/* The probe was read: ERR_RECORD where it is not the message that was committed. NULL where none is asked for. */
	int (*check)(void *self, const struct kafka_message *message, struct err *err);
	/* The stored offset of a stopped partition, and whether somebody else moved it. */
	int (*stored)(void *self, struct kafka_consumer *consumer, const struct stage_position *position,
		      int64_t *ret_next, bool *ret_moved, struct err *err);

	/* Stores that somebody begins at the stored offset, and how often that happened without progress. */
	int (*started)(void *self, struct kafka_consumer *consumer, const struct stage_position *position,
		       unsigned *ret_starts, struct err *err);
	/* Takes the last start back: it ended without having crashed. */
	int (*unstarted)(void *self, struct kafka_consumer *consumer, const struct stage_position *position,
			 struct err *err);

	/*
	 * NULL, or whether the store was away meanwhile: it may have come back as it was earlier, so every partition
	 * is asked for again where it goes on.
	 */
	bool (*was_away)(void *self);

	/* NULL, or whether the batch failed because somebody else owns its partitions: the stage joins anew. */
	bool (*fenced)(void *self);
};

struct stage {
	const char *name; /* "loader" */
	const char *group;
	const char *const *topics;
	unsigned topic_count;
	int64_t batch_ms; /* a batch is committed this long after its first message, at the latest */
	int64_t batch_records_max;
	struct stage_ops ops;
	struct commit_ops commit;
};

/* Until SIGTERM (0: the open batch was committed) or an error that only a new start mends. */
int stage_run(const struct stage *stage, const struct worker *worker, struct err *err);

#pragma once
/*
 * The loop of stage.c, shared by the files that it is made of, and by nobody
 * else: batches, the care that a message needs that crashed the process, and
 * what a rebalance does to both. All of it is the stage's thread, also the
 * rebalance callbacks: they come from within a poll.
 */
#include "common/places.h"
#include "common/stage.h"
#include "common/stage_trouble.h"
#include "common/worker.h"

#define STAGE_BACKOFF_FIRST_MS 100
#define STAGE_BACKOFF_MAX_MS 10000

/* All zero: there is none. */
struct stage_batch {
	bool there;
	bool held;                       /* it is due, but the one before it is still on its way */
	int64_t began_ns, committing_ns; /* monotonic: its first message, its commit's begin */
	int64_t records, bytes;
};

struct stage_loop {
	const struct stage *stage;
	struct kafka_consumer *consumer; /* owned */
	struct stage_batch open;         /* is being filled */
	struct stage_batch leaving;      /* was handed over */
	int64_t deadline_ns;             /* of the open batch */
	int64_t poll_ns;                 /* at the latest, while a batch on its way is waited for */
	bool waited;                     /* for the message at hand: it may be later than one thinks */
	bool quiet;                      /* none came for a while */
	unsigned unlooked;               /* messages since the last look at the clock */
	int64_t records_max;             /* of a batch; fewer while careful */
	unsigned singles;                /* batches of one message since then */
	struct places places;
	struct stage_trouble *trouble; /* owned */
	int64_t backoff_ms;
	unsigned dropped;  /* batches in a row */
	unsigned fenced;   /* likewise */
	struct err broken; /* found inside the rebalance callback: ends the loop */
};

/* --- batches (stage_batch.c) ----------------------------------------------------------------------------------------- */

/* Nothing where one is open. */
int stage_batch_begin(struct stage_loop *loop, struct err *err);

/* Effects and offsets of all that was handled become durable. After an error there may still be an open batch. */
int stage_batch_commit(struct stage_loop *loop, struct err *err);

/* The same, but while the stage goes on, where that is possible; waits for the batch before it. */
int stage_batch_hand_over(struct stage_loop *loop, struct err *err);

/* Waits for the batch that was handed over. */
int stage_batch_settle(struct stage_loop *loop, struct err *err);

/* What is not committed is read again. -1: the process cannot go on. */
int stage_batch_drop(struct stage_loop *loop, struct err *err);

/* Tells how many messages are in batches that are not committed. */
static inline void stage_batch_tell(const struct stage_loop *loop)
{
	metric_set(&worker_metrics[WORKER_OPEN], loop->open.records + loop->leaving.records);
}

/* --- care (stage_careful.c) ------------------------------------------------------------------------------------------ */

/* Stores the start at the place's first message, and begins to be careful where starts before it came no further. */
int stage_careful_begin(struct stage_loop *loop, struct place *place, struct err *err);

/* Whether the place's next message is one that nobody should look into again. */
bool stage_careful_refuses(const struct place *place);
int stage_careful_refuse(struct stage_loop *loop, struct place *place, const struct kafka_message *message,
			 struct err *err);

bool stage_careful_now(const struct stage_loop *loop);

/* The starts to store with a batch's positions: a crash at the next message is to be met carefully at once. */
void stage_careful_starts(const struct stage_loop *loop, struct stage_position *positions, unsigned count);

/* After a batch that was committed: the next may be larger. */
void stage_careful_grow(struct stage_loop *loop);

/* Ended without a crash: places that were begun and came no further are to be met as if nobody had. */
void stage_careful_take_back(struct stage_loop *loop);

/* --- rebalance (stage_rebalance.c) ----------------------------------------------------------------------------------- */

/* What the consumer calls: the batch ends with the assignment that it belongs to. */
struct kafka_rebalance stage_rebalance(struct stage_loop *loop);

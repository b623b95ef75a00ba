#pragma once
/*
 * Publishes the loader's own dead letters to etl.dlq after the batch that
 * wrote them is committed: a thread with clients of its own, so that loading
 * never waits for the topic. What a killed loader left is found at the start
 * and by a slow timer. A letter is locked while it is sent, so that two
 * loaders do not send it twice; after a crash it may be, and the archive
 * knows it when it comes back.
 */
#include "common/metrics.h"
#include "common/worker.h"

struct sender;

struct sender_metrics {
	struct metric *published, *waiting;
};

/* Starts the thread. The worker outlives it. */
int sender_start(struct sender **ret, const struct worker *worker, struct sender_metrics metrics, struct err *err);

/* There are new letters; any thread. */
void sender_wake(struct sender *sender);

/* Ends the thread. -1 where it had given up, for what no new try mends; it then had asked the process to stop. */
int sender_stop(struct sender *sender, struct err *err);

/* Stops it too. */
void sender_freep(struct sender **sender);

#pragma once
/*
 * The fetcher as the files see it that it is made of, and nobody else: its
 * slots, and the one transaction that is open for all of them. One thread,
 * the rebalance callbacks too: they come from within a poll.
 */
#include "common/kafka.h"
#include "common/worker.h"
#include "stages/fetcher/parking.h"
#include "stages/fetcher/slot.h"
#include "stages/fetcher/sources/databento/account.h"

#define TOPICS_MAX 8  /* task topics: one for each source */
#define SLOTS_MAX 256 /* that ever were ours */

struct fetcher {
	const char *topics[TOPICS_MAX];
	unsigned topic_count;
	struct kafka_consumer *consumer;
	struct job_outputs outputs;
	struct kafka_group *group; /* of the open transaction */
	bool open;
	int64_t began_ns, deadline_ns, batch_ns; /* of the open transaction; how long one is open */
	int64_t records_before;                  /* produced when it was begun */
	unsigned turn_records;
	struct slot slots[SLOTS_MAX], *slots_end; /* as they came; behind the last that ever was ours */
	struct databento_account databento;
	struct source_env env; /* of no slot: each has its limiter */
	struct parking parking;
	struct slot *sole; /* works alone: it may be the one that ends processes */
	struct err broken; /* found inside the rebalance callback */
};

/* The slot of a partition; NULL: it never was ours. */
struct slot *fetcher_slot(struct fetcher *fetcher, const char *topic, int32_t partition);
/* It is ours now; NULL: there is no room for it. */
struct slot *fetcher_add_slot(struct fetcher *fetcher, const char *topic, int32_t partition);

/* --- transactions (transaction.c) ------------------------------------------------------------------------------------ */

/* Nothing where one is open. */
int fetcher_begin(struct fetcher *fetcher, struct err *err);

/*
 * Ends the open transaction with what is to be said of the slots; begins one
 * where nothing is open and something is to be said. Leaving: slots or process
 * end here in good order.
 */
int fetcher_commit(struct fetcher *fetcher, struct err *err);
int fetcher_commit_leaving(struct fetcher *fetcher, struct err *err);

/* --- sources (vendors.c) --------------------------------------------------------------------------------------------- */

/* Which sources' tasks are taken, by what is configured, and what they need. */
int fetcher_open_sources(struct fetcher *fetcher, const struct worker *worker, struct err *err);
/* Before the consumer: what arrives wakes it. Behind it: the HTTP client that the sources are read with. */
int fetcher_start_http(struct fetcher *fetcher, struct err *err);
void fetcher_stop_http(struct fetcher *fetcher);

/* --- where slots stand (positions.c) --------------------------------------------------------------------------------- */

/* Asks the group where the slots stand that have something to do and are not known yet. */
int fetcher_learn(struct fetcher *fetcher, struct err *err);

/*
 * The process ends for the world's fault: that is no crash of the task, so
 * the starts that are counted are taken back, if the world allows it. What
 * the last transaction came to may be unknown: only where the group has what
 * this process committed before is anything written.
 */
void fetcher_take_back(struct fetcher *fetcher);

void fetcher_log_slot(const struct slot *slot, const char *event, const char *text);

/* --- rebalance (rebalance.c) ----------------------------------------------------------------------------------------- */

struct kafka_rebalance fetcher_rebalance(struct fetcher *fetcher);

/* Forgets what all slots work on. */
void fetcher_clear(struct fetcher *fetcher);

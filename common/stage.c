#include "common/stage.h"

#include <string.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/worker.h"

#define PARTITIONS_MAX 1024 /* of one batch */
#define IDLE_MS 250
#define NS_PER_MS INT64_C(1000000)
#define BACKOFF_FIRST_MS 100
#define BACKOFF_MAX_MS 10000
#define DROPPED_MAX 30 /* batches in a row: then a new process, with new clients, has better chances */

struct loop {
	const struct stage *stage;
	struct kafka_consumer *consumer;
	bool open;
	int64_t deadline_ns; /* of the open batch */
	int64_t records;
	struct kafka_offset next[PARTITIONS_MAX];
	unsigned partitions;
	unsigned last; /* the partition of the message before: mostly the same */
	int64_t backoff_ms;
	unsigned dropped;  /* batches in a row */
	struct err broken; /* found inside the rebalance callback: ends the loop */
};

/* --- offsets of the open batch --------------------------------------------------------------------------------------- */

/* The stage's own text of the name, which outlives the message. */
static const char *stable_name(const struct stage *stage, const char *topic)
{
	for (unsigned i = 0; i < stage->topic_count; i++)
		if (strcmp(stage->topics[i], topic) == 0)
			return stage->topics[i];
	return NULL;
}

static bool is_partition(const struct kafka_offset *o, const struct kafka_message *m)
{
	return o->partition == m->partition && strcmp(o->topic, m->topic) == 0;
}

static int note_offset(struct loop *loop, const struct kafka_message *m, struct err *err)
{
	unsigned i = loop->last;

	if (i >= loop->partitions || !is_partition(&loop->next[i], m))
		for (i = 0; i < loop->partitions && !is_partition(&loop->next[i], m); i++)
			;
	if (i == PARTITIONS_MAX)
		return err_set(err, ERR_FATAL, "more than %d partitions in one batch", PARTITIONS_MAX);
	if (i == loop->partitions)
		loop->next[loop->partitions++] =
			(struct kafka_offset){ stable_name(loop->stage, m->topic), m->partition, 0, NULL };
	loop->next[i].offset = m->offset + 1;
	loop->last = i;
	return 0;
}

/* --- batches --------------------------------------------------------------------------------------------------------- */

static void close_batch(struct loop *loop)
{
	loop->open = false;
	loop->records = 0;
	loop->partitions = 0;
	loop->last = 0;
}

static int begin_batch(struct loop *loop, struct err *err)
{
	if (loop->open)
		return 0;
	if (loop->stage->commit.begin(loop->stage->commit.self, loop->consumer, err))
		return -1;
	loop->open = true;
	loop->deadline_ns = clock_monotonic_ns() + loop->stage->batch_ms * NS_PER_MS;
	return 0;
}

static int commit_batch(struct loop *loop, struct err *err)
{
	int64_t records = loop->records;

	if (!loop->open)
		return 0;
	if (loop->stage->commit.commit(loop->stage->commit.self, loop->next, loop->partitions, err))
		return -1;
	close_batch(loop);
	loop->backoff_ms = BACKOFF_FIRST_MS;
	loop->dropped = 0;
	metric_add(&worker_metrics[WORKER_BATCHES], 1);
	metric_add(&worker_metrics[WORKER_RECORDS], records);
	log_debug("batch_committed", LOG_FIELDS(log_i64("records", records)), "committed %lld records",
		  (long long)records);
	return 0;
}

/* Drops the open batch; what it held is read again. */
static int drop_batch(struct loop *loop, struct err *err)
{
	if (loop->open)
		metric_add(&worker_metrics[WORKER_BATCHES_DROPPED], 1);
	loop->open = false;
	return loop->stage->commit.abort(loop->stage->commit.self, err);
}

static int rewind_batch(struct loop *loop, struct err *err)
{
	const struct commit_ops *commit = &loop->stage->commit;
	unsigned count = loop->partitions;
	int r = 0;

	if (count > 0)
		r = commit->rewind(commit->self, loop->consumer, loop->next, count, err);
	if (r == 0 && count > 0)
		r = kafka_consumer_seek(loop->consumer, loop->next, count, err);
	close_batch(loop);
	return r;
}

/* RETRY: drop, go back, wait. Everything else, and what cannot be dropped, ends the loop. */
static int recover(struct loop *loop, struct err *err)
{
	struct err why = *err;

	if (err->kind != ERR_RETRY || ++loop->dropped > DROPPED_MAX)
		return -1;
	log_warning("batch_dropped", LOG_FIELDS(log_i64("records", loop->records)), "%s; trying again", why.text);
	if (drop_batch(loop, err) || rewind_batch(loop, err))
		return err_wrap(err, "after '%s'", why.text);
	loop->backoff_ms = worker_backoff(loop->backoff_ms, BACKOFF_FIRST_MS, BACKOFF_MAX_MS);
	err_clear(err);
	return 0;
}

/* --- rebalance ------------------------------------------------------------------------------------------------------- */

static int on_assigned(void *self, struct kafka_offset *partitions, unsigned count, struct err *err)
{
	struct loop *loop = self;
	const struct commit_ops *commit = &loop->stage->commit;

	if (commit->assigned && commit->assigned(commit->self, partitions, count, err))
		return -1;
	log_info("partitions_assigned", LOG_FIELDS(log_i64("partitions", count)), "%u partitions assigned", count);
	worker_set_ready(true, "");
	metric_set(&worker_metrics[WORKER_PARTITIONS], count);
	return 0;
}

static void on_revoked(void *self, bool lost)
{
	struct loop *loop = self;
	struct err err = ERR_INIT;

	log_info("partitions_revoked", LOG_FIELDS(log_i64("lost", lost)), "partitions %s", lost ? "lost" : "revoked");
	worker_set_ready(false, "waiting for partitions");
	metric_set(&worker_metrics[WORKER_PARTITIONS], 0);
	if (!loop->open || (!lost && commit_batch(loop, &err) == 0))
		return;
	if (lost)
		err_set(&err, ERR_RETRY, "the partitions are another worker's already");
	log_warning("batch_dropped", LOG_FIELDS(log_i64("records", loop->records)), "%s", err.text);
	if (drop_batch(loop, &err))
		loop->broken = err;
	close_batch(loop); /* no going back: whoever has the partitions now starts at what is committed */
}

/* --- the loop -------------------------------------------------------------------------------------------------------- */

static int handle(struct loop *loop, const struct kafka_message *m, struct err *err)
{
	const struct stage_ops *ops = &loop->stage->ops;
	struct err why = ERR_INIT;

	/* Noted first: whatever fails from here on, the message is one to go back to. */
	if (note_offset(loop, m, err) || begin_batch(loop, err))
		return -1;
	loop->records++;
	if (ops->handle(ops->self, m, &why) == 0)
		return 0;
	if (why.kind == ERR_RECORD) {
		metric_add(&worker_metrics[WORKER_REJECTED], 1);
		return ops->reject(ops->self, m, STAGE_NOT_HANDLED, &why, err);
	}
	*err = why;
	return err_wrap(err, "%s [%d] at offset %lld", m->topic, m->partition, (long long)m->offset);
}

static int poll_timeout_ms(const struct loop *loop)
{
	int64_t left;

	if (!loop->open)
		return IDLE_MS;
	left = (loop->deadline_ns - clock_monotonic_ns()) / NS_PER_MS;
	return left < 0 ? 0 : left < IDLE_MS ? (int)left : IDLE_MS;
}

static bool is_due(const struct loop *loop)
{
	const struct stage *stage = loop->stage;

	return loop->records >= stage->batch_records_max || clock_monotonic_ns() >= loop->deadline_ns ||
	       (stage->ops.full && stage->ops.full(stage->ops.self));
}

static int step(struct loop *loop, struct err *err)
{
	CLEANUP(kafka_message_done) struct kafka_message m = { .handle = NULL };
	enum kafka_poll outcome = kafka_consumer_poll(loop->consumer, poll_timeout_ms(loop), &m, err);

	if (outcome == KAFKA_ERROR) {
		if (err->kind != ERR_RETRY)
			return -1;
		log_warning("kafka_error", NULL, "%s", err->text);
		err_clear(err);
	}
	if (outcome == KAFKA_MESSAGE && handle(loop, &m, err))
		return -1;
	return loop->open && is_due(loop) ? commit_batch(loop, err) : 0;
}

/*
 * After an error: a batch that is still open may hold the offset of a message
 * that was not handled, so closing the consumer must not commit it.
 */
static void abandon(struct loop *loop)
{
	struct err ignored = ERR_INIT;

	if (loop->open)
		drop_batch(loop, &ignored);
	close_batch(loop);
}

int stage_run(const struct stage *stage, const struct config *cfg, struct err *err)
{
	struct loop loop = { .stage = stage, .backoff_ms = BACKOFF_FIRST_MS };
	const struct kafka_rebalance rebalance = { &loop, on_assigned, on_revoked };
	CLEANUP(kafka_consumer_freep) struct kafka_consumer *consumer = NULL;

	worker_set_ready(false, "waiting for partitions");
	if (kafka_consumer_new(&consumer, cfg, stage->group, stage->topics, stage->topic_count, &rebalance, err))
		return -1;
	loop.consumer = consumer;
	while (!worker_stopping() && loop.broken.kind == ERR_OK)
		if (step(&loop, err) && recover(&loop, err))
			break;
	if (loop.broken.kind != ERR_OK)
		*err = loop.broken;
	if (err->kind == ERR_OK && commit_batch(&loop, err) == 0)
		return 0;
	abandon(&loop);
	return -1;
}

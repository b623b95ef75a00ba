#include "common/stage.h"

#include <inttypes.h>
#include <string.h>

#include "common/broker.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "common/fault.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/places.h"
#include "common/worker.h"

#define IDLE_MS 250
#define NS_PER_MS INT64_C(1000000)
#define BACKOFF_FIRST_MS 100
#define BACKOFF_MAX_MS 10000
#define DROPPED_MAX 30 /* batches in a row: then a new process, with new clients, has better chances */
#define FENCED_MAX 5   /* in a row */
#define REWINDS_MAX 10 /* tries */
#define STARTS_CAREFUL 3
#define STARTS_REFUSED 5
#define SINGLES 100 /* messages one by one, before careful batches grow */

struct loop {
	const struct stage *stage;
	struct kafka_consumer *consumer;
	bool open;
	int64_t deadline_ns; /* of the open batch */
	int64_t records;
	int64_t records_max; /* of a batch; fewer while careful */
	unsigned singles;    /* batches of one message since then */
	struct places places;
	int64_t backoff_ms;
	unsigned dropped;  /* batches in a row */
	unsigned fenced;   /* likewise */
	struct err broken; /* found inside the rebalance callback: ends the loop */
};

static bool is_careful(const struct loop *loop)
{
	return loop->records_max < loop->stage->batch_records_max;
}

/* --- batches --------------------------------------------------------------------------------------------------------- */

static void end_batch(struct loop *loop, bool committed)
{
	loop->open = false;
	loop->records = 0;
	places_end_batch(&loop->places, committed);
}

static int begin_batch(struct loop *loop, struct err *err)
{
	if (loop->open)
		return 0;
	if (loop->stage->commit.begin(loop->stage->commit.self, loop->consumer, err))
		return -1;
	loop->open = true;
	fault_point("begun");
	loop->deadline_ns = clock_monotonic_ns() + loop->stage->batch_ms * NS_PER_MS;
	return 0;
}

/* A crash at the next message is to be met carefully at once. */
static void set_starts(const struct loop *loop, unsigned count, struct stage_position *positions)
{
	for (unsigned i = 0; i < count; i++)
		positions[i].starts = is_careful(loop) ? STARTS_CAREFUL - 1 : 0;
}

static void grow_batches(struct loop *loop)
{
	if (!is_careful(loop) || ++loop->singles < SINGLES)
		return;
	loop->records_max *= 2;
	if (loop->records_max < loop->stage->batch_records_max)
		return;
	loop->records_max = loop->stage->batch_records_max;
	log_info("careful_ended", NULL, "batches are of normal size again");
}

static int commit_batch(struct loop *loop, struct err *err)
{
	const struct commit_ops *commit = &loop->stage->commit;
	int64_t records = loop->records;
	unsigned count;

	if (!loop->open)
		return 0;
	count = places_batched(&loop->places);
	set_starts(loop, count, loop->places.positions);
	if (commit->commit(commit->self, loop->places.positions, count, err))
		return -1;
	end_batch(loop, true);
	grow_batches(loop);
	loop->backoff_ms = BACKOFF_FIRST_MS;
	loop->dropped = loop->fenced = 0;
	metric_add(&worker_metrics[WORKER_BATCHES], 1);
	metric_add(&worker_metrics[WORKER_RECORDS], records);
	log_debug("batch_committed", LOG_FIELDS(log_i64("records", records)), "committed %" PRId64 " records", records);
	return 0;
}

/* Drops the open batch; what it held is read again. */
static int drop_batch(struct loop *loop, struct err *err)
{
	if (loop->open)
		metric_add(&worker_metrics[WORKER_BATCHES_DROPPED], 1);
	end_batch(loop, false);
	return loop->stage->commit.abort(loop->stage->commit.self, err);
}

/* --- failures -------------------------------------------------------------------------------------------------------- */

/* Until it is done: going on without would leave out what was dropped. */
static int rewind_patiently(struct loop *loop, struct err *err)
{
	for (unsigned tries = 0; places_rewind(&loop->places, err); tries++) {
		if (err->kind != ERR_RETRY || tries == REWINDS_MAX || worker_stopping())
			return -1;
		loop->backoff_ms = worker_backoff(loop->backoff_ms, BACKOFF_FIRST_MS, BACKOFF_MAX_MS);
		err_clear(err);
	}
	return 0;
}

static int rejoin(struct loop *loop, struct err *err)
{
	if (++loop->fenced > FENCED_MAX)
		return -1;
	err_clear(err);
	return kafka_consumer_rejoin(loop->consumer, loop->stage->topics, loop->stage->topic_count, err);
}

/* RETRY: drop, go back, wait. Everything else, and what cannot be dropped, ends the loop. */
static int recover(struct loop *loop, struct err *err)
{
	const struct commit_ops *commit = &loop->stage->commit;
	struct err why = *err;
	bool fenced = commit->fenced && commit->fenced(commit->self);

	if (err->kind != ERR_RETRY || ++loop->dropped > DROPPED_MAX)
		return -1;
	log_warning("batch_dropped", LOG_FIELDS(log_i64("records", loop->records)), "%s; trying again", why.text);
	if (drop_batch(loop, err) || (fenced ? rejoin(loop, err) : rewind_patiently(loop, err)))
		return err_wrap(err, "after '%s'", why.text);
	loop->backoff_ms = worker_backoff(loop->backoff_ms, BACKOFF_FIRST_MS, BACKOFF_MAX_MS);
	err_clear(err);
	return 0;
}

/* Ended without a crash: those who begun and came no further are to be met as if nobody had. */
static void take_starts_back(struct loop *loop)
{
	const struct commit_ops *commit = &loop->stage->commit;

	for (unsigned i = 0; i < loop->places.count; i++) {
		struct place *place = &loop->places.list[i];
		struct stage_position position = place_position(place);
		struct err ignored = ERR_INIT;

		if (place->begun && !place->moved &&
		    commit->unstarted(commit->self, loop->consumer, &position, &ignored))
			return; /* the next one fails for the same reason */
		place->begun = false;
	}
}

/* --- rebalance ------------------------------------------------------------------------------------------------------- */

/* The stage's own text of the name, which outlives the message. */
static const char *stable_name(const struct stage *stage, const char *topic)
{
	for (unsigned i = 0; i < stage->topic_count; i++)
		if (strcmp(stage->topics[i], topic) == 0)
			return stage->topics[i];
	return NULL;
}

static int add_places(struct loop *loop, const struct kafka_offset *partitions, unsigned count, struct err *err)
{
	places_clear(&loop->places);
	for (unsigned i = 0; i < count; i++) {
		const char *topic = stable_name(loop->stage, partitions[i].topic);
		struct place *place = topic ? places_add(&loop->places, topic, partitions[i].partition) : NULL;

		if (!place)
			return err_set(err, ERR_FATAL, "%s [%d] cannot be assigned: too many, or not asked for",
				       partitions[i].topic, partitions[i].partition);
		loop->places.positions[i] = place_position(place);
		loop->places.positions[i].next = KAFKA_OFFSET_NONE;
	}
	return 0;
}

static int on_assigned(void *self, struct kafka_offset *partitions, unsigned count, struct err *err)
{
	struct loop *loop = self;
	const struct commit_ops *commit = &loop->stage->commit;

	if (add_places(loop, partitions, count, err) ||
	    (commit->assigned && commit->assigned(commit->self, loop->consumer, loop->places.positions, count, err)))
		return -1;
	for (unsigned i = 0; i < count; i++) {
		const struct stage_position *p = &loop->places.positions[i];

		place_at(&loop->places.list[i], p);
		partitions[i].offset = loop->places.list[i].next;
	}
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
	if (loop->open && (lost || commit_batch(loop, &err))) {
		if (lost)
			err_set(&err, ERR_RETRY, "the partitions are another worker's already");
		log_warning("batch_dropped", LOG_FIELDS(log_i64("records", loop->records)), "%s", err.text);
		err_clear(&err);
		if (drop_batch(loop, &err))
			loop->broken = err;
	}
	if (!lost && loop->broken.kind == ERR_OK)
		take_starts_back(loop);
	places_clear(&loop->places); /* no going back: whoever has the partitions now starts at what is committed */
}

/* A mistake for the tests: a batch is kept when its partitions are lost, and committed as the member it is by then. */
static void keep_batch(void *self, bool lost)
{
	struct loop *loop = self;

	if (lost)
		loop->deadline_ns = INT64_MAX;
	else
		on_revoked(loop, lost);
}

static int commit_kept(void *self, struct kafka_offset *partitions, unsigned count, struct err *err)
{
	return commit_batch(self, err) ? -1 : on_assigned(self, partitions, count, err);
}

static struct kafka_rebalance rebalance_of(struct loop *loop)
{
	if (fault_defect("group_metadata_at_commit"))
		return (struct kafka_rebalance){ loop, commit_kept, keep_batch };
	return (struct kafka_rebalance){ loop, on_assigned, on_revoked };
}

/* --- messages -------------------------------------------------------------------------------------------------------- */

static int refuse(struct loop *loop, struct place *place, struct kafka_message *m, struct err *err)
{
	const struct stage_ops *ops = &loop->stage->ops;
	struct err why = ERR_INIT;

	err_set(&why, ERR_RECORD,
		"crashed the stage: %u starts ended at %s [%d] offset %" PRId64 " without a result; it was not "
		"looked into again",
		place->starts - 1, m->topic, m->partition, m->offset);
	place->starts = STARTS_CAREFUL; /* for those behind it */
	metric_add(&worker_metrics[WORKER_REJECTED], 1);
	log_error("record_crashed_the_stage",
		  LOG_FIELDS(log_str("topic", m->topic), log_i64("partition", m->partition),
			     log_i64("offset", m->offset)),
		  "%s", why.text);
	return ops->reject(ops->self, m, STAGE_CRASHED, &why, err);
}

/* The first message of a partition: the start is stored before anybody looks into it. */
static int begin_place(struct loop *loop, struct place *place, struct err *err)
{
	const struct commit_ops *commit = &loop->stage->commit;
	struct stage_position position = place_position(place);

	if (place->begun)
		return 0;
	if (commit_batch(loop, err) || commit->started(commit->self, loop->consumer, &position, &place->starts, err))
		return -1;
	place->begun = true;
	place->moved = false;
	if (place->starts < STARTS_CAREFUL)
		return 0;
	loop->records_max = 1;
	loop->singles = 0;
	log_warning("careful_begun",
		    LOG_FIELDS(log_str("topic", place->topic), log_i64("partition", place->partition),
			       log_i64("starts", place->starts)),
		    "start %u at one offset of %s [%d]: one message at a time", place->starts, place->topic,
		    place->partition);
	return 0;
}

static int handle(struct loop *loop, struct place *place, struct kafka_message *m, struct err *err)
{
	const struct stage_ops *ops = &loop->stage->ops;
	struct err why = ERR_INIT;

	/* Noted first: whatever fails from here on, the message is one to go back to. */
	place->dirty = true;
	if (begin_place(loop, place, err) || begin_batch(loop, err))
		return -1;
	if (place->starts >= STARTS_REFUSED)
		return refuse(loop, place, m, err);
	fault_message(m->topic, m->key);
	if (ops->handle(ops->self, m, &why) == 0)
		return 0;
	if (why.kind == ERR_RECORD) {
		metric_add(&worker_metrics[WORKER_REJECTED], 1);
		return ops->reject(ops->self, m, STAGE_NOT_HANDLED, &why, err);
	}
	*err = why;
	return err_wrap(err, "%s [%d] at offset %" PRId64, m->topic, m->partition, m->offset);
}

/* The message that was committed last, read again: the log is the one it was. */
static int check_log(struct loop *loop, struct place *place, const struct kafka_message *m, struct err *err)
{
	const struct commit_ops *commit = &loop->stage->commit;
	struct err why = ERR_INIT;

	if (commit->check(commit->self, m, &why) == 0) {
		place->state = PLACE_READING;
		place->next = place->resume;
		return 0;
	}
	if (why.kind != ERR_RECORD) {
		*err = why;
		return -1;
	}
	place->foreign = true;
	places_stop(&loop->places, place, why.text);
	return 0;
}

static int take_message(struct loop *loop, struct kafka_message *m, struct err *err)
{
	struct place *place = places_find(&loop->places, m->topic, m->partition);

	if (!place || place->state == PLACE_STOPPED)
		return 0;
	if (place->state == PLACE_PROBING)
		return check_log(loop, place, m, err);
	if (handle(loop, place, m, err))
		return -1;
	loop->records++;
	place_take(place, m);
	return 0;
}

/* --- the loop -------------------------------------------------------------------------------------------------------- */

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

	return loop->records >= loop->records_max || clock_monotonic_ns() >= loop->deadline_ns ||
	       (stage->ops.full && stage->ops.full(stage->ops.self));
}

static int meet_error(struct err *err)
{
	if (err->kind != ERR_RETRY)
		return -1;
	broker_failed(err);
	err_clear(err);
	return 0;
}

static int meet_offset_gone(struct loop *loop, const struct kafka_message *m, struct err *err)
{
	struct place *place = places_find(&loop->places, m->topic, m->partition);
	struct err why = *err;

	err_clear(err);
	return place ? places_meet_gap(&loop->places, place, why.text, err) : 0;
}

/* What the store had when it went away need not be what it has when it is back, even if nothing was open. */
static int look_at_store(struct loop *loop, struct err *err)
{
	const struct commit_ops *commit = &loop->stage->commit;

	if (loop->places.count == 0 || !commit->was_away || !commit->was_away(commit->self))
		return 0;
	log_warning("store_was_away", NULL, "positions are asked for again");
	return rewind_patiently(loop, err);
}

static int step(struct loop *loop, struct err *err)
{
	CLEANUP(kafka_message_done) struct kafka_message m = { .handle = NULL };

	switch (kafka_consumer_poll(loop->consumer, poll_timeout_ms(loop), &m, err)) {
	case KAFKA_ERROR:
		if (meet_error(err))
			return -1;
		break;
	case KAFKA_OFFSET_GONE:
		if (meet_offset_gone(loop, &m, err))
			return -1;
		break;
	case KAFKA_MESSAGE:
		broker_works();
		if (take_message(loop, &m, err))
			return -1;
		break;
	case KAFKA_NOTHING:
	case KAFKA_END:
		broker_ask(loop->consumer);
		break;
	}
	if (loop->open)
		return is_due(loop) ? commit_batch(loop, err) : 0;
	places_look(&loop->places);
	return look_at_store(loop, err);
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
	take_starts_back(loop);
}

static int run(struct loop *loop, struct err *err)
{
	while (!worker_stopping() && loop->broken.kind == ERR_OK)
		if (step(loop, err) && recover(loop, err))
			break;
	if (loop->broken.kind != ERR_OK)
		*err = loop->broken;
	if (err->kind == ERR_OK && commit_batch(loop, err) == 0)
		return 0;
	abandon(loop);
	return -1;
}

static void loop_freep(struct loop **loop)
{
	kafka_consumer_freep(&(*loop)->consumer); /* it may still call back */
	places_clear(&(*loop)->places);
	freep(loop);
}

int stage_run(const struct stage *stage, const struct config *cfg, struct err *err)
{
	CLEANUP(loop_freep) struct loop *loop = mem_zalloc(1, sizeof(*loop));
	const struct kafka_rebalance rebalance = rebalance_of(loop);

	loop->stage = loop->places.stage = stage;
	loop->backoff_ms = BACKOFF_FIRST_MS;
	loop->records_max = stage->batch_records_max;
	worker_set_ready(false, "waiting for partitions");
	if (kafka_consumer_new(&loop->consumer, cfg, stage->group, stage->topics, stage->topic_count, &rebalance, err))
		return -1;
	loop->places.consumer = loop->consumer;
	return run(loop, err);
}

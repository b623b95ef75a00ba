#include "common/stage.h"

#include <inttypes.h>
#include <string.h>

#include "common/broker.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "common/fault.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/notify.h"
#include "common/stage_internal.h"
#include "common/worker.h"

#define IDLE_MS 250
#define LEAVING_MS 10  /* between looks whether a batch has arrived, where no message comes */
#define QUIET_PART 10  /* of batch_ms: as long without a message, and waiting for more of them is only waiting */
#define CLOCK_EVERY 8  /* messages without a wait between looks at the clock */
#define DROPPED_MAX 30 /* batches in a row: then a new process, with new clients, has better chances */
#define FENCED_MAX 5   /* in a row */
#define REWINDS_MAX 10 /* tries */
#define HOLD_MS 1000   /* between looks whether to end meanwhile, or to poll */
#define POLLS 3        /* in the time after which who does not poll is thrown out of its group */

/* --- failures -------------------------------------------------------------------------------------------------------- */

/* Until it is done: going on without would leave out what was dropped. */
static int rewind_patiently(struct stage_loop *loop, struct err *err)
{
	for (unsigned tries = 0; places_rewind(&loop->places, err); tries++) {
		if (err->kind != ERR_RETRY || tries == REWINDS_MAX || worker_stopping())
			return -1;
		notify_beat();
		stage_trouble_lasts(loop->trouble, err->text, loop->backoff_ms);
		loop->backoff_ms = worker_backoff(loop->backoff_ms, STAGE_BACKOFF_FIRST_MS, STAGE_BACKOFF_MAX_MS);
		err_clear(err);
	}
	return 0;
}

static int rejoin(struct stage_loop *loop, struct err *err)
{
	if (++loop->fenced > FENCED_MAX)
		return -1;
	err_clear(err);
	return kafka_consumer_rejoin(loop->consumer, loop->stage->topics, loop->stage->topic_count, err);
}

/* RETRY: drop, go back, wait. Everything else, and what cannot be dropped, ends the loop. */
static int recover(struct stage_loop *loop, struct err *err)
{
	const struct commit_ops *commit = &loop->stage->commit;
	struct err why = *err;
	bool fenced;

	if (err->kind != ERR_RETRY || ++loop->dropped > DROPPED_MAX)
		return -1;
	log_warning("batch_dropped", LOG_FIELDS(log_i64("records", loop->open.records)), "%s; trying again", why.text);
	stage_trouble_lasts(loop->trouble, why.text, loop->backoff_ms);
	if (stage_batch_drop(loop, err))
		return err_wrap(err, "after '%s'", why.text);
	fenced = commit->fenced && commit->fenced(commit->self);
	if (fenced ? rejoin(loop, err) : rewind_patiently(loop, err))
		return err_wrap(err, "after '%s'", why.text);
	loop->backoff_ms = worker_backoff(loop->backoff_ms, STAGE_BACKOFF_FIRST_MS, STAGE_BACKOFF_MAX_MS);
	err_clear(err);
	return 0;
}

/* --- a batch that takes its time ------------------------------------------------------------------------------------- */

/* That on its way, also after so long. */
static bool is_slow(const struct stage_loop *loop, int64_t ms)
{
	const struct commit_ops *commit = &loop->stage->commit;

	return loop->leaving.there && !fault_defect("waits_without_polling") && commit->busy(commit->self, ms);
}

static void note_poll(struct stage_loop *loop)
{
	loop->poll_ns = clock_monotonic_ns() + kafka_consumer_patience_ms(loop->consumer) * NS_PER_MS / POLLS;
}

/* Waits for it until the next poll is due; true: it is still on its way. */
static bool is_slow_until_poll(struct stage_loop *loop)
{
	while (is_slow(loop, HOLD_MS)) {
		notify_beat();
		if (worker_stopping() || clock_monotonic_ns() >= loop->poll_ns)
			return true;
	}
	return false;
}

/* A partition is begun between two batches: *ret where those before it do not arrive until a poll is due. */
static int comes_too_early(struct stage_loop *loop, const struct place *place, bool *ret, struct err *err)
{
	*ret = false;
	if (place->begun)
		return 0;
	note_poll(loop);
	*ret = is_slow_until_poll(loop);
	if (*ret || !loop->open.there)
		return 0;
	if (stage_batch_hand_over(loop, err))
		return -1;
	*ret = is_slow_until_poll(loop);
	return 0;
}

/* The next poll reads it again. */
static int put_back(struct stage_loop *loop, const struct kafka_message *m, struct err *err)
{
	const struct kafka_offset at = { m->topic, m->partition, m->offset, NULL };

	return kafka_consumer_seek(loop->consumer, &at, 1, err);
}

static int hand_over(struct stage_loop *loop, struct err *err)
{
	loop->open.held = is_slow(loop, 0);
	if (!loop->open.held)
		return stage_batch_hand_over(loop, err);
	note_poll(loop);
	return 0;
}

/* --- messages -------------------------------------------------------------------------------------------------------- */

/* The first message of a partition: the start is stored before anybody looks into it. */
static int begin_place(struct stage_loop *loop, struct place *place, struct err *err)
{
	if (place->begun)
		return 0;
	return stage_batch_commit(loop, err) || stage_careful_begin(loop, place, err) ? -1 : 0;
}

/* The stage refused the message, or cannot go on: *err says which. */
static int meet_refusal(struct stage_loop *loop, const struct kafka_message *m, struct err *err)
{
	const struct stage_ops *ops = &loop->stage->ops;
	const struct err why = *err;

	if (why.kind != ERR_RECORD)
		return err_wrap(err, "%s [%d] at offset %" PRId64, m->topic, m->partition, m->offset);
	err_clear(err);
	metric_add(&worker_metrics[WORKER_REJECTED], 1);
	return ops->reject(ops->self, m, STAGE_NOT_HANDLED, &why, err);
}

static int handle(struct stage_loop *loop, struct place *place, struct kafka_message *m, struct err *err)
{
	const struct stage_ops *ops = &loop->stage->ops;

	if (begin_place(loop, place, err) || stage_batch_begin(loop, err))
		return -1;
	if (stage_careful_refuses(place))
		return stage_careful_refuse(loop, place, m, err);
	fault_message(m->topic, m->key);
	if (ops->handle(ops->self, m, err))
		return meet_refusal(loop, m, err);
	err_clear(err); /* of what it tried in vain */
	return 0;
}

/* The message that was committed last, read again: the log is the one it was. */
static int check_log(struct stage_loop *loop, struct place *place, const struct kafka_message *m, struct err *err)
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

static int take_message(struct stage_loop *loop, struct kafka_message *m, struct err *err)
{
	struct place *place = places_find(&loop->places, m->topic, m->partition);
	bool early;

	if (!place || place->state == PLACE_STOPPED)
		return 0;
	if (place->state == PLACE_PROBING)
		return check_log(loop, place, m, err);
	/* Noted first: whatever fails from here on, the message is one to go back to. */
	place->dirty = true;
	if (comes_too_early(loop, place, &early, err))
		return -1;
	if (early)
		return put_back(loop, m, err);
	if (handle(loop, place, m, err))
		return -1;
	loop->open.records++;
	loop->open.bytes += (int64_t)m->key.len + m->value.len;
	stage_batch_tell(loop);
	place_take(place, m);
	return 0;
}

/* --- the loop -------------------------------------------------------------------------------------------------------- */

static int poll_timeout_ms(const struct stage_loop *loop)
{
	int64_t left, quiet = loop->stage->batch_ms / QUIET_PART;

	if (loop->leaving.there)
		return LEAVING_MS;
	if (!loop->open.there)
		return IDLE_MS;
	left = (loop->deadline_ns - clock_monotonic_ns()) / NS_PER_MS;
	return left < 0 ? 0 : left < quiet ? (int)left : (int)quiet;
}

/*
 * What is there already is taken without a wait, and without a look at the
 * clock here and in the client: reading it took a fifth of a validator's time.
 */
static enum kafka_poll poll_next(struct stage_loop *loop, struct kafka_message *ret, struct err *err)
{
	enum kafka_poll found = kafka_consumer_poll(loop->consumer, 0, ret, err);

	loop->waited = found != KAFKA_MESSAGE;
	if (found == KAFKA_NOTHING)
		found = kafka_consumer_poll(loop->consumer, poll_timeout_ms(loop), ret, err);
	loop->quiet = found == KAFKA_NOTHING;
	return found;
}

static bool is_late(struct stage_loop *loop)
{
	if (!loop->waited && ++loop->unlooked < CLOCK_EVERY)
		return false;
	loop->unlooked = 0;
	return clock_monotonic_ns() >= loop->deadline_ns;
}

static bool is_full(const struct stage_loop *loop)
{
	const struct stage *stage = loop->stage;

	return loop->open.records >= loop->records_max || (stage->ops.full && stage->ops.full(stage->ops.self));
}

static bool is_quiet(const struct stage_loop *loop)
{
	return loop->quiet &&
	       !fault_defect("group_metadata_at_commit"); /* whose batch waits for its assignment's end */
}

static bool is_due(struct stage_loop *loop)
{
	return loop->open.there && (is_full(loop) || (!loop->leaving.there && (is_quiet(loop) || is_late(loop))));
}

/* A batch on its way has arrived: known soon, as the next may wait for it, and people look at the figures. */
static int look_at_leaving(struct stage_loop *loop, struct err *err)
{
	const struct commit_ops *commit = &loop->stage->commit;

	return loop->leaving.there && !commit->busy(commit->self, 0) ? stage_batch_settle(loop, err) : 0;
}

static int meet_error(struct err *err)
{
	if (err->kind != ERR_RETRY)
		return -1;
	broker_failed(err);
	err_clear(err);
	return 0;
}

static int meet_offset_gone(struct stage_loop *loop, const struct kafka_message *m, struct err *err)
{
	struct place *place = places_find(&loop->places, m->topic, m->partition);
	struct err why = *err;

	err_clear(err);
	return place ? places_meet_gap(&loop->places, place, why.text, err) : 0;
}

/* What the store had when it went away need not be what it has when it is back, even if nothing was open. */
static int look_at_store(struct stage_loop *loop, struct err *err)
{
	const struct commit_ops *commit = &loop->stage->commit;

	if (loop->places.count == 0 || !commit->was_away || !commit->was_away(commit->self))
		return 0;
	log_warning("store_was_away", NULL, "positions are asked for again");
	return rewind_patiently(loop, err);
}

static int step(struct stage_loop *loop, struct err *err)
{
	CLEANUP(kafka_message_done) struct kafka_message m = { .handle = NULL };
	const struct stage_ops *ops = &loop->stage->ops;

	if (!loop->open.there && !loop->leaving.there && ops->between && ops->between(ops->self, err))
		return -1;
	if (loop->open.held && !is_slow_until_poll(loop))
		return stage_batch_hand_over(loop, err);
	switch (poll_next(loop, &m, err)) {
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
	if (look_at_leaving(loop, err))
		return -1;
	if (is_due(loop))
		return hand_over(loop, err);
	if (loop->open.there || loop->leaving.there)
		return 0;
	places_look(&loop->places);
	return look_at_store(loop, err);
}

/*
 * After an error: a batch that is still open may hold the offset of a message
 * that was not handled, so closing the consumer must not commit it.
 */
static void abandon(struct stage_loop *loop)
{
	struct err ignored = ERR_INIT;

	if (loop->open.there || loop->leaving.there)
		stage_batch_drop(loop, &ignored);
	stage_careful_take_back(loop);
}

static int run(struct stage_loop *loop, struct err *err)
{
	while (!worker_stopping() && loop->broken.kind == ERR_OK) {
		notify_beat();
		if (step(loop, err) && recover(loop, err))
			break;
	}
	if (loop->broken.kind != ERR_OK)
		*err = loop->broken;
	if (err->kind == ERR_OK && stage_batch_commit(loop, err) == 0)
		return 0;
	abandon(loop);
	return -1;
}

static void loop_freep(struct stage_loop **loop)
{
	kafka_consumer_freep(&(*loop)->consumer); /* it may still call back */
	places_clear(&(*loop)->places);
	stage_trouble_freep(&(*loop)->trouble);
	freep(loop);
}

int stage_run(const struct stage *stage, const struct worker *worker, struct err *err)
{
	CLEANUP(loop_freep) struct stage_loop *loop = mem_zalloc(1, sizeof(*loop));
	const struct kafka_rebalance rebalance = stage_rebalance(loop);

	loop->stage = loop->places.stage = stage;
	loop->backoff_ms = STAGE_BACKOFF_FIRST_MS;
	loop->records_max = stage->batch_records_max;
	stage_trouble_open(&loop->trouble, worker, stage->name);
	worker_set_ready(false, "waiting for partitions");
	if (kafka_consumer_new(&loop->consumer, worker->cfg, stage->group, stage->topics, stage->topic_count,
			       &rebalance, err))
		return -1;
	loop->places.consumer = loop->consumer;
	return run(loop, err);
}

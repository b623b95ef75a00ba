#include "stages/fetcher/fetcher.h"

#include <stdlib.h>

#include "common/broker.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "common/dead_letter.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/notify.h"
#include "stages/fetcher/fetcher_internal.h"
#include "stages/fetcher/metrics.h"

#define IDLE_MS 250
#define MESSAGES_MAX 256 /* taken in one step */

/* --- working --------------------------------------------------------------------------------------------------------- */

/* One that is at it goes before one that waits, so that never two of them have a start counted. */
static struct slot *find_sole(struct fetcher *fetcher)
{
	struct slot *found = NULL;

	for (struct slot *slot = fetcher->slots; slot < fetcher->slots_end; slot++) {
		if (!slot->known || !slot_is_careful(slot))
			continue;
		if (slot->job)
			return slot;
		if (!found)
			found = slot;
	}
	return found;
}

/* Its turn: it is ours, and no other works alone. */
static bool has_turn(const struct fetcher *fetcher, const struct slot *slot)
{
	return slot->known && (!fetcher->sole || fetcher->sole == slot) && (slot->job || slot->pending_count > 0);
}

/* Starts are committed before anything is looked at; all that are to be counted now in one transaction. */
static int count_starts(struct fetcher *fetcher, struct err *err)
{
	bool any = false;

	for (struct slot *slot = fetcher->slots; slot < fetcher->slots_end; slot++) {
		slot->count_start = has_turn(fetcher, slot) && slot_is_new(slot);
		any = any || slot->count_start;
	}
	return any ? fetcher_commit(fetcher, err) : 0;
}

/* All that waited was begun: the tasks that were left out come next. */
static int read_on(struct fetcher *fetcher, struct slot *slot, struct err *err)
{
	const struct kafka_offset from = { slot->topic, slot->partition, slot->left_at, NULL };

	slot->full = false;
	return kafka_consumer_seek(fetcher->consumer, &from, 1, err);
}

static const char *why_parked(const struct fetcher *fetcher, const struct slot *slot)
{
	const char *subscription = job_subscription(slot->job);
	const struct cursor *cursor = job_cursor(slot->job);

	return subscription ? parking_holds(&fetcher->parking, subscription, cursor->run, cursor->attempt) : NULL;
}

/* At work already. Those that wait are looked at when their turn comes. */
static void park_all(struct fetcher *fetcher)
{
	for (struct slot *slot = fetcher->slots; slot < fetcher->slots_end; slot++) {
		const char *why = slot->known && slot->job ? why_parked(fetcher, slot) : NULL;

		if (why)
			job_park(slot->job, why);
	}
}

static int begin_task(struct fetcher *fetcher, struct slot *slot, struct err *err)
{
	const char *why;

	slot_begin(slot, &fetcher->outputs);
	if (slot->full && slot->pending_count == 0 && read_on(fetcher, slot, err))
		return -1;
	if (slot->tell_attempt && fetcher_commit(fetcher, err))
		return -1;
	why = why_parked(fetcher, slot);
	if (why) {
		job_park(slot->job, why);
		return 0;
	}
	return job_open(slot->job, &slot->env, err);
}

/* Records that it may fetch now, of a turn's. */
static unsigned turn_of(const struct fetcher *fetcher, const struct slot *slot)
{
	const struct flow *flow = &fetcher->parking.flow;
	int64_t left = slot->items > 0 && slot->items < fetcher->turn_records ? slot->items : fetcher->turn_records;
	int64_t room;

	if (!flow_holds(flow, job_cursor(slot->job)->run))
		return (unsigned)left;
	room = flow_room(flow);
	for (const struct slot *each = fetcher->slots; each < fetcher->slots_end; each++)
		if (each->known && each->job)
			room -= flow_since(flow, job_cursor(each->job));
	return room < 0 ? 0 : (unsigned)(room < left ? room : left);
}

static int work_on(struct fetcher *fetcher, struct slot *slot, struct err *err)
{
	unsigned items = turn_of(fetcher, slot);

	if (job_catching_up(slot->job))
		return job_catch_up(slot->job, fetcher->turn_records, err);
	if (items == 0 && job_rest(slot->job))
		return 0;
	if (items == 0) /* what is about to end does so in any case */
		items = 1;
	if (!job_is_ready(slot->job)) /* no transaction waits for a vendor */
		return 0;
	if (fetcher_begin(fetcher, err))
		return -1;
	return job_state(slot->job) == JOB_RUNNING ? job_work(slot->job, items, err) : 0;
}

/* A turn for every slot. */
static int work(struct fetcher *fetcher, struct err *err)
{
	if (fetcher_learn(fetcher, err))
		return -1;
	if (parking_look(&fetcher->parking))
		park_all(fetcher);
	fetcher->sole = find_sole(fetcher);
	if (count_starts(fetcher, err))
		return -1;
	for (struct slot *slot = fetcher->slots; slot < fetcher->slots_end; slot++) {
		if (!has_turn(fetcher, slot))
			continue;
		if (!slot->job && begin_task(fetcher, slot, err))
			return -1;
		if (work_on(fetcher, slot, err))
			return -1;
	}
	return 0;
}

/* A task is at work, or one waits for the one before it, whose end was just committed: no time to lose. */
static bool has_more(const struct fetcher *fetcher, bool waiting)
{
	for (const struct slot *slot = fetcher->slots; slot < fetcher->slots_end; slot++)
		if (slot->assigned && (slot->job ? job_state(slot->job) == JOB_RUNNING && !job_waits(slot->job)
						 : waiting && slot->pending_count > 0))
			return true;
	return false;
}

/* How long nothing is to be done but what messages and the vendors' answers wake us for. */
static int idle_ms(const struct fetcher *fetcher)
{
	int64_t now = clock_monotonic_ns(), until = now + IDLE_MS * NS_PER_MS;

	if (has_more(fetcher, true))
		return 0;
	for (const struct slot *slot = fetcher->slots; slot < fetcher->slots_end; slot++)
		if (slot->job && job_waits(slot->job) && job_ready_ns(slot->job) < until)
			until = job_ready_ns(slot->job);
	return until <= now ? 0 : (int)((until - now) / NS_PER_MS) + 1;
}

static int take_message(struct fetcher *fetcher, int timeout_ms, bool *ret_taken, struct err *err)
{
	CLEANUP(kafka_message_done) struct kafka_message message = { .handle = NULL };

	*ret_taken = false;
	switch (kafka_consumer_poll(fetcher->consumer, timeout_ms, &message, err)) {
	case KAFKA_ERROR:
		if (err->kind != ERR_RETRY)
			return -1;
		broker_failed(err);
		err_clear(err);
		break;
	case KAFKA_OFFSET_GONE:
		metric_add(&worker_metrics[WORKER_STOPPED], 1);
		log_error("partition_stopped",
			  LOG_FIELDS(log_str("topic", message.topic), log_i64("partition", message.partition)),
			  "%s; the other slots go on. Look at `penstock offsets ls`", err->text);
		err_clear(err);
		break;
	case KAFKA_MESSAGE:
		broker_works();
		slot_take(fetcher_slot(fetcher, message.topic, message.partition), &message);
		*ret_taken = true;
		break;
	case KAFKA_NOTHING:
	case KAFKA_END:
		broker_ask(fetcher->consumer);
		break;
	}
	return 0;
}

/* All that have arrived: tasks of several slots are begun, and end, in the same transactions. */
static int take_messages(struct fetcher *fetcher, struct err *err)
{
	int timeout_ms = idle_ms(fetcher);
	bool taken = true;

	for (unsigned n = 0; taken && n < MESSAGES_MAX; n++, timeout_ms = 0)
		if (take_message(fetcher, timeout_ms, &taken, err))
			return -1;
	return 0;
}

static int step(struct fetcher *fetcher, struct err *err)
{
	if (take_messages(fetcher, err))
		return -1;
	if (fetcher->broken.kind != ERR_OK) {
		*err = fetcher->broken;
		return -1;
	}
	if (work(fetcher, err))
		return -1;
	if (fetcher->open &&
	    (fetcher->sole || !has_more(fetcher, false) || clock_monotonic_ns() >= fetcher->deadline_ns))
		return fetcher_commit(fetcher, err);
	return 0;
}

/* --- the loop -------------------------------------------------------------------------------------------------------- */

/* Records of a vendor's go into the raw ones; what is put back goes where it was refused. */
static int open_data_topics(struct job_outputs *out, const struct topics *topics, struct err *err)
{
	for (unsigned stage = 0; stage < DATA_STAGES; stage++)
		for (unsigned id = 0; id < DATA_TYPES; id++)
			if (kafka_producer_topic(out->producer, topics_name(topics, data_types[id].topics[stage]),
						 &out->data[stage][id], err))
				return -1;
	return 0;
}

static int open_outputs(struct fetcher *fetcher, struct worker *worker, struct err *err)
{
	CLEANUP(freep) char *transactional_id = worker_transactional_id(worker, "fetcher", err);
	struct job_outputs *out = &fetcher->outputs;

	out->worker = worker_instance(worker->cfg);
	if (!transactional_id || kafka_producer_new(&out->producer, worker->cfg, transactional_id, err) ||
	    open_data_topics(out, worker->topics, err) ||
	    dead_letter_topic(out->producer, worker->topics, &out->dlq, err) ||
	    kafka_producer_topic(out->producer, topics_name(worker->topics, "etl.events"), &out->events, err))
		return -1;
	return 0;
}

static int loop(struct fetcher *fetcher, struct err *err)
{
	while (!worker_stopping()) {
		notify_beat();
		if (step(fetcher, err)) {
			fetcher_take_back(fetcher);
			return -1;
		}
	}
	return fetcher_commit_leaving(fetcher, err);
}

static void release(struct fetcher **pointer)
{
	struct fetcher *fetcher = *pointer;

	fetcher->open = false; /* whoever comes next under this id ends it */
	fetcher_clear(fetcher);
	fetcher_stop_http(fetcher);
	kafka_consumer_freep(&fetcher->consumer);
	parking_release(&fetcher->parking);
	kafka_producer_freep(&fetcher->outputs.producer);
	kafka_group_freep(&fetcher->group);
	free(fetcher);
}

int fetcher_run(struct worker *worker, struct err *err)
{
	CLEANUP(release) struct fetcher *fetcher = mem_zalloc(1, sizeof(*fetcher));
	const struct kafka_rebalance rebalance = fetcher_rebalance(fetcher);

	fetcher->slots_end = fetcher->slots;
	fetcher->batch_ns = config_int(worker->cfg, "batch.ms") * NS_PER_MS;
	fetcher->turn_records = (unsigned)config_int(worker->cfg, "turn.records");
	parking_init(&fetcher->parking, worker->cfg, worker->topics);
	worker_set_ready(false, "waiting for slots");
	if (fetcher_open_sources(fetcher, worker, err) || open_outputs(fetcher, worker, err) ||
	    kafka_consumer_new(&fetcher->consumer, worker->cfg, topics_group(worker->topics, "penstock.fetcher"),
			       fetcher->topics, fetcher->topic_count, &rebalance, err) ||
	    fetcher_start_http(fetcher, err))
		return -1;
	return loop(fetcher, err);
}

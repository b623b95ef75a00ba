#include "stages/fetcher/fetcher.h"

#include <stdlib.h>
#include <string.h>

#include "common/broker.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "common/dead_letter.h"
#include "common/fault.h"
#include "common/log.h"
#include "common/mem.h"
#include "stages/fetcher/metrics.h"
#include "stages/fetcher/slot.h"

#define SLOTS_MAX 256
#define IDLE_MS 250
#define LEARN_TRIES 6 /* of 10 s: longer than a broker keeps the transaction of a fetcher that is gone */
#define LEARN_BACKOFF_MS 100
#define LEARN_BACKOFF_MS_MAX 2000

struct metric fetcher_metrics[FETCHER_METRICS] = {
	[FETCHER_RECORDS] = { "penstock_fetcher_records_total", NULL, METRIC_COUNTER, "Records produced.", 0 },
	[FETCHER_REFUSED] = { "penstock_fetcher_refused_total", NULL, METRIC_COUNTER, "Records refused by the decoder.",
			      0 },
	[FETCHER_TASKS_DONE] = { "penstock_fetcher_tasks_total", "state=\"done\"", METRIC_COUNTER, "Tasks that ended.",
				 0 },
	[FETCHER_TASKS_FAILED] = { "penstock_fetcher_tasks_total", "state=\"failed\"", METRIC_COUNTER,
				   "Tasks that ended.", 0 },
};

struct fetcher {
	const char *topic;
	struct kafka_consumer *consumer;
	struct job_outputs outputs;
	struct kafka_group *group; /* of the open transaction */
	bool open;
	int64_t deadline_ns, batch_ns;
	unsigned turn_records;
	struct slot slots[SLOTS_MAX], *slots_end; /* behind the last that ever was ours */
	struct slot *sole;                        /* works alone: it may be the one that ends processes */
	struct err broken;                        /* found inside the rebalance callback */
};

/* --- transactions ---------------------------------------------------------------------------------------------------- */

static int begin(struct fetcher *fetcher, struct err *err)
{
	if (fetcher->open)
		return 0;
	kafka_group_freep(&fetcher->group);
	fetcher->group = kafka_group_now(fetcher->consumer);
	if (!fetcher->group)
		return err_set(err, ERR_RETRY, "the slots are another fetcher's already");
	if (kafka_txn_begin(fetcher->outputs.producer, err))
		return -1;
	fetcher->open = true;
	fetcher->deadline_ns = clock_monotonic_ns() + fetcher->batch_ns;
	return 0;
}

static int32_t partition_of(const struct fetcher *fetcher, const struct slot *slot)
{
	return (int32_t)(slot - fetcher->slots);
}

/* What the transaction says of the slots: attempts' events now, offsets in the array. */
static int say(struct fetcher *fetcher, bool leaving, struct kafka_offset offsets[SLOTS_MAX], unsigned *ret_count,
	       struct err *err)
{
	*ret_count = 0;
	for (struct slot *slot = fetcher->slots; slot < fetcher->slots_end; slot++) {
		if (!slot_say(slot, leaving))
			continue;
		if (begin(fetcher, err) || (slot_moved(slot) && job_report(slot->job, err)))
			return -1;
		offsets[(*ret_count)++] = slot_offset(slot, fetcher->topic, partition_of(fetcher, slot));
	}
	return 0;
}

static int commit_as(struct fetcher *fetcher, bool leaving, struct err *err)
{
	struct kafka_offset offsets[SLOTS_MAX];
	unsigned count;

	if (say(fetcher, leaving, offsets, &count, err))
		return -1;
	if (!fetcher->open)
		return 0;
	fault_point("before_commit");
	if (kafka_txn_offsets(fetcher->outputs.producer, offsets, count, fetcher->group, err))
		return -1;
	fault_point("offsets_sent");
	if (kafka_txn_commit(fetcher->outputs.producer, err))
		return -1;
	fetcher->open = false;
	fault_point("after_commit");
	metric_add(&worker_metrics[WORKER_BATCHES], 1);
	for (struct slot *slot = fetcher->slots; slot < fetcher->slots_end; slot++)
		if (slot_committed(slot))
			metric_add(&worker_metrics[WORKER_RECORDS], 1);
	return 0;
}

/* Where nothing is open and nothing has to be said, this does nothing. */
static int commit(struct fetcher *fetcher, struct err *err)
{
	return commit_as(fetcher, false, err);
}

static int commit_leaving(struct fetcher *fetcher, struct err *err)
{
	return commit_as(fetcher, true, err);
}

/* --- where slots stand ----------------------------------------------------------------------------------------------- */

/*
 * The group's offset and cursor, read_committed: what a former owner has not
 * ended yet is waited for, and no answer is never "no cursor".
 */
static int read_committed(struct fetcher *fetcher, const struct slot *slot, int64_t *ret_offset, char **ret_metadata,
			  struct err *err)
{
	int64_t wait_ms = 0;

	for (unsigned tries = 1;; tries++) {
		if (kafka_consumer_committed(fetcher->consumer, fetcher->topic, partition_of(fetcher, slot), ret_offset,
					     ret_metadata, err) == 0)
			return 0;
		if (tries == LEARN_TRIES || worker_stopping())
			return -1;
		log_warning("cursor_not_read", LOG_FIELDS(log_i64("slot", partition_of(fetcher, slot))), "%s",
			    err->text);
		err_clear(err);
		wait_ms = worker_backoff(wait_ms, LEARN_BACKOFF_MS, LEARN_BACKOFF_MS_MAX);
	}
}

static void log_slot(const struct fetcher *fetcher, const struct slot *slot, const char *event, const char *text)
{
	const struct cursor *cursor = &slot->committed.cursor;

	log_info(event,
		 LOG_FIELDS(log_i64("slot", partition_of(fetcher, slot)), log_i64("attempt", cursor->attempt),
			    log_i64("record", cursor->fetched)),
		 "%s", text);
}

/* The slot stays unknown where the process is told to stop meanwhile. */
static int learn(struct fetcher *fetcher, struct slot *slot, struct err *err)
{
	CLEANUP(freep) char *metadata = NULL;
	bool parked = slot->job;
	int64_t offset;

	if (commit(fetcher, err))
		return -1;
	if (read_committed(fetcher, slot, &offset, &metadata, err)) {
		if (!worker_stopping())
			return -1;
		err_clear(err);
		return 0;
	}
	if (parked && offset < job_message(slot->job)->offset)
		return err_set(err, ERR_RETRY, "slot %d was put back", partition_of(fetcher, slot));
	if (slot_learn(slot, offset, metadata))
		log_slot(fetcher, slot, "task_given_up", "the slot was another fetcher's meanwhile");
	else if (parked)
		log_slot(fetcher, slot, "task_kept", "the slot came back");
	return 0;
}

static int learn_slots(struct fetcher *fetcher, struct err *err)
{
	for (struct slot *slot = fetcher->slots; slot < fetcher->slots_end; slot++)
		if (slot->assigned && !slot->known && (slot->job || slot->pending_count > 0) &&
		    learn(fetcher, slot, err))
			return -1;
	return 0;
}

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
	return any ? commit(fetcher, err) : 0;
}

/* All that waited was begun: the tasks that were left out come next. */
static int read_on(struct fetcher *fetcher, struct slot *slot, struct err *err)
{
	const struct kafka_offset from = { fetcher->topic, partition_of(fetcher, slot), slot->left_at, NULL };

	slot->full = false;
	return kafka_consumer_seek(fetcher->consumer, &from, 1, err);
}

static int begin_task(struct fetcher *fetcher, struct slot *slot, struct err *err)
{
	slot_begin(slot, &fetcher->outputs);
	if (slot->full && slot->pending_count == 0 && read_on(fetcher, slot, err))
		return -1;
	if (slot->tell_attempt && commit(fetcher, err))
		return -1;
	return job_open(slot->job, err);
}

static int work_on(struct fetcher *fetcher, struct slot *slot, struct err *err)
{
	unsigned items = slot->items > 0 && slot->items < fetcher->turn_records ? slot->items : fetcher->turn_records;

	if (job_catching_up(slot->job))
		return job_catch_up(slot->job, fetcher->turn_records, err);
	if (begin(fetcher, err))
		return -1;
	return job_state(slot->job) == JOB_RUNNING ? job_work(slot->job, items, err) : 0;
}

/* A turn for every slot. */
static int work(struct fetcher *fetcher, struct err *err)
{
	if (learn_slots(fetcher, err))
		return -1;
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
		if (slot->assigned &&
		    ((slot->job && job_state(slot->job) == JOB_RUNNING) || (waiting && slot->pending_count > 0)))
			return true;
	return false;
}

static int take_message(struct fetcher *fetcher, struct err *err)
{
	CLEANUP(kafka_message_done) struct kafka_message message = { .handle = NULL };

	switch (kafka_consumer_poll(fetcher->consumer, has_more(fetcher, true) ? 0 : IDLE_MS, &message, err)) {
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
		slot_take(&fetcher->slots[message.partition], &message);
		break;
	case KAFKA_NOTHING:
	case KAFKA_END:
		broker_ask(fetcher->consumer);
		break;
	}
	return 0;
}

static int step(struct fetcher *fetcher, struct err *err)
{
	if (take_message(fetcher, err))
		return -1;
	if (fetcher->broken.kind != ERR_OK) {
		*err = fetcher->broken;
		return -1;
	}
	if (work(fetcher, err))
		return -1;
	if (fetcher->open &&
	    (fetcher->sole || !has_more(fetcher, false) || clock_monotonic_ns() >= fetcher->deadline_ns))
		return commit(fetcher, err);
	return 0;
}

/* --- rebalance ------------------------------------------------------------------------------------------------------- */

static void clear_slots(struct fetcher *fetcher)
{
	for (struct slot *slot = fetcher->slots; slot < fetcher->slots_end; slot++)
		slot_clear(slot);
	fetcher->sole = NULL;
}

/* Transfers go on in the slots that came back; whoever has the others goes on at their cursors. */
static int on_assigned(void *self, struct kafka_offset *partitions, unsigned count, struct err *err)
{
	struct fetcher *fetcher = self;

	for (unsigned i = 0; i < count; i++) {
		struct slot *slot = &fetcher->slots[partitions[i].partition % SLOTS_MAX];

		if (partitions[i].partition >= SLOTS_MAX)
			return err_set(err, ERR_FATAL, "%s [%d]: more than %d slots", partitions[i].topic,
				       partitions[i].partition, SLOTS_MAX);
		slot->assigned = true;
		if (slot >= fetcher->slots_end)
			fetcher->slots_end = slot + 1;
	}
	for (struct slot *slot = fetcher->slots; slot < fetcher->slots_end; slot++)
		if (slot->job && !slot->assigned) {
			log_slot(fetcher, slot, "task_handed_over", "the slot did not come back");
			slot_clear(slot);
		}
	log_info("slots_assigned", LOG_FIELDS(log_i64("slots", count)), "%u slots assigned", count);
	worker_set_ready(true, "");
	metric_set(&worker_metrics[WORKER_PARTITIONS], count);
	return 0;
}

static void on_revoked(void *self, bool lost)
{
	struct fetcher *fetcher = self;
	struct err err = ERR_INIT;

	worker_set_ready(false, "waiting for slots");
	metric_set(&worker_metrics[WORKER_PARTITIONS], 0);
	if (lost && fetcher->open)
		err_set(&fetcher->broken, ERR_RETRY, "the slots are another fetcher's already");
	else if (!lost && commit_leaving(fetcher, &err))
		fetcher->broken = err;
	if (lost || fetcher->broken.kind != ERR_OK)
		clear_slots(fetcher);
	for (struct slot *slot = fetcher->slots; slot < fetcher->slots_end; slot++)
		slot_park(slot);
	fetcher->sole = NULL;
}

/* --- the loop -------------------------------------------------------------------------------------------------------- */

static int open_outputs(struct fetcher *fetcher, struct worker *worker, struct err *err)
{
	CLEANUP(freep) char *transactional_id = worker_transactional_id(worker, "fetcher", err);
	struct job_outputs *out = &fetcher->outputs;

	out->worker = worker_instance(worker->cfg);
	if (!transactional_id || kafka_producer_new(&out->producer, worker->cfg, transactional_id, err) ||
	    kafka_producer_topic(out->producer, topics_name(worker->topics, "etl.raw.ohlcv"), &out->raw, err) ||
	    dead_letter_topic(out->producer, worker->topics, &out->dlq, err) ||
	    kafka_producer_topic(out->producer, topics_name(worker->topics, "etl.events"), &out->events, err))
		return -1;
	return 0;
}

/* The group has what this process committed last. */
static bool is_as_left(struct fetcher *fetcher, const struct slot *slot)
{
	CLEANUP(freep) char *metadata = NULL;
	struct err err = ERR_INIT;
	int64_t offset;

	return kafka_consumer_committed(fetcher->consumer, fetcher->topic, partition_of(fetcher, slot), &offset,
					&metadata, &err) == 0 &&
	       slot_is_as_left(slot, offset, metadata);
}

/*
 * The process ends for the world's fault: that is no crash of the task, so
 * the starts that are counted are taken back, if the world allows it. What
 * the last transaction came to may be unknown: only where the group has what
 * this process committed before is anything written.
 */
static void take_back_starts(struct fetcher *fetcher)
{
	struct err err = ERR_INIT;

	if (fetcher->open && kafka_txn_abort(fetcher->outputs.producer, &err))
		return;
	fetcher->open = false;
	for (struct slot *slot = fetcher->slots; slot < fetcher->slots_end; slot++)
		if (slot->known && slot->committed.counted && !is_as_left(fetcher, slot))
			return;
	for (struct slot *slot = fetcher->slots; slot < fetcher->slots_end; slot++)
		slot_give_up(slot);
	if (commit_leaving(fetcher, &err))
		log_warning("starts_not_taken_back", NULL, "%s", err.text);
}

static int loop(struct fetcher *fetcher, struct err *err)
{
	while (!worker_stopping())
		if (step(fetcher, err)) {
			take_back_starts(fetcher);
			return -1;
		}
	return commit_leaving(fetcher, err);
}

static void release(struct fetcher **pointer)
{
	struct fetcher *fetcher = *pointer;

	fetcher->open = false; /* whoever comes next under this id ends it */
	clear_slots(fetcher);
	kafka_consumer_freep(&fetcher->consumer);
	kafka_producer_freep(&fetcher->outputs.producer);
	kafka_group_freep(&fetcher->group);
	free(fetcher);
}

int fetcher_run(struct worker *worker, struct err *err)
{
	CLEANUP(release) struct fetcher *fetcher = mem_zalloc(1, sizeof(*fetcher));
	const struct kafka_rebalance rebalance = { fetcher, on_assigned, on_revoked };

	fetcher->slots_end = fetcher->slots;
	fetcher->topic = topics_name(worker->topics, "etl.tasks.file");
	fetcher->batch_ns = config_int(worker->cfg, "batch.ms") * NS_PER_MS;
	fetcher->turn_records = (unsigned)config_int(worker->cfg, "turn.records");
	worker_set_ready(false, "waiting for slots");
	if (open_outputs(fetcher, worker, err) ||
	    kafka_consumer_new(&fetcher->consumer, worker->cfg, topics_group(worker->topics, "penstock.fetcher"),
			       &fetcher->topic, 1, &rebalance, err))
		return -1;
	return loop(fetcher, err);
}

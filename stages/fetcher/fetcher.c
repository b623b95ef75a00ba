#include "stages/fetcher/fetcher.h"

#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/dead_letter.h"
#include "common/fault.h"
#include "common/log.h"
#include "common/mem.h"
#include "stages/fetcher/job.h"
#include "stages/fetcher/metrics.h"

#define SLOTS_MAX 256
#define PENDING_MAX 64 /* task messages of one slot that wait their turn */
#define IDLE_MS 250
#define NS_PER_MS INT64_C(1000000)

struct metric fetcher_metrics[FETCHER_METRICS] = {
	[FETCHER_RECORDS] = { "penstock_fetcher_records_total", NULL, METRIC_COUNTER, "Records produced.", 0 },
	[FETCHER_REFUSED] = { "penstock_fetcher_refused_total", NULL, METRIC_COUNTER, "Records refused by the decoder.",
			      0 },
	[FETCHER_TASKS_DONE] = { "penstock_fetcher_tasks_total", "state=\"done\"", METRIC_COUNTER, "Tasks that ended.",
				 0 },
	[FETCHER_TASKS_FAILED] = { "penstock_fetcher_tasks_total", "state=\"failed\"", METRIC_COUNTER,
				   "Tasks that ended.", 0 },
};

/* One partition of a task topic. */
struct slot {
	struct job *job;
	struct kafka_message pending[PENDING_MAX];
	unsigned pending_first, pending_count;
	bool full;       /* tasks from `left_at` on are read again when there is room */
	int64_t left_at; /* offset */
};

struct fetcher {
	const char *topic;
	struct kafka_consumer *consumer;
	struct job_outputs outputs;
	struct kafka_group *group; /* of the open transaction */
	bool open;
	int64_t deadline_ns, batch_ns;
	unsigned turn_records;
	struct slot slots[SLOTS_MAX];
	struct err broken; /* found inside the rebalance callback */
};

/* --- slots ----------------------------------------------------------------------------------------------------------- */

static void clear_slot(struct slot *slot)
{
	job_freep(&slot->job);
	for (; slot->pending_count > 0; slot->pending_count--) {
		kafka_message_done(&slot->pending[slot->pending_first]);
		slot->pending_first = (slot->pending_first + 1) % PENDING_MAX;
	}
	slot->full = false;
}

/* All that waited was begun: the tasks that were left out come next. */
static int read_on(struct fetcher *fetcher, struct slot *slot, struct err *err)
{
	const struct kafka_offset from = { fetcher->topic, (int32_t)(slot - fetcher->slots), slot->left_at, NULL };

	slot->full = false;
	return kafka_consumer_seek(fetcher->consumer, &from, 1, err);
}

static void clear_slots(struct fetcher *fetcher)
{
	for (unsigned i = 0; i < SLOTS_MAX; i++)
		clear_slot(&fetcher->slots[i]);
}

static int take_message(struct fetcher *fetcher, struct kafka_message *message, struct err *err)
{
	struct slot *slot = &fetcher->slots[message->partition % SLOTS_MAX];

	if (message->partition >= SLOTS_MAX)
		return err_set(err, ERR_FATAL, "%s [%d]: more than %d slots", message->topic, message->partition,
			       SLOTS_MAX);
	if (!slot->full && slot->pending_count == PENDING_MAX) {
		slot->full = true;
		slot->left_at = message->offset;
	}
	if (slot->full)
		return 0;
	slot->pending[(slot->pending_first + slot->pending_count++) % PENDING_MAX] = *message;
	message->handle = NULL;
	return 0;
}

/* --- transactions ---------------------------------------------------------------------------------------------------- */

static int begin(struct fetcher *fetcher, struct err *err)
{
	if (fetcher->open)
		return 0;
	kafka_group_freep(&fetcher->group);
	fetcher->group = kafka_group_now(fetcher->consumer);
	if (kafka_txn_begin(fetcher->outputs.producer, err))
		return -1;
	fetcher->open = true;
	fetcher->deadline_ns = clock_monotonic_ns() + fetcher->batch_ns;
	return 0;
}

static int commit(struct fetcher *fetcher, struct err *err)
{
	struct kafka_offset offsets[SLOTS_MAX];
	unsigned count = 0;

	if (!fetcher->open)
		return 0;
	for (unsigned i = 0; i < SLOTS_MAX; i++) {
		struct job *job = fetcher->slots[i].job;

		if (!job)
			continue;
		if (job_report(job, err))
			return -1;
		offsets[count++] = job_offset(job);
	}
	fault_point("before_commit");
	if (kafka_txn_offsets(fetcher->outputs.producer, offsets, count, fetcher->group, err) ||
	    kafka_txn_commit(fetcher->outputs.producer, err))
		return -1;
	fetcher->open = false;
	fault_point("after_commit");
	metric_add(&worker_metrics[WORKER_BATCHES], 1);
	for (unsigned i = 0; i < SLOTS_MAX; i++)
		if (fetcher->slots[i].job && job_state(fetcher->slots[i].job) != JOB_RUNNING) {
			job_freep(&fetcher->slots[i].job);
			metric_add(&worker_metrics[WORKER_RECORDS], 1);
		}
	return 0;
}

/* --- working --------------------------------------------------------------------------------------------------------- */

static int start_job(struct fetcher *fetcher, struct slot *slot, struct err *err)
{
	struct kafka_message *message = &slot->pending[slot->pending_first];
	CLEANUP(freep) char *metadata = NULL;
	const char *cursor;
	int64_t committed;

	if (kafka_consumer_committed(fetcher->consumer, message->topic, message->partition, &committed, &metadata, err))
		return -1;
	cursor = committed == message->offset && !fault_defect("cursor_ignored") ? metadata : NULL;
	/* Reading up to a cursor may take longer than a transaction can: none is open meanwhile. */
	if (cursor && commit(fetcher, err))
		return -1;
	if (job_start(&slot->job, &fetcher->outputs, message, cursor, err))
		return -1;
	slot->pending_first = (slot->pending_first + 1) % PENDING_MAX;
	slot->pending_count--;
	if (slot->full && slot->pending_count == 0 && read_on(fetcher, slot, err))
		return -1;
	return begin(fetcher, err);
}

/* A turn for every slot; true: there is more to do. */
static int work(struct fetcher *fetcher, bool *ret_busy, struct err *err)
{
	*ret_busy = false;
	for (unsigned i = 0; i < SLOTS_MAX; i++) {
		struct slot *slot = &fetcher->slots[i];

		if (!slot->job && slot->pending_count > 0 && start_job(fetcher, slot, err))
			return -1;
		if (!slot->job || job_state(slot->job) != JOB_RUNNING)
			continue;
		if (begin(fetcher, err) || job_work(slot->job, fetcher->turn_records, err))
			return -1;
		*ret_busy = *ret_busy || job_state(slot->job) == JOB_RUNNING;
	}
	return 0;
}

/* A task waits for the one before it, whose end was just committed: no time to lose. */
static bool has_waiting(const struct fetcher *fetcher)
{
	for (unsigned i = 0; i < SLOTS_MAX; i++)
		if (fetcher->slots[i].pending_count > 0)
			return true;
	return false;
}

static int step(struct fetcher *fetcher, bool *busy, struct err *err)
{
	CLEANUP(kafka_message_done) struct kafka_message message = { .handle = NULL };

	switch (kafka_consumer_poll(fetcher->consumer, *busy || has_waiting(fetcher) ? 0 : IDLE_MS, &message, err)) {
	case KAFKA_ERROR:
		if (err->kind != ERR_RETRY)
			return -1;
		log_warning("kafka_error", NULL, "%s", err->text);
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
		if (take_message(fetcher, &message, err))
			return -1;
		break;
	case KAFKA_NOTHING:
	case KAFKA_END:
		break;
	}
	if (work(fetcher, busy, err))
		return -1;
	return fetcher->open && (!*busy || clock_monotonic_ns() >= fetcher->deadline_ns) ? commit(fetcher, err) : 0;
}

/* --- rebalance ------------------------------------------------------------------------------------------------------- */

static int on_assigned(void *self, struct kafka_offset *partitions, unsigned count, struct err *err)
{
	(void)self;
	(void)partitions;
	(void)err;
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
	else if (commit(fetcher, &err))
		fetcher->broken = err;
	clear_slots(fetcher); /* whoever gets a slot goes on at its cursor */
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

static int loop(struct fetcher *fetcher, struct err *err)
{
	bool busy = false;

	while (!worker_stopping() && fetcher->broken.kind == ERR_OK)
		if (step(fetcher, &busy, err))
			return -1;
	if (fetcher->broken.kind != ERR_OK) {
		*err = fetcher->broken;
		return -1;
	}
	return commit(fetcher, err);
}

static void release(struct fetcher **pointer)
{
	struct fetcher *fetcher = *pointer;

	if (fetcher->open)
		kafka_txn_abort(fetcher->outputs.producer, &fetcher->broken);
	fetcher->open = false;
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

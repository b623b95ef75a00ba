#include "stages/orchestrator/dispatch.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/fault.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/topics.h"
#include "stages/orchestrator/gauges.h"
#include "stages/orchestrator/orchestrator.h"
#include "stages/orchestrator/outbox.h"

#define SOURCES_MAX 32
#define TASK_TOPIC_PREFIX "etl.tasks."

/* A source's topic: each partition is a slot. */
struct lane {
	const char *source;
	const char *topic;
	struct kafka_topic *handle;
	bool reconciled;
	struct slot_window window;
};

struct dispatch {
	struct kafka_producer *producer;
	struct kafka_topic *control;
	struct lane lanes[SOURCES_MAX];
	unsigned lane_count;
	struct outbox outbox;
};

struct dispatch *dispatch_new(void)
{
	return mem_zalloc(1, sizeof(struct dispatch));
}

void dispatch_freep(struct dispatch **pointer)
{
	struct dispatch *dispatch = *pointer;

	if (!dispatch)
		return;
	outbox_clear(&dispatch->outbox);
	kafka_producer_freep(&dispatch->producer);
	free(dispatch);
	*pointer = NULL;
}

/* --- the producer ------------------------------------------------------------------------------------------------------ */

static int add_lane(struct dispatch *dispatch, const struct topic *topic, struct err *err)
{
	struct lane *lane = &dispatch->lanes[dispatch->lane_count];

	if (dispatch->lane_count == SOURCES_MAX)
		return err_set(err, ERR_FATAL, "topic table: more than %d sources", SOURCES_MAX);
	*lane = (struct lane){ .source = topic->base + strlen(TASK_TOPIC_PREFIX), .topic = topic->name };
	if (kafka_producer_topic(dispatch->producer, topic->name, &lane->handle, err))
		return -1;
	if (kafka_topic_partitions(lane->handle) > SLOTS_MAX)
		return err_set(err, ERR_FATAL, "%s: more than %d slots", topic->name, SLOTS_MAX);
	dispatch->lane_count++;
	return 0;
}

/* The fixed transactional id fences a former active orchestrator's producer and ends its open transaction. */
static int open_producer(struct dispatch *dispatch, struct orchestrator *self, struct err *err)
{
	CLEANUP(freep) char *id = mem_printf("%spenstock.orchestrator", config_text(self->cfg, "topics.prefix"));

	if (dispatch->producer)
		return 0;
	dispatch->lane_count = 0;
	if (kafka_producer_new(&dispatch->producer, self->cfg, id, err) ||
	    kafka_producer_topic(dispatch->producer, topics_name(self->topics, "etl.control"), &dispatch->control, err))
		return -1;
	for (unsigned i = 0; i < topics_count(self->topics); i++) {
		const struct topic *topic = topics_at(self->topics, i);

		if (strncmp(topic->base, TASK_TOPIC_PREFIX, strlen(TASK_TOPIC_PREFIX)) == 0 &&
		    add_lane(dispatch, topic, err))
			return -1;
	}
	return 0;
}

/* What was being sent has an unknown fate: a new producer, and the slots are asked. */
static int producer_trouble(struct dispatch *dispatch, struct orchestrator *self, struct err *err)
{
	kafka_producer_freep(&dispatch->producer);
	return orchestrator_kafka_trouble(self, err);
}

/* --- sending ----------------------------------------------------------------------------------------------------------- */

static int produce_all(struct dispatch *dispatch, const struct lane *lane, const struct outbox *outbox, struct err *err)
{
	if (kafka_txn_begin(dispatch->producer, err))
		return -1;
	for (unsigned i = 0; i < outbox->count; i++) {
		const struct sending *item = &outbox->items[i];
		char key[PG_INT_MAX];

		pg_int_text(item->task, key);
		if (!item->found && kafka_produce(dispatch->producer, lane->handle, item->slot, str_of(key),
						  buf_str(&item->message), NULL, 0, err))
			return -1;
	}
	return kafka_txn_commit(dispatch->producer, err);
}

static int send_all(struct dispatch *dispatch, struct orchestrator *self, struct lane *lane, struct err *err)
{
	fault_point("sending");
	if (produce_all(dispatch, lane, &dispatch->outbox, err))
		return producer_trouble(dispatch, self, err);
	fault_point("produced");
	link_works(&self->kafka);
	/* Until it is marked, another look at the slot is due: the mark may fail. */
	lane->reconciled = false;
	if (outbox_mark(&dispatch->outbox, self, err))
		return -1;
	lane->reconciled = true;
	metric_add(&orchestrator_metrics[GAUGE_DISPATCHED], dispatch->outbox.count);
	log_info("attempts_sent", LOG_FIELDS(log_str("topic", lane->topic), log_i64("count", dispatch->outbox.count)),
		 "sent %u attempts to %s", dispatch->outbox.count, lane->topic);
	return 0;
}

static int dispatch_lane(struct dispatch *dispatch, struct orchestrator *self, struct lane *lane, bool *ret_busy,
			 struct err *err)
{
	outbox_clear(&dispatch->outbox);
	if (outbox_choose(&dispatch->outbox, self, lane->source, kafka_topic_partitions(lane->handle), &lane->window,
			  ret_busy, err))
		return -1;
	if (dispatch->outbox.count == 0)
		return 0;
	if (outbox_bound(&dispatch->outbox, self, lane->topic, err))
		return orchestrator_kafka_trouble(self, err); /* nothing is recorded yet */
	lane->reconciled = false;
	if (outbox_record(&dispatch->outbox, self, lane->source, err))
		return -1;
	return send_all(dispatch, self, lane, err);
}

/* --- attempts of unknown fate -------------------------------------------------------------------------------------------- */

static unsigned count_found(const struct outbox *outbox)
{
	unsigned found = 0;

	for (unsigned i = 0; i < outbox->count; i++)
		found += outbox->items[i].found;
	return found;
}

static int reconcile(struct dispatch *dispatch, struct orchestrator *self, struct lane *lane, bool *ret_busy,
		     struct err *err)
{
	unsigned found;

	outbox_clear(&dispatch->outbox);
	if (outbox_load(&dispatch->outbox, self, lane->source, err))
		return -1;
	if (dispatch->outbox.count == 0) {
		lane->reconciled = true;
		return 0;
	}
	if (reconcile_slots(self, lane->topic, &dispatch->outbox, err))
		return producer_trouble(dispatch, self, err);
	found = count_found(&dispatch->outbox);
	metric_add(&orchestrator_metrics[GAUGE_RECONCILED], found);
	log_info("attempts_reconciled",
		 LOG_FIELDS(log_str("topic", lane->topic), log_i64("found", found),
			    log_i64("sent_again", dispatch->outbox.count - found)),
		 "%u attempts of unknown fate: %u stand in %s, the others are sent now", dispatch->outbox.count, found,
		 lane->topic);
	*ret_busy = true; /* there may be more of them */
	if (send_all(dispatch, self, lane, err))
		return -1;
	lane->reconciled = false;
	return 0;
}

int dispatch_step(struct dispatch *dispatch, struct orchestrator *self, bool *ret_busy, struct err *err)
{
	if (!link_ready(&self->kafka))
		return 0;
	if (open_producer(dispatch, self, err))
		return producer_trouble(dispatch, self, err);
	for (unsigned i = 0; i < dispatch->lane_count && dispatch->producer; i++) {
		struct lane *lane = &dispatch->lanes[i];

		if (lane->reconciled ? dispatch_lane(dispatch, self, lane, ret_busy, err)
				     : reconcile(dispatch, self, lane, ret_busy, err))
			return err_wrap(err, "dispatch");
	}
	return 0;
}

int dispatch_tell(struct dispatch *dispatch, struct orchestrator *self, const char *key, const char *message,
		  bool *ret_told, struct err *err)
{
	*ret_told = false;
	if (!link_ready(&self->kafka))
		return 0;
	if (open_producer(dispatch, self, err) || kafka_txn_begin(dispatch->producer, err) ||
	    kafka_produce(dispatch->producer, dispatch->control, 0, str_of(key), str_of(message), NULL, 0, err) ||
	    kafka_txn_commit(dispatch->producer, err))
		return producer_trouble(dispatch, self, err);
	*ret_told = true;
	return 0;
}

int dispatch_watch(struct dispatch *dispatch, struct orchestrator *self, struct err *err)
{
	if (!link_ready(&self->kafka) || !self->events)
		return 0;
	for (unsigned i = 0; i < dispatch->lane_count && dispatch->producer; i++)
		if (skipped_find(self, dispatch->lanes[i].topic, dispatch->lanes[i].source, &dispatch->outbox, err))
			return -1;
	return 0;
}

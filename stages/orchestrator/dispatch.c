#include "stages/orchestrator/dispatch.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/fault.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/record.h"
#include "common/topics.h"
#include "stages/orchestrator/events.h"
#include "stages/orchestrator/gauges.h"
#include "stages/orchestrator/orchestrator.h"

#define SOURCES_MAX 32
#define TASK_TOPIC_PREFIX "etl.tasks."
#define MESSAGE_BYTES_MAX (1024 * 1024)
#define ARRAY_BYTES_MAX (64 * 1024)

/* A source's topic: each partition is a slot. */
struct lane {
	const char *source;
	const char *topic;
	struct kafka_topic *handle;
	bool reconciled;
};

struct dispatch {
	struct kafka_producer *producer;
	struct lane lanes[SOURCES_MAX];
	unsigned lane_count;
	struct sending_list list;
};

void sending_list_clear(struct sending_list *list)
{
	for (unsigned i = 0; i < list->count; i++)
		buf_release(&list->items[i].message);
	list->count = 0;
}

struct dispatch *dispatch_new(void)
{
	return mem_zalloc(1, sizeof(struct dispatch));
}

void dispatch_freep(struct dispatch **pointer)
{
	struct dispatch *dispatch = *pointer;

	if (!dispatch)
		return;
	sending_list_clear(&dispatch->list);
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
	if (kafka_producer_new(&dispatch->producer, self->cfg, id, err))
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

/* --- choosing ---------------------------------------------------------------------------------------------------------- */

/* Outstanding attempts of each slot. */
static int count_slots(struct orchestrator *self, const struct lane *lane, int32_t load[SLOTS_MAX], struct err *err)
{
	CLEANUP(pg_result_freep) struct pg_result *r = NULL;

	memset(load, 0, SLOTS_MAX * sizeof(*load));
	if (pg_query(self->pg,
		     "SELECT slot, count(*) FROM etl.attempts WHERE source = $1 AND closed_at IS NULL"
		     " AND state IN ('sending', 'sent', 'running') GROUP BY slot",
		     PG_PARAMS(lane->source), &r, err))
		return -1;
	for (int i = 0; i < pg_rows(r); i++)
		if (pg_int(r, i, 0) >= 0 && pg_int(r, i, 0) < SLOTS_MAX)
			load[pg_int(r, i, 0)] = (int32_t)pg_int(r, i, 1);
	return 0;
}

static int64_t room_of(const int32_t *load, int32_t slots, int64_t per_slot)
{
	int64_t room = 0;

	for (int32_t s = 0; s < slots; s++)
		room += load[s] < per_slot ? per_slot - load[s] : 0;
	return room < DISPATCH_BATCH_MAX ? room : DISPATCH_BATCH_MAX;
}

static int32_t take_least_loaded(int32_t *load, int32_t slots)
{
	int32_t best = 0;

	for (int32_t s = 1; s < slots; s++)
		if (load[s] < load[best])
			best = s;
	load[best]++;
	return best;
}

/* Milliseconds and random bits: never a sequence, so that accounts of two databases cannot meet either. */
static int64_t new_attempt(void)
{
	uint64_t bits = 0;

	while (getrandom(&bits, sizeof(bits), 0) != sizeof(bits))
		;
	return (clock_now_ns() / 1000000) << ATTEMPT_RANDOM_BITS | (int64_t)(bits & ((1 << ATTEMPT_RANDOM_BITS) - 1));
}

/* A task that no message can be made of fails by itself; the others go on. */
static int refuse_task(struct orchestrator *self, int64_t task, const struct err *why, struct err *err)
{
	log_error("task_refused", LOG_FIELDS(log_i64("task", task)), "%s", why->text);
	if (leader_begin(&self->leader, self->pg, err) ||
	    pg_query(self->pg, "UPDATE etl.tasks SET state = 'failed', message = $2 WHERE task = $1",
		     PG_PARAMS(INT_TEXT(task), why->text), NULL, err))
		return -1;
	return pg_commit(self->pg, err);
}

static int add_task(struct dispatch *dispatch, struct orchestrator *self, const struct pg_result *r, int row,
		    int32_t slot, struct err *err)
{
	struct sending *item = &dispatch->list.items[dispatch->list.count];
	struct task_columns columns = {
		.attempt = new_attempt(),
		.task = pg_int(r, row, 0),
		.run = pg_int(r, row, 1),
		.subscription = pg_text(r, row, 2),
		.source = pg_text(r, row, 3),
		.parameters = pg_text(r, row, 4),
	};
	struct err why = ERR_INIT;

	*item = (struct sending){
		.attempt = columns.attempt, .task = columns.task, .slot = slot, .message = BUF_INIT(MESSAGE_BYTES_MAX)
	};
	dispatch->list.count++;
	if (task_message(&columns, &item->message, &why) == 0)
		return 0;
	dispatch->list.count--;
	buf_release(&item->message);
	return refuse_task(self, columns.task, &why, err);
}

static int choose(struct dispatch *dispatch, struct orchestrator *self, const struct lane *lane, bool *ret_busy,
		  struct err *err)
{
	CLEANUP(pg_result_freep) struct pg_result *r = NULL;
	int32_t load[SLOTS_MAX], slots = kafka_topic_partitions(lane->handle);
	int64_t room;

	if (count_slots(self, lane, load, err))
		return -1;
	room = room_of(load, slots, config_int(self->cfg, "tasks_per_slot"));
	if (room == 0)
		return 0;
	if (pg_query(self->pg,
		     "SELECT t.task, t.run, t.subscription, t.source, t.parameters FROM etl.tasks t JOIN etl.runs r"
		     " USING (run) WHERE t.state = 'pending' AND r.status = 'running' AND t.source = $1"
		     " ORDER BY t.task LIMIT $2",
		     PG_PARAMS(lane->source, INT_TEXT(room)), &r, err))
		return -1;
	for (int i = 0; i < pg_rows(r); i++)
		if (add_task(dispatch, self, r, i, take_least_loaded(load, slots), err))
			return -1;
	*ret_busy = *ret_busy || pg_rows(r) == DISPATCH_BATCH_MAX;
	return 0;
}

/* --- sending ----------------------------------------------------------------------------------------------------------- */

/* Our producer is the only one: what it sends from here on stands at the slot's end or behind it. */
static int bound_offsets(struct orchestrator *self, const struct lane *lane, struct sending_list *list, struct err *err)
{
	for (unsigned i = 0; i < list->count; i++) {
		struct sending *item = &list->items[i];
		int64_t low;
		unsigned k = 0;

		while (list->items[k].slot != item->slot)
			k++;
		if (k < i)
			item->slot_offset = list->items[k].slot_offset;
		else if (kafka_watermarks(events_consumer(self->events), lane->topic, item->slot, &low,
					  &item->slot_offset, err))
			return -1;
	}
	return 0;
}

static int record_one(struct orchestrator *self, const struct lane *lane, const struct sending *item, struct err *err)
{
	CLEANUP(pg_result_freep) struct pg_result *r = NULL;

	if (pg_query(self->pg, "UPDATE etl.tasks SET state = 'dispatched' WHERE task = $1 AND state = 'pending'",
		     PG_PARAMS(INT_TEXT(item->task)), &r, err))
		return -1;
	if (pg_affected(r) != 1)
		return err_set(err, ERR_RETRY, "task %" PRId64 " is not pending any more", item->task);
	return pg_query(self->pg,
			"INSERT INTO etl.attempts (attempt, task, run, source, slot, slot_offset)"
			" SELECT $1, task, run, $3, $4, $5 FROM etl.tasks WHERE task = $2",
			PG_PARAMS(INT_TEXT(item->attempt), INT_TEXT(item->task), lane->source, INT_TEXT(item->slot),
				  INT_TEXT(item->slot_offset)),
			NULL, err);
}

static int record_all(struct orchestrator *self, const struct lane *lane, const struct sending_list *list,
		      struct err *err)
{
	if (leader_begin(&self->leader, self->pg, err))
		return -1;
	for (unsigned i = 0; i < list->count; i++)
		if (record_one(self, lane, &list->items[i], err))
			return -1;
	return pg_commit(self->pg, err);
}

static int produce_all(struct dispatch *dispatch, const struct lane *lane, const struct sending_list *list,
		       struct err *err)
{
	if (kafka_txn_begin(dispatch->producer, err))
		return -1;
	for (unsigned i = 0; i < list->count; i++) {
		const struct sending *item = &list->items[i];
		char key[PG_INT_MAX];

		pg_int_text(item->task, key);
		if (!item->found && kafka_produce(dispatch->producer, lane->handle, item->slot, str_of(key),
						  buf_str(&item->message), NULL, 0, err))
			return -1;
	}
	return kafka_txn_commit(dispatch->producer, err);
}

static void put_array(struct buf *out, const struct sending_list *list, bool offsets)
{
	buf_put_u8(out, '{');
	for (unsigned i = 0; i < list->count; i++)
		buf_printf(out, "%s%" PRId64, i ? "," : "",
			   offsets ? list->items[i].slot_offset : list->items[i].attempt);
	buf_put_u8(out, '}');
}

/* An event may have been faster: then the attempt runs already, and only its place is new. */
static int mark_sent(struct orchestrator *self, const struct sending_list *list, struct err *err)
{
	CLEANUP(buf_release) struct buf attempts = BUF_INIT(ARRAY_BYTES_MAX);
	CLEANUP(buf_release) struct buf offsets = BUF_INIT(ARRAY_BYTES_MAX);

	put_array(&attempts, list, false);
	put_array(&offsets, list, true);
	if (leader_begin(&self->leader, self->pg, err) ||
	    pg_query(self->pg,
		     "UPDATE etl.attempts a SET slot_offset = x.slot_offset, sent_at = coalesce(a.sent_at, now()),"
		     " state = CASE a.state WHEN 'sending' THEN 'sent' ELSE a.state END"
		     " FROM unnest($1::bigint[], $2::bigint[]) AS x (attempt, slot_offset)"
		     " WHERE a.attempt = x.attempt",
		     PG_PARAMS(buf_text(&attempts), buf_text(&offsets)), NULL, err))
		return -1;
	return pg_commit(self->pg, err);
}

static int send_all(struct dispatch *dispatch, struct orchestrator *self, struct lane *lane, struct err *err)
{
	fault_point("sending");
	if (produce_all(dispatch, lane, &dispatch->list, err))
		return producer_trouble(dispatch, self, err);
	fault_point("produced");
	link_works(&self->kafka);
	/* Until it is marked, another look at the slot is due: the mark may fail. */
	lane->reconciled = false;
	if (mark_sent(self, &dispatch->list, err))
		return -1;
	lane->reconciled = true;
	metric_add(&orchestrator_metrics[GAUGE_DISPATCHED], dispatch->list.count);
	log_info("attempts_sent", LOG_FIELDS(log_str("topic", lane->topic), log_i64("count", dispatch->list.count)),
		 "sent %u attempts to %s", dispatch->list.count, lane->topic);
	return 0;
}

static int dispatch_lane(struct dispatch *dispatch, struct orchestrator *self, struct lane *lane, bool *ret_busy,
			 struct err *err)
{
	sending_list_clear(&dispatch->list);
	if (choose(dispatch, self, lane, ret_busy, err))
		return -1;
	if (dispatch->list.count == 0)
		return 0;
	if (bound_offsets(self, lane, &dispatch->list, err))
		return orchestrator_kafka_trouble(self, err); /* nothing is recorded yet */
	lane->reconciled = false;
	if (record_all(self, lane, &dispatch->list, err))
		return -1;
	return send_all(dispatch, self, lane, err);
}

/* --- attempts of unknown fate -------------------------------------------------------------------------------------------- */

static int load_sending(struct dispatch *dispatch, struct orchestrator *self, const struct lane *lane, struct err *err)
{
	CLEANUP(pg_result_freep) struct pg_result *r = NULL;

	if (pg_query(self->pg,
		     "SELECT a.attempt, t.task, t.run, t.subscription, t.source, t.parameters, a.slot,"
		     " coalesce(a.slot_offset, 0) FROM etl.attempts a JOIN etl.tasks t USING (task)"
		     " WHERE a.source = $1 AND a.state = 'sending' AND a.closed_at IS NULL ORDER BY a.attempt LIMIT $2",
		     PG_PARAMS(lane->source, INT_TEXT(DISPATCH_BATCH_MAX)), &r, err))
		return -1;
	for (int i = 0; i < pg_rows(r); i++) {
		struct sending *item = &dispatch->list.items[dispatch->list.count++];
		struct task_columns columns = {
			.attempt = pg_int(r, i, 0),
			.task = pg_int(r, i, 1),
			.run = pg_int(r, i, 2),
			.subscription = pg_text(r, i, 3),
			.source = pg_text(r, i, 4),
			.parameters = pg_text(r, i, 5),
		};

		*item = (struct sending){ .attempt = columns.attempt,
					  .task = columns.task,
					  .slot = (int32_t)pg_int(r, i, 6),
					  .slot_offset = pg_int(r, i, 7),
					  .message = BUF_INIT(MESSAGE_BYTES_MAX) };
		if (task_message(&columns, &item->message, err))
			return err_wrap(err, "attempt %" PRId64, columns.attempt);
	}
	return 0;
}

static unsigned count_found(const struct sending_list *list)
{
	unsigned found = 0;

	for (unsigned i = 0; i < list->count; i++)
		found += list->items[i].found;
	return found;
}

static int reconcile(struct dispatch *dispatch, struct orchestrator *self, struct lane *lane, bool *ret_busy,
		     struct err *err)
{
	unsigned found;

	sending_list_clear(&dispatch->list);
	if (load_sending(dispatch, self, lane, err))
		return -1;
	if (dispatch->list.count == 0) {
		lane->reconciled = true;
		return 0;
	}
	if (reconcile_slots(self, lane->topic, &dispatch->list, err))
		return producer_trouble(dispatch, self, err);
	found = count_found(&dispatch->list);
	metric_add(&orchestrator_metrics[GAUGE_RECONCILED], found);
	log_info("attempts_reconciled",
		 LOG_FIELDS(log_str("topic", lane->topic), log_i64("found", found),
			    log_i64("sent_again", dispatch->list.count - found)),
		 "%u attempts of unknown fate: %u stand in %s, the others are sent now", dispatch->list.count, found,
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

int dispatch_watch(struct dispatch *dispatch, struct orchestrator *self, struct err *err)
{
	if (!link_ready(&self->kafka) || !self->events)
		return 0;
	for (unsigned i = 0; i < dispatch->lane_count && dispatch->producer; i++)
		if (skipped_find(self, dispatch->lanes[i].topic, dispatch->lanes[i].source, &dispatch->list, err))
			return -1;
	return 0;
}

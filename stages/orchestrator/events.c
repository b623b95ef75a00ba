#include "stages/orchestrator/events.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/control.h"
#include "common/fault.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/topics.h"
#include "stages/orchestrator/gauges.h"
#include "stages/orchestrator/orchestrator.h"

#define BATCH_MAX 256                         /* attempts of one transaction */
#define MESSAGES_MAX 2048                     /* messages of one transaction */
#define GAP_RETRY_NS NS_PER_SECOND            /* whether somebody has decided what to do about a gap */
#define UNKNOWN_GRACE_NS (30 * NS_PER_SECOND) /* for a schema id that a newer orchestrator may know */

struct reader {
	struct kafka_consumer *consumer;
	int32_t partition;
	int64_t next;              /* as in etl.offsets */
	struct kafka_message held; /* taken by events_arrived(), not handled yet */
	struct err failure;        /* likewise: told once, and not to be lost */
	int64_t unknown_since_ns;
	int64_t unknown_offset;
};

struct events {
	const char *topic; /* the topic table's */
	char *group;
	struct reader *readers;
	int32_t count;
	struct task_event batch[BATCH_MAX];
	unsigned batched;
	struct task_event notes[BATCH_MAX];
	unsigned noted;
	bool broken;
};

/* --- taking over ------------------------------------------------------------------------------------------------------- */

static const struct topic *find_topic(const struct topics *topics, const char *base)
{
	for (unsigned i = 0; i < topics_count(topics); i++)
		if (strcmp(topics_at(topics, i)->base, base) == 0)
			return topics_at(topics, i);
	return NULL;
}

/* Ours from this epoch on; -1 in *ret_next where nobody has read the partition yet. */
static int take_over(struct events *events, struct orchestrator *self, int32_t partition, int64_t *ret_next,
		     struct err *err)
{
	CLEANUP(pg_result_freep) struct pg_result *r = NULL;

	if (leader_begin(&self->leader, self->pg, err) ||
	    pg_query(self->pg,
		     "INSERT INTO etl.offsets AS o (consumer_group, topic, partition, epoch, next_offset, owner)"
		     " VALUES ($1, $2, $3, $4, -1, $5) ON CONFLICT (consumer_group, topic, partition)"
		     " DO UPDATE SET epoch = EXCLUDED.epoch, owner = EXCLUDED.owner, updated_at = now()"
		     " RETURNING next_offset",
		     PG_PARAMS(events->group, events->topic, INT_TEXT(partition), INT_TEXT(self->leader.epoch),
			       self->instance),
		     &r, err) ||
	    pg_commit(self->pg, err))
		return err_wrap(err, "taking over %s [%d]", events->topic, partition);
	*ret_next = pg_int(r, 0, 0);
	return 0;
}

/* A gap is never read over in silence: events of it may have ended attempts that now wait for ever. */
static bool is_gap(const struct reader *reader, int64_t low, int64_t high)
{
	return reader->next < low || reader->next > high;
}

static int store_first(struct events *events, struct orchestrator *self, const struct reader *reader, struct err *err)
{
	if (leader_begin(&self->leader, self->pg, err) ||
	    pg_query(self->pg,
		     "UPDATE etl.offsets SET next_offset = $4 WHERE consumer_group = $1 AND topic = $2"
		     " AND partition = $3 AND next_offset = -1",
		     PG_PARAMS(events->group, events->topic, INT_TEXT(reader->partition), INT_TEXT(reader->next)), NULL,
		     err) ||
	    pg_commit(self->pg, err))
		return err_wrap(err, "first offset of %s [%d]", events->topic, reader->partition);
	return 0;
}

/* Kafka's half: where the partition begins and ends, and a consumer at the right place; none where that is gone. */
static int open_consumer(struct events *events, struct orchestrator *self, struct reader *reader, bool *ret_first,
			 struct err *err)
{
	int64_t low, high;

	*ret_first = reader->next < 0;
	if (kafka_consumer_assign_new(&reader->consumer, self->cfg, events->topic, reader->partition,
				      *ret_first ? -2 : reader->next, err) ||
	    kafka_watermarks(reader->consumer, events->topic, reader->partition, &low, &high, err))
		return -1;
	if (*ret_first)
		reader->next = low;
	if (is_gap(reader, low, high)) {
		kafka_consumer_freep(&reader->consumer);
		self->events_retry_ns = clock_monotonic_ns() + GAP_RETRY_NS;
		link_works(&self->kafka); /* it answers: gaps.c tells what is wrong, and the way out */
	}
	return 0;
}

static int open_reader(struct events *events, struct orchestrator *self, struct reader *reader, struct err *err)
{
	bool first;

	if (take_over(events, self, reader->partition, &reader->next, err))
		return -1;
	if (open_consumer(events, self, reader, &first, err)) {
		kafka_consumer_freep(&reader->consumer);
		return orchestrator_kafka_trouble(self, err);
	}
	return first && reader->consumer ? store_first(events, self, reader, err) : 0;
}

int events_open(struct events **ret, struct orchestrator *self, struct err *err)
{
	CLEANUP(events_freep) struct events *events = mem_zalloc(1, sizeof(*events));
	const struct topic *topic = find_topic(self->topics, "etl.events");

	if (!topic)
		return err_set(err, ERR_FATAL, "topic table: no etl.events");
	events->topic = topic->name;
	events->group = mem_printf("%spenstock.orchestrator", config_text(self->cfg, "topics.prefix"));
	events->readers = mem_zalloc((size_t)topic->partitions, sizeof(*events->readers));
	for (int32_t p = 0; p < topic->partitions; p++) {
		struct reader *reader = &events->readers[events->count++];

		reader->partition = p;
		if (open_reader(events, self, reader, err))
			return -1;
		if (!reader->consumer)
			return 0; /* the broker is away, or there is a gap: *ret stays NULL */
	}
	link_works(&self->kafka);
	*ret = STEAL(events);
	return 0;
}

static void forget_batch(struct events *events)
{
	while (events->batched > 0)
		task_event_release(&events->batch[--events->batched]);
	while (events->noted > 0)
		task_event_release(&events->notes[--events->noted]);
}

void events_freep(struct events **pointer)
{
	struct events *events = *pointer;

	if (!events)
		return;
	forget_batch(events);
	for (int32_t i = 0; i < events->count; i++) {
		kafka_message_done(&events->readers[i].held);
		kafka_consumer_freep(&events->readers[i].consumer);
	}
	free(events->readers);
	free(events->group);
	free(events);
	*pointer = NULL;
}

struct kafka_consumer *events_consumer(const struct events *events)
{
	return events->readers[0].consumer;
}

/* --- reading ----------------------------------------------------------------------------------------------------------- */

static void swap(struct task_event *a, struct task_event *b)
{
	struct task_event old = *a;

	*a = *b;
	*b = old;
}

/* Counts are cumulative: of one attempt's events only the furthest matters, and an end is never taken back. */
static bool is_further(const struct task_event *event, const struct task_event *than)
{
	bool ended = event->state != ATTEMPT_RUNNING, than_ended = than->state != ATTEMPT_RUNNING;

	return ended != than_ended ? ended : event->fetched >= than->fetched;
}

static void add_event(struct events *events, struct task_event *event)
{
	if (event_is_note(event)) {
		swap(event, &events->notes[events->noted++]);
		return;
	}
	for (unsigned i = 0; i < events->batched; i++)
		if (events->batch[i].attempt == event->attempt) {
			if (is_further(event, &events->batch[i]))
				swap(event, &events->batch[i]);
			return;
		}
	swap(event, &events->batch[events->batched++]);
}

/* False: the message must be read again later. */
static bool add_message(struct events *events, struct reader *reader, const struct kafka_message *message)
{
	CLEANUP(task_event_release) struct task_event event = TASK_EVENT_INIT;
	struct err err = ERR_INIT;

	if (task_event_decode(message->value, &event, &err) == 0) {
		add_event(events, &event);
		return true;
	}
	if (err.kind == ERR_RETRY) {
		if (reader->unknown_offset != message->offset || reader->unknown_since_ns == 0)
			reader->unknown_since_ns = clock_monotonic_ns();
		reader->unknown_offset = message->offset;
		if (clock_monotonic_ns() - reader->unknown_since_ns < UNKNOWN_GRACE_NS)
			return false;
	}
	metric_add(&orchestrator_metrics[GAUGE_EVENTS_UNDECODABLE], 1);
	log_warning("event_undecodable",
		    LOG_FIELDS(log_str("topic", message->topic), log_i64("partition", message->partition),
			       log_i64("offset", message->offset)),
		    "%s", err.text);
	return true;
}

/* Back to the message that cannot be understood yet. */
static int wait_at(struct events *events, struct reader *reader, int64_t offset, struct err *err)
{
	const struct kafka_offset place = { events->topic, reader->partition, offset, NULL };

	if (kafka_consumer_seek(reader->consumer, &place, 1, err) == 0)
		return 0;
	err->kind = ERR_FATAL; /* this consumer would go on behind the message: a new one does not */
	return -1;
}

/* What there is without waiting: the core's own wait paces this. */
static enum kafka_poll next_message(struct reader *reader, struct kafka_message *ret, struct err *err)
{
	if (reader->failure.kind != ERR_OK) {
		*err = reader->failure;
		err_clear(&reader->failure);
		return KAFKA_ERROR;
	}
	if (!reader->held.handle)
		return kafka_consumer_poll(reader->consumer, 0, ret, err);
	*ret = reader->held;
	reader->held.handle = NULL;
	return KAFKA_MESSAGE;
}

static bool has_arrived(struct reader *reader)
{
	enum kafka_poll outcome;

	if (reader->held.handle || reader->failure.kind != ERR_OK)
		return true;
	outcome = kafka_consumer_poll(reader->consumer, 0, &reader->held, &reader->failure);
	return outcome == KAFKA_MESSAGE || outcome == KAFKA_ERROR;
}

bool events_arrived(struct events *events)
{
	for (int32_t i = 0; i < events->count; i++)
		if (has_arrived(&events->readers[i]))
			return true;
	return false;
}

bool events_broken(const struct events *events)
{
	return events->broken;
}

/* What the client does not get over by itself, a gap for one, is looked at anew with the next opening. */
static void note_trouble(struct events *events, struct orchestrator *self, struct err *trouble)
{
	if (trouble->kind != ERR_RETRY)
		events->broken = true;
	link_failed(&self->kafka, trouble);
}

/* *ret_next: the offset behind the last message taken. */
static int read_batch(struct events *events, struct reader *reader, int64_t *ret_next, bool *ret_busy, struct err *err)
{
	*ret_next = reader->next;
	for (unsigned n = 0; n < MESSAGES_MAX && events->batched < BATCH_MAX && events->noted < BATCH_MAX; n++) {
		CLEANUP(kafka_message_done) struct kafka_message message = { 0 };

		switch (next_message(reader, &message, err)) {
		case KAFKA_MESSAGE:
			break;
		case KAFKA_ERROR:
		case KAFKA_OFFSET_GONE:
			return -1;
		default:
			return 0;
		}
		if (!add_message(events, reader, &message))
			return wait_at(events, reader, message.offset, err);
		*ret_next = message.offset + 1;
	}
	*ret_busy = true;
	return 0;
}

/* --- booking ----------------------------------------------------------------------------------------------------------- */

static int move_offset(const struct events *events, struct orchestrator *self, const struct reader *reader,
		       int64_t next, struct err *err)
{
	CLEANUP(pg_result_freep) struct pg_result *r = NULL;

	if (pg_query(self->pg,
		     "UPDATE etl.offsets SET next_offset = $6, updated_at = now() WHERE consumer_group = $1"
		     " AND topic = $2 AND partition = $3 AND epoch = $4 AND next_offset = $5",
		     PG_PARAMS(events->group, events->topic, INT_TEXT(reader->partition), INT_TEXT(self->leader.epoch),
			       INT_TEXT(reader->next), INT_TEXT(next)),
		     &r, err))
		return -1;
	if (pg_affected(r) == 1)
		return 0;
	self->leader.lost = true;
	return err_set(err, ERR_RETRY, "the offset of %s [%d] was moved by another orchestrator", events->topic,
		       reader->partition);
}

static int book_batch(struct events *events, struct orchestrator *self, struct reader *reader, int64_t next,
		      struct err *err)
{
	if (next == reader->next)
		return 0;
	if (leader_begin(&self->leader, self->pg, err))
		return -1;
	for (unsigned i = 0; i < events->batched; i++)
		if (event_book(self, &events->batch[i], err))
			return -1;
	for (unsigned i = 0; i < events->noted; i++)
		if (event_book_note(self, &events->notes[i], err))
			return -1;
	fault_point("before_events_commit");
	if (move_offset(events, self, reader, next, err) || pg_commit(self->pg, err))
		return -1;
	fault_point("after_events_commit");
	reader->next = next;
	metric_add(&orchestrator_metrics[GAUGE_EVENTS], events->batched);
	return 0;
}

int events_step(struct events *events, struct orchestrator *self, bool *ret_busy, struct err *err)
{
	for (int32_t i = 0; i < events->count; i++) {
		struct reader *reader = &events->readers[i];
		struct err trouble = ERR_INIT;
		int64_t next;

		forget_batch(events);
		if (read_batch(events, reader, &next, ret_busy, &trouble))
			note_trouble(events, self, &trouble);
		if (book_batch(events, self, reader, next, err))
			return err_wrap(err, "booking events");
	}
	return 0;
}

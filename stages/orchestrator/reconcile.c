#include <inttypes.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/control.h"
#include "stages/orchestrator/outbox.h"
#include "stages/orchestrator/events.h"
#include "stages/orchestrator/orchestrator.h"

#define READ_SECONDS_MAX 30 /* to the end of one slot */
#define POLL_MS 100

static void mark_found(struct outbox *outbox, const struct kafka_message *message)
{
	CLEANUP(fetch_task_release) struct fetch_task task = FETCH_TASK_INIT;
	struct err err = ERR_INIT;

	if (fetch_task_decode(message->value, &task, &err))
		return; /* not one of ours, whatever it is */
	for (unsigned i = 0; i < outbox->count; i++)
		if (outbox->items[i].attempt == task.attempt) {
			outbox->items[i].found = true;
			outbox->items[i].slot_offset = message->offset;
		}
}

/* Only the end of what is committed ends it: a time-out is no proof that a message is not there. */
static int read_to_end(struct kafka_consumer *consumer, struct outbox *outbox, const char *topic, int32_t slot,
		       struct err *err)
{
	int64_t deadline = clock_monotonic_ns() + READ_SECONDS_MAX * NS_PER_SECOND;

	while (clock_monotonic_ns() < deadline && !worker_stopping()) {
		CLEANUP(kafka_message_done) struct kafka_message message = { 0 };

		switch (kafka_consumer_poll(consumer, POLL_MS, &message, err)) {
		case KAFKA_MESSAGE:
			mark_found(outbox, &message);
			break;
		case KAFKA_ERROR:
		case KAFKA_OFFSET_GONE:
			return -1;
		case KAFKA_NOTHING:
			break;
		case KAFKA_END:
			return 0;
		}
	}
	return err_set(err, ERR_RETRY, "%s [%d]: its end was not reached in %d s", topic, slot, READ_SECONDS_MAX);
}

static int reconcile_slot(struct orchestrator *self, const char *topic, struct outbox *outbox, int32_t slot,
			  int64_t from, struct err *err)
{
	CLEANUP(kafka_consumer_freep) struct kafka_consumer *consumer = NULL;
	int64_t low, high;

	if (kafka_watermarks(events_consumer(self->events), topic, slot, &low, &high, err))
		return -1;
	if (from < low)
		from = low;
	if (from >= high)
		return 0;
	if (kafka_consumer_assign_new(&consumer, self->cfg, topic, slot, from, err))
		return -1;
	return read_to_end(consumer, outbox, topic, slot, err);
}

int reconcile_slots(struct orchestrator *self, const char *topic, struct outbox *outbox, struct err *err)
{
	for (unsigned i = 0; i < outbox->count; i++) {
		int32_t slot = outbox->items[i].slot;
		int64_t from = outbox->items[i].slot_offset;
		bool done = false;

		for (unsigned k = 0; k < outbox->count; k++) {
			if (outbox->items[k].slot != slot)
				continue;
			done = done || k < i;
			if (outbox->items[k].slot_offset < from)
				from = outbox->items[k].slot_offset;
		}
		if (!done && reconcile_slot(self, topic, outbox, slot, from, err))
			return err_wrap(err, "looking for sent attempts");
	}
	return 0;
}

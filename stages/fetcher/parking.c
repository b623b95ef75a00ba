#include "stages/fetcher/parking.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/json_in.h"
#include "common/kafka.h"
#include "common/log.h"
#include "common/mem.h"

#define LOOK_NS (50 * NS_PER_MS)
#define AGAIN_NS (5 * NS_PER_SECOND) /* after a failure that the client does not get over by itself */
#define MESSAGES_MAX 1000            /* of one look */

#define FROM_BEGINNING (-2)

void parking_init(struct parking *parking, const struct config *cfg, const struct topics *topics)
{
	*parking = (struct parking){ .cfg = cfg, .topic = topics_name(topics, "etl.control") };
}

void parking_release(struct parking *parking)
{
	kafka_consumer_freep(&parking->consumer);
	for (unsigned i = 0; i < parking->count; i++)
		free(parking->items[i].name);
	free(parking->items);
	flow_release(&parking->flow);
	parking->items = NULL;
	parking->count = 0;
}

/* name NULL: the run. */
static struct parked *find(const struct parking *parking, const char *name, int64_t run)
{
	for (unsigned i = 0; i < parking->count; i++) {
		struct parked *item = &parking->items[i];

		if (name ? item->name && strcmp(item->name, name) == 0 : !item->name && item->run == run)
			return item;
	}
	return NULL;
}

const char *parking_holds(const struct parking *parking, const char *subscription, int64_t run, int64_t attempt)
{
	const struct parked *found = find(parking, subscription, 0);

	if (found && attempt <= found->through)
		return "parked: its subscription is held back";
	found = find(parking, NULL, run);
	return found && attempt <= found->through ? "parked: its run stands still" : NULL;
}

static struct parked *add(struct parking *parking, const char *name, int64_t run)
{
	struct parked *found = find(parking, name, run);

	if (found)
		return found;
	parking->items = mem_realloc(parking->items, parking->count + 1, sizeof(*parking->items));
	found = &parking->items[parking->count++];
	*found = (struct parked){ .name = name ? mem_strdup(name) : NULL, .run = run };
	return found;
}

/* What comes later never says less: the topic may be read again from its beginning. */
static bool park(struct parking *parking, const char *name, int64_t run, int64_t through)
{
	struct parked *found = add(parking, name, run);

	if (through <= found->through)
		return false;
	found->through = through;
	return true;
}

/* Other actions are for others; what is none is nobody's. */
static bool take(struct parking *parking, const struct kafka_message *message)
{
	CLEANUP(json_freep) json_t *json = json_loadb(message->value.data, message->value.len, 0, NULL);
	const char *action, *name = NULL, *why = "";
	json_int_t through, run = 0;

	if (!json || flow_take(&parking->flow, json) ||
	    json_unpack(json, "{s:s, s?s, s?I, s:I, s?s}", "action", &action, "subscription", &name, "run", &run,
			"through", &through, "why", &why) ||
	    strcmp(action, "park") != 0 || (!name && run <= 0) || !park(parking, name, run, through))
		return false;
	if (name)
		log_info("subscription_parked", LOG_FIELDS(log_str("subscription", name), log_i64("through", through)),
			 "tasks of %s are parked: %s", name, why);
	else
		log_info("run_parked", LOG_FIELDS(log_i64("run", run), log_i64("through", through)),
			 "tasks of run %" PRId64 " are parked: %s", (int64_t)run, why);
	return true;
}

/* Later and from the beginning, as with a new one: the topic may have been made anew. */
static void fail(struct parking *parking, struct err *err)
{
	log_warning("control_not_read", LOG_FIELDS(log_str("topic", parking->topic)), "%s; trying again", err->text);
	kafka_consumer_freep(&parking->consumer);
	parking->next_ns = clock_monotonic_ns() + AGAIN_NS;
}

static bool read_all(struct parking *parking)
{
	bool news = false;

	for (unsigned n = 0; n < MESSAGES_MAX; n++) {
		CLEANUP(kafka_message_done) struct kafka_message message = { .handle = NULL };
		struct err err = ERR_INIT;

		switch (kafka_consumer_poll(parking->consumer, 0, &message, &err)) {
		case KAFKA_MESSAGE:
			news = take(parking, &message) || news;
			break;
		case KAFKA_ERROR:
		case KAFKA_OFFSET_GONE:
			if (err.kind != ERR_RETRY)
				fail(parking, &err);
			return news;
		case KAFKA_NOTHING:
		case KAFKA_END:
			return news;
		}
	}
	return news;
}

bool parking_look(struct parking *parking)
{
	struct err err = ERR_INIT;

	if (clock_monotonic_ns() < parking->next_ns)
		return false;
	parking->next_ns = clock_monotonic_ns() + LOOK_NS;
	if (!parking->consumer &&
	    kafka_consumer_assign_new(&parking->consumer, parking->cfg, parking->topic, 0, FROM_BEGINNING, &err)) {
		fail(parking, &err);
		return false;
	}
	return read_all(parking);
}

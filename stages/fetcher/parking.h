#pragma once
/*
 * Whose tasks are parked, as the orchestrator says on etl.control: of a
 * subscription, or of a run, attempts up to a certain one. Later ones are not
 * meant, so nothing has to be heard in time for them to run. What it says there
 * of the flow of backfills is read along with it.
 */
#include <stdbool.h>
#include <stdint.h>

#include "common/config.h"
#include "common/err.h"
#include "common/topics.h"
#include "stages/fetcher/flow.h"

struct kafka_consumer;

struct parking {
	const struct config *cfg;
	const char *topic; /* the topic table's */
	struct kafka_consumer *consumer;
	struct parked {
		char *name; /* of a subscription; NULL: it is a run */
		int64_t run;
		int64_t through; /* attempt */
	} * items;
	unsigned count;
	struct flow flow;
	int64_t next_ns; /* monotonic: not before this is it looked at again */
};

/* The topic is read from its beginning, whenever there is something to read. */
void parking_init(struct parking *parking, const struct config *cfg, const struct topics *topics);
void parking_release(struct parking *parking);

/* Takes what has arrived; true: somebody is parked who was not. Never waits. */
bool parking_look(struct parking *parking);

/* Why, for people; NULL: nobody holds it. */
const char *parking_holds(const struct parking *parking, const char *subscription, int64_t run, int64_t attempt);

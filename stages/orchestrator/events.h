#pragma once
/*
 * What fetchers say about their attempts, and stages about themselves: read from etl.events, booked in the
 * transaction that moves the offset in etl.offsets.
 */
#include <stdbool.h>

#include "common/err.h"
#include "common/kafka.h"

struct events;
struct orchestrator;

/* Takes the partitions over at the offsets in the database, under the leader's epoch; none where one has a gap. */
int events_open(struct events **ret, struct orchestrator *self, struct err *err);
void events_freep(struct events **events);

/* Books what has arrived; *ret_busy is set where there may be more. */
int events_step(struct events *events, struct orchestrator *self, bool *ret_busy, struct err *err);

/* True when a message waits to be booked; without waiting itself. */
bool events_arrived(struct events *events);

/* True when reading cannot go on with these readers: free them and open again. */
bool events_broken(const struct events *events);

/* For asking the broker about offsets of any topic. */
struct kafka_consumer *events_consumer(const struct events *events);

/* --- between the files of events --------------------------------------------------------------------------------------- */

struct task_event;

/* What one event says of its attempt; inside a transaction. */
int event_book(struct orchestrator *self, const struct task_event *event, struct err *err);

/* An attempt that runs says nothing of a result: a stage tells there which rule set it judges it by, or, of no attempt, of its breaker. */
bool event_is_note(const struct task_event *event);
int event_book_note(struct orchestrator *self, const struct task_event *event, struct err *err);

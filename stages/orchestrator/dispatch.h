#pragma once
/*
 * The outbox: an attempt is committed as 'sending', produced to its slot and
 * marked 'sent'. Where the last step is missing (a crash, a lost broker) the
 * slot itself is asked before anything is sent again.
 */
#include <stdbool.h>
#include <stdint.h>

#include "common/buf.h"
#include "common/err.h"
#include "common/kafka.h"

struct dispatch;
struct orchestrator;

#define DISPATCH_BATCH_MAX 256 /* attempts sent in one transaction */
#define SLOTS_MAX 1024         /* partitions of one source's topic */

/* An attempt on its way into a slot. */
struct sending {
	int64_t attempt;
	int64_t task;
	int32_t slot;
	int64_t slot_offset; /* stands at this offset or behind it */
	bool found;          /* already in its slot */
	struct buf message;
};

struct sending_list {
	struct sending items[DISPATCH_BATCH_MAX];
	unsigned count;
};
void sending_list_clear(struct sending_list *list);

struct dispatch *dispatch_new(void);
void dispatch_freep(struct dispatch **dispatch);

/* Sends what fits; *ret_busy where there may be more. */
int dispatch_step(struct dispatch *dispatch, struct orchestrator *self, bool *ret_busy, struct err *err);

/* The message of a task in its columns attempt, task, run, subscription, source, parameters. */
struct task_columns {
	int64_t attempt, task, run;
	const char *subscription, *source, *parameters;
};
int task_message(const struct task_columns *columns, struct buf *out, struct err *err);

/* Looks for tasks that somebody skipped (`penstock offsets skip`): another attempt is needed. */
int dispatch_watch(struct dispatch *dispatch, struct orchestrator *self, struct err *err);

/* The same for one source and its topic; the list is for its own use. */
int skipped_find(struct orchestrator *self, const char *topic, const char *source, struct sending_list *list,
		 struct err *err);

/* Marks those attempts of the list that stand in `topic`. */
int reconcile_slots(struct orchestrator *self, const char *topic, struct sending_list *list, struct err *err);

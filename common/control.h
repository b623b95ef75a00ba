#pragma once
/*
 * Control records: what the orchestrator and the fetcher tell each other.
 * Off the hot path, so avro-c's generic values encode and decode them, with
 * the embedded schemas and Confluent framing. Strings of a decoded record are
 * owned by it.
 */
#include <stdbool.h>
#include <stdint.h>

#include "common/buf.h"
#include "common/err.h"

/* Bytes of an event's result, and of a task's parameters: room for the conditions of 25 years' days, within what a client sends in one message. */
#define TASK_RESULT_MAX (768 * 1024)

/* schemas/avro/fetch_task.avsc */
struct fetch_task {
	int64_t attempt, task, run;
	char *subscription, *source, *record_type, *dataset, *schema, *path, *stype_in, *parameters;
	char **symbols;
	unsigned symbol_count;
	bool has_start, has_end;
	int64_t start, end; /* ns */
};

#define FETCH_TASK_INIT \
	{ \
		.attempt = 0 \
	}
void fetch_task_release(struct fetch_task *task);
int fetch_task_encode(const struct fetch_task *task, struct buf *out, struct err *err);
int fetch_task_decode(struct str message, struct fetch_task *ret_task, struct err *err);

/* schemas/avro/task_event.avsc; the enum's symbols in this order. */
enum attempt_state { ATTEMPT_RUNNING, ATTEMPT_DONE, ATTEMPT_FAILED, ATTEMPT_ABANDONED };

struct task_event {
	int64_t attempt, task, run;
	enum attempt_state state;
	int64_t fetched, refused, skipped, input_bytes;
	char *worker;
	int64_t ts; /* ns */
	char *message;
	char *result; /* JSON in the event that ends an attempt; "": none. While it runs: a note, whose counts say nothing */
};

#define TASK_EVENT_INIT \
	{ \
		.attempt = 0 \
	}
void task_event_release(struct task_event *event);
int task_event_encode(const struct task_event *event, struct buf *out, struct err *err);
int task_event_decode(struct str message, struct task_event *ret_event, struct err *err);

const char *attempt_state_name(enum attempt_state state); /* "running", … */

/* The registry lock's id of an embedded control schema ("fetch_task", "task_event"). */
uint32_t control_schema_id(const char *name);

/* Whether it is framed as such a record, of any version that is read. */
bool control_is(const char *name, struct str message);

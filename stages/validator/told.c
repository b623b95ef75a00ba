#include "stages/validator/told.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/control.h"
#include "common/json_out.h"
#include "common/mem.h"

/*
 * Attempts that were told, by type. Two that share a place push each other out,
 * and are told again; that does no harm, as what is told is a set.
 */
#define ENTRIES 1024
#define RESULT_MAX 1024
#define EVENT_MAX 4096

struct told {
	struct kafka_producer *producer; /* borrowed */
	struct kafka_topic *events;
	const char *worker;
	int64_t attempts[DATA_TYPES][ENTRIES]; /* 0: none */
	struct buf result, event;
};

int told_open(struct told **ret, struct kafka_producer *producer, const struct topics *topics, const char *worker,
	      struct err *err)
{
	CLEANUP(told_freep) struct told *told = mem_zalloc(1, sizeof(*told));

	told->producer = producer;
	told->worker = worker;
	told->result = (struct buf)BUF_INIT(RESULT_MAX);
	told->event = (struct buf)BUF_INIT(EVENT_MAX);
	if (kafka_producer_topic(producer, topics_name(topics, "etl.events"), &told->events, err))
		return -1;
	*ret = STEAL(told);
	return 0;
}

void told_freep(struct told **told)
{
	if (!*told)
		return;
	buf_release(&(*told)->result);
	buf_release(&(*told)->event);
	free(*told);
	*told = NULL;
}

void told_forget(struct told *told)
{
	memset(told->attempts, 0, sizeof(told->attempts));
}

static int produce(struct told *told, int64_t attempt, enum data_type_id type, const char *rule_set, struct err *err)
{
	struct task_event event = { .attempt = attempt,
				    .state = ATTEMPT_RUNNING,
				    .worker = (char *)told->worker,
				    .ts = clock_now_ns(),
				    .message = (char *)"" };
	struct json_out json = JSON_OUT(&told->result);
	char key[24];

	buf_reset(&told->result);
	buf_reset(&told->event);
	json_put_open(&json, '{');
	json_put_key(&json, "record_type");
	json_put_str(&json, str_of(data_types[type].name));
	json_put_key(&json, "rule_set");
	json_put_str(&json, str_of(rule_set));
	json_put_close(&json, '}');
	event.result = (char *)buf_text(&told->result);
	snprintf(key, sizeof(key), "%" PRId64, attempt);
	if (task_event_encode(&event, &told->event, err))
		return -1;
	return kafka_produce(told->producer, told->events, 0, str_of(key), buf_str(&told->event), NULL, 0, err);
}

int told_tell(struct told *told, int64_t attempt, enum data_type_id type, const char *rule_set, struct err *err)
{
	int64_t *place = &told->attempts[type][record_mix(attempt) % ENTRIES];

	if (*place == attempt || attempt < ATTEMPT_MIN)
		return 0;
	if (produce(told, attempt, type, rule_set, err))
		return -1;
	*place = attempt;
	return 0;
}

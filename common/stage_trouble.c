#include "common/stage_trouble.h"

#include <stdlib.h>

#include "common/broker.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "common/control.h"
#include "common/json_out.h"
#include "common/kafka_courier.h"
#include "common/log.h"
#include "common/mem.h"

#define LASTS_NS (5 * NS_PER_SECOND) /* a server that is started again is back by then, and nobody needs to look */
#define LEAVING_MS 500               /* for what was said last */
#define RESULT_MAX 1024
#define EVENT_MAX 8192

struct stage_trouble {
	const struct config *cfg;
	const char *topic, *stage, *worker;
	struct kafka_courier *courier; /* NULL until there is something to say */
	struct kafka_receipt receipt;  /* nobody asks for it */
	struct buf result, event;
	int64_t since_ns; /* 0: there is no trouble */
	bool open;
};

void stage_trouble_open(struct stage_trouble **ret, const struct worker *worker, const char *stage)
{
	struct stage_trouble *self = mem_zalloc(1, sizeof(*self));

	self->cfg = worker->cfg;
	self->topic = topics_name(worker->topics, "etl.events");
	self->stage = stage;
	self->worker = worker_instance(worker->cfg);
	self->result = (struct buf)BUF_INIT(RESULT_MAX);
	self->event = (struct buf)BUF_INIT(EVENT_MAX);
	*ret = self;
}

void stage_trouble_freep(struct stage_trouble **trouble)
{
	struct stage_trouble *self = *trouble;

	if (!self)
		return;
	if (self->courier && kafka_courier_poll(self->courier, 0))
		kafka_courier_poll(self->courier, LEAVING_MS);
	kafka_courier_freep(&self->courier);
	buf_release(&self->result);
	buf_release(&self->event);
	free(self);
	*trouble = NULL;
}

/* {"breaker": {…}}, in an event of no attempt. */
static void put_result(struct stage_trouble *self, int64_t next_ms)
{
	struct json_out json = JSON_OUT(&self->result);

	buf_reset(&self->result);
	json_put_open(&json, '{');
	json_put_key(&json, "breaker");
	json_put_open(&json, '{');
	json_put_key(&json, "stage");
	json_put_str(&json, str_of(self->stage));
	json_put_key(&json, "open");
	json_put_bool(&json, self->open);
	json_put_key(&json, "next_ms");
	json_put_int(&json, next_ms);
	json_put_close(&json, '}');
	json_put_close(&json, '}');
}

static int send(struct stage_trouble *self, const char *why, int64_t next_ms, struct err *err)
{
	struct task_event event = {
		.state = ATTEMPT_RUNNING, .worker = (char *)self->worker, .ts = clock_now_ns(), .message = (char *)why
	};

	put_result(self, next_ms);
	event.result = (char *)buf_text(&self->result);
	buf_reset(&self->event);
	if (task_event_encode(&event, &self->event, err) ||
	    (!self->courier && kafka_courier_new(&self->courier, self->cfg, self->topic, err)))
		return -1;
	kafka_courier_poll(self->courier, 0);
	return kafka_courier_send(self->courier, str_of(self->stage), buf_str(&self->event), NULL, 0, &self->receipt,
				  err);
}

/* A broker that is away is what the trouble is about, and the stage is to see first when it is back. */
static void tell(struct stage_trouble *self, const char *why, int64_t next_ms)
{
	struct err err = ERR_INIT;

	if (!broker_is_away() && send(self, why, next_ms, &err))
		log_debug("breaker_untold", NULL, "%s", err.text);
}

void stage_trouble_lasts(struct stage_trouble *trouble, const char *why, int64_t next_ms)
{
	int64_t now_ns = clock_monotonic_ns();

	if (trouble->since_ns == 0)
		trouble->since_ns = now_ns;
	if (now_ns - trouble->since_ns < LASTS_NS)
		return;
	if (!trouble->open)
		log_error("breaker_opened", LOG_FIELDS(log_i64("tried_in_ms", next_ms)), "%s stands still: %s",
			  trouble->stage, why);
	trouble->open = true;
	tell(trouble, why, next_ms);
}

void stage_trouble_over(struct stage_trouble *trouble)
{
	bool was_open = trouble->open;

	trouble->since_ns = 0;
	trouble->open = false;
	if (!was_open)
		return;
	log_info("breaker_closed", NULL, "%s goes on", trouble->stage);
	tell(trouble, "", 0);
}

/*
 * Source `kafka`, of a range of a partition: what stands there is put into the
 * same topic again. Read committed, from one offset to another, both fixed when
 * the task was planned, so that it is the same each time; what was put back
 * meanwhile stands behind it.
 *
 *   {"stage": "raw", "partition": 3, "from": 100, "to": 200, "replays": [7530851481235457453, …]}
 *
 * `replays` are attempts whose records are left out: they were put back before.
 */
#include "stages/fetcher/sources/kafka_range.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/json_out.h"
#include "common/kafka_past.h"
#include "common/mem.h"
#include "common/topics.h"
#include "stages/fetcher/sources/kafka_filter.h"

#define LOOK_AGAIN_NS (2 * NS_PER_MS)
#define RESULT_MAX 512

static const struct source_ops kafka_range_ops;

struct range_source {
	struct source base;
	const struct fetch_task *task;
	enum data_type_id data;
	enum data_stage stage;
	struct kafka_range range; /* what is left of it when this was opened */
	struct kafka_past *past;
	struct kafka_filter filter;
	int64_t counts[KAFKA_FATES];
	int64_t next, input_bytes;
	char identity[320], resume[24];
	struct buf result;
	bool resumed;
};

static void range_free(struct source *source)
{
	struct range_source *self = (struct range_source *)source;

	kafka_past_freep(&self->past);
	kafka_filter_release(&self->filter);
	buf_release(&self->result);
	free(self);
}

/* --- opening ----------------------------------------------------------------------------------------------------------- */

static int read_range(struct range_source *self, const json_t *parameters, const struct topics *topics, struct err *err)
{
	const json_t *partition = json_object_get(parameters, "partition"), *from = json_object_get(parameters, "from"),
		     *to = json_object_get(parameters, "to");

	if (!json_is_integer(partition) || !json_is_integer(from) || !json_is_integer(to) ||
	    json_integer_value(partition) < 0 || json_integer_value(partition) > INT32_MAX ||
	    json_integer_value(from) < 0 || json_integer_value(to) <= json_integer_value(from))
		return err_set(err, ERR_RECORD, "the task's partition, from and to are no range");
	self->range = (struct kafka_range){ topics_name(topics, data_types[self->data].topics[self->stage]),
					    (int32_t)json_integer_value(partition), json_integer_value(from),
					    json_integer_value(to) };
	snprintf(self->identity, sizeof(self->identity), "%s[%" PRId32 "] %" PRId64 "-%" PRId64, self->range.topic,
		 self->range.partition, self->range.from, self->range.to);
	return 0;
}

static int open_filter(struct range_source *self, const json_t *replays, struct err *err)
{
	size_t count = json_array_size(replays);
	CLEANUP(freep) int64_t *attempts = mem_zalloc(count + 1, sizeof(*attempts));
	const struct data_schema *schema = data_schema_find(self->task->schema ? self->task->schema : "");

	if (!schema || schema->type != self->data)
		return err_set(err, ERR_RECORD, "the task's schema '%.40s' is none of %s",
			       self->task->schema ? self->task->schema : "", data_types[self->data].name);
	for (size_t i = 0; i < count; i++)
		attempts[i] = json_integer_value(json_array_get(replays, i));
	kafka_filter_open(&self->filter, schema, self->stage, self->task->symbols, self->task->symbol_count, attempts,
			  count);
	return 0;
}

/* Where the attempt was committed last, of its range. */
static int go_on(struct range_source *self, const char *resume, struct err *err)
{
	char *end;
	long long next;

	if (!resume[0])
		return 0;
	next = strtoll(resume, &end, 10);
	if (*end || next < self->range.from || next > self->range.to)
		return err_set(err, ERR_RECORD, "the cursor's offset '%.40s' is not in %s", resume, self->identity);
	self->range.from = next;
	self->resumed = true;
	return 0;
}

int kafka_range_open(struct source **ret, const struct source_env *env, const struct fetch_task *task,
		     const json_t *parameters, enum data_type_id data, enum data_stage stage, const char *resume,
		     struct err *err)
{
	struct range_source *self = mem_zalloc(1, sizeof(*self));
	CLEANUP(source_freep) struct source *source = &self->base;

	source->ops = &kafka_range_ops;
	self->task = task;
	self->data = data;
	self->stage = stage;
	self->result = (struct buf)BUF_INIT(RESULT_MAX);
	if (!env->cfg)
		return err_set(err, ERR_RECORD, "no broker is configured to read a topic's range from");
	if (read_range(self, parameters, env->topics, err) ||
	    open_filter(self, json_object_get(parameters, "replays"), err) || go_on(self, resume, err))
		return -1;
	self->next = self->range.from;
	if (kafka_past_open(&self->past, env->cfg, &self->range, 1, err))
		return -1;
	*ret = STEAL(source);
	return 0;
}

/* --- messages ---------------------------------------------------------------------------------------------------------- */

/* What is gone, or was never there, is the task's trouble: others go on. */
static int fail(const struct range_source *self, struct err *err)
{
	char why[sizeof(err->text)];

	snprintf(why, sizeof(why), "%s", err->text);
	err_clear(err);
	return err_set(err, ERR_RECORD, "%s, from offset %" PRId64 " on", why, self->next);
}

static void take(struct range_source *self, const struct kafka_message *m, struct source_item *ret)
{
	enum kafka_fate fate = kafka_filter_judge(&self->filter, m);

	self->counts[fate]++;
	self->next = m->offset + 1;
	self->input_bytes += (int64_t)m->key.len + m->value.len;
	*ret = (struct source_item){ .kind = fate == KAFKA_PUT_BACK ? SOURCE_MESSAGE : SOURCE_SKIPPED,
				     .data = self->data,
				     .stage = self->stage,
				     .symbol = m->key,
				     .schema = self->task->schema,
				     .bytes = m->value };
}

static int range_next(struct source *source, struct source_item *ret_item, struct err *err)
{
	struct range_source *self = (struct range_source *)source;
	struct kafka_message message;

	switch (kafka_past_next(self->past, 0, &message, err)) {
	case KAFKA_MESSAGE:
		take(self, &message, ret_item);
		return 0;
	case KAFKA_NOTHING:
		*ret_item =
			(struct source_item){ .kind = SOURCE_LATER, .ready_ns = clock_monotonic_ns() + LOOK_AGAIN_NS };
		return 0;
	case KAFKA_END:
		self->next = self->range.to;
		*ret_item = (struct source_item){ .kind = SOURCE_END };
		return 0;
	default:
		return fail(self, err);
	}
}

/* --- reporting --------------------------------------------------------------------------------------------------------- */

static const char *range_identity(const struct source *source)
{
	return ((const struct range_source *)source)->identity;
}

static int64_t range_input_bytes(const struct source *source)
{
	return ((const struct range_source *)source)->input_bytes;
}

static const char *range_resume(const struct source *source)
{
	struct range_source *self = (struct range_source *)source;

	snprintf(self->resume, sizeof(self->resume), "%" PRId64, self->next);
	return self->resume;
}

static bool range_begins_behind(const struct source *source)
{
	return ((const struct range_source *)source)->resumed;
}

/* Of what this process saw. */
static const char *range_result(struct source *source)
{
	struct range_source *self = (struct range_source *)source;
	struct json_out out = JSON_OUT(&self->result);

	buf_reset(&self->result);
	json_put_open(&out, '{');
	for (unsigned fate = 0; fate < KAFKA_FATES; fate++) {
		json_put_key(&out, kafka_fate_names[fate]);
		json_put_int(&out, self->counts[fate]);
	}
	json_put_close(&out, '}');
	return buf_text(&self->result);
}

static const struct source_ops kafka_range_ops = {
	.name = "kafka",
	.open = NULL, /* kafka.c opens it, as the task says */
	.next = range_next,
	.identity = range_identity,
	.input_bytes = range_input_bytes,
	.free = range_free,
	.resume = range_resume,
	.begins_behind = range_begins_behind,
	.result = range_result,
};

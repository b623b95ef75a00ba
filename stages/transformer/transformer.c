#include "stages/transformer/transformer.h"

#include <stdlib.h>

#include "common/cleanup.h"
#include "common/dead_letter.h"
#include "common/mem.h"
#include "stages/transformer/transform.h"

#define SCRATCH_MAX ((size_t)16 * 1024 * 1024)

struct transformer {
	struct kafka_producer *producer; /* borrowed */
	struct kafka_topic *out, *dlq;
	struct transform *transform;
	struct ohlcv in;
	struct ohlcv_clean clean;
	bool decoded; /* `in` is the current message */
	struct buf encoded, letter;
};

int transformer_open(struct transformer **ret, struct worker *worker, struct kafka_producer *producer, struct err *err)
{
	CLEANUP(transformer_freep) struct transformer *t = mem_zalloc(1, sizeof(*t));

	t->producer = producer;
	t->encoded = t->letter = (struct buf)BUF_INIT(SCRATCH_MAX);
	if (transform_open(&t->transform, err) ||
	    kafka_producer_topic(producer, topics_name(worker->topics, "etl.clean.ohlcv"), &t->out, err) ||
	    dead_letter_topic(producer, worker->topics, &t->dlq, err))
		return -1;
	*ret = STEAL(t);
	return 0;
}

void transformer_freep(struct transformer **pointer)
{
	struct transformer *t = *pointer;

	if (!t)
		return;
	transform_freep(&t->transform);
	buf_release(&t->encoded);
	buf_release(&t->letter);
	free(t);
	*pointer = NULL;
}

static int handle(void *self, const struct kafka_message *m, struct err *err)
{
	struct transformer *t = self;

	t->decoded = record_decode(&ohlcv_type, &t->in, m->value, err) == 0;
	if (!t->decoded || transform_ohlcv(t->transform, &t->in, &t->clean, err))
		return -1;
	buf_reset(&t->encoded);
	record_encode(&ohlcv_clean_type, &t->clean, &t->encoded);
	return kafka_produce(t->producer, t->out, m->partition, m->key, buf_str(&t->encoded), NULL, 0, err);
}

static int reject(void *self, const struct kafka_message *m, enum stage_refusal refusal, const struct err *why,
		  struct err *err)
{
	struct transformer *t = self;
	struct dead_letter letter = DEAD_LETTER_INIT;

	t->decoded = t->decoded && refusal != STAGE_CRASHED; /* else it is the message before this one */
	dead_letter_describe(&letter, m, t->decoded ? &ohlcv_type : NULL, &t->in, &t->letter);
	letter.class = "transformation_errors";
	letter.stage = "transformer";
	letter.message = str_of(why->text);
	letter.exception = refusal == STAGE_CRASHED ? "StageCrashed"
			   : t->decoded             ? "TransformationError"
						    : "RecordNotDecoded";
	return dead_letter_produce(t->producer, t->dlq, &letter, m->key, m->value, err);
}

struct stage_ops transformer_stage_ops(struct transformer *transformer)
{
	return (struct stage_ops){ .self = transformer, .handle = handle, .reject = reject };
}

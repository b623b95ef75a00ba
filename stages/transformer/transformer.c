#include "stages/transformer/transformer.h"

#include <stdlib.h>

#include "common/cleanup.h"
#include "common/dead_letter.h"
#include "common/mem.h"
#include "stages/transformer/transform.h"

#define SCRATCH_MAX ((size_t)16 * 1024 * 1024)

struct transformer {
	struct kafka_producer *producer; /* borrowed */
	struct data_topics topics;       /* that it reads */
	struct kafka_topic *out[DATA_TYPES], *dlq;
	struct transform *transform;
	void *in[DATA_TYPES], *clean[DATA_TYPES]; /* a record of each type */
	unsigned type;                            /* of the current message */
	bool decoded;                             /* in[type] is the current message */
	struct buf encoded, letter;
};

static int open_type(struct transformer *t, unsigned id, const struct topics *topics, struct err *err)
{
	const struct data_type *type = &data_types[id];

	t->in[id] = mem_zalloc(1, type->raw->size);
	t->clean[id] = mem_zalloc(1, type->clean->size);
	return kafka_producer_topic(t->producer, topics_name(topics, type->topics[DATA_CLEAN]), &t->out[id], err);
}

int transformer_open(struct transformer **ret, struct worker *worker, struct kafka_producer *producer, struct err *err)
{
	CLEANUP(transformer_freep) struct transformer *t = mem_zalloc(1, sizeof(*t));

	t->producer = producer;
	t->encoded = t->letter = (struct buf)BUF_INIT(SCRATCH_MAX);
	data_topics_open(&t->topics, worker->topics, DATA_VALID);
	for (unsigned id = 0; id < DATA_TYPES; id++)
		if (open_type(t, id, worker->topics, err))
			return -1;
	if (transform_open(&t->transform, err) || dead_letter_topic(producer, worker->topics, &t->dlq, err))
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
	for (unsigned id = 0; id < DATA_TYPES; id++) {
		free(t->in[id]);
		free(t->clean[id]);
	}
	buf_release(&t->encoded);
	buf_release(&t->letter);
	free(t);
	*pointer = NULL;
}

static int handle(void *self, const struct kafka_message *m, struct err *err)
{
	struct transformer *t = self;

	const struct data_type *type;

	t->type = data_topics_find(&t->topics, m->topic);
	type = &data_types[t->type];
	t->decoded = record_decode(type->raw, t->in[t->type], m->value, err) == 0;
	if (!t->decoded ||
	    transform_record(t->transform, (enum data_type_id)t->type, t->in[t->type], t->clean[t->type], err))
		return -1;
	buf_reset(&t->encoded);
	record_encode(type->clean, t->clean[t->type], &t->encoded);
	return kafka_produce(t->producer, t->out[t->type], m->partition, m->key, buf_str(&t->encoded), NULL, 0, err);
}

static int reject(void *self, const struct kafka_message *m, enum stage_refusal refusal, const struct err *why,
		  struct err *err)
{
	struct transformer *t = self;
	struct dead_letter letter = DEAD_LETTER_INIT;

	t->decoded = t->decoded && refusal != STAGE_CRASHED; /* else it is the message before this one */
	dead_letter_describe(&letter, m, t->decoded ? data_types[t->type].raw : NULL, t->in[t->type], &t->letter);
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

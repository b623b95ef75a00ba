#include "stages/validator/validator.h"

#include <stdlib.h>

#include "common/cleanup.h"
#include "common/dead_letter.h"
#include "common/embed.h"
#include "common/mem.h"
#include "schemas.h"
#include "stages/validator/rules.h"

#define RULES_FILE "stages/validator/rules/ohlcv.yaml"
#define SCRATCH_MAX ((size_t)16 * 1024 * 1024)

enum { METRIC_VALID, METRIC_FLAGGED, METRIC_REJECTED, METRICS };

struct metric validator_metrics[METRICS] = {
	[METRIC_VALID] = { "penstock_validator_records_total", "verdict=\"valid\"", METRIC_COUNTER,
			   "Records by the rules' verdict.", 0 },
	[METRIC_FLAGGED] = { "penstock_validator_records_total", "verdict=\"flagged\"", METRIC_COUNTER,
			     "Records by the rules' verdict.", 0 },
	[METRIC_REJECTED] = { "penstock_validator_records_total", "verdict=\"rejected\"", METRIC_COUNTER,
			      "Records by the rules' verdict.", 0 },
};
const unsigned validator_metric_count = METRICS;

struct validator {
	struct kafka_producer *producer; /* borrowed */
	struct kafka_topic *out, *dlq;
	struct ruleset *rules;
	struct ohlcv record;
	struct buf encoded, letter, names, reasons;
};

int validator_open(struct validator **ret, struct worker *worker, struct kafka_producer *producer, struct err *err)
{
	CLEANUP(validator_freep) struct validator *v = mem_zalloc(1, sizeof(*v));

	v->producer = producer;
	v->encoded = v->letter = v->names = v->reasons = (struct buf)BUF_INIT(SCRATCH_MAX);
	if (ruleset_compile(&v->rules, RULES_FILE, embed_find(RULES_FILE), &ohlcv_type, err) ||
	    kafka_producer_topic(producer, topics_name(worker->topics, "etl.valid.ohlcv"), &v->out, err) ||
	    dead_letter_topic(producer, worker->topics, &v->dlq, err))
		return -1;
	*ret = STEAL(v);
	return 0;
}

void validator_freep(struct validator **pointer)
{
	struct validator *v = *pointer;

	if (!v)
		return;
	ruleset_freep(&v->rules);
	buf_release(&v->encoded);
	buf_release(&v->letter);
	buf_release(&v->names);
	buf_release(&v->reasons);
	free(v);
	*pointer = NULL;
}

static int refuse(struct validator *v, const struct kafka_message *m, uint64_t rejected, struct err *err)
{
	struct dead_letter letter = DEAD_LETTER_INIT;

	buf_reset(&v->names);
	buf_reset(&v->reasons);
	ruleset_names(v->rules, rejected, &v->names);
	ruleset_explain(v->rules, &v->record, rejected, &v->reasons);
	dead_letter_describe(&letter, m, &ohlcv_type, &v->record, &v->letter);
	letter.class = "validation_failures";
	letter.stage = "validator";
	letter.rules = buf_str(&v->names);
	letter.rules_version = ruleset_version(v->rules);
	letter.message = buf_str(&v->reasons);
	letter.exception = "BusinessLogicValidation";
	metric_add(&validator_metrics[METRIC_REJECTED], 1);
	metric_add(&worker_metrics[WORKER_REJECTED], 1);
	return dead_letter_produce(v->producer, v->dlq, &letter, m->key, m->value, err);
}

static int forward_flagged(struct validator *v, const struct kafka_message *m, struct err *err)
{
	v->record.flags |= FLAG_RULE_VIOLATED;
	buf_reset(&v->encoded);
	record_encode(&ohlcv_type, &v->record, &v->encoded);
	metric_add(&validator_metrics[METRIC_FLAGGED], 1);
	return kafka_produce(v->producer, v->out, m->partition, m->key, buf_str(&v->encoded), NULL, 0, err);
}

static int handle(void *self, const struct kafka_message *m, struct err *err)
{
	struct validator *v = self;
	struct verdict verdict;
	int64_t now_ns;

	if (record_decode(&ohlcv_type, &v->record, m->value, err))
		return -1;
	if (__builtin_mul_overflow(m->timestamp_ms, 1000000, &now_ns))
		now_ns = INT64_MAX;
	verdict = ruleset_check(v->rules, &v->record, now_ns);
	if (verdict.rejected)
		return refuse(v, m, verdict.rejected, err);
	if (verdict.flagged)
		return forward_flagged(v, m, err);
	metric_add(&validator_metrics[METRIC_VALID], 1);
	return kafka_produce(v->producer, v->out, m->partition, m->key, m->value, NULL, 0, err);
}

static int reject(void *self, const struct kafka_message *m, enum stage_refusal refusal, const struct err *why,
		  struct err *err)
{
	struct validator *v = self;
	struct dead_letter letter = DEAD_LETTER_INIT;

	dead_letter_describe(&letter, m, NULL, NULL, &v->letter);
	letter.class = "validation_failures";
	letter.stage = "validator";
	letter.message = str_of(why->text);
	letter.exception = refusal == STAGE_CRASHED ? "StageCrashed" : "RecordNotDecoded";
	return dead_letter_produce(v->producer, v->dlq, &letter, m->key, m->value, err);
}

struct stage_ops validator_stage_ops(struct validator *validator)
{
	return (struct stage_ops){ .self = validator, .handle = handle, .reject = reject };
}

#include "stages/validator/validator.h"

#include <stdlib.h>

#include "common/cleanup.h"
#include "common/data_types.h"
#include "common/dead_letter.h"
#include "common/mem.h"
#include "stages/validator/installed.h"
#include "stages/validator/told.h"

#define SCRATCH_MAX ((size_t)16 * 1024 * 1024)

enum { METRIC_VALID, METRIC_FLAGGED, METRIC_REJECTED, METRIC_RELOADED, METRIC_SAME, METRIC_REFUSED, METRICS };

struct metric validator_metrics[METRICS] = {
	[METRIC_VALID] = { "penstock_validator_records_total", "verdict=\"valid\"", METRIC_COUNTER,
			   "Records by the rules' verdict.", 0 },
	[METRIC_FLAGGED] = { "penstock_validator_records_total", "verdict=\"flagged\"", METRIC_COUNTER,
			     "Records by the rules' verdict.", 0 },
	[METRIC_REJECTED] = { "penstock_validator_records_total", "verdict=\"rejected\"", METRIC_COUNTER,
			      "Records by the rules' verdict.", 0 },
	[METRIC_RELOADED] = { "penstock_validator_rule_reloads_total", "outcome=\"installed\"", METRIC_COUNTER,
			      "Looks at the rule files after a SIGHUP, by what came of them.", 0 },
	[METRIC_SAME] = { "penstock_validator_rule_reloads_total", "outcome=\"unchanged\"", METRIC_COUNTER,
			  "Looks at the rule files after a SIGHUP, by what came of them.", 0 },
	[METRIC_REFUSED] = { "penstock_validator_rule_reloads_total", "outcome=\"refused\"", METRIC_COUNTER,
			     "Looks at the rule files after a SIGHUP, by what came of them.", 0 },
};
const unsigned validator_metric_count = METRICS;

static struct metric rule_rows[DATA_TYPES * RULES_MAX + 1];
static struct metric_family rule_hits = {
	.name = "penstock_validator_rule_hits_total",
	.type = METRIC_COUNTER,
	.help = "Records that violated a rule; one record may violate several.",
	.others = "type=\"other\",rule=\"other\",severity=\"other\"",
	.rows = rule_rows,
	.max = DATA_TYPES * RULES_MAX + 1,
};
struct metric_family *const validator_families[] = { &rule_hits, &installed_sets, NULL };

/* What the validator has for one record type. */
struct kind {
	const struct record_type *type;
	const struct record_field *flags;
	const struct ruleset *rules;    /* the one that is installed */
	struct metric *hits[RULES_MAX]; /* of each rule */
	struct kafka_topic *out;
	void *record; /* the one at hand, decoded */
};

struct validator {
	struct kafka_producer *producer; /* borrowed */
	struct kafka_topic *dlq;
	struct told *told;
	struct installed *installed;
	struct data_topics topics; /* that it reads */
	struct kind kinds[DATA_TYPES];
	struct buf encoded, letter, names, reasons;
};

/* Rows for all of them, so that a rule that nothing violates is seen as 0. */
static void use_rules(struct validator *v, unsigned id)
{
	struct kind *kind = &v->kinds[id];

	kind->rules = installed_set(v->installed, (enum data_type_id)id);
	for (unsigned i = 0; i < ruleset_count(kind->rules); i++) {
		const struct rule_text rule = ruleset_rule(kind->rules, i);
		CLEANUP(freep)
		char *labels = mem_printf("type=\"%s\",rule=\"%s\",severity=\"%s\"", data_types[id].name, rule.name,
					  rule.rejects ? "reject" : "flag");

		kind->hits[i] = metric_family_row(&rule_hits, labels);
	}
}

static void count_hits(const struct kind *kind, uint64_t violated)
{
	for (; violated; violated &= violated - 1)
		metric_add(kind->hits[__builtin_ctzll(violated)], 1);
}

static int open_kind(struct validator *v, unsigned id, const struct topics *topics, struct err *err)
{
	const struct data_type *type = &data_types[id];
	struct kind *kind = &v->kinds[id];

	kind->type = type->raw;
	kind->flags = record_field_find(type->raw, STR_LIT("flags"));
	kind->record = mem_zalloc(1, type->raw->size);
	use_rules(v, id);
	return kafka_producer_topic(v->producer, topics_name(topics, type->topics[DATA_VALID]), &kind->out, err);
}

int validator_open(struct validator **ret, struct worker *worker, struct kafka_producer *producer, struct err *err)
{
	CLEANUP(validator_freep) struct validator *v = mem_zalloc(1, sizeof(*v));

	v->producer = producer;
	v->encoded = v->letter = v->names = v->reasons = (struct buf)BUF_INIT(SCRATCH_MAX);
	data_topics_open(&v->topics, worker->topics, DATA_RAW);
	if (installed_open(&v->installed, config_text(worker->cfg, "rules.folder"), err))
		return -1;
	for (unsigned id = 0; id < DATA_TYPES; id++)
		if (open_kind(v, id, worker->topics, err))
			return -1;
	if (dead_letter_topic(producer, worker->topics, &v->dlq, err) ||
	    told_open(&v->told, producer, worker->topics, worker_instance(worker->cfg), err))
		return -1;
	*ret = STEAL(v);
	return 0;
}

void validator_freep(struct validator **pointer)
{
	struct validator *v = *pointer;

	if (!v)
		return;
	for (unsigned id = 0; id < DATA_TYPES; id++)
		free(v->kinds[id].record);
	installed_freep(&v->installed);
	told_freep(&v->told);
	buf_release(&v->encoded);
	buf_release(&v->letter);
	buf_release(&v->names);
	buf_release(&v->reasons);
	free(v);
	*pointer = NULL;
}

static int refuse(struct validator *v, const struct kind *kind, const struct kafka_message *m, uint64_t violated,
		  struct err *err)
{
	struct dead_letter letter = DEAD_LETTER_INIT;

	buf_reset(&v->names);
	buf_reset(&v->reasons);
	ruleset_names(kind->rules, violated, &v->names);
	ruleset_explain(kind->rules, kind->record, violated, &v->reasons);
	dead_letter_describe(&letter, m, kind->type, kind->record, &v->letter);
	letter.class = "validation_failures";
	letter.stage = "validator";
	letter.rules = buf_str(&v->names);
	letter.rules_version = ruleset_version(kind->rules);
	letter.message = buf_str(&v->reasons);
	letter.exception = "BusinessLogicValidation";
	metric_add(&validator_metrics[METRIC_REJECTED], 1);
	metric_add(&worker_metrics[WORKER_REJECTED], 1);
	return dead_letter_produce(v->producer, v->dlq, &letter, m->key, m->value, err);
}

static int forward(struct validator *v, const struct kind *kind, const struct kafka_message *m, struct str value,
		   struct err *err)
{
	struct dead_letter_carried carried;

	dead_letter_carried(m, &carried);
	return kafka_produce(v->producer, kind->out, m->partition, m->key, value, carried.list, carried.count, err);
}

static int forward_flagged(struct validator *v, const struct kind *kind, const struct kafka_message *m, struct err *err)
{
	*(int32_t *)((char *)kind->record + kind->flags->offset) |= FLAG_RULE_VIOLATED;
	buf_reset(&v->encoded);
	record_encode(kind->type, kind->record, &v->encoded);
	metric_add(&validator_metrics[METRIC_FLAGGED], 1);
	return forward(v, kind, m, buf_str(&v->encoded), err);
}

static int handle(void *self, const struct kafka_message *m, struct err *err)
{
	struct validator *v = self;
	unsigned id = data_topics_find(&v->topics, m->topic);
	const struct kind *kind = &v->kinds[id];
	struct verdict verdict;
	int64_t now_ns;

	if (record_decode(kind->type, kind->record, m->value, err) ||
	    told_tell(v->told, record_number(kind->record, &kind->type->fields[0]), (enum data_type_id)id,
		      ruleset_version(kind->rules), err))
		return -1;
	if (__builtin_mul_overflow(m->timestamp_ms, 1000000, &now_ns))
		now_ns = INT64_MAX;
	verdict = ruleset_check(kind->rules, kind->record, now_ns);
	count_hits(kind, verdict.rejected | verdict.flagged);
	if (verdict.rejected)
		return refuse(v, kind, m, verdict.rejected | verdict.flagged, err);
	if (verdict.flagged)
		return forward_flagged(v, kind, m, err);
	metric_add(&validator_metrics[METRIC_VALID], 1);
	return forward(v, kind, m, m->value, err);
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

static void dropped(void *self)
{
	struct validator *v = self;

	told_forget(v->told);
}

/* A transaction is judged by one set: what came in it and is read again meets the new one, and nothing of it is there yet. */
static int between(void *self, struct err *err)
{
	static struct metric *const counters[] = {
		[INSTALLED_OTHERS] = &validator_metrics[METRIC_RELOADED],
		[INSTALLED_SAME] = &validator_metrics[METRIC_SAME],
		[INSTALLED_REFUSED] = &validator_metrics[METRIC_REFUSED],
	};
	struct validator *v = self;
	unsigned changed;
	enum installed_outcome outcome = installed_look(v->installed, &changed);

	(void)err;
	if (outcome == INSTALLED_NOT_ASKED)
		return 0;
	metric_add(counters[outcome], 1);
	for (unsigned id = 0; id < DATA_TYPES; id++)
		if (changed >> id & 1)
			use_rules(v, id);
	if (changed)
		told_forget(v->told); /* the attempts at hand are told what judges them from now on */
	return 0;
}

struct stage_ops validator_stage_ops(struct validator *validator)
{
	return (struct stage_ops){
		.self = validator,
		.handle = handle,
		.reject = reject,
		.dropped = dropped,
		.between = between,
	};
}

#pragma once
/*
 * Checks records against the rule set of their type: what passes goes on as
 * the bytes it came in (flags set anew only where a rule flagged it), what is
 * rejected becomes a dead letter with every violated rule.
 */
#include "common/stage.h"
#include "common/worker.h"

struct validator;

int validator_open(struct validator **ret, struct worker *worker, struct kafka_producer *producer, struct err *err);
void validator_freep(struct validator **validator);
struct stage_ops validator_stage_ops(struct validator *validator);

extern struct metric validator_metrics[];
extern const unsigned validator_metric_count;
extern struct metric_family *const validator_families[];

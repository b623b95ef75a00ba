#pragma once
/* Validated records become records in the shape of their table; what cannot becomes a dead letter. */
#include "common/stage.h"
#include "common/worker.h"

struct transformer;

int transformer_open(struct transformer **ret, struct worker *worker, struct kafka_producer *producer, struct err *err);
void transformer_freep(struct transformer **transformer);
struct stage_ops transformer_stage_ops(struct transformer *transformer);

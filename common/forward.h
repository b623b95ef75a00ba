#pragma once
/*
 * The main of a stage that reads the topics of one step, one for each record
 * type, and writes those of the next in Kafka transactions: validator,
 * transformer.
 */
#include "common/data_types.h"
#include "common/stage.h"
#include "common/worker.h"

/* Keys of every such stage. */
#define FORWARD_KEYS \
	{ "batch.ms", \
	  CONFIG_INT, \
	  "100", \
	  1, \
	  5000, \
	  "ms", \
	  "A transaction ends this long after its first record, or when none has come for a tenth of it." }, \
	{ \
		"batch.records_max", CONFIG_INT, "50000", 1, 1000000, "records", "A transaction ends at this size." \
	}

/* Opens what the stage needs (self), given the producer of its transactions. */
typedef int forward_open_fn(void **ret_self, struct worker *worker, struct kafka_producer *producer,
			    struct stage_ops *ret_ops, struct err *err);

struct forward {
	const char *stage; /* "validator" */
	enum data_stage reads;
	forward_open_fn *open;
	void (*close)(void *self);
};

int forward_run(const struct forward *forward, struct worker *worker, struct err *err);

#pragma once
/*
 * Which rule set judged an attempt's records: said once for each attempt and
 * record type, on etl.events, in the transaction of the first of them. Only
 * the validator knows it; the orchestrator keeps it for `why`.
 */
#include "common/data_types.h"
#include "common/kafka.h"

struct told;

/* The worker's name is kept, not copied. */
int told_open(struct told **ret, struct kafka_producer *producer, const struct topics *topics, const char *worker,
	      struct err *err);
void told_freep(struct told **told);

/* Inside a transaction; mostly it was said already. An attempt that is none is nobody's. */
int told_tell(struct told *told, int64_t attempt, enum data_type_id type, const char *rule_set, struct err *err);

/* The transaction was dropped: what was said in it was not. */
void told_forget(struct told *told);

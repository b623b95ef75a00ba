#pragma once
/*
 * The workers' own handling of one message, with nothing of Kafka or
 * PostgreSQL around it: what they produce is counted and dropped, and the
 * table that the loader asks for its columns has those that it wants.
 */
#include "common/data_types.h"
#include "stages/loader/table.h"

void workers_open(void);
void workers_close(void);

/* The sample's message, as the worker meets it. */
void workers_validate(enum data_type_id type, unsigned i);
void workers_transform(enum data_type_id type, unsigned i);

/* Messages that were handed to the broker so far, letters not counted. */
uint64_t workers_produced(void);

/* The table of a type's rows. */
const struct table *workers_table(enum data_type_id type);

#pragma once
/* Source `kafka`, of a range of a partition. */
#include <jansson.h>

#include "stages/fetcher/sources/sources.h"

/* parameters: the task's, read now. The task outlives the source. */
int kafka_range_open(struct source **ret, const struct source_env *env, const struct fetch_task *task,
		     const json_t *parameters, enum data_type_id data, enum data_stage stage, const char *resume,
		     struct err *err);

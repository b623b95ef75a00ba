#pragma once
/*
 * A validated record becomes a row: what the vendor said, and what its market
 * is (market.h). Stateless from record to record but for caches of what was
 * looked up.
 */
#include "common/data_types.h"
#include "common/err.h"
#include "schemas.h"

struct transform;

int transform_open(struct transform **ret, struct err *err);
void transform_freep(struct transform **transform);

/*
 * in: the type's raw record, out: its clean one. ERR_RECORD where it cannot
 * become a row. Strings of *out point into *in, or live until the next call.
 */
int transform_record(struct transform *transform, enum data_type_id type, const void *in, void *out, struct err *err);

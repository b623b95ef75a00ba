#pragma once
/*
 * A validated bar becomes a row: normalised ticker, venue of its publisher,
 * trading session of its dataset, interval. Stateless from record to record
 * but for caches of what it looked up.
 */
#include "common/err.h"
#include "schemas.h"

struct transform;

/* Reads the embedded stages/transformer/{datasets,publishers}.yaml. */
int transform_open(struct transform **ret, struct err *err);
void transform_freep(struct transform **transform);

/* ERR_RECORD where the bar cannot become a row. Strings of *out point into *in, or live until the next call. */
int transform_ohlcv(struct transform *transform, const struct ohlcv *in, struct ohlcv_clean *out, struct err *err);

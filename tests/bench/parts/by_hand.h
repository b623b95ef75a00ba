#pragma once
/* The codec of one record, the bar, as one would write it by hand: what ours is measured against. */
#include "common/buf.h"
#include "schemas.h"

void hand_encode(const struct ohlcv *bar, struct buf *out);
bool hand_decode(struct ohlcv *bar, struct str message);

#pragma once
/* The metadata at the head of a DBN stream, in versions 1, 2 and 3. */
#include "common/buf.h"
#include "common/err.h"
#include "stages/fetcher/formats/dbn.h"

/* Appends it. ERR_FATAL where it passes the buffer's maximum or what readers take. */
int dbn_head_put(struct buf *buf, const struct dbn_metadata *metadata, unsigned version, struct err *err);

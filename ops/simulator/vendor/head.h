#pragma once
/* A DBN head for a query's symbols: the mappings of its window. */
#include "common/buf.h"
#include "ops/simulator/vendor/query.h"

/* ERR_FATAL: it gets too large. symbol: only this one's; UINT32_MAX: all. */
int query_put_head(const struct query *query, int64_t start, int64_t end, uint32_t symbol, struct buf *buf,
		   struct err *err);

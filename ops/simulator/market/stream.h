#pragma once
/*
 * Records of a window in the order of time, made while they are read: memory
 * depends on the number of series, not on the window. The same window gives
 * the same records, and windows that follow each other give what one does.
 */
#include <stdbool.h>
#include <stdint.h>

#include "ops/simulator/market/defects.h"
#include "ops/simulator/market/schemas.h"

struct stream;

struct stream_window {
	const struct schema *schema;
	int64_t start, end; /* ns, end exclusive */
	uint64_t limit;     /* 0: none */
};

/* Takes over the series; what the market points to must outlive the stream. */
struct stream *stream_open(const struct market *market, const struct stream_window *window, struct series *series,
			   uint32_t count, const struct defects *defects);
void stream_freep(struct stream **stream);

/* False after the last one. */
bool stream_next(struct stream *stream, struct record *ret);

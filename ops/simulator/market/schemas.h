#pragma once
/* Schemas: how the minutes of a series become records. */
#include <stdbool.h>
#include <stdint.h>

#include "ops/simulator/market/series.h"
#include "ops/simulator/records/record.h"

struct market {
	uint64_t seed;
	const struct dataset *dataset;
	const struct instruments *instruments;
	const struct history *history;
};

struct batch {
	struct record *list;
	uint32_t count, capacity;
};

struct record *batch_add(struct batch *batch, const struct market *market, const struct series *series, int64_t ns);
void batch_release(struct batch *batch);

struct schema {
	uint16_t number;
	int64_t slot_ns; /* records are made for one slot of time after the other */
	bool merged;     /* a slot's records have times of their own: those of all series are sorted */
	void (*make)(const struct market *market, const struct series *series, int64_t slot, struct batch *batch);
};

const struct schema *schema_find(uint16_t number); /* NULL: not made */

void bars_1s_make(const struct market *market, const struct series *series, int64_t slot, struct batch *batch);
void bars_1m_make(const struct market *market, const struct series *series, int64_t slot, struct batch *batch);
void bars_1h_make(const struct market *market, const struct series *series, int64_t slot, struct batch *batch);
void bars_1d_make(const struct market *market, const struct series *series, int64_t slot, struct batch *batch);
void bars_eod_make(const struct market *market, const struct series *series, int64_t slot, struct batch *batch);
void trades_make(const struct market *market, const struct series *series, int64_t slot, struct batch *batch);
void tbbo_make(const struct market *market, const struct series *series, int64_t slot, struct batch *batch);
void statistics_make(const struct market *market, const struct series *series, int64_t slot, struct batch *batch);
void definition_make(const struct market *market, const struct series *series, int64_t slot, struct batch *batch);

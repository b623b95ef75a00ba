#include "ops/simulator/market/schemas.h"

#include <stdlib.h>

#include "common/mem.h"

static const struct schema schemas[] = {
	{ SCHEMA_OHLCV_1S, MINUTE_NS, true, bars_1s_make },
	{ SCHEMA_OHLCV_1M, MINUTE_NS, false, bars_1m_make },
	{ SCHEMA_OHLCV_1H, HOUR_NS, false, bars_1h_make },
	{ SCHEMA_OHLCV_1D, NS_PER_DAY, false, bars_1d_make },
	{ SCHEMA_OHLCV_EOD, NS_PER_DAY, false, bars_eod_make },
	{ SCHEMA_TRADES, MINUTE_NS, true, trades_make },
	{ SCHEMA_TBBO, MINUTE_NS, true, tbbo_make },
	{ SCHEMA_STATISTICS, NS_PER_DAY, true, statistics_make },
	{ SCHEMA_DEFINITION, NS_PER_DAY, false, definition_make },
};

const struct schema *schema_find(uint16_t number)
{
	for (size_t i = 0; i < sizeof(schemas) / sizeof(schemas[0]); i++)
		if (schemas[i].number == number)
			return &schemas[i];
	return NULL;
}

struct record *batch_add(struct batch *batch, const struct market *market, const struct series *series, int64_t ns)
{
	struct record *record;

	if (batch->count == batch->capacity) {
		batch->capacity = batch->capacity ? 2 * batch->capacity : 64;
		batch->list = mem_realloc(batch->list, batch->capacity, sizeof(*batch->list));
	}
	record = &batch->list[batch->count++];
	*record = (struct record){
		.publisher_id = series->publisher_id,
		.instrument_id = instruments_id(market->instruments, series->instrument, (int32_t)(ns / NS_PER_DAY)),
		.ts_event = ns,
		.ts_recv = ns,
		.symbol = series->label,
	};
	return record;
}

void batch_release(struct batch *batch)
{
	free(batch->list);
	*batch = (struct batch){ 0 };
}

#include "ops/simulator/records/layout.h"

#include "ops/simulator/market/datasets.h"
#include "ops/simulator/records/fields.h"

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))
#define NO_LEVELS UINT32_MAX

/* The header: in JSON an object of its own, in CSV behind ts_recv. */
const struct field header_fields[] = {
	SAME("ts_event", "uint64_t", FIELD_TIME, ts_event, 8, 8),
	SAME("rtype", "uint8_t", FIELD_NUMBER, rtype, 1, 1),
	SAME("publisher_id", "uint16_t", FIELD_NUMBER, publisher_id, 2, 2),
	SAME("instrument_id", "uint32_t", FIELD_NUMBER, instrument_id, 4, 4),
};
const uint32_t header_field_count = COUNT(header_fields);

static const struct field bar_fields[] = {
	SAME("open", "int64_t", FIELD_PRICE, bar.open, 16, 8),
	SAME("high", "int64_t", FIELD_PRICE, bar.high, 24, 8),
	SAME("low", "int64_t", FIELD_PRICE, bar.low, 32, 8),
	SAME("close", "int64_t", FIELD_PRICE, bar.close, 40, 8),
	SAME("volume", "uint64_t", FIELD_NUMBER, bar.volume, 48, 8),
};

#define TRADE_FIELDS \
	SAME("ts_recv", "uint64_t", FIELD_TIME, ts_recv, 32, 8), \
		SAME("action", "char", FIELD_CHAR, trade.action, 28, 1), \
		SAME("side", "char", FIELD_CHAR, trade.side, 29, 1), \
		SAME("depth", "uint8_t", FIELD_NUMBER, trade.depth, 31, 1), \
		SAME("price", "int64_t", FIELD_PRICE, trade.price, 16, 8), \
		SAME("size", "uint32_t", FIELD_NUMBER, trade.size, 24, 4), \
		SAME("flags", "uint8_t", FIELD_NUMBER, trade.flags, 30, 1), \
		SAME("ts_in_delta", "int32_t", FIELD_NUMBER, trade.ts_in_delta, 40, 4), \
		SAME("sequence", "uint32_t", FIELD_NUMBER, trade.sequence, 44, 4)

static const struct field trade_fields[] = { TRADE_FIELDS };

static const struct field tbbo_fields[] = {
	TRADE_FIELDS,
	SAME("bid_px_00", "int64_t", FIELD_PRICE, trade.bid_price, 48, 8),
	SAME("ask_px_00", "int64_t", FIELD_PRICE, trade.ask_price, 56, 8),
	SAME("bid_sz_00", "uint32_t", FIELD_NUMBER, trade.bid_size, 64, 4),
	SAME("ask_sz_00", "uint32_t", FIELD_NUMBER, trade.ask_size, 68, 4),
	SAME("bid_ct_00", "uint32_t", FIELD_NUMBER, trade.bid_orders, 72, 4),
	SAME("ask_ct_00", "uint32_t", FIELD_NUMBER, trade.ask_orders, 76, 4),
};

#define OF(member) offsetof(struct record, statistic.member)

static const struct field statistic_fields[] = {
	SAME("ts_recv", "uint64_t", FIELD_TIME, ts_recv, 16, 8),
	SAME("ts_ref", "uint64_t", FIELD_TIME, statistic.ts_ref, 24, 8),
	SAME("price", "int64_t", FIELD_PRICE, statistic.price, 32, 8),
	{ "quantity", "int64_t", FIELD_QUANTITY, OF(quantity), 0, PLACES(40, 4, 40, 4, 40, 8) },
	{ "sequence", "uint32_t", FIELD_NUMBER, OF(sequence), 0, PLACES(44, 4, 44, 4, 48, 4) },
	{ "ts_in_delta", "int32_t", FIELD_NUMBER, OF(ts_in_delta), 0, PLACES(48, 4, 48, 4, 52, 4) },
	{ "stat_type", "uint16_t", FIELD_NUMBER, OF(type), 0, PLACES(52, 2, 52, 2, 56, 2) },
	{ "channel_id", "uint16_t", FIELD_NUMBER, LAYOUT_CONSTANT, 0, PLACES(54, 2, 54, 2, 58, 2) },
	{ "update_action", "uint8_t", FIELD_NUMBER, LAYOUT_CONSTANT, 1, PLACES(56, 1, 56, 1, 60, 1) },
	{ "stat_flags", "uint8_t", FIELD_NUMBER, LAYOUT_CONSTANT, 0, PLACES(57, 1, 57, 1, 61, 1) },
};

#define BARS_LAYOUT \
	{ \
		bar_fields, COUNT(bar_fields), { 56, 56, 56 }, NO_LEVELS \
	}

static const struct {
	uint16_t schema;
	struct layout layout;
} layouts[] = {
	{ SCHEMA_OHLCV_1S, BARS_LAYOUT },
	{ SCHEMA_OHLCV_1M, BARS_LAYOUT },
	{ SCHEMA_OHLCV_1H, BARS_LAYOUT },
	{ SCHEMA_OHLCV_1D, BARS_LAYOUT },
	{ SCHEMA_OHLCV_EOD, BARS_LAYOUT },
	{ SCHEMA_TRADES, { trade_fields, COUNT(trade_fields), { 48, 48, 48 }, NO_LEVELS } },
	{ SCHEMA_TBBO, { tbbo_fields, COUNT(tbbo_fields), { 80, 80, 80 }, COUNT(trade_fields) } },
	{ SCHEMA_STATISTICS, { statistic_fields, COUNT(statistic_fields), { 64, 64, 80 }, NO_LEVELS } },
	{ SCHEMA_DEFINITION, { definition_fields, DEFINITION_FIELDS, { 360, 400, 520 }, NO_LEVELS } },
};

const struct layout *layout_find(uint16_t schema)
{
	for (size_t i = 0; i < COUNT(layouts); i++)
		if (layouts[i].schema == schema)
			return &layouts[i].layout;
	return NULL;
}

bool layout_has_ts_recv(uint16_t schema)
{
	const struct layout *layout = layout_find(schema);

	return layout && layout->fields[0].from == offsetof(struct record, ts_recv);
}

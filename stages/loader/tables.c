#include "stages/loader/tables.h"

#include "schemas.h"

/* Records that agree in all of this but the tie are told apart by it. */
#define TRADE_KEYS \
	"symbol", "ts_event", "ts_event_ns", "ts_recv", "ts_recv_ns", "sequence", "dataset", "publisher_id", "tie"

const struct table_spec loader_tables[DATA_TYPES] = {
	[DATA_OHLCV] = {
		.name = DATA_TABLE_OHLCV,
		.type = &ohlcv_clean_type,
		.time_column = "ts_event",
		.rolled_up = true,
		.keys = { "symbol", "interval", "ts_event", "dataset", "publisher_id" },
		.series = { "symbol", "interval", "dataset", "publisher_id" },
	},
	[DATA_TRADES] = {
		.name = DATA_TABLE_TRADES,
		.type = &trades_clean_type,
		.time_column = "ts_event",
		.nanoseconds = true,
		.keys = { TRADE_KEYS },
		.series = { "symbol", "dataset", "publisher_id" },
	},
	[DATA_TBBO] = {
		.name = DATA_TABLE_TBBO,
		.type = &tbbo_clean_type,
		.time_column = "ts_event",
		.nanoseconds = true,
		.keys = { TRADE_KEYS },
		.series = { "symbol", "dataset", "publisher_id" },
	},
	[DATA_STATISTICS] = {
		.name = DATA_TABLE_STATISTICS,
		.type = &statistics_clean_type,
		.time_column = "ts_recv",
		.nanoseconds = true,
		.keys = { "symbol", "ts_recv", "ts_recv_ns", "dataset", "publisher_id", "stat_type", "channel_id",
			  "sequence", "ts_ref", "ts_ref_ns", "tie" },
		.series = { "symbol", "dataset", "publisher_id" },
	},
	[DATA_DEFINITION] = {
		.name = DATA_TABLE_DEFINITION,
		.type = &definition_clean_type,
		.time_column = "ts_recv",
		.nanoseconds = true,
		.keys = { "dataset", "publisher_id", "instrument_id", "ts_recv", "ts_recv_ns", "leg_index" },
		.series = { "dataset", "publisher_id", "instrument_id" },
	},
	[DATA_SYMBOL_MAPPING] = {
		.name = DATA_TABLE_SYMBOL_MAPPING,
		.type = &symbol_mapping_clean_type,
		.time_column = "d0",
		.keys = { "dataset", "stype_in", "input_symbol", "stype_out", "output_symbol", "d0", "d1" },
		.series = { "dataset", "stype_in", "input_symbol", "stype_out", "output_symbol" },
	},
};

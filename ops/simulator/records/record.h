#pragma once
/*
 * A record before it is encoded, the same for DBN, CSV and JSON. Numbers are
 * 64 bits wide and characters are numbers, so that one table (layout.h)
 * drives every encoding.
 */
#include <stdint.h>

struct record_bar {
	int64_t open, high, low, close, volume;
};

struct record_trade {
	int64_t price, size, action, side, flags, depth, ts_in_delta, sequence;
	int64_t bid_price, ask_price, bid_size, ask_size, bid_orders, ask_orders;
};

struct record_statistic {
	int64_t ts_ref, price, quantity, sequence, ts_in_delta, type;
};

struct record_definition {
	const char *raw_symbol, *currency, *exchange, *asset, *cfi, *security_type, *unit, *underlying;
	int64_t instrument_class, tick, expiration, activation, strike, quantity, multiplier, underlying_id;
	int64_t maturity_year, maturity_month, maturity_day;
};

struct record {
	int64_t rtype, publisher_id, instrument_id, ts_event;
	int64_t ts_recv;      /* what windows cut on; that of ts_event where the schema has no ts_recv */
	int64_t length_words; /* 0: as long as it is; else what its length byte claims */
	const char *symbol;   /* what the request called it */
	union {
		struct record_bar bar;
		struct record_trade trade;
		struct record_statistic statistic;
		struct record_definition definition;
	};
};

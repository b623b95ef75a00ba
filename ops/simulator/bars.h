#pragma once
/*
 * Bars that look like a US stock exchange's, made from a seed: the same
 * options give the same bars on every machine (integers only). Ordered by
 * time, then symbol; weekdays, 14:30 to 21:00 UTC; a symbol's instrument id
 * changes from day to day and is another symbol's on the next. Some bars can
 * be broken on purpose, evenly over the kinds and the whole series.
 */
#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "ops/simulator/days.h"

enum broken_kind {
	BROKEN_HIGH_BELOW_LOW,
	BROKEN_HIGH_BELOW_OPEN,
	BROKEN_HIGH_BELOW_CLOSE,
	BROKEN_LOW_ABOVE_OPEN,
	BROKEN_LOW_ABOVE_CLOSE,
	BROKEN_PRICE_ZERO,
	BROKEN_PRICE_HUGE,
	BROKEN_PRICE_UNDEFINED,
	BROKEN_VOLUME_HUGE,
	BROKEN_TIME_FUTURE,
	BROKEN_TIME_PAST,
	BROKEN_INSTRUMENT_UNMAPPED,
	BROKEN_TIME_UNALIGNED,
	BROKEN_KINDS,
	BROKEN_NOT = BROKEN_KINDS,
};

/* "high_below_low", … */
const char *broken_kind_name(enum broken_kind kind);

#define BARS_SYMBOLS_MAX 100000
#define BARS_SYMBOL_MAX 8 /* bytes with NUL */

struct bars_options {
	uint16_t schema; /* DBN's number of ohlcv-1s, 1m, 1h or 1d */
	uint64_t bars;
	uint32_t symbols;
	int32_t start_day; /* days since 1970; a weekend moves on to Monday */
	uint64_t seed;
	uint64_t broken; /* at most bars */
	uint16_t publisher_id;
};

struct bar {
	uint64_t ts_event;
	uint32_t instrument_id;
	uint32_t symbol; /* index */
	int64_t open, high, low, close;
	uint64_t volume;
	enum broken_kind broken;
};

struct bars;

int bars_new(struct bars **ret, const struct bars_options *options, struct err *err);
void bars_freep(struct bars **bars);

/* False after the last one. */
bool bars_next(struct bars *bars, struct bar *ret);

/* Trading days of the whole series, known beforehand. */
const struct days *bars_days(const struct bars *bars);

void bars_symbol(uint32_t symbol, char ret_text[BARS_SYMBOL_MAX]);

#pragma once
/* One publisher's view of one instrument, minute by minute: what every schema is made of. */
#include <stdbool.h>
#include <stdint.h>

#include "ops/simulator/market/history.h"
#include "ops/simulator/market/instruments.h"

#define TRADES_MAX 16 /* of a series in a minute */

/* What a request selects. The instrument and the label outlive it. */
struct series {
	const struct instrument *instrument;
	const char *label; /* what the request called it */
	uint16_t publisher_id;
	int32_t first_day, end_day; /* only on these days */
	uint64_t key;
};

uint64_t series_key(uint64_t seed, const struct dataset *dataset, uint16_t publisher_id,
		    const struct instrument *instrument);

struct minute {
	int64_t number; /* since 1970 */
	uint64_t key;
	int64_t open, high, low, close; /* 1e-9 */
	int64_t volume;
	uint32_t trades; /* at least 4 */
};

struct minute_trade {
	int64_t ns; /* of ts_event */
	int64_t price;
	uint32_t size;
};

/* False where nobody traded: closed, too quiet, lost, withdrawn. */
bool series_minute(const struct series *series, const struct dataset *dataset, const struct history *history,
		   int64_t number, struct minute *ret);

/* Trades that add up to the minute, in the order of time. */
void minute_trades(const struct minute *minute, int64_t tick, struct minute_trade ret[TRADES_MAX]);

/* The day from its first to its last minute; false where nobody traded. */
bool series_span(const struct series *series, const struct dataset *dataset, const struct history *history,
		 int64_t first_minute, int64_t end_minute, struct minute *ret);

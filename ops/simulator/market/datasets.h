#pragma once
/* What the simulated vendor sells: datasets, who publishes in them, which schemas there are and what they cost. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/str.h"
#include "ops/simulator/market/calendar.h"

#define PUBLISHERS_MAX 4

enum schema_id {
	SCHEMA_TBBO = 3,
	SCHEMA_TRADES = 4,
	SCHEMA_OHLCV_1S = 5,
	SCHEMA_OHLCV_1M = 6,
	SCHEMA_OHLCV_1H = 7,
	SCHEMA_OHLCV_1D = 8,
	SCHEMA_DEFINITION = 9,
	SCHEMA_STATISTICS = 10,
	SCHEMA_OHLCV_EOD = 13,
};

struct publisher {
	uint16_t id;
	const char *venue;
	const char *description;
};

struct dataset {
	const char *name;
	enum market_kind kind;
	uint8_t number;
	struct publisher publishers[PUBLISHERS_MAX];
	uint8_t publisher_count;
	uint32_t schemas; /* a bit per DBN number */
	uint32_t price_percent;
};

extern const struct dataset datasets[];
extern const size_t dataset_count;

const struct dataset *dataset_find(struct str name);
bool dataset_has_schema(const struct dataset *dataset, uint16_t schema);

/* US dollars for a gigabyte (10^9 bytes) of DBN records. */
double dataset_unit_price(const struct dataset *dataset, uint16_t schema);

#include "ops/simulator/market/datasets.h"

#define BIT(schema) (1u << (schema))
#define BARS \
	(BIT(SCHEMA_OHLCV_1S) | BIT(SCHEMA_OHLCV_1M) | BIT(SCHEMA_OHLCV_1H) | BIT(SCHEMA_OHLCV_1D) | \
	 BIT(SCHEMA_OHLCV_EOD))
#define COMMON (BARS | BIT(SCHEMA_TRADES) | BIT(SCHEMA_DEFINITION) | BIT(SCHEMA_STATISTICS))

const struct dataset datasets[] = {
	{ "GLBX.MDP3", MARKET_FUTURES, 1, { { 1, "GLBX", "CME Globex MDP 3.0" } }, 1, COMMON | BIT(SCHEMA_TBBO), 100 },
	{ "XNAS.ITCH",
	  MARKET_EQUITIES,
	  2,
	  { { 2, "XNAS", "Nasdaq TotalView-ITCH" } },
	  1,
	  COMMON | BIT(SCHEMA_TBBO),
	  120 },
	{ "OPRA.PILLAR",
	  MARKET_OPTIONS,
	  19,
	  { { 20, "AMXO", "OPRA - NYSE American Options" },
	    { 22, "XCBO", "OPRA - Cboe Options" },
	    { 24, "EDGO", "OPRA - Cboe EDGX Options" },
	    { 30, "OPRA", "OPRA - Options Price Reporting Authority" } },
	  4,
	  COMMON,
	  40 },
	{ "EQUS.MINI",
	  MARKET_EQUITIES,
	  35,
	  { { 95, "EQUS", "Databento US Equities Mini" } },
	  1,
	  COMMON | BIT(SCHEMA_TBBO),
	  200 },
};

const size_t dataset_count = sizeof(datasets) / sizeof(datasets[0]);

static const struct {
	uint16_t schema;
	double dollars;
} prices[] = {
	{ SCHEMA_OHLCV_1S, 2.0 }, { SCHEMA_OHLCV_1M, 16.0 },  { SCHEMA_OHLCV_1H, 120.0 },
	{ SCHEMA_OHLCV_1D, 400 }, { SCHEMA_OHLCV_EOD, 400 },  { SCHEMA_TRADES, 25.0 },
	{ SCHEMA_TBBO, 16.0 },    { SCHEMA_STATISTICS, 4.0 }, { SCHEMA_DEFINITION, 3.5 },
};

const struct dataset *dataset_find(struct str name)
{
	for (size_t i = 0; i < dataset_count; i++)
		if (str_eq(name, str_of(datasets[i].name)))
			return &datasets[i];
	return NULL;
}

bool dataset_has_schema(const struct dataset *dataset, uint16_t schema)
{
	return schema < 32 && (dataset->schemas & BIT(schema)) != 0;
}

double dataset_unit_price(const struct dataset *dataset, uint16_t schema)
{
	for (size_t i = 0; i < sizeof(prices) / sizeof(prices[0]); i++)
		if (prices[i].schema == schema)
			return prices[i].dollars * dataset->price_percent / 100;
	return 0;
}

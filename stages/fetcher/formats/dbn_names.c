#include "stages/fetcher/formats/dbn.h"

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

static const char *const schema_names[] = {
	"mbo",      "mbp-1",    "mbp-10",     "tbbo",       "trades", "ohlcv-1s",  "ohlcv-1m",
	"ohlcv-1h", "ohlcv-1d", "definition", "statistics", "status", "imbalance", "ohlcv-eod",
	"cmbp-1",   "cbbo-1s",  "cbbo-1m",    "tcbbo",      "bbo-1s", "bbo-1m",
};

static const char *const stype_names[] = {
	"instrument_id", "raw_symbol", "smart",       "continuous",      "parent", "nasdaq_symbol", "cms_symbol",
	"isin",          "us_code",    "bbg_comp_id", "bbg_comp_ticker", "figi",   "figi_ticker",
};

static const struct {
	uint8_t rtype;
	uint16_t schema;
} bars[] = {
	{ DBN_OHLCV_1S, 5 }, { DBN_OHLCV_1M, 6 }, { DBN_OHLCV_1H, 7 }, { DBN_OHLCV_1D, 8 }, { DBN_OHLCV_EOD, 13 },
};

const char *dbn_schema_name(uint16_t schema)
{
	return schema < COUNT(schema_names) ? schema_names[schema] : NULL;
}

uint16_t dbn_schema_number(struct str name)
{
	for (uint16_t i = 0; i < COUNT(schema_names); i++)
		if (str_eq(name, str_of(schema_names[i])))
			return i;
	return UINT16_MAX;
}

const char *dbn_stype_name(uint8_t stype)
{
	return stype < COUNT(stype_names) ? stype_names[stype] : NULL;
}

const char *dbn_ohlcv_schema(uint8_t rtype)
{
	for (size_t i = 0; i < COUNT(bars); i++)
		if (bars[i].rtype == rtype)
			return schema_names[bars[i].schema];
	return NULL;
}

uint8_t dbn_ohlcv_rtype(uint16_t schema)
{
	for (size_t i = 0; i < COUNT(bars); i++)
		if (bars[i].schema == schema)
			return bars[i].rtype;
	return 0;
}

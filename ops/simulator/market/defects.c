#include "ops/simulator/market/defects.h"

#include "common/decimal.h"
#include "ops/simulator/market/calendar.h"
#include "ops/simulator/market/chance.h"
#include "ops/simulator/market/datasets.h"

#define INSTRUMENT_UNMAPPED INT64_C(4000000001)
#define RTYPE_UNKNOWN 0x7E
#define PRICE_HUGE (INT64_C(9000000000) * DECIMAL_ONE)
#define VOLUME_NEGATIVE INT64_C(-1000)
#define VOLUME_HUGE INT64_C(9000000000000000000)
#define CENT (DECIMAL_ONE / 100)
#define FAR_DAYS 15000

static void high_below_low(struct record *r)
{
	int64_t low = r->bar.low;

	r->bar.low = r->bar.high + CENT;
	r->bar.high = low;
}

static void high_below_open(struct record *r)
{
	r->bar.open = r->bar.high + CENT;
}

static void high_below_close(struct record *r)
{
	r->bar.close = r->bar.high + CENT;
}

static void low_above_open(struct record *r)
{
	r->bar.open = r->bar.low - CENT / 2;
}

static void low_above_close(struct record *r)
{
	r->bar.close = r->bar.low - CENT / 2;
}

static void price_zero(struct record *r)
{
	r->bar.open = r->bar.high = r->bar.low = r->bar.close = 0;
}

static void price_huge(struct record *r)
{
	r->bar.high = PRICE_HUGE;
}

static void price_undefined(struct record *r)
{
	r->bar.open = INT64_MAX;
}

static void volume_huge(struct record *r)
{
	r->bar.volume = VOLUME_HUGE;
}

static void time_future(struct record *r)
{
	r->ts_event += FAR_DAYS * NS_PER_DAY;
}

static void time_past(struct record *r)
{
	r->ts_event -= FAR_DAYS * NS_PER_DAY;
}

static void time_unaligned(struct record *r)
{
	r->ts_event += 1;
}

static void volume_negative(struct record *r)
{
	r->bar.volume = VOLUME_NEGATIVE;
}

static void trade_price_undefined(struct record *r)
{
	r->trade.price = INT64_MAX;
}

static void trade_price_negative(struct record *r)
{
	r->trade.price = -r->trade.price;
}

static void size_negative(struct record *r)
{
	r->trade.size = UINT32_MAX - 999; /* -1000 to who reads it with a sign */
}

static void instrument_unmapped(struct record *r)
{
	r->instrument_id = INSTRUMENT_UNMAPPED;
}

static void rtype_unknown(struct record *r)
{
	r->rtype = RTYPE_UNKNOWN;
}

static void length_wrong(struct record *r)
{
	r->length_words = 5;
}

static void length_zero(struct record *r)
{
	r->length_words = INT64_C(256); /* the byte is 0 */
}

enum defect_of { OF_BARS = 1, OF_TRADES = 2, OF_ALL = 7 };

static const struct {
	const char *name;
	void (*apply)(struct record *record);
	enum defect_of of;
	bool asked; /* only where it is asked for by name: what follows cannot be read */
} table[] = {
	{ "high_below_low", high_below_low, OF_BARS, false },
	{ "high_below_open", high_below_open, OF_BARS, false },
	{ "high_below_close", high_below_close, OF_BARS, false },
	{ "low_above_open", low_above_open, OF_BARS, false },
	{ "low_above_close", low_above_close, OF_BARS, false },
	{ "price_zero", price_zero, OF_BARS, false },
	{ "price_huge", price_huge, OF_BARS, false },
	{ "price_undefined", price_undefined, OF_BARS, false },
	{ "volume_huge", volume_huge, OF_BARS, false },
	{ "time_future", time_future, OF_BARS, false },
	{ "time_past", time_past, OF_BARS, false },
	{ "time_unaligned", time_unaligned, OF_BARS, false },
	{ "volume_negative", volume_negative, OF_BARS, false },
	{ "trade_price_undefined", trade_price_undefined, OF_TRADES, false },
	{ "trade_price_negative", trade_price_negative, OF_TRADES, false },
	{ "size_negative", size_negative, OF_TRADES, false },
	{ "instrument_unmapped", instrument_unmapped, OF_ALL, false },
	{ "rtype_unknown", rtype_unknown, OF_ALL, false },
	{ "length_wrong", length_wrong, OF_ALL, true },
	{ "length_zero", length_zero, OF_ALL, true },
};

#define KINDS (sizeof(table) / sizeof(table[0]))

uint32_t defects_default(void)
{
	uint32_t kinds = 0;

	for (uint32_t i = 0; i < KINDS; i++)
		kinds |= (uint32_t)!table[i].asked << i;
	return kinds;
}

const char *defect_name(uint32_t index)
{
	return index < KINDS ? table[index].name : NULL;
}

static bool add_kind(struct str name, uint32_t *kinds)
{
	for (uint32_t i = 0; i < KINDS; i++)
		if (str_eq(name, str_of(table[i].name))) {
			*kinds |= 1u << i;
			return true;
		}
	return false;
}

bool defects_parse(struct str names, uint32_t *ret_kinds)
{
	*ret_kinds = 0;
	while (names.len > 0) {
		const char *comma = memchr(names.data, ',', names.len);
		uint32_t n = comma ? (uint32_t)(comma - names.data) : names.len;

		if (!add_kind((struct str){ names.data, n }, ret_kinds))
			return false;
		n += comma != NULL;
		names = (struct str){ names.data + n, names.len - n };
	}
	return *ret_kinds != 0;
}

static unsigned of_schema(uint16_t schema)
{
	if (schema == SCHEMA_TRADES || schema == SCHEMA_TBBO)
		return OF_TRADES;
	return schema == SCHEMA_DEFINITION || schema == SCHEMA_STATISTICS ? 4 : OF_BARS;
}

bool defects_apply(const struct defects *defects, uint16_t schema, struct record *record)
{
	uint64_t place = chance(chance(defects->seed ^ UINT64_C(0xB0CE4), (uint64_t)record->ts_recv),
				((uint64_t)schema << 48) ^ ((uint64_t)record->publisher_id << 32) ^
					(uint64_t)record->instrument_id);
	uint32_t fitting[KINDS], count = 0;

	if (defects->permille == 0 || chance_below(place, 1000) >= defects->permille)
		return false;
	for (uint32_t i = 0; i < KINDS; i++)
		if ((defects->kinds >> i & 1) && (table[i].of & of_schema(schema)))
			fitting[count++] = i;
	if (count == 0)
		return false;
	table[fitting[chance(place, 1) % count]].apply(record);
	return true;
}

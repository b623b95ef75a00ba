#include "ops/simulator/ticks.h"

#include <stdlib.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/decimal.h"
#include "common/mem.h"
#include "ops/simulator/bars.h"
#include "ops/simulator/market/calendar.h"
#include "ops/simulator/market/chance.h"
#include "ops/simulator/market/datasets.h"

#define CENT (DECIMAL_ONE / 100)
#define CENTS_MIN 200
#define CENTS_MAX 500000
#define OPEN_NS (14 * HOUR_NS + 30 * MINUTE_NS)
#define SESSION_NS (6 * HOUR_NS + 30 * MINUTE_NS)
#define DELAY_MIN_NS 20000
#define DELAY_BELOW_NS 400000
#define FLAG_LAST 0x80
#define WEIGHT (UINT64_C(1) << 32) /* of the first symbol */
#define NONE INT64_MAX
#define UNDEF_TIME INT64_C(-1) /* 2^64 - 1 */

enum { RTYPE_TRADE = 0x00, RTYPE_MBP_1 = 0x01, RTYPE_DEFINITION = 0x13, RTYPE_STATISTICS = 0x18 };

struct ticks {
	struct ticks_options options;
	struct days days;
	uint64_t *weights; /* of a symbol and those before it */
	int64_t *cents;    /* a symbol's price */
	char (*symbols)[BARS_SYMBOL_MAX];
	uint64_t done;
};

bool ticks_make(uint16_t schema)
{
	return schema == SCHEMA_TRADES || schema == SCHEMA_TBBO || schema == SCHEMA_STATISTICS ||
	       schema == SCHEMA_DEFINITION;
}

const struct days *ticks_days(const struct ticks *ticks)
{
	return &ticks->days;
}

static int check_options(const struct ticks_options *o, struct err *err)
{
	if (!ticks_make(o->schema))
		return err_set(err, ERR_FATAL, "records of this schema are not made");
	if (o->records == 0 || o->symbols == 0 || o->symbols > BARS_SYMBOLS_MAX)
		return err_set(err, ERR_FATAL, "between 1 and %d symbols and at least one record are needed",
			       BARS_SYMBOLS_MAX);
	return 0;
}

static void prepare_symbols(struct ticks *ticks)
{
	uint32_t symbols = ticks->options.symbols;
	uint64_t sum = 0;

	ticks->weights = mem_alloc(symbols * sizeof(*ticks->weights));
	ticks->cents = mem_alloc(symbols * sizeof(*ticks->cents));
	ticks->symbols = mem_zalloc(symbols, sizeof(*ticks->symbols));
	for (uint32_t i = 0; i < symbols; i++) {
		sum += WEIGHT / (i + 1);
		ticks->weights[i] = sum;
		ticks->cents[i] = 1000 + chance_below(chance(ticks->options.seed, i), 49000);
		bars_symbol(i, ticks->symbols[i]);
	}
}

int ticks_new(struct ticks **ret, const struct ticks_options *options, struct err *err)
{
	CLEANUP(ticks_freep) struct ticks *ticks = NULL;

	if (check_options(options, err))
		return -1;
	ticks = mem_zalloc(1, sizeof(*ticks));
	ticks->options = *options;
	if (days_plan(&ticks->days, options->start_day, options->symbols, options->records, TICKS_PER_DAY, "records",
		      err))
		return -1;
	prepare_symbols(ticks);
	*ret = STEAL(ticks);
	return 0;
}

void ticks_freep(struct ticks **ticks)
{
	struct ticks *self = *ticks;

	*ticks = NULL;
	if (!self)
		return;
	days_release(&self->days);
	free(self->weights);
	free(self->cents);
	free(self->symbols);
	free(self);
}

/* --- whose and when ------------------------------------------------------------------------------------------------ */

/* The first symbol whose weights, with those before it, reach beyond a number. */
static uint32_t draw_symbol(const struct ticks *ticks, uint64_t number)
{
	uint32_t low = 0, high = ticks->options.symbols - 1;
	uint64_t at = (uint64_t)((__uint128_t)number * ticks->weights[high] >> 64);

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (ticks->weights[middle] > at)
			high = middle;
		else
			low = middle + 1;
	}
	return low;
}

static uint32_t symbol_of(const struct ticks *ticks, uint64_t key)
{
	if (ticks->options.schema == SCHEMA_TRADES || ticks->options.schema == SCHEMA_TBBO)
		return draw_symbol(ticks, chance(key, 1));
	return (uint32_t)(ticks->done % ticks->options.symbols);
}

/* Somewhere in its own piece of the session, so that time goes on. */
static int64_t time_of(const struct ticks *ticks, int32_t day, uint64_t key)
{
	int64_t step = SESSION_NS / TICKS_PER_DAY;
	int64_t place = (int64_t)(ticks->done % TICKS_PER_DAY);

	return day * NS_PER_DAY + OPEN_NS + place * step + chance_below(chance(key, 2), (uint32_t)step);
}

/* --- what they say ------------------------------------------------------------------------------------------------- */

static int64_t next_price(struct ticks *ticks, uint32_t symbol, uint64_t key)
{
	int64_t *cents = &ticks->cents[symbol];

	*cents += (int64_t)chance_below(chance(key, 3), 5) - 2;
	if (*cents < CENTS_MIN || *cents > CENTS_MAX)
		*cents = *cents < CENTS_MIN ? CENTS_MIN : CENTS_MAX;
	return *cents * CENT;
}

/* The aggressor sold at the bid or bought at the ask. */
static void make_trade(struct record *record, int64_t price, uint64_t number, uint64_t key)
{
	bool sold = (chance(key, 4) & 1) != 0;

	record->trade = (struct record_trade){
		.price = price,
		.size = 1 + chance_below(chance(key, 5), 400),
		.action = 'T',
		.side = sold ? 'A' : 'B',
		.flags = FLAG_LAST,
		.ts_in_delta = DELAY_MIN_NS / 2 + chance_below(chance(key, 6), DELAY_MIN_NS),
		.sequence = (int64_t)(number % UINT32_MAX) + 1,
		.bid_price = sold ? price : price - CENT,
		.ask_price = sold ? price + CENT : price,
		.bid_size = 1 + chance_below(chance(key, 7), 900),
		.ask_size = 1 + chance_below(chance(key, 8), 900),
		.bid_orders = 1 + chance_below(chance(key, 9), 20),
		.ask_orders = 1 + chance_below(chance(key, 10), 20),
	};
}

/* Opening, low, high, volume and close, in turn. */
static void make_statistic(struct record *record, int64_t price, uint64_t number, uint64_t key)
{
	static const int64_t types[] = { 1, 4, 5, 6, 11 };
	int64_t type = types[chance_below(chance(key, 4), sizeof(types) / sizeof(types[0]))];

	record->statistic = (struct record_statistic){
		.ts_ref = type == 6 ? record->ts_event / NS_PER_DAY * NS_PER_DAY : UNDEF_TIME,
		.price = type == 6 ? NONE : price,
		.quantity = type == 6 ? 1 + chance_below(chance(key, 5), 9000000) : NONE,
		.sequence = (int64_t)(number % UINT32_MAX) + 1,
		.ts_in_delta = DELAY_MIN_NS,
		.type = type,
	};
}

static void make_definition(struct record *record, const char *symbol)
{
	record->definition = (struct record_definition){
		.raw_symbol = symbol,
		.currency = "USD",
		.exchange = "XNAS",
		.asset = symbol,
		.cfi = "ESXXXX",
		.security_type = "CS",
		.unit = "",
		.underlying = "",
		.instrument_class = 'K',
		.tick = CENT,
		.strike = NONE,
		.quantity = NONE,
		.multiplier = INT32_MAX,
		.activation = UNDEF_TIME,
		.expiration = UNDEF_TIME,
		.maturity_year = UINT16_MAX,
		.maturity_month = UINT8_MAX,
		.maturity_day = UINT8_MAX,
	};
}

static void make_rest(struct ticks *ticks, struct record *record, uint32_t symbol, uint64_t key)
{
	switch (ticks->options.schema) {
	case SCHEMA_DEFINITION:
		record->rtype = RTYPE_DEFINITION;
		make_definition(record, ticks->symbols[symbol]);
		break;
	case SCHEMA_STATISTICS:
		record->rtype = RTYPE_STATISTICS;
		make_statistic(record, next_price(ticks, symbol, key), ticks->done, key);
		break;
	default:
		record->rtype = ticks->options.schema == SCHEMA_TBBO ? RTYPE_MBP_1 : RTYPE_TRADE;
		make_trade(record, next_price(ticks, symbol, key), ticks->done, key);
	}
}

bool ticks_next(struct ticks *ticks, struct record *ret)
{
	uint64_t key = chance(chance(ticks->options.seed, UINT64_MAX), ticks->done);
	uint32_t symbol;
	int32_t day;

	if (ticks->done == ticks->options.records)
		return false;
	day = ticks->days.list[ticks->done / TICKS_PER_DAY];
	symbol = symbol_of(ticks, key);
	*ret = (struct record){
		.publisher_id = ticks->options.publisher_id,
		.instrument_id = days_instrument_id(&ticks->days, symbol, day),
		.ts_event = time_of(ticks, day, key),
		.symbol = ticks->symbols[symbol],
	};
	ret->ts_recv = ret->ts_event + DELAY_MIN_NS + chance_below(chance(key, 11), DELAY_BELOW_NS);
	make_rest(ticks, ret, symbol, key);
	ticks->done++;
	return true;
}

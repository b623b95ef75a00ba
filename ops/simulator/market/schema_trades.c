/* Trades, and trades with the book they met. */
#include "ops/simulator/market/chance.h"
#include "ops/simulator/market/schemas.h"

#define RTYPE_TRADE 0x00
#define RTYPE_MBP_1 0x01
#define FLAG_LAST 0x80
#define DELAY_MIN_NS 20000
#define DELAY_BELOW_NS 400000

/* The aggressor sold at the bid or bought at the ask. */
static void put_book(struct record_trade *trade, int64_t tick, uint64_t place)
{
	trade->bid_price = trade->side == 'A' ? trade->price : trade->price - tick;
	trade->ask_price = trade->bid_price + tick;
	trade->bid_size = 1 + chance_below(chance(place, 11), 900);
	trade->ask_size = 1 + chance_below(chance(place, 12), 900);
	trade->bid_orders = 1 + chance_below(chance(place, 13), 20);
	trade->ask_orders = 1 + chance_below(chance(place, 14), 20);
}

static void add_trade(const struct market *market, const struct series *series, const struct minute *m, uint32_t index,
		      const struct minute_trade *at, struct batch *batch)
{
	struct record *record = batch_add(batch, market, series, at->ns);
	uint64_t place = chance(m->key, 400 + index);

	record->rtype = RTYPE_TRADE;
	record->ts_recv = at->ns + DELAY_MIN_NS + chance_below(place, DELAY_BELOW_NS);
	record->trade = (struct record_trade){
		.price = at->price,
		.size = at->size,
		.action = 'T',
		.side = (place & 1) != 0 ? 'A' : 'B',
		.flags = FLAG_LAST,
		.ts_in_delta = DELAY_MIN_NS / 2 + chance_below(chance(place, 10), DELAY_MIN_NS),
		.sequence = m->number % DAY_MINUTES * TRADES_MAX + index + 1,
	};
	put_book(&record->trade, series->instrument->tick, place);
}

void trades_make(const struct market *market, const struct series *series, int64_t slot, struct batch *batch)
{
	struct minute_trade trades[TRADES_MAX];
	struct minute m;

	if (!series_minute(series, market->dataset, market->history, slot / MINUTE_NS, &m))
		return;
	minute_trades(&m, series->instrument->tick, trades);
	for (uint32_t i = 0; i < m.trades; i++)
		add_trade(market, series, &m, i, &trades[i], batch);
}

void tbbo_make(const struct market *market, const struct series *series, int64_t slot, struct batch *batch)
{
	uint32_t before = batch->count;

	trades_make(market, series, slot, batch);
	for (uint32_t i = before; i < batch->count; i++)
		batch->list[i].rtype = RTYPE_MBP_1;
}

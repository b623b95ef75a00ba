/* Bars: of a minute as it is; of an hour and a day from their minutes; of a second from the minute's trades. */
#include "ops/simulator/market/schemas.h"
#include "stages/fetcher/formats/dbn.h"

static void add_bar(const struct market *market, const struct series *series, int64_t slot, uint8_t rtype,
		    const struct minute *m, struct batch *batch)
{
	struct record *record = batch_add(batch, market, series, slot);

	record->rtype = rtype;
	record->bar = (struct record_bar){ m->open, m->high, m->low, m->close, m->volume };
}

static void make_span(const struct market *market, const struct series *series, int64_t slot, int64_t slot_ns,
		      uint8_t rtype, struct batch *batch)
{
	struct minute span;

	if (series_span(series, market->dataset, market->history, slot / MINUTE_NS, (slot + slot_ns) / MINUTE_NS,
			&span))
		add_bar(market, series, slot, rtype, &span, batch);
}

void bars_1m_make(const struct market *market, const struct series *series, int64_t slot, struct batch *batch)
{
	make_span(market, series, slot, MINUTE_NS, DBN_OHLCV_1M, batch);
}

void bars_1h_make(const struct market *market, const struct series *series, int64_t slot, struct batch *batch)
{
	make_span(market, series, slot, HOUR_NS, DBN_OHLCV_1H, batch);
}

void bars_1d_make(const struct market *market, const struct series *series, int64_t slot, struct batch *batch)
{
	make_span(market, series, slot, NS_PER_DAY, DBN_OHLCV_1D, batch);
}

void bars_eod_make(const struct market *market, const struct series *series, int64_t slot, struct batch *batch)
{
	make_span(market, series, slot, NS_PER_DAY, DBN_OHLCV_EOD, batch);
}

static void add_trade(struct minute *second, const struct minute_trade *trade)
{
	if (second->trades++ == 0)
		second->open = second->high = second->low = trade->price;
	second->high = trade->price > second->high ? trade->price : second->high;
	second->low = trade->price < second->low ? trade->price : second->low;
	second->close = trade->price;
	second->volume += trade->size;
}

void bars_1s_make(const struct market *market, const struct series *series, int64_t slot, struct batch *batch)
{
	struct minute_trade trades[TRADES_MAX];
	struct minute m;

	if (!series_minute(series, market->dataset, market->history, slot / MINUTE_NS, &m))
		return;
	minute_trades(&m, series->instrument->tick, trades);
	for (uint32_t i = 0; i < m.trades;) {
		int64_t at = trades[i].ns / NS_PER_SECOND;
		struct minute second = { 0 };

		while (i < m.trades && trades[i].ns / NS_PER_SECOND == at)
			add_trade(&second, &trades[i++]);
		add_bar(market, series, at * NS_PER_SECOND, DBN_OHLCV_1S, &second, batch);
	}
}

/* A day's statistics, published in its last minute; the opening price right after the first minute. */
#include "ops/simulator/market/chance.h"
#include "ops/simulator/market/schemas.h"

#define RTYPE_STATISTICS 0x18
#define DELAY_NS 150000
#define NONE INT64_MAX
#define UNDEF_TIME INT64_C(-1) /* 2^64 - 1 */

enum statistic {
	STATISTIC_OPENING = 1,
	STATISTIC_SETTLEMENT = 3,
	STATISTIC_LOW = 4,
	STATISTIC_HIGH = 5,
	STATISTIC_VOLUME = 6,
	STATISTIC_OPEN_INTEREST = 9,
	STATISTIC_CLOSE = 11,
};

static void add(const struct market *market, const struct series *series, int64_t ns, enum statistic type,
		int64_t price, int64_t quantity, struct batch *batch)
{
	bool of_day = type == STATISTIC_SETTLEMENT || type == STATISTIC_VOLUME || type == STATISTIC_OPEN_INTEREST;
	struct record *record = batch_add(batch, market, series, ns);

	record->rtype = RTYPE_STATISTICS;
	record->ts_recv = ns + DELAY_NS;
	record->statistic = (struct record_statistic){
		.ts_ref = of_day ? ns / NS_PER_DAY * NS_PER_DAY : UNDEF_TIME,
		.price = price,
		.quantity = quantity,
		.sequence = (int64_t)type,
		.ts_in_delta = DELAY_NS / 2,
		.type = (int64_t)type,
	};
}

void statistics_make(const struct market *market, const struct series *series, int64_t slot, struct batch *batch)
{
	int64_t last = slot + NS_PER_DAY - MINUTE_NS, first = slot / MINUTE_NS;
	bool share = series->instrument->instrument_class == 'K';
	struct minute day;

	if (!series_span(series, market->dataset, market->history, first, first + DAY_MINUTES, &day))
		return;
	add(market, series, (day.number + 1) * MINUTE_NS, STATISTIC_OPENING, day.open, NONE, batch);
	add(market, series, last, share ? STATISTIC_CLOSE : STATISTIC_SETTLEMENT, day.close, NONE, batch);
	add(market, series, last + NS_PER_SECOND, STATISTIC_LOW, day.low, NONE, batch);
	add(market, series, last + 2 * NS_PER_SECOND, STATISTIC_HIGH, day.high, NONE, batch);
	add(market, series, last + 3 * NS_PER_SECOND, STATISTIC_VOLUME, NONE, day.volume, batch);
	if (!share)
		add(market, series, last + 4 * NS_PER_SECOND, STATISTIC_OPEN_INTEREST, NONE,
		    1000 + chance_below(chance(day.key, 20), 900000), batch);
}

#include "ops/simulator/market/series.h"

#include "ops/simulator/market/chance.h"

#define PPM 1000000
#define TRADES_MIN 4
#define SIZE_BELOW 400
#define WICK_PPM 500
#define TRADING_NS (59 * NS_PER_SECOND) /* a minute's last trades are received within the minute */

/* Waves of chance, each smoother and larger than the next: a walk that can be entered anywhere. Below 1,000,000 in all. */
static const struct {
	int32_t minutes;
	int32_t ppm;
} waves[] = {
	{ 256 * DAY_MINUTES, 150000 },
	{ 64 * DAY_MINUTES, 80000 },
	{ 16 * DAY_MINUTES, 40000 },
	{ 4 * DAY_MINUTES, 20000 },
	{ DAY_MINUTES, 12000 },
	{ 360, 5000 },
	{ 60, 2500 },
	{ 10, 1200 },
	{ 1, 400 },
};

/* -1,000,000..1,000,000 */
static int64_t noise(uint64_t key, uint64_t wave, int64_t cell)
{
	return (int64_t)chance_below(chance(key + wave, (uint64_t)cell), 2 * PPM + 1) - PPM;
}

static int64_t walk_ppm(uint64_t key, int64_t minute)
{
	int64_t sum = 0;

	for (size_t i = 0; i < sizeof(waves) / sizeof(waves[0]); i++) {
		int64_t period = waves[i].minutes, cell = minute / period, in = minute % period;
		int64_t from = noise(key, i, cell), to = in ? noise(key, i, cell + 1) : 0;

		sum += (from * (period - in) + to * in) / period * waves[i].ppm / PPM;
	}
	return sum;
}

static int64_t walk_ticks(const struct instrument *instrument, int64_t minute)
{
	int64_t ticks = instrument->base_ticks + instrument->base_ticks * walk_ppm(instrument->walk_key, minute) / PPM;

	return ticks > 1 ? ticks : 1;
}

uint64_t series_key(uint64_t seed, const struct dataset *dataset, uint16_t publisher_id,
		    const struct instrument *instrument)
{
	uint64_t key = chance_of_text(seed ^ ((uint64_t)dataset->number << 32 | publisher_id), str_of(instrument->raw));

	return chance(key, (uint64_t)instrument->expiry_day);
}

static bool is_traded(const struct series *series, const struct dataset *dataset, const struct history *history,
		      int64_t number, uint64_t key)
{
	int32_t day = (int32_t)(number / DAY_MINUTES), modified;
	enum day_condition condition;

	if (!calendar_is_open(dataset->kind, day, (uint32_t)(number % DAY_MINUTES)) ||
	    !instrument_is_listed(series->instrument, day))
		return false;
	if (chance_below(chance(key, 1), 100) >= series->instrument->activity)
		return false;
	condition = history_condition(history, dataset, day, &modified);
	if (condition == CONDITION_DEGRADED)
		return chance_below(chance(key, 2), 8) > 0;
	return condition == CONDITION_AVAILABLE;
}

static uint32_t trade_size(uint64_t key, uint32_t index)
{
	return 1 + chance_below(chance(key, 100 + index), SIZE_BELOW);
}

static void fill_minute(const struct instrument *instrument, struct minute *m)
{
	int64_t open = walk_ticks(instrument, m->number), close = walk_ticks(instrument, m->number + 1);
	int64_t top = open > close ? open : close, bottom = open < close ? open : close;
	uint32_t reach = 2 + (uint32_t)(open * WICK_PPM / PPM);

	top += chance_below(chance(m->key, 3), reach);
	bottom -= chance_below(chance(m->key, 4), reach);
	m->open = open * instrument->tick;
	m->close = close * instrument->tick;
	m->high = top * instrument->tick;
	m->low = (bottom > 1 ? bottom : 1) * instrument->tick;
	m->trades = TRADES_MIN + chance_below(chance(m->key, 5), TRADES_MAX - TRADES_MIN + 1);
	m->volume = 0;
	for (uint32_t i = 0; i < m->trades; i++)
		m->volume += trade_size(m->key, i);
}

bool series_minute(const struct series *series, const struct dataset *dataset, const struct history *history,
		   int64_t number, struct minute *ret)
{
	uint64_t key = chance(series->key, (uint64_t)number);
	int revision;

	if (!is_traded(series, dataset, history, number, key))
		return false;
	revision = history_revision(history, series->instrument->raw, number * MINUTE_NS);
	if (revision < 0)
		return false;
	ret->number = number;
	ret->key = revision ? chance(key, 1000 + (uint64_t)revision) : key;
	fill_minute(series->instrument, ret);
	return true;
}

/* The first is the open, the last the close, high and low are the two behind the first. */
static int64_t trade_price(const struct minute *m, uint32_t index, int64_t tick)
{
	bool high_first = (chance(m->key, 6) & 1) != 0;
	uint32_t ticks = (uint32_t)((m->high - m->low) / tick);

	if (index == 0)
		return m->open;
	if (index == m->trades - 1)
		return m->close;
	if (index <= 2)
		return (index == 1) == high_first ? m->high : m->low;
	return m->low + chance_below(chance(m->key, 200 + index), ticks + 1) * tick;
}

void minute_trades(const struct minute *minute, int64_t tick, struct minute_trade ret[TRADES_MAX])
{
	int64_t step = TRADING_NS / minute->trades;

	for (uint32_t i = 0; i < minute->trades; i++) {
		uint64_t place = chance(minute->key, 300 + i);

		ret[i] = (struct minute_trade){
			.ns = minute->number * MINUTE_NS + i * step + (int64_t)(place % (uint64_t)step),
			.price = trade_price(minute, i, tick),
			.size = trade_size(minute->key, i),
		};
	}
}

bool series_span(const struct series *series, const struct dataset *dataset, const struct history *history,
		 int64_t first_minute, int64_t end_minute, struct minute *ret)
{
	bool any = false;
	struct minute m;

	for (int64_t number = first_minute; number < end_minute; number++) {
		if (!series_minute(series, dataset, history, number, &m))
			continue;
		if (!any) {
			*ret = m;
			any = true;
			continue;
		}
		ret->high = m.high > ret->high ? m.high : ret->high;
		ret->low = m.low < ret->low ? m.low : ret->low;
		ret->close = m.close;
		ret->volume += m.volume;
	}
	return any;
}

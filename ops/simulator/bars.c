#include "ops/simulator/bars.h"

#include <inttypes.h>
#include <stdlib.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/decimal.h"
#include "common/mem.h"
#include "ops/simulator/market/chance.h"
#include "stages/fetcher/formats/dbn.h"

#define CENT (DECIMAL_ONE / 100)
#define CENTS_MIN 200 /* a walk turns back here, so that what breaks a bar never makes a price negative too */
#define CENTS_MAX 500000
#define INSTRUMENT_UNMAPPED UINT32_C(4000000001)
#define PRICE_HUGE (INT64_C(9000000000) * DECIMAL_ONE)
#define VOLUME_HUGE UINT64_C(9000000000000000000)

struct session_shape {
	uint16_t schema;
	int64_t first_ns; /* of the day */
	int64_t step_ns;
	uint32_t steps;  /* bars of a symbol per day */
	uint32_t volume; /* about this many shares per bar */
	uint32_t wobble; /* 1/10000 of the price that a bar moves at most */
};

#define MINUTE_NS (60 * NS_PER_SECOND)
#define HOUR_NS (60 * MINUTE_NS)
#define OPEN_NS (14 * HOUR_NS + 30 * MINUTE_NS)

static const struct session_shape shapes[] = {
	{ 5, OPEN_NS, NS_PER_SECOND, 390 * 60, 90, 4 },
	{ 6, OPEN_NS, MINUTE_NS, 390, 4000, 15 },
	{ 7, 14 * HOUR_NS, HOUR_NS, 7, 200000, 80 },
	{ 8, 0, NS_PER_DAY, 1, 1500000, 250 },
};

struct walk {
	uint64_t random;
	int64_t cents;
	uint32_t volume;
};

struct bars {
	struct bars_options options;
	const struct session_shape *shape;
	struct walk *walks; /* one per symbol */
	struct days days;   /* of the sessions */
	uint64_t done;
	uint32_t symbol, step, session; /* of the next bar */
	uint64_t broken_done;
	uint64_t broken_next; /* the bar to be broken next */
};

const char *broken_kind_name(enum broken_kind kind)
{
	static const char *const names[BROKEN_KINDS + 1] = {
		"high_below_low", "high_below_open",     "high_below_close", "low_above_open", "low_above_close",
		"price_zero",     "price_huge",          "price_undefined",  "volume_huge",    "time_future",
		"time_past",      "instrument_unmapped", "time_unaligned",   "none",
	};
	return names[kind];
}

static uint64_t draw(uint64_t *state)
{
	*state += UINT64_C(0x9E3779B97F4A7C15);
	return chance_mix(*state);
}

static uint32_t below(uint64_t *state, uint32_t bound)
{
	return chance_below(draw(state), bound);
}

void bars_symbol(uint32_t symbol, char ret_text[BARS_SYMBOL_MAX])
{
	/* Odd and no multiple of 13: a permutation of the 26^4 texts of four letters. */
	uint32_t n = (uint32_t)((symbol * UINT64_C(160481) + 9049) % 456976);
	unsigned len = 4;

	for (unsigned i = len; i-- > 0; n /= 26)
		ret_text[i] = (char)('A' + n % 26);
	if (symbol % 20 == 19) { /* a share class */
		ret_text[len++] = '.';
		ret_text[len++] = 'B';
	}
	ret_text[len] = '\0';
}

const struct days *bars_days(const struct bars *bars)
{
	return &bars->days;
}

static void start_walks(struct bars *bars)
{
	bars->walks = mem_alloc(bars->options.symbols * sizeof(*bars->walks));
	for (uint32_t i = 0; i < bars->options.symbols; i++) {
		struct walk *walk = &bars->walks[i];

		walk->random = chance_mix(bars->options.seed * UINT64_C(0xD1342543DE82EF95) + i);
		walk->cents = 1000 + below(&walk->random, 49000);
		walk->volume = 1 + bars->shape->volume / (1 + below(&walk->random, 8));
	}
}

/* One bar of every bars/broken consecutive ones, at a place that the seed says. */
static void plan_broken(struct bars *bars)
{
	const struct bars_options *o = &bars->options;
	uint64_t n = bars->broken_done, low, high;

	bars->broken_next = UINT64_MAX;
	if (n >= o->broken)
		return;
	low = (uint64_t)((__uint128_t)o->bars * n / o->broken);
	high = (uint64_t)((__uint128_t)o->bars * (n + 1) / o->broken);
	bars->broken_next = low + chance_mix(o->seed ^ chance_mix(n + 1)) % (high - low);
}

static int check_options(const struct bars_options *o, struct err *err)
{
	if (o->bars == 0 || o->symbols == 0 || o->symbols > BARS_SYMBOLS_MAX)
		return err_set(err, ERR_FATAL, "between 1 and %d symbols and at least one bar are needed",
			       BARS_SYMBOLS_MAX);
	if (o->broken > o->bars)
		return err_set(err, ERR_FATAL, "%" PRIu64 " broken bars of %" PRIu64, o->broken, o->bars);
	return 0;
}

int bars_new(struct bars **ret, const struct bars_options *options, struct err *err)
{
	CLEANUP(bars_freep) struct bars *bars = NULL;

	if (check_options(options, err))
		return -1;
	bars = mem_zalloc(1, sizeof(*bars));
	bars->options = *options;
	for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++)
		if (shapes[i].schema == options->schema)
			bars->shape = &shapes[i];
	if (!bars->shape)
		return err_set(err, ERR_FATAL,
			       "bars of this schema are not made (ohlcv-1s, ohlcv-1m, ohlcv-1h, ohlcv-1d)");
	if (days_plan(&bars->days, options->start_day, options->symbols, options->bars,
		      (uint64_t)options->symbols * bars->shape->steps, "bars", err))
		return -1;
	start_walks(bars);
	plan_broken(bars);
	*ret = STEAL(bars);
	return 0;
}

void bars_freep(struct bars **bars)
{
	struct bars *self = *bars;

	*bars = NULL;
	if (!self)
		return;
	free(self->walks);
	days_release(&self->days);
	free(self);
}

static int64_t clamp_cents(int64_t cents)
{
	if (cents < CENTS_MIN)
		return CENTS_MIN + (CENTS_MIN - cents);
	return cents > CENTS_MAX ? CENTS_MAX : cents;
}

/* The walk goes from the last close to the next: a rare gap, a step, and wicks on both sides. */
static void walk_on(struct walk *walk, const struct session_shape *shape, struct bar *bar)
{
	uint32_t reach = 1 + (uint32_t)(walk->cents * shape->wobble / 10000);
	int64_t open = walk->cents, close, top, bottom;

	if (below(&walk->random, 4) == 0)
		open = clamp_cents(open + (int64_t)below(&walk->random, 2 * reach + 1) - reach);
	close = clamp_cents(open + (int64_t)below(&walk->random, 2 * reach + 1) - reach);
	top = (open > close ? open : close) + below(&walk->random, reach + 1);
	bottom = (open < close ? open : close) - below(&walk->random, reach + 1);
	walk->cents = close;
	bar->open = open * CENT;
	bar->close = close * CENT;
	bar->high = top * CENT;
	bar->low = (bottom > 1 ? bottom : 1) * CENT;
	bar->volume = 1 + below(&walk->random, 2 * walk->volume);
	if (below(&walk->random, 50) == 0) /* a block trade */
		bar->volume *= 2 + below(&walk->random, 9);
}

static void break_time(const struct bars *bars, struct bar *bar)
{
	int32_t day = bar->broken == BROKEN_TIME_PAST ? days_past() : days_future();
	uint64_t in_day = bar->ts_event % (uint64_t)NS_PER_DAY;

	bar->ts_event = (uint64_t)(day * NS_PER_DAY) + in_day;
	bar->instrument_id = days_instrument_id(&bars->days, bar->symbol, day);
}

static void break_bar(const struct bars *bars, struct bar *bar)
{
	int64_t low = bar->low;

	switch (bar->broken) {
	case BROKEN_HIGH_BELOW_LOW:
		bar->low = bar->high + CENT;
		bar->high = low;
		break;
	case BROKEN_HIGH_BELOW_OPEN:
		bar->open = bar->high + CENT;
		break;
	case BROKEN_HIGH_BELOW_CLOSE:
		bar->close = bar->high + CENT;
		break;
	case BROKEN_LOW_ABOVE_OPEN:
		bar->open = low - CENT / 2;
		break;
	case BROKEN_LOW_ABOVE_CLOSE:
		bar->close = low - CENT / 2;
		break;
	case BROKEN_PRICE_ZERO:
		bar->open = bar->high = bar->low = bar->close = 0;
		break;
	case BROKEN_PRICE_HUGE:
		bar->high = PRICE_HUGE;
		break;
	case BROKEN_PRICE_UNDEFINED:
		bar->open = DBN_UNDEF_PRICE;
		break;
	case BROKEN_VOLUME_HUGE:
		bar->volume = VOLUME_HUGE;
		break;
	case BROKEN_TIME_FUTURE:
	case BROKEN_TIME_PAST:
		break_time(bars, bar);
		break;
	case BROKEN_INSTRUMENT_UNMAPPED:
		bar->instrument_id = INSTRUMENT_UNMAPPED;
		break;
	case BROKEN_TIME_UNALIGNED:
		bar->ts_event += (uint64_t)bars->shape->step_ns / 3 + 1;
		break;
	case BROKEN_NOT:
		break;
	}
}

static void move_on(struct bars *bars)
{
	if (++bars->symbol < bars->options.symbols)
		return;
	bars->symbol = 0;
	if (++bars->step < bars->shape->steps)
		return;
	bars->step = 0;
	bars->session++;
}

bool bars_next(struct bars *bars, struct bar *ret)
{
	int32_t day;

	if (bars->done == bars->options.bars)
		return false;
	day = bars->days.list[bars->session];
	ret->symbol = bars->symbol;
	ret->instrument_id = days_instrument_id(&bars->days, bars->symbol, day);
	ret->ts_event = (uint64_t)(day * NS_PER_DAY + bars->shape->first_ns + bars->step * bars->shape->step_ns);
	ret->broken = BROKEN_NOT;
	walk_on(&bars->walks[bars->symbol], bars->shape, ret);
	if (bars->done == bars->broken_next) {
		ret->broken = (enum broken_kind)(bars->broken_done++ % BROKEN_KINDS);
		break_bar(bars, ret);
		plan_broken(bars);
	}
	bars->done++;
	move_on(bars);
	return true;
}

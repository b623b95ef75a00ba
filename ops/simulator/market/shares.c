/* Shares: a few that everybody knows, then made-up ones. */
#include <stdio.h>

#include "ops/simulator/bars.h"
#include "ops/simulator/market/chance.h"
#include "ops/simulator/market/instruments.h"

#define CENT INT64_C(10000000)
#define LATE_EVERY 16 /* one of so many is listed only later */

static const char *const known[] = { "AAPL", "MSFT", "NVDA", "SPY", "QQQ", "TSLA", "AMZN", "BRK.B" };

#define KNOWN (sizeof(known) / sizeof(known[0]))

static int32_t first_day(const struct market_options *options, uint32_t index, uint64_t key)
{
	uint32_t days = (uint32_t)(options->end_day - options->first_day);

	if (index < KNOWN || index % LATE_EVERY != LATE_EVERY - 1)
		return INT32_MIN;
	return options->first_day + (int32_t)chance_below(chance(key, 3), days);
}

void shares_list(struct instruments *instruments, const struct market_options *options)
{
	for (uint32_t i = 0; i < options->shares; i++) {
		struct instrument *share = instruments_add(instruments);
		char name[BARS_SYMBOL_MAX];
		uint64_t key;

		if (i >= KNOWN)
			bars_symbol(i - KNOWN, name);
		snprintf(share->raw, sizeof(share->raw), "%s", i < KNOWN ? known[i] : name);
		key = chance_of_text(options->seed, str_of(share->raw));
		snprintf(share->asset, sizeof(share->asset), "%s", share->raw);
		share->id = 1 + i;
		share->first_day = first_day(options, i, key);
		share->end_day = INT32_MAX;
		share->tick = CENT;
		share->base_ticks = 2000 + chance_below(chance(key, 1), 48000);
		share->instrument_class = 'K';
		share->activity = i < KNOWN ? 100 : 60 + chance_below(chance(key, 2), 41);
		share->walk_key = key;
	}
}

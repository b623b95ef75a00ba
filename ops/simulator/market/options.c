/* Options: calls and puts on a few shares, a chain of strikes for each month, named as OPRA does. */
#include <inttypes.h>
#include <stdio.h>

#include "common/decimal.h"
#include "ops/simulator/market/chance.h"
#include "ops/simulator/market/instruments.h"

#define CENT INT64_C(10000000)
#define STRIKES 9
#define LIFE_MONTHS 3

static const struct {
	const char *name;
	int64_t middle; /* dollars */
	int64_t step;
} underlyings[] = {
	{ "AAPL", 220, 5 },
	{ "SPY", 500, 10 },
	{ "MSFT", 400, 10 },
};

static void list_option(struct instruments *instruments, size_t u, int32_t month, int64_t dollars, char right,
			uint64_t seed)
{
	struct instrument *option = instruments_add(instruments);
	struct civil end;

	option->expiry_day = calendar_third_friday(month);
	end = clock_civil(option->expiry_day);
	snprintf(option->raw, sizeof(option->raw), "%-6.6s%02d%02u%02u%c%05" PRIu32 "000", underlyings[u].name,
		 end.year % 100, end.month % 100u, end.day % 100u, right, (uint32_t)dollars % 100000);
	snprintf(option->parent, sizeof(option->parent), "%s.OPT", underlyings[u].name);
	snprintf(option->asset, sizeof(option->asset), "%s", underlyings[u].name);
	option->id =
		(uint32_t)(500000000 + ((u * 2000 + (uint32_t)month) * 1000 + (uint32_t)dollars) * 2 + (right == 'P'));
	option->first_day = calendar_third_friday(month - LIFE_MONTHS) + 1;
	option->end_day = option->expiry_day + 1;
	option->tick = CENT;
	option->strike = dollars * DECIMAL_ONE;
	option->instrument_class = right;
	option->activity = 6;
	option->walk_key = chance_of_text(seed, str_of(option->raw));
	option->base_ticks = 200 + chance_below(chance(option->walk_key, 1), 2500);
}

void options_list(struct instruments *instruments, const struct market_options *options)
{
	int32_t first = calendar_month_of(options->first_day), last = calendar_month_of(options->end_day) + LIFE_MONTHS;

	for (size_t u = 0; u < sizeof(underlyings) / sizeof(underlyings[0]); u++)
		for (int32_t month = first; month <= last; month++)
			for (int64_t i = 0; i < STRIKES; i++) {
				int64_t dollars = underlyings[u].middle + (i - STRIKES / 2) * underlyings[u].step;

				list_option(instruments, u, month, dollars, 'C', options->seed);
				list_option(instruments, u, month, dollars, 'P', options->seed);
			}
}

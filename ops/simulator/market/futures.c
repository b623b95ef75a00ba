/* Futures: products with their listed months; a contract ends on its month's third Friday. */
#include <stdio.h>
#include <string.h>

#include "ops/simulator/market/chance.h"
#include "ops/simulator/market/instruments.h"

static const struct {
	const char *name;
	int32_t every_months; /* 3: March, June, September, December */
	int64_t tick;
	int64_t base_ticks;
} products[] = {
	{ "ES", 3, 250000000, 16000 }, { "NQ", 3, 250000000, 60000 }, { "ZN", 3, 15625000, 7200 },
	{ "CL", 1, 10000000, 7500 },   { "GC", 2, 100000000, 20000 },
};

static const char month_letters[] = "FGHJKMNQUVXZ";

/* Listed as long as at most FUTURES_RANKS contracts of the product are. */
static void list_contract(struct instruments *instruments, size_t product, int32_t month, uint64_t seed)
{
	struct instrument *contract = instruments_add(instruments);
	const char *name = products[product].name;

	snprintf(contract->raw, sizeof(contract->raw), "%s%c%d", name, month_letters[month % 12], month / 12 % 10);
	snprintf(contract->parent, sizeof(contract->parent), "%s.FUT", name);
	snprintf(contract->asset, sizeof(contract->asset), "%s", name);
	contract->id = (uint32_t)(1000 + product * 5000 + (uint32_t)month);
	contract->expiry_day = calendar_third_friday(month);
	contract->first_day = calendar_third_friday(month - FUTURES_RANKS * products[product].every_months) + 1;
	contract->end_day = contract->expiry_day + 1;
	contract->tick = products[product].tick;
	contract->base_ticks = products[product].base_ticks + month % 120 * products[product].base_ticks / 2000;
	contract->instrument_class = 'F';
	contract->walk_key = chance_of_text(seed, str_of(name));
	contract->activity = 70 + chance_below(chance(contract->walk_key, (uint64_t)month), 31);
}

void futures_list(struct instruments *instruments, const struct market_options *options)
{
	int32_t first = calendar_month_of(options->first_day), last = calendar_month_of(options->end_day);

	for (size_t p = 0; p < sizeof(products) / sizeof(products[0]); p++)
		for (int32_t month = first; month <= last + FUTURES_RANKS * products[p].every_months; month++)
			if ((month + 1) % products[p].every_months == 0)
				list_contract(instruments, p, month, options->seed);
}

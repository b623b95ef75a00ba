#include "ops/simulator/days.h"

#include <inttypes.h>
#include <stdlib.h>

#include "common/clock.h"
#include "common/mem.h"
#include "ops/simulator/market/calendar.h"

#define LAST_YEAR 2100
#define INSTRUMENT_IDS 10007 /* prime, so that a day's shift moves every id */
#define INSTRUMENT_DAILY_SHIFT 613

int32_t days_past(void)
{
	return clock_days((struct civil){ 1980, 1, 2 });
}

int32_t days_future(void)
{
	return clock_days((struct civil){ LAST_YEAR + 50, 1, 4 });
}

static int32_t next_weekday(int32_t day)
{
	while (!calendar_is_trading_day(day))
		day++;
	return day;
}

int days_plan(struct days *ret, int32_t start_day, uint32_t symbols, uint64_t records, uint64_t per_day,
	      const char *what, struct err *err)
{
	uint64_t count = records / per_day + (records % per_day > 0);
	int32_t day = start_day, last = clock_days((struct civil){ LAST_YEAR, 1, 1 });

	if (day <= days_past())
		return err_set(err, ERR_FATAL,
			       "the start must be after 1980-01-02, which is for bars with a broken time");
	if (count > (uint64_t)last)
		count = (uint64_t)last; /* too many in any case: refused below */
	*ret = (struct days){
		.list = mem_alloc((size_t)count * sizeof(*ret->list)),
		.count = (uint32_t)count,
		.symbols = symbols,
		.per_day = per_day,
	};
	for (uint32_t i = 0; i < ret->count; i++) {
		day = next_weekday(day);
		ret->list[i] = day++;
		if (day > last)
			return err_set(err, ERR_FATAL,
				       "%" PRIu64 " %s of %" PRIu32
				       " symbols reach past %d: more symbols, fewer %s or an earlier start",
				       records, what, symbols, LAST_YEAR, what);
	}
	return 0;
}

void days_release(struct days *days)
{
	free(days->list);
	*days = (struct days){ 0 };
}

uint32_t days_instrument_id(const struct days *days, uint32_t symbol, int32_t day)
{
	uint64_t ids = INSTRUMENT_IDS;

	if (days->symbols > ids / 2)
		ids = (uint64_t)days->symbols * 2 + 1;
	return (uint32_t)(1 + (symbol + (uint64_t)day * INSTRUMENT_DAILY_SHIFT) % ids);
}

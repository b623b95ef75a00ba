#include "ops/simulator/market/calendar.h"

#define OPEN_MINUTE (14 * 60 + 30)
#define CLOSE_MINUTE (21 * 60)
#define PAUSE_MINUTE (22 * 60)
#define EVENING_MINUTE (23 * 60)
#define FRIDAY 4

/* 0: Monday. 1970-01-01 was a Thursday. */
static int32_t weekday_of(int32_t day)
{
	return ((day + 3) % 7 + 7) % 7;
}

bool calendar_is_trading_day(int32_t day)
{
	return weekday_of(day) <= FRIDAY;
}

bool calendar_has_trading_day(int32_t first_day, int32_t end_day)
{
	for (int32_t day = first_day; day < end_day; day++)
		if (calendar_is_trading_day(day))
			return true;
	return false;
}

bool calendar_is_open(enum market_kind kind, int32_t day, uint32_t minute)
{
	if (!calendar_is_trading_day(day))
		return false;
	if (kind != MARKET_FUTURES)
		return minute >= OPEN_MINUTE && minute < CLOSE_MINUTE;
	return minute < PAUSE_MINUTE || (minute >= EVENING_MINUTE && weekday_of(day) != FRIDAY);
}

int32_t calendar_third_friday(int32_t month)
{
	int32_t first = clock_days((struct civil){ 1970 + month / 12, (uint8_t)(1 + month % 12), 1 });

	return first + (FRIDAY - weekday_of(first) + 7) % 7 + 14;
}

int32_t calendar_month_of(int32_t day)
{
	struct civil c = clock_civil(day);

	return (c.year - 1970) * 12 + c.month - 1;
}

#pragma once
/* When markets are open: weekdays only, without holidays and without summer time. */
#include <stdbool.h>
#include <stdint.h>

#include "common/clock.h"

#define MINUTE_NS (60 * NS_PER_SECOND)
#define HOUR_NS (60 * MINUTE_NS)
#define DAY_MINUTES 1440

enum market_kind { MARKET_EQUITIES, MARKET_FUTURES, MARKET_OPTIONS };

bool calendar_is_trading_day(int32_t day);
bool calendar_has_trading_day(int32_t first_day, int32_t end_day);

/* Monday to Friday: shares and options from 14:30 to 21:00 UTC, futures but for 22:00 to 23:00 and Friday's evening. */
bool calendar_is_open(enum market_kind kind, int32_t day, uint32_t minute);

/* When contracts of a month (0: January 1970) end. */
int32_t calendar_third_friday(int32_t month);
int32_t calendar_month_of(int32_t day);

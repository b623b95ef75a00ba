#pragma once
/*
 * Time: nanoseconds since 1970-01-01 UTC in an int64, and days since then in
 * an int32. The calendar is the proleptic Gregorian one.
 */
#include <stdbool.h>
#include <stdint.h>

#include "common/str.h"

#define NS_PER_MS INT64_C(1000000)
#define NS_PER_SECOND INT64_C(1000000000)
#define NS_PER_DAY (INT64_C(86400) * NS_PER_SECOND)
#define CLOCK_TEXT_MAX 36 /* bytes with NUL: 2024-01-31T23:59:59.123456789Z */

int64_t clock_now_ns(void);       /* wall clock */
int64_t clock_monotonic_ns(void); /* for durations */

/* "2024-01-31T23:59:59.123456789Z"; digits is 0, 3, 6 or 9. Returns the length. */
unsigned clock_format(int64_t ns, unsigned digits, char text[CLOCK_TEXT_MAX]);

/* "2024-01-31". Returns the length. */
unsigned clock_format_date(int32_t days, char text[CLOCK_TEXT_MAX]);

struct civil {
	int32_t year;
	uint8_t month; /* 1..12 */
	uint8_t day;   /* 1..31 */
};

int32_t clock_days(struct civil civil);
struct civil clock_civil(int32_t days);

/* The day that holds ns, also before 1970. */
int32_t clock_day_of(int64_t ns);

/* 20240131 -> days; false where that is no date. */
bool clock_days_of_yyyymmdd(uint32_t yyyymmdd, int32_t *ret_days);

/* "2024-01-31" or "2024-01-31T23:59:59[.fraction][Z]" in UTC; false where it is neither. */
bool clock_parse(struct str text, int64_t *ret_ns);

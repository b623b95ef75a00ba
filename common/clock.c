#include "common/clock.h"

#include <stdio.h>
#include <time.h>

static int64_t now(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return (int64_t)ts.tv_sec * NS_PER_SECOND + ts.tv_nsec;
}

int64_t clock_now_ns(void)
{
	return now(CLOCK_REALTIME);
}

int64_t clock_monotonic_ns(void)
{
	return now(CLOCK_MONOTONIC);
}

static int64_t floor_div(int64_t a, int64_t b)
{
	return a / b - (a % b < 0);
}

/* Days from civil and back: Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms". */
int32_t clock_days(struct civil civil)
{
	int32_t y = civil.year - (civil.month <= 2);
	int32_t era = (int32_t)floor_div(y, 400);
	uint32_t yoe = (uint32_t)(y - era * 400);
	uint32_t doy = (153U * (civil.month + (civil.month > 2 ? -3U : 9U)) + 2U) / 5U + civil.day - 1U;
	uint32_t doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;

	return era * 146097 + (int32_t)doe - 719468;
}

struct civil clock_civil(int32_t days)
{
	int64_t z = (int64_t)days + 719468;
	int64_t era = floor_div(z, 146097);
	uint32_t doe = (uint32_t)(z - era * 146097);
	uint32_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
	uint32_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
	uint32_t mp = (5 * doy + 2) / 153;
	uint8_t month = (uint8_t)(mp < 10 ? mp + 3 : mp - 9);

	return (struct civil){
		.year = (int32_t)((int64_t)yoe + era * 400) + (month <= 2),
		.month = month,
		.day = (uint8_t)(doy - (153 * mp + 2) / 5 + 1),
	};
}

int32_t clock_day_of(int64_t ns)
{
	return (int32_t)floor_div(ns, NS_PER_DAY);
}

unsigned clock_format_date(int32_t days, char text[CLOCK_TEXT_MAX])
{
	struct civil c = clock_civil(days);

	return (unsigned)snprintf(text, CLOCK_TEXT_MAX, "%04d-%02u-%02u", c.year, c.month, c.day);
}

unsigned clock_format(int64_t ns, unsigned digits, char text[CLOCK_TEXT_MAX])
{
	static const uint32_t divisor[] = { 1000000000, 100000000, 10000000, 1000000, 100000, 10000, 1000, 100, 10, 1 };
	int32_t day = clock_day_of(ns);
	int64_t rest = ns % NS_PER_DAY + (ns % NS_PER_DAY < 0 ? NS_PER_DAY : 0); /* the first day begins out of range */
	unsigned s = (unsigned)(rest / NS_PER_SECOND);
	unsigned n = clock_format_date(day, text);

	n += (unsigned)snprintf(text + n, CLOCK_TEXT_MAX - n, "T%02u:%02u:%02u", s / 3600, s / 60 % 60, s % 60);
	if (digits > 0)
		n += (unsigned)snprintf(text + n, CLOCK_TEXT_MAX - n, ".%0*u", (int)digits,
					(unsigned)(rest % NS_PER_SECOND) / divisor[digits]);
	n += (unsigned)snprintf(text + n, CLOCK_TEXT_MAX - n, "Z");
	return n;
}

static bool is_date(struct civil c)
{
	struct civil back;

	if (c.month < 1 || c.month > 12 || c.day < 1 || c.day > 31)
		return false;
	back = clock_civil(clock_days(c));
	return back.month == c.month && back.day == c.day;
}

bool clock_days_of_yyyymmdd(uint32_t yyyymmdd, int32_t *ret_days)
{
	struct civil c = {
		.year = (int32_t)(yyyymmdd / 10000),
		.month = (uint8_t)(yyyymmdd / 100 % 100),
		.day = (uint8_t)(yyyymmdd % 100),
	};

	if (yyyymmdd > 99991231 || !is_date(c))
		return false;
	*ret_days = clock_days(c);
	return true;
}

/* Exactly n digits at *p. */
static bool take_number(const char **p, const char *end, unsigned n, uint32_t *ret)
{
	*ret = 0;
	for (; n > 0; n--, (*p)++) {
		if (*p >= end || **p < '0' || **p > '9')
			return false;
		*ret = *ret * 10 + (uint32_t)(**p - '0');
	}
	return true;
}

static bool take_char(const char **p, const char *end, char c)
{
	if (*p >= end || **p != c)
		return false;
	(*p)++;
	return true;
}

static bool take_time(const char **p, const char *end, int64_t *ret_ns)
{
	uint32_t h, m, s, fraction = 0, unit = NS_PER_SECOND;

	if (!take_number(p, end, 2, &h) || !take_char(p, end, ':') || !take_number(p, end, 2, &m) ||
	    !take_char(p, end, ':') || !take_number(p, end, 2, &s) || h > 23 || m > 59 || s > 59)
		return false;
	if (take_char(p, end, '.'))
		for (; *p < end && **p >= '0' && **p <= '9' && unit > 1; (*p)++) {
			unit /= 10;
			fraction += (uint32_t)(**p - '0') * unit;
		}
	take_char(p, end, 'Z');
	*ret_ns = (int64_t)(h * 3600 + m * 60 + s) * NS_PER_SECOND + fraction;
	return true;
}

bool clock_parse(struct str text, int64_t *ret_ns)
{
	const char *p = text.data, *end = p + text.len;
	uint32_t y, m, d;
	int64_t in_day = 0, ns;
	struct civil c;

	if (!take_number(&p, end, 4, &y) || !take_char(&p, end, '-') || !take_number(&p, end, 2, &m) ||
	    !take_char(&p, end, '-') || !take_number(&p, end, 2, &d))
		return false;
	c = (struct civil){ (int32_t)y, (uint8_t)m, (uint8_t)d };
	if (!is_date(c))
		return false;
	if (p < end && (!(take_char(&p, end, 'T') || take_char(&p, end, ' ')) || !take_time(&p, end, &in_day)))
		return false;
	if (p != end || __builtin_mul_overflow((int64_t)clock_days(c), NS_PER_DAY, &ns) ||
	    __builtin_add_overflow(ns, in_day, &ns))
		return false;
	*ret_ns = ns;
	return true;
}

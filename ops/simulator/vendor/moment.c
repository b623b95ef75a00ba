#include "ops/simulator/vendor/moment.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ops/simulator/market/calendar.h"

#define TEXT_MAX 48
#define NS_MAX (100000 * NS_PER_DAY) /* the year 2243 */

static bool parse_ns(const char *text, int64_t *ret_ns)
{
	char *end;

	errno = 0;
	*ret_ns = strtoll(text, &end, 10);
	return isdigit((unsigned char)*text) && *end == '\0' && errno == 0 && *ret_ns <= NS_MAX;
}

/* Cuts "+01:00", "-0500" or "Z" off behind the time of day. */
static bool cut_offset(char *text, int64_t *ret_ns)
{
	char *time = strchr(text, 'T'), *sign;
	unsigned hours, minutes = 0;

	*ret_ns = 0;
	if (!time)
		return true;
	if (text[strlen(text) - 1] == 'Z') {
		text[strlen(text) - 1] = '\0';
		return true;
	}
	sign = strpbrk(time, "+-");
	if (!sign)
		return true;
	if (sscanf(sign + 1, "%2u:%2u", &hours, &minutes) < 1 || hours > 23 || minutes > 59)
		return false;
	*ret_ns = (*sign == '-' ? -1 : 1) * (hours * HOUR_NS + minutes * MINUTE_NS);
	*sign = '\0';
	return true;
}

/* "2024-01-02T14" and "2024-01-02T14:30" get the rest; the length tells the resolution. */
static int64_t complete(char *text)
{
	static const struct {
		size_t length;
		int64_t step;
		const char *rest;
	} parts[] = {
		{ 10, NS_PER_DAY, "" },
		{ 13, HOUR_NS, ":00:00" },
		{ 16, MINUTE_NS, ":00" },
		{ 19, NS_PER_SECOND, "" },
	};
	size_t length = strlen(text);

	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
		if (parts[i].length == length) {
			memcpy(text + length, parts[i].rest, strlen(parts[i].rest) + 1);
			return parts[i].step;
		}
	return 1;
}

bool moment_parse(const char *text, int64_t *ret_ns, int64_t *ret_next)
{
	char copy[TEXT_MAX];
	int64_t offset, step;

	if (parse_ns(text, ret_ns)) {
		*ret_next = *ret_ns + 1;
		return true;
	}
	if (strlen(text) > TEXT_MAX - 8)
		return false;
	snprintf(copy, sizeof(copy), "%s", text);
	if (strlen(copy) > 10 && copy[10] == ' ') /* str() of a time in Python */
		copy[10] = 'T';
	if (!cut_offset(copy, &offset))
		return false;
	step = complete(copy);
	if (!clock_parse(str_of(copy), ret_ns))
		return false;
	if (*ret_ns < -NS_MAX || *ret_ns > NS_MAX)
		return false;
	*ret_ns -= offset;
	*ret_next = *ret_ns + step;
	return true;
}

#include "stages/orchestrator/windows.h"

#include <stddef.h>
#include <string.h>

#include "common/clock.h"

const char *const window_chunks[] = {
	[CHUNK_DAY] = "day", [CHUNK_WEEK] = "week", [CHUNK_MONTH] = "month", [CHUNK_YEAR] = "year", NULL,
};

#define DAYS_PER_WEEK 7
#define FIRST_MONDAY 4 /* 1970-01-05 */

enum window_chunk window_chunk_of(const char *name)
{
	unsigned i = 0;

	while (window_chunks[i + 1] && strcmp(window_chunks[i], name) != 0)
		i++;
	return (enum window_chunk)i;
}

static int32_t next_monday(int32_t day)
{
	int32_t weekday = (day - FIRST_MONDAY) % DAYS_PER_WEEK;

	return day + DAYS_PER_WEEK - (weekday < 0 ? weekday + DAYS_PER_WEEK : weekday);
}

int32_t window_next(enum window_chunk chunk, int32_t day)
{
	struct civil at = clock_civil(day);

	switch (chunk) {
	case CHUNK_DAY:
		return day + 1;
	case CHUNK_WEEK:
		return next_monday(day);
	case CHUNK_MONTH:
		return at.month == 12 ? clock_days((struct civil){ at.year + 1, 1, 1 })
				      : clock_days((struct civil){ at.year, (uint8_t)(at.month + 1), 1 });
	default:
		return clock_days((struct civil){ at.year + 1, 1, 1 });
	}
}

static int64_t least(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/* How many of the days follow one another without a gap, in one chunk. */
static unsigned stretch(enum window_chunk chunk, const int32_t *days, unsigned count)
{
	int32_t next = window_next(chunk, days[0]);
	unsigned n = 1;

	while (n < count && days[n] == days[n - 1] + 1 && days[n] < next)
		n++;
	return n;
}

unsigned windows_cut(const struct window *bounds, enum window_chunk chunk, const int32_t *days, unsigned count,
		     struct window *ret)
{
	unsigned found = 0;

	for (unsigned i = 0, n; i < count; i += n) {
		struct window w;

		n = stretch(chunk, &days[i], count - i);
		w.start = days[i] * NS_PER_DAY;
		if (w.start < bounds->start)
			w.start = bounds->start;
		w.until = least((days[i + n - 1] + 1) * NS_PER_DAY, bounds->until);
		w.end = least(w.until, bounds->end);
		if (w.start < w.end)
			ret[found++] = w;
	}
	return found;
}

struct window_days window_days(const struct window *w, int64_t covered_end)
{
	struct window_days days = { .first = clock_day_of(w->start), .last = clock_day_of(w->until - 1) };
	int32_t at;

	if (covered_end > w->end)
		covered_end = w->end;
	if (covered_end < w->start)
		covered_end = w->start;
	at = clock_day_of(covered_end);
	days.full_to = covered_end == w->until ? days.last : at - 1;
	days.partial =
		covered_end > w->start && covered_end > at * NS_PER_DAY && at > days.full_to ? at : days.last + 1;
	return days;
}

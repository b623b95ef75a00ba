#include "stages/transformer/session.h"

#include <stdlib.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/mem.h"
#include "common/tz.h"

#define DAY 86400
#define SATURDAY 2 /* days since 1970 modulo 7: 1970-01-01 was a Thursday */
#define SUNDAY 3

struct session {
	const struct dataset *dataset;
	struct tz *tz;
	int64_t from_ns, to_ns; /* the one found last */
	int64_t opens_ns, closes_ns;
	int32_t date;
};

struct sessions {
	const struct datasets *datasets;
	unsigned count;
	struct session *list; /* in the order of `datasets` */
};

int sessions_open(struct sessions **ret, const struct datasets *datasets, struct err *err)
{
	CLEANUP(sessions_freep) struct sessions *all = mem_zalloc(1, sizeof(*all));

	all->datasets = datasets;
	all->list = mem_zalloc(datasets_count(datasets) + 1, sizeof(*all->list));
	for (; all->count < datasets_count(datasets); all->count++) {
		struct session *s = &all->list[all->count];

		s->dataset = datasets_at(datasets, all->count);
		if (tz_open(&s->tz, s->dataset->timezone, err))
			return err_wrap(err, "dataset %.*s", STR_ARG(s->dataset->name));
	}
	*ret = STEAL(all);
	return 0;
}

void sessions_freep(struct sessions **pointer)
{
	struct sessions *all = *pointer;

	if (!all)
		return;
	for (unsigned i = 0; i < all->count; i++)
		tz_freep(&all->list[i].tz);
	free(all->list);
	free(all);
	*pointer = NULL;
}

struct session *sessions_find(struct sessions *all, struct str name)
{
	const struct dataset *found = datasets_find(all->datasets, name);

	return found ? &all->list[found - datasets_at(all->datasets, 0)] : NULL;
}

/* The first instant at which the wall clock of that date shows so many seconds after midnight. */
static int64_t at(const struct session *s, int32_t date, int32_t seconds)
{
	return tz_utc(s->tz, (int64_t)date * DAY + seconds);
}

static int64_t begin(const struct session *s, int32_t date)
{
	return at(s, date, s->dataset->session_start);
}

/* Nanoseconds of an instant that may be a day beyond what they can tell. */
static int64_t to_ns(int64_t seconds)
{
	int64_t ns;

	if (__builtin_mul_overflow(seconds, NS_PER_SECOND, &ns))
		return seconds < 0 ? INT64_MIN : INT64_MAX;
	return ns;
}

static int64_t floor_seconds(int64_t ns)
{
	return ns / NS_PER_SECOND - (ns % NS_PER_SECOND < 0);
}

static bool is_weekend(int32_t date)
{
	int32_t day = (date % 7 + 7) % 7;

	return day == SATURDAY || day == SUNDAY;
}

static void find_hours(struct session *s)
{
	const struct dataset *d = s->dataset;

	if (!d->has_hours) {
		s->opens_ns = s->from_ns;
		s->closes_ns = s->to_ns;
	} else if (is_weekend(s->date)) {
		s->opens_ns = s->closes_ns = s->to_ns;
	} else {
		s->opens_ns = to_ns(at(s, s->date, d->opens));
		s->closes_ns = to_ns(at(s, s->date, d->closes));
	}
}

/* The wall clock gives a date that is off by one at most, where a change of clocks is near. */
static void find_session(struct session *s, int64_t ts_ns)
{
	int64_t utc = floor_seconds(ts_ns), day = tz_local(s->tz, utc) - s->dataset->session_start;
	int32_t date = (int32_t)(day / DAY - (day % DAY < 0));

	while (utc < begin(s, date))
		date--;
	while (utc >= begin(s, date + 1))
		date++;
	s->date = date;
	s->from_ns = to_ns(begin(s, date));
	s->to_ns = to_ns(begin(s, date + 1));
	find_hours(s);
}

int32_t session_date(struct session *s, int64_t ts_ns)
{
	if (ts_ns < s->from_ns || ts_ns >= s->to_ns)
		find_session(s, ts_ns);
	return s->date;
}

bool session_is_open(struct session *s, int64_t ts_ns)
{
	session_date(s, ts_ns);
	return ts_ns >= s->opens_ns && ts_ns < s->closes_ns;
}

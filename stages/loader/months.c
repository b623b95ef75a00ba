#include "stages/loader/months.h"

#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/mem.h"

#define FIRST_YEAR 1900
#define MONTHS (12 * 400) /* until 2299: beyond what nanoseconds in an int64 hold */

struct months {
	const char *table;
	int64_t from, to; /* ns: the month of the last note, as most have the same */
	bool needed[MONTHS], known[MONTHS];
	unsigned open[MONTHS]; /* needed and not known */
	unsigned open_count;
};

struct months *months_new(const char *table)
{
	struct months *months = mem_zalloc(1, sizeof(*months));

	months->table = table;
	return months;
}

void months_freep(struct months **months)
{
	free(*months);
	*months = NULL;
}

static int64_t month_start(unsigned index)
{
	struct civil first = { (int32_t)(FIRST_YEAR + index / 12), (uint8_t)(index % 12 + 1), 1 };

	return clock_days(first) * NS_PER_DAY;
}

void months_note(struct months *months, int64_t ts)
{
	struct civil day;
	unsigned index;

	if (ts >= months->from && ts < months->to)
		return;
	if (ts < MONTHS_FROM || ts >= MONTHS_TO)
		return;
	day = clock_civil(clock_day_of(ts));
	index = (unsigned)(day.year - FIRST_YEAR) * 12 + day.month - 1;
	months->from = month_start(index);
	months->to = month_start(index + 1);
	if (!months->known[index] && !months->needed[index]) {
		months->needed[index] = true;
		months->open[months->open_count++] = index;
	}
}

void months_forget(struct months *months)
{
	memset(months->known, 0, sizeof(months->known));
	months->from = months->to = 0;
}

int months_ensure(struct months *months, struct pg *pg, struct err *err)
{
	char day[CLOCK_TEXT_MAX];

	for (; months->open_count > 0; months->open_count--) {
		unsigned index = months->open[months->open_count - 1];

		clock_format_date(clock_day_of(month_start(index)), day);
		if (pg_query(pg, "SELECT etl.ensure_month($1::text::regclass, $2::date)", PG_PARAMS(months->table, day),
			     NULL, err))
			return err_wrap(err, "partition of %s for %s", months->table, day);
		months->needed[index] = false;
		months->known[index] = true;
	}
	return 0;
}

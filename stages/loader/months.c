#include "stages/loader/months.h"

#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"

#define FIRST_YEAR 1900
#define UNPACK_ROWS 5000 /* fewer are written into a compressed chunk as it is: each costs a thousand, its neighbours */
#define UNPACKED_NS (600 * NS_PER_SECOND)
#define LIST_MAX 65536
#define MONTHS (12 * 400) /* until 2299: beyond what nanoseconds in an int64 hold */

struct months {
	const char *table;
	int64_t from, to; /* ns: the month of the last note, as most have the same */
	bool needed[MONTHS], known[MONTHS];
	unsigned open[MONTHS]; /* needed and not known */
	unsigned open_count;

	/* of the batch */
	unsigned now; /* the month of the last note */
	uint32_t rows[MONTHS];
	unsigned touched[MONTHS], touched_count;
	int64_t unpacked_ns[MONTHS]; /* when its chunks were made plain ones, or were: not asked again for a while */
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

	if (ts >= months->from && ts < months->to) {
		months->rows[months->now]++;
		return;
	}
	if (ts < MONTHS_FROM || ts >= MONTHS_TO)
		return;
	day = clock_civil(clock_day_of(ts));
	index = (unsigned)(day.year - FIRST_YEAR) * 12 + day.month - 1;
	months->from = month_start(index);
	months->to = month_start(index + 1);
	months->now = index;
	if (months->rows[index]++ == 0)
		months->touched[months->touched_count++] = index;
	if (!months->known[index] && !months->needed[index]) {
		months->needed[index] = true;
		months->open[months->open_count++] = index;
	}
}

void months_begin(struct months *months)
{
	for (unsigned i = 0; i < months->touched_count; i++)
		months->rows[months->touched[i]] = 0;
	months->touched_count = 0;
	months->from = months->to = 0;
}

void months_forget(struct months *months)
{
	memset(months->known, 0, sizeof(months->known));
	memset(months->unpacked_ns, 0, sizeof(months->unpacked_ns));
	months_begin(months);
}

/* --- compressed chunks ----------------------------------------------------------------------------------------------- */

static bool is_wanted(const struct months *months, unsigned index, int64_t now)
{
	return months->rows[index] >= UNPACK_ROWS &&
	       (months->unpacked_ns[index] == 0 || now - months->unpacked_ns[index] > UNPACKED_NS);
}

/* "{2020-01-01,2020-02-01}"; "" where there are none. */
static void list_wanted(struct months *months, bool all, struct buf *list)
{
	int64_t now = clock_monotonic_ns();
	char day[CLOCK_TEXT_MAX];

	for (unsigned i = 0; i < months->touched_count; i++) {
		if (!all && !is_wanted(months, months->touched[i], now))
			continue;
		months->unpacked_ns[months->touched[i]] = now;
		clock_format_date(clock_day_of(month_start(months->touched[i])), day);
		buf_printf(list, "%c%s", list->len ? ',' : '{', day);
	}
	if (list->len)
		buf_put_u8(list, '}');
}

int months_unpack(struct months *months, struct pg *pg, bool all, struct err *err)
{
	CLEANUP(pg_result_freep) struct pg_result *r = NULL;
	CLEANUP(buf_release) struct buf list = BUF_INIT(LIST_MAX);

	list_wanted(months, all, &list);
	if (list.len == 0)
		return 0;
	if (pg_query(pg, "SELECT etl.unpack_months($1, $2::date[])", PG_PARAMS(months->table, buf_text(&list)), &r,
		     err))
		return err_wrap(err, "chunks of %s that are compressed", months->table);
	if (pg_int(r, 0, 0) > 0)
		log_info("chunks_unpacked",
			 LOG_FIELDS(log_str("table", months->table), log_i64("chunks", pg_int(r, 0, 0))),
			 "%s chunks of %s hold late rows, and are compressed again by their policy", pg_text(r, 0, 0),
			 months->table);
	return 0;
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

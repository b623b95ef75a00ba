#include "common/clock.h"
#include "stages/transformer/transform_internal.h"

#define NS_PER_MICROSECOND 1000

/* Bars by what their schema is called; their starts are multiples of `boundary_ns` since 1970. */
struct interval {
	struct str schema, name;
	int64_t boundary_ns; /* 0: anywhere */
	bool utc;            /* the day is that of UTC whatever the venue's is */
};

static const struct interval intervals[] = {
	{ STR_LIT("ohlcv-1s"), STR_LIT("1s"), NS_PER_SECOND, false },
	{ STR_LIT("ohlcv-1m"), STR_LIT("1m"), 60 * NS_PER_SECOND, false },
	{ STR_LIT("ohlcv-1h"), STR_LIT("1h"), 3600 * NS_PER_SECOND, false },
	{ STR_LIT("ohlcv-1d"), STR_LIT("1d"), NS_PER_DAY, true },
	{ STR_LIT("ohlcv-eod"), STR_LIT("eod"), 0, false },
};
static const size_t interval_count = sizeof(intervals) / sizeof(intervals[0]);

static const struct interval *find_interval(struct str schema, struct err *err)
{
	for (size_t i = 0; i < interval_count; i++)
		if (str_eq(schema, intervals[i].schema))
			return &intervals[i];
	err_set(err, ERR_RECORD, "schema '%.*s' is none of bars (ohlcv-1s, ohlcv-1m, ohlcv-1h, ohlcv-1d, ohlcv-eod)",
		STR_ARG(transform_shown(schema)));
	return NULL;
}

static int check_time(int64_t ts_event, const struct interval *interval, struct err *err)
{
	char text[CLOCK_TEXT_MAX];

	if (interval->boundary_ns && ts_event % interval->boundary_ns != 0) {
		clock_format(ts_event, 9, text);
		return err_set(err, ERR_RECORD, "ts_event %s is not on a %.*s boundary", text, STR_ARG(interval->name));
	}
	if (ts_event % NS_PER_MICROSECOND != 0) {
		clock_format(ts_event, 9, text);
		return err_set(err, ERR_RECORD, "ts_event %s is not in whole microseconds", text);
	}
	return 0;
}

static int copy_prices(const struct ohlcv *in, struct ohlcv_clean *out, struct err *err)
{
	static const struct {
		unsigned bit;
		const char *name;
	} prices[] = { { OHLCV_OPEN, "open" }, { OHLCV_HIGH, "high" }, { OHLCV_LOW, "low" }, { OHLCV_CLOSE, "close" } };

	out->open_price = in->open;
	out->high_price = in->high;
	out->low_price = in->low;
	out->close_price = in->close;
	if (in->present == OHLCV_PRESENT)
		return 0;
	for (size_t i = 0; i < sizeof(prices) / sizeof(prices[0]); i++)
		if (!(in->present >> prices[i].bit & 1))
			return err_set(err, ERR_RECORD, "%s is null: a bar's row has four prices", prices[i].name);
	return 0;
}

int transform_bar(struct transform *t, const struct ohlcv *in, struct ohlcv_clean *out, struct err *err)
{
	const struct interval *interval = find_interval(in->schema, err);
	struct market_place place;

	if (!interval || check_time(in->ts_event, interval, err) || copy_prices(in, out, err))
		return -1;
	const struct market_query query = { in->symbol, in->dataset, in->publisher_id, in->ts_event, interval->utc };

	if (market_find(t->market, &query, &place, err))
		return -1;
	out->interval = interval->name;
	out->flags |= place.closed && interval->boundary_ns ? FLAG_MARKET_CLOSED : 0;
	TRANSFORM_PUT_PLACE(out, place, OHLCV_CLEAN_VENUE);
	return 0;
}

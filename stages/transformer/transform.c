#include "stages/transformer/transform.h"

#include <stdlib.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/embed.h"
#include "common/mem.h"
#include "stages/transformer/publisher.h"
#include "stages/transformer/session.h"
#include "stages/transformer/symbol.h"

#define DATASETS_FILE "stages/transformer/datasets.yaml"
#define PUBLISHERS_FILE "stages/transformer/publishers.yaml"
#define DATASET_NAME_MAX 64 /* of what is remembered; Databento's are 16 */
#define NS_PER_MICROSECOND 1000
#define SHOWN_MAX 64 /* bytes of a value in an error */

#define BIT(field) (UINT64_C(1) << (field))

struct transform {
	struct datasets *datasets;
	struct publishers *publishers;
	char dataset_name[DATASET_NAME_MAX]; /* the dataset asked for last */
	uint32_t dataset_length;
	struct dataset *dataset; /* NULL: not in the file */
	char ticker[TICKER_MAX];
};

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

int transform_open(struct transform **ret, struct err *err)
{
	CLEANUP(transform_freep) struct transform *t = mem_zalloc(1, sizeof(*t));

	if (datasets_read(&t->datasets, DATASETS_FILE, embed_find(DATASETS_FILE), err) ||
	    publishers_read(&t->publishers, PUBLISHERS_FILE, embed_find(PUBLISHERS_FILE), err))
		return -1;
	*ret = STEAL(t);
	return 0;
}

void transform_freep(struct transform **transform)
{
	if (!*transform)
		return;
	datasets_freep(&(*transform)->datasets);
	publishers_freep(&(*transform)->publishers);
	free(*transform);
	*transform = NULL;
}

/* For "%.*s" in an error, which has no room for more. */
static struct str shown(struct str s)
{
	return (struct str){ s.data, s.len < SHOWN_MAX ? s.len : SHOWN_MAX };
}

static const struct interval *find_interval(struct str schema, struct err *err)
{
	for (size_t i = 0; i < interval_count; i++)
		if (str_eq(schema, intervals[i].schema))
			return &intervals[i];
	err_set(err, ERR_RECORD, "schema '%.*s' is none of bars (ohlcv-1s, ohlcv-1m, ohlcv-1h, ohlcv-1d, ohlcv-eod)",
		STR_ARG(shown(schema)));
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

static int check_prices(const struct ohlcv *in, struct err *err)
{
	static const struct {
		unsigned bit;
		const char *name;
	} prices[] = { { OHLCV_OPEN, "open" }, { OHLCV_HIGH, "high" }, { OHLCV_LOW, "low" }, { OHLCV_CLOSE, "close" } };

	if (in->present == OHLCV_PRESENT)
		return 0;
	for (size_t i = 0; i < sizeof(prices) / sizeof(prices[0]); i++)
		if (!(in->present & BIT(prices[i].bit)))
			return err_set(err, ERR_RECORD, "%s is null: a bar's row has four prices", prices[i].name);
	return 0;
}

static struct dataset *find_dataset(struct transform *t, struct str name)
{
	if (t->dataset_length == name.len && name.len > 0 && memcmp(t->dataset_name, name.data, name.len) == 0)
		return t->dataset;
	t->dataset = datasets_find(t->datasets, name);
	t->dataset_length = 0;
	if (name.len <= sizeof(t->dataset_name)) {
		memcpy(t->dataset_name, name.data, name.len);
		t->dataset_length = name.len;
	}
	return t->dataset;
}

static void set_session(struct transform *t, const struct ohlcv *in, const struct interval *interval,
			struct ohlcv_clean *out)
{
	struct dataset *dataset = interval->utc ? NULL : find_dataset(t, in->dataset);

	if (dataset) {
		out->session_date = dataset_session(dataset, in->ts_event);
		out->session_basis = STR_LIT("session");
	} else {
		out->session_date = clock_day_of(in->ts_event);
		out->session_basis = STR_LIT("utc");
	}
}

static int set_ticker(struct transform *t, struct str symbol, struct str *ret_ticker, struct err *err)
{
	*ret_ticker = symbol_ticker(symbol, t->ticker);
	if (ret_ticker->len > 0)
		return 0;
	if (symbol.len > TICKER_MAX)
		return err_set(err, ERR_RECORD, "symbol '%.*s…' is longer than %d bytes", STR_ARG(shown(symbol)),
			       TICKER_MAX);
	return err_set(err, ERR_RECORD, "symbol '%.*s' is blank", STR_ARG(shown(symbol)));
}

/* What a row takes over as it is. */
static void copy_fields(const struct ohlcv *in, struct ohlcv_clean *out)
{
	out->attempt = in->attempt;
	out->ordinal = in->ordinal;
	out->as_of = in->as_of;
	out->symbol = in->symbol;
	out->ts_event = in->ts_event;
	out->dataset = in->dataset;
	out->publisher_id = in->publisher_id;
	out->instrument_id = in->instrument_id;
	out->open_price = in->open;
	out->high_price = in->high;
	out->low_price = in->low;
	out->close_price = in->close;
	out->volume = in->volume;
	out->volume_exponent = in->volume_exponent;
	out->flags = in->flags;
}

int transform_ohlcv(struct transform *t, const struct ohlcv *in, struct ohlcv_clean *out, struct err *err)
{
	const struct interval *interval = find_interval(in->schema, err);

	if (!interval || check_time(in->ts_event, interval, err) || check_prices(in, err) ||
	    set_ticker(t, in->symbol, &out->ticker, err))
		return -1;
	copy_fields(in, out);
	out->interval = interval->name;
	out->venue = publishers_venue(t->publishers, in->publisher_id);
	out->present = OHLCV_CLEAN_PRESENT & ~(out->venue.len ? 0 : BIT(OHLCV_CLEAN_VENUE));
	set_session(t, in, interval, out);
	return 0;
}

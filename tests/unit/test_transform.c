#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "stages/transformer/publisher.h"
#include "stages/transformer/session.h"
#include "stages/transformer/symbol.h"
#include "stages/transformer/transform.h"

static struct transform *transform;

static int setup(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	if (transform_open(&transform, &err))
		fail_msg("%s", err.text);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	transform_freep(&transform);
	return 0;
}

static int64_t ns(const char *text)
{
	int64_t t;

	assert_true(clock_parse(str_of(text), &t));
	return t;
}

/* GLBX's first sample bar. */
static struct ohlcv bar(void)
{
	return (struct ohlcv){
		.present = OHLCV_PRESENT,
		.attempt = 11,
		.ordinal = 12,
		.as_of = 13,
		.symbol = STR_LIT("ESH1"),
		.schema = STR_LIT("ohlcv-1m"),
		.dataset = STR_LIT("GLBX.MDP3"),
		.publisher_id = 1,
		.instrument_id = 5482,
		.ts_event = INT64_C(1609113600000000000),
		.open = INT64_C(3702750000000),
		.high = INT64_C(3704750000000),
		.low = INT64_C(3702500000000),
		.close = INT64_C(3704750000000),
		.volume = 306,
		.volume_exponent = -2,
		.flags = 5,
	};
}

static struct ohlcv_clean clean(const struct ohlcv *in)
{
	struct ohlcv_clean out;
	struct err err = ERR_INIT;

	if (transform_record(transform, DATA_OHLCV, in, &out, &err))
		fail_msg("%s", err.text);
	return out;
}

static void assert_str(struct str s, const char *text)
{
	assert_int_equal(s.len, strlen(text));
	assert_memory_equal(s.data, text, s.len);
}

static void test_row(void **state)
{
	struct ohlcv in = bar();
	struct ohlcv_clean out = clean(&in);

	(void)state;
	assert_int_equal(out.present, OHLCV_CLEAN_PRESENT);
	assert_int_equal(out.attempt, 11);
	assert_int_equal(out.ordinal, 12);
	assert_int_equal(out.as_of, 13);
	assert_ptr_equal(out.symbol.data, in.symbol.data);
	assert_int_equal(out.symbol.len, 4);
	assert_str(out.interval, "1m");
	assert_int_equal(out.ts_event, in.ts_event);
	assert_str(out.dataset, "GLBX.MDP3");
	assert_int_equal(out.publisher_id, 1);
	assert_int_equal(out.instrument_id, 5482);
	assert_int_equal(out.open_price, in.open);
	assert_int_equal(out.high_price, in.high);
	assert_int_equal(out.low_price, in.low);
	assert_int_equal(out.close_price, in.close);
	assert_int_equal(out.volume, 306);
	assert_int_equal(out.volume_exponent, -2);
	assert_str(out.ticker, "ESH1");
	assert_str(out.venue, "GLBX");
	assert_int_equal(out.session_date, clock_day_of(ns("2020-12-28")));
	assert_str(out.session_basis, "session");
	assert_int_equal(out.flags, 5);
}

/* --- tickers ---------------------------------------------------------------------------------------------------------- */

static void test_tickers(void **state)
{
	static const struct {
		const char *symbol, *ticker;
	} golden[] = {
		{ "ESH1", "ESH1" },
		{ "005930", "005930" },
		{ "AAPL  250221C00250000", "AAPL 250221C00250000" },
		{ " aapl ", "AAPL" },
		{ "  a  b   c ", "A B C" },
		{ "brk.b", "BRK.B" },
		{ "ES.c.0", "ES.C.0" },
		{ "A\tB", "A\tB" },
		{ "\xc3\xa9"
		  "a",
		  "\xc3\xa9"
		  "A" }, /* é: only ASCII has capitals here */
		{ "   ", "" },
		{ "", "" },
	};
	char scratch[TICKER_MAX], longest[TICKER_MAX + 1];

	(void)state;
	for (size_t i = 0; i < sizeof(golden) / sizeof(golden[0]); i++)
		assert_str(symbol_ticker(str_of(golden[i].symbol), scratch), golden[i].ticker);
	memset(longest, 'a', sizeof(longest));
	assert_int_equal(symbol_ticker((struct str){ longest, TICKER_MAX }, scratch).len, TICKER_MAX);
	assert_int_equal(symbol_ticker((struct str){ longest, TICKER_MAX + 1 }, scratch).len, 0);
}

static void test_symbol_is_kept(void **state)
{
	struct ohlcv in = bar();
	struct ohlcv_clean out;

	(void)state;
	in.symbol = STR_LIT(" aapl  x");
	out = clean(&in);
	assert_str(out.symbol, " aapl  x");
	assert_str(out.ticker, "AAPL X");
}

/* --- venues ----------------------------------------------------------------------------------------------------------- */

static void expect_venue(int32_t publisher, const char *venue)
{
	struct ohlcv in = bar();
	struct ohlcv_clean out;

	in.publisher_id = publisher;
	out = clean(&in);
	assert_int_equal(out.present >> OHLCV_CLEAN_VENUE & 1, venue != NULL);
	assert_str(out.venue, venue ? venue : "");
}

/* Expected values: the Publisher table of the package databento. */
static void test_venues(void **state)
{
	(void)state;
	expect_venue(1, "GLBX");
	expect_venue(2, "XNAS");
	expect_venue(5, "BATS");
	expect_venue(9, "XNYS");
	expect_venue(15, "MEMX");
	expect_venue(22, "XCBO");
	expect_venue(30, "OPRA");
	expect_venue(37, "MXOP");
	expect_venue(43, "ARCX");
	expect_venue(57, "IFEU");
	expect_venue(58, "NDEX");
	expect_venue(81, "XNAS");
	expect_venue(95, "EQUS");
	expect_venue(97, "IFUS");
	expect_venue(101, "XEUR");
	expect_venue(105, "XCBF");
	expect_venue(115, "24EQ");
	expect_venue(153, "CDEF");
	expect_venue(154, NULL);
	expect_venue(0, NULL);
	expect_venue(-1, NULL);
	expect_venue(INT32_MAX, NULL);
	expect_venue(INT32_MIN, NULL);
}

/* --- intervals and times ---------------------------------------------------------------------------------------------- */

static void expect_error(const struct ohlcv *in, const char *text)
{
	struct ohlcv_clean out;
	struct err err = ERR_INIT;

	assert_int_equal(transform_record(transform, DATA_OHLCV, in, &out, &err), -1);
	assert_int_equal(err.kind, ERR_RECORD);
	assert_string_equal(err.text, text);
}

static void expect_interval(const char *schema, const char *good, const char *interval, const char *bad,
			    const char *text)
{
	struct ohlcv in = bar();

	in.schema = str_of(schema);
	in.ts_event = ns(good);
	assert_str(clean(&in).interval, interval);
	in.ts_event = ns(bad);
	expect_error(&in, text);
}

static void test_intervals(void **state)
{
	(void)state;
	expect_interval("ohlcv-1s", "2024-01-02T03:04:05", "1s", "2024-01-02T03:04:05.5",
			"ts_event 2024-01-02T03:04:05.500000000Z is not on a 1s boundary");
	expect_interval("ohlcv-1m", "2024-01-02T03:04:00", "1m", "2024-01-02T03:04:01",
			"ts_event 2024-01-02T03:04:01.000000000Z is not on a 1m boundary");
	expect_interval("ohlcv-1h", "2024-01-02T03:00:00", "1h", "2024-01-02T03:30:00",
			"ts_event 2024-01-02T03:30:00.000000000Z is not on a 1h boundary");
	expect_interval("ohlcv-1d", "2024-01-02", "1d", "2024-01-02T05:00:00",
			"ts_event 2024-01-02T05:00:00.000000000Z is not on a 1d boundary");
	expect_interval("ohlcv-eod", "2024-01-02T21:00:00.000001", "eod", "2024-01-02T21:00:00.000000001",
			"ts_event 2024-01-02T21:00:00.000000001Z is not in whole microseconds");
	expect_interval("ohlcv-1m", "1969-12-31T23:59:00", "1m", "1969-12-31T23:59:59.999999999",
			"ts_event 1969-12-31T23:59:59.999999999Z is not on a 1m boundary");
}

static void test_refused(void **state)
{
	static const char *const names[] = { "open", "high", "low", "close" };
	struct ohlcv in = bar();
	char text[64];

	(void)state;
	in.schema = STR_LIT("ohlcv-1w");
	expect_error(&in, "schema 'ohlcv-1w' is none of bars (ohlcv-1s, ohlcv-1m, ohlcv-1h, ohlcv-1d, ohlcv-eod)");
	for (unsigned i = 0; i < 4; i++) {
		in = bar();
		record_set_present(&in, OHLCV_OPEN + i, false);
		snprintf(text, sizeof(text), "%s is null: a bar's row has four prices", names[i]);
		expect_error(&in, text);
	}
	in = bar();
	in.symbol = STR_LIT("  ");
	expect_error(&in, "symbol '  ' is blank");
}

/* --- sessions --------------------------------------------------------------------------------------------------------- */

static void expect_session(const char *schema, const char *dataset, const char *ts, const char *date, const char *basis)
{
	struct ohlcv in = bar();
	struct ohlcv_clean out;
	char text[CLOCK_TEXT_MAX];

	in.schema = str_of(schema);
	in.dataset = str_of(dataset);
	in.ts_event = ns(ts);
	out = clean(&in);
	clock_format_date(out.session_date, text);
	if (strcmp(text, date) != 0)
		fail_msg("%s of %s: %s, not %s", ts, dataset, text, date);
	assert_str(out.session_basis, basis);
}

/* Expected values: Python's zoneinfo. Chicago changed its clocks on 2024-03-10 and 2024-11-03, both Sundays. */
static void test_futures_sessions(void **state)
{
	static const char *const golden[][2] = {
		{ "2024-03-08T22:59:00", "2024-03-08" }, { "2024-03-08T23:00:00", "2024-03-09" },
		{ "2024-03-10T21:59:00", "2024-03-10" }, { "2024-03-10T22:00:00", "2024-03-11" },
		{ "2024-03-11T21:59:00", "2024-03-11" }, { "2024-03-11T22:00:00", "2024-03-12" },
		{ "2024-11-01T21:59:00", "2024-11-01" }, { "2024-11-01T22:00:00", "2024-11-02" },
		{ "2024-11-03T22:59:00", "2024-11-03" }, { "2024-11-03T23:00:00", "2024-11-04" },
		{ "2024-11-04T22:59:00", "2024-11-04" }, { "2024-11-04T23:00:00", "2024-11-05" },
		{ "2020-12-27T23:00:00", "2020-12-28" }, { "2020-12-28T00:00:00", "2020-12-28" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(golden) / sizeof(golden[0]); i++)
		expect_session("ohlcv-1m", "GLBX.MDP3", golden[i][0], golden[i][1], "session");
	for (size_t i = sizeof(golden) / sizeof(golden[0]); i-- > 0;) /* backwards: what is remembered is left */
		expect_session("ohlcv-1m", "GLBX.MDP3", golden[i][0], golden[i][1], "session");
}

static void test_other_sessions(void **state)
{
	(void)state;
	expect_session("ohlcv-1m", "XNAS.ITCH", "2024-03-10T04:59:00", "2024-03-09", "session");
	expect_session("ohlcv-1m", "XNAS.ITCH", "2024-03-10T05:00:00", "2024-03-10", "session");
	expect_session("ohlcv-1m", "XNAS.ITCH", "2024-03-11T03:59:00", "2024-03-10", "session");
	expect_session("ohlcv-1m", "XNAS.ITCH", "2024-03-11T04:00:00", "2024-03-11", "session");
	expect_session("ohlcv-1s", "OPRA.PILLAR", "2024-11-04T04:59:59", "2024-11-03", "session");
	expect_session("ohlcv-1s", "OPRA.PILLAR", "2024-11-04T05:00:00", "2024-11-04", "session");
	expect_session("ohlcv-1h", "IFEU.IMPACT", "2024-07-01T21:00:00", "2024-07-01", "session");
	expect_session("ohlcv-1h", "IFEU.IMPACT", "2024-07-01T22:00:00", "2024-07-02", "session");
	expect_session("ohlcv-1h", "IFEU.IMPACT", "2024-01-01T23:00:00", "2024-01-02", "session");
	expect_session("ohlcv-1m", "XEUR.EOBI", "2024-03-31T21:59:00", "2024-03-31", "session");
	expect_session("ohlcv-1m", "XEUR.EOBI", "2024-03-31T22:00:00", "2024-04-01", "session");
	expect_session("ohlcv-1m", "XTKS.FLEX", "2024-07-01T15:00:00", "2024-07-02", "session");
}

/* Daily bars are cut at midnight UTC, which is the evening before in New York and in the next session of Chicago. */
static void test_utc_dates(void **state)
{
	(void)state;
	expect_session("ohlcv-1d", "XNAS.ITCH", "2024-07-01", "2024-07-01", "utc"); /* a Monday, and not Sunday's */
	expect_session("ohlcv-1d", "XNAS.ITCH", "2024-01-02", "2024-01-02", "utc");
	expect_session("ohlcv-1d", "XNAS.ITCH", "2024-03-11", "2024-03-11",
		       "utc"); /* New York's clocks changed the day before */
	expect_session("ohlcv-1d", "XNAS.ITCH", "2024-11-04", "2024-11-04", "utc");
	expect_session("ohlcv-1d", "EQUS.MINI", "2023-03-28", "2023-03-28", "utc");
	expect_session("ohlcv-1d", "GLBX.MDP3", "2020-12-28", "2020-12-28", "utc");
	expect_session("ohlcv-eod", "XNAS.ITCH", "2024-07-01T20:00:00", "2024-07-01", "session");
	expect_session("ohlcv-eod", "XNAS.ITCH", "2024-07-02T03:00:00", "2024-07-01", "session");
	expect_session("ohlcv-1m", "ACME.FEED", "2024-07-01T23:59:00", "2024-07-01", "utc");
	expect_session("ohlcv-1m", "", "2024-07-01T23:59:00", "2024-07-01", "utc");
	expect_session("ohlcv-1m", "A.NAME.THAT.IS.LONGER.THAN.WHAT.IS.REMEMBERED.OF.THE.ONE.THAT.WAS.ASKED.FOR.LAST",
		       "2024-07-01T23:59:00", "2024-07-01", "utc");
	expect_session("ohlcv-1m", "GLBX.MDP3", "2024-07-01T22:00:00", "2024-07-02", "session");
}

/* --- hours ------------------------------------------------------------------------------------------------------------ */

static void expect_open(const char *schema, const char *dataset, const char *ts, bool open)
{
	struct ohlcv in = bar();
	struct ohlcv_clean out;

	in.schema = str_of(schema);
	in.dataset = str_of(dataset);
	in.ts_event = ns(ts);
	in.flags = 0;
	out = clean(&in);
	if (out.flags != (open ? 0 : FLAG_MARKET_CLOSED))
		fail_msg("%s %s at %s: flags %d", dataset, schema, ts, out.flags);
}

/* From 17:00 to 16:30 in Chicago, Sunday evening to Friday; clocks change in the night of Sundays, when it is closed. */
static void test_hours_of_futures(void **state)
{
	static const char *const open[] = { "2024-03-08T22:29:00", "2024-03-10T22:00:00", "2024-03-11T21:29:00",
					    "2024-03-11T22:00:00", "2024-11-01T21:29:00", "2024-11-03T23:00:00",
					    "2024-11-04T22:29:00", "2024-11-04T23:00:00", "2020-12-28T00:00:00" };
	static const char *const closed[] = { "2024-03-08T22:30:00", "2024-03-08T23:00:00", "2024-03-09T12:00:00",
					      "2024-03-10T21:59:00", "2024-03-11T21:30:00", "2024-03-11T21:59:00",
					      "2024-11-01T21:30:00", "2024-11-03T22:59:00", "2024-11-04T22:30:00",
					      "2024-11-04T22:59:00" };

	(void)state;
	for (size_t i = 0; i < sizeof(open) / sizeof(open[0]); i++)
		expect_open("ohlcv-1m", "GLBX.MDP3", open[i], true);
	for (size_t i = 0; i < sizeof(closed) / sizeof(closed[0]); i++)
		expect_open("ohlcv-1m", "GLBX.MDP3", closed[i], false);
}

static void test_hours_of_shares(void **state)
{
	(void)state;
	expect_open("ohlcv-1m", "XNAS.ITCH", "2024-03-08T08:59:00", false);
	expect_open("ohlcv-1m", "XNAS.ITCH", "2024-03-08T09:00:00", true);
	expect_open("ohlcv-1m", "XNAS.ITCH", "2024-03-11T07:59:00", false);
	expect_open("ohlcv-1m", "XNAS.ITCH", "2024-03-11T08:00:00", true);
	expect_open("ohlcv-1h", "XNAS.ITCH", "2024-03-11T23:00:00", true);
	expect_open("ohlcv-1h", "XNAS.ITCH", "2024-03-12T00:00:00", false);
	expect_open("ohlcv-1m", "XNAS.ITCH", "2024-03-09T15:00:00", false); /* a Saturday */
	expect_open("ohlcv-1m", "XNAS.ITCH", "2024-03-10T15:00:00", false); /* a Sunday */
}

/* Nothing is said of bars of a day, nor where hours are not known. */
static void test_hours_that_nobody_knows(void **state)
{
	(void)state;
	expect_open("ohlcv-1d", "XNAS.ITCH", "2024-03-11", true);
	expect_open("ohlcv-1d", "GLBX.MDP3", "2024-03-09", true);
	expect_open("ohlcv-eod", "XNAS.ITCH", "2024-03-12T00:30:00", true);
	expect_open("ohlcv-1m", "IFEU.IMPACT", "2024-03-09T12:00:00", true);
	expect_open("ohlcv-1m", "OPRA.PILLAR", "2024-03-09T12:00:00", true);
	expect_open("ohlcv-1m", "ACME.FEED", "2024-03-09T12:00:00", true);
}

/* What a rule flagged stays flagged. */
static void test_flags_are_kept(void **state)
{
	struct ohlcv in = bar();
	struct ohlcv_clean out;

	(void)state;
	in.flags = FLAG_RULE_VIOLATED;
	in.ts_event = ns("2024-03-09T12:00:00");
	out = clean(&in);
	assert_int_equal(out.flags, FLAG_RULE_VIOLATED | FLAG_MARKET_CLOSED);
}

/* --- files ------------------------------------------------------------------------------------------------------------ */

/* Datasets and their sessions from a text. */
struct read {
	struct datasets *datasets;
	struct sessions *sessions;
};

static void read_release(struct read *read)
{
	sessions_freep(&read->sessions);
	datasets_freep(&read->datasets);
}

static struct read read_sessions(const char *yaml)
{
	struct read read = { NULL, NULL };
	struct err err = ERR_INIT;

	if (datasets_read(&read.datasets, "d.yaml", str_of(yaml), &err) ||
	    sessions_open(&read.sessions, read.datasets, &err))
		fail_msg("%s", err.text);
	return read;
}

static int32_t session_of(const struct read *read, const char *name, const char *ts)
{
	struct session *s = sessions_find(read->sessions, str_of(name));

	assert_non_null(s);
	return session_date(s, ns(ts));
}

/* Where midnight is skipped, and where it comes twice, sessions still follow each other without gap or overlap. */
static void test_sessions_without_midnight(void **state)
{
	static const char yaml[] =
		"datasets:\n"
		"  - {name: B, region: BR, asset_class: x, timezone: America/Sao_Paulo, session_start: '00:00', mics: []}\n"
		"  - {name: A, region: WS, asset_class: x, timezone: Pacific/Apia, session_start: '00:00', mics: []}\n";
	CLEANUP(read_release) struct read all = read_sessions(yaml);
	struct session *brazil = sessions_find(all.sessions, STR_LIT("B"));
	int32_t before = 0;

	(void)state;
	/* 2018-11-04 began at 01:00 there, and 2018-02-17 had 25 hours, 23:00 to 24:00 twice. */
	assert_int_equal(session_of(&all, "B", "2018-11-04T02:59:59"), clock_day_of(ns("2018-11-03")));
	assert_int_equal(session_of(&all, "B", "2018-11-04T03:00:00"), clock_day_of(ns("2018-11-04")));
	assert_int_equal(session_of(&all, "B", "2018-02-18T02:30:00"), clock_day_of(ns("2018-02-17")));
	assert_int_equal(session_of(&all, "B", "2018-02-18T03:00:00"), clock_day_of(ns("2018-02-18")));
	/* Samoa had no 30 December 2011. */
	assert_int_equal(session_of(&all, "A", "2011-12-30T09:59:59"), clock_day_of(ns("2011-12-29")));
	assert_int_equal(session_of(&all, "A", "2011-12-30T10:00:00"), clock_day_of(ns("2011-12-31")));
	for (int64_t t = ns("2018-01-01"); t < ns("2019-01-01"); t += 1800 * NS_PER_SECOND) {
		int32_t date = session_date(brazil, t);

		assert_true(date == before || date == before + 1 || before == 0);
		assert_true(session_is_open(brazil, t));
		before = date;
	}
	assert_int_equal(session_date(brazil, INT64_MAX), clock_day_of(INT64_MAX));
	assert_int_equal(session_date(brazil, INT64_MIN), clock_day_of(INT64_MIN) - 1);
}

static void test_bad_zone(void **state)
{
	static const char yaml[] =
		"datasets:\n- {name: A, region: U, asset_class: x, timezone: No/Where, session_start: '17:00', mics: []}\n";
	CLEANUP(datasets_freep) struct datasets *datasets = NULL;
	struct sessions *sessions = NULL;
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(datasets_read(&datasets, "d.yaml", str_of(yaml), &err), 0);
	assert_int_equal(sessions_open(&sessions, datasets, &err), -1);
	assert_int_equal(err.kind, ERR_FATAL);
	assert_non_null(strstr(err.text, "dataset A: time zone No/Where"));
}

static void expect_bad_publisher(const char *yaml, const char *part)
{
	struct publishers *all = NULL;
	struct err err = ERR_INIT;

	assert_int_equal(publishers_read(&all, "p.yaml", str_of(yaml), &err), -1);
	assert_null(all);
	if (!strstr(err.text, part))
		fail_msg("'%s' lacks '%s'", err.text, part);
}

static void test_bad_publishers(void **state)
{
	(void)state;
	expect_bad_publisher("publishers: {}\n", "`publishers` is a list");
	expect_bad_publisher("publishers:\n- {id: 0, venue: X, dataset: D}\n",
			     "p.yaml:2:3: id is a number from 1 to 65535");
	expect_bad_publisher("publishers:\n- {id: 65536, venue: X, dataset: D}\n", "id is a number");
	expect_bad_publisher("publishers:\n- {id: 1x, venue: X, dataset: D}\n", "not '1x'");
	expect_bad_publisher("publishers:\n- {id: 1, dataset: D}\n", "publisher 1 needs");
	expect_bad_publisher("publishers:\n- {id: 1, venue: X, dataset: D}\n- {id: 1, venue: Y, dataset: D}\n",
			     "p.yaml:3:3: publisher 1 is listed twice");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_row),
		cmocka_unit_test(test_tickers),
		cmocka_unit_test(test_symbol_is_kept),
		cmocka_unit_test(test_venues),
		cmocka_unit_test(test_intervals),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_futures_sessions),
		cmocka_unit_test(test_other_sessions),
		cmocka_unit_test(test_utc_dates),
		cmocka_unit_test(test_hours_of_futures),
		cmocka_unit_test(test_hours_of_shares),
		cmocka_unit_test(test_hours_that_nobody_knows),
		cmocka_unit_test(test_flags_are_kept),
		cmocka_unit_test(test_sessions_without_midnight),
		cmocka_unit_test(test_bad_zone),
		cmocka_unit_test(test_bad_publishers),
	};

	return cmocka_run_group_tests_name("transform", tests, setup, teardown);
}

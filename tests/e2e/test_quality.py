"""Reports on what is stored, over rows that were put there for it, right and wrong ones."""

import datetime
import os
import sys

import exchange_calendars
import pytest
from harness.pipeline import Pipeline
from harness.servers import TOP
from harness.waiting import wait_until

BAR = (
    'INSERT INTO ohlcv_data (symbol, "interval", ts_event, dataset, instrument_id, open_price, high_price, low_price,'
    " close_price, volume, ticker, session_date, session_basis, attempt, as_of) SELECT %s, %s, t, %s, %s, %s, %s, %s, %s, 1,"
    " %s, t::date, 'utc', 1, now() FROM (SELECT date_trunc('day', now()) - make_interval(days => %s) AS t) x"
)
TRADE = (
    "INSERT INTO trades_data (symbol, ts_event, ts_event_ns, ts_recv, ts_recv_ns, sequence, dataset, instrument_id, price, size,"
    " side, vendor_side, action, ticker, session_date, session_basis, attempt, as_of) SELECT %s, t, 0, t, 0, %s, 'D', %s, %s,"
    " %s, %s, 'B', 'T', %s, t::date, 'utc', 1, now() FROM (SELECT date_trunc('day', now()) - interval '1 day' AS t) x"
)


@pytest.fixture(scope="module")
def once(servers, tmp_path_factory):
    pipeline = Pipeline(servers, tmp_path_factory.mktemp("pipeline"))
    try:
        pipeline.prepare().start("orchestrator")
        for months in range(3):
            for table in ("ohlcv_data", "trades_data"):
                pipeline.query(f"SELECT etl.ensure_month('{table}', (now() - interval '{months} months')::date)")
        yield pipeline
    finally:
        pipeline.close()


@pytest.fixture
def up(once, request):
    request.node.pipelines = [once]
    once.query("TRUNCATE ohlcv_data, trades_data")
    return once


def bar(up, symbol, days, interval="1d", dataset="D", instrument=1, prices=(2, 3, 1, 2)):
    up.query(BAR, symbol, interval, dataset, instrument, *prices, symbol, days)


def test_bars_that_contradict_themselves(up):
    bar(up, "GOOD", 1)
    bar(up, "BAD", 1, prices=(2, 1, 3, 2))
    bar(up, "OLD", 30, prices=(2, 1, 3, 2))
    (found,) = up.cli_json("quality", "bars")["violations"]
    assert found["symbol"] == "BAD" and found["validation_status"].split(", ") == [
        "HIGH_LESS_THAN_LOW",
        "HIGH_LESS_THAN_OPEN",
        "HIGH_LESS_THAN_CLOSE",
        "LOW_GREATER_THAN_OPEN",
        "LOW_GREATER_THAN_CLOSE",
    ]
    assert len(up.cli_json("quality", "bars", "--days", "60")["violations"]) == 2


def test_trades_without_price_size_or_side(up):
    for n, (symbol, price, size, side) in enumerate(
        [("GOOD", 1, 1, "N"), ("BAD", 0, 1, "B"), ("BAD", 1, 0, "S"), ("BAD", 1, 1, "A"), ("BAD", 1, 1, "B")]
    ):
        up.query(TRADE, symbol, n, 1, price, size, side, symbol)
    (found,) = up.cli_json("quality", "trades")["symbols"]
    assert found == {"symbol": "BAD", "trades": 4, "invalid_prices": 1, "invalid_sizes": 1, "invalid_sides": 1}


def test_instrument_ids_are_compared_day_by_day(up):
    """Another id on another day is how vendors number; two on one day are none."""
    bar(up, "ROLLS", 1, instrument=1)
    bar(up, "ROLLS", 2, instrument=2)
    bar(up, "TWICE", 1, instrument=1)
    up.query(TRADE, "TWICE", 1, 9, 1, 1, "B", "TWICE")
    up.query(TRADE, "SAME", 2, 5, 1, 1, "B", "SAME")
    bar(up, "SAME", 1, instrument=5)
    (found,) = up.cli_json("quality", "instruments")["symbols"]
    assert (found["symbol"], found["instrument_ids"]) == ("TWICE", 2)
    assert [(row["table"], row["instrument_id"]) for row in found["found"]] == [("ohlcv_data", 1), ("trades_data", 9)]


def test_missing_days_are_sessions_and_not_the_calendar(up):
    for days in (1, 2, 3, 6, 7):  # nobody traded on the fourth and fifth day
        bar(up, "WHOLE", days)
    for days in (1, 3, 6):
        bar(up, "GAP", days)
    bar(up, "GAP", 2, dataset="OTHER")
    found = up.cli_json("quality", "missing-days")["missing"]
    assert [(row["dataset"], row["symbol"]) for row in found] == [("D", "GAP")]
    assert found[0]["day"] == str(up.value("SELECT (date_trunc('day', now()) - interval '2 days')::date"))
    assert up.cli("quality", "missing-days", "--symbol", "WHOLE").stdout == "no session is missing\n"


def one_by_one(up, path, name, **parameters):
    """The list in pages of one row."""
    found = []
    while True:
        page = up.api.get(path, params={"limit": 1, **parameters}).json()
        found += page[name]
        if page["next_cursor"] is None:
            return found
        parameters["cursor"] = page["next_cursor"]


def test_every_report_comes_in_pages(up):
    """Rows that are alike in what a page is ordered by first, so that its place needs all of it."""
    for symbol in ("A", "B", "C"):
        for interval in ("1h", "1d"):
            for dataset in ("D", "E"):
                bar(up, symbol, 1, interval, dataset, instrument=ord(symbol) + ord(dataset), prices=(2, 1, 3, 2))
        for days in (4, 3, 2) if symbol == "A" else (4,):
            bar(up, symbol, days)
        up.query(TRADE, symbol, 1, 9, 0, 1, "B", symbol)
    for path, name, count in (("bars", "violations", 12), ("instruments", "symbols", 3), ("trades", "symbols", 3), ("missing-days", "missing", 4)):
        whole = up.api.get(f"/api/v1/quality/{path}").json()
        assert len(whole[name]) == count and whole["next_cursor"] is None, path
        assert one_by_one(up, f"/api/v1/quality/{path}", name) == whole[name], path
    symbol, time = up.query("SELECT symbol, to_char(ts_event, 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"') FROM trades_data LIMIT 1")[0]
    whole = up.api.get("/api/v1/why", params={"symbol": symbol, "time": time}).json()["rows"]
    assert len(whole) == 5 and one_by_one(up, "/api/v1/why", "rows", symbol=symbol, time=time) == whole


def test_alarms_come_in_pages(up):
    try:
        for partition in range(4):
            up.query("INSERT INTO etl.gaps VALUES ('penstock.loader', 'etl.nowhere', %s, 'x', '2024-01-01')", partition)
        whole = up.api.get("/api/v1/alarms").json()["alarms"]
        assert len(whole) == 4 and one_by_one(up, "/api/v1/alarms", "alarms") == whole
    finally:
        up.query("DELETE FROM etl.gaps")


DAILY = (
    'INSERT INTO ohlcv_data (symbol, "interval", ts_event, dataset, open_price, high_price, low_price, close_price, volume, ticker,'
    " session_date, session_basis, attempt, as_of) SELECT %s, '1d', d, %s, 2, 3, 1, 2, 1, %s, d::date, 'utc', 1, now()"
    " FROM unnest(%s::timestamptz[]) AS d"
)
WINTER = {"from": "2025-01-01", "to": "2025-03-01"}


def sessions(calendar, first, last):
    """As another programmer's calendar has them."""
    return [str(day.date()) for day in exchange_calendars.get_calendar(calendar, start=first, end=last).sessions]


def days_of(up, symbol, dataset, days):
    for month in ("2025-01-01", "2025-02-01"):
        up.query("SELECT etl.ensure_month('ohlcv_data', %s::date)", month)
    up.query(DAILY, symbol, dataset, symbol, days)


@pytest.mark.parametrize("dataset, calendar", [("XNAS.ITCH", "XNYS"), ("GLBX.MDP3", "CMES"), ("XTKS.FLEX", "XTKS"), ("XEUR.EOBI", "XEUR")])
def test_days_that_nobody_has_are_missing(up, dataset, calendar):
    """One symbol alone, two days taken out: these, and neither weekends nor holidays (New Year, 9 January, Martin Luther King's day)."""
    days = sessions(calendar, *WINTER.values())
    lost = {days[12], days[30]}
    days_of(up, "ONE", dataset, [day for day in days if day not in lost])
    found = up.api.get("/api/v1/quality/missing-days", params=WINTER).json()["missing"]
    assert [(row["dataset"], row["symbol"], row["day"], row["calendar"]) for row in found] == [
        (dataset, "ONE", day, calendar) for day in sorted(lost, reverse=True)
    ]
    said = up.cli("quality", "missing-days", "--from", "2025-01-01", "--to", "2025-03-01").stdout
    assert all(day in said for day in lost) and len(said.splitlines()) == 3
    assert up.cli("quality", "missing-days").stdout == "no session is missing\n", "of the last 90 days there is nothing"


def test_calendars_are_those_of_exchange_calendars(up):
    sys.path.insert(0, os.path.join(TOP, "common"))
    try:
        import calendars
    finally:
        sys.path.pop(0)
    kept = dict(up.query("SELECT calendar, closed FROM etl.calendars"))
    assert set(kept) == set(calendars.NAMES) == {name for (name,) in up.query("SELECT DISTINCT calendar FROM etl.datasets WHERE calendar <> ''")}
    past = str(datetime.date(2025, 12, 31))  # what is ahead may be changed by an exchange, and by a newer package
    for name, days in kept.items():
        assert [str(day) for day in days if str(day) <= past] == calendars.closed(name, last=past), name


def test_rows_are_counted_and_estimated(up):
    for days in range(1, 41):
        bar(up, "A", days)
    exact = {row["table_name"]: row["record_count"] for row in up.cli_json("quality", "tables", "--exact")["tables"]}
    assert exact == {"ohlcv_data": 40, "trades_data": 0, "tbbo_data": 0, "statistics_data": 0, "definitions_data": 0}

    def estimated():
        return {row["table_name"]: row["record_count"] for row in up.cli_json("quality", "tables")["tables"]} == exact

    wait_until(estimated, 30, "rows that nobody has analyzed are estimated")


def test_tables_and_their_spans(up):
    bar(up, "A", 1)
    bar(up, "A", 40)
    tables = {row["table_name"]: row for row in up.cli_json("quality", "tables")["tables"]}
    first, last = up.query("SELECT to_json(min(ts_event))#>>'{}', to_json(max(ts_event))#>>'{}' FROM ohlcv_data")[0]
    assert (tables["ohlcv_data"]["earliest"][:19], tables["ohlcv_data"]["latest"][:19]) == (first[:19], last[:19])
    assert tables["trades_data"]["earliest"] is None and tables["ohlcv_data"]["bytes"] > 0
    assert up.api.get("/api/v1/status").json()["database"]["latest_data"][:19] == last[:19]


def test_the_check_of_today(up):
    up.query("DELETE FROM etl.dead_letters")
    done = up.cli("data_quality_check")
    assert "Quarantine files (last 24h): 0\n" in done.stdout and "nothing was stored" in done.stdout
    up.query("INSERT INTO etl.dead_letters (class, failed_at) VALUES ('validation_failures', now())")
    done = up.cli("data_quality_check", code=1)
    assert "Validation failures today: 1\n" in done.stdout
    assert up.cli_json("data_quality_check", code=1)["database"]["dead_letters_24h"] == 1
    assert "it takes tables, stored, bars" in up.cli("quality", code=2).stderr

"""The simulated vendor's data in the tables: subscription, quote, windows, rows, and what is known of its coverage."""

import io
import json
from datetime import date, timedelta

import databento
import pytest
from harness.bars import assert_good, simulate
from harness.selling import started, vendor  # noqa: F401
from harness.simulator import KEY

MINUTES = {
    "name": "minutes",
    "source": "databento",
    "dataset": "XNAS.ITCH",
    "schema": "ohlcv-1m",
    "symbols": ["AAPL", "MSFT"],
    "start": "2024-03-01",
    "end": "2024-04-10",
    "chunk": "week",
    "cost_max_usd": "1000",
    "symbol_mappings": "false",
}
COVERED = "SELECT symbol, state, count(*) FROM etl.coverage GROUP BY 1, 2 ORDER BY 1, 2"


def billed(vendor):
    return vendor.control("GET", "meter")["billed_bytes"]


def bars(vendor, symbols="AAPL,MSFT", schema="ohlcv-1m"):
    """(symbol, ns, prices, volume) as the vendor's own decoder has them."""
    form = {"dataset": "XNAS.ITCH", "symbols": symbols, "schema": schema, "stype_in": "raw_symbol"}
    form |= {"start": "2024-03-01", "end": "2024-04-10", "encoding": "dbn"}
    store = databento.DBNStore.from_bytes(io.BytesIO(vendor.raw(**form)))
    names = databento.common.symbology.InstrumentMap()
    names.insert_metadata(store.metadata)
    found = []
    for bar in store:
        day = databento.common.parsing.datetime_to_unix_nanoseconds(bar.ts_event)
        date = bar.pretty_ts_event.date()
        found.append((names.resolve(bar.instrument_id, date), day, bar.open, bar.high, bar.low, bar.close, bar.volume))
    return sorted(found)


def rows(pipeline):
    return sorted(
        (symbol, ns, *(int(price * 10**9) for price in prices), int(volume))
        for symbol, ns, *prices, volume in pipeline.query(
            "SELECT symbol, (extract(epoch FROM ts_event) * 1000000000)::bigint, open_price, high_price, low_price,"
            " close_price, volume FROM ohlcv_data"
        )
    )


@pytest.mark.slice
def test_a_subscription_becomes_rows(started, pipeline, vendor):
    started(MINUTES)
    run = pipeline.run(seconds=120)
    wanted = bars(vendor)
    assert_good(run, len(wanted))
    assert rows(pipeline) == wanted
    weekdays, weekend = 28, 12  # of the 40 days from the 1st of March to the 9th of April
    assert pipeline.query(COVERED) == [
        (symbol, state, count)
        for symbol in ("AAPL", "MSFT")
        for state, count in (("complete", weekdays), ("verified_empty", weekend))
    ]


def test_what_is_covered_is_not_bought_again(started, pipeline, vendor):
    started(MINUTES)
    first = pipeline.run(seconds=120)
    bought = billed(vendor)
    assert first["status"] == "success" and bought > 0
    second = pipeline.run(seconds=60)
    assert second["status"] == "success" and billed(vendor) == bought
    days = {"dataset": "XNAS.ITCH", "start": "2024-03-14", "end": "2024-03-15", "modified": "2024-06-01"}
    vendor.control("POST", "corrections", **days)
    third = pipeline.run(seconds=60)
    assert third["status"] == "success" and third["updated"] > 0, third
    assert 0 < billed(vendor) - bought < bought / 10, "one day of 28"
    assert rows(pipeline) == bars(vendor)
    assert pipeline.value("SELECT count(*) FROM etl.restatements") == third["updated"]


def test_a_run_never_costs_more_than_it_may(started, pipeline, vendor):
    started(MINUTES | {"cost_max_usd": "0.000000001"})
    run = pipeline.run(seconds=60)
    assert run["status"] == "failed"
    assert "cost_max_usd" in run["message"] and "minutes" in run["message"], run["message"]
    assert billed(vendor) == 0 and not rows(pipeline)


@pytest.mark.parametrize("fault", [{"status": 500}, {"status": 429}, {"cut_after_bytes": 3000}], ids=str)
def test_faults_on_the_way_change_nothing(started, pipeline, vendor, fault):
    pipeline.configure("fetcher", databento={"backoff_ms": 20, "backoff_ms_max": 100})
    vendor.fault(path="/v0/*", count=6, **fault)
    started(MINUTES)
    run = pipeline.run(seconds=120)
    vendor.control("DELETE", "faults")
    wanted = bars(vendor)
    assert_good(run, len(wanted))
    assert rows(pipeline) == wanted


def test_by_batch_job(started, pipeline, vendor):
    pipeline.configure("fetcher", databento={"poll_ms": 50})
    started(MINUTES | {"via": "batch", "chunk": "year"})
    run = pipeline.run(seconds=120)
    wanted = bars(vendor)
    assert_good(run, len(wanted))
    assert rows(pipeline) == wanted


def test_the_check_of_a_subscription_buys_nothing(started, pipeline, vendor):
    started(MINUTES | {"symbols": ["AAPL", "NOSUCH"]}, MINUTES | {"name": "dear", "cost_max_usd": "0.000000001"})
    said = pipeline.cli("subscription", "check", "minutes").stdout
    quote = json.loads(pipeline.cli("subscription", "check", "minutes", "--json").stdout)
    assert "NOSUCH" in said and quote["cost_usd"] in said and f"{quote['records']}" in said
    assert "28 available" in said and "XNAS.ITCH ohlcv-1m" in said
    assert "MORE THAN" in pipeline.cli("subscription", "check", "dear", code=1).stdout
    assert "no subscription nope" in pipeline.cli("subscription", "check", "nope", code=1).stderr
    assert billed(vendor) == 0


def test_the_test_of_the_api_names_what_is_wrong(started, pipeline, vendor, monkeypatch):
    started(MINUTES)
    said = pipeline.cli("config", "test-api", "databento", "--verbose").stdout
    assert "32 characters" in said and "datasets" in said and vendor.url in said and KEY not in said
    assert json.loads(pipeline.cli("config", "test-api", "databento", "--json").stdout)["passed"] is True
    monkeypatch.setenv("DATABENTO_GATEWAY", "http://127.0.0.1:1")
    assert "Connection refused" in pipeline.cli("config", "test-api", "databento", code=1).stdout
    monkeypatch.setenv("DATABENTO_API_KEY", "")
    assert "DATABENTO_API_KEY" in pipeline.cli("config", "test-api", "databento", code=1).stdout
    assert pipeline.cli("config", "test-api", "nasdaq", code=2).returncode == 2


def days_of(intervals):
    """(symbol, other symbol, day) of each day that is mapped."""
    return {
        (symbol, other, first + timedelta(days=n))
        for symbol, other, first, behind in intervals
        for n in range((behind - first).days)
    }


@pytest.mark.parametrize("via", ["stream", "batch"])
def test_what_the_metadata_says_of_symbols_is_loaded(started, pipeline, vendor, via):
    """Ids of shares change from day to day: each window's metadata has its part of them."""
    pipeline.configure("fetcher", databento={"poll_ms": 50})
    started(MINUTES | {"symbol_mappings": "true", "via": via})
    run = pipeline.run(seconds=120)
    assert (run["status"], run["balanced"]) == ("success", True), run
    form = {"dataset": "XNAS.ITCH", "symbols": "AAPL,MSFT", "schema": "ohlcv-1m", "stype_in": "raw_symbol"}
    form |= {"start": "2024-03-01", "end": "2024-04-10", "encoding": "dbn"}
    metadata = databento.DBNStore.from_bytes(io.BytesIO(vendor.raw(**form))).mappings
    wanted = {
        (symbol, interval["symbol"], interval["start_date"], interval["end_date"])
        for symbol, intervals in metadata.items()
        for interval in intervals
    }
    found = pipeline.query("SELECT input_symbol, output_symbol, d0, d1 FROM symbol_mappings")
    assert days_of(found) == days_of(wanted) and found
    assert rows(pipeline) == bars(vendor)
    assert run["fetched"] > len(rows(pipeline))


def test_what_symbols_resolve_to_is_loaded_for_nothing(started, pipeline, vendor):
    changes = {"name": "names", "dataset": "GLBX.MDP3", "symbols": ["ES.c.0", "CL.c.1"], "stype_in": "continuous"}
    started(MINUTES | changes | {"schema": "symbol_mapping", "chunk": "month", "cost_max_usd": "0"})
    run = pipeline.run(seconds=120)
    assert (run["status"], run["balanced"]) == ("success", True), run
    form = {"dataset": "GLBX.MDP3", "symbols": "ES.c.0,CL.c.1", "stype_in": "continuous", "stype_out": "instrument_id"}
    form |= {"start_date": "2024-03-01", "end_date": "2024-04-10"}
    answer = vendor.request("POST", "/v0/symbology.resolve", data=form).json()["result"]
    wanted = {
        (symbol, i["s"], date.fromisoformat(i["d0"]), date.fromisoformat(i["d1"]))
        for symbol, intervals in answer.items()
        for i in intervals
    }
    found = pipeline.query("SELECT input_symbol, output_symbol, d0, d1 FROM symbol_mappings")
    assert days_of(found) == days_of(wanted) and found and run["fetched"] == len(found)
    assert billed(vendor) == 0
    assert {state for _, state, _ in pipeline.query(COVERED)} == {"complete"}
    again = pipeline.run(seconds=60)
    assert (again["status"], again["fetched"]) == ("success", 0), "what is covered is not asked for again"


def test_mappings_of_a_file_are_loaded(pipeline, tmp_path):
    simulate(pipeline, tmp_path, bars=3000, symbols=5)
    pipeline.subscribe("bars", tmp_path / "bars.dbn.zst", symbol_mappings="true")
    pipeline.start_all()
    run = pipeline.run()
    metadata = databento.DBNStore.from_file(tmp_path / "bars.dbn.zst").mappings
    wanted = sorted((s, i["symbol"], i["start_date"], i["end_date"]) for s, each in metadata.items() for i in each)
    assert_good(run, 3000 + len(wanted))
    assert sorted(pipeline.query("SELECT input_symbol, output_symbol, d0, d1 FROM symbol_mappings")) == wanted
    again = pipeline.run()
    assert (again["inserted"], again["unchanged"]) == (0, 3000 + len(wanted))

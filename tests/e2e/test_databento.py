"""A vendor's subscription from its quote to its rows: every worker, and the simulated vendor."""

import json

import pytest
from harness.simulator import KEY, Simulator

WEEK = {"start": "2024-03-11", "end": "2024-03-18"}


@pytest.fixture
def vendor(pipeline, tmp_path):
    """The simulator, and all workers, of which the fetcher knows it."""
    with Simulator(tmp_path, "--seed", 7, "--start", "2010-01-01") as simulator:
        environment = {"DATABENTO_API_KEY": KEY, "DATABENTO_GATEWAY": simulator.url}
        workers = [pipeline.spawn("fetcher", environment=environment)]
        workers += [pipeline.spawn(kind) for kind in ("orchestrator", "validator", "transformer", "loader")]
        for worker in workers:
            worker.wait_ready()
        yield simulator


def subscribe(pipeline, **changes):
    entry = {"name": "minutes", "source": "databento", "dataset": "XNAS.ITCH", "schema": "ohlcv-1m"}
    entry |= {"symbols": ["AAPL", "MSFT"], "chunk": "week", "cost_max_usd": 1000, "symbol_mappings": "false"} | WEEK | changes
    pipeline.subscriptions = [entry]
    pipeline.write_subscriptions()


def records_of(pipeline, table="ohlcv_data"):
    return {
        (symbol, str(day)): count
        for symbol, day, count in pipeline.query(
            f"SELECT symbol, (ts_event AT TIME ZONE 'UTC')::date, count(*) FROM {table} GROUP BY 1, 2"
        )
    }


def coverage(pipeline):
    return {
        (symbol, str(day)): (state, records)
        for symbol, day, state, records in pipeline.query("SELECT symbol, day, state, records FROM etl.coverage")
    }


def test_a_week_is_bought_once(pipeline, vendor):
    subscribe(pipeline)
    run = pipeline.run()
    assert (run["status"], run["balanced"]) == ("success", True), run
    rows, found = records_of(pipeline), coverage(pipeline)
    assert sum(rows.values()) + run["dead_letters"] == run["fetched"] > 1000
    days = [f"2024-03-{day}" for day in range(11, 18)]
    assert found.keys() == {(symbol, day) for symbol in ("AAPL", "MSFT") for day in days}
    assert {state for (_, day), (state, _) in found.items() if day < "2024-03-16"} == {"complete"}
    assert {found[symbol, day] for symbol, day in found if day >= "2024-03-16"} == {("verified_empty", 0)}
    assert sum(records for _, records in found.values()) == run["fetched"]
    meter = vendor.control("GET", "meter")
    again = pipeline.run()
    assert (again["status"], again["fetched"]) == ("success", 0), again
    assert "all that the vendor has is covered" in again["message"]
    assert vendor.control("GET", "meter")["billed_bytes"] == meter["billed_bytes"] > 0, json.dumps(meter)


def test_a_parent(pipeline, vendor):
    subscribe(pipeline, dataset="GLBX.MDP3", symbols="ES.FUT", stype_in="parent", end="2024-03-13")
    run = pipeline.run()
    assert (run["status"], run["balanced"]) == ("success", True), run
    found = coverage(pipeline)
    parent = [found.pop(key) for key in sorted(found) if key[0] == "ES.FUT"]
    assert [state for state, _ in parent] == ["complete"] * 2 and found
    assert sum(records for _, records in parent) == sum(records for _, records in found.values()) == run["fetched"]
    assert pipeline.run()["fetched"] == 0


def test_a_cap_is_obeyed(pipeline, vendor):
    subscribe(pipeline, cost_max_usd="0.000000001")
    run = pipeline.run()
    assert run["status"] == "failed" and "USD is more than cost_max_usd 0.000000001" in run["message"]
    assert vendor.control("GET", "meter")["billed_bytes"] == 0


def test_a_symbol_that_nobody_knows(pipeline, vendor):
    """It is named by the run, which has all of the other one."""
    subscribe(pipeline, symbols=["AAPL", "NOSUCHTHING"], end="2024-03-12")
    run = pipeline.run()
    assert run["status"] == "success" and "not found: NOSUCHTHING" in run["message"], run
    assert coverage(pipeline)["NOSUCHTHING", "2024-03-11"] == ("verified_empty", 0)


def test_many_years_are_quoted(pipeline, vendor):
    """The condition of each day is told with the quote."""
    glbx = {"dataset": "GLBX.MDP3", "schema": "ohlcv-1d", "symbols": "ES.FUT", "stype_in": "parent"}
    subscribe(pipeline, **glbx, start="2010-06-07", end="2026-06-07", chunk="year", cost_max_usd="0.000000001")
    run = pipeline.run(seconds=240)
    assert "USD is more than cost_max_usd" in run["message"], run["message"]
    told = pipeline.value("SELECT jsonb_array_length(result->'conditions') FROM etl.attempts")
    assert told > 3500, told

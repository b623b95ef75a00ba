"""symbology.resolve as records of schema symbol_mapping, against what the simulated vendor answers to us."""

from datetime import date, timedelta

import pytest
from harness.simulator import KEY, Simulator
from harness.waiting import wait_until
from harness.windows import (
    ATTEMPT,
    DAY,
    DLQ,
    MONDAY,
    QUICK,
    QUOTE,
    SATURDAY,
    events,
    meter,
    raw,
    send,
    task,
    wait_over,
)

EPOCH = date(1970, 1, 1)
SHARES = ["AAPL", "MSFT", "NVDA", "SPY", "QQQ", "TSLA", "AMZN", "BRK.B"]
CALL_SYMBOLS = 25  # of one call, see stages/fetcher/sources/databento/resolve.h
MANY = SHARES + [f"NO{n}" for n in range(CALL_SYMBOLS - len(SHARES))] + ["AAPL", "MSFT"]  # two calls, both with answers


def mapping_task(attempt=ATTEMPT, **changes):
    wanted = {"schema": "symbol_mapping", "record_type": "symbol_mapping", "end": MONDAY + 19 * DAY}
    return task(attempt, **(wanted | changes))


def day_of(ns):
    return EPOCH + timedelta(days=ns // DAY)


def resolved(simulator, wanted):
    """(symbol, other symbol, first day, day behind) as the vendor has them."""
    form = {"dataset": wanted["dataset"], "symbols": ",".join(wanted["symbols"]), "stype_in": wanted["stype_in"]}
    form |= {"stype_out": "raw_symbol" if wanted["stype_in"] == "instrument_id" else "instrument_id"}
    form |= {"start_date": str(day_of(wanted["start"])), "end_date": str(day_of(wanted["end"] - 1) + timedelta(days=1))}
    answer = simulator.request("POST", "/v0/symbology.resolve", data=form).json()
    return [(s, i["s"], i["d0"], i["d1"]) for s, intervals in answer["result"].items() for i in intervals]


def mapped(pipeline, attempt=ATTEMPT):
    records = raw(pipeline, "symbol_mapping", attempt)
    days = [r["d0"] if isinstance(r["d0"], date) else EPOCH + timedelta(days=r["d0"]) for r in records]
    ends = [r["d1"] if isinstance(r["d1"], date) else EPOCH + timedelta(days=r["d1"]) for r in records]
    return [(r["symbol"], r["output_symbol"], str(d0), str(d1)) for r, d0, d1 in zip(records, days, ends)]


@pytest.mark.parametrize(
    "changes",
    [
        {"symbols": SHARES},
        {"symbols": ["ALL_SYMBOLS"]},
        {"symbols": ["ES.FUT", "CL.FUT"], "stype_in": "parent", "dataset": "GLBX.MDP3"},
        {"symbols": ["ES.c.0", "ES.v.1"], "stype_in": "continuous", "dataset": "GLBX.MDP3"},
    ],
    ids=["raw_symbol", "all", "parent", "continuous"],
)
def test_what_the_vendor_resolves_is_what_comes(pipeline, simulator, fetch, changes):
    fetch()
    wanted = mapping_task(**changes)
    send(pipeline, wanted)
    end, result = wait_over(pipeline)
    found = mapped(pipeline)
    assert end["state"] == "done" and found and sorted(found) == sorted(resolved(simulator, wanted))
    assert end["fetched"] == result["records"] == len(found) and result["days"] is None
    assert result["covered_end"] == "2024-03-30T00:00:00.000000000Z" and not pipeline.read(DLQ)
    records = raw(pipeline, "symbol_mapping")
    assert [r["ordinal"] for r in records] == list(range(1, len(found) + 1))
    assert {r["stype_in"] for r in records} == {wanted["stype_in"]}
    assert {(r["stype_out"], r["dataset"]) for r in records} == {("instrument_id", wanted["dataset"])}
    assert meter(simulator)["billed_bytes"] == 0, "the vendor sells no such records"


def test_instrument_ids_are_resolved_to_symbols(pipeline, simulator, fetch):
    fetch()
    send(pipeline, mapping_task(symbols=["AAPL"]))
    wait_over(pipeline)
    ids = sorted({number for _, number, _, _ in mapped(pipeline)})
    wanted = mapping_task(ATTEMPT + 1, task=12, stype_in="instrument_id", symbols=ids)
    send(pipeline, wanted)
    wait_over(pipeline, ATTEMPT + 1)
    found = mapped(pipeline, ATTEMPT + 1)
    assert sorted(found) == sorted(resolved(simulator, wanted)) and "AAPL" in {symbol for _, symbol, _, _ in found}


def test_more_symbols_than_a_call_takes(pipeline, simulator, fetch):
    """Those without an answer are named, of each call."""
    worker = fetch()
    send(pipeline, mapping_task(symbols=MANY[:-2] + ["NOSUCH"]))
    end, result = wait_over(pipeline)
    calls = [e for e in worker.events("api_call") if e["context"]["call"] == "symbology.resolve"]
    assert end["state"] == "done" and len(calls) == 2
    assert sorted(result["not_found"]) == sorted([s for s in MANY if s.startswith("NO")] + ["NOSUCH"])
    assert {symbol for symbol, _, _, _ in mapped(pipeline)} == set(SHARES)


@pytest.mark.parametrize("options", [(), ("--weekend-422",)])
def test_a_weekend_maps_nothing(pipeline, tmp_path, options):
    with Simulator(tmp_path, "--seed", 7, *options) as vendor:
        words = [word for key, value in QUICK.items() for word in ("--set", f"{key}={value}")]
        pipeline.spawn("fetcher", *words, environment={"DATABENTO_API_KEY": KEY, "DATABENTO_GATEWAY": vendor.url})
        send(pipeline, mapping_task(start=SATURDAY, end=SATURDAY + 2 * DAY))
        end, result = wait_over(pipeline)
    assert (end["state"], end["fetched"], result["records"]) == ("done", 0, 0)
    assert result["covered_end"] == "2024-03-18T00:00:00.000000000Z"


REFUSED = {"status": 422, "case": "symbology_invalid_request", "message": "no such symbol"}


def test_symbols_that_are_refused_are_a_dead_task(pipeline, simulator, fetch):
    """Unless the vendor has nothing for these days: then there is nothing, for sure."""
    simulator.fault(path="/v0/symbology.resolve", count=2, **REFUSED)
    fetch()
    send(pipeline, mapping_task(), mapping_task(ATTEMPT + 1, task=12, start=SATURDAY, end=SATURDAY + 2 * DAY))
    end, _ = wait_over(pipeline)
    assert end["state"] == "failed" and "no such symbol" in end["message"]
    end, result = wait_over(pipeline, ATTEMPT + 1)
    assert (end["state"], result["records"]) == ("done", 0)


def stopped_between(pipeline, simulator, fetch):
    """A fetcher that is killed when the records of the first of two calls are committed."""
    simulator.fault(path="/v0/symbology.resolve", skip=1, count=1, delay_ms=60_000)
    worker = fetch()
    send(pipeline, mapping_task(symbols=MANY))
    wait_until(lambda: any(e["fetched"] > 0 for e in events(pipeline)), 60, "the first call's are committed")
    worker.kill()
    simulator.control("DELETE", "faults")
    return len(raw(pipeline, "symbol_mapping"))


def test_a_killed_fetcher_goes_on(pipeline, simulator, fetch):
    sent = stopped_between(pipeline, simulator, fetch)
    fetch()
    end, result = wait_over(pipeline)
    first = resolved(simulator, mapping_task(symbols=MANY[:CALL_SYMBOLS]))
    second = resolved(simulator, mapping_task(symbols=MANY[CALL_SYMBOLS:]))
    assert end["state"] == "done" and end["fetched"] == result["records"] == len(first) + len(second) > sent > 0
    assert mapped(pipeline) == first + second


def test_other_answers_than_before_end_the_attempt(pipeline, simulator, fetch, tmp_path):
    """What was read before and what comes now are not put together."""
    stopped_between(pipeline, simulator, fetch)
    folder = tmp_path / "other"
    folder.mkdir()
    with Simulator(folder, "--seed", 8, "--symbols", 3) as other:
        words = [word for key, value in QUICK.items() for word in ("--set", f"{key}={value}")]
        pipeline.spawn("fetcher", *words, environment={"DATABENTO_API_KEY": KEY, "DATABENTO_GATEWAY": other.url})
        end, _ = wait_over(pipeline)
    assert end["state"] == "abandoned" and "the vendor resolves" in end["message"], end


def test_a_quote_of_mappings_costs_nothing(pipeline, simulator, fetch):
    worker = fetch()
    send(pipeline, mapping_task(symbols=MANY[:-2] + ["NOSUCH"], **QUOTE))
    end, quote = wait_over(pipeline)
    assert end["state"] == "done" and (quote["cost_usd"], quote["records"], quote["bytes"]) == ("0", 0, 0), quote
    assert "NOSUCH" in quote["symbols"]["not_found"] and "NO0" in quote["symbols"]["not_found"]
    asked = {e["context"]["call"] for e in worker.events("api_call")}
    assert "metadata.get_cost" not in asked and "symbology.resolve" in asked

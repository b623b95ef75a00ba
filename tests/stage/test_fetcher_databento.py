"""The fetcher against the simulated vendor: tasks from an encoder that is not ours, answers checked with the vendor's
own decoder."""

import io
import json
import signal
import time
from datetime import datetime, timezone

import databento
import pytest
from harness.bars import simulate
from harness.simulator import KEY, Simulator
from harness.waiting import wait_until
from harness.windows import (
    ATTEMPT,
    ATTEMPT_RANDOM_BITS,
    DAY,
    DLQ,
    MONDAY,
    QUICK,
    QUOTE,
    SATURDAY,
    events,
    meter,
    ns,
    raw,
    send,
    task,
    wait_over,
)

def vendors(simulator, **changes):
    """What the vendor's decoder makes of the same window, in the vendor's order."""
    asked = task(**changes)
    form = {
        "dataset": asked["dataset"],
        "symbols": ",".join(asked["symbols"]),
        "schema": asked["schema"],
        "stype_in": asked["stype_in"],
        "stype_out": "instrument_id",
        "start": asked["start"],
        "end": asked["end"],
        "encoding": "dbn",
    }
    return list(databento.DBNStore.from_bytes(io.BytesIO(simulator.raw(**form))))


def bars_of(records):
    return [(r["ts_event"], r["instrument_id"], r["close"], r["volume"]) for r in records]


def check_all_there(pipeline, simulator, **changes):
    found, wanted = raw(pipeline), vendors(simulator, **changes)
    assert [r["ordinal"] for r in found] == list(range(1, len(wanted) + 1))
    assert [(r["ts_event"], r["instrument_id"]) for r in found] == [(w.ts_event, w.instrument_id) for w in wanted]
    return found, wanted


# --- what is asked for is what comes ------------------------------------------------------------------------------------


def test_a_window_is_what_the_vendor_has(pipeline, simulator, fetch):
    fetch()
    send(pipeline, task())
    end, result = wait_over(pipeline)
    found, wanted = check_all_there(pipeline, simulator)
    assert {r["symbol"] for r in found} == {"AAPL", "MSFT"} and len(wanted) > 700
    assert (end["state"], end["fetched"], end["message"]) == ("done", len(wanted), "")
    assert result["records"] == result["expected_records"] == len(wanted)
    assert result["covered_end"] == "2024-03-12T00:00:00.000000000Z"
    assert result["partial"] == result["not_found"] == []
    days = {(day["symbol"], day["date"]): day["records"] for day in result["days"]}
    assert days == {(s, "2024-03-11"): sum(r["symbol"] == s for r in found) for s in ("AAPL", "MSFT")}
    assert end["input_bytes"] == result["billed_bytes"] > 0


@pytest.mark.parametrize("kind", ["trades", "tbbo", "statistics", "definition"])
def test_every_type_comes(pipeline, simulator, fetch, kind):
    changes = {"schema": kind, "record_type": kind, "symbols": ["AAPL"], "end": MONDAY + DAY}
    fetch()
    send(pipeline, task(**changes))
    end, result = wait_over(pipeline)
    wanted, found = vendors(simulator, **changes), raw(pipeline, kind)
    assert end["state"] == "done" and len(found) == len(wanted) == result["expected_records"] > 0
    assert [r["ts_recv"] for r in found] == [w.ts_recv for w in wanted]


@pytest.mark.parametrize("stype, symbols", [("parent", ["ES.FUT"]), ("continuous", ["ES.c.0"])])
def test_symbologies(pipeline, simulator, fetch, stype, symbols):
    changes = {"dataset": "GLBX.MDP3", "stype_in": stype, "symbols": symbols}
    fetch()
    send(pipeline, task(**changes))
    end, _ = wait_over(pipeline)
    found, _ = check_all_there(pipeline, simulator, **changes)
    assert end["state"] == "done" and found and all(r["symbol"].startswith("ES") for r in found)


def test_instrument_ids_get_their_symbols(pipeline, simulator, fetch):
    fetch()
    send(pipeline, task())
    wait_over(pipeline)
    ids = {r["symbol"]: r["instrument_id"] for r in raw(pipeline)}
    send(pipeline, task(ATTEMPT + 1, task=12, stype_in="instrument_id", symbols=[str(ids["AAPL"])]))
    wait_over(pipeline, ATTEMPT + 1)
    again = raw(pipeline, attempt=ATTEMPT + 1)
    assert again and {r["symbol"] for r in again} == {"AAPL"}


def test_a_quote_says_what_the_vendor_says(pipeline, simulator, fetch):
    fetch()
    send(pipeline, task(end=MONDAY + 5 * DAY, symbols=["AAPL", "NOSUCH"], **QUOTE))
    end, quote = wait_over(pipeline)
    assert (end["state"], end["fetched"]) == ("done", 0)
    client = {"dataset": "XNAS.ITCH", "symbols": "AAPL,NOSUCH", "schema": "ohlcv-1m", "stype_in": "raw_symbol"}
    client |= {"start": MONDAY, "end": MONDAY + 5 * DAY}

    def told(name):
        return simulator.request("POST", f"/v0/metadata.{name}", data=client).text.strip()

    assert quote["records"] == int(told("get_record_count")) > 0
    assert quote["bytes"] == int(told("get_billable_size"))
    assert float(quote["cost_usd"]) == pytest.approx(float(told("get_cost")), abs=1e-9)
    assert [day["date"] for day in quote["conditions"]] == [f"2024-03-{day}" for day in range(11, 16)]
    assert {day["condition"] for day in quote["conditions"]} == {"available"}
    assert quote["symbols"] == {"partial": [], "not_found": ["NOSUCH"]}
    assert quote["available_start"] < "2024-03-11" < quote["available_end"]
    assert meter(simulator)["billed_bytes"] == 0, "a quote buys nothing"


# --- less than was asked for ---------------------------------------------------------------------------------------------


def test_a_window_behind_the_available_end_is_clipped(pipeline, simulator, fetch):
    fetch()
    ranges = simulator.request("GET", "/v0/metadata.get_dataset_range", params={"dataset": "XNAS.ITCH"}).json()
    available = datetime.fromisoformat(ranges["end"][:19]).replace(tzinfo=timezone.utc)
    until = int(available.timestamp()) * 10**9
    send(pipeline, task(start=until - 7 * DAY, end=until + 7 * DAY), task(ATTEMPT + 1, until + DAY, until + 2 * DAY))
    end, result = wait_over(pipeline)
    assert end["state"] == "done" and end["fetched"] == result["records"] > 0
    assert result["covered_end"][:19] == ranges["end"][:19]
    end, result = wait_over(pipeline, ATTEMPT + 1)
    assert (end["state"], end["fetched"], result["records"]) == ("done", 0, 0)
    assert result["covered_end"] == "{:%Y-%m-%dT%H:%M:%S}.000000000Z".format(
        datetime.fromtimestamp(until // 10**9 + 86400, timezone.utc)
    ), "nothing of the window is covered"


@pytest.mark.parametrize("options", [(), ("--weekend-422",)])
def test_a_weekend_is_empty_for_sure(pipeline, tmp_path, options):
    with Simulator(tmp_path, "--seed", 7, *options) as vendor:
        words = [word for key, value in QUICK.items() for word in ("--set", f"{key}={value}")]
        pipeline.spawn("fetcher", *words, environment={"DATABENTO_API_KEY": KEY, "DATABENTO_GATEWAY": vendor.url})
        send(pipeline, task(start=SATURDAY, end=SATURDAY + 2 * DAY))
        end, result = wait_over(pipeline)
    assert (end["state"], end["fetched"], result["records"], result["expected_records"]) == ("done", 0, 0, 0)
    assert result["covered_end"] == "2024-03-18T00:00:00.000000000Z" and result["days"] == []


def test_symbols_that_are_not_there_are_named(pipeline, simulator, fetch):
    fetch()
    send(pipeline, task(symbols=["AAPL", "NOSUCH"]), task(ATTEMPT + 1, task=12, symbols=["NOSUCH"]))
    end, result = wait_over(pipeline)
    assert end["state"] == "done" and end["fetched"] > 0 and result["not_found"] == ["NOSUCH"]
    end, result = wait_over(pipeline, ATTEMPT + 1)
    assert end["state"] == "failed" and "symbology_invalid_request" in end["message"] and result is None


# --- what goes wrong on the way --------------------------------------------------------------------------------------------


MONTH = {"symbols": ["AAPL", "MSFT", "NVDA", "SPY", "QQQ", "TSLA"], "end": MONDAY + 30 * DAY}


def test_a_body_that_breaks_off_is_gone_on_with(pipeline, simulator, fetch):
    """Nothing is lost or doubled, and the window is not bought again."""
    vendors(simulator, **MONTH)
    whole = meter(simulator)["billed_bytes"]
    simulator.control("DELETE", "meter")
    simulator.fault(path="/v0/timeseries.get_range", count=3, cut_after_bytes=200_000)
    worker = fetch()
    send(pipeline, task(**MONTH))
    end, result = wait_over(pipeline)
    bought = meter(simulator)["billed_bytes"]
    assert end["state"] == "done" and result["records"] == result["expected_records"] == end["fetched"]
    check_all_there(pipeline, simulator, **MONTH)
    assert simulator.control("GET", "faults")[0]["hits"] == 3
    assert len([e for e in worker.events("api_call") if "tried again" in e["message"]]) == 3
    # A block of zstd, 128 KiB, is lost with each cut; the simulator counts 64 KiB more that are not sent.
    assert bought < whole + 3 * 320 * 1024 < whole * 1.5, (bought, whole)


def test_a_corrupt_body_is_asked_for_again(pipeline, simulator, fetch):
    simulator.fault(path="/v0/timeseries.get_range", count=2, corrupt_after_bytes=30_000)
    fetch()
    send(pipeline, task(end=MONDAY + 12 * DAY))
    end, result = wait_over(pipeline)
    assert end["state"] == "done" and result["records"] == result["expected_records"] == end["fetched"]
    assert simulator.control("GET", "faults")[0]["hits"] == 2
    check_all_there(pipeline, simulator, end=MONDAY + 12 * DAY)


def test_a_killed_fetcher_goes_on_where_it_was(pipeline, simulator, fetch):
    changes = {"symbols": ["AAPL", "MSFT", "NVDA"], "end": MONDAY + 12 * DAY}
    simulator.fault(path="/v0/timeseries.get_range", count=1, slow_bytes_per_second=30_000)
    worker = fetch()
    send(pipeline, task(**changes))
    wait_until(lambda: any(e["fetched"] > 500 for e in events(pipeline)), 60, "a part of it is committed")
    worker.kill()
    sent = len(raw(pipeline))
    fetch()
    end, result = wait_over(pipeline)
    assert end["state"] == "done" and result["days"] is None, "what the first one counted is not known"
    assert end["fetched"] == result["records"] == result["expected_records"] > sent > 500
    check_all_there(pipeline, simulator, **changes)


def test_data_that_was_corrected_meanwhile_ends_the_attempt(pipeline, simulator, fetch):
    """What was read before the correction and what comes after it are not put together."""
    changes = {"symbols": ["AAPL"], "end": MONDAY + 12 * DAY}
    simulator.fault(path="/v0/timeseries.get_range", count=1, slow_bytes_per_second=30_000)
    worker = fetch()
    send(pipeline, task(**changes))
    wait_until(lambda: any(e["fetched"] > 500 for e in events(pipeline)), 60, "a part of it is committed")
    worker.kill()
    simulator.control("POST", "corrections", dataset="XNAS.ITCH", start="2024-03-11", end="2024-03-25")
    fetch()
    end, _ = wait_over(pipeline)
    assert end["state"] == "abandoned" and "corrected meanwhile" in end["message"], end


@pytest.mark.parametrize("status", [429, 500, 503, 504])
def test_what_passes_is_waited_for(pipeline, simulator, fetch, status):
    simulator.fault(path="/v0/timeseries.get_range", count=3, status=status)
    worker = fetch()
    send(pipeline, task())
    end, result = wait_over(pipeline)
    assert end["state"] == "done" and result["records"] == result["expected_records"]
    logged = worker.events("api_throttled" if status == 429 else "api_call")
    told = [e for e in logged if "tried again" in e["message"]]
    assert len(told) == 3 and all(e["context"]["status"] == status for e in told)
    assert {"remaining_calls", "reset_time", "throttle_applied"} <= set(told[0]["context"])
    if status == 429:
        assert all("rate limit" in e["message"] and e["context"]["throttle_applied"] == "true" for e in told)


def test_retry_after_is_obeyed(pipeline, simulator, fetch):
    simulator.fault(path="/v0/timeseries.get_range", count=1, status=429, retry_after=2)
    worker = fetch()
    send(pipeline, task())
    assert wait_over(pipeline)[0]["state"] == "done"
    (told,) = [e for e in worker.events("api_throttled") if "tried again" in e["message"]]
    assert "in 2000 ms" in told["message"]
    calls = [e for e in worker.events("api_call") if e["context"]["call"] == "timeseries.get_range"]
    waited = datetime.fromisoformat(calls[0]["timestamp"][:-1]) - datetime.fromisoformat(told["timestamp"][:-1])
    assert waited.total_seconds() >= 1.9


@pytest.mark.parametrize(
    "fault, said",
    [
        ({"status": 401, "case": "auth_authentication_failed", "message": "no such key"}, "no such key"),
        ({"status": 402, "case": "account_insufficient_funds", "message": "no funds"}, "account_insufficient_funds"),
        ({"status": 403, "case": "license_not_found_unauthorized", "message": "no licence"}, "no licence"),
        ({"status": 422, "case": "data_schema_not_fully_available", "message": "later"}, "HTTP 422"),
        ({"status": 500, "message": "broken"}, "given up after 4 tries: HTTP 500"),
        ({"cut_after_bytes": 10}, "given up after 4 tries"),
    ],
    ids=["key", "funds", "licence", "schema", "always-500", "always-cut"],
)
def test_what_does_not_pass_is_a_dead_task(pipeline, simulator, fetch, fault, said):
    simulator.fault(path="/v0/timeseries.get_range", count=-1, **fault)
    worker = fetch(**{"databento.tries_max": 4})
    send(pipeline, task())
    end, _ = wait_over(pipeline)
    assert (end["state"], end["fetched"]) == ("failed", 0) and said in end["message"], end["message"]
    (letter,) = pipeline.wait_messages(DLQ, 1)
    headers = pipeline.headers(letter)
    assert headers["etl.class"] == "api_errors" and headers["etl.message"] == end["message"]
    assert worker.running
    assert KEY not in worker.tail(10_000)


def test_others_go_on_while_one_waits(pipeline, simulator, fetch, tmp_path):
    """A slow body in one slot, a file and another window in others."""
    simulator.fault(path="/v0/timeseries.get_range", count=1, stall_after_bytes=2000, stall_ms=20_000)
    fetch()
    send(pipeline, task())
    wait_until(lambda: simulator.control("GET", "faults")[0]["hits"] == 1, 30, "the slow one is asked for")
    simulate(pipeline, tmp_path, "bars.dbn", bars=500)
    file = task(ATTEMPT + 1, source="file", dataset="", schema="", path=str(tmp_path / "bars.dbn"), symbols=[])
    send(pipeline, file, topic="etl.tasks.file")
    send(pipeline, task(ATTEMPT + 2, task=13), slot=1)
    assert wait_over(pipeline, ATTEMPT + 1)[0]["fetched"] == 500
    assert wait_over(pipeline, ATTEMPT + 2)[0]["state"] == "done"
    assert all(e["state"] == "running" for e in events(pipeline))
    assert wait_over(pipeline)[0]["state"] == "done"
    check_all_there(pipeline, simulator)


def test_a_transfer_is_kept_over_a_rebalance(pipeline, simulator, fetch):
    simulator.fault(path="/v0/timeseries.get_range", count=1, slow_bytes_per_second=20_000)
    first = fetch()
    send(pipeline, task(end=MONDAY + 12 * DAY), slot=0)
    wait_until(lambda: any(e["fetched"] > 100 for e in events(pipeline)), 60, "a part of it is committed")
    second = fetch()
    wait_until(lambda: first.events("task_kept") or second.events("task_started"), 40, "the slots are shared")
    end, result = wait_over(pipeline)
    assert end["state"] == "done" and result["records"] == result["expected_records"]
    check_all_there(pipeline, simulator, end=MONDAY + 12 * DAY)
    if first.events("task_kept"):
        calls = [e for e in first.events("api_call") if e["context"]["call"] == "timeseries.get_range"]
        assert len(calls) == 1 and not second.events("task_started")


def test_a_stop_does_not_wait_for_the_vendor(pipeline, simulator, fetch):
    simulator.fault(path="/v0/*", count=-1, delay_ms=60_000)
    worker = fetch()
    send(pipeline, task())
    worker.wait_event("task_started")
    worker.process.send_signal(signal.SIGTERM)
    assert worker.wait_exit(10) == 0


def test_without_a_key_the_tasks_are_left_alone(pipeline, simulator):
    worker = pipeline.start("fetcher")
    send(pipeline, task())
    slots = [e["context"]["slots"] for e in worker.events("slots_assigned")]
    open_to_all = len(pipeline.partitions("etl.tasks.file")) + len(pipeline.partitions("etl.tasks.kafka"))
    assert slots[-1] == open_to_all, "those of the other source are nobody's"
    assert not events(pipeline)


@pytest.mark.parametrize("key, said", [("db-short", "8 characters"), ("x" * 32, "32 characters")])
def test_a_key_that_is_none_is_refused_at_once(pipeline, key, said):
    worker = pipeline.spawn("fetcher", environment={"DATABENTO_API_KEY": key})
    assert worker.wait_exit(20) == 2
    assert said in worker.tail() and key not in worker.tail()


def test_bad_tasks_are_dead_by_name(pipeline, simulator, fetch):
    fetch()
    changes = [{"symbols": []}, {"dataset": ""}, {"parameters": "{"}, {"parameters": '{"action": "buy"}'}]
    changes += [{"start": None}, {"end": MONDAY}]
    words = ["symbols", "dataset", "JSON", "buy", "start and end", "empty"]
    send(pipeline, *[task(ATTEMPT + n, task=n, **change) for n, change in enumerate(changes)])
    for n, word in enumerate(words):
        end, _ = wait_over(pipeline, ATTEMPT + n)
        assert end["state"] == "failed" and word in end["message"], end["message"]
    assert meter(simulator)["billed_bytes"] == 0


# --- by batch job -------------------------------------------------------------------------------------------------------

BATCH = {"parameters": json.dumps({"via": "batch"}), "symbols": ["AAPL", "MSFT"], "end": MONDAY + 30 * DAY}
POLLED = {"databento.poll_ms": 50}


def jobs(simulator):
    return simulator.request("GET", "/v0/batch.list_jobs").json()


def test_a_batch_job_brings_the_same_records(pipeline, simulator, fetch, tmp_path):
    spool = tmp_path / "spool"
    spool.mkdir()
    fetch(**POLLED, **{"databento.spool": spool})
    send(pipeline, task(**BATCH))
    end, result = wait_over(pipeline)
    assert end["state"] == "done" and result["records"] == result["expected_records"] == end["fetched"]
    check_all_there(pipeline, simulator, end=BATCH["end"])
    assert {day["date"][:7] for day in result["days"]} == {"2024-03", "2024-04"}
    assert len(jobs(simulator)) == 1 and not list(spool.iterdir())


@pytest.mark.parametrize(
    "fault",
    [{"cut_after_bytes": 5000}, {"corrupt_after_bytes": 5000}, {"status": 429, "retry_after": 1}],
    ids=["cut", "corrupt", "429"],
)
def test_a_download_that_goes_wrong(pipeline, simulator, fetch, fault):
    simulator.fault(path="/v0/batch/download/*", count=2, **fault)
    worker = fetch(**POLLED)
    send(pipeline, task(**BATCH))
    end, result = wait_over(pipeline)
    assert end["state"] == "done" and result["records"] == result["expected_records"] == end["fetched"], end
    assert simulator.control("GET", "faults")[0]["hits"] == 2
    assert "tried again" in worker.log()
    check_all_there(pipeline, simulator, end=BATCH["end"])


def attempt_now():
    """As the orchestrator makes them: the time in ms, and bits that are random."""
    return int(time.time() * 1000) << ATTEMPT_RANDOM_BITS


def test_a_job_is_not_bought_twice(pipeline, simulator, fetch):
    """Killed once the job is known; one of this window that nobody had noted yet; one that is older is not taken."""
    simulator.fault(path="/v0/batch/download/*", count=1, slow_bytes_per_second=20_000)
    worker = fetch(**POLLED)
    send(pipeline, task(**BATCH))
    wait_until(lambda: any(e["fetched"] == 0 for e in events(pipeline)), 60, "the job is committed")
    worker.kill()
    fetch(**POLLED)
    assert wait_over(pipeline)[0]["state"] == "done"
    check_all_there(pipeline, simulator, end=BATCH["end"])
    attempt = attempt_now()
    form = {"dataset": "XNAS.ITCH", "symbols": "AAPL,MSFT", "schema": "ohlcv-1m", "stype_in": "raw_symbol"}
    form |= {"start": MONDAY, "end": BATCH["end"], "encoding": "dbn", "compression": "zstd", "split_duration": "month"}
    assert simulator.request("POST", "/v0/batch.submit_job", data=form).ok
    send(pipeline, task(attempt, task=12, **BATCH))
    assert wait_over(pipeline, attempt)[0]["state"] == "done"
    assert len(jobs(simulator)) == 2
    later = attempt_now()
    send(pipeline, task(later, task=13, **BATCH))
    assert wait_over(pipeline, later)[0]["state"] == "done"
    assert len(jobs(simulator)) == 3


# --- symbol mappings ------------------------------------------------------------------------------------------------------

MAPPED = {"symbol_mappings": True}


@pytest.mark.parametrize("via", ["stream", "batch"])
def test_mappings_of_the_metadata_come_once(pipeline, simulator, fetch, via):
    """Before the records, and not again where the answer broke off."""
    simulator.fault(path="/v0/timeseries.get_range", count=2, cut_after_bytes=200_000)
    fetch(**POLLED)
    send(pipeline, task(**MONTH, parameters=json.dumps(MAPPED | {"via": via})))
    end, result = wait_over(pipeline)
    simulator.control("DELETE", "faults")
    mappings = raw(pipeline, "symbol_mapping")
    asked = {"symbols": ",".join(MONTH["symbols"]), "dataset": "XNAS.ITCH", "schema": "ohlcv-1m", "encoding": "dbn"}
    asked |= {"start": MONDAY, "end": MONTH["end"]}
    metadata = databento.DBNStore.from_bytes(io.BytesIO(simulator.raw(**asked)))
    days = sum((m["d1"] - m["d0"]).days if hasattr(m["d1"] - m["d0"], "days") else m["d1"] - m["d0"] for m in mappings)
    wanted = sum((i["end_date"] - i["start_date"]).days for each in metadata.mappings.values() for i in each)
    assert days == wanted > 0
    assert {m["symbol"] for m in mappings} == set(MONTH["symbols"]) and {m["schema"] for m in mappings}
    assert end["state"] == "done" and end["fetched"] == result["records"] + len(mappings)
    assert result["records"] == result["expected_records"]
    if via == "stream":
        assert [m["ordinal"] for m in mappings] == list(range(1, len(mappings) + 1))


def test_a_quote_begins_where_the_vendor_does(pipeline, simulator, fetch):
    fetch()
    ranges = simulator.request("GET", "/v0/metadata.get_dataset_range", params={"dataset": "XNAS.ITCH"}).json()
    first = ns(ranges["start"][:10])
    send(pipeline, task(start=first - 400 * DAY, end=first + 3 * DAY, **QUOTE))
    end, quote = wait_over(pipeline)
    assert end["state"] == "done" and quote["available_start"][:10] == ranges["start"][:10], end
    assert quote["conditions"] and min(day["date"] for day in quote["conditions"]) >= ranges["start"][:10]

"""The fetcher alone: tasks that are parked on etl.control, and where the next attempt goes on."""

import json

import pytest
from harness.bars import simulate
from harness.simulator import KEY
from harness.waiting import wait_until
from harness.windows import ATTEMPT, DAY, MONDAY, events, meter, raw, send, task, wait_over

WINDOW = {"symbols": ["AAPL", "MSFT", "NVDA"], "end": MONDAY + 12 * DAY}


def park(pipeline, subscription="minutes", through=ATTEMPT, **changes):
    told = {"action": "park", "subscription": subscription, "through": through, "why": "a test"} | changes
    pipeline.produce("etl.control", [{"key": subscription, "value": json.dumps(told)}])


def file_task(path, attempt=ATTEMPT, **changes):
    return task(attempt, source="file", dataset="", schema="", path=str(path), symbols=[]) | changes


def numbered(*parts):
    """Each attempt's records are 1..N; together, without their places in an account."""
    for part in parts:
        assert [r["ordinal"] for r in part] == list(range(1, len(part) + 1))
    return [(r["symbol"], r["ts_event"], r["close"], r["volume"]) for part in parts for r in part]


def test_a_transfer_is_parked_and_gone_on_with(pipeline, simulator, fetch):
    """Nothing is lost, doubled, or bought twice."""
    worker = fetch()
    send(pipeline, task(ATTEMPT - 1, task=10, subscription="whole", **WINDOW))
    _, whole = wait_over(pipeline, ATTEMPT - 1)
    bought = meter(simulator)["billed_bytes"]
    simulator.control("DELETE", "meter")
    simulator.fault(path="/v0/timeseries.get_range", count=1, slow_bytes_per_second=30_000)
    send(pipeline, task(**WINDOW))
    wait_until(lambda: any(e["fetched"] > 500 for e in events(pipeline)), 60, "a part of it is committed")
    park(pipeline)
    end, result = wait_over(pipeline)
    assert (end["state"], end["message"]) == ("abandoned", "parked: its subscription is held back")
    place = result["parked"]
    assert 500 < end["fetched"] < whole["records"] and place["items"] == end["fetched"]
    # another process goes on there, as another attempt
    assert worker.stop() == 0
    fetch()
    send(pipeline, task(ATTEMPT + 1, **WINDOW, parameters=json.dumps({"parked": place})))
    end, result = wait_over(pipeline, ATTEMPT + 1)
    assert end["state"] == "done" and result["records"] == result["expected_records"] == whole["records"]
    parts = numbered(raw(pipeline), raw(pipeline, attempt=ATTEMPT + 1))
    assert parts == numbered(raw(pipeline, attempt=ATTEMPT - 1))
    assert meter(simulator)["billed_bytes"] < bought * 1.6


def test_tasks_that_wait_are_parked_unopened_and_others_flow(pipeline, tmp_path):
    simulate(pipeline, tmp_path, "bars.dbn", bars=300)
    path = tmp_path / "bars.dbn"
    park(pipeline, "bad")
    park(pipeline, "good", action="cancel")  # an action that is another's
    pipeline.produce("etl.control", [{"key": "x", "value": value} for value in ("", "no JSON", "[]", '{"action": "park"}')])
    worker = pipeline.start("fetcher")
    worker.wait_event("subscription_parked")
    bad = [file_task(tmp_path / "nowhere.dbn", ATTEMPT - n, subscription="bad", task=20 + n) for n in range(3)]
    send(pipeline, *bad, file_task(path, ATTEMPT - 9, subscription="good", task=30), topic="etl.tasks.file")
    for each in bad:
        end, result = wait_over(pipeline, each["attempt"])
        assert (end["state"], end["fetched"], result["parked"]["items"]) == ("abandoned", 0, 0)
    end, result = wait_over(pipeline, ATTEMPT - 9)
    assert (end["state"], end["fetched"], result) == ("done", 300, None)
    assert worker.metrics()['penstock_fetcher_tasks_total{state="parked"}'] == 3
    assert not pipeline.read("etl.dlq")
    # a later attempt is not meant; one that was parked before it was opened keeps its place
    place = {"identity": json.dumps("of another file"), "resume": "", "items": 7}
    send(pipeline, file_task(path, ATTEMPT + 1, subscription="bad", parameters=json.dumps({"parked": place})), topic="etl.tasks.file")
    end, result = wait_over(pipeline, ATTEMPT + 1)
    assert (end["state"], end["message"], result) == ("abandoned", "the source changed while it was read", None)
    parked = file_task(path, ATTEMPT - 20, subscription="bad", parameters=json.dumps({"parked": place}))
    send(pipeline, parked, topic="etl.tasks.file")
    assert wait_over(pipeline, ATTEMPT - 20)[1]["parked"] == place


def test_a_file_goes_on_behind_what_was_parked(pipeline, tmp_path):
    """The records before it are read again, and passed over; a killed fetcher goes on behind both."""
    bars = 20_000
    simulate(pipeline, tmp_path, "bars.dbn", bars=bars)
    path = tmp_path / "bars.dbn"
    slow = {"turn.records": 1, "batch.ms": 1}  # a transaction for a handful of records
    pipeline.start("fetcher", settings=slow)
    send(pipeline, file_task(path), topic="etl.tasks.file")
    wait_until(lambda: any(e["fetched"] > 0 for e in events(pipeline)), 30, "a part of it is committed")
    park(pipeline)
    end, result = wait_over(pipeline)
    place = result["parked"]
    assert end["state"] == "abandoned" and 0 < place["items"] == end["fetched"] < bars
    again = file_task(path, ATTEMPT + 1, parameters=json.dumps({"parked": place}))
    send(pipeline, again, topic="etl.tasks.file")
    wait_until(lambda: any(e["fetched"] > 0 for e in events(pipeline, ATTEMPT + 1)), 30, "a part of the rest is committed")
    (worker,) = pipeline.of("fetcher")
    worker.kill()
    pipeline.start("fetcher")
    end, _ = wait_over(pipeline, ATTEMPT + 1)
    assert (end["state"], end["fetched"]) == ("done", bars - place["items"])
    send(pipeline, file_task(path, ATTEMPT + 2), topic="etl.tasks.file")
    wait_over(pipeline, ATTEMPT + 2)
    parts = numbered(raw(pipeline), raw(pipeline, attempt=ATTEMPT + 1))
    assert parts == numbered(raw(pipeline, attempt=ATTEMPT + 2))


def test_only_so_much_of_a_backfill_is_on_the_way(pipeline, tmp_path):
    """To the record, by what the orchestrator says is through; others are not held by it."""
    simulate(pipeline, tmp_path, "bars.dbn", bars=5000)
    path, run, most = tmp_path / "bars.dbn", 77, 1000

    def flow(*attempts, runs=(run,)):
        told = {"action": "flow", "most": most, "runs": [*runs], "attempts": attempts}
        pipeline.produce("etl.control", [{"key": "flow", "value": json.dumps(told)}])

    def fetched(attempt):
        return max((e["fetched"] for e in events(pipeline, attempt)), default=0)

    flow()
    park(pipeline, "somebody else")
    pipeline.start("fetcher").wait_event("subscription_parked")  # so it has read what stands before that
    send(pipeline, file_task(path, run=run), topic="etl.tasks.file")
    wait_until(lambda: fetched(ATTEMPT) == most, 30, lambda: f"{most} records, not {fetched(ATTEMPT)}")
    send(pipeline, file_task(path, ATTEMPT + 1, task=12, run=run + 1), topic="etl.tasks.file", slot=1)
    end, _ = wait_over(pipeline, ATTEMPT + 1)
    assert (end["state"], end["fetched"], fetched(ATTEMPT)) == ("done", 5000, most)
    flow([ATTEMPT, most, 300], [ATTEMPT - 5, 100, 0])
    wait_until(lambda: fetched(ATTEMPT) == 1200, 30, lambda: f"what became free, not {fetched(ATTEMPT)}")
    flow(runs=())
    end, _ = wait_over(pipeline)
    assert (end["state"], end["fetched"]) == ("done", 5000)


@pytest.mark.parametrize("place", [{}, {"identity": "x"}, "text", {"identity": "", "resume": "", "items": -1}])
def test_a_place_that_is_none_is_the_beginning(pipeline, tmp_path, place):
    simulate(pipeline, tmp_path, "bars.dbn", bars=50)
    pipeline.start("fetcher")
    send(pipeline, file_task(tmp_path / "bars.dbn", parameters=json.dumps({"parked": place})), topic="etl.tasks.file")
    end, _ = wait_over(pipeline)
    assert (end["state"], end["fetched"]) == ("done", 50)


def test_a_vendor_in_trouble_is_told(pipeline, simulator, fetch):
    """Where the task stands, too: should its source be held back, it goes on there."""
    month = {"symbols": ["AAPL", "MSFT", "NVDA", "SPY", "QQQ", "TSLA"], "end": MONDAY + 30 * DAY}
    fetch(**{"databento.tries_max": 3})
    send(pipeline, task(ATTEMPT - 1, task=10, **month))
    _, whole = wait_over(pipeline, ATTEMPT - 1)
    simulator.fault(path="/v0/timeseries.get_range", count=1, cut_after_bytes=200_000)
    simulator.fault(path="/v0/timeseries.get_range", count=3, status=503)
    send(pipeline, task(**month))
    end, result = wait_over(pipeline)
    assert end["state"] == "failed" and "given up after 3 tries" in end["message"] and KEY not in str(result)
    assert result["trouble"] is True and result["parked"]["items"] == end["fetched"]
    send(pipeline, task(ATTEMPT + 1, **month, parameters=json.dumps({"parked": result["parked"]})))
    end, result = wait_over(pipeline, ATTEMPT + 1)
    assert end["state"] == "done" and result["records"] == whole["records"]
    parts = numbered(raw(pipeline), raw(pipeline, attempt=ATTEMPT + 1))
    assert parts == numbered(raw(pipeline, attempt=ATTEMPT - 1))
    # what the vendor refuses for good is no trouble
    send(pipeline, task(ATTEMPT + 2, symbols=["NOSUCH"], task=12))
    end, result = wait_over(pipeline, ATTEMPT + 2)
    assert end["state"] == "failed" and result is None

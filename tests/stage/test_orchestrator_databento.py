"""The orchestrator and a vendor's source: quotes, what may be spent, windows, coverage. The test plays fetcher and loader."""

import json
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import pytest
from harness.records import Codec
from harness.waiting import remains, wait_until
from test_orchestrator import account, say

TASKS = "etl.tasks.databento"
AVAILABLE = {"condition": "available", "last_modified_date": "2024-02-01"}


def ns(text):
    """Of a day, or of a time in UTC."""
    at = datetime.fromisoformat(text).replace(tzinfo=UTC)
    return int(at.timestamp()) * 10**9


def iso(at):
    return datetime.fromtimestamp(at // 10**9, UTC).strftime("%Y-%m-%dT%H:%M:%S.000000000Z")


def days_between(start, end):
    """Those that hold some of [start, end), in ns."""
    first = datetime.fromtimestamp(start // 10**9, UTC).date()
    last = datetime.fromtimestamp((end - 1) // 10**9, UTC).date()
    return [str(first + timedelta(n)) for n in range((last - first).days + 1)]


class Fetcher:
    """Takes tasks in the order in which they come and answers them."""

    def __init__(self, pipeline):
        self.pipeline = pipeline
        self.seen = set()

    def sent(self):
        codec = Codec("fetch_task")
        return [codec.decode(message.value()) for message in self.pipeline.read(TASKS)]

    def take(self, count=1):
        """The next tasks, by start; not one more is there."""
        new = wait_until(
            lambda: len(found := [t for t in self.sent() if t["attempt"] not in self.seen]) >= count and found,
            30,
            f"{count} more tasks",
        )
        assert len(new) == count, new
        self.seen |= {task["attempt"] for task in new}
        return sorted(new, key=lambda task: (task["subscription"], task["start"]))

    def quote(self, task, cost="1.25", conditions=None, **changes):
        """Answers with a quote for its window."""
        assert json.loads(task["parameters"])["action"] == "quote", task
        if conditions is None:
            conditions = {day: AVAILABLE for day in days_between(task["start"], task["end"])}
        result = {
            "records": 1000,
            "bytes": 56000,
            "cost_usd": cost,
            "available_start": "2010-06-06T00:00:00.000000000Z",
            "available_end": iso(task["end"]),
            "conditions": [{"date": day} | told for day, told in conditions.items()],
            "symbols": {"partial": [], "not_found": []},
        } | changes
        say(self.pipeline, task, "done", 0, result=json.dumps(result))

    def fetch(self, task, records=None, accounted=None, **changes):
        """Answers with records: {(symbol, day): count}; those of other windows are left out."""
        assert json.loads(task["parameters"])["action"] == "fetch", task
        mine = days_between(task["start"], task["end"])
        days = [
            {"symbol": symbol, "date": day, "records": n} for (symbol, day), n in (records or {}).items() if day in mine
        ]
        count = sum(each["records"] for each in days)
        result = {
            "covered_end": iso(task["end"]),
            "records": count,
            "expected_records": count,
            "billed_bytes": 56 * count,
            "partial": [],
            "not_found": [],
            "days": days,
        } | changes
        say(self.pipeline, task, "done", count, result=json.dumps(result))
        accounted = count if accounted is None else accounted
        if accounted:
            account(self.pipeline, task, range(1, accounted + 1))


@pytest.fixture
def fetcher(pipeline):
    return Fetcher(pipeline)


def subscribe(pipeline, name="es", **changes):
    """A Friday to a Monday of two symbols, in weeks."""
    entry = {
        "name": name,
        "source": "databento",
        "symbol_mappings": "false",
        "dataset": "GLBX.MDP3",
        "schema": "ohlcv-1m",
        "symbols": ["ESH4", "NQH4"],
        "start": "2024-01-05",
        "end": "2024-01-09",
        "chunk": "week",
        "cost_max_usd": 5,
    } | changes
    pipeline.subscriptions = [each for each in pipeline.subscriptions if each["name"] != name] + [entry]
    pipeline.write_subscriptions()


RECORDS = {("ESH4", "2024-01-05"): 3, ("ESH4", "2024-01-08"): 2, ("NQH4", "2024-01-05"): 1}


def coverage(pipeline, columns="state, reason, records"):
    return {
        (symbol, str(day)): tuple(rest)
        for symbol, day, *rest in pipeline.query(f"SELECT symbol, day, {columns} FROM etl.coverage")
    }


def cover(pipeline, fetcher, records=RECORDS, windows=2, quote=None, fetch=None, **switches):
    """A whole run; as the API shows it."""
    run = pipeline.api.start_run(**switches)
    fetcher.quote(fetcher.take()[0], **(quote or {}))
    for task in fetcher.take(windows) if windows else []:
        fetcher.fetch(task, records, **(fetch or {}))
    return pipeline.wait_run(run)


def bounds(tasks):
    return [(task["start"], task["end"]) for task in tasks]


# --- from quote to coverage --------------------------------------------------------------------------------------------


def test_a_quote_then_windows_then_coverage(pipeline, fetcher):
    subscribe(pipeline)
    pipeline.start("orchestrator")
    run = pipeline.api.start_run()
    (quote,) = fetcher.take()
    assert (quote["source"], quote["record_type"], quote["dataset"], quote["schema"], quote["stype_in"]) == (
        "databento", "ohlcv", "GLBX.MDP3", "ohlcv-1m", "raw_symbol",
    )  # fmt: skip
    assert quote["symbols"] == ["ESH4", "NQH4"] and bounds([quote]) == [(ns("2024-01-05"), ns("2024-01-09"))]
    assert json.loads(quote["parameters"]) == {"action": "quote", "from": "2024-01-05", "to": "2024-01-08"}
    remains(lambda: pipeline.api.run(run)["status"] == "running", 1.0, "nothing is fetched before it is quoted")
    fetcher.quote(quote)
    windows = fetcher.take(2)
    assert bounds(windows) == [(ns("2024-01-05"), ns("2024-01-08")), (ns("2024-01-08"), ns("2024-01-09"))]
    for task in windows:
        assert task["symbols"] == quote["symbols"] and json.loads(task["parameters"]) == {"action": "fetch"}
        assert task["dataset"] == "GLBX.MDP3" and task["schema"] == "ohlcv-1m" and task["record_type"] == "ohlcv"
    fetcher.fetch(windows[0], RECORDS)
    wait_until(lambda: coverage(pipeline), 20, "the first window is covered")
    assert {day for _, day in coverage(pipeline)} == {"2024-01-05", "2024-01-06", "2024-01-07"}
    fetcher.fetch(windows[1], RECORDS)
    shown = pipeline.wait_run(run)
    assert (shown["status"], shown["balanced"], shown["fetched"], shown["message"]) == ("success", True, 6, "")
    empty = ("verified_empty", "no_records", 0)
    assert coverage(pipeline) == {
        ("ESH4", "2024-01-05"): ("complete", "", 3),
        ("NQH4", "2024-01-05"): ("complete", "", 1),
        ("ESH4", "2024-01-08"): ("complete", "", 2),
        ("NQH4", "2024-01-08"): empty,
    } | {(symbol, day): empty for symbol in ("ESH4", "NQH4") for day in ("2024-01-06", "2024-01-07")}
    told = coverage(pipeline, "vendor_condition, vendor_last_modified, request, attempt")
    request = "GLBX.MDP3 ohlcv-1m raw_symbol"
    assert told["ESH4", "2024-01-08"] == ("available", date(2024, 2, 1), request, windows[1]["attempt"])


def test_the_quote_is_shown(pipeline, fetcher):
    subscribe(pipeline, via="batch")
    pipeline.start("orchestrator")
    run = pipeline.api.start_run()
    fetcher.quote(fetcher.take()[0], cost="0.009870827198028564")
    for task in fetcher.take(2):
        assert json.loads(task["parameters"]) == {"action": "fetch", "via": "batch"}
        fetcher.fetch(task)
    shown = pipeline.wait_run(run)
    (quote,) = shown["quotes"]
    assert quote["subscription"] == "es" and quote["cost_usd"] == "0.009870827198028564" and quote["windows"] == 2
    assert (quote["records"], quote["bytes"], quote["cost_max_usd"]) == (1000, 56000, "5")
    assert [each["action"] for each in shown["attempts"]] == ["quote", "fetch", "fetch"]
    assert max(each["end"] for each in shown["attempts"][1:]) == "2024-01-09T00:00:00.000000000Z"
    assert "0.009870827198028564 USD of 5 at most, 1000 records" in pipeline.cli("run", "show", run).stdout


def test_months(pipeline, fetcher):
    """From the middle of a month over a leap day; cut by default."""
    subscribe(pipeline, start="2024-01-15T12:00:00Z", end="2024-03-02")
    del pipeline.subscriptions[0]["chunk"]
    pipeline.write_subscriptions()
    pipeline.start("orchestrator")
    pipeline.api.start_run()
    fetcher.quote(fetcher.take()[0])
    edges = ["2024-01-15T12:00:00", "2024-02-01", "2024-03-01", "2024-03-02"]
    assert bounds(fetcher.take(3)) == [(ns(a), ns(b)) for a, b in pairwise(edges)]


def test_what_is_delivered_for_a_parent(pipeline, fetcher):
    """Rows of what was asked for, by which is planned, and of what came."""
    subscribe(pipeline, symbols="ES.FUT", stype_in="parent")
    pipeline.start("orchestrator")
    records = {("ESH4", "2024-01-05"): 3, ("ESM4", "2024-01-05"): 4}
    assert cover(pipeline, fetcher, records)["status"] == "success"
    found = coverage(pipeline)
    assert found["ES.FUT", "2024-01-05"] == ("complete", "", 7) and found["ESM4", "2024-01-05"] == ("complete", "", 4)
    assert found["ES.FUT", "2024-01-08"] == ("verified_empty", "no_records", 0)
    shown = cover(pipeline, fetcher, windows=0)
    assert shown["status"] == "success" and shown["fetched"] == 0
    del records["ESM4", "2024-01-05"]
    assert cover(pipeline, fetcher, records, refetch=True)["status"] == "success"
    found = coverage(pipeline)
    assert found["ES.FUT", "2024-01-05"] == ("complete", "", 3) and ("ESM4", "2024-01-05") not in found


def test_more_symbols_than_a_result_has_room_for(pipeline, fetcher):
    subscribe(pipeline, symbols="ALL_SYMBOLS", end="2024-01-06")
    pipeline.start("orchestrator")
    assert cover(pipeline, fetcher, RECORDS, windows=1, fetch={"days": None})["status"] == "success"
    assert coverage(pipeline) == {("ALL_SYMBOLS", "2024-01-05"): ("complete", "not_counted", None)}
    assert cover(pipeline, fetcher, windows=0)["status"] == "success"
    assert cover(pipeline, fetcher, RECORDS, windows=1, refetch=True)["status"] == "success"
    assert coverage(pipeline) == {
        ("ALL_SYMBOLS", "2024-01-05"): ("complete", "", 4),
        ("ESH4", "2024-01-05"): ("complete", "", 3),
        ("NQH4", "2024-01-05"): ("complete", "", 1),
    }


# --- what is covered -----------------------------------------------------------------------------------------------------


def test_a_second_run_buys_nothing(pipeline, fetcher):
    subscribe(pipeline)
    pipeline.start("orchestrator")
    assert cover(pipeline, fetcher)["status"] == "success"
    before = coverage(pipeline, "state, attempt")
    shown = cover(pipeline, fetcher, windows=0, quote={"cost": "1000"})
    assert shown["status"] == "success" and shown["tasks"] == 1
    assert shown["message"] == "subscription es: nothing to fetch: all that the vendor has is covered"
    assert coverage(pipeline, "state, attempt") == before
    assert len(fetcher.sent()) == 4
    assert cover(pipeline, fetcher, refetch=True)["fetched"] == 6
    assert all(after[1] > before[key][1] for key, after in coverage(pipeline, "state, attempt").items())


def test_another_request_is_not_covered(pipeline, fetcher):
    """Another schema under the same name, or one more symbol."""
    subscribe(pipeline)
    pipeline.start("orchestrator")
    assert cover(pipeline, fetcher)["status"] == "success"
    subscribe(pipeline, schema="ohlcv-1s")
    assert cover(pipeline, fetcher)["fetched"] == 6
    subscribe(pipeline, schema="ohlcv-1s", symbols=["ESH4", "NQH4", "YMH4"])
    assert cover(pipeline, fetcher)["fetched"] == 6
    assert coverage(pipeline)["YMH4", "2024-01-05"] == ("verified_empty", "no_records", 0)


@pytest.mark.parametrize("change", [{"condition": "degraded"}, {"last_modified_date": "2024-02-02"}])
def test_a_changed_day_is_fetched_again(pipeline, fetcher, change):
    """That day alone, empty or not."""
    subscribe(pipeline)
    pipeline.start("orchestrator")
    assert cover(pipeline, fetcher)["status"] == "success"
    run = pipeline.api.start_run()
    days = {day: AVAILABLE for day in days_between(ns("2024-01-05"), ns("2024-01-09"))}
    days["2024-01-06"] = AVAILABLE | change
    fetcher.quote(fetcher.take()[0], conditions=days)
    (task,) = fetcher.take()
    assert bounds([task]) == [(ns("2024-01-06"), ns("2024-01-07"))]
    fetcher.fetch(task, {("ESH4", "2024-01-06"): 1})
    assert pipeline.wait_run(run)["status"] == "success"
    found = coverage(pipeline, "state, records, vendor_condition, vendor_last_modified::text")
    told = (days["2024-01-06"]["condition"], days["2024-01-06"]["last_modified_date"])
    assert found["ESH4", "2024-01-06"] == ("complete", 1, *told)
    assert found["NQH4", "2024-01-06"] == ("verified_empty", 0, *told)
    assert found["ESH4", "2024-01-05"] == ("complete", 3, *AVAILABLE.values())


def test_where_the_data_ends_the_rest_stays_pending(pipeline, fetcher):
    subscribe(pipeline, start="2024-01-08", end="2024-01-22")
    pipeline.start("orchestrator")
    run = pipeline.api.start_run()
    fetcher.quote(fetcher.take()[0], available_end="2024-01-10T06:00:00.000000000Z")
    (task,) = fetcher.take()
    assert bounds([task]) == [(ns("2024-01-08"), ns("2024-01-10T06:00:00"))]
    fetcher.fetch(task, {("ESH4", "2024-01-09"): 5, ("ESH4", "2024-01-10"): 1})
    shown = pipeline.wait_run(run)
    assert shown["status"] == "success"
    assert shown["message"] == (
        "subscription es: the vendor's data ends at 2024-01-10T06:00:00.000000000Z; what lies behind it is pending"
    )
    found, reason = coverage(pipeline), "data_end_after_available_end"
    assert found["ESH4", "2024-01-09"] == ("complete", "", 5) and found["NQH4", "2024-01-09"][0] == "verified_empty"
    assert found["ESH4", "2024-01-10"] == ("partial", reason, 1)
    assert {day: found["ESH4", day] for _, day in found if day > "2024-01-10"} == {
        f"2024-01-{n}": ("pending", reason, None) for n in range(11, 15)
    }
    run = pipeline.api.start_run()
    fetcher.quote(fetcher.take()[0])
    again = fetcher.take(2)
    edges = ["2024-01-10", "2024-01-15", "2024-01-22"]
    assert bounds(again) == [(ns(a), ns(b)) for a, b in pairwise(edges)]
    for task in again:
        fetcher.fetch(task, {("ESH4", "2024-01-10"): 2})
    assert pipeline.wait_run(run)["status"] == "success"
    assert {state for state, _, _ in coverage(pipeline).values()} == {"complete", "verified_empty"}


def test_the_vendor_may_stop_earlier_than_quoted(pipeline, fetcher):
    subscribe(pipeline, start="2024-01-08", end="2024-01-13")
    pipeline.start("orchestrator")
    covered = {"covered_end": "2024-01-11T00:00:00.000000000Z"}
    assert cover(pipeline, fetcher, windows=1, fetch=covered)["status"] == "success"
    states = {day: state for (_, day), (state, *_) in coverage(pipeline).items()}
    assert states == {f"2024-01-{n:02}": "verified_empty" if n < 11 else "pending" for n in range(8, 13)}


def test_nothing_is_there_yet(pipeline, fetcher):
    subscribe(pipeline)
    pipeline.start("orchestrator")
    shown = cover(pipeline, fetcher, windows=0, quote={"available_end": "2024-01-01T00:00:00.000000000Z", "records": 0})
    assert shown["status"] == "success" and "data ends at 2024-01-01" in shown["message"]
    assert coverage(pipeline) == {}


def test_symbols_that_are_not_found_are_named(pipeline, fetcher):
    subscribe(pipeline, symbols=["ESH4", "ESZ3", "NOSUCH"])
    pipeline.start("orchestrator")
    shown = cover(
        pipeline,
        fetcher,
        quote={"symbols": {"partial": ["ESZ3"], "not_found": ["NOSUCH"]}},
        fetch={"partial": ["ESZ3"], "not_found": ["NOSUCH"]},
    )
    assert shown["status"] == "success"
    assert shown["message"] == (
        "subscription es: known for a part of the time only: ESZ3; subscription es: not found: NOSUCH"
    )
    assert (shown["quotes"][0]["partial"], shown["quotes"][0]["not_found"]) == (["ESZ3"], ["NOSUCH"])
    found = coverage(pipeline)
    assert found["NOSUCH", "2024-01-05"] == ("verified_empty", "not_found", 0)
    assert found["ESZ3", "2024-01-05"] == ("verified_empty", "resolved_in_part", 0)
    assert cover(pipeline, fetcher, windows=0)["status"] == "success", "it is not asked for twice"


# --- what may be spent -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("cost", "cap"), [("12.34", 5), ("5.0000000001", "5.00"), ("0.000000001", 0)])
def test_a_quote_above_the_cap(pipeline, fetcher, cost, cap):
    subscribe(pipeline, cost_max_usd=cap)
    pipeline.start("orchestrator")
    run = pipeline.api.start_run()
    fetcher.quote(fetcher.take()[0], cost=cost)
    shown = pipeline.wait_run(run)
    assert shown["status"] == "failed" and len(fetcher.sent()) == 1
    assert shown["message"] == (
        f"subscription es: the vendor's quote of {cost} USD is more than cost_max_usd {float(cap):g};"
        " raise it, or narrow symbols or dates"
    )
    assert shown["quotes"][0]["cost_usd"] == cost


def test_a_cap_of_the_run(pipeline, fetcher):
    """Of all its subscriptions together; each by itself would do."""
    for name in ("es", "nq"):
        subscribe(pipeline, name)
    pipeline.start("orchestrator")
    for cap, status in (("5.99", "failed"), (6, "success")):
        run = pipeline.api.start_run(costMaxUsd=cap)
        for task in fetcher.take(2):
            fetcher.quote(task, cost="3")
        if status == "success":
            for task in fetcher.take(4):
                fetcher.fetch(task)
        assert pipeline.wait_run(run)["status"] == status
    message = pipeline.value("SELECT message FROM etl.runs ORDER BY run LIMIT 1")
    assert message.startswith("the vendor's quotes of 6 USD in all are more than costMaxUsd 5.99; raise it")


@pytest.mark.parametrize("value", [1.5, "x", -1, "-1", True, None, [], "1e30"])
def test_a_cap_that_is_none(pipeline, value):
    pipeline.start("orchestrator")
    answer = pipeline.api.post("/api/etl/execute-full-pipeline", json={"costMaxUsd": value})
    assert answer.status_code == 400 and "costMaxUsd" in answer.json()["detail"]


def test_one_quote_above_its_cap_stops_all(pipeline, fetcher):
    subscribe(pipeline, "cheap")
    subscribe(pipeline, "dear", cost_max_usd=1)
    pipeline.start("orchestrator")
    run = pipeline.api.start_run()
    cheap, dear = fetcher.take(2)
    fetcher.quote(cheap)
    remains(lambda: len(fetcher.sent()) == 2, 1.0, "the other quote is waited for")
    fetcher.quote(dear)
    shown = pipeline.wait_run(run)
    assert shown["status"] == "failed" and shown["message"].startswith("subscription dear: the vendor's quote of 1.25")
    assert len(fetcher.sent()) == 2


def test_what_is_covered_does_not_count(pipeline, fetcher):
    """A year may be dear where a day is missing: the missing days are quoted once more."""
    subscribe(pipeline)
    pipeline.start("orchestrator")
    assert cover(pipeline, fetcher)["status"] == "success"
    subscribe(pipeline, end="2024-01-11")
    for cost, windows in (("5.01", 0), ("0.5", 1)):
        run = pipeline.api.start_run()
        fetcher.quote(fetcher.take()[0], cost="100")
        (again,) = fetcher.take()
        assert bounds([again]) == [(ns("2024-01-09"), ns("2024-01-11"))]
        assert json.loads(again["parameters"]) == {"action": "quote", "from": "2024-01-09", "to": "2024-01-10"}
        assert again["symbols"] == ["ESH4", "NQH4"]
        fetcher.quote(again, cost=cost)
        for task in fetcher.take(windows) if windows else []:
            assert bounds([task]) == [(ns("2024-01-09"), ns("2024-01-11"))]
            fetcher.fetch(task)
        shown = pipeline.wait_run(run)
        assert shown["status"] == ("success" if windows else "failed"), shown["message"]
        assert [quote["cost_usd"] for quote in shown["quotes"]] == [cost]


# --- what goes wrong -------------------------------------------------------------------------------------------------------


def test_a_quote_that_fails(pipeline, fetcher):
    """The other subscription goes on."""
    subscribe(pipeline, "bad")
    subscribe(pipeline, "good")
    pipeline.start("orchestrator")
    run = pipeline.api.start_run()
    bad, good = fetcher.take(2)
    say(pipeline, bad, "failed", 0, message="422 None of the symbols could be resolved")
    fetcher.quote(good)
    for task in fetcher.take(2):
        fetcher.fetch(task, RECORDS)
    shown = pipeline.wait_run(run)
    assert shown["status"] == "failed" and shown["fetched"] == 6
    assert "bad quote 2024-01-05" in shown["message"] and "could be resolved" in shown["message"]


@pytest.mark.parametrize(
    ("result", "words"),
    [
        ("", "cost_usd '' is none"),
        ("no JSON", "cost_usd '' is none"),
        ("[1]", "cost_usd '' is none"),
        ({"cost_usd": "cheap"}, "cost_usd 'cheap' is none"),
        ({"cost_usd": "-1"}, "cost_usd '-1' is none"),
        ({"cost_usd": "1"}, "available_end '' is none"),
        ({"cost_usd": "1", "available_end": "soon"}, "available_end 'soon' is none"),
        ({"cost_usd": 1, "available_end": "2030-01-01", "conditions": 7}, "subscription es"),
        ({"cost_usd": 1, "available_end": "2030-01-01", "conditions": [{"date": "2024-13-01"}]}, "subscription es"),
    ],
)
def test_a_quote_that_says_nothing(pipeline, fetcher, result, words):
    subscribe(pipeline)
    orchestrator = pipeline.start("orchestrator")
    run = pipeline.api.start_run()
    text = result if isinstance(result, str) else json.dumps(result)
    say(pipeline, fetcher.take()[0], "done", 0, result=text)
    shown = pipeline.wait_run(run)
    assert shown["status"] == "failed" and words in shown["message"], shown["message"]
    assert len(fetcher.sent()) == 1 and orchestrator.running


@pytest.mark.parametrize(
    "wrong",
    [
        {"covered_end": "later"},
        {"covered_end": None},
        {"days": 5},
        {"days": [{"symbol": "ESH4", "date": "x", "records": 1}]},
        {"days": [{"symbol": "ESH4", "date": "2024-01-05", "records": -1}]},
        {"not_found": {"a": 1}},
    ],
)
def test_a_result_that_cannot_be_understood(pipeline, fetcher, wrong):
    """Its task fails by name, and what it was to cover is not covered."""
    subscribe(pipeline, end="2024-01-06")
    orchestrator = pipeline.start("orchestrator")
    shown = cover(pipeline, fetcher, windows=1, fetch=wrong)
    assert shown["status"] == "failed" and "cannot be understood" in shown["message"], shown["message"]
    assert {state for state, _, _ in coverage(pipeline).values()} == {"failed"}
    assert orchestrator.running


def test_a_task_that_fails_is_not_covered(pipeline, fetcher):
    """What was covered before is not forgotten."""
    subscribe(pipeline)
    pipeline.start("orchestrator")
    run = pipeline.api.start_run()
    fetcher.quote(fetcher.take()[0])
    first, second = fetcher.take(2)
    fetcher.fetch(first, RECORDS)
    say(pipeline, second, "failed", 0, message="400 data_schema_not_supported")
    shown = pipeline.wait_run(run)
    assert shown["status"] == "failed"
    assert "es 2024-01-08T00:00:00.000000000Z to 2024-01-09" in shown["message"], shown["message"]
    found = coverage(pipeline)
    assert found["ESH4", "2024-01-08"] == ("failed", "400 data_schema_not_supported", None)
    assert found["ESH4", "2024-01-05"] == ("complete", "", 3)
    run = pipeline.api.start_run(refetch=True)
    fetcher.quote(fetcher.take()[0])
    for task in fetcher.take(2):
        say(pipeline, task, "failed", 0, message="again")
    assert pipeline.wait_run(run)["status"] == "failed"
    assert coverage(pipeline)["ESH4", "2024-01-05"] == ("complete", "", 3)
    assert cover(pipeline, fetcher, windows=1)["status"] == "success"
    assert coverage(pipeline)["ESH4", "2024-01-08"] == ("complete", "", 2)


def test_an_account_that_does_not_balance_covers_nothing(pipeline, fetcher):
    subscribe(pipeline, end="2024-01-06")
    pipeline.start("orchestrator")
    run = pipeline.api.start_run()
    fetcher.quote(fetcher.take()[0])
    (task,) = fetcher.take()
    fetcher.fetch(task, RECORDS, accounted=5)
    shown = pipeline.wait_run(run)
    assert shown["status"] == "failed" and "in flight is -1" in shown["message"]
    assert coverage(pipeline) == {}


def test_the_vendor_counts_otherwise(pipeline, fetcher):
    subscribe(pipeline)
    pipeline.start("orchestrator")
    run = pipeline.api.start_run()
    fetcher.quote(fetcher.take()[0])
    first, second = fetcher.take(2)
    fetcher.fetch(first, {("ESH4", "2024-01-05"): 999}, expected_records=1000)
    fetcher.fetch(second, RECORDS, expected_records=None)
    shown = pipeline.wait_run(run)
    words = "vendor counts 1,000 records, 999 were delivered: subscription es, 2024-01-05T00:00:00.000000000Z"
    assert shown["status"] == "failed" and shown["balanced"] and words in shown["message"]
    (check,) = [each for each in shown["checks"] if each["name"] == "vendor_counts"]
    assert (check["passed"], check["observed"], check["expected"]) == (False, 1, 0) and words in check["detail"]
    assert words in pipeline.cli("run", "show", run, code=1).stdout


def test_an_abandoned_window_is_fetched_again(pipeline, fetcher):
    subscribe(pipeline, end="2024-01-06")
    pipeline.start("orchestrator")
    run = pipeline.api.start_run()
    quote = fetcher.take()[0]
    say(pipeline, quote, "abandoned", 0, message="a rebalance")
    fetcher.quote(fetcher.take()[0])
    (task,) = fetcher.take()
    say(pipeline, task, "abandoned", 0, message="the prefix differs")
    (again,) = fetcher.take()
    assert again["task"] == task["task"] and bounds([again]) == bounds([task]) and again["symbols"] == task["symbols"]
    assert coverage(pipeline) == {}
    fetcher.fetch(again, RECORDS)
    assert pipeline.wait_run(run)["status"] == "success"
    assert coverage(pipeline, "state, attempt")["ESH4", "2024-01-05"] == ("complete", again["attempt"])


# --- restarts --------------------------------------------------------------------------------------------------------------


def restart(pipeline, orchestrator):
    orchestrator.kill()
    return pipeline.start("orchestrator", settings={"http.port": pipeline.api_port})


def test_restarts_double_nothing(pipeline, fetcher):
    """Killed with the quote under way, when it is answered, and when windows are sent."""
    subscribe(pipeline)
    orchestrator = pipeline.start("orchestrator")
    run = pipeline.api.start_run()
    (quote,) = fetcher.take()
    orchestrator.kill()
    fetcher.quote(quote)
    orchestrator = pipeline.start("orchestrator", settings={"http.port": pipeline.api_port})
    windows = fetcher.take(2)
    orchestrator = restart(pipeline, orchestrator)
    remains(lambda: len(fetcher.sent()) == 3, 2.0, "nothing is sent twice")
    fetcher.fetch(windows[0], RECORDS)
    wait_until(lambda: coverage(pipeline), 20, "the first window is covered")
    restart(pipeline, orchestrator)
    fetcher.fetch(windows[1], RECORDS)
    shown = pipeline.wait_run(run)
    assert (shown["status"], shown["tasks"], shown["fetched"]) == ("success", 3, 6)
    assert len(fetcher.sent()) == 3 and len(coverage(pipeline)) == 8


def test_a_run_between_quotes_and_windows_does_not_end(pipeline, fetcher):
    """As a database shows it whose orchestrator ended between the two: no task is open, and the windows are missing."""
    subscribe(pipeline)
    orchestrator = pipeline.start("orchestrator")
    run = pipeline.api.start_run()
    (quote,) = fetcher.take()
    orchestrator.kill()
    fetcher.quote(quote)
    pipeline.query("UPDATE etl.attempts SET state = 'done', closed_at = now(), result = %s WHERE attempt = %s",
        json.dumps({"cost_usd": "1", "available_end": "2030-01-01T00:00:00Z"}), quote["attempt"])  # fmt: skip
    pipeline.query("UPDATE etl.tasks SET state = 'closed' WHERE run = %s", run)
    pipeline.start("orchestrator", settings={"http.port": pipeline.api_port})
    for task in fetcher.take(2):
        fetcher.fetch(task, RECORDS)
    assert pipeline.wait_run(run)["tasks"] == 3


def test_symbol_mappings_are_asked_for_unless_they_are_not_wanted(pipeline, fetcher):
    subscribe(pipeline, symbol_mappings="true")
    pipeline.start("orchestrator")
    pipeline.api.start_run()
    (quote,) = fetcher.take()
    assert json.loads(quote["parameters"])["symbol_mappings"] is True
    fetcher.quote(quote)
    windows = fetcher.take(2)
    assert all(json.loads(task["parameters"])["symbol_mappings"] is True for task in windows)

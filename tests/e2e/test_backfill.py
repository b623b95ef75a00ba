"""Backfills from the plan to the rows, with every worker and the simulated vendor, whose calls and billed bytes are counted."""

import json

import pytest
from harness.bars import assert_good
from harness.simulator import KEY, Simulator
from harness.waiting import wait_until

DAYS = ("--from", "2024-03-04", "--to", "2024-03-24")  # three weeks, a window each
WINDOW_CALLS = 2  # get_record_count, get_range


def calls_of(fetcher):
    return int(sum(value for name, value in fetcher.metrics().items() if name.startswith("penstock_fetcher_vendor_calls_total")))


class Vendor:
    """The simulator, and what was asked of it by whom."""

    def __init__(self, pipeline, simulator):
        self.pipeline, self.simulator = pipeline, simulator

    def calls(self):
        (fetcher,) = self.pipeline.of("fetcher")
        return calls_of(fetcher)

    def meter(self):
        return self.simulator.control("GET", "meter")

    def billed(self):
        return self.meter()["billed_bytes"]

    def spent(self):
        return self.calls(), self.meter()["requests"], self.billed()


@pytest.fixture
def vendor(pipeline, tmp_path):
    with Simulator(tmp_path, "--seed", 7, "--start", "2010-01-01") as simulator:
        environment = {"DATABENTO_API_KEY": KEY, "DATABENTO_GATEWAY": simulator.url}
        pipeline.configure("fetcher", databento={"backoff_ms": 20, "backoff_ms_max": 50}, batch={"ms": 50})
        subscribe(pipeline)
        workers = [pipeline.spawn("fetcher", environment=environment)]
        workers += [pipeline.spawn(kind) for kind in ("orchestrator", "validator", "transformer", "loader")]
        for worker in workers:
            worker.wait_ready()
        yield Vendor(pipeline, simulator)


def subscribe(pipeline, **changes):
    entry = {"name": "minutes", "source": "databento", "dataset": "XNAS.ITCH", "schema": "ohlcv-1m", "symbols": ["AAPL", "MSFT", "NVDA"]}
    entry |= {"start": "2024-03-04", "chunk": "week", "cost_max_usd": 1000, "symbol_mappings": "false"} | changes
    pipeline.subscriptions = [entry]
    pipeline.write_subscriptions()


def plan(pipeline, *words, days=DAYS, **options):
    return pipeline.cli_json("backfill", "minutes", *days, *words, **options)


def approve(pipeline, plan, *words, code=0):
    return pipeline.cli_json("backfill", "--approve", plan["hash"], *(words or ["--follow"]), code=code)


def fill(pipeline, *words, **options):
    made = plan(pipeline, *words, **options)
    assert made["state"] == "planned", made
    run = approve(pipeline, made)
    assert_good(run)
    return made, run


def windows(pipeline, run):
    """In the order in which they were sent."""
    return [
        (str(start)[:10], state)
        for start, state in pipeline.query(
            "SELECT t.parameters->>'start', t.state FROM etl.tasks t WHERE t.run = %s AND t.quote IS NOT NULL ORDER BY t.task", run
        )
    ]


def covered(pipeline):
    return pipeline.value("SELECT count(*) FROM etl.coverage WHERE state IN ('complete', 'verified_empty')")


def untouched(pipeline):
    """What must not change where something is refused."""
    return pipeline.query("SELECT (SELECT count(*) FROM etl.runs), (SELECT count(*) FROM etl.backfills), (SELECT count(*) FROM etl.tasks)")


# --- a plan and its run ----------------------------------------------------------------------------------------------------


def test_what_is_planned_is_bought_once(pipeline, vendor):
    made = plan(pipeline)
    assert (made["state"], made["symbols_wanting"], made["symbol_days"], made["stretches"]) == ("planned", 3, 63, 1)
    assert (made["windows"], made["calls"]) == (3, 3 * WINDOW_CALLS) and made["run"] is None
    assert vendor.billed() == 0 and covered(pipeline) == 0, "nothing is bought by a plan"
    before = vendor.calls()
    run = approve(pipeline, made)
    assert_good(run)
    assert (run["kind"], run["tasks_closed"]) == ("backfill", 3)
    assert vendor.calls() - before == made["calls"]
    assert run["fetched"] == made["records"] == pipeline.value("SELECT count(*) FROM ohlcv_data") > 3000
    assert vendor.billed() == made["bytes"] > 0
    assert windows(pipeline, run["run"]) == [(day, "closed") for day in ("2024-03-04", "2024-03-11", "2024-03-18")]
    # the second time nobody is asked for anything
    spent, known = vendor.spent(), untouched(pipeline)
    again = plan(pipeline)
    assert again["nothing_to_do"] is True and "every day of it is covered" in again["detail"]
    said = pipeline.cli("backfill", "minutes", *DAYS).stdout
    assert said == "nothing to do: every day of it is covered\n"
    assert (vendor.spent(), untouched(pipeline)) == (spent, known)
    (listed,) = pipeline.cli_json("backfills")["backfills"]
    assert (listed["state"], listed["run"], listed["hash"]) == ("approved", run["run"], made["hash"])
    assert pipeline.cli("backfill", "--approve", made["hash"], code=1).stderr.count("ran already, as run") == 1
    actions = [entry["action"] for entry in pipeline.cli_json("audit")["audit"]]
    assert actions == ["backfill.approve", "backfill.plan"]


def test_the_plan_for_people(pipeline, vendor):
    text = pipeline.cli("backfill", "minutes", *DAYS, "--symbols", "AAPL", "--newest-first", "--budget", "100 calls").stdout
    lines = text.splitlines()
    assert lines[0].startswith("plan ") and "subscription minutes, missing days from 2024-03-04 to 2024-03-24, newest first" in lines[0]
    for word in ("1  of 1, for 21 days", "3  of a week at most", "6  of the vendor", "USD as the vendor quotes it, of 1000 at most", "100  calls"):
        assert word in text, (word, text)
    assert lines[-1].endswith("penstock backfill --approve " + lines[0].split()[1].rstrip(":"))


def test_only_what_is_missing_is_planned(pipeline, vendor):
    """Of one symbol a week is there, of another a day; what others have stays what it is."""
    fill(pipeline, "--symbols", "AAPL", days=("--from", "2024-03-11", "--to", "2024-03-17"))
    fill(pipeline, "--symbols", "MSFT", days=("--from", "2024-03-04", "--to", "2024-03-04"))
    assert covered(pipeline) == 8
    made = plan(pipeline)
    assert (made["symbol_days"], made["stretches"]) == (63 - 8, 2 + 1 + 1)
    billed = vendor.billed()
    run = approve(pipeline, made)
    assert_good(run)
    assert vendor.billed() - billed == made["bytes"] and run["unchanged"] == 0 and run["inserted"] == made["records"]
    assert covered(pipeline) == 63
    assert plan(pipeline)["nothing_to_do"] is True


def forget_looks(pipeline):
    """As if it were long ago that the vendor said what it has changed."""
    pipeline.query("UPDATE etl.vendor_days SET read_at = read_at - interval '2 days'")


def test_what_the_vendor_changed_is_missing(pipeline, vendor):
    """A day that is covered is planned again where the vendor has changed it since, and only it; then nobody is asked any more."""
    fill(pipeline)
    first = plan(pipeline)
    assert first["nothing_to_do"] is True
    vendor.simulator.control("POST", "corrections", dataset="XNAS.ITCH", modified="2024-06-01", start="2024-03-12", end="2024-03-13")
    assert plan(pipeline)["nothing_to_do"] is True, "asked a moment ago"
    forget_looks(pipeline)
    calls, billed = vendor.calls(), vendor.billed()
    made = plan(pipeline)
    assert (made["symbol_days"], made["corrected_days"], made["windows"], made["stretches"]) == (3, 3, 1, 1), made
    asked = vendor.calls() - calls
    text = pipeline.cli("backfill", "minutes", *DAYS).stdout
    assert "  corrected             3  of those days: they are here, but the vendor has changed them since\n" in text
    assert vendor.billed() == billed and 0 < asked < 10
    run = approve(pipeline, made)
    assert_good(run)
    assert run["updated"] > 900 and run["updated"] + run["unchanged"] == run["fetched"] == made["records"]
    spent, known = vendor.spent(), untouched(pipeline)
    assert plan(pipeline)["nothing_to_do"] is True
    assert (vendor.spent(), untouched(pipeline)) == (spent, known), "not one call"
    # and when it is long ago again, the two calls that cost nothing
    forget_looks(pipeline)
    calls, billed = vendor.calls(), vendor.billed()
    said = pipeline.cli("backfill", "minutes", *DAYS).stdout
    assert said == "nothing to do: every day of it is covered\n"
    assert (vendor.calls() - calls, vendor.billed()) == (2, billed)
    assert [entry["action"] for entry in pipeline.cli_json("audit", "--limit", "1")["audit"]] == ["backfill.look"]
    assert pipeline.cli_json("backfills", "--limit", "1")["backfills"][0]["state"] == "looked"


def test_changed_and_missing_at_once(pipeline, vendor):
    """Both stand in one plan, and the plan tells them apart; what failed or all there is says nothing of it."""
    fill(pipeline, "--symbols", "AAPL", days=("--from", "2024-03-11", "--to", "2024-03-15"))
    vendor.simulator.control("POST", "conditions", dataset="XNAS.ITCH", date="2024-03-13", condition="degraded")
    forget_looks(pipeline)
    week = ("--from", "2024-03-11", "--to", "2024-03-17")
    assert plan(pipeline, "--reprocess", "failed", days=week)["nothing_to_do"] is True
    made = plan(pipeline, "--symbols", "AAPL,MSFT", days=week)
    assert (made["symbol_days"], made["corrected_days"]) == (7 + 2 + 1, 1)
    assert_good(approve(pipeline, made))
    assert plan(pipeline, "--symbols", "AAPL,MSFT", days=week)["nothing_to_do"] is True
    assert plan(pipeline, "--reprocess", "all", days=week)["corrected_days"] == 0


def test_a_look_that_fails_says_why(pipeline, vendor):
    fill(pipeline)
    forget_looks(pipeline)
    vendor.simulator.fault(path="/v0/metadata.get_dataset_condition", count=1, status=403, message="not for you")
    said = pipeline.cli("backfill", "minutes", *DAYS, code=1).stderr
    assert "1 of 1 quotes failed" in said and "not for you" in said
    assert plan(pipeline)["nothing_to_do"] is True


def test_newest_first(pipeline, vendor):
    _, run = fill(pipeline, "--newest-first")
    assert [day for day, _ in windows(pipeline, run["run"])] == ["2024-03-18", "2024-03-11", "2024-03-04"]


def test_what_is_there_is_fetched_again_where_that_is_asked_for(pipeline, vendor):
    fill(pipeline)
    one = {"dataset": "XNAS.ITCH", "symbol": "AAPL", "start": "2024-03-12", "end": "2024-03-13"}
    vendor.simulator.control("POST", "corrections", **one)
    made, run = fill(pipeline, "--reprocess", "all", "--symbols", "AAPL")
    assert made["symbol_days"] == 21 and run["updated"] > 300 and run["updated"] + run["unchanged"] == run["fetched"]


def test_what_failed_is_fetched_again(pipeline, vendor):
    vendor.simulator.fault(path="/v0/timeseries.get_range", skip=1, count=1, status=403, message="not for you")
    run = approve(pipeline, plan(pipeline), code=1)
    assert run["status"] == "failed" and run["tasks_closed"] == 2 and "not for you" in run["message"]
    assert pipeline.value("SELECT count(*) FROM etl.coverage WHERE state = 'failed'") == 21
    known = plan(pipeline, "--reprocess", "failed", days=("--from", "2024-03-04", "--to", "2024-03-05"))
    assert known.get("nothing_to_do") or known["symbol_days"] == 6
    made, again = fill(pipeline, "--reprocess", "failed")
    assert (made["symbol_days"], made["windows"]) == (21, 1) and again["fetched"] == made["records"]
    assert plan(pipeline, "--reprocess", "failed")["detail"] == "nothing to do: no day of it has failed"
    assert covered(pipeline) == 63 and plan(pipeline)["nothing_to_do"] is True


# --- what is refused -------------------------------------------------------------------------------------------------------


def test_a_stale_plan_is_refused(pipeline, vendor):
    made, other = plan(pipeline), plan(pipeline, "--symbols", "AAPL", days=("--from", "2024-03-04", "--to", "2024-03-08"))
    approve(pipeline, other)
    spent, known = vendor.spent(), untouched(pipeline)
    said = pipeline.cli("backfill", "--approve", made["hash"], code=1).stderr
    assert f"plan {made['hash']} is stale: what is covered has changed since it was made; plan again" in said
    assert (vendor.spent(), untouched(pipeline)) == (spent, known)
    assert_good(approve(pipeline, plan(pipeline)))


def test_two_who_approve_the_same(pipeline, vendor):
    made = plan(pipeline)
    answers = [pipeline.api.post("/api/v1/backfills/approvals", json={"hash": made["hash"]}) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [202, 409]
    assert "ran already" in answers[1].json()["detail"]
    assert_good(pipeline.wait_run(answers[0].json()["run"]))
    assert vendor.billed() == made["bytes"]


def test_what_costs_too_much_is_planned_and_not_run(pipeline, vendor):
    subscribe(pipeline, cost_max_usd="0.000000001")
    made = plan(pipeline)
    said = pipeline.cli("backfill", "--approve", made["hash"], code=1).stderr
    assert "USD, more than cost_max_usd 0.000000001" in said and vendor.billed() == 0


BAD = [
    (["nosuch"], 1, "there is no subscription 'nosuch'"),
    (["minutes", "--symbols", "AAPL,TSLA"], 1, "has no symbol 'TSLA'"),
    (["minutes", "--symbols", "AAPL,,MSFT"], 2, "--symbols takes symbols with commas between them"),
    (["minutes", "--symbols", "@/nowhere/to/be/found"], 2, "No such file"),
    (["minutes", "--from", "2024-03-05", "--to", "2024-03-04"], 2, "from is behind to"),
    (["minutes", "--from", "2198-01-01"], 2, "from is in the future: today is 20"),
    (["minutes", "--to", "2198-01-01"], 2, "to is in the future: today is 20"),
    (["minutes", "--from", "yesterday"], 2, "from: a day such as 2024-01-31"),
    (["minutes", "--from", "2024-02-30"], 2, "from: a day such as 2024-01-31"),
    (["minutes", "--reprocess", "some"], 2, "reprocess: missing, failed or all"),
    (["minutes", "--budget", "much"], 2, "--budget takes a number of calls or an amount"),
    (["minutes", "--budget", "0calls"], 2, "--budget takes a number of calls or an amount"),
    (["minutes", "--budget", "-1usd"], 2, "--budget takes a number of calls or an amount"),
    (["minutes", "--budget", "0.00usd"], 2, "--budget takes a number of calls or an amount"),
    (["minutes", "--budget", "12"], 2, "--budget takes a number of calls or an amount"),
    (["minutes", "--budget", "1.2.3usd"], 2, "budget_usd: an amount of USD"),
    (["files"], 2, "source file sells nothing by days"),
    ([], 2, "it takes a subscription, or --approve"),
    (["minutes", "--follow"], 2, "--follow follows a run"),
    (["minutes", "MSFT"], 2, "unknown or incomplete argument 'MSFT'"),
    (["--approve", "0123456789abcdef"], 1, "there is no plan 0123456789abcdef"),
    (["--approve", "0123456789abcdef", "--symbols", "AAPL"], 2, "--approve runs a plan as it is"),
]


def test_bad_input_changes_nothing(pipeline, vendor):
    pipeline.subscribe("files", "/nowhere/*.dbn")
    known, spent = untouched(pipeline), vendor.spent()
    for words, code, text in BAD:
        said = pipeline.cli("backfill", *words, code=code).stderr
        assert text in said, (words, said)
    for body in ({}, [], {"subscription": 7}, {"subscription": "minutes", "budget_calls": 1.5}, {"subscription": "minutes", "more": 1}, {"subscription": "minutes", "symbols": []},
                 {"subscription": "minutes", "budget_calls": 1, "budget_usd": "1"}):  # fmt: skip
        answer = pipeline.api.post("/api/v1/backfills", json=body)
        assert answer.status_code == 400, (body, answer.text)
    assert (untouched(pipeline), vendor.spent()) == (known, spent)


def test_a_quote_that_fails_is_no_plan(pipeline, vendor):
    vendor.simulator.fault(path="/v0/metadata.get_cost", count=1, status=403, message="no price for you")
    said = pipeline.cli("backfill", "minutes", *DAYS, code=1).stderr
    assert "1 of 1 quotes failed" in said and "no price for you" in said
    assert pipeline.value("SELECT count(*) FROM etl.backfills WHERE hash IS NOT NULL") == 0
    assert plan(pipeline)["state"] == "planned"


def test_what_the_vendor_does_not_have_yet(pipeline, vendor):
    (end,) = {schema["end"] for schema in [vendor.simulator.request("GET", "/v0/metadata.get_dataset_range", params={"dataset": "XNAS.ITCH"}).json()]}
    day = pipeline.value("SELECT (%s::timestamptz AT TIME ZONE 'UTC')::date + 1", end)
    if pipeline.value("SELECT %s::date > (now() AT TIME ZONE 'UTC')::date", str(day)):
        pytest.skip("the simulated vendor is ahead of this machine's clock")
    known = plan(pipeline, days=("--from", str(day), "--to", str(day)))
    assert known["state"] == "nothing_to_do" and "the vendor's data ends at" in known["message"], json.dumps(known)
    assert wait_until(lambda: vendor.billed() == 0, 5, "nothing is bought")

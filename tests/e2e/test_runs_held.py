"""Runs that stand still: a budget that is spent, a pause, a cancellation, and what failed is done again."""

from decimal import Decimal

import pytest
from harness.bars import assert_good
from harness.simulator import KEY
from harness.waiting import remains, wait_until
from test_backfill import DAYS, WINDOW_CALLS, approve, calls_of, covered, plan, subscribe, vendor, windows  # noqa: F401

SLOW = {"path": "/v0/timeseries.get_range", "count": 1, "slow_bytes_per_second": 30_000}


def begin(pipeline, *words, **options):
    return plan(pipeline, *words, **options), approve(pipeline, plan(pipeline, *words, **options), "--why", "it is needed")["run"]


def shown(pipeline, run):
    return pipeline.api.run(run)


def wait_held(pipeline, run, held):
    wait_until(lambda: shown(pipeline, run)["held"] == held, 60, lambda: f"run {run} is {held}: {shown(pipeline, run)}")


def wait_parked(pipeline, run):
    """All that was on its way is accounted for."""
    still = "SELECT count(*) FROM etl.attempts WHERE run = %s AND closed_at IS NULL"
    wait_until(lambda: pipeline.value(still, run) == 0, 60, lambda: f"run {run} stands still: {shown(pipeline, run)}")


def slow_month(pipeline, vendor):
    """One window, of which some has arrived."""
    subscribe(pipeline, chunk="month")
    vendor.simulator.fault(**SLOW)
    made, run = begin(pipeline)
    wait_until(lambda: 0 < shown(pipeline, run)["fetched"] < made["records"], 60, "some of it has arrived")
    return made, run


# --- budgets ---------------------------------------------------------------------------------------------------------------


def test_a_budget_of_calls_is_a_hard_stop(pipeline, vendor):
    made = plan(pipeline, "--budget", "5calls")
    before = vendor.calls()
    run = approve(pipeline, made, "--follow", code=1)
    assert (run["status"], run["held"], run["tasks_closed"]) == ("running", "budget", 2), run
    assert vendor.calls() - before == 2 * WINDOW_CALLS
    assert [state for _, state in windows(pipeline, run["run"])] == ["closed", "closed", "pending"]
    assert "its budget is spent" in pipeline.cli("run", "show", str(run["run"]), code=1).stdout
    (listed,) = pipeline.cli_json("backfills")["backfills"]
    assert (listed["budget_calls"], listed["calls_spent"]) == (5, 4)
    # nothing goes on by itself, nor without more to spend
    remains(lambda: vendor.calls() - before == 2 * WINDOW_CALLS, 1, "no call is made")
    for words, text in (
        ([], "the budget of run"),
        (["--budget", "4calls"], "4 calls of run"),
        (["--budget", "1usd"], "was not planned with a budget of USD"),
    ):
        assert text in pipeline.cli("run", "resume", str(run["run"]), *words, code=1).stderr
    other = pipeline.cli("backfill", "--approve", plan(pipeline)["hash"], code=1).stderr
    assert f"run {run['run']} is fetching days of subscription 'minutes'" in other
    quoted = vendor.calls()
    done = pipeline.cli_json("run", "resume", str(run["run"]), "--budget", "6calls", "--follow")
    assert_good(done, fetched=made["records"])
    assert vendor.calls() - quoted == WINDOW_CALLS and vendor.billed() == made["bytes"]
    assert plan(pipeline)["nothing_to_do"] is True


def test_what_has_to_be_tried_again_counts(pipeline, vendor):
    vendor.simulator.fault(path="/v0/timeseries.get_range", count=9, status=503)
    made = plan(pipeline, "--budget", "7calls")
    before = vendor.calls()
    run = approve(pipeline, made, "--follow", code=1)
    assert run["held"] == "budget" and run["fetched"] == 0
    assert vendor.calls() - before <= 7
    vendor.simulator.control("DELETE", "faults")
    spent = vendor.calls() - before
    done = pipeline.cli_json("run", "resume", str(run["run"]), "--budget", f"{spent + 6} calls", "--follow")
    assert_good(done, fetched=made["records"])
    assert spent + 3 <= vendor.calls() - before <= spent + 6


def test_a_killed_fetcher_spends_no_more(pipeline, vendor):
    """What it had called for is not known any more, so all that it might have is taken for spent."""
    vendor.simulator.fault(**SLOW | {"slow_bytes_per_second": 20_000})
    made = plan(pipeline, "--budget", "6calls")
    before = vendor.meter()["requests"]
    run = approve(pipeline, made, "--why", "…")["run"]
    wait_until(lambda: shown(pipeline, run)["fetched"] > 0, 60, "some of it has arrived")
    (fetcher,) = pipeline.of("fetcher")
    fetcher.kill()
    environment = {"DATABENTO_API_KEY": KEY, "DATABENTO_GATEWAY": vendor.simulator.url}
    pipeline.spawn("fetcher", environment=environment).wait_ready()
    wait_held(pipeline, run, "budget")
    assert vendor.meter()["requests"] - before <= 6
    (listed,) = pipeline.cli_json("backfills")["backfills"]
    assert listed["calls_spent"] == 6
    done = pipeline.cli_json("run", "resume", str(run), "--budget", "30calls", "--follow")
    assert_good(done, fetched=made["records"])
    assert pipeline.value("SELECT count(*) FROM ohlcv_data") == made["records"]


def test_a_fetcher_that_is_stopped_forgets_no_call(pipeline, vendor):
    """It ends in good order before anything has come: what it called for is spent all the same."""
    vendor.simulator.fault(path="/v0/timeseries.get_range", count=-1, delay_ms=60_000)
    made = plan(pipeline, "--budget", "6calls")
    before = vendor.calls()
    run = approve(pipeline, made, "--why", "…")["run"]
    wait_until(lambda: vendor.calls() > before, 60, "the vendor was called")
    spent = vendor.calls() - before
    (fetcher,) = pipeline.of("fetcher")
    assert fetcher.stop() == 0 and shown(pipeline, run)["fetched"] == 0
    vendor.simulator.control("DELETE", "faults")
    environment = {"DATABENTO_API_KEY": KEY, "DATABENTO_GATEWAY": vendor.simulator.url}
    second = pipeline.spawn("fetcher", environment=environment)
    second.wait_ready()
    wait_held(pipeline, run, "budget")
    assert spent + calls_of(second) <= 6
    (listed,) = pipeline.cli_json("backfills")["backfills"]
    assert spent + calls_of(second) <= listed["calls_spent"] <= 6
    done = pipeline.cli_json("run", "resume", str(run), "--budget", "30calls", "--follow")
    assert_good(done, fetched=made["records"])
    assert pipeline.value("SELECT count(*) FROM ohlcv_data") == made["records"]


def test_a_budget_of_dollars_is_a_hard_stop(pipeline, vendor):
    whole = plan(pipeline)
    budget = Decimal(whole["cost_usd"]) * Decimal("0.7")
    made = plan(pipeline, "--budget", f"{budget:f}usd")
    assert (made["windows"], Decimal(made["cost_usd"]).quantize(Decimal("0.0001"))) == (3, Decimal(whole["cost_usd"]).quantize(Decimal("0.0001")))
    run = approve(pipeline, made, "--follow", code=1)
    assert (run["held"], run["tasks_closed"]) == ("budget", 2)
    assert 0 < vendor.billed() <= made["bytes"] * 0.7
    (listed,) = pipeline.cli_json("backfills", "--hash", made["hash"])["backfills"]
    assert 0 < Decimal(listed["usd_spent"]) <= budget
    assert "USD of run" in pipeline.cli("run", "resume", str(run["run"]), "--budget", "0.000000001usd", code=1).stderr
    assert_good(pipeline.cli_json("run", "resume", str(run["run"]), "--budget", f"{made['cost_usd']}usd", "--follow"))
    assert vendor.billed() == made["bytes"]


def test_a_budget_may_not_pass_the_cap(pipeline, vendor):
    cost = Decimal(plan(pipeline)["cost_usd"])
    subscribe(pipeline, cost_max_usd=f"{cost * Decimal('0.8'):f}")
    assert "more than cost_max_usd" in pipeline.cli("backfill", "--approve", plan(pipeline, "--budget", f"{cost * 2:f}usd")["hash"], code=1).stderr
    run = approve(pipeline, plan(pipeline, "--budget", f"{cost * Decimal('0.4'):f}usd"), "--follow", code=1)
    assert (run["held"], run["tasks_closed"]) == ("budget", 1)
    assert "more than cost_max_usd" in pipeline.cli("run", "resume", str(run["run"]), "--budget", f"{cost:f}usd", code=1).stderr
    assert shown(pipeline, run["run"])["held"] == "budget"


# --- pause, resume, cancel, retry --------------------------------------------------------------------------------------------


def test_a_run_is_paused_at_the_cursor(pipeline, vendor):
    made, run = slow_month(pipeline, vendor)
    assert "stands still" in pipeline.cli("run", "pause", str(run), "--why", "the disk is full").stdout
    wait_parked(pipeline, run)
    half = shown(pipeline, run)
    assert (half["status"], half["held"]) == ("running", "paused") and 0 < half["fetched"] < made["records"]
    assert pipeline.value("SELECT count(*) FROM ohlcv_data") == half["fetched"]
    calls = vendor.calls()
    remains(lambda: vendor.calls() == calls and shown(pipeline, run)["fetched"] == half["fetched"], 1, "nothing is fetched")
    assert "it is paused" in pipeline.cli("run", "show", str(run)).stdout
    assert "stands still already: paused" in pipeline.cli("run", "pause", str(run), code=1).stderr
    done = pipeline.cli_json("run", "resume", str(run), "--follow")
    assert_good(done, fetched=made["records"])
    assert done["held"] == "" and done["inserted"] == made["records"]
    assert vendor.billed() < 1.5 * made["bytes"]
    assert "is over: success" in pipeline.cli("run", "pause", str(run), code=1).stderr
    entries = [(entry["action"], entry["target"], entry["detail"]) for entry in pipeline.cli_json("audit")["audit"][:2]]
    assert entries == [("run.resume", str(run), {}), ("run.pause", str(run), {"why": "the disk is full"})]


def test_others_flow_on_while_a_run_stands_still(pipeline, vendor):
    _, run = slow_month(pipeline, vendor)
    pipeline.cli("run", "pause", str(run))
    pipeline.subscriptions.append(pipeline.subscriptions[0] | {"name": "other", "symbols": ["TSLA"], "end": "2024-03-09"})
    pipeline.write_subscriptions()
    assert_good(pipeline.wait_run(pipeline.api.start_run(["other"])))
    assert shown(pipeline, run)["held"] == "paused"


def test_a_run_is_cancelled_at_the_cursor_and_taken_up_again(pipeline, vendor):
    made, run = slow_month(pipeline, vendor)
    pipeline.cli("run", "cancel", str(run), "--why", "wrong symbols")
    wait_parked(pipeline, run)
    over = shown(pipeline, run)
    assert (over["status"], over["message"]) == ("failed", "cancelled by configuration: wrong symbols")
    assert 0 < over["fetched"] < made["records"] and over["balanced"] is True
    assert [state for _, state in windows(pipeline, run)] == ["failed"]
    assert pipeline.value("SELECT count(*) FROM etl.coverage") == 0, "it did not fail"
    calls = vendor.calls()
    remains(lambda: vendor.calls() == calls, 1, "nothing is fetched")
    for command in ("pause", "resume", "cancel"):
        assert "is over: failed" in pipeline.cli("run", command, str(run), code=1).stderr
    done = pipeline.cli_json("run", "retry", str(run), "--follow")
    assert_good(done, fetched=made["records"])
    assert vendor.billed() < 1.5 * made["bytes"] and covered(pipeline) == 63
    assert "no task of run" in pipeline.cli("run", "retry", str(run), code=1).stderr


def test_only_what_failed_is_done_again(pipeline, vendor):
    vendor.simulator.fault(path="/v0/timeseries.get_range", skip=1, count=1, status=403, message="not for you")
    made, run = begin(pipeline)
    assert pipeline.wait_run(run)["status"] == "failed"
    calls = vendor.calls()
    done = pipeline.cli_json("run", "retry", str(run), "--follow")
    assert_good(done, fetched=made["records"])
    assert vendor.calls() - calls == WINDOW_CALLS and vendor.billed() == made["bytes"]
    assert done["checks"] and done["message"] == ""


@pytest.mark.parametrize("command", ["pause", "resume", "cancel", "retry"])
def test_bad_input(pipeline, command):
    pipeline.start("orchestrator")
    assert "there is no run 77" in pipeline.cli("run", command, "77", code=1).stderr
    assert "it takes a run's number" in pipeline.cli("run", command, "x1", code=2).stderr
    assert "it takes a run's number" in pipeline.cli("run", command, code=2).stderr
    for body in ([], {"why": 1}, {"more": 1}, {"budget_calls": 0}):
        answer = pipeline.api.post(f"/api/v1/runs/77/{command}", json=body)
        assert answer.status_code == 400, answer.text
    assert pipeline.api.post("/api/v1/runs/77/stop").status_code == 404
    assert pipeline.api.get(f"/api/v1/runs/77/{command}").status_code == 405
    assert pipeline.value("SELECT count(*) FROM etl.audit") == 0

"""Backfills leave room for what is live, the orchestrator alone: which tasks go where, how much may be on the way. The test plays fetcher and loader."""

import json

import pytest
from harness.records import Codec
from harness.waiting import remains, wait_until
from test_orchestrator import account, say
from test_orchestrator_databento import TASKS, Fetcher, subscribe

PER_SLOT, SLOTS = 2, 4
IN_FLIGHT_MAX = 1000


@pytest.fixture
def fetcher(pipeline):
    subscribe(pipeline, start="2024-01-01", end="2024-03-01", chunk="day", cost_max_usd="100")
    pipeline.configure("orchestrator", tasks_per_slot=PER_SLOT, backfill_in_flight_max=IN_FLIGHT_MAX)
    pipeline.start("orchestrator")
    return Fetcher(pipeline)


def begin(pipeline, fetcher, **asked):
    """A backfill of sixty windows, planned and approved."""
    answer = pipeline.api.post("/api/v1/backfills", json={"subscription": "es"} | asked)
    assert answer.status_code == 202, answer.text
    (quote,) = fetcher.take()
    fetcher.quote(quote)
    path = f"/api/v1/backfills?backfill={answer.json()['backfill']}"
    plan = wait_until(lambda: (found := pipeline.api.get(path).json()["backfills"][0])["hash"] and found, 20, "a plan")
    assert (plan["windows"], plan["calls"], plan["cost_usd"]) == (60, 120, "1.25")
    answer = pipeline.api.post("/api/v1/backfills/approvals", json={"hash": plan["hash"]})
    assert answer.status_code == 202, answer.text
    return answer.json()["run"]


def slots(pipeline, run):
    codec = Codec("fetch_task")
    return [m.partition() for m in pipeline.read(TASKS) if codec.decode(m.value())["run"] == run]


def told(pipeline, action="flow"):
    found = [json.loads(message.value()) for message in pipeline.read("etl.control")]
    return [each for each in found if each["action"] == action]


def test_one_slot_is_left_to_others(pipeline, fetcher):
    run = begin(pipeline, fetcher)
    fetcher.take((SLOTS - 1) * PER_SLOT)
    remains(lambda: len(slots(pipeline, run)) == (SLOTS - 1) * PER_SLOT, 1, "no more of them are sent")
    assert sorted(slots(pipeline, run)) == [0, 0, 1, 1, 2, 2]
    subscribe(pipeline, name="live")
    other = pipeline.api.start_run(["live"])
    (quote,) = fetcher.take()
    assert (quote["run"], slots(pipeline, other)) == (other, [SLOTS - 1])


def test_what_is_asked_for_later_comes_first(pipeline, fetcher):
    """A window of a full run is sent before those of a backfill that wait for longer."""
    run = begin(pipeline, fetcher)
    first = fetcher.take((SLOTS - 1) * PER_SLOT)
    subscribe(pipeline, name="live", start="2024-01-08", end="2024-01-11", chunk="day")
    other = pipeline.api.start_run(["live"])
    (quote,) = fetcher.take()
    fetcher.quote(quote)
    assert {task["run"] for task in fetcher.take(PER_SLOT)} == {other}, "as many as its slot takes"
    fetcher.fetch(first[0])
    (next_one,) = fetcher.take()
    assert next_one["run"] == other
    fetcher.fetch(first[1])
    (next_one,) = fetcher.take()
    assert next_one["run"] == run


def test_fetchers_are_told_how_much_is_on_the_way(pipeline, fetcher):
    run = begin(pipeline, fetcher)
    task, other, *_ = fetcher.take((SLOTS - 1) * PER_SLOT)

    def wait_told(*attempts, runs=(run,)):
        expected = {"action": "flow", "most": IN_FLIGHT_MAX, "runs": [*runs], "attempts": sorted(map(list, attempts))}
        wait_until(lambda: told(pipeline)[-1:] == [expected], 20, lambda: f"{expected}, not {told(pipeline)[-1:]}")

    wait_told()
    say(pipeline, task, "running", 700)
    wait_told((task["attempt"], 700, 0))
    say(pipeline, other, "running", 50)
    account(pipeline, task, range(1, 701))
    wait_told((task["attempt"], 700, 700), (other["attempt"], 50, 0))
    before = len(told(pipeline))
    remains(lambda: len(told(pipeline)) == before, 1, "nothing is said again")
    assert pipeline.api.post(f"/api/v1/runs/{run}/cancel").status_code == 200
    for each in (task, other):
        say(pipeline, each, "abandoned", 700 if each is task else 50)
    account(pipeline, other, range(1, 51))
    wait_told(runs=())


@pytest.mark.parametrize("held", ["paused", "cancelled"])
def test_what_is_sent_while_somebody_pauses_is_parked_too(pipeline, fetcher, held):
    run = begin(pipeline, fetcher)
    tasks = fetcher.take((SLOTS - 1) * PER_SLOT)
    command = {"paused": "pause", "cancelled": "cancel"}[held]
    assert pipeline.api.post(f"/api/v1/runs/{run}/{command}").status_code == 200
    (park,) = wait_until(lambda: told(pipeline, "park"), 20, "they are told")
    assert park == {"action": "park", "run": run, "through": max(task["attempt"] for task in tasks), "why": held}
    # as if one had been sent at that moment
    pipeline.query("UPDATE etl.runs SET told_through = told_through - 1 WHERE run = %s", run)
    wait_until(lambda: len(told(pipeline, "park")) == 2, 20, "they are told again")
    place = json.dumps({"parked": {"identity": "x", "resume": "y", "items": 0}})
    for task in tasks:
        say(pipeline, task, "abandoned", 0, message="parked: …", result=place)
    state = {"paused": "pending", "cancelled": "failed"}[held]
    wait_until(lambda: pipeline.value("SELECT count(*) FROM etl.tasks WHERE run = %s AND state = %s AND parameters ? 'parked'", run, state) == len(tasks), 20, "all are parked")
    command = {"paused": "resume", "cancelled": "retry"}[held]
    assert pipeline.api.post(f"/api/v1/runs/{run}/{command}").status_code == 200
    again = fetcher.take((SLOTS - 1) * PER_SLOT)
    assert {task["task"] for task in again} == {task["task"] for task in tasks}
    assert json.loads(again[0]["parameters"])["parked"]["resume"] == "y"

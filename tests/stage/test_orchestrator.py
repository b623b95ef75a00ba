"""The orchestrator alone: the test plays fetcher and loader."""

import time

import pytest
from harness.records import Codec, mix_sum
from harness.waiting import remains, wait_until

TASKS, EVENTS = "etl.tasks.file", "etl.events"


@pytest.fixture
def files(pipeline, tmp_path):
    """A subscription to three files; what they hold is nobody's business here."""
    for name in "abc":
        (tmp_path / f"{name}.dbn").write_bytes(b"x")
    pipeline.subscribe("three", tmp_path / "*.dbn")
    return tmp_path


def tasks(pipeline, count):
    codec = Codec("fetch_task")
    return [codec.decode(m.value()) for m in pipeline.wait_messages(TASKS, count, seconds=30)]


def say(pipeline, task, state, fetched, **changes):
    event = {
        "attempt": task["attempt"],
        "task": task["task"],
        "run": task["run"],
        "state": state,
        "fetched": fetched,
        "refused": 0,
        "skipped": 0,
        "input_bytes": 1,
        "worker": "test",
        "ts": time.time_ns(),
        "message": "",
    } | changes
    pipeline.produce(EVENTS, [{"key": str(task["attempt"]), "value": Codec("task_event").encode(event)}])


def account(pipeline, task, ordinals, outcome="unchanged"):
    pipeline.query(
        "INSERT INTO etl.ledger VALUES (%s, 'clean', 0, %s, %s, %s)",
        task["attempt"],
        outcome,
        len(ordinals),
        mix_sum(ordinals),
    )


def wait_settled(pipeline, run, in_flight):
    """A run fails with the first account that is wrong; the others' events may come later."""
    return wait_until(
        lambda: (shown := pipeline.api.run(run))["in_flight"] == in_flight and shown,
        20,
        lambda: f"in flight {in_flight}: {pipeline.api.run(run)}",
    )


def test_a_run_is_sent_counted_and_closed(pipeline, files):
    pipeline.start("orchestrator")
    run = pipeline.api.start_run()
    sent = tasks(pipeline, 3)
    assert sorted(task["path"] for task in sent) == [str(files / f"{name}.dbn") for name in "abc"]
    assert len({task["attempt"] for task in sent}) == 3 and all(task["run"] == run for task in sent)
    for task in sent:
        say(pipeline, task, "running", 4)
    wait_until(lambda: pipeline.api.run(run)["fetched"] == 12, 20, "the events are counted")
    for task in sent:
        say(pipeline, task, "done", 10)
        account(pipeline, task, range(1, 11))
    shown = pipeline.wait_run(run)
    assert (shown["status"], shown["balanced"], shown["fetched"], shown["unchanged"]) == ("success", True, 30, 30)


def test_a_run_waits_for_its_account(pipeline, files):
    pipeline.start("orchestrator")
    run = pipeline.api.start_run()
    sent = tasks(pipeline, 3)
    for task in sent:
        say(pipeline, task, "done", 5)
        account(pipeline, task, range(1, 5))
    wait_until(lambda: pipeline.api.run(run)["in_flight"] == 3, 20, "one of each is in flight")
    remains(lambda: pipeline.api.run(run)["status"] == "running", 1.0, lambda: str(pipeline.api.run(run)))
    for task in sent:
        account(pipeline, task, [5], "dead_letter")
    shown = pipeline.wait_run(run)
    assert shown["balanced"] and shown["dead_letters"] == 3


def test_more_than_was_fetched_is_an_alarm(pipeline, files):
    orchestrator = pipeline.start("orchestrator")
    run = pipeline.api.start_run()
    for task in tasks(pipeline, 3):
        say(pipeline, task, "done", 5)
        account(pipeline, task, range(1, 7))
    assert pipeline.wait_run(run)["status"] == "failed"
    shown = wait_settled(pipeline, run, -3)
    assert shown["status"] == "failed" and shown["balanced"] is False
    assert orchestrator.events("in_flight_negative")
    assert pipeline.api.get("/api/etl/status").json()["alarms"]


def test_the_right_count_of_the_wrong_records_does_not_pass(pipeline, files):
    pipeline.start("orchestrator")
    run = pipeline.api.start_run()
    for task in tasks(pipeline, 3):
        say(pipeline, task, "done", 3)
        account(pipeline, task, [1, 2, 2])
    assert pipeline.wait_run(run)["status"] == "failed"
    shown = wait_settled(pipeline, run, 0)
    assert shown["status"] == "failed" and shown["balanced"] is False


def test_an_abandoned_attempt_is_dispatched_anew(pipeline, files):
    pipeline.start("orchestrator")
    run = pipeline.api.start_run()
    first = tasks(pipeline, 3)
    say(pipeline, first[0], "abandoned", 0, message="the source changed while it was read")
    again = next(t for t in tasks(pipeline, 4) if t["attempt"] not in {f["attempt"] for f in first})
    assert again["task"] == first[0]["task"] and again["path"] == first[0]["path"]
    for task in [again, *first[1:]]:
        say(pipeline, task, "done", 0)
    assert pipeline.wait_run(run)["status"] == "success"


def test_a_failed_task_fails_its_run_by_name(pipeline, files):
    pipeline.start("orchestrator")
    run = pipeline.api.start_run()
    sent = tasks(pipeline, 3)
    say(pipeline, sent[0], "failed", 0, message="/data/a.dbn: no such thing")
    for task in sent[1:]:
        say(pipeline, task, "done", 0)
    shown = pipeline.wait_run(run)
    assert shown["status"] == "failed" and "/data/a.dbn: no such thing" in shown["message"]


def test_a_killed_orchestrator_sends_nothing_twice(pipeline, files):
    first = pipeline.start("orchestrator")
    run = pipeline.api.start_run()
    sent = tasks(pipeline, 3)
    first.kill()
    for task in sent:
        say(pipeline, task, "done", 2)
        account(pipeline, task, [1, 2])
    pipeline.start("orchestrator", settings={"http.port": pipeline.api_port})
    assert pipeline.wait_run(run)["status"] == "success"
    assert len(pipeline.read(TASKS)) == 3


def test_events_of_nobody_are_passed_over(pipeline, files):
    orchestrator = pipeline.start("orchestrator")
    run = pipeline.api.start_run()
    sent = tasks(pipeline, 3)
    pipeline.produce(EVENTS, [{"key": "x", "value": b"hello"}])
    say(pipeline, sent[0] | {"attempt": 12345}, "done", 7)
    for task in sent:
        say(pipeline, task, "done", 0)
    assert pipeline.wait_run(run)["fetched"] == 0
    assert orchestrator.running


def test_a_second_orchestrator_stands_by_and_takes_over(pipeline, files):
    first = pipeline.start("orchestrator")
    standby = pipeline.start("orchestrator", ready=False)
    first.kill()
    wait_until(lambda: standby.port and standby.get("/health").json()["leader"], 30, "the standby leads")

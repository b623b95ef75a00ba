"""Breakers, the orchestrator alone: what is held back, tried again and reset. The test plays fetcher, loader and vendor."""

import json

import pytest
from harness.records import Codec
from harness.waiting import remains, wait_until
from test_orchestrator import TASKS, account, say, wait_alarm, wait_no_alarm
from test_orchestrator_databento import Fetcher, subscribe

RECORDS = 20  # that are judged together
PLACE = {"identity": "file", "resume": "", "items": RECORDS}


class Slots:
    """The attempts of a topic that nobody has answered yet."""

    def __init__(self, pipeline, topic=TASKS):
        self.pipeline, self.topic, self.answered = pipeline, topic, set()

    def open(self):
        codec = Codec("fetch_task")
        sent = [codec.decode(message.value()) for message in self.pipeline.read(self.topic)]
        return [task for task in sent if task["attempt"] not in self.answered]

    def wait(self, subscription, count=1):
        def found():
            tasks = [task for task in self.open() if task["subscription"] == subscription]
            return len(tasks) >= count and tasks

        return wait_until(found, 30, lambda: f"{count} attempts of {subscription}: {self.open()}")

    def end(self, task, state="done", records=0, outcome="inserted", **more):
        """Its account is complete with so many more records."""
        self.answered.add(task["attempt"])
        before = self.pipeline.value("SELECT coalesce(sum(records), 0)::bigint FROM etl.ledger WHERE attempt = %s", task["attempt"])
        if records:
            account(self.pipeline, task, range(before + 1, before + records + 1), outcome)
        say(self.pipeline, task, state, before + records, **more)

    def park(self, task, **place):
        self.end(task, "abandoned", message="parked: …", result=json.dumps({"parked": PLACE | place}))


def breakers(pipeline, *words):
    return {(b["kind"], b["name"]): b for b in pipeline.cli_json("breaker", "ls", *words)["breakers"]}


def wait_breaker(pipeline, kind, name, state, seconds=30, **members):
    def found():
        b = breakers(pipeline).get((kind, name))
        return b and b["state"] == state and all(b[key] == value for key, value in members.items()) and b

    return wait_until(found, seconds, lambda: f"{kind} {name} is {state} {members}: {breakers(pipeline)}")


def told(pipeline):
    return [json.loads(message.value()) for message in pipeline.read("etl.control")]


@pytest.fixture
def slots(pipeline, tmp_path):
    """Six files of a bad subscription, two of a good one; four slots with one attempt each."""
    for name in ("bad", "good"):
        for n in range(6 if name == "bad" else 2):
            (tmp_path / f"{name}{n}.dbn").write_bytes(b"x")
        pipeline.subscribe(name, tmp_path / f"{name}*.dbn")
    pipeline.configure(
        "orchestrator",
        tasks_per_slot=1,
        breaker={"records_min": RECORDS, "open_s": 2, "failures": 2},
    )
    pipeline.start("orchestrator")
    return Slots(pipeline)


def open_it(pipeline, slots, subscription="bad"):
    """All of one task's records are refused; the attempts that were out when the breaker opened."""
    first, *others = slots.wait(subscription, 4)
    say(pipeline, first, "running", RECORDS)
    account(pipeline, first, range(1, RECORDS + 1), "dead_letter")
    wait_breaker(pipeline, "subscription", subscription, "open")
    return first, others


def park_all(slots, first, others):
    slots.park(first)
    for task in others:
        slots.park(task, items=0, identity="")


def test_a_subscription_is_held_back_and_the_others_are_not(pipeline, slots):
    run = pipeline.api.start_run()
    first, others = open_it(pipeline, slots)
    # said in every place
    alarm = wait_alarm(pipeline, "subscription bad is held back until", "20 of its last 20 records became dead letters")
    assert "penstock breaker reset bad" in alarm and alarm in pipeline.cli("status", code=1).stdout
    (line,) = pipeline.cli_json("alarms")["alarms"]
    assert (line["name"], line["message"]) == ("breaker_open", alarm)
    (orchestrator,) = pipeline.of("orchestrator")
    wait_until(lambda: orchestrator.metrics()['penstock_orchestrator_breakers{kind="subscription"}'] == 1, 20, "the gauge")
    assert orchestrator.metrics()["penstock_orchestrator_breakers_opened_total"] == 1
    assert len(orchestrator.events("breaker_opened")) == 1
    # the fetchers are told, of these attempts only
    (park,) = wait_until(lambda: told(pipeline), 20, "the fetchers are told")
    assert park["action"] == "park" and park["subscription"] == "bad"
    assert park["through"] == max(task["attempt"] for task in (first, *others))
    park_all(slots, first, others)
    # the others flow on
    for task in slots.wait("good", 2):
        slots.end(task, records=5)
    wait_until(lambda: pipeline.value("SELECT count(*) FROM etl.tasks WHERE subscription = 'good' AND state = 'closed'") == 2, 20, "the good ones are closed")
    # it is tried with one task, which goes on where it was parked
    wait_breaker(pipeline, "subscription", "bad", "half_open", probe_task=first["task"])
    (again,) = slots.wait("bad")
    assert (again["task"], json.loads(again["parameters"])["parked"]) == (first["task"], PLACE)
    assert again["attempt"] > park["through"]
    remains(lambda: len(slots.open()) == 1, 1, "one task is tried, and no other")
    slots.end(again, records=RECORDS)
    wait_breaker(pipeline, "subscription", "bad", "closed", openings=0)
    wait_no_alarm(pipeline)
    assert pipeline.value("SELECT parameters ? 'parked' FROM etl.tasks WHERE task = %s", first["task"]) is False
    left = 5
    while left:
        for task in slots.wait("bad"):
            slots.end(task, records=1)
            left -= 1
    shown = pipeline.wait_run(run)
    assert (shown["in_flight"], shown["fetched"], shown["dead_letters"]) == (0, RECORDS * 2 + 10 + 5, RECORDS)
    assert pipeline.value("SELECT count(*) FROM etl.tasks WHERE run = %s AND state <> 'closed'", run) == 0


def test_what_fails_again_waits_longer_also_over_a_restart(pipeline, slots):
    pipeline.api.start_run()
    first, others = open_it(pipeline, slots)
    park_all(slots, first, others)
    (again,) = slots.wait("bad")
    say(pipeline, again, "running", RECORDS)
    account(pipeline, again, range(1, RECORDS + 1), "dead_letter")
    opened = wait_breaker(pipeline, "subscription", "bad", "open", openings=2)
    assert pipeline.value("SELECT extract(epoch FROM probe_at - since)::integer FROM etl.breakers") == 4
    assert wait_until(lambda: len(said := told(pipeline)) == 2 and said, 20, "told anew")[-1]["through"] == again["attempt"]
    (orchestrator,) = pipeline.of("orchestrator")
    orchestrator.kill()
    pipeline.query("UPDATE etl.breakers SET probe_at = now() + interval '1 hour'")
    pipeline.started["orchestrator"] = 0  # on the same port
    pipeline.start("orchestrator")
    slots.park(again, items=RECORDS * 2)
    found = wait_breaker(pipeline, "subscription", "bad", "open", openings=2)
    assert (found["since"], found["reason"]) == (opened["since"], opened["reason"])
    for task in slots.wait("good", 2):
        slots.end(task)
    remains(lambda: not slots.open(), 1, "nothing of it is sent")
    assert breakers(pipeline, "--state", "open")["subscription", "bad"]["tasks_waiting"] == 6
    # reset by hand: at once, and who, when, why stands in the audit
    said = pipeline.cli("breaker", "reset", "bad", "--why", "the rule was wrong").stdout
    assert said == "subscription bad goes on\n"
    slots.wait("bad", 4)
    (entry,) = pipeline.cli_json("audit", "--action", "breaker.reset")["audit"]
    assert (entry["who"], entry["target"]) == ("configuration", "bad") and entry["at"]
    assert entry["detail"] == {"kind": "subscription", "why": "the rule was wrong"}
    # what was refused before is not held against it
    remains(lambda: breakers(pipeline)["subscription", "bad"]["state"] == "closed", 1, "it stays closed")


@pytest.mark.parametrize(
    "words, code, said",
    [
        (["bad"], 2, "--why"),
        ([], 2, "a NAME"),
        (["bad", "--why", " "], 2, "why, a text"),
        (["nobody", "--why", "x"], 1, "nothing of the name 'nobody' was ever held back"),
        (["shut", "--why", "x"], 1, "subscription shut is not held back"),
        (["both", "--why", "x"], 2, "say which, by kind"),
        (["both", "--why", "x", "--kind", "thing"], 2, "kind, subscription or source"),
    ],
)
def test_a_reset_that_is_none_changes_nothing(pipeline, words, code, said):
    pipeline.start("orchestrator")
    pipeline.query(
        "INSERT INTO etl.breakers (kind, name, state, probe_at) VALUES ('subscription', 'shut', 'closed', NULL),"
        " ('subscription', 'both', 'open', now() + interval '1 hour'), ('source', 'both', 'open', now() + interval '1 hour')"
    )
    before = breakers(pipeline)
    assert said in pipeline.cli("breaker", "reset", *words, code=code).stderr
    assert breakers(pipeline) == before and len(breakers(pipeline, "--kind", "source")) == 1
    assert pipeline.value("SELECT count(*) FROM etl.audit") == 0
    pipeline.cli("breaker", "reset", "both", "--kind", "source", "--why", "x")
    assert breakers(pipeline)["source", "both"]["state"] == "closed"
    assert breakers(pipeline)["subscription", "both"]["state"] == "open"


def test_a_small_share_is_nobodys_business(pipeline, slots):
    pipeline.api.start_run()
    first, *others = slots.wait("bad", 4)
    account(pipeline, first, range(1, RECORDS + 1), "dead_letter")
    account(pipeline, others[0], range(1, RECORDS + 2), "inserted")  # more than half are good, all of them together
    remains(lambda: breakers(pipeline) == {}, 2, "nothing is held back")


# --- a vendor that does not work ------------------------------------------------------------------------------------------


TROUBLE = {"trouble": True, "parked": {"identity": "quote", "resume": "", "items": 0}}
DEAD = {"message": "databento: metadata.get_cost: given up after 4 tries: HTTP 503", "result": json.dumps(TROUBLE)}


def test_a_vendor_that_does_not_work_is_tried_with_one_task(pipeline, slots):
    for name in "abcd":
        subscribe(pipeline, name)
    run = pipeline.api.start_run(list("abcd"))
    fetcher = Fetcher(pipeline)
    a, b, c, d = fetcher.take(4)
    # one subscription alone may ask for what nobody has
    say(pipeline, a, "failed", 0, **DEAD)
    say(pipeline, b, "failed", 0, **DEAD)
    opened = wait_breaker(pipeline, "source", "databento", "open")
    assert "2 tasks in a row, of 2 subscriptions, were ended by trouble at the vendor" in opened["reason"]
    wait_alarm(pipeline, "source databento is held back", "HTTP 503")
    # what is on its way fails, too, and waits
    for task in (c, d):
        say(pipeline, task, "failed", 0, **DEAD)
    states = lambda: dict(pipeline.query("SELECT subscription, state FROM etl.tasks"))  # noqa: E731
    wait_until(lambda: states() == {"a": "failed", "b": "failed", "c": "pending", "d": "pending"}, 20, lambda: f"{states()}")
    (probe,) = fetcher.take()
    assert probe["task"] == c["task"]
    say(pipeline, probe, "failed", 0, **DEAD)
    wait_breaker(pipeline, "source", "databento", "open", openings=2)
    (probe,) = fetcher.take()
    fetcher.quote(probe)
    wait_breaker(pipeline, "source", "databento", "closed", openings=0)
    fetcher.quote(fetcher.take()[0])
    for task in fetcher.take(4):
        fetcher.fetch(task)
    shown = pipeline.wait_run(run)
    assert shown["status"] == "failed" and "2 of 8 tasks failed" in shown["message"], shown["message"]


def test_one_subscription_in_trouble_fails_by_itself(pipeline, slots):
    subscribe(pipeline, "a")
    fetcher = Fetcher(pipeline)
    for _ in range(3):
        run = pipeline.api.start_run(["a"])
        say(pipeline, fetcher.take()[0], "failed", 0, **DEAD)
        assert pipeline.wait_run(run)["status"] == "failed"
    assert breakers(pipeline) == {}

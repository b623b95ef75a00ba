"""The orchestrator alone: the test plays fetcher and loader."""

import subprocess
import time

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from harness.pipeline import KAFKA_SECONDS
from harness.records import Codec, mix_sum, raw_bar
from harness.waiting import remains, wait_until

TASKS, EVENTS = "etl.tasks.file", "etl.events"
RAW, VALID, CLEAN = "etl.raw.ohlcv", "etl.valid.ohlcv", "etl.clean.ohlcv"


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


def transact(pipeline, topic, values, commit=True, partition=0):
    """One transaction: its mark stands behind the records. The producer, for one that is left open."""
    producer = Producer(pipeline.kafka(transactional_id=f"{pipeline.prefix}test", acks="all"))
    producer.init_transactions(KAFKA_SECONDS)
    producer.begin_transaction()
    for value in values:
        producer.produce(pipeline.topic(topic), value=value, partition=partition)
    assert producer.flush(KAFKA_SECONDS) == 0
    if commit:
        producer.commit_transaction(KAFKA_SECONDS)
    return producer


def stand(pipeline, group, topic, offset, partition=0):
    """Puts the offset of a group without members."""
    consumer = Consumer(pipeline.kafka(group_id=pipeline.prefix + group, enable_auto_commit=False))
    try:
        consumer.commit(offsets=[TopicPartition(pipeline.topic(topic), partition, offset)], asynchronous=False)
    finally:
        consumer.close()


def stand_in_database(pipeline, group, topic, offset, partition=0, **more):
    columns = {"next_offset": offset} | more
    names = ", ".join(columns)
    pipeline.query(
        f"INSERT INTO etl.offsets (consumer_group, topic, partition, {names})"
        f" VALUES (%s, %s, %s, {', '.join(['%s'] * len(columns))}) ON CONFLICT (consumer_group, topic, partition)"
        f" DO UPDATE SET {', '.join(f'{name} = EXCLUDED.{name}' for name in columns)}",
        pipeline.prefix + group,
        pipeline.topic(topic),
        partition,
        *columns.values(),
    )


def delete_below(pipeline, topic, offset, partition=0):
    """What retention does."""
    place = TopicPartition(pipeline.topic(topic), partition, offset)
    admin = AdminClient(pipeline.kafka())
    for future in admin.delete_records([place]).values():
        future.result(KAFKA_SECONDS)


def alarms(pipeline):
    return pipeline.api.get("/api/etl/status").json()["alarms"]


def wait_alarm(pipeline, *words, seconds=30):
    return wait_until(
        lambda: next((each for each in alarms(pipeline) if all(word in each for word in words)), None),
        seconds,
        lambda: f"an alarm with {words}: {alarms(pipeline)}",
    )


def wait_no_alarm(pipeline, seconds=20):
    wait_until(lambda: not alarms(pipeline), seconds, lambda: f"no alarm: {alarms(pipeline)}")


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
    pipeline.produce(RAW, [{"value": b"nobody reads it", "partition": 0}])
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
    assert [line["context"]["attempt"] for line in orchestrator.events("event_of_unknown_attempt")] == [12345]
    metrics = orchestrator.metrics()
    assert metrics['penstock_orchestrator_events_ignored_total{reason="unknown_attempt"}'] == 1
    assert metrics['penstock_orchestrator_events_ignored_total{reason="undecodable"}'] == 1


def test_a_second_orchestrator_stands_by_and_takes_over(pipeline, files):
    first = pipeline.start("orchestrator")
    standby = pipeline.start("orchestrator", ready=False)
    first.kill()
    wait_until(lambda: standby.port and standby.get("/health").json()["leader"], 30, "the standby leads")


def test_a_stopped_orchestrator_is_deposed(pipeline, files):
    """The database keeps the lock of a process that hangs: its lease is over all the same."""
    first = pipeline.start("orchestrator", settings={"lease_s": 3})
    standby = pipeline.start("orchestrator", settings={"lease_s": 3})
    remains(lambda: not standby.events("leadership_taken"), 4.0, "the active one renews its lease")
    first.pause()
    standby.wait_event("leadership_taken")
    assert standby.events("leader_deposed")
    pipeline.query("INSERT INTO etl.runs (kind) VALUES ('full')")
    assert len(tasks(pipeline, 3)) == 3
    first.resume()
    first.wait_event("leadership_lost")
    remains(lambda: first.running and len(first.events("leadership_taken")) == 1, 4.0, first.tail)
    assert standby.get("/health").json()["leader"] and not first.get("/health").json()["leader"]
    assert len(pipeline.read(TASKS)) == 3
    assert pipeline.value("SELECT epoch FROM etl.leader") == 2


def test_two_orchestrators_send_each_task_once(pipeline, files):
    pipeline.start("orchestrator")
    pipeline.start("orchestrator")
    runs = [pipeline.api.start_run() for _ in range(3)]
    sent = {}
    while len(sent) < 9:
        for task in tasks(pipeline, len(sent) + 1):
            if task["attempt"] not in sent:
                sent[task["attempt"]] = task
                say(pipeline, task, "done", 0)
    assert [pipeline.wait_run(run)["status"] for run in runs] == ["success"] * 3
    assert len(pipeline.read(TASKS)) == 9 == len({task["task"] for task in sent.values()})


# --- lost, or slow ---------------------------------------------------------------------------------------------------


def missing_one(pipeline):
    """A run whose attempts have ended, one record short in one of them; that one's task."""
    run = pipeline.api.start_run()
    sent = tasks(pipeline, 3)
    for task in sent:
        say(pipeline, task, "done", 5)
        account(pipeline, task, range(1, 6 if task is not sent[1] else 5))
    return run, sent[1]


def test_lost_records_fail_the_run_by_name(pipeline, files):
    """All groups stand before transactions' marks, as they do when nothing is left to read."""
    codec = Codec("ohlcv")
    for topic in (RAW, VALID, CLEAN, "etl.dlq"):
        transact(pipeline, topic, [codec.encode(raw_bar(1, 1))])
    stand(pipeline, "penstock.validator", RAW, 1)
    stand(pipeline, "penstock.transformer", VALID, 1)
    stand_in_database(pipeline, "penstock.loader", CLEAN, 1)
    stand_in_database(pipeline, "penstock.loader", "etl.dlq", 1)
    orchestrator = pipeline.start("orchestrator")
    run, task = missing_one(pipeline)
    shown = pipeline.wait_run(run, seconds=30)
    assert shown["status"] == "failed" and shown["in_flight"] == 1 and shown["balanced"] is False
    assert f"attempt {task['attempt']}" in shown["message"] and "1 of 5 records are lost" in shown["message"]
    wait_alarm(pipeline, "are lost")
    assert orchestrator.metrics()['penstock_orchestrator_alarms_raised_total{alarm="attempt_lost"}'] == 1


@pytest.mark.parametrize("hop", [RAW, VALID, CLEAN, "etl.dlq"])
def test_a_slow_stage_loses_nothing(pipeline, files, hop):
    """One unread record before any hop, and nothing is said to be lost; then it is read, and the account is full."""
    transact(pipeline, hop, [b"read", b"not read"], partition=2)
    if hop == RAW:
        stand(pipeline, "penstock.validator", RAW, 1, 2)
    elif hop == VALID:
        stand(pipeline, "penstock.transformer", VALID, 1, 2)
    else:
        stand_in_database(pipeline, "penstock.loader", hop, 1, 2)
    orchestrator = pipeline.start("orchestrator", settings={"stalled_after_s": 3})
    run, task = missing_one(pipeline)
    orchestrator.wait_event("attempt_stalled")
    remains(lambda: not orchestrator.events("attempt_lost"), 4.0, orchestrator.tail)
    account(pipeline, task, [5], "duplicate")
    assert pipeline.wait_run(run)["status"] == "success"
    wait_no_alarm(pipeline)


def test_an_open_transaction_may_still_hold_them(pipeline, files):
    producer = transact(pipeline, RAW, [b"undecided"], commit=False)
    orchestrator = pipeline.start("orchestrator")
    run, _ = missing_one(pipeline)
    remains(lambda: not orchestrator.events("attempt_lost"), 8.0, orchestrator.tail)
    producer.abort_transaction(KAFKA_SECONDS)
    assert "are lost" in pipeline.wait_run(run, seconds=30)["message"]


def test_what_is_missing_after_the_slow_stage_is_lost(pipeline, files):
    transact(pipeline, RAW, [b"read", b"not read"])
    stand(pipeline, "penstock.validator", RAW, 1)
    orchestrator = pipeline.start("orchestrator")
    run, _ = missing_one(pipeline)
    remains(lambda: not orchestrator.events("attempt_lost"), 5.0, orchestrator.tail)
    stand(pipeline, "penstock.validator", RAW, 2)
    shown = pipeline.wait_run(run, seconds=30)
    assert shown["status"] == "failed" and "are lost" in shown["message"]


# --- gaps ------------------------------------------------------------------------------------------------------------


def fill(pipeline, topic, count, partition=0):
    pipeline.produce(topic, [{"value": b"x", "partition": partition} for _ in range(count)])


def test_a_gap_is_an_alarm_until_it_is_skipped(pipeline, files):
    fill(pipeline, RAW, 10, 3)
    delete_below(pipeline, RAW, 7, 3)
    orchestrator = pipeline.start("orchestrator")
    group = pipeline.prefix + "penstock.validator"
    told = wait_alarm(pipeline, group, pipeline.topic(RAW), "[3]", "offset 0 is next", "begins at 7", "offsets skip")
    assert pipeline.api.get("/api/etl/status").json()["status"] == "alarm"
    assert pipeline.cli("status", code=1).stdout.count(told) == 1
    wait_until(lambda: orchestrator.metrics()["penstock_orchestrator_gaps"] == 1, 20, "the metric")
    command = told[told.index("`penstock ") :].split("`")[1].replace("TEXT", "retention").split()[1:]
    said = pipeline.cli(*command).stdout
    assert "from 0 to 7" in said and "7 offsets expire" in said
    wait_no_alarm(pipeline)
    orchestrator.wait_event("offset_gap_over")
    assert len(orchestrator.events("offset_gap")) == 1
    assert pipeline.query("SELECT consumer_group, topic, partition, from_offset, to_offset, why FROM etl.expired") == [
        (group, pipeline.topic(RAW), 3, 0, 7, "retention")
    ]


@pytest.mark.parametrize("state", ["gap", "ahead", "stopped"])
def test_gaps_of_the_loader(pipeline, state):
    fill(pipeline, CLEAN, 10)
    if state == "gap":
        delete_below(pipeline, CLEAN, 7)
    columns = {"epoch": 4, "starts": 3, "last_offset": 2, "last_timestamp_ms": 1, "last_crc": 9}
    if state == "stopped":
        columns["stopped"] = "record 2 is another one"
    stand_in_database(pipeline, "penstock.loader", CLEAN, 20 if state == "ahead" else 3, **columns)
    pipeline.start("orchestrator")
    words = {"gap": "begins at 7", "ahead": "ends at 10", "stopped": "record 2 is another one"}[state]
    wait_alarm(pipeline, "penstock.loader", words)
    pipeline.cli("offsets", "skip", "penstock.loader", CLEAN, 0, "--why", "test")
    wait_no_alarm(pipeline)
    to = {"gap": 7, "ahead": 0, "stopped": 3}[state]
    assert pipeline.query(
        "SELECT next_offset, epoch, last_offset, last_timestamp_ms, last_crc, stopped, starts FROM etl.offsets"
        " WHERE consumer_group = %s AND topic = %s",
        pipeline.prefix + "penstock.loader",
        pipeline.topic(CLEAN),
    ) == [(to, 5, None, None, None, "", 0)]
    assert pipeline.value("SELECT to_offset FROM etl.expired") == to


def test_a_gap_in_the_events_is_skipped_too(pipeline, files):
    orchestrator = pipeline.start("orchestrator")
    run = pipeline.api.start_run()
    sent = tasks(pipeline, 3)
    orchestrator.kill()
    say(pipeline, sent[0] | {"attempt": 1}, "done", 1)
    say(pipeline, sent[0] | {"attempt": 2}, "done", 1)
    delete_below(pipeline, EVENTS, 1)
    again = pipeline.start("orchestrator", settings={"http.port": pipeline.api_port})
    wait_alarm(pipeline, "penstock.orchestrator", EVENTS, "begins at 1", "offsets skip")
    assert again.get("/health").json()["kafka"] == "connected"
    pipeline.cli("offsets", "skip", "penstock.orchestrator", EVENTS, 0, "--why", "test")
    wait_no_alarm(pipeline)
    for task in sent:
        say(pipeline, task, "done", 0)
    assert pipeline.wait_run(run)["status"] == "success"


def test_a_gap_that_opens_under_a_reader_of_events(pipeline, files):
    orchestrator = pipeline.start("orchestrator")
    wait_until(lambda: pipeline.value("SELECT count(*) FROM etl.offsets"), 20, "events are read")
    orchestrator.pause()
    for through in (10, 20):  # a request of its may be at the broker already: that one is answered with the first ten
        fill(pipeline, EVENTS, 10)
        delete_below(pipeline, EVENTS, through)
    orchestrator.resume()
    wait_alarm(pipeline, EVENTS, "begins at 20")
    pipeline.cli("offsets", "skip", "penstock.orchestrator", EVENTS, 0, "--why", "test")
    wait_no_alarm(pipeline)
    assert orchestrator.running


def test_a_task_that_is_skipped_is_sent_again(pipeline, files):
    """Those behind it in its slot, and in other slots, are not."""
    pipeline.start("orchestrator")
    run = pipeline.api.start_run()
    sent = {task["attempt"]: task for task in tasks(pipeline, 3)}
    first = pipeline.read(TASKS)[0]
    skipped = Codec("fetch_task").decode(first.value())["attempt"]
    delete_below(pipeline, TASKS, first.offset() + 1, first.partition())
    wait_alarm(pipeline, "penstock.fetcher", "offsets skip")
    pipeline.cli("offsets", "skip", "penstock.fetcher", TASKS, first.partition(), "--why", "retention")
    again = {task["attempt"]: task for task in tasks(pipeline, 3)}
    assert set(sent) - set(again) == {skipped}
    (new,) = set(again) - set(sent)
    assert again[new]["task"] == sent[skipped]["task"]
    for task in again.values():
        say(pipeline, task, "done", 0)
    assert pipeline.wait_run(run)["status"] == "success"


def test_a_topic_that_is_gone_is_a_gap(pipeline):
    pipeline.start("orchestrator")
    pipeline.delete_topic(VALID)
    wait_alarm(pipeline, VALID, "there is no such partition", "topics apply")
    wait_until(lambda: pipeline.cli("topics", "apply", code=None).returncode == 0, 30, "the topic is made anew")
    wait_no_alarm(pipeline)


# --- expired ---------------------------------------------------------------------------------------------------------


def test_an_attempt_with_expired_records_is_fetched_again(pipeline, tmp_path):
    """With all the real stages: the run ends well, and says what happened."""
    simulator = [pipeline.program("penstock-simulator"), "--bars=300", "--symbols=6", "--broken=9"]
    subprocess.run([*simulator, f"--write={tmp_path / 'bars.dbn.zst'}"], check=True, capture_output=True)
    pipeline.subscribe("bars", tmp_path / "bars.dbn.zst")
    orchestrator = pipeline.start("orchestrator")
    for kind in ("fetcher", "transformer", "loader"):
        pipeline.start(kind)
    run = pipeline.api.start_run()
    wait_until(lambda: pipeline.value("SELECT count(*) FROM etl.attempts WHERE state = 'done'"), 30, "it is fetched")
    counts = {}
    for message in pipeline.read(RAW):
        counts[message.partition()] = counts.get(message.partition(), 0) + 1
    partition = max(counts, key=counts.get)
    delete_below(pipeline, RAW, 5, partition)
    wait_alarm(pipeline, "penstock.validator", f"[{partition}]", "begins at 5")
    pipeline.cli("offsets", "skip", "penstock.validator", RAW, partition, "--why", "retention")
    pipeline.start("validator")
    shown = pipeline.wait_run(run, seconds=60)
    assert (shown["status"], shown["balanced"], shown["in_flight"]) == ("success", True, 0), shown
    assert shown["expired_attempts"] == 1 and shown["expired_records"] == 5
    assert [each["expired"] for each in shown["attempts"]] == [True, False]
    assert [each["balanced"] for each in shown["attempts"]] == [False, True]
    assert len(orchestrator.events("attempt_expired")) == 1 and not orchestrator.events("attempt_lost")
    last = shown["attempts"][1]
    refused = pipeline.value("SELECT count(*) FROM etl.dead_letters WHERE attempt = %s", last["attempt"])
    assert pipeline.value("SELECT count(*) FROM ohlcv_data") == last["fetched"] - refused == shown["inserted"]
    assert "expired" in pipeline.cli("run", "show", run).stdout
    wait_no_alarm(pipeline)


def test_a_log_made_anew_expires_what_was_in_it(pipeline, files):
    """Its groups got a first offset, so that nothing was left to be skipped; what it had is gone all the same."""
    orchestrator = pipeline.start("orchestrator", settings={"attempts_max": 1})
    pipeline.delete_topic(VALID)
    wait_alarm(pipeline, VALID, "there is no such partition")
    run, _ = missing_one(pipeline)
    wait_until(lambda: pipeline.cli("topics", "apply", code=None).returncode == 0, 30, "the topic is made anew")
    shown = pipeline.wait_run(run, seconds=30)
    assert "expired" in shown["message"] and not orchestrator.events("attempt_lost"), shown
    booked = "SELECT count(DISTINCT partition) FROM etl.expired WHERE topic = %s AND who = 'the orchestrator'"
    assert pipeline.value(booked, pipeline.topic(VALID)) == len(pipeline.partitions(VALID))


def test_a_group_that_went_back_is_booked(pipeline, files):
    """A log that was made anew between two looks."""
    fill(pipeline, RAW, 10, 3)
    delete_below(pipeline, RAW, 7, 3)
    fill(pipeline, VALID, 10)
    stand(pipeline, "penstock.transformer", VALID, 10)
    orchestrator = pipeline.start("orchestrator")
    wait_alarm(pipeline, "penstock.validator", "begins at 7")  # so it has looked
    stand(pipeline, "penstock.transformer", VALID, 2)
    orchestrator.wait_event("offset_went_back")
    rows = "SELECT topic, partition, from_offset, to_offset, who FROM etl.expired"
    wait_until(lambda: pipeline.query(rows) == [(pipeline.topic(VALID), 0, 10, 2, "the orchestrator")], 20, rows)


def test_a_task_that_expires_too_often_fails(pipeline, files):
    pipeline.start("orchestrator", settings={"attempts_max": 2})
    run, task = missing_one(pipeline)
    skip = (
        "INSERT INTO etl.expired (consumer_group, topic, partition, from_offset, to_offset, why, who)"
        " VALUES ('g', %s, 0, 0, 1, 'because', 'me')"
    )
    pipeline.query(skip, pipeline.topic(RAW))
    again = next(t for t in tasks(pipeline, 4) if t["task"] == task["task"] and t["attempt"] != task["attempt"])
    pipeline.query(skip, pipeline.topic(RAW))
    say(pipeline, again, "done", 5)
    account(pipeline, again, range(1, 5))
    shown = pipeline.wait_run(run, seconds=30)
    assert shown["status"] == "failed" and shown["balanced"] is False and shown["expired_attempts"] == 2
    assert "given up after 2 attempts" in shown["message"] and "because" in shown["message"]

"""`penstock events`: the last ones, and those that come."""

import json
import signal
import subprocess

import pytest
from harness.bars import loaded
from harness.waiting import patient

RUNS = 3


@pytest.fixture(scope="module")
def once(servers, tmp_path_factory):
    with loaded(servers, tmp_path_factory, runs=RUNS, bars=100, broken=0) as pipeline:
        yield pipeline


def events(up, *words):
    return [json.loads(line) for line in up.cli("events", "--json", *words).stdout.splitlines()]


def from_cat(up):
    return [json.loads(line)["value"] for line in up.cli("cat", "etl.events").stdout.splitlines()]


def test_the_last_ones(up):
    whole = from_cat(up)
    assert len(whole) >= RUNS and events(up, "-n", "1000") == whole
    assert events(up, "-n", "2") == whole[-2:] and events(up, "-n", "0") == []
    assert events(up) == whole[-20:]


def test_of_one_run_or_type(up):
    whole = from_cat(up)
    first = up.done[0]["run"]
    assert events(up, "--run", str(first)) == [event for event in whole if event["run"] == first] != []
    ends = events(up, "--type", "done")
    assert [event["run"] for event in ends] == [run["run"] for run in up.done]
    assert events(up, "--type", "done", "-n", "1", "--run", str(first)) == ends[:1]
    assert events(up, "--type", "abandoned") == []


def test_the_last_of_each_attempt_over_http(up):
    """Members that both have say the same; the interface names the attempts, the newest first."""
    ends = {event["attempt"]: event for event in from_cat(up) if event["state"] == "done"}
    found = up.api.get("/api/v1/events", params={"limit": 2}).json()
    assert len(found["events"]) == 2 and found["next_cursor"]
    listed = found["events"] + up.api.get("/api/v1/events", params={"cursor": found["next_cursor"]}).json()["events"]
    assert [event["attempt"] for event in listed] == sorted(ends, reverse=True)
    for event in listed:
        same = {key: value for key, value in ends[event["attempt"]].items() if key in event and key != "ts"}
        assert {key: event[key] for key in same} == same and len(same) >= 9
    first = up.done[0]["run"]
    (only,) = up.api.get("/api/v1/events", params={"run": first, "state": "done"}).json()["events"]
    assert only["run"] == first
    assert up.api.get("/api/v1/events", params={"state": "failed"}).json()["events"] == []


def test_a_table_for_people(up):
    head, *lines = up.cli("events", "--type", "done").stdout.splitlines()
    assert head.split() == ["ts", "state", "run", "attempt", "fetched", "refused", "skipped", "worker", "message"]
    assert len(lines) == RUNS and all(" done " in line for line in lines)
    assert "judged by ohlcv@" in up.cli("events", "--type", "running").stdout


def follow(up, *words, **options):
    return subprocess.Popen(
        [up.program("penstock"), "events", "--follow", *words],
        env=up.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_those_that_come(up, number):
    process = follow(up, "--json", "-n", "1", "--type", "done")
    try:
        assert json.loads(process.stdout.readline())["run"] == up.value("SELECT max(run) FROM etl.runs")
        run = up.run(["bars"])["run"]
        assert json.loads(process.stdout.readline())["run"] == run
    finally:
        process.send_signal(number)
        said = process.communicate(timeout=patient(20))
    assert process.returncode == 0 and said == ("", "")


def test_a_reader_that_goes_ends_it(up):
    process = follow(up, "-n", "1")
    assert process.stdout.readline() and process.stdout.readline()
    process.stdout.close()
    assert process.wait(patient(20)) == 0
    process.stderr.close()


def test_what_is_no_event_is_told(up):
    up.produce("etl.events", [{"value": b"none", "key": b"1", "partition": 0}])
    before = len(from_cat(up))
    done = up.cli("events", "--json", "-n", "1000")
    assert len(done.stdout.splitlines()) == before - 1
    assert len(done.stderr.splitlines()) == 1 and "penstock events: " in done.stderr and "at offset" in done.stderr


@pytest.mark.parametrize(
    "words, said",
    [
        (["--type", "gone"], "--type takes running, done, failed or abandoned, not 'gone'"),
        (["-n", "1001"], "-n takes 1000 at most"),
        (["-n", "x"], "-n takes a whole number"),
        (["--run", "last"], "--run takes a whole number"),
        (["more"], "unknown or incomplete argument 'more'"),
    ],
)
def test_wrong_words(up, words, said):
    assert said in up.cli("events", *words, code=2).stderr


def test_nobody_answers(up):
    up.configure("kafka", **{"bootstrap.servers": "127.0.0.1:1"})
    try:
        done = up.cli("events", code=3)
    finally:
        up.configure("kafka", **{"bootstrap.servers": up.servers.kafka})
    assert done.stdout == "" and len(done.stderr.splitlines()) == 1 and "penstock events: kafka" in done.stderr

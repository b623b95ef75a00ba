"""The fetcher alone: tasks from an encoder that is not ours, files of the simulator."""

import json
import subprocess

import pytest
from harness.records import Codec, lineage
from harness.waiting import wait_until

ATTEMPT = 5_000_000_000_000_000_001
TASKS, RAW, EVENTS, DLQ = "etl.tasks.file", "etl.raw.ohlcv", "etl.events", "etl.dlq"


def task(path, attempt=ATTEMPT, **changes):
    return {
        "attempt": attempt,
        "task": 11,
        "run": 7,
        "subscription": "bars",
        "source": "file",
        "record_type": "ohlcv",
        "dataset": "",
        "schema": "",
        "path": str(path),
        "symbols": [],
        "stype_in": "",
        "start": None,
        "end": None,
    } | changes


def send(pipeline, tasks, slot=0):
    codec = Codec("fetch_task")
    pipeline.produce(TASKS, [{"value": codec.encode(t), "key": str(t["task"]), "partition": slot} for t in tasks])


def events(pipeline, attempt=ATTEMPT):
    codec = Codec("task_event")
    found = [codec.decode(m.value()) for m in pipeline.read(EVENTS)]
    return [e for e in found if e["attempt"] == attempt]


def wait_over(pipeline, attempt=ATTEMPT, seconds=40):
    def last():
        found = events(pipeline, attempt)
        return found[-1] if found and found[-1]["state"] != "running" else None

    return wait_until(last, seconds, lambda: f"the attempt's end: {events(pipeline, attempt)[-1:]}")


def raw(pipeline, attempt=ATTEMPT):
    codec = Codec("ohlcv")
    return [r for r in (codec.decode(m.value()) for m in pipeline.read(RAW)) if r["attempt"] == attempt]


@pytest.fixture
def simulate(pipeline, tmp_path):
    def write(name="bars.dbn", **options):
        path = tmp_path / name
        words = [f"--{key}={value}" for key, value in options.items()]
        done = subprocess.run(
            [pipeline.program("penstock-simulator"), f"--write={path}", "--json", *words],
            check=True,
            capture_output=True,
            text=True,
        )
        return path, json.loads(done.stdout)

    return write


def test_a_file_becomes_records_numbered_from_one(pipeline, simulate):
    path, _ = simulate(bars=5000, symbols=7)
    pipeline.start("fetcher")
    send(pipeline, [task(path)])
    end = wait_over(pipeline)
    records = raw(pipeline)
    assert (end["state"], end["fetched"], end["refused"], end["message"]) == ("done", 5000, 0, "")
    assert sorted(r["ordinal"] for r in records) == list(range(1, 5001))
    assert len({r["as_of"] for r in records}) == 1


def test_a_symbol_keeps_to_one_partition_and_its_order(pipeline, simulate):
    path, _ = simulate(bars=3000, symbols=20)
    pipeline.start("fetcher")
    send(pipeline, [task(path)])
    wait_over(pipeline)
    codec, places = Codec("ohlcv"), {}
    for message in pipeline.read(RAW):
        record = codec.decode(message.value())
        assert message.key().decode() == record["symbol"]
        places.setdefault(record["symbol"], []).append((message.partition(), record["ordinal"]))
    for symbol, found in places.items():
        assert len({partition for partition, _ in found}) == 1, symbol
        assert found == sorted(found, key=lambda place: place[1]), symbol


def test_tasks_of_one_slot_come_one_after_the_other(pipeline, simulate):
    paths = [simulate(name=f"{n}.dbn.zst", bars=500, seed=n)[0] for n in range(4)]
    send(pipeline, [task(p, ATTEMPT + n, task=n) for n, p in enumerate(paths)])
    pipeline.start("fetcher")
    for n in range(4):
        assert wait_over(pipeline, ATTEMPT + n)["fetched"] == 500


@pytest.mark.parametrize(
    "content, said",
    [
        (None, "No such file"),
        (b"hello, world: this is no market data at all", "DBN"),
        (b"DBN\x01" + b"\0" * 200, "version 1"),
        (b"DBN\x09" + b"\0" * 200, "version 9"),
        (b"", "empty"),
        (b"\x28\xb5\x2f\xfd" + b"\xff" * 50, "zstd"),
    ],
    ids=["missing", "no-magic", "version-1", "version-9", "empty", "corrupt-zstd"],
)
def test_a_task_that_cannot_pass_is_a_letter(pipeline, tmp_path, content, said):
    path = tmp_path / "bad.dbn"
    if content is not None:
        path.write_bytes(content)
    fetcher = pipeline.start("fetcher")
    send(pipeline, [task(path)])
    end = wait_over(pipeline)
    assert (end["state"], end["fetched"]) == ("failed", 0)
    assert str(path) in end["message"] and said in end["message"], end["message"]
    (letter,) = pipeline.wait_messages(DLQ, 1)
    headers = pipeline.headers(letter)
    assert headers["etl.class"] == "api_errors" and headers["etl.ordinal"] == "0"
    assert headers["etl.message"] == end["message"]
    assert fetcher.running


def test_what_stands_before_a_cut_is_kept(pipeline, simulate):
    path, _ = simulate(bars=2000)
    whole = path.read_bytes()
    path.write_bytes(whole[:-30])
    pipeline.start("fetcher")
    send(pipeline, [task(path)])
    end = wait_over(pipeline)
    assert (end["state"], end["fetched"]) == ("failed", 1999)
    assert "record 2000" in end["message"] and "byte" in end["message"], end["message"]
    assert len(raw(pipeline)) == 1999


def test_a_slot_full_of_tasks_takes_them_in_their_order(pipeline, simulate):
    """More than a fetcher keeps in memory, behind a task that lasts."""
    path, _ = simulate(bars=200_000)
    codec = Codec("fetch_task")
    work = [{"value": codec.encode(task(path)), "key": b"0", "partition": 0}]
    junk = [{"value": b"junk %d" % n, "key": b"1", "partition": 0} for n in range(200)]
    pipeline.produce(TASKS, work + junk)
    fetcher = pipeline.start("fetcher")
    assert wait_over(pipeline)["fetched"] == 200_000
    failed = 'penstock_fetcher_tasks_total{state="failed"}'
    wait_until(lambda: fetcher.metrics()[failed] == 200, 60, lambda: f"200 tasks failed: {fetcher.metrics()}")
    letters = pipeline.wait_messages(DLQ, 200)
    assert sorted((m.value() for m in letters), key=lambda v: int(v.split()[1])) == [m["value"] for m in junk]
    assert fetcher.running


def test_a_record_without_symbol_is_a_letter_with_its_bytes(pipeline, simulate):
    path, said = simulate(bars=1000, broken=26)
    unmapped = said["broken_by_kind"]["instrument_unmapped"]
    assert unmapped > 0
    pipeline.start("fetcher")
    send(pipeline, [task(path)])
    end = wait_over(pipeline)
    assert (end["state"], end["refused"]) == ("done", unmapped)
    letters = pipeline.read(DLQ)
    assert len(letters) == unmapped
    ordinals = {r["ordinal"] for r in raw(pipeline)} | {int(pipeline.headers(m)["etl.ordinal"]) for m in letters}
    assert ordinals == set(range(1, end["fetched"] + 1))
    headers = pipeline.headers(letters[0])
    assert headers["etl.class"] == "decode_errors" and headers["etl.schema"] == "ohlcv-1m"
    assert len(letters[0].value()) == 56 and str(path) in headers["etl.message"]


MANY = 1_500_000


def kill_midway(pipeline, path):
    """A fetcher that dies with the task begun, and something of it committed."""
    fetcher = pipeline.start("fetcher", settings={"batch.ms": 20, "turn.records": 200})
    send(pipeline, [task(path)])
    wait_until(lambda: fetcher.metrics()["penstock_batches_total"] >= 2, 30, "two transactions")
    fetcher.kill()
    end = events(pipeline)[-1]
    assert end["state"] == "running" and end["fetched"] > 0, "killed too late: the test proves nothing"


def test_a_killed_fetcher_is_continued_at_its_cursor(pipeline, simulate):
    path, _ = simulate(bars=MANY, symbols=100)
    kill_midway(pipeline, path)
    fetcher = pipeline.start("fetcher")
    end = wait_over(pipeline, seconds=60)
    assert (end["state"], end["fetched"]) == ("done", MANY)
    assert fetcher.events("task_started")[0]["context"]["from_record"] > 0
    assert sorted(lineage(m.value()) for m in pipeline.read(RAW, seconds=60)) == [(ATTEMPT, n + 1) for n in range(MANY)]


def test_a_file_that_changed_meanwhile_is_abandoned(pipeline, simulate):
    path, _ = simulate(bars=MANY, symbols=100)
    kill_midway(pipeline, path)
    simulate(bars=1000, symbols=100, seed=2)
    pipeline.start("fetcher")
    assert wait_over(pipeline, seconds=60)["state"] == "abandoned"


def test_two_fetchers_share_the_slots(pipeline, simulate):
    paths = [simulate(name=f"{n}.dbn", bars=2000, seed=n)[0] for n in range(4)]
    pipeline.start("fetcher", 2, ready=False)
    for slot, path in enumerate(paths):
        send(pipeline, [task(path, ATTEMPT + slot, task=slot)], slot)
    for slot in range(4):
        assert wait_over(pipeline, ATTEMPT + slot)["fetched"] == 2000
        assert sorted(r["ordinal"] for r in raw(pipeline, ATTEMPT + slot)) == list(range(1, 2001))


def test_a_message_that_is_no_task_is_passed_over(pipeline, simulate):
    path, _ = simulate(bars=100)
    pipeline.produce(TASKS, [{"value": b"hello", "partition": 0}])
    pipeline.start("fetcher")
    send(pipeline, [task(path)])
    assert wait_over(pipeline)["state"] == "done"
    assert [pipeline.headers(m)["etl.class"] for m in pipeline.read(DLQ)] == ["api_errors"]

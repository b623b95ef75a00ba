"""The fetcher alone: tasks from an encoder that is not ours, files of the simulator."""

import json
import os
import shutil
import subprocess

import pytest
from confluent_kafka import ConsumerGroupTopicPartitions, TopicPartition
from confluent_kafka.admin import AdminClient
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
        (b"DBN\x01" + b"\0" * 200, "metadata is corrupt at byte offset"),
        (b"DBN\x04" + b"\0" * 200, "version 4"),
        (b"DBN\x09" + b"\0" * 200, "version 9"),
        (b"", "empty"),
        (b"\x28\xb5\x2f\xfd" + b"\xff" * 50, "zstd"),
    ],
    ids=["missing", "no-magic", "version-1-of-nothing", "version-4", "version-9", "empty", "corrupt-zstd"],
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


def one_member(pipeline):
    """A fetcher that comes back is the one that was killed: its slots need not time out."""
    pipeline.configure("kafka", **{"group.instance.id": "the-one"})


def kill_midway(pipeline, path):
    """A fetcher that dies with the task begun, and something of it committed."""
    one_member(pipeline)
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


def truncate(path):
    os.truncate(path, os.path.getsize(path) - 5600)


def grow(path):
    whole = path.read_bytes()
    with open(path, "ab") as file:
        file.write(whole[-5600:])


def replace(path):
    """By one of the same size, as a vendor's correction is."""
    new = path.with_suffix(".new")
    shutil.copyfile(path, new)
    os.replace(new, path)


@pytest.mark.parametrize("change", [truncate, grow, replace], ids=lambda change: change.__name__)
def test_a_file_that_changed_while_no_fetcher_ran_is_abandoned(pipeline, simulate, change):
    path, _ = simulate(bars=MANY, symbols=100)
    kill_midway(pipeline, path)
    kept = events(pipeline)[-1]["fetched"]
    change(path)
    pipeline.start("fetcher")
    end = wait_over(pipeline, seconds=60)
    assert (end["state"], end["fetched"]) == ("abandoned", kept)
    assert end["message"] == "the source changed while it was read"
    assert sorted(r["ordinal"] for r in raw(pipeline)) == list(range(1, kept + 1))


# --- several fetchers ------------------------------------------------------------------------------------------------


def test_two_fetchers_share_the_slots(pipeline, simulate):
    paths = [simulate(name=f"{n}.dbn", bars=2000, seed=n)[0] for n in range(4)]
    pipeline.start("fetcher", 2, ready=False)
    for slot, path in enumerate(paths):
        send(pipeline, [task(path, ATTEMPT + slot, task=slot)], slot)
    for slot in range(4):
        assert wait_over(pipeline, ATTEMPT + slot)["fetched"] == 2000
        assert sorted(r["ordinal"] for r in raw(pipeline, ATTEMPT + slot)) == list(range(1, 2001))


SLOWLY = {"batch.ms": 1, "turn.records": 20}
LONG = 60_000


def quick_group(pipeline, session_ms=6000):
    """Rebalances are noticed in a moment, dead members after the shortest time the broker allows."""
    pipeline.configure("kafka", **{"heartbeat.interval.ms": "100", "session.timeout.ms": str(session_ms)})


def one_task_each(pipeline, simulate):
    path, _ = simulate(bars=LONG, symbols=50)
    for slot in range(4):
        send(pipeline, [task(path, ATTEMPT + slot, task=slot)], slot)
    return {ATTEMPT + slot for slot in range(4)}


def begun(fetcher, event="task_started"):
    return sorted(line["context"]["attempt"] for line in fetcher.events(event))


def check_exact(pipeline, fetcher, attempts):
    """It ends all of them. Topics are read only then: their end runs ahead of a reader as long as it works slowly."""
    done = 'penstock_fetcher_tasks_total{state="done"}'
    wait_until(lambda: fetcher.metrics()[done] == len(attempts), 60, lambda: f"all tasks done: {fetcher.metrics()}")
    for attempt in attempts:
        end = wait_over(pipeline, attempt, seconds=60)
        assert (end["state"], end["fetched"]) == ("done", LONG)
    found = sorted(lineage(m.value()) for m in pipeline.read(RAW, seconds=60))
    assert found == sorted((attempt, n + 1) for attempt in attempts for n in range(LONG))
    assert pipeline.read(DLQ) == []


def wait_batches(fetcher, count=20):
    wait_until(lambda: fetcher.metrics()["penstock_batches_total"] >= count, 30, f"{count} transactions")


def test_a_rebalance_keeps_the_transfers_of_slots_that_come_back(pipeline, simulate):
    quick_group(pipeline)
    attempts = one_task_each(pipeline, simulate)
    first = pipeline.start("fetcher", settings=SLOWLY)
    wait_batches(first)
    second = pipeline.start("fetcher", settings=SLOWLY)
    first.wait_event("task_kept", count=2)
    handed_over = begun(first, "task_handed_over")
    kept = begun(first, "task_kept")
    assert len(kept) == len(handed_over) == 2 and set(kept + handed_over) == attempts
    second.wait_event("task_started", count=2)
    assert begun(second) == handed_over
    assert all(line["context"]["from_record"] > 0 for line in second.events("task_started"))
    assert second.stop() == 0
    check_exact(pipeline, first, attempts)
    assert begun(first) == sorted([*attempts, *handed_over]), "a task that was kept began anew"
    assert begun(first, "task_kept") == sorted(kept * 2)


def test_two_fetchers_one_killed(pipeline, simulate):
    quick_group(pipeline)
    attempts = one_task_each(pipeline, simulate)
    fetchers = pipeline.start("fetcher", 2, settings=SLOWLY)
    for fetcher in fetchers:
        wait_until(lambda each=fetcher: begun(each), 30, "a task begun by each")
        wait_batches(fetcher)
    fetchers[0].kill()
    check_exact(pipeline, fetchers[1], attempts)


# --- faults ----------------------------------------------------------------------------------------------------------


class Faults:
    """Fetchers with fault points, and the folder where these are armed."""

    def __init__(self, pipeline, programs, folder):
        pipeline.programs = programs
        self.pipeline = pipeline
        self.folder = folder
        plain = pipeline.environment
        pipeline.environment = lambda: plain() | {"PENSTOCK_FAULTS": str(folder)}

    def arm(self, point, what="kill"):
        new = self.folder / "new"
        new.write_text(what)
        new.rename(self.folder / f"fetcher.{point}")

    def disarm(self, point):
        (self.folder / f"fetcher.{point}").unlink()

    def die_at(self, point, settings=None):
        """A fetcher that kills itself there."""
        self.arm(point)
        fetcher = self.pipeline.start("fetcher", ready=False, settings=settings)
        assert fetcher.wait_exit(40) == -9, fetcher.tail()
        return fetcher


@pytest.fixture
def faults(pipeline, fault_programs, tmp_path):
    folder = tmp_path / "faults"
    folder.mkdir()
    one_member(pipeline)
    return Faults(pipeline, fault_programs, folder)


def committed(pipeline, slot=0):
    """Offset and cursor of the group. The client reads past the end of the text, which may be no text there."""
    group = pipeline.topic("penstock.fetcher")
    asked = ConsumerGroupTopicPartitions(group, [TopicPartition(pipeline.topic(TASKS), slot)])
    client = AdminClient(pipeline.kafka())

    def ask():
        try:
            (place,) = client.list_consumer_group_offsets([asked])[group].result(10).topic_partitions
            text = place.metadata
        except UnicodeDecodeError:
            return None
        return place.offset, json.JSONDecoder().raw_decode(text)[0] if text else {}

    return wait_until(ask, 10, "the group's offset")


@pytest.mark.parametrize("point, known", [("task_decode", False), ("task_open", True), ("task_item", True)])
def test_a_task_that_kills_is_refused_at_the_fifth_start(pipeline, simulate, faults, point, known):
    path, _ = simulate(bars=100)
    send(pipeline, [task(path), task(path, ATTEMPT + 1)])
    for starts in range(1, 5):
        faults.die_at(point)
        offset, cursor = committed(pipeline)
        assert (offset, cursor["starts"]) == (0, starts)
    fetcher = pipeline.start("fetcher")
    assert wait_over(pipeline, ATTEMPT + 1)["fetched"] == 100
    (letter,) = pipeline.read(DLQ)
    headers = pipeline.headers(letter)
    assert headers["etl.class"] == "api_errors"
    assert headers["etl.message"].startswith("crashed the stage: 4 starts")
    assert headers["__connect.errors.exception.class.name"] == "StageCrashed"
    assert letter.value() == Codec("fetch_task").encode(task(path))
    ends = [(e["state"], e["message"], e["task"], e["run"]) for e in events(pipeline)]
    assert ends == ([("failed", headers["etl.message"], 11, 7)] if known else [])
    assert headers.get("etl.attempt") == (str(ATTEMPT) if known else None)
    assert raw(pipeline) == [] and fetcher.running


def test_a_task_that_kills_midway_keeps_what_stands_before(pipeline, simulate, faults):
    path, _ = simulate(bars=LONG)
    send(pipeline, [task(path)])
    fetcher = pipeline.start("fetcher", settings=SLOWLY)
    wait_batches(fetcher)
    faults.arm("task_item")
    assert fetcher.wait_exit() == -9
    kept = committed(pipeline)[1]["fetched"]
    for starts in range(1, 5):
        faults.die_at("task_item")
        assert committed(pipeline)[1]["starts"] == starts
    pipeline.start("fetcher")
    end = wait_over(pipeline)
    assert (end["state"], end["fetched"]) == ("failed", kept)
    assert f"record {kept}" in end["message"]
    assert sorted(r["ordinal"] for r in raw(pipeline)) == list(range(1, kept + 1))


def test_a_task_that_got_over_it_is_careful_for_a_while(pipeline, simulate, faults):
    path, _ = simulate(bars=LONG)
    send(pipeline, [task(path)])
    for _ in range(3):
        faults.die_at("task_item")
    fetcher = pipeline.start("fetcher", ready=False)
    wait_until(lambda: committed(pipeline)[1].get("fetched", 0) > 0, 30, "progress")
    faults.arm("task_item")
    assert fetcher.wait_exit() == -9
    kept = committed(pipeline)[1]
    assert (kept["starts"], kept["fetched"] <= 100) == (2, True), kept
    fetcher = pipeline.start("fetcher")
    end = wait_over(pipeline)
    assert (end["state"], end["fetched"]) == ("done", LONG)
    assert 100 < fetcher.metrics()["penstock_batches_total"] < 150
    assert sorted(lineage(m.value()) for m in pipeline.read(RAW)) == [(ATTEMPT, n + 1) for n in range(LONG)]


def test_tasks_beside_one_that_kills_are_not_blamed(pipeline, simulate, faults):
    """A process dies with all its slots, but only the task that works alone then is counted to the end."""
    path, _ = simulate(bars=LONG)
    for slot in range(3):
        send(pipeline, [task(path, ATTEMPT + slot)], slot)
    send(pipeline, [task(path, ATTEMPT + 3, subscription="killer")], 3)
    deaths = 0
    while not pipeline.read(DLQ):
        faults.arm("killer")
        fetcher = pipeline.start("fetcher", ready=False)
        wait_until(lambda each=fetcher: not each.running or pipeline.read(DLQ), 40, "its end, or the task's")
        deaths += not fetcher.running
    assert deaths == 4
    for slot in range(3):
        end = wait_over(pipeline, ATTEMPT + slot)
        assert (end["state"], end["fetched"]) == ("done", LONG)
    assert wait_over(pipeline, ATTEMPT + 3)["state"] == "failed"
    assert len(pipeline.read(DLQ)) == 1
    found = sorted(lineage(m.value()) for m in pipeline.read(RAW))
    assert found == [(ATTEMPT + slot, n + 1) for slot in range(3) for n in range(LONG)]


def test_clean_ends_are_not_counted(pipeline, simulate):
    """Neither at a task that goes on, nor at one that waits behind it."""
    one_member(pipeline)
    path, _ = simulate(bars=LONG)
    send(pipeline, [task(path), task(path, ATTEMPT + 1)])
    for _ in range(10):
        fetcher = pipeline.start("fetcher", settings=SLOWLY)
        assert fetcher.stop() == 0
        assert committed(pipeline)[1].get("starts", 0) == 0
    pipeline.start("fetcher")
    for attempt in (ATTEMPT, ATTEMPT + 1):
        assert wait_over(pipeline, attempt)["fetched"] == LONG
    assert pipeline.read(DLQ) == []


def test_a_failing_world_is_not_counted(pipeline, simulate, tmp_path):
    """A disk that cannot be read now ends the process, not the task."""
    one_member(pipeline)
    path, _ = simulate(bars=100)
    disk = tmp_path / "disk.dbn"
    disk.symlink_to("/proc/self/mem")  # reading it is an EIO
    send(pipeline, [task(disk)])
    for _ in range(6):
        fetcher = pipeline.start("fetcher", ready=False)
        assert fetcher.wait_exit() == 3
        assert committed(pipeline) == (0, {})
    disk.unlink()
    disk.symlink_to(path)
    pipeline.start("fetcher")
    assert wait_over(pipeline)["state"] == "done"
    assert pipeline.read(DLQ) == []


def test_an_offset_that_is_not_committed_yet_is_waited_for(pipeline, simulate, faults):
    """Its fetcher only slept: the transaction is committed after the slots are another's already."""
    pipeline.settings["kafka"] = {}
    quick_group(pipeline)
    path, _ = simulate(bars=LONG)
    send(pipeline, [task(path)])
    first = pipeline.start("fetcher", settings=SLOWLY | {"instance": "first"})
    wait_batches(first)
    faults.arm("offsets_sent", "stop 0")
    wait_until(lambda: stopped(first), 10, "the first fetcher stops")
    second = pipeline.start("fetcher", ready=False, settings={"instance": "second"})
    second.wait_event("slots_assigned")
    first.resume()
    end = wait_over(pipeline)
    assert (end["state"], end["fetched"]) == ("done", LONG)
    assert sorted(lineage(m.value()) for m in pipeline.read(RAW)) == [(ATTEMPT, n + 1) for n in range(LONG)]


def stopped(worker):
    with open(f"/proc/{worker.pid}/stat") as file:
        return file.read().rsplit(")", 1)[1].split()[0] == "T"


def test_a_message_that_is_no_task_is_passed_over(pipeline, simulate):
    path, _ = simulate(bars=100)
    pipeline.produce(TASKS, [{"value": b"hello", "partition": 0}])
    pipeline.start("fetcher")
    send(pipeline, [task(path)])
    assert wait_over(pipeline)["state"] == "done"
    assert [pipeline.headers(m)["etl.class"] for m in pipeline.read(DLQ)] == ["api_errors"]

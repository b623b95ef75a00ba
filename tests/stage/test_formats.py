"""The fetcher: the vendor's CSV and JSON lines, written by the vendor's own package, give the records of its DBN files."""

import json
import re

import databento
import pytest
from confluent_kafka.admin import AdminClient
from harness.records import Codec, schema_id
from harness.waiting import wait_until

ATTEMPT = 5_000_000_000_000_000_001
TASKS, EVENTS, DLQ = "etl.tasks.file", "etl.events", "etl.dlq"
PYTHON = "databento/databento-python-tests"
SAMPLES = (
    ("ohlcv", f"{PYTHON}/GLBX.MDP3/test_data.ohlcv-1m.dbn.zst"),
    ("ohlcv", f"{PYTHON}/OPRA.PILLAR/test_data.ohlcv-1d.dbn.zst"),
    ("trades", f"{PYTHON}/XNAS.ITCH/test_data.trades.dbn.zst"),
    ("tbbo", f"{PYTHON}/EQUS.MINI/test_data.tbbo.dbn.zst"),
    ("statistics", f"{PYTHON}/OPRA.PILLAR/test_data.statistics.dbn.zst"),
    ("definition", f"{PYTHON}/OPRA.PILLAR/test_data.definition.dbn.zst"),
)
LINEAGE = ("attempt", "ordinal", "as_of")
RAW_FORM = {"pretty_px": False, "pretty_ts": False}


def task(path, attempt, **changes):
    names = ("subscription", "source", "record_type", "dataset", "schema", "stype_in", "parameters")
    said = dict.fromkeys(names, "") | {"source": "file", "subscription": "files", "record_type": "ohlcv"}
    numbers = {"attempt": attempt, "task": attempt - ATTEMPT + 1, "run": 1, "symbols": [], "start": None, "end": None}
    return said | numbers | {"path": str(path)} | changes


def fetch(pipeline, tasks):
    """Last event of each attempt, once all are over."""
    codec, event = Codec("fetch_task"), Codec("task_event")
    pipeline.produce(TASKS, [{"value": codec.encode(t), "key": str(t["task"]), "partition": 0} for t in tasks])

    def over():
        found = {}
        for message in pipeline.read(EVENTS):
            said = event.decode(message.value())
            found[said["attempt"]] = said
        ends = [found.get(t["attempt"]) for t in tasks]
        return all(end and end["state"] != "running" for end in ends) and ends

    return wait_until(over, 60, f"{len(tasks)} attempts to end")


def raw(pipeline, name):
    """Records of a type by attempt in their order, on whichever raw topic they are, without what an attempt adds."""
    codec, wanted, found = Codec(name), schema_id(name + ".avsc"), {}
    names = AdminClient(pipeline.kafka()).list_topics(timeout=15).topics
    for topic in (topic for topic in names if topic.startswith(pipeline.topic("etl.raw."))):
        for message in pipeline.read(topic.removeprefix(pipeline.prefix)):
            if int.from_bytes(message.value()[1:5], "big") == wanted:
                record = codec.decode(message.value())
                assert message.key().decode() == record["symbol"]
                found.setdefault(record["attempt"], []).append(record)
    return {
        attempt: [record | dict.fromkeys(LINEAGE, 0) for record in sorted(records, key=lambda r: r["ordinal"])]
        for attempt, records in found.items()
    }


@pytest.mark.parametrize("name, path", SAMPLES, ids=[path.split(".")[-3] for _, path in SAMPLES])
def test_text_gives_the_records_of_dbn(pipeline, samples, tmp_path, name, path):
    path = f"{samples}/{path}"
    store = databento.DBNStore.from_file(path)
    told = {"dataset": store.dataset, "schema": str(store.schema)}
    tasks = [task(path, ATTEMPT)]
    for form in ({}, RAW_FORM):
        for kind in ("csv", "json"):
            file = tmp_path / f"{len(tasks)}.{kind}"
            getattr(store, f"to_{kind}")(file, **form)
            tasks.append(task(file, ATTEMPT + len(tasks), **told))
    pipeline.start("fetcher")
    ends = fetch(pipeline, tasks)
    assert [end["state"] for end in ends] == ["done"] * len(tasks), [end["message"] for end in ends]
    records = raw(pipeline, name)
    assert len(records[ATTEMPT]) == len(list(store)) > 0
    for each in tasks[1:]:
        assert records[each["attempt"]] == records[ATTEMPT], each["path"]


def test_a_damaged_record_is_a_letter_and_the_rest_is_read(pipeline, samples, tmp_path):
    store = databento.DBNStore.from_file(f"{samples}/{SAMPLES[0][1]}")
    store.to_csv(tmp_path / "a.csv")
    store.to_json(tmp_path / "a.json")
    lines = (tmp_path / "a.csv").read_bytes().splitlines(keepends=True)
    lines[2] = lines[2].replace(b".750000000", b".7500000000001")
    lines[3] = lines[3][:-5] + b"\xff\xfe\n"
    (tmp_path / "a.csv").write_bytes(b"".join(lines))
    lines = (tmp_path / "a.json").read_bytes().splitlines(keepends=True)
    lines[1] = lines[1][:60] + b"\n"
    (tmp_path / "a.json").write_bytes(b"".join(lines))
    pipeline.start("fetcher")
    told = {"dataset": store.dataset, "schema": "ohlcv-1m"}
    ends = fetch(pipeline, [task(tmp_path / "a.csv", ATTEMPT, **told), task(tmp_path / "a.json", ATTEMPT + 1, **told)])
    assert [(end["state"], end["fetched"], end["refused"]) for end in ends] == [("done", 4, 2), ("done", 4, 1)]
    headers = [pipeline.headers(letter) for letter in pipeline.wait_messages(DLQ, 3)]
    for said in headers:
        assert said["etl.class"] == "decode_errors"
        assert re.search(r"a\.(csv|json): record \d at byte offset \d+: ", said["etl.message"]), said["etl.message"]


@pytest.mark.parametrize(
    "name, content, said",
    [
        ("a.csv", b"ts_event,rtype,publisher_id,instrument_id,open,high,low,close,volume\n", "lacks the column symbol"),
        ("a.csv", b"ts_event,rtype,symbol\n", "no schema that can be loaded"),
        ("a.json", b'{"hd":{"rtype":1}}\n', "tbbo or mbp-1"),
        ("a.json", b'{"price": 1}\n', "not the vendor's JSON"),
    ],
)
def test_a_file_that_cannot_be_read_is_a_failed_task(pipeline, tmp_path, name, content, said):
    (tmp_path / name).write_bytes(content)
    pipeline.start("fetcher")
    (end,) = fetch(pipeline, [task(tmp_path / name, ATTEMPT, dataset="GLBX.MDP3")])
    assert end["state"] == "failed" and said in end["message"] and name in end["message"]


def test_a_plain_csv_is_read_as_the_task_says(pipeline, samples):
    path = f"{samples}/ohlcv-csv/6EH4.XCME_1min_bars_20240101_20240131.csv.gz"
    settings = {"time": "timestamp_utc", "symbol_constant": "6EH4"}
    parameters = json.dumps({"format": "csv", "csv": settings})
    pipeline.start("fetcher")
    wanted = task(path, ATTEMPT, dataset="GLBX.MDP3", schema="ohlcv-1m", parameters=parameters)
    (end,) = fetch(pipeline, [wanted])
    assert (end["state"], end["fetched"], end["refused"]) == ("done", 29_996, 0)
    first = raw(pipeline, "ohlcv")[ATTEMPT][0]
    assert first["symbol"] == "6EH4" and first["ts_event"] == 1_704_150_060_000_000_000
    assert (str(first["open"]), str(first["low"]), first["volume"]) == ("1.107600000", "1.107600000", 205)

"""A topic's past is put into it again: what becomes of it, that older data never overwrites newer, and what is refused."""

from collections import Counter
from datetime import datetime, timedelta, timezone

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient
from harness.bars import assert_good, load_with_letters, simulate
from harness.pipeline import KAFKA_SECONDS
from harness.records import Codec, lineage
from harness.waiting import wait_until

BARS, BROKEN = 400, 26  # two of each kind
RAW, VALID, CLEAN = "etl.raw.ohlcv", "etl.valid.ohlcv", "etl.clean.ohlcv"
OURS = ("attempt", "ordinal")


@pytest.fixture
def loaded(pipeline, tmp_path):
    return load_with_letters(pipeline, tmp_path, BARS, BROKEN)


def again(stage, *words, schema="ohlcv-1m"):
    """The words of a command."""
    return ("replay", "--schema", schema, "--stage", stage, *(words if "--from" in words else ("--from", "earliest", *words)))


def replay(pipeline, stage, *words, **more):
    """A replay, followed to its end; the run as the API shows it."""
    return pipeline.cli_json(*again(stage, *words, **more), "--follow")


def table(pipeline):
    return pipeline.query('SELECT symbol, "interval", ts_event, open_price, close_price, volume, flags, attempt, as_of FROM ohlcv_data ORDER BY 1, 2, 3')


def of_run(pipeline, topic, run):
    """Messages that the run's attempts put into a topic, and those that were there without them."""
    attempts = {attempt for (attempt,) in pipeline.query("SELECT attempt FROM etl.attempts WHERE run = %s", run)}
    messages = pipeline.read(topic)
    return [m for m in messages if lineage(m.value())[0] in attempts], [m for m in messages if lineage(m.value())[0] not in attempts]


def content(codec, messages):
    """Key, partition and all of the record but its place in an account."""
    records = ((m.key(), m.partition(), codec.decode(m.value())) for m in messages)
    return Counter((key, partition, str({k: v for k, v in record.items() if k not in OURS})) for key, partition, record in records)


@pytest.mark.parametrize("stage, topic, name", [("raw", RAW, "ohlcv"), ("valid", VALID, "ohlcv"), ("clean", CLEAN, "ohlcv_clean")])
def test_a_topic_again(loaded, stage, topic, name):
    """All of it stands there twice then; no row changes, and the account of it balances."""
    up, codec = loaded, Codec(name)
    before, stood = table(up), len(up.read(topic))
    run = replay(up, stage, "--why", "a test")
    assert_good(run, fetched=stood)
    assert (run["kind"], run["inserted"], run["updated"], run["superseded"]) == ("replay", 0, 0, 0)
    assert run["unchanged"] + run["duplicate"] + run["dead_letters"] == stood and table(up) == before
    put, others = of_run(up, topic, run["run"])
    assert content(codec, put) == content(codec, others), "as_of, too"
    numbers = [lineage(m.value()) for m in put]
    assert len(set(numbers)) == len(numbers) == stood
    assert up.value("SELECT detail->>'why' FROM etl.audit WHERE action = 'topics.replay'") == "a test"
    (attempt, *_) = up.api.run(run["run"])["attempts"]
    assert attempt["subscription"] == topic and attempt["path"].startswith("partition ")

    # what was put back is no past of its own, unless somebody says so
    twice = replay(up, stage)
    assert_good(twice, fetched=stood)
    assert twice["skipped"] == stood
    with_them = replay(up, stage, "--replays")
    assert_good(with_them, fetched=3 * stood)
    assert table(up) == before


# --- older data never overwrites newer -----------------------------------------------------------------------------------

HEAD = "time,open,high,low,close,volume,symbol\n"
MINUTES = 50


def write_bars(path, price, minutes=MINUTES, symbols=("AAA", "BBB")):
    lines = [f"2024-01-02T15:{n:02}:00Z,{price},{price + 2},{price - 2},{price + 1},10,{symbol}\n" for n in range(minutes) for symbol in symbols]
    path.write_text(HEAD + "".join(lines))
    return len(lines)


@pytest.fixture
def corrected(pipeline, tmp_path):
    """Fetched, corrected, fetched again; `first` and `second` are how their ranges are said."""
    up, path = pipeline, tmp_path / "bars.csv"
    up.subscribe("own", path, format="csv", dataset="XNAS.ITCH", schema="ohlcv-1m", csv={name: name for name in HEAD.strip().split(",")})
    up.start_all()
    up.count = write_bars(path, 100)
    run = up.run()
    assert_good(run, fetched=up.count)
    assert run["inserted"] == up.count
    between = datetime.now(timezone.utc).isoformat().replace("+00:00", "Z")
    write_bars(path, 200)
    run = up.run()
    assert_good(run, fetched=up.count)
    assert run["updated"] == up.count
    up.first, up.second = ("--from", "earliest", "--to", between), ("--from", between)
    return up


def test_the_first_of_two_readings_changes_nothing(corrected):
    up = corrected
    before = table(up)
    for stage in ("raw", "valid", "clean"):
        run = replay(up, stage, *up.first)
        assert_good(run, fetched=up.count)
        assert run["superseded"] == up.count, run
        assert table(up) == before
    assert up.value("SELECT count(*) FROM etl.restatements") == up.count
    run = replay(up, "raw", *up.second)
    assert_good(run, fetched=up.count)
    assert run["unchanged"] == up.count and run["skipped"] == up.count
    assert table(up) == before


def test_rows_that_are_gone_come_back_as_they_were(corrected):
    """Both readings in one attempt: the newer one stands in the end, whichever is written first."""
    up = corrected
    before = [row[:7] + row[8:] for row in table(up)]
    up.query("DELETE FROM ohlcv_data")
    run = replay(up, "raw")
    assert_good(run, fetched=2 * up.count)
    assert (run["inserted"], run["dead_letters"]) == (up.count, 0)
    assert run["updated"] + run["superseded"] == up.count
    assert [row[:7] + row[8:] for row in table(up)] == before


# --- on the way ----------------------------------------------------------------------------------------------------------


def test_a_fetcher_that_is_killed_goes_on(loaded):
    """With a transaction for each record, it is killed twice on the way: each record is put back once."""
    up = loaded
    before, stood = table(up), len(up.read(VALID))
    for worker in up.of("fetcher"):
        assert worker.stop() == 0
    up.shorten_sessions()
    run = up.cli_json(*again("valid"))["run"]
    for count in (20, 60):
        fetcher = up.start("fetcher", settings={"batch.ms": 1, "turn.records": 1})
        wait_until(lambda want=count: up.api.run(run)["fetched"] >= want, 60, f"{count} records are put back", 0.01)
        fetcher.kill()
    up.start("fetcher")
    done = up.wait_run(run, seconds=120)
    assert_good(done, fetched=stood)
    assert done["unchanged"] + done["duplicate"] + done["dead_letters"] == stood and table(up) == before
    put, _ = of_run(up, VALID, run)
    assert len(put) == stood


def delete_records(pipeline, topic, partition, before):
    admin = AdminClient(pipeline.kafka())
    place = TopicPartition(pipeline.topic(topic), partition, before)
    for future in admin.delete_records([place]).values():
        future.result(KAFKA_SECONDS)


def fullest(pipeline, topic):
    """The partition with most messages, and its first and last offset."""
    offsets = {}
    for message in pipeline.read(topic):
        offsets.setdefault(message.partition(), []).append(message.offset())
    partition = max(offsets, key=lambda each: len(offsets[each]))
    return partition, offsets[partition][0], offsets[partition][-1]


def test_what_is_gone_fails_by_name(loaded):
    """Before it is planned, and between the plan and the reading."""
    up = loaded
    before = table(up)
    partition, first, last = fullest(up, RAW)
    for worker in up.of("fetcher"):
        assert worker.stop() == 0
    late = up.cli_json(*again("raw"))["run"]
    wait_until(lambda: up.api.run(late)["status"] == "running", 30, "the replay is planned")
    delete_records(up, RAW, partition, last)
    body = {"schema": "ohlcv-1m", "stage": "raw", "ranges": [{"partition": partition, "from": first, "to": last + 1}]}
    early = up.wait_run(up.api.post("/api/v1/topic-replays", json=body).json()["run"])
    assert early["status"] == "failed" and early["tasks"] == 0
    place = f"{up.topic(RAW)} [{partition}]"
    assert early["message"].startswith(f"{place}: offsets {first} to {last + 1} are gone by retention: it holds {last} to "), early
    body["ranges"][0] |= {"from": last, "to": last + 1000}
    future = up.wait_run(up.api.post("/api/v1/topic-replays", json=body).json()["run"])
    assert future["status"] == "failed" and "are not all there yet" in future["message"]
    up.start("fetcher")
    done = up.wait_run(late)
    assert done["status"] == "failed"
    assert f"partition {partition}, offsets" in done["message"] and "records were deleted before they were read" in done["message"], done
    (letter,) = wait_until(lambda: up.query("SELECT message FROM etl.dead_letters WHERE class = 'api_errors'"), 30, "the task's letter")
    assert f"{place}: records were deleted before they were read, from offset {first} on" in letter[0]
    assert table(up) == before
    said = up.cli(*again("raw", "--from", str(first)), code=1).stderr
    assert f"{place}: offset {first} is gone by retention: it begins at {last}" in said


# --- before it is done ---------------------------------------------------------------------------------------------------


def test_a_dry_run_tells_what_the_run_does(loaded):
    up = loaded
    messages = up.read(RAW)
    codec = Codec("ohlcv")
    symbols = Counter(codec.decode(m.value())["symbol"] for m in messages)
    (one, count), (two, more) = [pair for pair in symbols.most_common() if pair[0]][:2]
    runs, audited = up.value("SELECT count(*) FROM etl.runs"), up.value("SELECT count(*) FROM etl.audit")
    told = up.cli_json(*again("raw"), "--dry-run")
    assert (told["records"], told["replayed"], told["gone"]) == (len(messages), 0, 0)
    assert {r["partition"]: r["records"] for r in told["ranges"]} == Counter(m.partition() for m in messages)
    told = up.cli_json(*again("raw", "--symbols", f"{one},{two}"), "--dry-run")
    assert (told["records"], told["other_symbols"]) == (count + more, len(messages) - count - more)
    said = up.cli(*again("raw", "--symbols", one), "--dry-run").stdout
    assert said.startswith(f"would put {count} records of ohlcv-1m into {up.topic(RAW)} again\nleft out: {len(messages) - count} other_symbols\n")
    assert (runs, audited) == (up.value("SELECT count(*) FROM etl.runs"), up.value("SELECT count(*) FROM etl.audit"))
    run = replay(up, "raw", "--symbols", f"{one},{two},{one}")
    assert_good(run, fetched=count + more)
    assert run["skipped"] == len(messages) - count - more
    put, _ = of_run(up, RAW, run["run"])
    assert {codec.decode(m.value())["symbol"] for m in put} == {one, two}
    told = up.cli_json(*again("raw"), "--dry-run")
    assert (told["records"], told["replayed"]) == (len(messages), count + more)


def test_other_schemas_of_a_topic_stay_out(pipeline, tmp_path):
    up = pipeline
    for schema in ("ohlcv-1m", "ohlcv-1d"):
        simulate(up, tmp_path, f"{schema}.dbn.zst", bars=40, symbols=2, seed=4, schema=schema)
        up.subscribe(schema, tmp_path / f"{schema}.dbn.zst")
    up.start_all()
    assert_good(up.run(), fetched=80)
    for stage in ("clean", "valid", "raw"):
        run = replay(up, stage, schema="ohlcv-1d")
        assert_good(run, fetched=40)
        assert run["unchanged"] + run["duplicate"] == 40 and run["skipped"] == 40, stage
    said = up.cli(*again("raw", schema="ohlcv-1h"), code=1).stderr
    assert "nothing of ohlcv-1h is to be put back from" in said and "120 other_schemas" in said, said


TOMORROW = (datetime.now(timezone.utc) + timedelta(days=2)).strftime("%Y-%m-%d")


@pytest.mark.parametrize(
    "words, code, said",
    [
        ([], 2, "--schema is missing: ohlcv-1s, ohlcv-1m"),
        (["--schema", "quotes"], 2, "--schema takes ohlcv-1s, ohlcv-1m"),
        (["--schema", "ohlcv-1m"], 2, "--stage is missing: raw, valid or clean"),
        (again("dlq"), 2, "--stage takes raw, valid or clean, not 'dlq'"),
        (["--schema", "ohlcv-1m", "--stage", "raw"], 2, "--from is missing: an offset, a time"),
        (again("raw", "--from", "yesterday"), 2, "--from takes an offset, a time"),
        (again("raw", "--from", TOMORROW), 2, f"--from {TOMORROW} is in the future"),
        (again("raw", "--to", TOMORROW), 2, f"--to {TOMORROW} is in the future"),
        (again("raw", "--from", "9", "--to", "9"), 2, "--from 9 is not before --to 9"),
        (again("raw", "--from", "2024-01-02", "--to", "2024-01-01"), 2, "is not before"),
        (again("raw", "--from", "latest"), 2, "--from latest is not before --to latest"),
        (again("raw", "--symbols", "A,,B"), 2, "--symbols takes symbols with commas between them"),
        (again("raw", "--dry-run", "--follow"), 2, "--dry-run changes nothing"),
        (again("raw", "--colour"), 2, "unknown or incomplete argument '--colour'"),
        (again("raw", "--from", "100000"), 1, "offset 100000 is in the future: no partition of"),
        (again("raw", "--to", "100000"), 1, "offset 100000 is in the future: no partition of"),
        (again("clean", schema="trades"), 1, "etl.clean.trades from earliest to latest"),
        (again("raw", "--from", "earliest", "--to", "2001-01-01"), 1, "etl.raw.ohlcv from earliest to 2001-01-01"),
        (again("raw", "--symbols", "NONE"), 1, "nothing of NONE is to be put back from"),
    ],
)
def test_what_is_refused_changes_nothing(past, words, code, said):
    words = words[1:] if words and words[0] == "replay" else words
    for dry in ((), () if "--dry-run" in words else ("--dry-run",)):
        done = past.cli("replay", *words, *dry, code=code)
        assert said in done.stderr and done.stdout == ""
    assert past.value("SELECT count(*) FROM etl.runs WHERE kind = 'replay'") == 0
    assert past.value("SELECT count(*) FROM etl.audit WHERE action = 'topics.replay'") == 0


@pytest.mark.parametrize(
    "change, said",
    [
        ({"schema": "quotes"}, "schema: a schema that can be loaded"),
        ({"stage": "dlq"}, "stage: raw, valid or clean"),
        ({"ranges": []}, "ranges: a list"),
        ({"ranges": [{"partition": 0, "from": 5, "to": 5}]}, "ranges: a list"),
        ({"ranges": [{"partition": -1, "from": 5, "to": 6}]}, "ranges: a list"),
        ({"ranges": [{"partition": 1, "from": 5, "to": 6}] * 2}, "each of another partition"),
        ({"symbols": []}, "symbols: a list"),
        ({"symbols": [""]}, "symbols: a list"),
        ({"replays": 1}, "replays: true or false"),
        ({"dry_run": 1}, "dry_run: true or false"),
        ({"colour": "x"}, "unknown key 'colour'"),
        ({"ranges": None}, "ranges: a list"),
    ],
)
def test_requests_that_are_refused(past, change, said):
    body = {"schema": "ohlcv-1m", "stage": "raw", "ranges": [{"partition": 0, "from": 0, "to": 1}]} | change
    answer = past.api.post("/api/v1/topic-replays", json=body)
    assert answer.status_code == 400 and said in answer.json()["detail"], answer.text
    del body["ranges"]
    answer = past.api.post("/api/v1/topic-replays", json={k: v for k, v in body.items() if k not in change})
    assert answer.status_code == 400 and "is missing" in answer.json()["detail"]
    assert past.value("SELECT count(*) FROM etl.runs WHERE kind = 'replay'") == 0


@pytest.fixture(scope="module")
def past(servers, tmp_path_factory):
    """A pipeline that has loaded one file."""
    from harness.bars import loaded as loads

    with loads(servers, tmp_path_factory, bars=40, broken=0) as pipeline:
        yield pipeline


# --- beside the real tables ------------------------------------------------------------------------------------------------


def sides(pipeline):
    """Tables beside the real one, and what is known of them."""
    return pipeline.query("SELECT c.relname, s.run FROM pg_class c LEFT JOIN etl.sides s ON s.side_name = c.relname WHERE c.relname LIKE 'ohlcv_data\\_%' AND c.relkind = 'r' AND NOT c.relispartition ORDER BY 1")


def table_beside(pipeline):
    return pipeline.query("SELECT symbol, ts_event, open_price, attempt FROM ohlcv_data_before ORDER BY 1, 2")


def test_beside_the_real_table(corrected):
    """The first of two readings is loaded beside: every row differs, but for one that is only here and one only there."""
    up = corrected
    before = table(up)
    run = replay(up, "raw", *up.first, "--into", "before")
    assert_good(run, fetched=up.count)
    assert run["inserted"] == up.count and table(up) == before
    assert up.value("SELECT count(*) FROM ohlcv_data_before WHERE open_price = 100") == up.count
    told = up.cli_json("diff", "before", code=1)["differences"]
    assert [(d["side_name"], d["what"], d["rows"]) for d in told] == [
        ("ohlcv_data_before", "only_here", 0),
        ("ohlcv_data_before", "only_there", 0),
        ("ohlcv_data_before", "different", up.count),
    ]
    up.query("DELETE FROM ohlcv_data_before WHERE symbol = 'AAA' AND ts_event = '2024-01-02T15:10:00Z'")
    up.query("DELETE FROM ohlcv_data WHERE symbol = 'BBB' AND ts_event = '2024-01-02T15:20:00Z'")
    here, there, different = up.cli_json("diff", "before", "--schema", "ohlcv-1m", "--examples", "2", code=1)["differences"]
    assert (here["rows"], there["rows"], different["rows"]) == (1, 1, up.count - 2)
    assert [d["examples"][0]["key"]["symbol"] for d in (here, there)] == ["AAA", "BBB"]
    assert len(different["examples"]) == 2
    example = different["examples"][0]
    assert (example["here"]["open_price"], example["there"]["open_price"]) == (200, 100)
    assert "volume" not in example["here"], "what is equal is left out"
    said = up.cli("diff", "before", code=1).stdout
    assert said.startswith(f"here ohlcv_data, there ohlcv_data_before (ohlcv-1m, run {run['run']})\n  only here             1\n")

    # what is there already is refused, whoever made it, and what was dropped may be made again
    up.query("CREATE TABLE ohlcv_data_mine (n integer)")
    as_it_was = (up.value("SELECT count(*) FROM etl.runs"), up.value("SELECT count(*) FROM etl.audit"), table_beside(up), sides(up))
    for suffix in ("before", "mine"):
        for more in ((), ("--dry-run",)):
            said = up.cli(*again("raw", *up.first, "--into", suffix, *more), code=1)
            assert f"table ohlcv_data_{suffix} is there already" in said.stderr and not said.stdout
    assert "no replay has loaded into 'mine'" in up.cli("diff", "mine", "--drop", code=1).stderr
    told = up.cli_json(*again("raw", *up.first, "--into", "fresh"), "--dry-run")
    assert told["records"] == up.count
    assert as_it_was == (up.value("SELECT count(*) FROM etl.runs"), up.value("SELECT count(*) FROM etl.audit"), table_beside(up), sides(up))
    for words in ([], ["before", "--drop", "--schema", "trades"], ["before", "--drop", "--json"], ["before", "--examples", "x"], ["before", "after"]):
        assert up.cli("diff", *words, code=2).stderr.startswith("penstock diff: ")
    assert "no replay of quotes has loaded into 'before'" in up.cli("diff", "before", "--schema", "quotes", code=1).stderr
    up.cli("diff", "before", "--drop")
    assert up.value("SELECT to_regclass('ohlcv_data_before')") is None
    for words in (["diff", "before"], ["diff", "before", "--drop"]):
        assert "no replay has loaded into 'before'" in up.cli(*words, code=1).stderr
    assert up.value("SELECT count(*) FROM etl.audit WHERE action = 'sides.drop'") == 1
    same = replay(up, "clean", *up.second, "--into", "before")
    assert_good(same, fetched=up.count)
    assert same["skipped"] == up.count, "what was only tried is no past of the topics behind, either"
    up.query("DELETE FROM ohlcv_data_before WHERE symbol = 'BBB'")
    assert up.cli("diff", "before").stdout.count(" 0\n") == 3, "what the replay was not of is not compared"


TABLES = {"ohlcv-1m": "ohlcv_data", "trades": "trades_data", "tbbo": "tbbo_data", "statistics": "statistics_data", "definition": "definitions_data"}


def test_every_table_may_have_one_beside(pipeline, tmp_path):
    up = pipeline
    for schema in TABLES:
        simulate(up, tmp_path, f"{schema}.dbn.zst", records=30, symbols=2, seed=4, schema=schema)
        up.subscribe(schema, tmp_path / f"{schema}.dbn.zst", symbol_mappings="true")
    up.start_all()
    assert_good(up.run())
    tables = TABLES | {"symbol_mapping": "symbol_mappings"}
    there = {name: up.value(f"SELECT count(*) FROM {name}") for name in tables.values()}
    for schema, name in tables.items():
        run = replay(up, "clean", "--into", "every", schema=schema)
        assert_good(run)
        assert run["inserted"] == there[name] == up.value(f"SELECT count(*) FROM {name}_every") > 0, name
    equal = up.cli_json("diff", "every")["differences"]
    assert sorted({d["table_name"] for d in equal}) == sorted(there) and [d["rows"] for d in equal] == [0] * 3 * len(there)
    for name in there:
        up.query(f"UPDATE {name}_every SET flags = flags + 1024 WHERE ctid = (SELECT min(ctid) FROM {name}_every)")
    different = [d for d in up.cli_json("diff", "every", code=1)["differences"] if d["rows"] > 0]
    assert [(d["what"], d["rows"]) for d in different] == [("different", 1)] * len(there)
    for (example,) in (d["examples"] for d in different):
        assert example["here"].keys() == {"flags"} and example["here"]["flags"] + 1024 == example["there"]["flags"]
    up.cli("diff", "every", "--drop")
    left = "SELECT count(*) FROM pg_class WHERE relname LIKE '%\\_every' AND relpersistence = 'p'"  # a session's staging tables end with it
    assert up.value(left) == up.value("SELECT count(*) FROM etl.sides") == 0


def test_a_table_that_is_dropped_while_records_are_on_their_way(corrected):
    up = corrected
    for worker in up.of("loader"):
        assert worker.stop() == 0
    run = up.cli_json(*again("raw", *up.first, "--into", "x"))["run"]
    wait_until(lambda: up.api.run(run)["fetched"] == up.count, 30, "all is put back")
    assert f"run {run} writes into 'x' now" in up.cli("diff", "x", "--drop", code=1).stderr
    up.query("DROP TABLE ohlcv_data_x")
    before = table(up)
    up.start("loader")
    done = up.wait_run(run)
    assert_good(done, fetched=up.count)
    assert done["dead_letters"] == up.count and table(up) == before
    assert up.value("SELECT DISTINCT message FROM etl.dead_letters WHERE stage = 'loader'") == "table ohlcv_data_x is not there any more"


@pytest.mark.parametrize("suffix", ["", "X", "1x", "a-b", "x" * 21, "a b"])
def test_suffixes_that_are_none(past, suffix):
    for more in ((), ("--dry-run",)):
        said = past.cli(*again("raw", "--into", suffix, *more), code=2).stderr
        assert "into: 1 to 20 of a-z, 0-9 and _" in said
    assert past.value("SELECT count(*) FROM etl.runs WHERE kind = 'replay'") == 0

"""The command line: exit codes, reports, topics, tables, reading topics and vendors' files."""

import glob
import json
import os
import re
import signal
import subprocess
from datetime import datetime
from decimal import Decimal

import databento
import pytest
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, NewTopic
from harness.pipeline import KAFKA_SECONDS, KINDS, Pipeline
from harness.records import Codec
from harness.waiting import patient, wait_until
from test_thread import dbn_version, simulate

BARS, BROKEN = 200, 13
UNDEF_PRICE = 2**63 - 1
UNDEF_TIME = 2**64 - 1
BAR_TYPES = {32: "ohlcv-1s", 33: "ohlcv-1m", 34: "ohlcv-1h", 35: "ohlcv-1d", 36: "ohlcv-eod"}
# What issue and contract promise of a run, wherever it is shown.
RUN_KEYS = {
    "run", "kind", "status", "held", "balanced", "fetched", "inserted", "updated", "unchanged", "duplicate", "superseded",
    "dead_letters", "in_flight", "checks",
}  # fmt: skip
COUNTS = ("inserted", "updated", "unchanged", "duplicate", "superseded", "dead_letters", "in_flight")


@pytest.fixture(scope="module")
def once(servers, tmp_path_factory):
    """One pipeline for every test that only looks: all workers up, one subscription, two runs done."""
    pipeline = Pipeline(servers, tmp_path_factory.mktemp("pipeline"))
    try:
        folder = tmp_path_factory.mktemp("files")
        simulate(pipeline, folder, bars=BARS, symbols=4, broken=BROKEN)
        pipeline.bars = folder / "bars.dbn.zst"
        pipeline.prepare().subscribe("bars", pipeline.bars)
        pipeline.start_all()
        pipeline.first, pipeline.second = pipeline.run(), pipeline.run()
        yield pipeline
    finally:
        pipeline.close()


@pytest.fixture
def loaded(once, request):
    request.node.pipelines = [once]
    return once


def json_lines(done):
    return [json.loads(line) for line in done.stdout.splitlines()]


# --- the program itself --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("words", [["help"], ["--help"], ["-h"]])
def test_help_lists_every_command(loaded, words):
    done = loaded.cli(*words)
    assert done.stderr == ""
    for command in ("run full", "run show", "runs", "status", "cat", "decode", "topics apply", "topics check"):
        assert f"\n  {command} " in done.stdout
    assert "\n  db migrate " in done.stdout and "exit codes: 0" in done.stdout


@pytest.mark.parametrize("words", [["help", "dlq", "ls"], ["dlq", "ls", "--help"]])
def test_help_of_one_command(loaded, words):
    done = loaded.cli(*words)
    assert done.stdout.startswith("penstock dlq ls [--where") and len(done.stdout.splitlines()) == 2


def test_the_beginning_of_a_command_shows_what_there_is(loaded):
    assert "penstock token create NAME" in loaded.cli("token", code=2).stderr
    assert "penstock token revoke NAME" in loaded.cli("token", "--help").stdout
    assert "there is no command 'nonsense'" in loaded.cli("help", "nonsense", code=2).stderr


def test_where_no_configuration_is_found_that_is_said(loaded, tmp_path):
    """As in another folder than the checkout: the defaults are seldom what was meant."""
    environment = loaded.environment() | {"PENSTOCK_API_URL": "http://127.0.0.1:1"}
    del environment["PENSTOCK_CONFIG"]
    words = [loaded.program("penstock"), "status"]
    done = subprocess.run(words, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=patient(60))
    assert done.returncode == 3 and "there is no ./var/penstock.yaml here, and PENSTOCK_CONFIG is not set" in done.stderr
    assert "var/penstock.yaml" not in loaded.cli("status", "--set", "api.url=http://127.0.0.1:1", code=3).stderr


def test_a_broker_that_is_away_is_one_sentence(loaded):
    for words in (["cat", "etl.dlq", "-n", "1"], ["topics", "check"]):
        said = loaded.cli(*words, "--set", "kafka.bootstrap.servers=127.0.0.1:1", code=3).stderr
        assert "no broker answers" in said and len(said.splitlines()) == 1


def test_version_is_the_same_everywhere(loaded):
    (word, version) = loaded.cli("--version").stdout.split()
    assert word == "penstock" and version[0].isdigit()
    for kind in KINDS:
        assert loaded.cli(kind, "--version").stdout == f"penstock-{kind} {version}\n"


@pytest.mark.parametrize(
    ("words", "names"),
    [
        ([], "usage: penstock COMMAND"),
        (["nonsense"], "unknown command 'nonsense' (`penstock help`"),
        (["stauts"], "unknown command 'stauts'; is it 'status'?"),
        (["run", "fulll"], "unknown command 'run fulll'; is it 'run full'?"),
        (["help", "legder"], "there is no command 'legder'; is it 'ledger'?"),
        (["--set", "api.url=x", "status"], "options stand behind the command"),
        (["run"], "penstock run full"),
        (["runs", "--nonsense"], "'--nonsense'"),
        (["runs", "more"], "'more'"),
        (["runs", "--limit"], "'--limit' (see `penstock help runs`)"),
        (["run", "full", "--subscription"], "'--subscription'"),
        (["run", "show", "first"], "'first'"),
        (["run", "show", "1", "2"], "'2'"),
        (["status", "--set", "api.nonsense=1"], "api.nonsense"),
        (["status", "--set", "api.url"], "KEY=VALUE"),
        (["status", "--config", "nowhere.yaml"], "nowhere.yaml"),
        (["topics", "check", "--dry-run"], "'--dry-run'"),
        (["offsets", "ls", "more"], "'more'"),
        (["offsets", "skip"], "GROUP, TOPIC and PARTITION"),
        (["offsets", "skip", "penstock.loader", "etl.dlq", "0"], "--why"),
        (["offsets", "skip", "penstock.loader", "etl.dlq", "0", "--why", "  "], "--why"),
        (["offsets", "skip", "nobody", "etl.dlq", "0", "--why", "x"], "no group 'nobody'"),
        (["offsets", "skip", "penstock.loader", "etl.raw.ohlcv", "0", "--why", "x"], "does not read 'etl.raw.ohlcv'"),
        (["offsets", "skip", "penstock.loader", "etl.dlq", "3", "--why", "x"], "no partition 3"),
        (["offsets", "skip", "penstock.loader", "etl.dlq", "first", "--why", "x"], "'first'"),
        (["offsets", "skip", "penstock.loader", "etl.dlq", "0", "--why", "x", "--to", "soon"], "'soon'"),
        (["offsets", "skip", "penstock.loader", "etl.dlq", "0", "--why", "x", "--to", "99999"], "holds offsets 0 to"),
        (["cat"], "name a topic"),
        (["cat", "etl.dlq", "etl.events"], "'etl.events'"),
        (["cat", "etl.dlq", "-n", "many"], "many"),
        (["cat", "etl.dlq", "-n", "-1"], "-1"),
        (["cat", "etl.dlq", "--partition", "first"], "first"),
        (["decode"], "no file named"),
        (["decode", "--nonsense", "x.dbn"], "'--nonsense'"),
    ],
)
def test_wrong_arguments_are_named(loaded, words, names):
    done = loaded.cli(*words, code=2)
    assert names in done.stderr and done.stdout == ""


@pytest.mark.parametrize("kind", KINDS)
def test_a_worker_starts_through_the_command_line(loaded, kind):
    done = loaded.cli(kind, "--help")
    assert f"usage: penstock-{kind} " in done.stdout and "log.level" in done.stdout and done.stderr == ""
    assert "good" in loaded.cli(kind, "--check").stdout
    assert "'--nonsense'" in loaded.cli(kind, "--nonsense", code=2).stderr


# --- runs ----------------------------------------------------------------------------------------------------------


def assert_is_a_run(run):
    assert run.keys() >= RUN_KEYS
    assert run["fetched"] == sum(run[name] for name in COUNTS)
    for check in run["checks"]:
        assert check.keys() >= {"name", "passed", "observed", "expected"}


def test_run_full_follow_reports(loaded):
    done = loaded.cli("run", "full", "--follow")
    lines = done.stdout.splitlines()
    assert "tasks closed" in lines[0], "progress comes first"
    report = {words[0]: words[1] for line in lines if (words := line.split()) and len(words) > 1}
    run = loaded.cli_json("run", "show")
    assert f"run {run['run']} (full): success" in lines
    for name in ("fetched", *COUNTS):
        assert report[name] == str(run[name])
    assert report["balanced"] == "yes" and run["fetched"] == BARS
    checks = [line.split() for line in lines if line.startswith("  check ")]
    assert {name: word for _, name, word, *_ in checks} == {check["name"]: "passed" for check in run["checks"]}


def test_run_full_follow_json_is_the_run(loaded):
    run = loaded.cli_json("run", "full", "--follow", "--subscription", "bars")
    assert_is_a_run(run)
    assert (run["status"], run["balanced"], run["fetched"], run["kind"]) == ("success", True, BARS, "full")
    assert run["unchanged"] == loaded.first["inserted"]
    assert {check["name"] for check in run["checks"]} >= {"duplicate_keys", "ohlc_order", "counts"}
    assert run == loaded.api.run(run["run"])


def test_run_full_alone_does_not_wait(loaded):
    accepted = loaded.cli_json("run", "full")
    assert accepted["status"] == "pending"
    assert loaded.wait_run(accepted["run"])["status"] == "success"
    said = loaded.cli("run", "full").stdout
    number = int(said.split()[1])
    assert f"run {number} is pending" in said and f"penstock run show {number}" in said
    assert loaded.wait_run(number)["status"] == "success"


def test_run_full_of_an_unknown_subscription_names_it(loaded):
    before = loaded.value("SELECT count(*) FROM etl.runs")
    assert "'nothing'" in loaded.cli("run", "full", "--subscription", "nothing", code=1).stderr
    assert loaded.value("SELECT count(*) FROM etl.runs") == before


def test_a_failed_run_is_exit_code_1(make_pipeline, tmp_path):
    pipeline = make_pipeline().prepare()
    pipeline.subscribe("bars", tmp_path / "*.dbn")
    pipeline.start("orchestrator")
    run = json.loads(pipeline.cli("run", "full", "--follow", "--json", code=1).stdout)
    assert_is_a_run(run)
    assert run["status"] == "failed"
    text = pipeline.cli("run", "show", code=1).stdout
    assert "failed: " in text and str(tmp_path) in text


def test_run_show_of_one(loaded):
    first = loaded.cli_json("run", "show", loaded.first["run"])
    assert_is_a_run(first)
    assert first == loaded.first
    text = loaded.cli("run", "show", loaded.first["run"]).stdout
    assert f"run {first['run']} (full): success" in text and "balanced" in text
    assert "99999" in loaded.cli("run", "show", 99999, code=1).stderr


def test_runs_lists_the_newest_first(loaded):
    shown = loaded.cli_json("runs", "--limit", 2)
    assert len(shown["runs"]) == 2
    for run in shown["runs"]:
        assert_is_a_run(run)
    newest = loaded.value("SELECT max(run) FROM etl.runs")
    assert [run["run"] for run in shown["runs"]] == [newest, newest - 1]
    head, *lines = loaded.cli("runs").stdout.splitlines()
    assert head.split()[:4] == ["run", "kind", "status", "balanced"]
    assert [int(line.split()[0]) for line in lines] == list(range(newest, 0, -1))[:20]
    assert "limit" in loaded.cli("runs", "--limit", 0, code=None).stderr


def test_status_at_a_glance(loaded):
    status = loaded.cli_json("status")
    assert status.keys() >= {"status", "leader", "runs", "last_run", "in_flight", "dead_letters", "alarms"}
    assert status["status"] == "idle" and status["alarms"] == [] and status["in_flight"] == 0
    assert status["dead_letters"] == loaded.value("SELECT count(*) FROM etl.dead_letters")
    text = loaded.cli("status").stdout
    assert "idle" in text and f"{status['runs']['success']} successful" in text


def test_status_without_an_orchestrator_says_so(pipeline):
    done = pipeline.cli("status", code=3)
    assert pipeline.api.url in done.stderr and "orchestrator" in done.stderr


# --- topics --------------------------------------------------------------------------------------------------------


def topics_of(pipeline):
    names = AdminClient(pipeline.kafka()).list_topics(timeout=KAFKA_SECONDS).topics
    return {name for name in names if name.startswith(pipeline.prefix)}


def settled(future):
    return future.result(KAFKA_SECONDS)


def test_topics_apply_dry_run_creates_nothing(make_pipeline):
    pipeline = make_pipeline()
    lines = pipeline.cli("topics", "apply", "--dry-run").stdout.splitlines()
    assert f"topic {pipeline.topic('etl.dlq')}: would be created" in lines
    assert topics_of(pipeline) == set()
    missing = pipeline.cli("topics", "check", code=1).stdout
    assert f"topic {pipeline.topic('etl.raw.ohlcv')}: missing" in missing and "penstock topics apply" in missing
    pipeline.apply_topics()
    assert {pipeline.prefix + name for name in ("etl.raw.ohlcv", "etl.clean.ohlcv", "etl.dlq")} <= topics_of(pipeline)


def test_topics_apply_again_changes_nothing(pipeline):
    before = topics_of(pipeline)
    lines = pipeline.cli("topics", "apply").stdout.splitlines()
    assert len(lines) == len(before) and all(line.endswith("already there") for line in lines)
    assert topics_of(pipeline) == before
    assert pipeline.cli("topics", "check").stdout == f"{len(before)} topics, 0 differences\n"


def test_topics_check_names_what_differs(pipeline):
    admin, gone, changed = AdminClient(pipeline.kafka()), pipeline.topic("etl.valid.ohlcv"), pipeline.topic("etl.dlq")
    entry = ConfigEntry("retention.ms", "60000", incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ConfigResource.Type.TOPIC, changed, incremental_configs=[entry])
    settled(admin.incremental_alter_configs([resource])[resource])
    pipeline.delete_topic("etl.valid.ohlcv")

    lines = pipeline.cli("topics", "check", code=1).stdout.splitlines()
    assert any(line.startswith(f"topic {gone}: missing") for line in lines)
    assert any(f"topic {changed}: retention.ms is 60000" in line for line in lines)
    assert lines[-1].endswith("2 differences")
    assert f"topic {gone}: created" in pipeline.apply_topics()
    left = pipeline.cli("topics", "check", code=1).stdout.splitlines()
    assert [changed in line for line in left[:-1]] == [True], left


# --- offsets ls, offsets skip ----------------------------------------------------------------------------------------


def test_offsets_ls_shows_where_everybody_stands(loaded):
    rows = loaded.cli_json("offsets", "ls")
    assert {row["group"].removeprefix(loaded.prefix) for row in rows} == {
        "penstock.fetcher", "penstock.validator", "penstock.transformer", "penstock.loader", "penstock.orchestrator",
    }  # fmt: skip
    assert len(rows) == 4 + 4 + 4 + 3 * (6 + 6 + 6 + 3 + 3 + 3) + 3 + 1  # tasks; three of each type; dlq, events
    assert {row["state"] for row in rows} == {"ok"} and all(row["lag"] <= 1 for row in rows), rows
    assert all(row["low"] == 0 and row["position"] <= row["high"] for row in rows)
    kept = {(row["group"].removeprefix(loaded.prefix), row["kept_in"]) for row in rows}
    assert ("penstock.loader", "database") in kept and ("penstock.validator", "kafka") in kept
    head, *lines = loaded.cli("offsets", "ls").stdout.splitlines()
    assert len(lines) == len(rows)
    assert head.split() == [key for key in rows[0] if key != "message"]
    ends = {re.match(r"\S+ +\S+ +\d+", line).end() for line in lines}
    assert ends == {head.index("partition") + len("partition")}, "a column, however long the topics' names are"


def test_offsets_ls_before_anybody_has_read(pipeline):
    rows = pipeline.cli_json("offsets", "ls")
    assert {row["state"] for row in rows if row["kept_in"] == "database"} == {"none"}
    assert {row["position"] for row in rows if row["kept_in"] == "kafka"} == {0}


def test_offsets_skip_refuses_what_is_not_wrong(loaded):
    place = ("penstock.loader", "etl.dlq", "0", "--why", "x")
    assert "nothing is wrong" in loaded.cli("offsets", "skip", *place, code=1).stderr
    back = next(row for row in loaded.cli_json("offsets", "ls") if row["lag"] == 0 or row["position"] > 0)
    words = (back["group"], back["topic"], back["partition"], "--to", "earliest", "--why", "x")
    assert "behind it already" in loaded.cli("offsets", "skip", *words, code=1).stderr
    assert loaded.value("SELECT count(*) FROM etl.expired") == 0


def test_offsets_skip_leaves_a_group_with_members_alone(loaded):
    words = ("penstock.validator", "etl.raw.ohlcv", 0, "--to", "latest", "--why", "x")
    done = loaded.cli("offsets", "skip", *words, code=1)
    assert "has 1 member" in done.stderr and "stop all its workers first" in done.stderr
    assert loaded.value("SELECT count(*) FROM etl.expired") == 0


@pytest.mark.parametrize("prefixed", [True, False])
def test_offsets_skip_moves_a_group_of_kafka(pipeline, prefixed):
    pipeline.produce("etl.raw.ohlcv", [{"value": b"x", "partition": 1}] * 5)
    group, topic = "penstock.validator", "etl.raw.ohlcv"
    names = (pipeline.prefix + group, pipeline.topic(topic)) if prefixed else (group, topic)
    words = ("offsets", "skip", *names, 1, "--to", 4, "--why", "they are nonsense")

    def position():
        rows = pipeline.cli_json("offsets", "ls")
        return next(r["position"] for r in rows if (r["topic"], r["partition"]) == (pipeline.topic(topic), 1))

    assert "would go from 0 to 4" in pipeline.cli(*words, "--dry-run").stdout
    assert position() == 0 and pipeline.value("SELECT count(*) FROM etl.expired") == 0
    assert "goes on from 0 to 4; 4 offsets expire" in pipeline.cli(*words).stdout
    assert position() == 4
    row = pipeline.query("SELECT consumer_group, from_offset, to_offset, why, who FROM etl.expired")[0]
    assert row[:4] == (pipeline.prefix + group, 0, 4, "they are nonsense") and "@" in row[4]


@pytest.mark.parametrize("command", ["apply", "check"])
def test_another_partition_count_is_refused_with_the_reason(make_pipeline, command):
    pipeline = make_pipeline()
    admin, name = AdminClient(pipeline.kafka()), pipeline.topic("etl.raw.ohlcv")
    settled(admin.create_topics([NewTopic(name, num_partitions=2, replication_factor=1)])[name])
    wait_until(lambda: name in topics_of(pipeline), KAFKA_SECONDS, f"{name} is there")
    done = pipeline.cli("topics", command, code=4 if command == "apply" else 1)
    said = done.stdout + done.stderr
    assert f"{name}" in said and "2 partitions" in said and "the table says 6" in said
    if command == "apply":
        assert "order" in done.stderr
    assert len(pipeline.partitions("etl.raw.ohlcv")) == 2


# --- tables --------------------------------------------------------------------------------------------------------


def test_db_migrate_dry_run_changes_nothing(make_pipeline):
    pipeline = make_pipeline()
    lines = pipeline.cli("db", "migrate", "--dry-run").stdout.splitlines()
    assert len(lines) >= 2 and all(line.endswith("would be applied") for line in lines)
    assert pipeline.value("SELECT count(*) FROM pg_namespace WHERE nspname = 'etl'") == 0
    assert pipeline.cli("db", "migrate").stdout.splitlines() == [
        line.replace("would be applied", "applied") for line in lines
    ]


def test_db_migrate_again_changes_nothing(pipeline):
    before = pipeline.query("SELECT * FROM etl.migrations ORDER BY 1")
    lines = pipeline.cli("db", "migrate").stdout.splitlines()
    assert len(lines) == len(before) and all(line.endswith("already there") for line in lines)
    assert pipeline.query("SELECT * FROM etl.migrations ORDER BY 1") == before


def test_a_migration_of_another_text_is_refused(pipeline):
    last, name = pipeline.query("SELECT version, name FROM etl.migrations ORDER BY 1 DESC LIMIT 1")[0]
    pipeline.query("UPDATE etl.migrations SET sha256 = 'something else' WHERE version = %s", last)
    done = pipeline.cli("db", "migrate", code=4)
    assert name in done.stderr and "another text" in done.stderr


# --- cat -----------------------------------------------------------------------------------------------------------


def places(messages):
    return [(message.partition(), message.offset()) for message in messages]


@pytest.mark.parametrize(("topic", "schema"), [("etl.raw.ohlcv", "ohlcv"), ("etl.clean.ohlcv", "ohlcv_clean")])
def test_cat_prints_every_record(loaded, topic, schema):
    messages, codec = loaded.read(topic), Codec(schema)
    lines = json_lines(loaded.cli("cat", topic))
    assert [(line["partition"], line["offset"]) for line in lines] == places(messages)
    for line, message in zip(lines, messages, strict=True):
        expected = codec.decode(message.value())
        assert line["key"] == message.key().decode()
        assert line["value"].keys() == expected.keys()
        for name in ("attempt", "ordinal", "symbol", "dataset", "publisher_id", "instrument_id", "volume"):
            assert line["value"][name] == expected[name]
        for name in [name for name in expected if isinstance(expected[name], Decimal)]:
            assert Decimal(line["value"][name]) == expected[name]


def test_cat_shows_why_a_letter_was_refused(loaded):
    messages = loaded.read("etl.dlq")
    lines = json_lines(loaded.cli("cat", "etl.dlq"))
    assert [(line["partition"], line["offset"]) for line in lines] == places(messages)
    for line, message in zip(lines, messages, strict=True):
        assert line["headers"] == loaded.headers(message)
    raw = [line for line in lines if line["headers"]["etl.class"] == "decode_errors"]
    by_place = {(m.partition(), m.offset()): m.value() for m in messages}
    assert raw and all(bytes.fromhex(x["value"]) == by_place[x["partition"], x["offset"]] for x in raw)
    rules = {line["headers"]["etl.rules"] for line in lines}
    assert any("HIGH_LESS_THAN_LOW" in rule for rule in rules)


def test_cat_shows_tasks_and_events(loaded):
    tasks = [line["value"] for line in json_lines(loaded.cli("cat", "etl.tasks.file"))]
    found = loaded.query("SELECT attempt, task, run FROM etl.attempts WHERE run <= %s", loaded.second["run"])
    assert {(task["attempt"], task["task"], task["run"]) for task in tasks} >= set(found)
    assert {(task["subscription"], task["source"], task["path"]) for task in tasks} == {
        ("bars", "file", str(loaded.bars))
    }
    events = [line["value"] for line in json_lines(loaded.cli("cat", "etl.events"))]
    done = {event["attempt"]: event for event in events if event["state"] == "done"}
    assert done.keys() >= {attempt for attempt, _, _ in found}
    for event in done.values():
        assert (event["fetched"], event["refused"], event["skipped"]) == (BARS, 1, 0)
        assert event["input_bytes"] == os.path.getsize(loaded.bars)
    assert loaded.cli("cat", "etl.control").stdout == ""


def test_cat_takes_a_count_and_a_partition(loaded):
    assert len(json_lines(loaded.cli("cat", "etl.raw.ohlcv", "-n", 7))) == 7
    assert loaded.cli("cat", "etl.raw.ohlcv", "-n", 0).stdout == ""
    messages = loaded.read("etl.raw.ohlcv")
    full = max({m.partition() for m in messages})
    lines = json_lines(loaded.cli("cat", "etl.raw.ohlcv", "--partition", full))
    assert [(line["partition"], line["offset"]) for line in lines] == [
        place for place in places(messages) if place[0] == full
    ]
    assert lines
    one = json_lines(loaded.cli("cat", loaded.topic("etl.raw.ohlcv"), "--partition", full, "-n", 1))
    assert one == lines[:1], "the full name is the same topic"


def test_cat_names_what_is_not_there(loaded):
    assert "etl.nothing" in loaded.cli("cat", "etl.nothing", code=4).stderr
    done = loaded.cli("cat", "etl.raw.ohlcv", "--partition", 77, code=4)
    assert loaded.topic("etl.raw.ohlcv") in done.stderr and "77" in done.stderr
    assert "--partition" in loaded.cli("cat", "etl.raw.ohlcv", "--follow", code=4).stderr


def test_cat_follow_shows_what_comes(pipeline):
    pipeline.produce("etl.dlq", [{"value": b"before", "partition": 1}])
    path = os.path.join(pipeline.folder, "followed")
    with open(path, "wb") as out:
        argv = [pipeline.program("penstock"), "cat", "etl.dlq", "--partition", "1", "--follow", "-n", "2"]
        process = subprocess.Popen(argv, stdout=out, env=pipeline.environment(), cwd=pipeline.folder)
    try:
        wait_until(lambda: "before" in open(path).read(), KAFKA_SECONDS, "the first message is shown")
        pipeline.produce("etl.dlq", [{"value": b"after", "partition": 1}])
        assert process.wait(patient(KAFKA_SECONDS)) == 0, "ends after -n messages"
    finally:
        process.kill()
        process.wait()
    with open(path) as file:
        assert [json.loads(line)["value"] for line in file] == ["before", "after"]


# --- decode --------------------------------------------------------------------------------------------------------


def nanoseconds(text):
    whole, fraction = text.removesuffix("Z").split(".")
    seconds = int(datetime.fromisoformat(whole + "+00:00").timestamp())
    return seconds * 10**9 + int(fraction.ljust(9, "0"))


def as_shown(store):
    """What `penstock decode` should print for each bar, from the vendor's own decoder; other types: test_decode.py."""
    symbols = {}
    for raw, intervals in store.mappings.items():
        for each in intervals:
            symbols.setdefault(each["symbol"], []).append((each["start_date"], each["end_date"], raw))
    shown = []
    for record in store:
        kind = getattr(record.rtype, "value", record.rtype)
        line = {
            "ts_event": None if record.ts_event == UNDEF_TIME else record.ts_event,
            "rtype": kind,
            "publisher_id": record.publisher_id,
            "instrument_id": record.instrument_id,
        }
        day = record.pretty_ts_event.date()
        names = [raw for a, b, raw in symbols.get(str(record.instrument_id), []) if a <= day < b]
        line |= {"symbol": names[0] if names else None, "schema": BAR_TYPES[kind], "volume": record.volume}
        for name in ("open", "high", "low", "close"):
            price = getattr(record, name)
            line[name] = None if price == UNDEF_PRICE else Decimal(price).scaleb(-9)
        shown.append(line)
    return shown


def as_read(line):
    """The same from one line of output: exact numbers, no text compared."""
    line = json.loads(line)
    if line["ts_event"] is not None:
        line["ts_event"] = nanoseconds(line["ts_event"])
    for name in ("open", "high", "low", "close"):
        if line.get(name) is not None:
            assert isinstance(line[name], str), "a price is exact text"
            line[name] = Decimal(line[name])
    return line


def assert_decodes(pipeline, path):
    store = databento.DBNStore.from_file(path)
    done = pipeline.cli("decode", path)
    assert done.stderr == ""
    expected = as_shown(store)
    assert [as_read(line) for line in done.stdout.splitlines()] == expected, path
    return len(expected)


@pytest.mark.parametrize("schema", ["ohlcv-1s", "ohlcv-1m", "ohlcv-1h", "ohlcv-1d"])
@pytest.mark.parametrize("name", ["bars.dbn", "bars.dbn.zst"])
def test_decode_agrees_with_the_vendor_on_generated_files(loaded, tmp_path, schema, name):
    simulate(loaded, tmp_path, name, bars=500, symbols=7, broken=26, schema=schema)
    assert assert_decodes(loaded, tmp_path / name) == 500


@pytest.mark.samples
def test_decode_metadata_agrees_with_the_vendor_on_samples(loaded, samples):
    paths = sorted(glob.glob(os.path.join(samples, "databento", "**", "*ohlcv-*"), recursive=True))
    files = [path for path in paths if dbn_version(path) == 3]
    lines = json_lines(loaded.cli("decode", "--metadata", *files))
    assert len(files) >= 20
    for path, line in zip(files, lines, strict=True):
        assert_metadata(path, line)


def assert_metadata(path, line):
    store = databento.DBNStore.from_file(path)
    truth = store.metadata
    assert line["dataset"] == truth.dataset
    assert line["version"] == 3
    assert line["schema"] == (truth.schema.value if hasattr(truth.schema, "value") else str(truth.schema))
    assert nanoseconds(line["start"]) == truth.start
    assert (nanoseconds(line["end"]) if line["end"] else None) == truth.end
    assert (line["limit"], line["ts_out"]) == (truth.limit, truth.ts_out)
    assert (line["stype_in"], line["stype_out"]) == (str(truth.stype_in), str(truth.stype_out))
    assert (line["symbols"], line["partial"], line["not_found"]) == (truth.symbols, truth.partial, truth.not_found)
    assert {m["raw_symbol"]: m["intervals"] for m in line["mappings"]} == {
        raw: [
            {"start_date": str(i["start_date"]), "end_date": str(i["end_date"]), "symbol": i["symbol"]}
            for i in intervals
        ]
        for raw, intervals in store.mappings.items()
    }


def test_decode_metadata_is_one_line_for_each_file(loaded, tmp_path):
    for number in range(3):
        simulate(loaded, tmp_path, f"{number}.dbn", bars=50, seed=number)
    files = [tmp_path / f"{number}.dbn" for number in range(3)]
    for path, line in zip(files, json_lines(loaded.cli("decode", "--metadata", *files)), strict=True):
        assert_metadata(path, line)


def test_decode_of_several_files_is_one_after_the_other(loaded, tmp_path):
    simulate(loaded, tmp_path, "a.dbn", bars=20)
    simulate(loaded, tmp_path, "b.dbn.zst", bars=30, seed=2)
    alone = [loaded.cli("decode", tmp_path / name).stdout for name in ("b.dbn.zst", "a.dbn")]
    assert loaded.cli("decode", tmp_path / "b.dbn.zst", tmp_path / "a.dbn").stdout == "".join(alone)


HEADER = 8  # "DBN", version, length of the metadata


def damage(kind, data):
    start = HEADER + int.from_bytes(data[4:8], "little")
    fifth = start + 4 * 56
    return {
        "cut": (data[:-20], 10, start + 9 * 56),
        "cut_header": (data[: start + 9 * 56 + 3], 10, start + 9 * 56),
        "zero_length": (data[:fifth] + b"\0" + data[fifth + 1 :], 5, fifth),
    }[kind]


@pytest.mark.parametrize("kind", ["cut", "cut_header", "zero_length"])
def test_decode_names_the_damaged_record(loaded, tmp_path, kind):
    """Whatever comes before is printed; then file, record number and byte offset."""
    simulate(loaded, tmp_path, "whole.dbn", bars=10)
    data, record, offset = damage(kind, (tmp_path / "whole.dbn").read_bytes())
    path = tmp_path / "damaged.dbn"
    path.write_bytes(data)
    done = loaded.cli("decode", path, code=1)
    assert done.stdout.splitlines() == loaded.cli("decode", tmp_path / "whole.dbn").stdout.splitlines()[: record - 1]
    assert str(path) in done.stderr and f"record {record} at byte offset {offset} " in done.stderr


def test_decode_names_a_damaged_zstd_stream(loaded, tmp_path):
    simulate(loaded, tmp_path, "whole.dbn.zst", bars=20_000)
    whole = (tmp_path / "whole.dbn.zst").read_bytes()
    for name, data in {
        "cut.dbn.zst": whole[: len(whole) // 2],
        "corrupt.dbn.zst": whole[: len(whole) // 2] + bytes(64) + whole[len(whole) // 2 + 64 :],
    }.items():
        (tmp_path / name).write_bytes(data)
        done = loaded.cli("decode", tmp_path / name, code=1)
        read = len(done.stdout.splitlines())
        assert 0 < read < 20_000
        assert str(tmp_path / name) in done.stderr and "zstd" in done.stderr
        assert f"record {read + 1} at byte offset" in done.stderr


@pytest.mark.parametrize(
    ("change", "names"),
    [
        (lambda data: b"", "empty"),
        (lambda data: b"XYZ" + data[3:], "byte offset 0"),
        (lambda data: data[:3] + b"\x04" + data[4:], "version 4 (byte offset 3)"),
        (lambda data: data[:4] + b"\xff\xff\xff\xff" + data[8:], "byte offset 4"),
        (lambda data: data[:60], "metadata"),
    ],
)
def test_decode_of_a_file_that_is_none(loaded, tmp_path, change, names):
    simulate(loaded, tmp_path, "whole.dbn", bars=10)
    path = tmp_path / "other.dbn"
    path.write_bytes(change((tmp_path / "whole.dbn").read_bytes()))
    for words in (["decode"], ["decode", "--metadata"]):
        done = loaded.cli(*words, path, code=1)
        assert str(path) in done.stderr and names in done.stderr and done.stdout == ""


def test_decode_goes_on_after_a_file_that_is_none(loaded, tmp_path):
    simulate(loaded, tmp_path, "good.dbn", bars=10)
    done = loaded.cli("decode", tmp_path / "missing.dbn", tmp_path, tmp_path / "good.dbn", code=1)
    assert len(done.stdout.splitlines()) == 10
    assert f"{tmp_path / 'missing.dbn'}: No such file" in done.stderr
    assert len(done.stderr.splitlines()) == 2, "one line for each file"


# --- a reader that goes away ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["decode", "cat"])
def test_a_closed_pipe_ends_quietly(pipeline, tmp_path, command):
    """More than any pipe holds, and a reader that takes one line."""
    if command == "decode":
        simulate(pipeline, tmp_path, "many.dbn", bars=50_000)
        words = ["decode", str(tmp_path / "many.dbn")]
    else:
        pipeline.produce("etl.dlq", [{"value": b"x" * 200_000, "partition": 0} for _ in range(8)])
        words = ["cat", "etl.dlq"]
    process = subprocess.Popen(
        [pipeline.program("penstock"), *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=pipeline.environment(),
        cwd=pipeline.folder,
    )
    try:
        json.loads(process.stdout.readline())
        process.stdout.close()
        assert process.wait(patient(KAFKA_SECONDS)) in (0, -signal.SIGPIPE)
        assert process.stderr.read() == b""
    finally:
        process.kill()
        process.wait()
        process.stderr.close()

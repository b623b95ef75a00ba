"""`penstock health_check`: six sections, and what is wrong in each."""

from datetime import UTC, datetime, timedelta

import pytest
from harness.bars import simulate
from harness.pipeline import KINDS, Pipeline
from harness.waiting import wait_until

ANY_DISK = ("--disk-free-min", "0")
SECTIONS = ["timestamp", "workers", "disk", "database", "errors", "memory", "healthy"]


@pytest.fixture(scope="module")
def once(servers, tmp_path_factory):
    """A pipeline whose groups notice soon who is gone."""
    pipeline = Pipeline(servers, tmp_path_factory.mktemp("pipeline"))
    try:
        folder = tmp_path_factory.mktemp("files")
        simulate(pipeline, folder, bars=100, symbols=4, broken=3, seed=4)
        pipeline.subscribe("bars", folder / "bars.dbn.zst")
        pipeline.shorten_sessions()
        pipeline.prepare().start_all()
        pipeline.run(["bars"])
        yield pipeline
    finally:
        pipeline.close()


def check(up, *words, code=0):
    found = up.cli_json("health_check", *ANY_DISK, *words, code=code)
    assert list(found) == SECTIONS and found["healthy"] is (code == 0)
    return found


def wells(found):
    return {name: section["ok"] for name, section in found.items() if isinstance(section, dict)}


def test_all_is_well(up):
    found = check(up)
    assert all(wells(found).values())
    assert abs(datetime.now(UTC) - datetime.fromisoformat(found["timestamp"])) < timedelta(minutes=1)
    assert {row["kind"]: (row["alive"], row["here"], row["state"]) for row in found["workers"]["workers"]} == {
        kind: (1, 1, "alive") for kind in KINDS
    }
    assert found["database"]["text"].startswith("ready (PostgreSQL 1")
    assert 0 < found["disk"]["free_pct"] <= 100


def test_memory_is_what_the_kernel_says(up):
    table = {row["worker"]: row for row in check(up)["memory"]["memory"]}
    assert table.keys() == set(KINDS)
    for kind in KINDS:
        (worker,) = up.of(kind)
        assert table[kind]["pid"] == worker.pid
        assert abs(table[kind]["resident_kib"] * 1024 - worker.resident_bytes()) < 8 << 20
        assert table[kind]["peak_kib"] >= table[kind]["resident_kib"]


def test_the_sections_stand_in_their_order(up):
    said = up.cli("health_check", *ANY_DISK).stdout
    heads = ["Health check at ", "Workers:", "Disk space:", "Database: ready", "Errors in the last 60 minutes: ", "Memory:"]
    places = [said.index(head) for head in heads]
    assert places == sorted(places) and "NOT WELL" not in said


def test_letters_are_counted_and_failures_are_trouble(up):
    errors = check(up)["errors"]
    letters = up.value("SELECT count(*) FROM etl.dead_letters WHERE failed_at > now() - interval '1 hour'")
    assert errors["total"] == letters > 0 and {row["kind"] for row in errors["errors"]} == {"dead letters"}
    attempt = up.value("SELECT max(attempt) FROM etl.attempts")
    up.query("INSERT INTO etl.runs (kind, status, finished_at) VALUES ('full', 'failed', now() - interval '59 minutes')")
    up.query("INSERT INTO etl.runs (kind, status, finished_at) VALUES ('full', 'failed', now() - interval '61 minutes')")
    up.query("UPDATE etl.attempts SET state = 'failed' WHERE attempt = %s", attempt)
    try:
        found = check(up, code=1)
        assert wells(found) == {name: name != "errors" for name in wells(found)}
        rows = {(row["kind"], row["name"]): row["errors"] for row in found["errors"]["errors"] if row["trouble"]}
        assert rows == {("runs", "failed"): 1, ("attempts", "failed"): 1}
        assert "NOT WELL" in up.cli("health_check", *ANY_DISK, code=1).stdout
    finally:
        up.query("DELETE FROM etl.runs WHERE status = 'failed'")
        up.query("UPDATE etl.attempts SET state = 'done' WHERE attempt = %s", attempt)
    up.query("INSERT INTO etl.gaps (consumer_group, topic, partition, message) VALUES ('g', 't', 0, 'nothing moves')")
    try:
        assert ("alarms", "offset_gap") in {(row["kind"], row["name"]) for row in check(up, code=1)["errors"]["errors"]}
    finally:
        up.query("DELETE FROM etl.gaps WHERE topic = 't'")


def test_a_disk_that_is_too_full(up):
    found = up.cli_json("health_check", "--disk-free-min", "100", code=1)
    assert wells(found) == {name: name != "disk" for name in wells(found)}


def test_a_worker_that_was_killed(up):
    (validator,) = up.of("validator")
    validator.kill()

    def state():
        found = up.cli_json("health_check", *ANY_DISK, code=None)
        return {row["kind"]: row for row in found["workers"]["workers"]}["validator"]

    assert state()["here"] == 0
    wait_until(lambda: state()["state"] == "MISSING", 30, "the group has no member")
    found = check(up, code=1)
    assert wells(found) == {name: name != "workers" for name in wells(found)}
    assert [row["kind"] for row in found["workers"]["workers"] if row["state"] != "alive"] == ["validator"]
    assert "validator" not in {row["worker"] for row in found["memory"]["memory"]}
    up.workers.remove(validator)
    up.start("validator")
    wait_until(lambda: state()["state"] == "alive", 30, "there is another one")
    check(up)


def test_an_orchestrator_that_is_away(up):
    found = check(up, "--set", "api.url=http://127.0.0.1:1", code=1)
    assert "but not through the orchestrator: http://127.0.0.1:1" in found["database"]["text"] and found["database"]["ok"]
    assert "is the orchestrator up" in found["errors"]["text"] and not found["errors"]["ok"]
    assert [row["kind"] for row in found["workers"]["workers"] if row["state"] == "MISSING"] == ["orchestrator"]


def test_a_broker_and_a_database_that_are_away(up):
    up.configure("kafka", **{"bootstrap.servers": "127.0.0.1:1"})
    up.configure("database", dsn_file=up.secret("none", "host=127.0.0.1 port=1"))
    try:
        done = up.cli("health_check", *ANY_DISK, "--json", "--set", "api.url=http://127.0.0.1:1", code=1)
    finally:
        up.configure("kafka", **{"bootstrap.servers": up.servers.kafka})
        up.configure("database", dsn_file=up.secret("dsn", up.servers.dsn(up.database)))
    assert done.stderr == "" and '"state": "unknown"' in done.stdout and "port 1 failed" in done.stdout


def test_wrong_words(up):
    assert "--disk-free-min takes per cent, not 101" in up.cli("health_check", "--disk-free-min", "101", code=2).stderr
    assert "unknown or incomplete argument 'x'" in up.cli("health_check", "x", code=2).stderr

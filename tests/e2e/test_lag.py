"""`penstock lag`: what waits for whom."""

import pytest
from harness.bars import simulate
from harness.pipeline import Pipeline
from harness.waiting import wait_until

BARS = 200


@pytest.fixture(scope="module")
def once(servers, tmp_path_factory):
    """A run that stands before its loader."""
    pipeline = Pipeline(servers, tmp_path_factory.mktemp("pipeline"))
    try:
        folder = tmp_path_factory.mktemp("files")
        simulate(pipeline, folder, bars=BARS, symbols=4, seed=4)
        pipeline.subscribe("bars", folder / "bars.dbn.zst")
        pipeline.prepare().start_all(kinds=("orchestrator", "fetcher", "validator", "transformer"))
        pipeline.started_run = pipeline.api.start_run(["bars"])
        pipeline.wait_messages("etl.clean.ohlcv", BARS)
        yield pipeline
    finally:
        pipeline.close()


def lags(up, code=0):
    """By group and topic, without the prefix."""
    found = up.cli_json("lag", code=code)["lag"]
    assert [(row["group"], row["topic"]) for row in found] == sorted((row["group"], row["topic"]) for row in found)
    return {(row["group"].removeprefix(up.prefix), row["topic"].removeprefix(up.prefix)): row for row in found}


LOADER = ("penstock.loader", "etl.clean.ohlcv")


def test_what_waits_and_what_is_only_marks(up):
    def settled():
        found = lags(up)
        return all(row["waiting"] == 0 for place, row in found.items() if place != LOADER) and found

    found = wait_until(settled, 30, "nothing waits but for the loader")
    loader = found[LOADER]
    held = {message.partition() for message in up.read("etl.clean.ohlcv")}
    assert (loader["partitions"], loader["waiting"]) == (len(up.partitions("etl.clean.ohlcv")), len(held))
    assert BARS < loader["lag"] <= loader["end"] - loader["position"] and loader["members"] == 0
    assert 0 <= loader["oldest_s"] < 600 and loader["state"] == "ok"
    passed = found["penstock.validator", "etl.raw.ohlcv"]
    assert passed["lag"] == 0 and passed["oldest_s"] is None and passed["members"] == 1
    assert found["penstock.orchestrator", "etl.events"]["members"] is None
    lines = up.cli("lag").stdout.splitlines()
    assert lines[0].split() == list(loader) and len(lines) == 1 + len(found)


def test_nothing_waits_when_it_is_read(up):
    up.start("loader")
    up.wait_run(up.started_run)
    found = wait_until(lambda: (now := lags(up))[LOADER]["lag"] == 0 and now, 30, "the loader has read everything")
    assert found[LOADER]["waiting"] == 0 and found[LOADER]["members"] == 1
    assert found[LOADER]["oldest_s"] is None


def test_the_api_has_the_same(up):
    """Seen by the core every few seconds, so a moment later than what the command reads itself."""

    def agree():
        answer = up.api.get("/api/v1/offsets")
        return answer.status_code == 200 and answer.json()["offsets"] == up.cli_json("offsets", "ls")

    wait_until(agree, 60, "the API's offsets are those of the command")
    shown = {(row["group"], row["topic"]): row for row in up.cli_json("lag")["lag"]}
    found = up.api.get("/api/v1/lag").json()
    assert found["at"].endswith("Z") and len(found["lag"]) == len(shown)
    for row in found["lag"]:
        other = shown[row["group"], row["topic"]]
        assert [row[name] for name in ("partitions", "position", "end", "state")] == [other[name] for name in ("partitions", "position", "end", "state")]
        assert row["lag"] == row["end"] - row["position"] >= other["lag"]
    assert up.api.anonymous("GET", "/api/v1/lag").status_code == 401


def test_what_nobody_has_seen_is_not_made_up(make_pipeline):
    pipeline = make_pipeline().prepare()
    worker = pipeline.start("orchestrator", ready=False, settings={"kafka.bootstrap.servers": "127.0.0.1:1"})
    worker.wait_event("http_listening")
    for path in ("/api/v1/offsets", "/api/v1/lag"):

        def detail(path=path):
            answer = pipeline.api.get(path)
            return answer.status_code == 503 and answer.json()["detail"].removeprefix("starting")

        assert "stands by, or has not reached the broker" in wait_until(detail, 30, "the API is open")


def test_a_group_that_cannot_go_on(up):
    first = {row["topic"]: row for row in up.cli_json("offsets", "ls") if row["low"] == 0 and row["position"]}
    topic = up.topic("etl.clean.ohlcv")
    up.stop_all()
    saved = up.query("SELECT partition, next_offset FROM etl.offsets WHERE topic = %s", topic)
    up.query("UPDATE etl.offsets SET next_offset = next_offset + 1000000 WHERE topic = %s", topic)
    try:
        assert topic in first and lags(up, code=1)[LOADER]["state"] == "ahead"
        assert lags(up, code=1)["penstock.validator", "etl.raw.ohlcv"]["state"] == "ok"
    finally:
        for partition, offset in saved:
            up.query("UPDATE etl.offsets SET next_offset = %s WHERE topic = %s AND partition = %s", offset, topic, partition)


def test_nobody_answers(up):
    up.configure("kafka", **{"bootstrap.servers": "127.0.0.1:1"})
    try:
        done = up.cli("lag", code=3)
    finally:
        up.configure("kafka", **{"bootstrap.servers": up.servers.kafka})
    assert done.stdout == "" and len(done.stderr.splitlines()) == 1 and done.stderr.startswith("penstock lag: kafka")
    assert "unknown or incomplete argument 'x'" in up.cli("lag", "x", code=2).stderr

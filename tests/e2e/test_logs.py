"""What the programs write to their logs, and how much of it."""

import json
from datetime import datetime

import pytest
from harness.bars import loaded
from harness.pipeline import KINDS

MEMBERS = ["timestamp", "level", "component", "event", "message", "context"]
LEVELS = {"DEBUG", "INFO", "WARNING", "ERROR"}
MIB = 1024 * 1024


@pytest.fixture(scope="module")
def once(servers, tmp_path_factory):
    """Everything has run, and has ended."""
    with loaded(servers, tmp_path_factory, bars=300, broken=13) as pipeline:
        pipeline.api.get("/api/v1/historical/SYM0001?start=2024-01-01&end=2024-01-31").raise_for_status()
        pipeline.stop_all()
        yield pipeline


def test_every_line_is_one_object_of_these_members(up):
    for worker in up.workers:
        for line in worker.log().splitlines():
            entry = json.loads(line)
            assert list(entry) == MEMBERS, line
            assert entry["level"] in LEVELS and entry["component"] == worker.kind and isinstance(entry["context"], dict)
            assert datetime.fromisoformat(entry["timestamp"]).tzinfo is not None


@pytest.mark.parametrize("kind", KINDS)
def test_a_worker_tells_what_it_did_and_how_large_it_is(up, kind):
    (worker,) = up.of(kind)
    told = [e["context"] for e in worker.events("worker_status")]
    assert all(0 < each["memory_usage"] <= each["memory_peak"] < 4096 * MIB for each in told)
    assert all(isinstance(each["execution_time"], float) for each in told)
    if kind in ("validator", "transformer"):
        assert sum(each["records"] for each in told) >= 300 - 13


def test_what_the_validator_refused_is_in_its_log(up):
    (validator,) = up.of("validator")
    said = validator.events("worker_status")
    refused = up.value("SELECT count(*) FROM etl.dead_letters WHERE class = 'validation_failures'")
    assert sum(e["context"]["rejected"] for e in said) == refused > 0
    assert all("validation" in e["message"] for e in said)


def test_a_run_from_start_to_end(up):
    (orchestrator,) = up.of("orchestrator")
    (started,), (checked,), (ended,) = [orchestrator.events(e) for e in ("run_started", "run_validated", "run_completed")]
    assert "Starting full ETL pipeline" in started["message"] and ended["message"] == "Pipeline completed"
    assert checked["context"]["failed"] == 0 and checked["context"]["checks"] == len(up.done[0]["checks"])
    assert "validation of run 1" in checked["message"]
    between = datetime.fromisoformat(ended["timestamp"]) - datetime.fromisoformat(started["timestamp"])
    assert 0 < ended["context"]["execution_time"] <= between.total_seconds() + 1
    assert ended["context"]["records_processed"] == up.done[0]["fetched"]


def test_a_query_and_its_pattern(up):
    (orchestrator,) = up.of("orchestrator")
    (query,) = [e for e in orchestrator.events("query_executed") if e["context"]["query"] == "historical"]
    assert query["message"] == "Query executed"
    context = query["context"]
    assert (context["symbol"], context["date_range"]) == ("SYM0001", "2024-01-01/2024-01-31")
    assert 0 < context["execution_time"] < 5 and context["record_count"] == up.value(
        "SELECT count(*) FROM ohlcv_data WHERE symbol = 'SYM0001' AND \"interval\" = '1d'"
    )
    (pattern,) = orchestrator.events("query_pattern")
    assert pattern["message"] == "Query pattern"
    assert pattern["context"] == {"schema": "ohlcv-1d", "symbols_count": 1, "date_range_days": 31}


@pytest.mark.parametrize(
    ("variable", "value", "least"),
    [
        ("PENSTOCK_LOG_LEVEL", "DEBUG", "DEBUG"),
        ("PENSTOCK_VALIDATOR_LOG_LEVEL", "debug", "DEBUG"),
        ("PENSTOCK_LOG_LEVEL", "ERROR", None),
    ],
)
def test_the_level_comes_from_the_environment(pipeline, variable, value, least):
    pipeline.configure("kafka", debug="broker")
    port = pipeline.servers.free_port()
    validator = pipeline.spawn("validator", environment={variable: value, "PENSTOCK_HTTP_PORT": str(port)})
    validator.kept_port = port
    validator.wait_ready()
    if least:
        assert validator.events("kafka_client")[0]["level"] == least
    else:
        assert validator.lines() == []


def test_a_level_that_is_none_is_refused(pipeline):
    validator = pipeline.spawn("validator", environment={"PENSTOCK_LOG_LEVEL": "loud"})
    assert validator.wait_exit() == 2 and "log.level: debug, info, warning or error" in validator.log()

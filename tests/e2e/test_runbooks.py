"""Every command of the runbooks, as it stands there."""

import os
import re
import subprocess

import pytest
from harness.bars import loaded
from harness.servers import TOP
from harness.waiting import patient, wait_until

RUNBOOKS = os.path.join(TOP, "ops", "runbooks")
RULES = os.path.join(TOP, "stages", "validator", "rules")
BARS, BROKEN = 300, 13


def commands():
    for name in sorted(os.listdir(RUNBOOKS)):
        with open(os.path.join(RUNBOOKS, name)) as file:
            blocks = re.findall(r"^```sh\n(.*?)^```", file.read(), re.M | re.S)
        for line in "".join(blocks).splitlines():
            yield pytest.param(line, id=f"{name}: {line}"[:90])


@pytest.fixture(scope="module")
def once(servers, tmp_path_factory):
    """One pipeline for every line: a run done, its letters archived."""
    with loaded(servers, tmp_path_factory, bars=BARS, broken=BROKEN) as pipeline:
        pipeline.wait_messages("etl.dlq", BROKEN)
        give_the_logs_something(pipeline)
        pipeline.a_symbol = pipeline.value("SELECT symbol FROM etl.dead_letters WHERE symbol <> '' LIMIT 1")
        changed = os.path.join(pipeline.folder, "ohlcv.yaml")
        with open(os.path.join(RULES, "ohlcv.yaml")) as now, open(changed, "w") as later:
            later.write(now.read().replace("version: 1", "version: 2").replace("violated: high < low", "violated: high <= low"))
        pipeline.given = {"RULES": RULES, "FILE": changed}
        first = pipeline.value("SELECT min(ts_event) FROM ohlcv_data WHERE symbol = %s", pipeline.a_symbol)
        pipeline.given["TIME"] = first.strftime("%Y-%m-%dT%H:%M:%SZ")
        yield pipeline


def give_the_logs_something(pipeline):
    """A refused request, a query with a range, one that takes long, a run that does, a broken connection; the last lines."""
    assert pipeline.api.get("/api/v1/nothing").status_code == 404
    pipeline.stop_all()
    pipeline.configure("orchestrator", slow_query_ms=1, run_duration_max_s=1)
    pipeline.started["orchestrator"] = 0  # on the same port, into the same file
    orchestrator = pipeline.start("orchestrator")
    historical = "/api/v1/historical/SYM0001?start=2024-01-01&end=2024-01-31"
    wait_until(lambda: pipeline.api.get(historical).ok and orchestrator.events("query_slow"), 60, "a slow query")
    pipeline.api.start_run(["bars"])
    orchestrator.wait_event("run_overdue")
    others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    pipeline.query(others)
    orchestrator.wait_event("database_unavailable")
    orchestrator.wait_event("database_back")
    assert orchestrator.stop() == 0
    pipeline.started["orchestrator"] = 0
    pipeline.start_all()


def run(pipeline, line, folder):
    """On this test's topics and servers, and with a symbol that it has."""
    line = line.replace("etl.dlq", pipeline.topic("etl.dlq")).replace("SYM0001", pipeline.a_symbol)
    environment = pipeline.environment() | pipeline.given | {
        "KAFKA": pipeline.kafka()["bootstrap.servers"],
        "PATH": os.path.dirname(pipeline.program("penstock")) + os.pathsep + os.environ["PATH"],
        "PGOPTIONS": "",
        "PSQL_PAGER": "cat",
    }
    line = line.replace("var/log", pipeline.folder)
    line = line.replace("psql ", f"psql '{pipeline.servers.dsn(pipeline.database)}' ")
    words = ["bash", "-o", "pipefail", "-c", line]
    return subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, timeout=patient(60))


@pytest.mark.parametrize("line", list(commands()))
def test_a_line_of_a_runbook(once, request, tmp_path, line):
    request.node.pipelines = [once]
    done = run(once, line, tmp_path)
    assert done.returncode == 0, done.stderr
    written = re.findall(r"(?:--output|>) (\S+)", line)
    assert done.stdout or written, "it shows something"
    assert all(os.path.getsize(tmp_path / name) > 0 for name in written)


def test_kcat_counts_what_the_table_counts(once, request, tmp_path):
    """Once what the lines before put back is archived, too."""
    request.node.pipelines = [once]
    (line,) = [c.values[0] for c in commands() if "etl.class=" in c.values[0]]

    def counted():
        rows = [row.split() for row in run(once, line, tmp_path).stdout.splitlines()]
        return {name.removeprefix("etl.class="): int(number) for number, name in rows}

    def stored():
        return dict(once.query("SELECT class, count(*) FROM etl.dead_letters GROUP BY 1"))

    wait_until(lambda: counted() == stored(), 60, lambda: f"{counted()} on the topic, {stored()} in the table")

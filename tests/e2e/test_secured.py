"""A broker with TLS and SASL: the pipeline runs through it as through any other, and tells no secret meanwhile."""

import glob
import os

import confluent_kafka
import pytest
from harness.authority import SECRET
from harness.bars import simulate
from harness.pipeline import KINDS
from harness.secured import ADMIN, password_of
from harness.waiting import wait_until


def load(pipeline, folder, bars=1000, broken=13):
    """Topics and tables by the command line, every worker, a run that balances."""
    simulate(pipeline, folder, bars=bars, symbols=4, broken=broken, seed=4)
    pipeline.subscribe("bars", folder / "bars.dbn.zst")
    pipeline.prepare().start_all()
    run = pipeline.run()
    assert (run["status"], run["balanced"], run["fetched"]) == ("success", True, bars), run
    assert run["inserted"] == pipeline.value("SELECT count(*) FROM ohlcv_data") > 0
    assert run["dead_letters"] == pipeline.value("SELECT count(*) FROM etl.dead_letters") > 0
    return run


def assert_commands_reach_it(pipeline, run):
    assert "0 differences" in pipeline.cli("topics", "check").stdout
    assert len(pipeline.cli("cat", "etl.clean.ohlcv", "-n", "3").stdout.splitlines()) == 3
    assert pipeline.cli("events", "-n", "5").stdout
    groups = {row["group"] for row in pipeline.cli_json("offsets", "ls")}
    assert {pipeline.topic(f"penstock.{stage}") for stage in ("fetcher", "validator", "transformer")} <= groups
    assert pipeline.cli("lag").returncode == 0
    assert len(pipeline.cli_json("dlq", "ls", "--limit", "100")["dead_letters"]) == run["dead_letters"]


def assert_not_told(pipeline, *secrets):
    """Neither in a log nor in arguments nor where the configuration is shown."""
    said = {worker.name: worker.log() for worker in pipeline.workers}
    for worker in pipeline.workers:
        with open(f"/proc/{worker.pid}/cmdline") as file:
            said[f"arguments of {worker.name}"] = file.read()
    for kind in KINDS:
        shown = pipeline.cli(kind, "--show-config").stdout
        assert "********" in shown
        said[f"--show-config of {kind}"] = shown
    assert [(name, secret) for name, text in said.items() for secret in secrets if secret in text] == []


def test_a_full_run_over_tls_with_a_password(secured, guarded, tmp_path):
    secured.speak(guarded, secured.login(guarded) | {"debug": "conf,security,broker"})
    guarded.configure("log", level="debug")
    run = load(guarded, tmp_path)
    assert_commands_reach_it(guarded, run)
    assert_not_told(guarded, password_of(ADMIN))
    guarded.stop_all()


def test_a_run_by_certificates(secured, guarded, tmp_path):
    secured.speak(guarded, secured.mutual(guarded))
    load(guarded, tmp_path, bars=200)
    assert "0 differences" in guarded.cli("topics", "check").stdout
    assert_not_told(guarded, SECRET, password_of(ADMIN))


def test_a_password_is_read_from_a_file_that_the_environment_names(secured, guarded):
    settings = secured.login(guarded)
    path = settings.pop("sasl.password_file")
    secured.speak(guarded, settings)
    worker = guarded.spawn("validator", environment={"PENSTOCK_KAFKA_SASL_PASSWORD_FILE": path})
    wait_until(lambda: "penstock topics apply" in worker.log(), 30, lambda: f"it logged in:\n{worker.tail()}")
    assert password_of(ADMIN) not in worker.log()


@pytest.fixture
def newer_library(guarded, tmp_path):
    """The programs with the librdkafka that came with the tests' own client, instead of the system's."""
    folder = os.path.join(os.path.dirname(os.path.dirname(confluent_kafka.__file__)), "confluent_kafka.libs")
    (library,) = glob.glob(os.path.join(folder, "librdkafka-*.so.1"))
    (tmp_path / "lib").mkdir()
    os.symlink(library, tmp_path / "lib" / "librdkafka.so.1")
    guarded.variables["LD_LIBRARY_PATH"] = str(tmp_path / "lib")
    return library


def test_a_full_run_by_scram(secured, guarded, newer_library, tmp_path):
    """By a library of today: the broker refuses what Debian 12's makes of SCRAM."""
    secured.speak(guarded, secured.login(guarded, "SCRAM-SHA-512"))
    run = load(guarded, tmp_path)
    assert_commands_reach_it(guarded, run)
    assert_not_told(guarded, password_of(ADMIN))
    for worker in guarded.workers:
        with open(f"/proc/{worker.pid}/maps") as file:
            assert newer_library in file.read(), worker.name

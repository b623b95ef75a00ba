"""Fixtures of the stage and end-to-end tests."""

import os
import subprocess
import sys

import pytest
from xdist.scheduler import LoadScopeScheduling

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))

from harness.interrupt import clean_up_on_sigterm  # noqa: E402
from harness.pipeline import making  # noqa: E402
from harness.servers import SHARED, TOP, Servers, sweep  # noqa: E402

TOGETHER = (
    "chaos/test_brokers.py",
    "chaos/test_scaling.py",
    "chaos/",
    "e2e/test_api.py",
    "e2e/test_cli.py",
    "e2e/test_database_tls.py",
    "e2e/test_http_limits.py",
    "e2e/test_lag.py",
    "e2e/test_plans.py",
    "e2e/test_roles.py",
    "e2e/test_secured",  # several files, one broker
    "stage/test_install.py",
)


def pytest_configure(config):
    """A session that is told to end runs its clean-up, as after ctrl-c."""
    clean_up_on_sigterm()


@pytest.hookimpl(tryfirst=True)
def pytest_sessionstart(session):
    """With `-n`: servers for all processes of this session, by the one that starts the others."""
    config = session.config
    if config.getoption("numprocesses", None) and not hasattr(config, "workerinput") and not Servers.shared_folder():
        config.common_servers = Servers()
        config.common_servers.start()
        os.environ[SHARED] = config.common_servers.folder


def pytest_unconfigure(config):
    if hasattr(config, "common_servers"):
        del os.environ[SHARED]
        config.common_servers.stop()
        sweep()  # the processes of a session that was interrupted did not stop their own


class Scheduling(LoadScopeScheduling):
    """With `-n`: what shares servers of its own, or a pipeline, stays together in one process; all else is free."""

    def _split_scope(self, nodeid):
        return next((place for place in TOGETHER if nodeid.startswith(place)), nodeid)


def pytest_xdist_make_scheduler(config, log):
    return Scheduling(config, log)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """What the workers said, in the report of a test that failed."""
    report = yield
    if report.failed and call.when == "call":
        for pipeline in getattr(item, "pipelines", []):
            for name, text in pipeline.logs():
                report.sections.append((f"log of {name} ({pipeline.folder})", text))
    return report


@pytest.fixture(scope="session")
def servers():
    """Kafka and PostgreSQL of this session."""
    servers = Servers()
    try:
        servers.start()
        yield servers
    finally:
        servers.stop()


@pytest.fixture
def make_pipeline(servers, request, tmp_path_factory):
    """make_pipeline() as often as a test needs one; all are closed at its end."""
    with making(servers, request, tmp_path_factory) as make:
        yield make


@pytest.fixture
def pipeline(make_pipeline):
    """Topics and tables are there; no worker runs."""
    return make_pipeline().prepare()


@pytest.fixture(scope="session")
def samples():
    """The folder of vendors' files; without it the test is skipped."""
    folder = os.environ.get("PENSTOCK_SAMPLES") or ""
    if not os.path.isdir(folder):
        pytest.skip("samples: skipped (PENSTOCK_SAMPLES names no folder)")
    return folder


@pytest.fixture(scope="session")
def fault_programs():
    """The folder of programs with the points of common/fault.h, built now where they are older than the sources."""
    done = subprocess.run(["make", "-s", "FAULTS=1", "all"], cwd=TOP, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return os.path.join(TOP, "build", "faults", "bin")

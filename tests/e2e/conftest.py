"""Fixtures of the end-to-end tests: the simulated vendor, a pipeline for all tests of a file."""

import pytest
from harness.simulator import Simulator, certificate


@pytest.fixture(scope="session")
def simulator_tls(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        pair = certificate(tmp_path_factory.mktemp("tls"))
        patch.setenv("REQUESTS_CA_BUNDLE", pair[1])
        yield pair


@pytest.fixture(scope="session")
def start_simulator(simulator_tls, tmp_path_factory):
    """start_simulator(options) as often as wanted; all are ended with the session."""
    started = []

    def start(*options, tls=simulator_tls):
        started.append(Simulator(tmp_path_factory.mktemp("simulator"), *options, tls=tls))
        return started[-1]

    yield start
    for simulator in started:
        assert simulator.stop() == 0, simulator.tail()
        assert "Sanitizer" not in simulator.log(), simulator.tail(80)


@pytest.fixture(scope="session")
def simulator(start_simulator):
    return start_simulator("--seed", 7)


@pytest.fixture
def clean(simulator):
    """Without faults, changes and counts of earlier tests."""
    for what in ("faults", "meter", "history"):
        simulator.control("DELETE", what)
    return simulator


@pytest.fixture
def vendor(clean):
    """The vendor's own client."""
    return clean.client()


@pytest.fixture
def up(once, request):
    """A file's `once`, the pipeline of all its tests, whose logs are shown where this one fails."""
    request.node.pipelines = [once]
    return once

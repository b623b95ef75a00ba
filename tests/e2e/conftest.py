"""Fixtures of the end-to-end tests: the simulated vendor, a pipeline for all tests of a file, a broker that asks who one is."""

import pytest
from harness.authority import Authority
from harness.pipeline import making
from harness.secured import AUDIENCE, ISSUER, Secured
from harness.simulator import Simulator, certificate
from harness.tokens import SigningKey, TokenServer


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


@pytest.fixture(scope="session")
def authority(tmp_path_factory):
    """Vouches for the secured broker and for the token endpoint."""
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="session")
def token_server(authority, tmp_path_factory):
    server = TokenServer(authority, SigningKey(tmp_path_factory.mktemp("tokens")), ISSUER, AUDIENCE)
    yield server
    server.close()


@pytest.fixture
def tokens(token_server):
    """Without what earlier tests asked for."""
    token_server.reset()
    return token_server


@pytest.fixture(scope="session")
def secured(servers, authority, token_server):
    """A broker with TLS, SASL and an authorizer, for all tests of a session."""
    broker = Secured(servers, authority, token_server.key.jwks())
    try:
        yield broker.start()
    finally:
        broker.stop()


@pytest.fixture
def make_guarded(secured, request, tmp_path_factory):
    """make_pipeline() on the secured broker."""
    with making(secured, request, tmp_path_factory) as make:
        yield make


@pytest.fixture
def guarded(make_guarded):
    """A configuration that reaches the secured broker in no way yet; neither topics nor tables."""
    return make_guarded()

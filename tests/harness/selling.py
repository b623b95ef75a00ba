"""Fixtures of tests that load what the simulated vendor sells: it, by itself, and a pipeline that knows it."""

import pytest

from harness.simulator import KEY, Simulator


@pytest.fixture
def vendor(tmp_path):
    with Simulator(tmp_path, "--seed", 7) as simulator:
        yield simulator


@pytest.fixture
def started(pipeline, vendor, monkeypatch):
    """started(subscription, ...): a pipeline whose fetcher and command line know the simulator."""
    monkeypatch.setenv("DATABENTO_API_KEY", KEY)
    monkeypatch.setenv("DATABENTO_GATEWAY", vendor.url)

    def start(*subscriptions):
        pipeline.subscriptions = list(subscriptions)
        pipeline.write_subscriptions()
        return pipeline.start_all()

    return start

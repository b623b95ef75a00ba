"""A fetcher and the vendor that it is to ask; what the loader reads."""

import pytest
from harness.records import Codec
from harness.simulator import KEY, Simulator
from harness.windows import QUICK


@pytest.fixture
def clean():
    """Of clean bars."""
    return Codec("ohlcv_clean")


@pytest.fixture
def simulator(tmp_path):
    with Simulator(tmp_path, "--seed", 7) as vendor:
        yield vendor


@pytest.fixture
def fetch(pipeline, simulator):
    """Starts a fetcher that knows the simulator."""

    def start(**settings):
        words = [word for key, value in (QUICK | settings).items() for word in ("--set", f"{key}={value}")]
        environment = {"DATABENTO_API_KEY": KEY, "DATABENTO_GATEWAY": simulator.url}
        return pipeline.spawn("fetcher", *words, environment=environment).wait_ready()

    return start

"""Without an engine nothing is started, and that is said."""

import pytest
from containers import why_not


@pytest.fixture(scope="session", autouse=True)
def engine():
    if reason := why_not():
        pytest.skip(f"{reason}: no container was started")


def started(folder, *overlays):
    containers = Containers(folder, *overlays)
    containers.build()
    return containers

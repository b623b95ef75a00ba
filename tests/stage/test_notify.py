"""What workers tell the service manager: readiness as /readyz has it, what they wait for, that their loop turns."""

import os
import socket

import pytest
from harness.pipeline import KINDS
from harness.waiting import remains, wait_until

WATCHDOG_SECONDS = 1.5
SECONDS = 30


class Manager:
    """Where systemd would listen."""

    def __init__(self, folder):
        self.path = os.path.join(folder, "notify")
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.path)
        self.socket.setblocking(False)
        self.told = []

    @property
    def environment(self):
        return {"NOTIFY_SOCKET": self.path, "WATCHDOG_USEC": str(int(WATCHDOG_SECONDS * 1e6))}

    def read(self):
        while True:
            try:
                self.told += self.socket.recv(4096).decode().splitlines()
            except BlockingIOError:
                return self.told

    def wait(self, line, count=1):
        wait_until(lambda: self.read().count(line) >= count, SECONDS, lambda: f"{count} times {line}: {self.told}")


@pytest.fixture
def manager(tmp_path_factory):
    manager = Manager(tmp_path_factory.mktemp("n"))
    yield manager
    manager.socket.close()


@pytest.mark.parametrize("kind", KINDS)
def test_a_worker_tells_when_it_is_ready_and_when_it_stops(pipeline, manager, kind):
    worker = pipeline.spawn(kind, environment=manager.environment)
    manager.wait("READY=1")
    assert worker.is_ready()
    waited = manager.told[: manager.told.index("READY=1")]
    assert waited and all(line.startswith("STATUS=") or line == "WATCHDOG=1" for line in waited)
    manager.wait("WATCHDOG=1", 3)
    assert worker.stop() == 0
    manager.wait("STOPPING=1")
    assert manager.told.count("READY=1") == 1


def test_nobody_is_told_that_it_is_ready_while_the_broker_is_away(pipeline, servers, manager):
    nowhere = f"127.0.0.1:{servers.free_port()}"
    pipeline.configure("kafka", **{"bootstrap.servers": nowhere})
    worker = pipeline.spawn("transformer", environment=manager.environment)
    manager.wait("STATUS=waiting for the broker")
    assert not worker.is_ready() and "READY=1" not in manager.read()
    assert worker.stop() == 0
    assert "READY=1" not in manager.read() and "STOPPING=1" in manager.told


def test_a_loop_that_stands_still_does_not_beat(pipeline, manager):
    worker = pipeline.spawn("loader", environment=manager.environment)
    manager.wait("WATCHDOG=1", 2)
    worker.pause()
    manager.read()
    beats = manager.told.count("WATCHDOG=1")
    remains(lambda: manager.read().count("WATCHDOG=1") == beats, 2 * WATCHDOG_SECONDS, "no beat comes")
    worker.resume()
    manager.wait("WATCHDOG=1", beats + 1)
    assert worker.stop() == 0

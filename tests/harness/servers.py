"""Kafka and PostgreSQL of one test session: ops/local/stack in a folder of its own, on free ports.

PENSTOCK_TEST_STACK=FOLDER uses a stack that runs already (`ops/local/stack --dir FOLDER up --only kafka,postgres`) and
leaves it running: quicker while tests are being written.
"""

import itertools
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile

import psycopg
from harness.waiting import wait_until
from psycopg import sql

TOP = os.path.realpath(os.path.join(os.path.dirname(__file__), "..", ".."))
sys.path.insert(0, os.path.join(TOP, "ops", "local"))

from local_stack.place import Place  # noqa: E402
from local_stack.postgres import Postgres  # noqa: E402
from local_stack.process import PidFile, port_is_free  # noqa: E402

STACK = os.path.join(TOP, "ops", "local", "stack")
SHARED = "PENSTOCK_TEST_STACK"
START_SECONDS = 240
STOP_SECONDS = 90
DROP_SECONDS = 30
FIRST_PORT, PORTS, PORT_RANGES = 12_000, 1000, 8  # below those of a stack's servers


def stack(folder, *arguments, seconds=START_SECONDS):
    done = subprocess.run(
        [sys.executable, STACK, "--dir", folder, *arguments], capture_output=True, text=True, timeout=seconds
    )
    if done.returncode:
        raise RuntimeError(f"stack {' '.join(arguments)}: {done.stderr or done.stdout}")
    return done.stdout


def session_folders():
    return os.path.join(tempfile.gettempdir(), f"penstock-tests-{os.getuid()}")


def remove(folder):
    stack(folder, "down", "--purge", seconds=STOP_SECONDS)
    shutil.rmtree(folder, ignore_errors=True)


def unmount_below(folder):
    """What a chaos test had mounted when it was killed would keep the folder from being removed."""
    with open("/proc/mounts") as mounts:
        points = [line.split()[1] for line in mounts]
    for point in points:
        if folder and point.startswith(folder + "/"):
            subprocess.run(["umount", "--lazy", point], check=False)


def sweep():
    """Servers of sessions that were killed: their folder names a process that is gone."""
    base = session_folders()
    for name in os.listdir(base) if os.path.isdir(base) else []:
        folder = os.path.join(base, name)
        if PidFile(os.path.join(folder, "session.pid")).pid() is None:
            unmount_below(Postgres(Place(folder)).outside)
            remove(folder)


def own_ports():
    """Of this process; in another order each time, as there may be other sessions."""
    number = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % PORT_RANGES
    first = FIRST_PORT + number * PORTS
    return random.sample(range(first, first + PORTS), PORTS)


class Servers:
    def __init__(self, own=False):
        """own: never those of PENSTOCK_TEST_STACK."""
        shared = None if own else self.shared_folder()
        self.shared = bool(shared)
        if shared:
            self.folder = os.path.realpath(shared)
        else:
            os.makedirs(session_folders(), mode=0o700, exist_ok=True)
            sweep()
            self.folder = tempfile.mkdtemp(dir=session_folders())
            PidFile(os.path.join(self.folder, "session.pid")).write(os.getpid())
        self.next_number = 0
        self.ports = itertools.cycle(own_ports())

    @staticmethod
    def shared_folder():
        return os.environ.get(SHARED)

    def start(self, *options):
        if not self.shared:
            stack(self.folder, "up", "--only", "kafka,postgres", "--throwaway", *options)
        self.place = Place(self.folder)
        self.postgres = Postgres(self.place)
        if not self.place.ports:
            raise RuntimeError(f"PENSTOCK_TEST_STACK={self.folder}: there is no stack")
        self.kafka = self.place.bootstrap()

    def stop(self):
        if not self.shared:
            remove(self.folder)

    def kill(self, name):
        pid = PidFile(self.place.run(name)).pid()
        assert pid, f"{name} does not run"
        os.kill(pid, signal.SIGKILL)
        PidFile(self.place.run(name)).stop([(signal.SIGKILL, STOP_SECONDS)])

    def restart(self, name, signal_name="TERM"):
        """Stops one server (kafka, kafka-2, postgres), hard with KILL, and starts it again on the same port and data."""
        if signal_name == "KILL":
            self.kill(name)
        else:
            assert PidFile(self.place.run(name)).pid(), f"{name} does not run"
            PidFile(self.place.run(name)).stop([(signal.SIGTERM if name.startswith("kafka") else signal.SIGINT, 30)])
        refusals = []
        wait_until(lambda: self.comes_up(refusals), START_SECONDS, lambda: f"{name} starts again: {refusals[-1]}")

    def comes_up(self, refusals):
        """PostgreSQL refuses to start as long as a backend of the one that was killed is still there."""
        try:
            stack(self.folder, "up", "--only", "kafka,postgres", "--throwaway")
        except RuntimeError as refusal:
            refusals.append(refusal)
            return False
        return True

    def unique(self, stem):
        """A name that no other test of this session, and no earlier session on a shared stack, has."""
        self.next_number += 1
        return f"{stem}{os.getpid()}_{self.next_number}"

    def free_port(self):
        """It is taken a while after it was chosen: none is chosen twice, nor by another process of this session."""
        return next(port for port in self.ports if port_is_free(port))

    def dsn(self, database="penstock"):
        return self.postgres.dsn(database)

    def create_database(self, name):
        with psycopg.connect(self.dsn(), autocommit=True) as connection:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))

    def drop_database(self, name):
        """An autovacuum that is at work there is not ours to end: FORCE is refused until it has finished."""
        statement = sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name))

        def dropped():
            try:
                connection.execute(statement)
            except psycopg.errors.InsufficientPrivilege:
                return False
            return True

        with psycopg.connect(self.dsn(), autocommit=True) as connection:
            wait_until(dropped, DROP_SECONDS, f"database {name} is dropped")

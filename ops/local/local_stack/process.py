"""Background processes that outlive the command that started them, and the files that find them again.

A pid file holds the pid, the process's start time and the boot it belongs to, so a number that was given to another
process since is never signalled.
"""

import json
import os
import random
import signal
import socket
import subprocess
import time


class Problem(Exception):
    """What failed, for a person. `log` is the file whose last lines explain it."""

    def __init__(self, text, log=None):
        super().__init__(text)
        self.log = log


def write_atomic(path, text, mode=0o644):
    new = f"{path}.new"
    with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "w") as file:
        os.fchmod(file.fileno(), mode)
        file.write(text)
    os.replace(new, path)


def read_json(path):
    try:
        with open(path) as file:
            return json.load(file)
    except (FileNotFoundError, ValueError):
        return {}


def boot_id():
    with open("/proc/sys/kernel/random/boot_id") as file:
        return file.read().strip()


def start_time(pid):
    """In ticks since boot; None where there is no such process, or only its corpse."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            fields = file.read().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] in "ZX" else int(fields[19])


def resident_bytes(pid):
    try:
        with open(f"/proc/{pid}/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (FileNotFoundError, ProcessLookupError):
        return 0


class PidFile:
    def __init__(self, path):
        self.path = path

    def write(self, pid):
        write_atomic(self.path, json.dumps({"pid": pid, "start": start_time(pid), "boot": boot_id()}) + "\n")

    def remove(self):
        try:
            os.unlink(self.path)
        except FileNotFoundError:
            pass

    def pid(self):
        """The pid of the process that this file was written for, while it lives."""
        kept = read_json(self.path)
        if not kept.get("start") or kept.get("boot") != boot_id():
            return None
        return kept["pid"] if start_time(kept["pid"]) == kept["start"] else None

    def stop(self, steps):
        """steps: (signal, seconds to wait for the end), one after the other. Harmless where nothing runs."""
        for number, seconds in steps:
            pid = self.pid()
            if pid is None:
                break
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                break
            wait_until(lambda: self.pid() is None, seconds)
        if self.pid() is not None:
            raise Problem(f"process {self.pid()} does not end, not even by SIGKILL ({self.path})")
        self.remove()


def wait_until(condition, seconds, pause=0.05):
    """The condition's first true value; what it said last when the time is over."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value or time.monotonic() >= deadline:
            return value
        time.sleep(pause)


def launch(pidfile, argv, log, env, **options):
    """Starts argv in a session of its own, its output appended to `log`."""
    with open(log, "ab") as output:
        child = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=env,
            cwd="/",
            start_new_session=True,
            **options,
        )
    pidfile.write(child.pid)
    return child


def clean_environment(**more):
    """This process's environment without what would lead the local stack to somebody else's Kafka or PostgreSQL."""
    foreign = ("PG", "PENSTOCK_KAFKA_", "PENSTOCK_DATABASE_", "PENSTOCK_API_", "PENSTOCK_TOPICS_")
    kept = {key: value for key, value in os.environ.items() if not key.startswith(foreign)}
    return kept | more


def port_is_free(port):
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def choose_port(preferred, taken, seconds=0):
    """The preferred port, waited for that long, else one below the range that the kernel gives to outgoing connections."""
    if preferred and preferred not in taken and wait_until(lambda: port_is_free(preferred), seconds):
        return preferred
    for port in random.sample(range(20000, 32000), 200):
        if port not in taken and port_is_free(port):
            return port
    raise Problem("no free port found on 127.0.0.1 between 20000 and 32000")


def tail(path, lines=15):
    try:
        with open(path, "rb") as file:
            file.seek(max(0, os.path.getsize(path) - 16384))
            return file.read().decode("utf-8", "replace").splitlines()[-lines:]
    except FileNotFoundError:
        return []


TERMINATE = (signal.SIGTERM, 10)
KILL = (signal.SIGKILL, 10)

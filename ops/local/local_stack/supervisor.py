"""Keeps the workers running, as systemd would: one process, started in the background by `stack up`.

A worker's exit code says what to do: 3 or a crash, start it again, with a back-off; 0, 2 and 4, leave it and report.
SIGHUP reads how many of each are wanted; SIGTERM stops them all and ends.
"""

import json
import os
import random
import shutil
import signal
import subprocess
import time

from local_stack.place import LOG_BYTES_MAX
from local_stack.process import PidFile, clean_environment, launch, read_json, write_atomic

BACKOFF_SECONDS_MAX = 30
STEADY_SECONDS = 60  # one that ran for so long starts again at once, with the shortest back-off
STOP_SECONDS = 10
TICK_SECONDS = 5
STARTING_TICK_SECONDS = 0.1
FINAL = {0: "ended", 2: "wrong configuration", 4: "gave up"}


class Worker:
    def __init__(self, place, kind, number):
        self.place = place
        self.kind = kind
        self.name = f"{kind}-{number}"
        self.number = number
        self.pidfile = PidFile(place.run(self.name))
        self.child = None
        self.restarts = 0
        self.backoff = 1
        self.due = 0
        self.state = "stopped"
        self.exit = None
        self.port = None
        self.since = time.time()

    def start(self):
        log = self.place.log(self.name)
        # The first orchestrator has the port that the CLI knows; a stand-by of it takes any.
        extra = ["--set", "http.port=0"] if self.kind == "orchestrator" and self.number > 1 else []
        argv = [self.place.program("penstock-" + self.kind), "--config", self.place.config, *extra]
        self.place.trim_log(self.name)
        self.log_from = os.path.getsize(log) if os.path.exists(log) else 0
        self.port = None
        unblock = lambda: signal.pthread_sigmask(signal.SIG_SETMASK, [])  # noqa: E731
        self.child = launch(self.pidfile, argv, log, clean_environment(), preexec_fn=unblock)
        self.state, self.since = "running", time.time()

    def is_outdated(self):
        """Its program was built anew since it started."""
        try:
            return bool(self.child) and os.readlink(f"/proc/{self.child.pid}/exe").endswith(" (deleted)")
        except OSError:
            return False

    def find_port(self):
        try:
            with open(self.place.log(self.name), "rb") as file:
                file.seek(self.log_from)
                for line in file.read(65536).splitlines():
                    if b'"http_listening"' in line:
                        self.port = json.loads(line)["context"]["port"]
        except (OSError, ValueError, KeyError):
            pass

    def reap(self):
        """True where the state changed."""
        if not self.child or self.child.poll() is None:
            return False
        self.exit, self.child = self.child.returncode, None
        self.pidfile.remove()
        lived, self.since = time.time() - self.since, time.time()
        if self.exit in FINAL:
            self.state = FINAL[self.exit]
            return True
        self.backoff = 1 if lived > STEADY_SECONDS else min(self.backoff * 2, BACKOFF_SECONDS_MAX)
        self.due = time.monotonic() + self.backoff * random.uniform(0.5, 1)
        self.state = "waiting to start again"
        return True

    def restart_when_due(self):
        if self.state != "waiting to start again" or time.monotonic() < self.due:
            return False
        self.restarts += 1
        self.start()
        return True

    def report(self):
        return {
            "state": self.state,
            "pid": self.child.pid if self.child else None,
            "port": self.port,
            "exit": self.exit,
            "restarts": self.restarts,
            "since": self.since,
        }


def trim(path):
    """The writers keep the file open to append: its content moves, the file stays."""
    try:
        if os.path.getsize(path) > LOG_BYTES_MAX:
            shutil.copyfile(path, path + ".1")
            os.truncate(path, 0)
    except FileNotFoundError:
        pass


class Supervisor:
    def __init__(self, place):
        self.place = place
        self.workers = {}

    def scale(self):
        """Does what run/scale.json asks for, and says so: the command that asked waits for it."""
        asked = read_json(self.place.path("run", "scale.json"))
        wanted = {}
        for kind, count in asked["wanted"].items():
            for number in range(1, count + 1):
                wanted[f"{kind}-{number}"] = (kind, number)
        stop([self.workers.pop(name) for name in set(self.workers) - set(wanted)])
        stop([worker for worker in self.workers.values() if worker.is_outdated()])
        for name, (kind, number) in wanted.items():
            worker = self.workers.setdefault(name, Worker(self.place, kind, number))
            if worker.state not in ("running", "waiting to start again"):
                worker.start()
        self.report()
        write_atomic(self.place.path("run", "scaled"), asked["request"])

    def report(self):
        table = {name: worker.report() for name, worker in self.workers.items()}
        write_atomic(self.place.path("run", "workers.json"), json.dumps(table, indent=1) + "\n")

    def tick(self):
        changed = [worker.reap() | worker.restart_when_due() for worker in self.workers.values()]
        for worker in self.workers.values():
            if worker.child and worker.port is None:
                worker.find_port()
                changed.append(worker.port is not None)
        if any(changed):
            self.report()

    def wait_seconds(self):
        searching = any(worker.child and worker.port is None for worker in self.workers.values())
        due = [
            worker.due - time.monotonic()
            for worker in self.workers.values()
            if worker.state == "waiting to start again"
        ]
        return max(0.01, min([STARTING_TICK_SECONDS if searching else TICK_SECONDS, *due]))

    def run(self):
        signals = {signal.SIGCHLD, signal.SIGHUP, signal.SIGTERM}
        signal.pthread_sigmask(signal.SIG_BLOCK, signals)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        self.scale()
        trimmed = time.monotonic()
        while True:
            got = signal.sigtimedwait(signals, self.wait_seconds())
            if got and got.si_signo == signal.SIGTERM:
                break
            if got and got.si_signo == signal.SIGHUP:
                self.scale()
            self.tick()
            if time.monotonic() - trimmed > TICK_SECONDS:
                trimmed = time.monotonic()
                for name in (*self.place.broker_names(), "postgres", *self.workers):
                    trim(self.place.log(name))
        stop(self.workers.values())
        self.report()


def stop(workers):
    running = [worker for worker in workers if worker.child]
    for worker in running:
        worker.child.send_signal(signal.SIGTERM)
    deadline = time.monotonic() + STOP_SECONDS
    for worker in running:
        try:
            worker.child.wait(max(0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            worker.child.kill()
            worker.child.wait()
        worker.exit, worker.child, worker.state = worker.child.returncode, None, "stopped"
        worker.pidfile.remove()

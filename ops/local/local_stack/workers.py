"""The workers of a stack, seen from the command line: wanted counts, the supervisor behind them, readiness, status."""

import json
import os
import secrets
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request

from local_stack.process import (
    KILL,
    PidFile,
    Problem,
    clean_environment,
    launch,
    read_json,
    start_time,
    wait_until,
    write_atomic,
)
from local_stack.supervisor import STOP_SECONDS

KINDS = ("orchestrator", "fetcher", "validator", "transformer", "loader")
READY_SECONDS = 60
PREPARE_SECONDS = 120
AGAIN = 3  # a program's exit code: start me again later
SUCCESS = "success"


class Workers:
    def __init__(self, place):
        self.place = place
        self.pidfile = PidFile(place.run("supervisor"))
        self.scale_file = place.path("run", "scale.json")

    def running(self):
        return self.pidfile.pid()

    def table(self):
        return read_json(self.place.path("run", "workers.json"))

    def prepare(self):
        """Topics and tables, through the product's own commands."""
        for name, arguments in (("topics", ["topics", "apply"]), ("database", ["db", "migrate"])):
            code = wait_until(lambda what=arguments, log=name: self.run(what, log), PREPARE_SECONDS, 0.5)
            if code != SUCCESS:
                raise Problem(
                    f"penstock {' '.join(arguments)} failed (exit code {code or AGAIN})", self.place.log(name)
                )

    def run(self, arguments, name):
        """The exit code; None for the one that says: once more."""
        log = self.place.log(name)
        with open(log, "ab") as output:
            try:
                done = subprocess.run(
                    [self.place.program("penstock"), *arguments],
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    env=clean_environment(PENSTOCK_CONFIG=self.place.config),
                    timeout=PREPARE_SECONDS,
                )
            except subprocess.TimeoutExpired:
                raise Problem(f"penstock {' '.join(arguments)} took longer than {PREPARE_SECONDS} s", log) from None
        return None if done.returncode == AGAIN else done.returncode or SUCCESS

    def start(self, scale):
        """Brings the counts to `scale`, whether or not some run already."""
        for kind in scale:
            self.place.program("penstock-" + kind)
        self.request = secrets.token_hex(8)
        write_atomic(self.scale_file, json.dumps({"request": self.request, "wanted": scale}) + "\n")
        if pid := self.running():
            os.kill(pid, signal.SIGHUP)
            return
        self.stop_orphans()
        write_atomic(self.place.path("run", "workers.json"), "{}\n")
        stack = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "stack")
        launch(
            self.pidfile,
            [sys.executable, stack, "--dir", self.place.dir, "supervise"],
            self.place.log("supervisor"),
            clean_environment(),
        )

    def is_ready(self, name):
        entry = self.table().get(name, {})
        if entry.get("state") != "running" or not entry.get("port"):
            return False
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{entry['port']}/readyz", timeout=3) as answer:
                return answer.status == 200
        except (OSError, urllib.error.URLError):
            return False

    def wait(self, scale):
        """Until every worker says that it is ready. One that is ready once is not asked again."""
        waiting = [f"{kind}-{number}" for kind, count in scale.items() for number in range(1, count + 1)]
        deadline = time.monotonic() + READY_SECONDS
        wait_until(lambda: self.is_scaled() or not self.running(), READY_SECONDS)
        for name in waiting:
            self.wait_for(name, deadline - time.monotonic())

    def is_scaled(self):
        try:
            with open(self.place.path("run", "scaled")) as file:
                return file.read() == self.request
        except FileNotFoundError:
            return False

    def wait_for(self, name, seconds):
        wait_until(lambda: self.is_ready(name) or self.has_ended(name), seconds, 0.1)
        if not self.is_ready(name):
            raise Problem(self.explain(name), self.place.log(name if self.table().get(name) else "supervisor"))

    def has_ended(self, name):
        if not self.running():
            return True
        entry = self.table().get(name)
        return bool(entry) and entry["pid"] is None and entry["state"] != "waiting to start again"

    def explain(self, name):
        entry = self.table().get(name)
        if not self.running():
            return "the workers' supervisor ended"
        if not entry or entry["state"] == "running":
            return f"{name} was not ready within {READY_SECONDS} s"
        return f"{name}: {entry['state']} (exit code {entry['exit']})"

    def stop(self):
        self.pidfile.stop([(signal.SIGTERM, STOP_SECONDS + 5), KILL])
        self.stop_orphans()

    def stop_orphans(self):
        """Workers of a supervisor that was killed."""
        orphans = [PidFile(self.place.run(name)) for name in self.table()]
        for orphan in orphans:
            if pid := orphan.pid():
                os.kill(pid, signal.SIGTERM)
        for orphan in orphans:
            orphan.stop([(signal.SIGTERM, STOP_SECONDS), KILL])

    def alive(self, entry):
        return entry.get("pid") and start_time(entry["pid"]) is not None

"""One program of the pipeline under test: started with its output in a file, found by its log, always ended."""

import ctypes
import json
import os
import signal
import subprocess

import requests

from harness.waiting import patient, wait_until

READY_SECONDS = 30
STOP_SECONDS = 15
PR_SET_PDEATHSIG = 1

libc = ctypes.CDLL(None, use_errno=True)


def die_with_parent():
    """In the child: it does not outlive a test session that is killed."""
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class Worker:
    def __init__(self, kind, name, argv, env, folder):
        self.kind = kind
        self.name = name
        self.log_path = os.path.join(folder, name + ".log")
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                argv, env=env, cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log, preexec_fn=die_with_parent
            )
        self.kept_port = None

    @property
    def pid(self):
        return self.process.pid

    @property
    def running(self):
        return self.process.poll() is None

    # --- its log -----------------------------------------------------------------------------------------------------
    def log(self):
        with open(self.log_path, errors="replace") as file:
            return file.read()

    def lines(self):
        """Its log lines as objects; what is no JSON (a crash, a sanitizer) is left out, see log()."""
        found = []
        for line in self.log().splitlines():
            try:
                entry = json.loads(line)
            except ValueError:
                continue
            if isinstance(entry, dict):
                found.append(entry)
        return found

    def events(self, event):
        return [line for line in self.lines() if line.get("event") == event]

    def wait_event(self, event, seconds=READY_SECONDS, count=1):
        return wait_until(
            lambda: len(found := self.events(event)) >= count and found,
            seconds,
            lambda: f"{count} times {event} in the log of {self.name}:\n{self.tail()}",
        )

    def tail(self, lines=30):
        return "\n".join(self.log().splitlines()[-lines:])

    # --- its HTTP server ---------------------------------------------------------------------------------------------
    @property
    def port(self):
        if self.kept_port is None:
            found = self.events("http_listening")
            self.kept_port = found[-1]["context"]["port"] if found else None
        return self.kept_port

    def get(self, path):
        return requests.get(f"http://127.0.0.1:{self.port}{path}", timeout=10)

    def is_ready(self):
        if not self.port:
            return False
        try:
            return self.get("/readyz").status_code == 200
        except requests.ConnectionError:
            return False

    def wait_ready(self, seconds=READY_SECONDS):
        wait_until(
            lambda: self.is_ready() or not self.running, seconds, lambda: f"{self.name} is ready:\n{self.tail()}"
        )
        assert self.running, f"{self.name} ended with exit code {self.process.returncode}:\n{self.tail()}"
        return self

    def metrics(self):
        """Name with labels, as it stands in the text, to number."""
        table = {}
        for line in self.get("/metrics").text.splitlines():
            if line and not line.startswith("#"):
                name, value = line.rsplit(" ", 1)
                table[name] = float(value)
        return table

    def resident_bytes(self):
        with open(f"/proc/{self.pid}/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    # --- its end -----------------------------------------------------------------------------------------------------
    def wait_exit(self, seconds=STOP_SECONDS):
        try:
            return self.process.wait(patient(seconds))
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.name} did not end within {patient(seconds)} s:\n{self.tail()}") from None

    def stop(self, seconds=STOP_SECONDS):
        """Asks it to end, as an operator does; its exit code."""
        if self.running:
            self.process.send_signal(signal.SIGTERM)
        return self.wait_exit(seconds)

    def kill(self):
        if self.running:
            self.process.kill()
        return self.process.wait()

    def pause(self):
        self.process.send_signal(signal.SIGSTOP)

    def resume(self):
        self.process.send_signal(signal.SIGCONT)

"""Keeps the workers running, as a supervisor does: exit code 3 and kills are restarted, all else is a finding.

There is no thread behind it: whoever waits, waits with `fleet.wait`, which looks after the workers meanwhile.
"""

import glob
import os
import signal
import time

from harness.waiting import POLL_SECONDS, wait_until
from harness.worker import READY_SECONDS

LIBRARY_ASSERTION = "rd_kafka_txn_handle_AddPartitionsToTxn: Assertion"
AGAIN = 3
BACKOFF_FIRST_SECONDS = 0.1
BACKOFF_MAX_SECONDS = 2.0
STEADY_SECONDS = 5.0  # who ran this long starts with the first back-off again
RESTARTS_MAX = 25  # of one seat in one round: more is a crash loop
END_SECONDS = 20


class Seat:
    """A place for one worker; whoever sits in it changes."""

    def __init__(self, kind, number, arguments=(), environment=None):
        self.kind = kind
        self.number = number
        self.arguments = list(arguments)
        self.environment = dict(environment or {})
        self.worker = None
        self.since = 0.0
        self.due = 0.0
        self.backoff = BACKOFF_FIRST_SECONDS
        self.restarts = 0
        self.held = False

    @property
    def running(self):
        return self.worker is not None and self.worker.running

    @property
    def stopped(self):
        """By SIGSTOP."""
        try:
            with open(f"/proc/{self.worker.pid}/stat") as file:
                return self.running and file.read().rpartition(")")[2].split()[0] == "T"
        except (AttributeError, FileNotFoundError, ProcessLookupError):
            return False


class Fleet:
    def __init__(self, pipeline, scale, faults_folder, defects=None):
        """defects: kind: the mistake of common/fault.h that its workers make."""
        self.pipeline = pipeline
        self.defects = defects or {}
        self.faults_folder = faults_folder
        self.findings = []
        self.allowed = {}  # kind: exit codes that an operator has to look at, and that are expected now
        self.killed = set()
        self.seats = [self.seat(kind, number) for kind, count in scale.items() for number in range(count)]

    def seat(self, kind, number):
        own_port = kind == "orchestrator" and number == 0
        arguments = ("--set", f"http.port={self.pipeline.api_port if own_port else 0}")
        environment = {"PENSTOCK_FAULTS": self.faults_folder}
        if kind in self.defects:
            environment["PENSTOCK_DEFECT"] = self.defects[kind]
        return Seat(kind, number, arguments, environment)

    def of(self, kind):
        return [seat for seat in self.seats if seat.kind == kind]

    def running(self, kind=None):
        return [seat for seat in self.seats if seat.running and kind in (None, seat.kind)]

    # --- looking after them ------------------------------------------------------------------------------------------
    def sit(self, seat):
        seat.worker = self.pipeline.spawn(seat.kind, *seat.arguments, environment=seat.environment)
        seat.since = time.monotonic()

    def start(self):
        for seat in self.seats:
            self.sit(seat)
        for seat in self.seats:
            if not (seat.kind == "orchestrator" and seat.number > 0):
                seat.worker.wait_ready(READY_SECONDS)
        return self

    def tend(self):
        now = time.monotonic()
        for seat in self.seats:
            if seat.worker is None:
                if not seat.held and now >= seat.due:
                    self.sit(seat)
            elif not seat.worker.running:
                self.ended(seat, now)

    def ended(self, seat, now):
        worker, seat.worker = seat.worker, None
        code = worker.process.returncode
        if seat.held and (code == 0 or (code == -signal.SIGTERM and not worker.lines())):
            return  # told to end: in good order, or before it had begun and knew what to do with the signal
        if code in self.allowed.get(seat.kind, ()):
            seat.held = True  # until somebody looked
            return
        if code != AGAIN and not (code == -signal.SIGKILL and self.is_ours(worker.pid)) and not ended_by_library(worker):
            self.findings.append(f"{worker.name} ended with code {code}: {last_words(worker)}")
        if now - seat.since >= STEADY_SECONDS:
            seat.backoff = BACKOFF_FIRST_SECONDS
        seat.restarts += 1
        if seat.restarts == RESTARTS_MAX:
            self.findings.append(f"{seat.kind} was restarted {RESTARTS_MAX} times: {last_words(worker)}")
        seat.due = now + seat.backoff
        seat.backoff = min(seat.backoff * 2, BACKOFF_MAX_SECONDS)

    def is_ours(self, pid):
        """Killed by this harness, or by itself at a point of common/fault.h."""
        return pid in self.killed or bool(glob.glob(os.path.join(self.faults_folder, f"*.taken.{pid}")))

    def wait(self, condition, seconds, what, every=POLL_SECONDS):
        """What is found does not go away by waiting."""

        def step():
            self.tend()
            assert not self.findings, "see what was found"
            return condition()

        return wait_until(step, seconds, what, every)

    def new_round(self):
        """What was found since the last call, by the way."""
        found, self.findings = self.findings, []
        for seat in self.seats:
            seat.restarts = 0
        return found

    # --- what faults do to them --------------------------------------------------------------------------------------
    def kill(self, seat):
        self.killed.add(seat.worker.pid)
        seat.worker.kill()

    def hold(self, kind):
        """Stops all of a kind, as an operator does, until they are released."""
        for seat in self.of(kind):
            seat.held = True
            if seat.running:
                seat.worker.process.terminate()
        self.wait(lambda: not self.running(kind), END_SECONDS, f"every {kind} has ended")

    def release(self, *kinds):
        for seat in self.seats:
            if not kinds or seat.kind in kinds:
                seat.held = False
                seat.due = 0.0
        self.tend()

    def stop(self):
        """Everybody ends by SIGTERM; what does not is a finding."""
        for seat in self.seats:
            seat.held = True
            if seat.running:
                seat.worker.resume()
                seat.worker.process.terminate()
        self.wait(lambda: not self.running(), END_SECONDS, lambda: f"{[s.worker.name for s in self.running()]} end")


def ended_by_library(worker):
    """librdkafka 2.0.2 ends the process where an answer about a transaction comes after it was given up: a crash like any other."""
    return worker.process.returncode == -signal.SIGABRT and LIBRARY_ASSERTION in worker.tail(1)


def last_words(worker):
    lines = [line.get("message", "") for line in worker.lines() if line.get("level") in ("ERROR", "CRITICAL")]
    return lines[-1] if lines else worker.tail(1)

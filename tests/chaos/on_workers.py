"""Faults of one worker: killed, or stopped until it is thrown out and then continued: a zombie."""

import glob
import os

from chaos.fault import SEEN_SECONDS, Fault

SESSION_SECONDS = 40  # until a group is without a silent member, generously
LINGER_SECONDS = 1.0

POINTS = {
    "fetcher": ("before_commit", "after_commit"),
    "validator": ("before_commit", "after_commit"),
    "transformer": ("before_commit", "after_commit"),
    "loader": ("before_begin", "effects_written", "before_commit", "after_commit"),
    "orchestrator": ("sending", "produced", "before_events_commit", "after_events_commit"),
}


class AtPoint(Fault):
    """The first worker that passes a named point does something to itself."""

    what = "kill"
    moments = (0.0, 0.3)

    def __init__(self, name, place, chance, kind, point):
        super().__init__(name, place, chance)
        self.kind = kind
        self.armed = os.path.join(place.faults_folder, f"{kind}.{point}")

    def inject(self):
        with open(self.armed + ".new", "w") as file:
            file.write(self.what)
        os.rename(self.armed + ".new", self.armed)

    def taken(self):
        return glob.glob(self.armed + ".taken.*")

    def wait_taken(self):
        """The process that took it."""
        (path,) = self.place.keep_busy(self.taken, SEEN_SECONDS, lambda: f"somebody passes {self.armed}")
        return int(path.rpartition(".")[2])

    def wait_stopped(self):
        """Its seat; None where another fault killed it meanwhile."""
        pid = self.wait_taken()

        def seat():
            return next((each for each in self.place.fleet.running() if each.worker.pid == pid), None)

        self.place.wait(lambda: seat() is None or seat().stopped, SEEN_SECONDS, f"process {pid} is stopped")
        return seat()

    def heal(self):
        self.wait_taken()


class Kill(Fault):
    """At any moment."""

    moments = (0.0, 0.9)

    def __init__(self, name, place, chance, kind):
        super().__init__(name, place, chance)
        self.kind = kind

    def inject(self):
        running = self.place.wait(lambda: self.place.fleet.running(self.kind), SEEN_SECONDS, f"a {self.kind} runs")
        self.place.fleet.kill(self.chance.choice(running))


def others_took_over(place, kind, seat, epoch):
    """The group is settled without the stopped one, or somebody else leads."""
    if kind == "orchestrator":
        return place.ask("SELECT epoch FROM etl.leader") > epoch
    return place.group_members(kind) == len([each for each in place.fleet.running(kind) if not each.stopped])


def end_backends(place, application):
    """As a server does whose client has been silent for too long."""
    return place.ask(
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
        " WHERE datname = current_database() AND application_name LIKE %s",
        application + "%",
    )


def outlast(place, kind, seat):
    """While a worker is stopped: until it is given up, or until nothing is left to do without it."""
    epoch = place.ask("SELECT epoch FROM etl.leader")
    if kind == "orchestrator":
        end_backends(place, "penstock-orchestrator")
    place.wait(
        lambda: others_took_over(place, kind, seat, epoch),
        SESSION_SECONDS,
        lambda: f"others do the work of {seat.worker.name}",
    )


class Zombie(Fault):
    """Stopped at any moment, past its session, and continued."""

    def __init__(self, name, place, chance, kind):
        super().__init__(name, place, chance)
        self.kind = kind
        self.seat = None

    def inject(self):
        running = self.place.wait(lambda: self.place.fleet.running(self.kind), SEEN_SECONDS, f"a {self.kind} runs")
        self.seat = self.chance.choice(running)
        self.seat.worker.pause()

    def heal(self):
        try:
            outlast(self.place, self.kind, self.seat)
        finally:
            if self.seat.running:
                self.seat.worker.resume()


class ZombieAtPoint(AtPoint):
    """In the middle of a transaction. It wakes up before the others are done, or after."""

    def __init__(self, name, place, chance, kind, point, what="stop 0"):
        super().__init__(name, place, chance, kind, point)
        self.what = what
        self.late = chance.random() < 0.5

    def heal(self):
        seat = self.wait_stopped()
        if seat is None:
            return
        try:
            outlast(self.place, self.kind, seat)
            if self.late:
                self.place.wait(self.place.ended, SEEN_SECONDS, "the run ends without the stopped worker")
        finally:
            if seat.running:
                seat.worker.resume()
        self.place.let_pass(LINGER_SECONDS)  # what it does now must change nothing


class EndBackend(Fault):
    """The loader's connection is ended by the server."""

    moments = (0.0, 0.9)

    def inject(self):
        self.place.keep_busy(
            lambda: end_backends(self.place, "penstock.loader"), SEEN_SECONDS, "a loader is connected to the database"
        )


class Twins(Fault):
    """A third worker of a kind comes, under the instance that the others have, and goes."""

    kinds = ("loader", "validator", "transformer", "fetcher")

    def inject(self):
        self.kind = self.chance.choice(self.kinds)
        self.seat = self.place.fleet.seat(self.kind, len(self.place.fleet.of(self.kind)))
        self.place.fleet.seats.append(self.seat)
        self.place.fleet.tend()

    def heal(self):
        self.place.wait(
            lambda: self.seat.running and self.seat.worker.is_ready(), SEEN_SECONDS, f"another {self.kind} is ready"
        )
        self.seat.held = True
        self.seat.worker.process.terminate()
        self.place.wait(lambda: not self.seat.running, SEEN_SECONDS, f"{self.seat.worker} ends")
        self.place.fleet.tend()
        self.place.fleet.seats.remove(self.seat)

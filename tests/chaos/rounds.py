"""One round: a run over a known workload, faults while it goes on, and then what must hold."""

import json
import time
import traceback
from dataclasses import dataclass, field

from chaos import check
from chaos.field import GONE

RUN_SECONDS = 90
RIGHT_SECONDS = 45  # a schema id that nobody knows is waited for during 30 s


@dataclass
class Result:
    number: int
    faults: list
    wrong: list = field(default_factory=list)
    seconds: float = 0.0

    def __str__(self):
        names = " + ".join(fault.name for fault in self.faults)
        word = "survived" if not self.wrong else "FAILED"
        return f"round {self.number:>3}  {self.seconds:5.1f} s  {word:<8}  {names}"


def play(place, faults, seconds=RUN_SECONDS):
    """faults: of chaos.faults, made for this place. Their moments are shares of the run."""
    begin = time.monotonic()
    place.begin()
    result = Result(place.rounds, faults)
    try:
        disturb(place, faults)
        settle(place, seconds)
        result.wrong += judge(place, seconds)
    except Exception as error:  # of whatever kind: the round was not survived, and the next one is to come
        result.wrong.append(str(error) if isinstance(error, AssertionError) else traceback.format_exc())
        result.wrong += place.fleet.new_round()
    finally:
        result.seconds = time.monotonic() - begin
    return result


def disturb(place, faults):
    try:
        go_through(place, faults)
    finally:
        for fault in faults:
            fault.end()


def go_through(place, faults):
    begun = []
    for fault in faults:
        fault.before()
    place.start_run()
    try:
        for fault in sorted(faults, key=lambda each: each.moment):
            place.come_to(fault.moment)
            begun.append(fault)
            fault.inject()
    finally:
        for fault in sorted(begun, key=lambda each: each.heals):
            fault.heal()
    for fault in faults:
        fault.answer()


def settle(place, seconds):
    """Everybody is there again and every run has ended."""
    place.fleet.release()
    place.wait(
        lambda: all(place.status(run) in ("success", "failed") for run in place.runs) or place.stands_wrong(),
        seconds,
        lambda: f"runs end: {[shown(place, run) for run in place.runs]}",
    )
    place.wait(lambda: len(place.fleet.running()) == len(place.fleet.seats), seconds, "every worker is there again")


def shown(place, run):
    try:
        return json.dumps(place.pipeline.api.run(run))
    except (*GONE, AssertionError) as error:
        return f"run {run}: {place.status(run)} ({error})"


def everything_wrong(place):
    pipeline = place.pipeline
    for run in place.runs:
        found = pipeline.api.run(run)
        yield from check.wrong_run(found)
        yield from check.wrong_letters(pipeline, run, place.workload.letters)
    yield from check.wrong_rows(pipeline, place.workload.rows)
    yield from check.wrong_foreign(pipeline, place.foreign)
    yield from check.standing_alarms(pipeline)


def judge(place, seconds):
    """What is wrong and stays wrong: letters may be on their way to the archive, a run to its end."""
    wrong = []

    def right():
        try:
            wrong[:] = everything_wrong(place)
        except (*GONE, AssertionError) as error:
            wrong[:] = [f"cannot look: {error}"]
        return not wrong or place.stands_wrong()

    try:
        place.wait(right, min(seconds, RIGHT_SECONDS), "all is right")
    except AssertionError:
        pass
    return wrong + place.fleet.new_round()

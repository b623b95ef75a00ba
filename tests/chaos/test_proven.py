"""The harness is proven: programs with a mistake built in do not pass it, the same without it do.

The mistakes are those of fault_defect() in the sources, on by PENSTOCK_DEFECT in programs built with FAULTS=1.
"""

import os
import random
from itertools import islice, takewhile

import pytest
from harness.waiting import wait_until

from chaos import check
from chaos.fault import SEEN_SECONDS, Fault
from chaos.kafka_proxy import INVALID_PRODUCER_EPOCH, commits, offset_errors, sends_offsets
from chaos.on_workers import AtPoint, ZombieAtPoint
from chaos.rounds import play

SEED = 5
CLEAN = "etl.clean.ohlcv"
OFFSETS_SECONDS = 10.0  # common/kafka_producer.c: then whoever sent offsets gives up
FENCED_MAX = 5
ROUNDS = 5


class Again(AtPoint):
    """Killed three times: a batch may hold nothing but letters, whose archive forgives much."""

    def heal(self):
        seen = set()
        for _ in range(3):
            self.place.keep_busy(lambda: set(self.taken()) - seen, SEEN_SECONDS, f"somebody passes {self.armed}")
            seen |= set(self.taken())
            self.inject()
        if os.path.exists(self.armed):
            os.unlink(self.armed)


class MidTask(AtPoint):
    """A task of this workload has eight commits; before them comes one that counts its start, and others may come."""

    what = "kill 4"

    def before(self):
        super().inject()

    def inject(self):
        """It is armed before the first task comes."""


class EarlyZombie(ZombieAtPoint):
    """Continued as soon as it was thrown out."""

    def __init__(self, *words):
        super().__init__(*words)
        self.late = False


class LateZombie(ZombieAtPoint):
    """Of batches that are never letters only: those may be written twice."""

    settings = {"loader": {"batch.ms": 1200, "batch.records_max": 500}}

    def __init__(self, *words):
        super().__init__(*words)
        self.late = True


# defect: (kind that has it, what it is seen with, at which point; without the defect)
SCENARIOS = {
    "offset_before_rows": ("loader", Again, "between", "effects_written"),
    "rows_without_offset": ("loader", Again, "between", "effects_written"),
    "no_compare_and_swap": ("loader", LateZombie, "before_begin", "before_begin"),
    "group_metadata_at_commit": ("validator", EarlyZombie, "begun", "begun"),
    "cursor_ignored": ("fetcher", MidTask, "after_commit", "after_commit"),
}


def rounds_with(make_field, kind, defect, how, point):
    """What is wrong after each round, for ever; each hits at another moment."""
    chance = random.Random(SEED)
    field = make_field(seed=SEED, defects={kind: defect} if defect else {}, settings=getattr(how, "settings", None))
    while True:
        fault = how(f"{defect} {kind}.{point}", field, chance, kind, point)
        yield play(field, [fault], seconds=60).wrong


def noticed(wrong):
    return any(line.startswith(("rows", "run", "alarm", "letters")) for line in wrong)


@pytest.mark.parametrize("defect", SCENARIOS)
def test_a_defect_does_not_pass(make_field, defect):
    """Not in every round, as it depends on what a batch holds when its worker is hit."""
    kind, how, point, _ = SCENARIOS[defect]
    rounds = islice(rounds_with(make_field, kind, defect, how, point), ROUNDS)
    unnoticed = list(takewhile(lambda wrong: not noticed(wrong), rounds))
    assert len(unnoticed) < ROUNDS, unnoticed


@pytest.mark.parametrize("kind, how, point", sorted({(k, h, p) for k, h, _, p in SCENARIOS.values()}, key=str))
def test_the_same_without_it_passes(make_field, kind, how, point):
    assert next(rounds_with(make_field, kind, None, how, point)) == []


class LostAndDoubled(Fault):
    """One record never reaches the loader, another one of the same attempt does so twice."""

    moments = (0.0, 0.0)

    def before(self):
        self.place.fleet.hold("loader")

    def inject(self):
        pipeline = self.place.pipeline
        group = pipeline.prefix + "penstock.loader"
        clean = self.place.wait(lambda: self.unread(group), SEEN_SECONDS, "clean records")
        lost = clean[0]
        attempt = lost.value()[:13]  # the framing and the first of the record's fields
        doubled = next(m for m in clean if m.partition() != lost.partition() and m.value()[:13] == attempt)
        pipeline.query(
            "UPDATE etl.offsets SET next_offset = %s WHERE consumer_group = %s AND topic = %s AND partition = %s",
            lost.offset() + 1,
            group,
            lost.topic(),
            lost.partition(),
        )
        twin = {"key": doubled.key(), "value": doubled.value(), "partition": doubled.partition()}
        pipeline.produce(CLEAN, [twin])

    def unread(self, group):
        found = self.place.pipeline.read(CLEAN)
        return found if len(found) > self.place.workload.records / 2 else None


@pytest.mark.parametrize("defect", [None, "mix_left_out"])
def test_one_lost_and_another_doubled(make_field, defect):
    """The count is right. Without the defect the run names what is wrong; with it, it claims that all is well."""
    field = make_field(seed=SEED, defects={"orchestrator": defect} if defect else {})
    wrong = play(field, [LostAndDoubled("lost and doubled", field, random.Random(SEED))], seconds=60).wrong
    run = field.pipeline.api.run(field.runs[0])
    assert list(check.wrong_rows(field.pipeline, field.workload.rows)) and wrong
    if defect:
        assert (run["status"], run["balanced"]) == ("success", True)
    else:
        assert (run["status"], run["balanced"]) == ("failed", False)
        assert any("ledger_mix_differs" in line for line in wrong)


class LateOffsets(AtPoint):
    """Offsets reach the broker when their transaction is aborted and the next one about to be committed.

    Who sent them is killed then: it knows where it is, but who follows begins at what is committed.
    """

    moments = (0.0, 0.0)
    what = "stop 200"  # once it goes on, this long for its records: they must not be held, too
    settings = {"kafka": {"socket.timeout.ms": 10100}}  # the largest one: it does not send them again elsewhere
    errors = None  # the broker's answer to what came late

    def heal(self):
        for _ in range(FENCED_MAX):
            if self.come_late(self.wait_stopped()):
                return
            os.unlink(*self.taken())
            self.inject()
        raise AssertionError(f"no transformer outlived {OFFSETS_SECONDS} s without an answer")

    def come_late(self, seat):
        """Not where the broker was quicker to end the transaction, which it looks for every 10 s: that fences, too."""
        worker, proxy = seat.worker, self.place.servers.to_kafka
        offsets = proxy.hold(sends_offsets, [worker.pid])
        worker.resume()
        self.place.wait(lambda: offsets.request, SEEN_SECONDS, "offsets are held")
        commit = proxy.hold(commits, [worker.pid])
        try:
            self.place.let_pass(OFFSETS_SECONDS)
            offsets.hang_up()
            self.place.wait(lambda: commit.request or not worker.running, SEEN_SECONDS, "it goes on")
            if commit.request:
                self.place.fleet.kill(seat)
                self.errors = offset_errors(self.deliver(offsets))
                self.deliver(commit)  # before anybody comes in its place, who would abort
        finally:
            offsets.let_go()
            commit.let_go()
        return bool(commit.request)

    def deliver(self, held):
        held.let_go()
        return wait_until(lambda: held.answer, SEEN_SECONDS, "the broker answers what was held")


@pytest.mark.parametrize("defect", [None, "producer_reused"])
def test_offsets_that_come_late(make_field, defect):
    """Without the defect they are of an epoch that is over. With it, they are committed without the records."""
    field = make_field(seed=SEED, defects={"transformer": defect} if defect else {}, settings=LateOffsets.settings)
    fault = LateOffsets("late offsets", field, random.Random(SEED), "transformer", "before_commit")
    wrong = play(field, [fault], seconds=60).wrong
    if defect:
        assert fault.errors == {0} and any(line.startswith(("rows", "run")) for line in wrong), (fault.errors, wrong)
    else:
        assert fault.errors == {INVALID_PRODUCER_EPOCH} and wrong == [], (fault.errors, wrong)

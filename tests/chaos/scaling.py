"""Workers of every kind come and go during a run: 1, 3, 2, 4 of each, while records flow.

Each step is taken when so much of the run is done, and the group has come to rest after the step before. Who leaves does
so in good order or by SIGKILL. After it every bar is there once, as the vendor's decoder reads it.
"""

import time
from dataclasses import dataclass, field

from confluent_kafka import ConsumerGroupState
from confluent_kafka.admin import AdminClient
from harness.bars import simulate
from harness.pipeline import FINAL, KINDS, Pipeline
from harness.waiting import wait_until

from chaos import check
from chaos.exact import Bars, wrong_rows
from chaos.supervisor import Fleet

SCALED = tuple(kind for kind in KINDS if kind != "orchestrator")
STEPS = ((0.05, 3), (0.25, 2), (0.45, 4))  # share of the run that is done: how many there are to be
BARS = 2_000_000
FILES = 24
SYMBOLS = 500
BROKER_SECONDS = 10
REST_SECONDS = 60  # until a group has all its members and no others
STEPS_SECONDS = 300
RUN_SECONDS = 600
CAUGHT_UP_SECONDS = 30
LOOK_SECONDS = 0.1


class Climb:
    """One kind's way through the steps."""

    def __init__(self, crowd, kind, killed):
        self.crowd = crowd
        self.kind = kind
        self.killed = killed  # who leaves does so by SIGKILL
        self.steps = list(STEPS)
        self.wanted = 1
        self.since = None  # the last step, while the group has not come to rest
        self.leaving = []

    def step(self):
        """Something is done where it is time to; true at the end of the way."""
        if self.since is not None:
            self.look()
        elif self.steps and self.crowd.share(self.kind) >= self.steps[0][0]:
            self.take(self.steps.pop(0)[1])
        return self.since is None and not self.steps

    def take(self, count):
        self.crowd.say(f"{self.kind}: {self.wanted} → {count} at {self.crowd.share(self.kind):.0%} of the run")
        fleet = self.crowd.fleet
        for _ in range(count - self.wanted):
            fleet.seats.append(fleet.seat(self.kind, 1 + max(seat.number for seat in fleet.of(self.kind))))
        for seat in fleet.of(self.kind)[: max(self.wanted - count, 0)]:  # those that have worked longest
            self.leave(seat)
        fleet.tend()
        self.wanted, self.since = count, time.monotonic()

    def leave(self, seat):
        seat.held = True
        if self.killed:
            self.crowd.fleet.kill(seat)
        else:
            seat.worker.process.terminate()
        self.leaving.append(seat)

    def look(self):
        for seat in [seat for seat in self.leaving if not seat.running]:
            self.crowd.fleet.tend()
            self.crowd.fleet.seats.remove(seat)
            self.leaving.remove(seat)
        seconds = time.monotonic() - self.since
        if self.crowd.is_at_rest(self.kind, self.wanted):
            self.crowd.say(f"{self.kind}: {self.wanted} are at rest after {seconds:.1f} s")
            self.since = None
        assert seconds < REST_SECONDS, f"{self.kind}: {self.crowd.members()[self.kind]} members, not {self.wanted}"


@dataclass
class Crowd:
    """The pipeline, its run, its workers, however many there are at the time."""

    pipeline: Pipeline
    fleet: Fleet
    bars: int
    say: callable
    run: int = 0
    seen: dict = field(default_factory=dict)  # what was asked in this look: the climbs ask alike

    def __post_init__(self):
        self.admin = AdminClient(self.pipeline.kafka())

    def ask_once(self, name, ask):
        if name not in self.seen:
            self.seen[name] = ask()
        return self.seen[name]

    def share(self, kind):
        """Of the records: how many are fetched, where it is about fetchers; else how many are accounted."""
        done = self.ask_once("done", self.done)
        return done[kind != "fetcher"] / self.bars

    def done(self):
        return self.pipeline.query(
            "SELECT coalesce(sum(fetched), 0)::bigint, (SELECT coalesce(sum(l.records), 0)::bigint FROM etl.ledger l"
            " JOIN etl.attempts USING (attempt) WHERE run = %s) FROM etl.attempts WHERE run = %s",
            self.run,
            self.run,
        )[0]

    def ended(self):
        sql = "SELECT status FROM etl.runs WHERE run = %s"
        return self.ask_once("status", lambda: self.pipeline.value(sql, self.run)) in FINAL

    def stands_wrong(self):
        """Something was found that does not go away by waiting."""
        return bool(list(check.standing_alarms(self.pipeline, but=("attempt_silent", "attempt_stalled"))))

    def is_over(self):
        self.seen.clear()
        return self.ended() or self.ask_once("wrong", self.stands_wrong)

    def members(self):
        """Of each group, once it is settled; None while it is not."""
        return self.ask_once("members", self.describe)

    def describe(self):
        groups = {kind: f"{self.pipeline.prefix}penstock.{kind}" for kind in SCALED}
        told = self.admin.describe_consumer_groups(list(groups.values()))
        found = {kind: told[group].result(BROKER_SECONDS) for kind, group in groups.items()}
        return {
            kind: len(group.members) if group.state == ConsumerGroupState.STABLE else None
            for kind, group in found.items()
        }

    def is_at_rest(self, kind, count):
        seats = self.fleet.of(kind)
        ready = all(seat.running and seat.worker.is_ready() for seat in seats)
        return len(seats) == count and ready and self.members()[kind] == count

    def look(self, climbs):
        self.fleet.tend()
        assert not self.fleet.findings, self.fleet.findings
        return self.is_over() or all([climb.step() for climb in climbs])


def workload(pipeline, folder, bars, files, expected=None, name="bars", start="2024-01-02"):
    """Files for a subscription of that name; what is to be in the table, with what was expected before."""
    expected = expected or Bars()
    simulate(pipeline, folder, f"{name}.dbn.zst", bars=bars, symbols=SYMBOLS, files=files, seed=11, start=start)
    for path in sorted(folder.glob(f"{name}*.dbn.zst")):
        expected.add(path)
    pipeline.subscribe(name, folder / f"{name}*.dbn.zst")
    return expected


def wrong(crowd, expected):
    """What does not hold after the run, in words."""
    pipeline, shown = crowd.pipeline, crowd.pipeline.api.run(crowd.run)
    yield from check.wrong_run(shown)
    yield from check.wrong_account(shown)
    if (shown["fetched"], shown["inserted"]) != (crowd.bars, crowd.bars):
        yield f"run {crowd.run}: {shown['fetched']} fetched, {shown['inserted']} inserted of {crowd.bars}"
    yield from wrong_rows(pipeline, expected)
    if letters := pipeline.value("SELECT count(*) FROM etl.dead_letters"):
        yield f"letters: {letters}, of which none is right"
    yield from check.standing_alarms(pipeline)
    yield from crowd.fleet.new_round()


def not_committed(pipeline):
    """Of which groups somebody would read records again."""
    rows = pipeline.cli_json("lag", code=None)["lag"]
    return [(row["group"], row["topic"], row["lag"], row["state"]) for row in rows if row["lag"] or row["state"] != "ok"]


def finish(crowd, expected, say, seconds=RUN_SECONDS):
    """To the run's end; what is wrong then."""
    pipeline = crowd.pipeline
    crowd.fleet.wait(crowd.is_over, seconds, lambda: f"the run is over: {pipeline.api.run(crowd.run)}")
    shown = pipeline.api.run(crowd.run)
    say(f"the run of {crowd.bars:,} bars is over: {shown['status']}, balanced: {shown['balanced']}")
    found = list(wrong(crowd, expected))
    if not found:
        wait_until(lambda: not not_committed(pipeline), CAUGHT_UP_SECONDS, lambda: str(not_committed(pipeline)))
    return found


def stop(crowd):
    """Everybody, in good order; who does not is a finding."""
    crowd.fleet.stop()
    return crowd.fleet.new_round()


def play(servers, folder, killed=(), bars=BARS, files=FILES, settings=None, programs=None, defects=None, say=print):
    """What is wrong after a run during which workers of each kind came and went; those of `killed` went by SIGKILL."""
    pipeline = Pipeline(servers, folder, programs)
    try:
        for section, values in (settings or {}).items():
            pipeline.configure(section, **values)
        pipeline.prepare()
        expected = workload(pipeline, folder, bars, files)
        crowd = Crowd(pipeline, Fleet(pipeline, dict.fromkeys(KINDS, 1), str(folder), defects), bars, say)
        crowd.fleet.start()
        crowd.run = pipeline.api.start_run()
        climbs = [Climb(crowd, kind, kind in killed) for kind in SCALED]
        wait_until(lambda: crowd.look(climbs), STEPS_SECONDS, lambda: f"all steps: {crowd.members()}", LOOK_SECONDS)
        late = [f"the run was over before {climb.kind} came to {climb.steps}" for climb in climbs if climb.steps]
        return finish(crowd, expected, say) + late + stop(crowd)
    finally:
        pipeline.close()

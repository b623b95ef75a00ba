"""How long a stage is behind after one of its workers was killed, and how much is in flight meanwhile.

Two workers of each kind, the sessions and batches that users have; one of the two is killed in full flow and started
again at once, as by a supervisor.
"""

import time
from dataclasses import dataclass

from confluent_kafka import Consumer, TopicPartition
from harness.bars import simulate
from harness.pipeline import Pipeline
from harness.servers import TOP
from harness.waiting import wait_until

from chaos.supervisor import Fleet

KINDS = ("validator", "transformer", "loader")
WRITES = {"validator": "etl.valid.ohlcv", "transformer": "etl.clean.ohlcv"}
SCALE = {"orchestrator": 1, "fetcher": 1, "validator": 2, "transformer": 2, "loader": 2}
PROGRAMS = f"{TOP}/build/bin"
BARS = 2_000_000
FULL = 0.8  # share of the speed before, which goes up and down by that: two cores are shared by all stages
WINDOW_SECONDS = 3.0
WATCHED_SECONDS = 25  # after the kill: the group may notice late, and then everybody waits
NEARLY_ALL = 0.9
STEADY_SECONDS = 3.0
START_SECONDS = 60
LIMIT_SECONDS = 15
DEADLINE_SECONDS = 60
RUN_SECONDS = 240


@dataclass
class Recovery:
    kind: str
    before: float  # records a second
    seconds: float
    in_flight_before: int
    in_flight_most: int

    def __str__(self):
        return (
            f"a killed {self.kind}: {self.before:,.0f} records/s before, again after {self.seconds:.1f} s; in flight"
            f" {self.in_flight_before:,} before, {self.in_flight_most:,} at most"
        )


class Meter:
    """How much a stage has done, and how much is under way, by time."""

    def __init__(self, pipeline, kind):
        self.pipeline = pipeline
        self.kind = kind
        self.samples = []  # (seconds, done)
        self.most = 0
        self.in_flight = 0
        self.consumer = Consumer(pipeline.kafka(group_id="penstock-recovery", enable_auto_commit=False))

    def done(self):
        if self.kind == "loader":
            return self.pipeline.value("SELECT coalesce(sum(records), 0)::bigint FROM etl.ledger")
        topic = WRITES[self.kind]
        places = [TopicPartition(self.pipeline.topic(topic), p) for p in self.pipeline.partitions(topic)]
        return sum(self.consumer.get_watermark_offsets(place, timeout=10)[1] for place in places)

    def sample(self):
        self.samples.append((time.monotonic(), self.done()))
        self.in_flight = self.pipeline.value(
            "SELECT coalesce(sum(fetched), 0)::bigint - (SELECT coalesce(sum(records), 0)::bigint FROM etl.ledger)"
            " FROM etl.attempts"
        )
        self.most = max(self.most, self.in_flight)

    def speed(self, seconds, last=None):
        """Over the last so many seconds, up to the last sample or an earlier one; None before."""
        last = len(self.samples) - 1 if last is None else last
        end, done = self.samples[last]
        for at, then in reversed(self.samples[: last + 1]):
            if end - at >= seconds:
                return (done - then) / (end - at)
        return None

    def slow_until(self, speed):
        """When it was slower than that for the last time; None: never."""
        times = [
            self.samples[n][0] for n in range(len(self.samples)) if (self.speed(WINDOW_SECONDS, n) or speed) < speed
        ]
        return times[-1] if times else None

    def close(self):
        self.consumer.close()


def measure(servers, folder, kind, bars=BARS):
    pipeline = Pipeline(servers, folder, PROGRAMS).prepare()
    fleet = Fleet(pipeline, SCALE, str(folder))
    meter = Meter(pipeline, kind)
    try:
        simulate(pipeline, folder, bars=bars, symbols=500)
        pipeline.subscribe("bars", folder / "bars.dbn.zst")
        fleet.start()
        run = pipeline.api.start_run()
        found = watch(fleet, meter, kind, bars)
        shown = fleet.wait(
            lambda: (now := pipeline.api.run(run))["status"] in ("success", "failed") and now, RUN_SECONDS, "the run ends"
        )
        assert shown["status"] == "success" and shown["balanced"], shown
        return found
    finally:
        meter.close()
        pipeline.close()


def watch(fleet, meter, kind, bars):
    def flows():
        meter.sample()
        return (meter.speed(STEADY_SECONDS) or 0) > 0 and meter.samples[-1][1] > 0 and steady()

    def steady():
        long, short = meter.speed(STEADY_SECONDS), meter.speed(STEADY_SECONDS / 2)
        return long and short and 0.8 < short / long < 1.25

    fleet.wait(flows, START_SECONDS, f"{kind} works steadily")
    before, in_flight, killed = meter.speed(STEADY_SECONDS), meter.in_flight, time.monotonic()
    fleet.kill(fleet.running(kind)[0])
    meter.samples.clear()

    def is_watched():
        fleet.tend()
        meter.sample()
        at, done = meter.samples[-1]
        return at - killed >= WATCHED_SECONDS or done >= NEARLY_ALL * bars

    wait_until(is_watched, DEADLINE_SECONDS, lambda: f"{kind} works on: {meter.samples[-5:]}")
    slow = meter.slow_until(FULL * before)
    return Recovery(kind, before, slow - killed if slow else 0.0, in_flight, meter.most)

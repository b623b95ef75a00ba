"""How long a record takes from the vendor's file to a row that others see, at shares of the sustained rate.

Small files come at an even pace, each as a run of its own. `as_of` in a row says when its file was begun; the ledger, which
is written in the rows' transaction, says how many of the attempt's records are there, and is looked at every few milliseconds.
"""

import glob
import os
import threading
import time

from harness.waiting import wait_until

from bench.process import MEMORY_BAR, memory_of
from bench.rounds import Rounds
from bench.stand import RUN_SECONDS, empty, end_to_end
from bench.workloads import make, write

SHARES = {"1": 0.01, "50": 0.5, "90": 0.9}  # percent, as the figures are called
TICK_SECONDS = 0.1  # from file to file
LOOK_SECONDS = 0.005
SYMBOLS = 100
ATTEMPT_RANDOM_BITS = 22  # an attempt's number begins with milliseconds
BARS = {"latency_p99_ms_at_50": "<1000"} | MEMORY_BAR


class Looker(threading.Thread):
    """Looks at the ledger until it is told to stop: (seconds, attempt, records that came since the last look)."""

    def __init__(self, pipeline):
        super().__init__(daemon=True)
        self.pipeline = pipeline
        self.since = int(time.time() * 1000) << ATTEMPT_RANDOM_BITS
        self.seen, self.arrivals, self.looks = {}, [], []
        self.stopping = threading.Event()
        self.failure = None

    def look(self, connection):
        found = connection.execute(
            "SELECT attempt, sum(records)::bigint FROM etl.ledger WHERE attempt >= %s GROUP BY attempt", [self.since]
        ).fetchall()
        self.take(found)

    def take(self, found):
        now = time.time()  # afterwards: what is found was there by now
        self.looks.append(now)
        for attempt, records in found:
            if records > self.seen.get(attempt, 0):
                self.arrivals.append((now, attempt, records - self.seen.get(attempt, 0)))
                self.seen[attempt] = records

    def run(self):
        try:
            with self.pipeline.connect(autocommit=True) as connection:
                while not self.stopping.wait(LOOK_SECONDS):
                    self.look(connection)
        except Exception as failure:  # who waits for records has to hear of it
            self.failure = failure

    def records(self):
        if self.failure:
            raise self.failure
        return sum(self.seen.values())

    def stop(self):
        self.stopping.set()
        self.join()

    def resolution(self):
        """Seconds between looks, but for the slowest hundredth."""
        gaps = sorted(b - a for a, b in zip(self.looks, self.looks[1:]))
        return gaps[int(len(gaps) * 0.99)]


def percentile(weighted, share):
    """Of (value, how often), by value."""
    total, passed = sum(count for _, count in weighted), 0
    for value, count in sorted(weighted):
        passed += count
        if passed >= share * total:
            return value
    raise AssertionError("nothing was measured")


class Level:
    """Files of as many records as come in a tick at a share of the rate."""

    def __init__(self, pipeline, percent, rate, seconds):
        self.percent = percent
        self.files = max(int(seconds / TICK_SECONDS), 1)
        self.records = max(int(rate * SHARES[percent] * TICK_SECONDS), 1) * self.files
        name = f"latency{percent}"
        write(pipeline, name, records=self.records, symbols=SYMBOLS, files=self.files)
        self.names = [f"{name}-{number}" for number in range(self.files)]
        self.subscribe(pipeline, sorted(glob.glob(os.path.join(pipeline.folder, f"{name}[.-]*dbn"))))

    def subscribe(self, pipeline, paths):
        """All at once; those of an earlier round are forgotten."""
        assert len(paths) == self.files, paths
        entry = {"source": "file", "symbol_mappings": "false"}
        pipeline.subscriptions = [each for each in pipeline.subscriptions if each["name"] not in self.names]
        pipeline.subscriptions += [entry | {"name": name, "path": path} for name, path in zip(self.names, paths)]
        pipeline.write_subscriptions()

    def offer(self, pipeline):
        """Starts a run at each tick; seconds that it took."""
        begun = time.monotonic()
        for number, name in enumerate(self.names):
            wait = begun + number * TICK_SECONDS - time.monotonic()
            if wait > 0:
                time.sleep(wait)
            pipeline.api.start_run([name], validateAfterExecution=False)
        return time.monotonic() - begun + TICK_SECONDS

    def measure(self, pipeline):
        empty(pipeline)
        before = pipeline.value("SELECT coalesce(max(run), 0) FROM etl.runs")
        looker = Looker(pipeline)
        looker.start()
        try:
            seconds = self.offer(pipeline)
            wait_until(lambda: looker.records() >= self.records, RUN_SECONDS, lambda: f"{looker.records()} of {self.records}")
        finally:
            looker.stop()
        self.check_runs(pipeline, before)
        begun = dict(pipeline.query("SELECT attempt, extract(epoch FROM min(as_of))::float8 FROM ohlcv_data GROUP BY attempt"))
        taken = [(at - begun[attempt], records) for at, attempt, records in looker.arrivals]
        return self.figures(taken, self.records / seconds, looker.resolution())

    def check_runs(self, pipeline, before):
        counts = "SELECT count(*) FILTER (WHERE status = 'success'), count(*) FROM etl.runs WHERE run > %s"
        wait_until(
            lambda: pipeline.query(counts, before)[0] == (self.files, self.files), RUN_SECONDS, "every run has succeeded"
        )
        there = pipeline.value("SELECT count(*) FROM ohlcv_data")
        assert there == self.records, (there, self.records)

    def figures(self, taken, offered, resolution):
        found = {
            f"latency_{name}_ms_at_{self.percent}": percentile(taken, share) * 1000
            for name, share in (("p50", 0.5), ("p99", 0.99), ("p999", 0.999))
        }
        return found | {
            f"offered_per_s_at_{self.percent}": offered,
            f"resolution_ms_at_{self.percent}": resolution * 1000,
        }


def measure(make_pipeline, options, say):
    pipeline = make_pipeline()
    w1 = make(pipeline, "w1", options.rows)
    pipeline.start_all()
    end_to_end(pipeline, w1.subscriptions, inserted=w1.records)  # warms up
    rounds = Rounds(BARS)
    for number in range(1, options.rounds + 1):
        empty(pipeline)
        seconds, _ = end_to_end(pipeline, w1.subscriptions, inserted=w1.records)
        rate = w1.records / seconds
        found = {"sustained_per_s": rate}
        for percent in SHARES:
            found |= Level(pipeline, percent, rate, options.seconds).measure(pipeline)
        rounds.add(**found)
        shown = "; ".join(
            f"at {p} % " + ", ".join(f"{name} {found[f'latency_{name}_ms_at_{p}']:,.0f} ms" for name in ("p50", "p99", "p999"))
            for p in SHARES
        )
        say(f"round {number}: sustained {rate:,.0f}/s; {shown}")
    rounds.add(**memory_of(pipeline))
    return rounds

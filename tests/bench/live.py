"""How long a record that comes by itself takes to its row while a long backfill runs, and how fast that is meanwhile.

The simulated vendor serves the backfill; what is live comes as in `latency`, small files at an even pace, each as a run of its
own, at a hundredth of the sustained rate.
"""

import time

from harness.simulator import KEY, Simulator
from harness.waiting import wait_until

from bench.latency import Level, Looker, percentile
from bench.process import MEMORY_BAR, memory_of
from bench.rounds import Rounds
from bench.stand import RUN_SECONDS, empty, end_to_end
from bench.workloads import make

BARS = {"live_p99_ms": "<2000"} | MEMORY_BAR
HISTORY = {"name": "history", "source": "databento", "dataset": "XNAS.ITCH", "schema": "ohlcv-1m", "symbols": "ALL_SYMBOLS", "chunk": "week"}
FROM, TO = "2021-01-04", "2021-07-02"  # some five million bars: more than are fetched while anybody looks
SYMBOLS = 100
SETTLED_SECONDS = 2  # of the backfill alone, before anything is measured
VENDOR = {"calls_per_minute": 6000, "burst": 1000}


class LiveLooker(Looker):
    """Of what came by itself only."""

    def __init__(self, pipeline, before):
        super().__init__(pipeline)
        self.before = before

    def look(self, connection):
        found = connection.execute(
            "SELECT l.attempt, sum(l.records)::bigint FROM etl.attempts a JOIN etl.ledger l USING (attempt)"
            " WHERE a.run > %s AND a.source = 'file' GROUP BY l.attempt",
            [self.before],
        ).fetchall()
        self.take(found)


class LiveLevel(Level):
    def measure(self, pipeline):
        before = pipeline.value("SELECT max(run) FROM etl.runs")
        looker = LiveLooker(pipeline, before)
        looker.start()
        try:
            self.offer(pipeline)
            wait_until(lambda: looker.records() >= self.records, RUN_SECONDS, lambda: f"{looker.records()} of {self.records}")
        finally:
            looker.stop()
        begun = dict(
            pipeline.query(
                "SELECT a.attempt, (SELECT extract(epoch FROM o.as_of)::float8 FROM ohlcv_data o WHERE o.attempt = a.attempt LIMIT 1)"
                " FROM etl.attempts a WHERE a.run > %s AND a.source = 'file'",
                before,
            )
        )
        return [(at - begun[attempt], records) for at, attempt, records in looker.arrivals]


def begin_backfill(pipeline):
    """Its run, under way."""
    answer = pipeline.api.post("/api/v1/backfills", json={"subscription": "history", "from": FROM, "to": TO})
    assert answer.status_code == 202, answer.text
    backfill = answer.json()["backfill"]

    def planned():
        (found,) = pipeline.api.get(f"/api/v1/backfills?backfill={backfill}").json()["backfills"]
        return found["state"] == "planned" and found["hash"]

    hash = wait_until(planned, RUN_SECONDS, "the backfill is planned")
    run = pipeline.api.post("/api/v1/backfills/approvals", json={"hash": hash}).json()["run"]
    wait_until(lambda: pipeline.api.run(run)["inserted"] > 0, RUN_SECONDS, "the backfill is under way")
    return run


def measure_beside(pipeline, level, run):
    """Of the backfill, too: how many records it brought while live ones came."""
    time.sleep(SETTLED_SECONDS)
    first, started = pipeline.api.run(run), time.monotonic()
    taken = level.measure(pipeline)
    last, seconds = pipeline.api.run(run), time.monotonic() - started
    assert (last["status"], last["held"]) == ("running", ""), "the backfill was too short"
    done = (last["fetched"] - last["in_flight"]) - (first["fetched"] - first["in_flight"])
    return taken, done / seconds


def one_round(pipeline, level):
    run = begin_backfill(pipeline)
    try:
        return measure_beside(pipeline, level, run)
    finally:
        pipeline.api.post(f"/api/v1/runs/{run}/cancel")
        still = "SELECT count(*) FROM etl.attempts WHERE run = %s AND closed_at IS NULL"
        wait_until(lambda: pipeline.value(still, run) == 0, RUN_SECONDS, "the backfill has ended")
        pipeline.query("TRUNCATE etl.coverage")


def measure(make_pipeline, options, say):
    pipeline = make_pipeline()
    w1 = make(pipeline, "w1", options.rows)
    rounds = Rounds(BARS)
    with Simulator(pipeline.folder, "--seed", 7, "--start", "2010-01-01", "--symbols", SYMBOLS) as vendor:
        pipeline.configure("fetcher", databento=VENDOR)
        pipeline.subscriptions.append(HISTORY | {"start": FROM, "cost_max_usd": 10**6, "symbol_mappings": "false"})
        pipeline.write_subscriptions()
        fetcher = pipeline.spawn("fetcher", environment={"DATABENTO_API_KEY": KEY, "DATABENTO_GATEWAY": vendor.url})
        fetcher.wait_ready()
        pipeline.start_all(kinds=("orchestrator", "validator", "transformer", "loader"))
        end_to_end(pipeline, w1.subscriptions, inserted=w1.records)  # warms up
        for number in range(1, options.rounds + 1):
            empty(pipeline)
            seconds, _ = end_to_end(pipeline, w1.subscriptions, inserted=w1.records)
            rate = w1.records / seconds
            empty(pipeline)
            taken, beside = one_round(pipeline, LiveLevel(pipeline, "1", rate, options.seconds))
            p50, p99 = (percentile(taken, share) * 1000 for share in (0.5, 0.99))
            rounds.add(live_p50_ms=p50, live_p99_ms=p99, backfill_per_s=beside, backfill_vs_w1=beside / rate)
            say(f"round {number}: live p50 {p50:,.0f} ms, p99 {p99:,.0f} ms; the backfill {beside:,.0f} records/s beside it, W1 {rate:,.0f}")
    rounds.add(**memory_of(pipeline))
    return rounds

"""W1 end to end with more workers: of each kind alone, and of all of them; what a record costs then.

On few cores more workers are not faster, as one of each uses them up; that a record costs no more is what says that they
would be on more machines.
"""

import os

from harness.waiting import wait_until

from bench.process import MEMORY_BAR, memory_of
from bench.rounds import Rounds
from bench.stand import empty, save_rows, settle
from bench.whole import with_budget
from bench.workloads import make

KINDS = ("validator", "transformer", "loader")
COUNTS = (2, 3)
LIMIT = 1.2  # times what a record costs with one of each
SHARE_SECONDS = 60


def name_of(kinds, count):
    return f"{count}_{'of_each' if kinds == KINDS else kinds[0] + 's'}"


SETUPS = [(kinds, count) for kinds in (*((kind,) for kind in KINDS), KINDS) for count in COUNTS]
BARS = {f"{name_of(*setup)}_cpu_vs_one": f"<{LIMIT}" for setup in SETUPS} | MEMORY_BAR


def wait_shared(pipeline, kinds):
    """Each has partitions, and nobody waits for a rebalance."""

    def share():
        workers = [worker for kind in kinds for worker in pipeline.of(kind)]
        return all(each.is_ready() and each.metrics()["penstock_partitions"] > 0 for each in workers)

    wait_until(share, SHARE_SECONDS, lambda: f"every {' and '.join(kinds)} has partitions")


def spent(pipeline, bars):
    """Rows a second, and CPU microseconds a record, by kind of worker and server."""
    empty(pipeline)
    seconds, costs = with_budget(pipeline, bars, ["w1"], inserted=bars)
    settle(pipeline)
    return bars / seconds, costs


def log_bytes(pipeline, topic):
    """Of a topic's log, as it is on a broker's disk and, compressed alike, on its way there and back."""
    folders = [f"{pipeline.topic(topic)}-{number}" for number in pipeline.partitions(topic)]
    places = [pipeline.servers.place.path("kafka", "data", folder) for folder in folders]
    return sum(entry.stat().st_size for place in places for entry in os.scandir(place) if entry.name.endswith(".log"))


def sizes(pipeline, bars):
    """Bytes a record, of the first run: in each topic, in the table with its index, in the database's own log, on the way to it."""
    lsn = pipeline.value("SELECT pg_current_wal_lsn()")
    spent(pipeline, bars)
    found = {f"{name}_bytes": log_bytes(pipeline, f"etl.{name}.ohlcv") / bars for name in ("raw", "valid", "clean")}
    found["wal_bytes"] = float(pipeline.value("SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), %s)", lsn)) / bars
    months = "SELECT sum(pg_total_relation_size(inhrelid)) FROM pg_inherits WHERE inhparent = 'ohlcv_data'::regclass"
    found["row_bytes"] = float(pipeline.value(months)) / bars
    (path,) = save_rows(pipeline, os.path.join(pipeline.folder, "rows"))
    found["copy_bytes"] = os.path.getsize(path) / bars
    os.unlink(path)
    return found


def with_more(pipeline, kinds, count, bars):
    """The same with so many workers of these kinds; those beyond the first end afterwards."""
    more = [pipeline.spawn(kind) for kind in kinds for _ in range(count - 1)]
    try:
        for worker in more:
            worker.wait_ready()
        wait_shared(pipeline, kinds)
        return spent(pipeline, bars)
    finally:
        for worker in more:
            assert worker.stop() == 0
            pipeline.workers.remove(worker)
        wait_shared(pipeline, kinds)


def measure(make_pipeline, options, say):
    pipeline = make_pipeline()
    bars = make(pipeline, "w1", options.rows).records
    pipeline.start_all()
    rounds = Rounds(BARS)
    rounds.add(**(first := sizes(pipeline, bars)))  # warms up
    say(", ".join(f"{name} {value:.0f}" for name, value in first.items()) + " a record")
    for number in range(1, options.rounds + 1):
        one, costs = spent(pipeline, bars)
        one_cost = sum(costs.values())
        figures = {"one_of_each_per_s": one, "one_of_each_cpu_us": one_cost}
        figures |= {f"one_of_each_{name}_cpu_us": value for name, value in costs.items()}
        say(f"round {number}: one of each {one:9,.0f} rows/s, {one_cost:5.1f} µs of CPU a record")
        for kinds, count in SETUPS:
            name = name_of(kinds, count)
            rate, costs = with_more(pipeline, kinds, count, bars)
            cost = sum(costs.values())
            figures |= {f"{name}_vs_one": rate / one, f"{name}_cpu_us": cost, f"{name}_cpu_vs_one": cost / one_cost}
            say(f"round {number}: {name:14} {rate:9,.0f} rows/s ({rate / one:.2f}), {cost:5.1f} µs ({cost / one_cost:.2f})")
        rounds.add(**figures)
    rounds.add(**memory_of(pipeline))
    return rounds

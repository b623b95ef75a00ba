"""The whole pipeline against direct COPY of the same rows into the same table."""

import os

from harness.waiting import wait_until

from bench.process import MEMORY_BAR, memory_of, used
from bench.rounds import Rounds
from bench.stand import direct_copy, empty, end_to_end, save_rows, settle
from bench.workloads import make

BARS = {"end_to_end_vs_copy": 0.5, "again_vs_first": 1.0} | MEMORY_BAR


REBALANCE_SECONDS = 60


def with_budget(pipeline, records, *run, **expected):
    """Seconds, and the CPU microseconds that a record took in each process."""
    before = used(pipeline)
    seconds, _ = end_to_end(pipeline, *run, **expected)
    return seconds, {name: (value - before[name]) / records * 1e6 for name, value in used(pipeline).items()}


def with_two_loaders(pipeline, **expected):
    """Seconds of W1 where another loader shares the partitions: another connection, so another core for PostgreSQL."""
    second = pipeline.start("loader")
    try:
        loaders = pipeline.of("loader")
        wait_until(
            lambda: all(each.metrics()["penstock_partitions"] > 0 for each in loaders),
            REBALANCE_SECONDS,
            lambda: f"each loader has partitions: {[each.metrics()['penstock_partitions'] for each in loaders]}",
        )
        return end_to_end(pipeline, ["w1"], **expected)[0]
    finally:
        assert second.stop() == 0
        pipeline.workers.remove(second)


def measure(make_pipeline, options, say):
    """W1 fetched, W3 the same fetched again, W4 with broken records, beside COPY with one connection and two."""
    pipeline = make_pipeline()
    bars = make(pipeline, "w1", options.rows).records
    make(pipeline, "w4", options.rows)
    pipeline.start_all()
    seconds, _ = end_to_end(pipeline, ["w1"], inserted=bars)
    say(f"warming up: {seconds:.1f} s")
    one, two = (save_rows(pipeline, os.path.join(pipeline.folder, f"rows{parts}"), parts) for parts in (1, 2))
    rounds = Rounds(BARS)
    for number in range(1, options.rounds + 1):
        empty(pipeline)
        copy = direct_copy(pipeline, one, bars)
        empty(pipeline)
        copies = direct_copy(pipeline, two, bars)
        empty(pipeline)
        first, spent = with_budget(pipeline, bars, ["w1"], inserted=bars)
        settle(pipeline)
        again, spent_again = with_budget(pipeline, bars, ["w1"], unchanged=bars)
        empty(pipeline)
        scaled = with_two_loaders(pipeline, inserted=bars)
        empty(pipeline)
        broken, run = end_to_end(pipeline, ["w4"], fetched=bars)
        rounds.add(
            end_to_end_vs_copy=copy / first,
            end_to_end_vs_two_copies=copies / first,
            two_loaders_vs_copy=copy / scaled,
            two_loaders_vs_two_copies=copies / scaled,
            again_vs_first=first / again,
            broken_vs_first=first / broken,
            rows_per_s=bars / first,
            copy_rows_per_s=bars / copy,
            **{f"w1_{name}_cpu_us": value for name, value in spent.items()},
            **{f"w3_{name}_cpu_us": value for name, value in spent_again.items()},
        )
        say(
            f"round {number}: COPY {bars / copy:9,.0f} rows/s, with two connections {bars / copies:9,.0f}; end to end"
            f" {bars / first:9,.0f} ({copy / first:.3f}), with two loaders {bars / scaled:9,.0f}, again {bars / again:9,.0f}, 1 % broken {bars / broken:9,.0f}"
            f" ({run['dead_letters']} letters)"
        )
    rounds.add(**memory_of(pipeline))
    return rounds

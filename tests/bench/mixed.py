"""The workloads that are not bars alone, beside W1: trades, small tasks, every record type."""

import os

from bench.process import MEMORY_BAR, cpu_seconds, memory_of
from bench.rounds import Rounds
from bench.stand import direct_copy, empty, end_to_end, save_rows
from bench.workloads import TABLES, make

EVERY_TABLE = ("ohlcv_data", *TABLES.values(), "symbol_mappings")
HELD_SQL = """
SELECT extract(epoch FROM max(closed_at) - min(created_at)) * 1000 / count(*),
       percentile_cont(0.5) WITHIN GROUP (ORDER BY extract(epoch FROM sent_at - created_at) * 1000),
       percentile_cont(0.5) WITHIN GROUP (ORDER BY extract(epoch FROM closed_at - created_at) * 1000)
FROM etl.attempts WHERE run = %s
"""


def once(pipeline, made, **expected):
    """Seconds from empty tables to full ones, each with as many rows as it is due."""
    empty(pipeline, *EVERY_TABLE)
    seconds, run = end_to_end(pipeline, made.subscriptions, dead_letters=0, **expected)
    for table, due in made.tables.items():
        there = pipeline.value(f"SELECT count(*) FROM {table}")
        assert there == due, (table, there, due)
    return seconds, run


def trades(pipeline, made, paths):
    empty(pipeline, *EVERY_TABLE)
    copy = direct_copy(pipeline, paths, made.records, "trades_data")
    seconds, _ = once(pipeline, made, inserted=made.records)
    return {"trades_per_s": made.records / seconds, "trades_vs_copy": copy / seconds}


def small_tasks(pipeline, made):
    """per_task: the run over its tasks; the orchestrator's own CPU; from choosing a task to its message, to its closing."""
    (orchestrator,) = pipeline.of("orchestrator")
    before = cpu_seconds(orchestrator.pid)
    seconds, run = once(pipeline, made, inserted=made.records)
    cpu = cpu_seconds(orchestrator.pid) - before
    per_task, sending, held = map(float, pipeline.query(HELD_SQL, run["run"])[0])
    return {
        "small_tasks_records_per_s": made.records / seconds,
        "small_tasks_ms_per_task": per_task,
        "small_tasks_dispatch_ms": sending,
        "small_tasks_held_ms": held,
        "small_tasks_orchestrator_cpu_ms": cpu / made.tasks * 1e3,
    }


def mixture(pipeline, made):
    seconds, run = once(pipeline, made)
    assert run["fetched"] > made.records, (run, "there are symbol mappings, too")
    return {"mixture_records_per_s": run["fetched"] / seconds}


def measure(make_pipeline, options, say):
    pipeline = make_pipeline()
    w1, w2, w5, w6 = (make(pipeline, name, options.rows) for name in ("w1", "w2", "w5", "w6"))
    pipeline.start_all()
    once(pipeline, w2)
    paths = save_rows(pipeline, os.path.join(pipeline.folder, "trades"), table="trades_data")
    say("warmed up")
    rounds = Rounds(MEMORY_BAR)
    for number in range(1, options.rounds + 1):
        seconds, _ = once(pipeline, w1)
        found = {"bars_per_s": w1.records / seconds}
        found |= trades(pipeline, w2, paths) | small_tasks(pipeline, w5) | mixture(pipeline, w6)
        for name in ("trades", "small_tasks_records", "mixture_records"):
            found[f"{name.removesuffix('_records')}_vs_bars"] = found[f"{name}_per_s"] / found["bars_per_s"]
        rounds.add(**found)
        say(
            f"round {number}: {w1.records:,} bars {found['bars_per_s']:9,.0f}/s; {w2.records:,} trades"
            f" {found['trades_per_s']:9,.0f}/s ({found['trades_vs_copy']:.3f} of COPY); {w5.tasks:,} small tasks"
            f" {found['small_tasks_records_per_s']:9,.0f} records/s, {found['small_tasks_ms_per_task']:.2f} ms a task;"
            f" {w6.records:,} of every type {found['mixture_records_per_s']:9,.0f}/s"
        )
    rounds.add(**memory_of(pipeline))
    return rounds

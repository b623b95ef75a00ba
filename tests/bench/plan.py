"""How long `penstock backfill` takes to say what a hundred thousand symbols of ten years cost, with the simulated vendor's quotes."""

import datetime
import os
import subprocess
import time

import databento
from harness.simulator import KEY, Simulator

from bench.process import MEMORY_BAR, memory_of
from bench.rounds import Rounds
from bench.stand import RUN_SECONDS
from bench.workloads import ROWS

SYMBOLS = 100_000
FROM, YEARS = datetime.date(2013, 1, 2), 10
BARS = {"plan_seconds": "<10"} | MEMORY_BAR
SUBSCRIPTION = {"name": "history", "source": "databento", "dataset": "XNAS.ITCH", "schema": "ohlcv-1m", "symbols": "ALL_SYMBOLS", "chunk": "month"}
VENDOR = {"calls_per_minute": 6000, "burst": 1000}


def write_symbols(pipeline, count):
    """A file of the vendor's names, one a line."""
    sample = os.path.join(pipeline.folder, "symbols.dbn")
    words = [pipeline.program("penstock-simulator"), f"--write={sample}", f"--records={count}", f"--symbols={count}"]
    subprocess.run(words, check=True, capture_output=True)
    names = databento.DBNStore.from_file(sample).symbols
    assert len(names) == count
    path = os.path.join(pipeline.folder, "symbols.txt")
    with open(path, "w") as file:
        file.write("\n".join(names) + "\n")
    return path


def plan(pipeline, path, count, first):
    """Seconds from the command to the plan that it prints."""
    words = ("backfill", SUBSCRIPTION["name"], "--symbols", f"@{path}", "--from", first, "--to", first.replace(year=first.year + YEARS))
    begun = time.monotonic()
    made = pipeline.cli_json(*words, seconds=RUN_SECONDS)
    seconds = time.monotonic() - begun
    assert (made["state"], made["symbols_wanting"]) == ("planned", count), made
    return made, seconds


def measure(make_pipeline, options, say):
    pipeline = make_pipeline()
    count = max(SYMBOLS * min(options.rows, ROWS) // ROWS, 1)
    path = write_symbols(pipeline, count)
    rounds = Rounds(BARS)
    with Simulator(pipeline.folder, "--seed", 7, "--start", "2010-01-01", "--symbols", count) as vendor:
        pipeline.configure("fetcher", databento=VENDOR)
        pipeline.subscriptions.append(SUBSCRIPTION | {"start": str(FROM), "cost_max_usd": 10**9, "symbol_mappings": "false"})
        pipeline.write_subscriptions()
        pipeline.spawn("fetcher", environment={"DATABENTO_API_KEY": KEY, "DATABENTO_GATEWAY": vendor.url}).wait_ready()
        pipeline.start("orchestrator")
        for number in range(1, options.rounds + 1):
            made, seconds = plan(pipeline, path, count, FROM + datetime.timedelta(days=number))
            rounds.add(plan_seconds=seconds, plan_windows=made["windows"], plan_calls=made["calls"])
            say(f"round {number}: {count:,} symbols, {YEARS} years: {made['windows']:,} windows, {made['calls']:,} calls, planned in {seconds:.2f} s")
        rounds.add(**memory_of(pipeline))
    return rounds

"""make bench-looking: how long it takes to look in, when a lot is there.

Fills a database of its own once (10^6 attempts, 10^7 dead letters, 10^8 bars where nothing is said), starts the orchestrator
and asks it over HTTP, and with the command line, as people do.
"""

import argparse
import os
import statistics
import sys
import tempfile
import time
from contextlib import contextmanager

import psycopg

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), ".."))

from harness import grown  # noqa: E402
from harness.pipeline import Pipeline  # noqa: E402
from harness.servers import Servers  # noqa: E402

ATTEMPTS, LETTERS, BARS = 10**6, 10**7, 10**8
KEPT = "looking"  # the database's name with --keep


def say(line):
    print(line, flush=True)


class KeptPipeline(Pipeline):
    """In a database that is there already, or will be the next time."""

    def __init__(self, servers, folder):
        super().__init__(servers, folder, database=False)
        self.database = KEPT
        self.prefix = f"{KEPT}."
        self.write_config()

    def is_there(self):
        with psycopg.connect(self.servers.dsn(), autocommit=True) as connection:
            return bool(connection.execute("SELECT FROM pg_database WHERE datname = %s", [KEPT]).fetchall())


@contextmanager
def filled(servers, folder, options):
    pipeline = KeptPipeline(servers, folder) if options.keep else Pipeline(servers, folder)
    try:
        there = options.keep and pipeline.is_there()
        if options.keep and not there:
            servers.create_database(KEPT)
        pipeline.prepare()
        if not there:
            grown.fill(pipeline, options.attempts, options.letters, options.bars, say=say)
        yield pipeline
    finally:
        pipeline.close()


# --- what is measured ----------------------------------------------------------------------------------------------------


def percentile(sorted_values, share):
    return sorted_values[min(int(len(sorted_values) * share), len(sorted_values) - 1)]


def times(rounds, ask):
    """Milliseconds: of each of so many times. What was read into memory by a first one stays there."""
    ask()
    taken = []
    for _ in range(rounds):
        begun = time.perf_counter()
        ask()
        taken.append((time.perf_counter() - begun) * 1000)
    return sorted(taken)


def get(pipeline, path, check=bool):
    def ask():
        answer = pipeline.api.get(path)
        assert answer.status_code == 200 and check(answer.json()), f"{path}: {answer.text[:500]}"

    return ask


def cli(pipeline, *words):
    return lambda: pipeline.cli(*words, "--json")


def questions(pipeline):
    """(what, how often of the rounds, bar in milliseconds or None, ask)"""
    newest = pipeline.value("SELECT max(run) FROM etl.runs WHERE status = 'success'")
    symbol, days = "SYM0107", "start=2024-02-01&end=2024-10-07"
    minute = "2024-01-01T05:00:00Z"
    bars = f"/api/v1/historical/{symbol}?{days}"
    return [
        ("status (`penstock status`): /api/etl/status", 1, 100, get(pipeline, "/api/etl/status")),
        ("status, the database's figures: /api/v1/status", 1, 100, get(pipeline, "/api/v1/status")),
        ("penstock status, the command", 1, 100, cli(pipeline, "status")),
        (f"run show: /api/v1/runs/{newest}", 1, 100, get(pipeline, f"/api/v1/runs/{newest}")),
        ("penstock run show, the command", 1, 100, cli(pipeline, "run", "show", newest)),
        ("run show of the largest run: /api/v1/runs/1", 1, 100, get(pipeline, "/api/v1/runs/1")),
        ("250 bars of one symbol", 4, 10, get(pipeline, bars, lambda answer: len(answer["data"]) == 250)),
        ("runs, first page", 1, None, get(pipeline, "/api/v1/runs")),
        ("dlq ls, first page", 1, None, get(pipeline, "/api/v1/dead-letters")),
        ("dlq ls of a symbol", 1, None, get(pipeline, f"/api/v1/dead-letters?symbol={symbol}")),
        ("dlq ls of a rule that is rare", 1, None, get(pipeline, "/api/v1/dead-letters?rule=SYMBOL_UNKNOWN")),
        ("dlq ls of a run", 1, None, get(pipeline, f"/api/v1/dead-letters?run={newest}")),
        ("dlq summary of the last day", 1, None, get(pipeline, "/api/v1/dead-letters/summary?since=" + day_ago(pipeline))),
        ("dlq summary of all", 1, None, get(pipeline, "/api/v1/dead-letters/summary")),
        ("ledger, first page", 1, None, get(pipeline, "/api/v1/ledger/attempts")),
        ("ledger of a run by subscription", 1, None, get(pipeline, f"/api/v1/ledger/subscriptions?run={newest}")),
        ("coverage, first page", 1, None, get(pipeline, "/api/v1/coverage")),
        ("coverage of a symbol", 1, None, get(pipeline, f"/api/v1/coverage?symbol={symbol}")),
        ("why", 1, None, get(pipeline, f"/api/v1/why?symbol={symbol}&time={minute}", lambda answer: len(answer["rows"]) == 1)),
    ]


def day_ago(pipeline):
    return pipeline.value("SELECT to_char(now() - interval '1 day', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')")


def measure(pipeline, rounds):
    """Every question in turn, each its rounds; false: a bar does not hold."""
    pipeline.start("orchestrator")
    missed = []
    say("\n| what is asked | median ms | p99 ms | bar ms |\n|---|---:|---:|---:|")
    for what, factor, bar, ask in questions(pipeline):
        taken = times(rounds * factor, ask)
        median, high = statistics.median(taken), percentile(taken, 0.99)
        say(f"| {what} | {median:.1f} | {high:.1f} | {bar or ''} |")
        if bar and median >= bar:
            missed.append(what)
    for what in missed:
        say(f"not held: {what}")
    return not missed


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--attempts", type=int, default=ATTEMPTS)
    parser.add_argument("--letters", type=int, default=LETTERS)
    parser.add_argument("--bars", type=int, default=BARS)
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--keep", action="store_true", help=f"fill the database {KEPT} once, and leave it")
    options = parser.parse_args()
    servers = Servers()
    with tempfile.TemporaryDirectory(prefix="penstock-bench-") as folder:
        try:
            servers.start()
            with filled(servers, folder, options) as pipeline:
                held = measure(pipeline, options.rounds)
        finally:
            servers.stop()
    sys.exit(0 if held else 1)


if __name__ == "__main__":
    main()

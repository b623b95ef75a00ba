"""make bench [BENCH="--only whole,alone --rounds 5 --rows 2000000"]

Measures the pipeline against what people would pick instead, on this machine, in this run: every figure is a ratio of
things done in turn. Writes bench/latest.json, latest.md, latest.svg; exit code 1 where a bar does not hold and --strict
is given. The parts and what they must reach stand in tests/bench/README.md.
"""

import argparse
import os
import sys
import tempfile

from harness.pipeline import Pipeline
from harness.servers import TOP, Servers

from bench import alone, growth, latency, live, mixed, parts, plan, replay, report, scaling, starting, whole
from bench.peers import stand as peers
from bench.rounds import machine
from bench.workloads import ROWS

PARTS = {
    "whole": whole.measure,
    "mixed": mixed.measure,
    "alone": alone.measure,
    "replay": replay.measure,
    "latency": latency.measure,
    "live": live.measure,
    "growth": growth.measure,
    "plan": plan.measure,
    "scaling": scaling.measure,
    "starting": starting.measure,
    "recovery": starting.measure_recovery,
    "peers": peers.measure,
    "parts": parts.measure,
}
NEED_NO_SERVERS = {"parts"}


def parts_of(text):
    chosen = text.split(",") if text else list(PARTS)
    unknown = [name for name in chosen if name not in PARTS]
    if unknown:
        raise argparse.ArgumentTypeError(f"there is no part '{unknown[0]}'; there are: {', '.join(PARTS)}")
    return chosen


def say(text):
    print(f"  {text}", flush=True)


def measure(name, servers, options):
    """One part on a pipeline of its own."""
    made = []

    def make_pipeline():
        made.append(Pipeline(servers, tempfile.mkdtemp(prefix=f"{name}-", dir=options.folder)))
        return made[-1].prepare()

    print(name, flush=True)
    try:
        return PARTS[name](make_pipeline, options, say).summary()
    finally:
        for pipeline in made:
            pipeline.close()


def show(results):
    print()
    for entries in results.values():
        for name, entry in entries.items():
            bar = f"   bar {report.bar_text(entry)}" if "bar" in entry else ""
            print(f"{name:40} {report.number(entry['median']):>12}   spread {entry['spread']:.0%}{bar}")
            if "warning" in entry:
                print(f"{'':40} warning: {entry['warning']}")


def main():
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", type=parts_of, default=list(PARTS), metavar="PART,…")
    parser.add_argument("--rows", type=int, default=ROWS, help="of W1; all other sizes follow")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=10, help="latency: how long records come at each rate (10)")
    parser.add_argument("--largest", type=int, default=10**7, help="growth: larger sizes are left out (10000000 rows)")
    parser.add_argument("--growing", choices=growth.KINDS, help="growth: only this of " + ", ".join(growth.KINDS))
    parser.add_argument("--output", default=os.path.join(TOP, "bench"))
    parser.add_argument("--strict", action="store_true", help="exit code 1 where a bar does not hold")
    options = parser.parse_args()
    before, servers, results = machine(), Servers(), {}
    served = bool(set(options.only) - NEED_NO_SERVERS)
    with tempfile.TemporaryDirectory(prefix="penstock-bench-") as options.folder:
        try:
            if served:
                servers.start()
            for name in options.only:
                results[name] = measure(name, servers, options)
                report.write(results, before, options.output)
        finally:
            if served:
                servers.stop()
    show(results)
    print(f"\nwritten: {os.path.relpath(options.output)}/latest.json, latest.md, latest.svg")
    missed = [name for entries in results.values() for name, entry in entries.items() if entry.get("holds") is False]
    return 1 if missed and options.strict else 0


if __name__ == "__main__":
    sys.exit(main())

"""python -m bench.peers [--rows N] [--rounds N] [--only NAME,...] [--tune]

Our loader alone, and what people would use instead, each from a full topic into an equal table, in turn. What they loaded
is compared row by row with what ours did. `python -m bench --only peers` writes the same into its report.
"""

import argparse
import tempfile

from bench.peers import peers, variants
from bench.peers.stand import measure
from harness.interrupt import clean_up_on_sigterm
from harness.pipeline import Pipeline
from harness.servers import Servers

OURS = "loader"


def say(line):
    print(line, flush=True)


def arguments():
    parser = argparse.ArgumentParser(prog="bench.peers", usage=__doc__)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", default="", help="peers whose names begin so, separated by commas")
    parser.add_argument("--tune", action="store_true", help="every setting that was tried, not the best alone")
    return parser.parse_args()


def chosen(options):
    words = tuple(word for word in options.only.split(",") if word)
    return [peer for peer in (variants() if options.tune else peers()) if not words or peer.name.startswith(words)]


def show(summary):
    names = [name.removesuffix("_rows_per_s") for name in summary if name.endswith("_rows_per_s")]
    say("\n| | rows/s | rows per CPU-second | peak MiB | ours against it: rows/s | rows per CPU-second |")
    say("|---|---:|---:|---:|---:|---:|")
    for name in names:
        own = (summary[f"{name}_{what}"]["median"] for what in ("rows_per_s", "rows_per_cpu_second", "peak_mib"))
        ratios = (summary.get(f"{OURS}_vs_{name}{what}") for what in ("", "_per_cpu_second"))
        shown = (f"{ratio['median']:.2f} × (± {ratio['spread'] / 2:.0%})" if ratio else "" for ratio in ratios)
        say(f"| {name} | " + " | ".join([*(f"{value:,.0f}" for value in own), *shown]) + " |")
    for name, entry in summary.items():
        if "_vs_" in name and "warning" in entry:
            say(f"warning: {name}: {entry['warning']}")


def main():
    clean_up_on_sigterm()
    options, servers, made = arguments(), Servers(), []
    with tempfile.TemporaryDirectory(prefix="penstock-bench-") as folder:

        def make_pipeline():
            made.append(Pipeline(servers, folder))
            return made[-1].prepare()

        try:
            servers.start()
            try:
                rounds = measure(make_pipeline, options, say, chosen(options))
            finally:
                for pipeline in made:
                    pipeline.close()
        finally:
            servers.stop()
    show(rounds.summary())


if __name__ == "__main__":
    main()

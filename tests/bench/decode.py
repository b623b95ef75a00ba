"""make bench-decode: what it costs to read the vendor's files into records, by type and encoding.

The simulated vendor makes one day of trades (and the bars of many) once; every encoding of it is read in turn, round by
round, so that the figures stand beside each other. Records a second are those of one core's CPU time.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), ".."))

from harness.servers import TOP  # noqa: E402
from harness.simulator import Simulator  # noqa: E402

PROGRAM = os.path.join(TOP, "build", "bin", "bench-decode")
WINDOWS = {"ohlcv-1s": ("2024-03-04", "2024-03-09"), "trades": ("2024-03-04", "2024-03-06")}
ENCODINGS = {
    "dbn": {"encoding": "dbn"},
    "dbn.zst": {"encoding": "dbn", "compression": "zstd"},
    "csv": {"encoding": "csv", "map_symbols": "true"},
    "csv pretty": {"encoding": "csv", "map_symbols": "true", "pretty_px": "true", "pretty_ts": "true"},
    "json": {"encoding": "json", "map_symbols": "true"},
    "json pretty": {"encoding": "json", "map_symbols": "true", "pretty_px": "true", "pretty_ts": "true"},
}


def fetch(simulator, path, **form):
    with open(path, "wb") as file, simulator.request(
        "POST", "/v0/timeseries.get_range", data=form, stream=True, timeout=600
    ) as answer:
        answer.raise_for_status()
        for chunk in answer.iter_content(1 << 20):
            file.write(chunk)


def make(folder, symbols):
    """Name to (path, words that say what the encoding does not)."""
    files = {}
    with Simulator(folder, "--seed", 7, "--symbols", symbols) as simulator:
        for schema, (start, end) in WINDOWS.items():
            for encoding, form in ENCODINGS.items():
                path = os.path.join(folder, f"{schema}.{encoding.replace(' ', '-')}")
                fetch(
                    simulator, path, dataset="XNAS.ITCH", symbols="ALL_SYMBOLS", schema=schema, start=start, end=end, **form
                )
                files[f"{schema} {encoding}"] = (path, [] if "dbn" in encoding else ["XNAS.ITCH", schema])
    return files


def decode(path, words):
    said = json.loads(subprocess.run([PROGRAM, path, *words], check=True, capture_output=True, text=True).stdout)
    assert said["records"] > 0 and said["refused"] == said["skipped"] == 0, said
    return said


def measure(files, rounds):
    found = {name: [] for name in files}
    for _ in range(rounds):
        for name, (path, words) in files.items():
            found[name].append(decode(path, words))
    return found


def report(files, found):
    table = {}
    print(f"{'':22}{'records':>12}{'bytes':>15}{'records/s':>14}  (lowest to highest)     peak MiB")
    for name, said in found.items():
        speeds = sorted(one["records"] / one["cpu_seconds"] for one in said)
        size = os.path.getsize(files[name][0])
        peak = max(one["peak_kib"] for one in said) / 1024
        table[name] = {"records": said[0]["records"], "bytes": size, "peak_mib": round(peak, 1)}
        table[name] |= {"records_per_second": round(statistics.median(speeds)), "all": [round(s) for s in speeds]}
        print(
            f"{name:22}{said[0]['records']:12,}{size:15,}{statistics.median(speeds):14,.0f}"
            f"  ({speeds[0]:,.0f} to {speeds[-1]:,.0f}){peak:10.1f}"
        )
    return table


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--symbols", type=int, default=100)
    parser.add_argument("--output", default=os.path.join(TOP, "bench", "decode.json"))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="penstock-bench-") as folder:
        files = make(folder, options.symbols)
        table = report(files, measure(files, options.rounds))
    os.makedirs(os.path.dirname(options.output), exist_ok=True)
    with open(options.output, "w") as file:
        json.dump(table, file, indent=1)
        file.write("\n")
    print(f"written: {os.path.relpath(options.output)}")


if __name__ == "__main__":
    main()

"""make bench: direct binary COPY of the same rows into the same table, and the pipeline end to end, interleaved.

Every figure is a ratio taken in one run on one machine; seconds are printed for orientation only. Writes
bench/latest.json (key end_to_end_vs_copy: rows/s of the pipeline over rows/s of the COPY, median of the rounds).
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), ".."))

from harness.pipeline import KINDS, Pipeline  # noqa: E402
from harness.servers import TOP, Servers  # noqa: E402

RUN_SECONDS = 900
CHUNK_BYTES = 1 << 20
SPREAD_WIDE = 0.25
COLUMNS = (
    'symbol, "interval", ts_event, dataset, publisher_id, instrument_id, open_price, high_price, low_price,'
    " close_price, volume, ticker, venue, session_date, session_basis, flags, attempt, as_of"
)


def generate(pipeline, bars, files):
    path = os.path.join(pipeline.folder, "bars.dbn")
    subprocess.run(
        [
            pipeline.program("penstock-simulator"),
            f"--write={path}",
            f"--bars={bars}",
            "--symbols=500",
            f"--files={files}",
        ],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    return os.path.join(pipeline.folder, "bars*.dbn")


def empty(pipeline):
    pipeline.query("TRUNCATE ohlcv_data")


def end_to_end(pipeline, bars):
    """Seconds from the request to the run's end, its account closed."""
    started = time.monotonic()
    run = pipeline.run(seconds=RUN_SECONDS, validateAfterExecution=False)
    seconds = time.monotonic() - started
    assert run["status"] == "success" and run["balanced"], json.dumps(run, indent=1)
    assert run["inserted"] == bars, run
    return seconds


def save_rows(pipeline, path):
    """The rows as a binary COPY stream, in the order in which the file has them."""
    with pipeline.connect() as connection, open(path, "wb") as file:
        statement = f"COPY (SELECT {COLUMNS} FROM ohlcv_data ORDER BY ts_event, symbol) TO STDOUT (FORMAT binary)"
        with connection.cursor().copy(statement) as copy:
            for data in copy:
                file.write(data)


def direct_copy(pipeline, path, bars):
    with pipeline.connect() as connection, open(path, "rb") as file:
        cursor = connection.cursor()
        started = time.monotonic()
        with cursor.copy(f"COPY ohlcv_data ({COLUMNS}) FROM STDIN (FORMAT binary)") as copy:
            while data := file.read(CHUNK_BYTES):
                copy.write(data)
        connection.commit()
        seconds = time.monotonic() - started
        assert cursor.rowcount == bars
    return seconds


def peak_mib(worker):
    with open(f"/proc/{worker.pid}/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM:")) / 1024


def measure(pipeline, bars, rounds, files):
    pipeline.prepare()
    pipeline.subscribe("bench", generate(pipeline, bars, files))
    pipeline.start_all()
    rows = os.path.join(pipeline.folder, "rows.bin")
    print(f"warming up: {end_to_end(pipeline, bars):.1f} s end to end", flush=True)
    save_rows(pipeline, rows)
    table = []
    for number in range(1, rounds + 1):
        empty(pipeline)
        copy = direct_copy(pipeline, rows, bars)
        empty(pipeline)
        whole = end_to_end(pipeline, bars)
        table.append({"copy_seconds": copy, "end_to_end_seconds": whole, "ratio": copy / whole})
        print(
            f"round {number}: COPY {copy:6.2f} s ({bars / copy:9,.0f} rows/s)   end to end {whole:6.2f} s"
            f" ({bars / whole:9,.0f} rows/s)   ratio {copy / whole:.3f}",
            flush=True,
        )
    memory = {kind: round(max(peak_mib(worker) for worker in pipeline.of(kind)), 1) for kind in KINDS}
    return table, memory


def report(table, memory, bars):
    ratios = sorted(row["ratio"] for row in table)
    median = statistics.median(ratios)
    spread = (ratios[-1] - ratios[0]) / median
    result = {
        "end_to_end_vs_copy": round(median, 4),
        "spread": round(spread, 4),
        "bars": bars,
        "rounds": table,
        "peak_resident_mib": memory,
        "machine": {"cpus": os.cpu_count(), "system": platform.platform(), "processor": processor()},
    }
    print(f"\nend to end / direct COPY: {median:.3f} (lowest {ratios[0]:.3f}, highest {ratios[-1]:.3f})")
    if spread > SPREAD_WIDE:
        print(f"warning: the rounds differ by {spread:.0%}: something else ran on this machine")
    print("peak resident MiB: " + ", ".join(f"{kind} {mib:.0f}" for kind, mib in memory.items()))
    return result


def processor():
    with open("/proc/cpuinfo") as file:
        return next((line.split(":", 1)[1].strip() for line in file if line.startswith("model name")), "unknown")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--bars", type=int, default=2_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--files", type=int, default=4)
    parser.add_argument("--output", default=os.path.join(TOP, "bench", "latest.json"))
    options = parser.parse_args()
    servers = Servers()
    with tempfile.TemporaryDirectory(prefix="penstock-bench-") as folder:
        try:
            servers.start()
            pipeline = Pipeline(servers, folder)
            try:
                result = report(*measure(pipeline, options.bars, options.rounds, options.files), options.bars)
            finally:
                pipeline.close()
        finally:
            servers.stop()
    os.makedirs(os.path.dirname(options.output), exist_ok=True)
    with open(options.output, "w") as file:
        json.dump(result, file, indent=1)
        file.write("\n")
    print(f"written: {os.path.relpath(options.output)}")


if __name__ == "__main__":
    main()

"""What is measured on: a pipeline with a workload's files, its table emptied, rows kept for the direct COPY."""

import json
import os
import subprocess
import threading
import time

from harness.waiting import wait_until

from bench.process import cpu_seconds

RUN_SECONDS = 1800
CHUNK_BYTES = 1 << 20
MINUTES_A_DAY = 390  # of a made-up market
COUNTERS = {"fetcher": "penstock_fetcher_records_total"}  # its messages are tasks
COLUMNS = (
    'symbol, "interval", ts_event, dataset, publisher_id, instrument_id, open_price, high_price, low_price,'
    " close_price, volume, ticker, venue, session_date, session_basis, flags, attempt, as_of"
)


def generate(pipeline, name, **options):
    """Files of made-up bars; the glob of their names. A file is a day at least, so few bars make fewer files."""
    days = -(-options["bars"] // (options["symbols"] * MINUTES_A_DAY))
    options["files"] = min(options["files"], days)
    path = os.path.join(pipeline.folder, f"{name}.dbn")
    words = [pipeline.program("penstock-simulator"), f"--write={path}"]
    subprocess.run(
        words + [f"--{key.replace('_', '-')}={value}" for key, value in options.items()], check=True, stdout=subprocess.DEVNULL
    )
    return os.path.join(pipeline.folder, f"{name}*.dbn")


def empty(pipeline):
    pipeline.query("TRUNCATE ohlcv_data")


def end_to_end(pipeline, subscription, **expected):
    """Seconds from the request to the run's end, its account closed."""
    started = time.monotonic()
    run = pipeline.run([subscription], seconds=RUN_SECONDS, validateAfterExecution=False)
    seconds = time.monotonic() - started
    assert run["status"] == "success" and run["balanced"], json.dumps(run, indent=1)
    for name, count in expected.items():
        assert run[name] == count, (name, run)
    return seconds, run


# --- the limit: the same rows by COPY straight into the same table ----------------------------------------------------------


def save_rows(pipeline, path, parts=1):
    """The rows as binary COPY streams, in the order in which the file has them; of `parts`, each has some of the symbols."""
    paths = [f"{path}.{number}" for number in range(parts)]
    for number, each in enumerate(paths):
        with pipeline.connect() as connection, open(each, "wb") as file:
            chosen = f"(SELECT {COLUMNS} FROM ohlcv_data WHERE abs(hashtext(symbol)) % {parts} = {number} ORDER BY ts_event, symbol)"
            with connection.cursor().copy(f"COPY {chosen} TO STDOUT (FORMAT binary)") as copy:
                for data in copy:
                    file.write(data)
    return paths


def copy_one(pipeline, path, counts):
    with pipeline.connect() as connection, open(path, "rb") as file:
        cursor = connection.cursor()
        with cursor.copy(f"COPY ohlcv_data ({COLUMNS}) FROM STDIN (FORMAT binary)") as copy:
            while data := file.read(CHUNK_BYTES):
                copy.write(data)
        connection.commit()
        counts.append(cursor.rowcount)


def direct_copy(pipeline, paths, bars):
    """Seconds; a connection for each path, all at once."""
    counts = []
    threads = [threading.Thread(target=copy_one, args=(pipeline, path, counts)) for path in paths]
    started = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds = time.monotonic() - started
    assert sum(counts) == bars, counts
    return seconds


# --- one stage alone ------------------------------------------------------------------------------------------------------


class Watch:
    """A worker from the first records that it has done to the last: records a second, CPU microseconds a record."""

    def __init__(self, worker, records):
        self.worker = worker
        self.counter = COUNTERS.get(worker.kind, "penstock_records_total")
        self.base = worker.metrics().get(self.counter, 0)
        self.last = self.base + records
        self.points = []

    def look(self):
        done = self.worker.metrics().get(self.counter, 0)
        if done > self.base and (not self.points or done > self.points[-1][0]):
            self.points.append((done, time.monotonic(), cpu_seconds(self.worker.pid)))
        return done >= self.last

    def wait(self, seconds=RUN_SECONDS):
        wait_until(self.look, seconds, lambda: f"{self.worker.name} has done {self.last}: {self.points[-1:]}\n{self.worker.tail()}")
        (first, began, cpu), (last, ended, cpu_end) = self.points[0], self.points[-1]
        assert last > first, "too few records to measure"
        return {"rate": (last - first) / (ended - began), "cpu_us": (cpu_end - cpu) / (last - first) * 1e6}

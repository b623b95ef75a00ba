"""What is measured on: runs followed to their end, tables emptied, rows kept for the direct COPY, a stage watched."""

import json
import threading
import time

from harness.waiting import wait_until

from bench.process import cpu_seconds

RUN_SECONDS = 1800
LOOK_SECONDS = 0.2  # between looks at a run
CHUNK_BYTES = 1 << 20
COUNTERS = {"fetcher": "penstock_fetcher_records_total"}  # its messages are tasks
ORDERS = {"ohlcv_data": "ts_event, symbol", "trades_data": "ts_event, ts_event_ns"}  # those of the files


def empty(pipeline, *tables):
    pipeline.query(f"TRUNCATE {', '.join(tables or ('ohlcv_data',))}")


def settle(pipeline, *tables):
    """What one measurement left to do, the next is not to be charged with: the server would vacuum the new rows meanwhile."""
    for table in tables or ("ohlcv_data",):
        pipeline.query(f"VACUUM (ANALYZE) {table}")


def to_the_end(pipeline, start, **expected):
    """Seconds from the request, which gives a run, to the run's end, its account closed. Seldom asked for, as that costs, too."""
    started = time.monotonic()
    run = pipeline.wait_run(start(), RUN_SECONDS, every=LOOK_SECONDS)
    seconds = time.monotonic() - started
    assert run["status"] == "success" and run["balanced"], json.dumps(run, indent=1)
    for name, count in expected.items():
        assert run[name] == count, (name, run)
    return seconds, run


def end_to_end(pipeline, subscriptions, checks=False, **expected):
    """Of a full run."""
    start = lambda: pipeline.api.start_run(subscriptions, validateAfterExecution=checks)  # noqa: E731
    return to_the_end(pipeline, start, **expected)


# --- the limit: the same rows by COPY straight into the same table ----------------------------------------------------------


def columns(pipeline, table):
    """Those that are loaded, not made by the table itself."""
    found = pipeline.query(
        "SELECT quote_ident(attname) FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped"
        " AND attgenerated = '' AND attidentity = '' ORDER BY attnum",
        table,
    )
    return ", ".join(name for (name,) in found)


def save_rows(pipeline, path, parts=1, table="ohlcv_data"):
    """The rows as binary COPY streams, in the order in which the file has them; of `parts`, each has some of the symbols."""
    paths = [f"{path}.{number}" for number in range(parts)]
    for number, each in enumerate(paths):
        chosen = (
            f"(SELECT {columns(pipeline, table)} FROM {table} WHERE abs(hashtext(symbol)) % {parts} = {number}"
            f" ORDER BY {ORDERS[table]})"
        )
        with pipeline.connect() as connection, open(each, "wb") as file:
            with connection.cursor().copy(f"COPY {chosen} TO STDOUT (FORMAT binary)") as copy:
                for data in copy:
                    file.write(data)
    return paths


def copy_one(pipeline, path, statement, counts):
    with pipeline.connect() as connection, open(path, "rb") as file:
        cursor = connection.cursor()
        with cursor.copy(statement) as copy:
            while data := file.read(CHUNK_BYTES):
                copy.write(data)
        connection.commit()
        counts.append(cursor.rowcount)


def direct_copy(pipeline, paths, rows, table="ohlcv_data"):
    """Seconds; a connection for each path, all at once."""
    counts = []
    statement = f"COPY {table} ({columns(pipeline, table)}) FROM STDIN (FORMAT binary)"
    threads = [threading.Thread(target=copy_one, args=(pipeline, path, statement, counts)) for path in paths]
    started = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds = time.monotonic() - started
    assert sum(counts) == rows, counts
    return seconds


# --- one stage alone ------------------------------------------------------------------------------------------------------


class Watch:
    """A worker from the first records that it has done to the last: records a second, CPU microseconds a record.

    Where all were done between two looks, from when it was watched.
    """

    def __init__(self, worker, records):
        self.worker = worker
        self.counter = COUNTERS.get(worker.kind, "penstock_records_total")
        self.base = worker.metrics().get(self.counter, 0)
        self.last = self.base + records
        self.points = []
        self.begun = (self.base, time.monotonic(), cpu_seconds(worker.pid))

    def look(self):
        done = self.worker.metrics().get(self.counter, 0)
        if done > self.base and (not self.points or done > self.points[-1][0]):
            self.points.append((done, time.monotonic(), cpu_seconds(self.worker.pid)))
        return done >= self.last

    def wait(self, seconds=RUN_SECONDS):
        wait_until(self.look, seconds, lambda: f"{self.worker.name} has done {self.last}: {self.points[-1:]}\n{self.worker.tail()}")
        first, began, cpu = self.points[0] if len(self.points) > 1 else self.begun
        last, ended, cpu_end = self.points[-1]
        return {"rate": (last - first) / (ended - began), "cpu_us": (cpu_end - cpu) / (last - first) * 1e6}

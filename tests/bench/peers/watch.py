"""What a loader costs: from the first look that finds rows in its table to the one that finds the last row of every partition.

Not from the start of the process: connecting, joining a group and warming up a JVM are over by then. The rows of the first
look are not counted, nor what they took: whoever commits large batches has no advantage. What a client reads ahead before
its first commit is a gift to it, the same for all that read ahead; more rows make it small.
"""

import os
import time
from dataclasses import dataclass

import psycopg

from bench.peers import KEY, Result, fill, quoted
from harness.waiting import wait_until

START_SECONDS = 120
LEAST_SPEED = 2000  # rows a second; who is slower does not get done
LOOK_SECONDS = 0.01
TICKS = os.sysconf("SC_CLK_TCK")


def stat(pid):
    """Parent, and CPU seconds with those of children that ended; None where there is no such process."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            fields = file.read().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return int(fields[1]), sum(map(int, fields[11:15])) / TICKS


def tree(pid):
    """{pid: CPU seconds} of a process and all below it."""
    stats = {int(each): found for each in os.listdir("/proc") if each.isdigit() and (found := stat(each))}
    family, grown = {pid}, True
    while grown:
        grown = {each for each, (parent, _) in stats.items() if parent in family} - family
        family |= grown
    return {each: stats[each][1] for each in family if each in stats}


def peak_mib(pids):
    """Of each process its own peak: together at least what they took at any time."""
    peaks = []
    for pid in pids:
        with open(f"/proc/{pid}/status") as file:
            peaks += [int(line.split()[1]) / 1024 for line in file if line.startswith("VmHWM:")]
    return sum(peaks)


@dataclass
class Look:
    rows: int
    when: float
    cpu: float


class Table:
    """Asked little, as it is asked often."""

    def __init__(self, dsn, name, rows):
        self.connection = psycopg.connect(dsn, autocommit=True)
        self.name = name
        keys = fill.last_keys(rows)
        places = ", ".join(["(" + ", ".join(["%s"] * len(KEY)) + ")"] * len(keys))
        self.last = f"SELECT count(*) = {len(keys)} FROM {name} WHERE ({quoted(KEY)}) IN ({places})"
        self.values = [value for key in keys for value in key]

    def value(self, statement, values=None):
        return self.connection.execute(statement, values, prepare=True).fetchone()[0]

    def has_rows(self):
        return self.value(f"SELECT EXISTS (SELECT FROM {self.name})")

    def has_last(self):
        return self.value(self.last, self.values)

    def count(self):
        return self.value(f"SELECT count(*) FROM {self.name}")

    def look(self, pid):
        when, cpu = time.monotonic(), sum(tree(pid).values())
        return Look(self.count(), when, cpu)


def measure(worker, dsn, name, rows):
    """worker: a harness.worker.Worker that was just started."""
    table = Table(dsn, name, rows)
    try:
        wait(table.has_rows, worker, START_SECONDS, f"rows in {name}")
        first = table.look(worker.pid)
        wait(table.has_last, worker, START_SECONDS + rows / LEAST_SPEED, f"{rows} rows in {name}")
        last = table.look(worker.pid)
        assert last.rows == rows > first.rows, f"{worker.name}: {first} … {last} of {rows} rows; more would be better"
        peak = peak_mib(tree(worker.pid))
    finally:
        table.connection.close()
    return Result(last.rows - first.rows, last.when - first.when, last.cpu - first.cpu, peak)


def wait(condition, worker, seconds, what):
    def said():
        return f"{worker.name}: {what}:\n{worker.tail()}"

    wait_until(lambda: condition() or not worker.running, seconds, said, LOOK_SECONDS)
    assert worker.running, f"{worker.name} ended with exit code {worker.process.returncode}:\n{worker.tail()}"

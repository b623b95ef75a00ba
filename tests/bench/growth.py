"""What a record costs when there are more of them, more symbols, more tasks, more rows: CPU time of the workers, Kafka and PostgreSQL."""

import os

from harness import grown

from bench.process import MEMORY_BAR, memory_of, used
from bench.rounds import Rounds
from bench.stand import empty, end_to_end
from bench.workloads import ROWS, write

FEW = 10
LIMIT = 1.2  # times what it costs at the smallest size
COMMON = 1_000_000  # records where it is something else that grows
RECORDS = (10**5, 10**6, 10**7)
SYMBOLS = (10, 10**3, 10**5)
TASKS = (10, 10**4)
THERE = (0, 10**7, 10**8)
KINDS = ("records", "symbols", "tasks", "there")
SYMBOLS_USUAL = 500
SYMBOLS_FEW = 100  # each small file begins with a list of them
LEAST_THERE = grown.SYMBOLS * 10  # that grown.py makes


class Stack:
    """One pipeline with its workers, and what it has cost so far."""

    def __init__(self, pipeline):
        self.pipeline = pipeline

    def cpu(self):
        return sum(used(self.pipeline).values())

    def cost(self, subscription, records):
        """Microseconds a record: of CPUs, and by the clock."""
        before = self.cpu()
        seconds, _ = end_to_end(self.pipeline, [subscription], inserted=records)
        return {"cpu_us": (self.cpu() - before) / records * 1e6, "wall_us": seconds / records * 1e6}


class Size:
    """One of a row of sizes. there: rows that are there before, in a database of its own."""

    def __init__(self, kind, size, records, symbols=SYMBOLS_USUAL, files=4, there=0):
        self.kind, self.size, self.there = kind, size, there
        self.name = f"{kind}_{size:.0e}".replace("e+0", "e") if size else f"{kind}_0"
        self.records, self.symbols = records, min(symbols, records)
        self.files = min(files, records)

    def prepare(self, stack, number):
        """Rows of their own in each round: another publisher's."""
        name = f"{self.name}-{number}"
        path = write(
            stack.pipeline, name, records=self.records, symbols=self.symbols, files=self.files, publisher_id=number
        )  # fmt: skip
        stack.pipeline.subscribe(name, path)
        return name

    def measure(self, stack, number):
        if not self.there:
            empty(stack.pipeline)
        name = self.prepare(stack, number)
        try:
            return stack.cost(name, self.records)
        finally:
            for file in os.listdir(stack.pipeline.folder):
                if file.startswith(name):
                    os.unlink(os.path.join(stack.pipeline.folder, file))


def sizes(rows, largest, kind):
    """As they are asked for with as many --rows as there are by default; less with less."""

    def scaled(size):
        return max(int(size * min(rows / ROWS, 1)), FEW)

    common = scaled(COMMON)
    found = [Size("records", n, scaled(n)) for n in RECORDS]
    found += [Size("symbols", n, common, symbols=scaled(n)) for n in SYMBOLS]
    found += [Size("tasks", n, common, symbols=SYMBOLS_FEW, files=scaled(n)) for n in TASKS]
    found += [Size("there", n, common, there=max(scaled(n), LEAST_THERE) if n else 0) for n in THERE]
    return [size for size in found if size.size <= largest and kind in (None, size.kind)]


def stacks(make_pipeline, found, say):
    """For each number of rows that are there before: a database that has them, with workers."""
    made = {}
    for there in sorted({size.there for size in found}):
        pipeline = make_pipeline()
        if there:
            say(f"{there:,} rows are made")
            grown.fill(pipeline, attempts=FEW, letters=0, bars=there)
        pipeline.start_all()
        made[there] = Stack(pipeline)
    return made


def against_smallest(costs):
    """CPU time of a record beside that at the smallest size of its kind; of the smallest itself nothing."""
    smallest = {}
    for size in costs:
        first = smallest.setdefault(size.kind, size)
        if first is not size:
            yield f"{size.name}_vs_smallest", costs[size]["cpu_us"] / costs[first]["cpu_us"]


def measure(make_pipeline, options, say):
    found = sizes(options.rows, options.largest, options.growing)
    made = stacks(make_pipeline, found, say)
    for there, stack in made.items():  # warms up
        next(size for size in found if size.there == there).measure(stack, 1)
    rounds = Rounds({f"{size.name}_vs_smallest": f"<{LIMIT}" for size in found} | MEMORY_BAR)
    for number in range(1, options.rounds + 1):
        costs = {}
        for size in found:
            costs[size] = cost = size.measure(made[size.there], 1 + number)
            say(f"round {number}: {size.name:12} {cost['cpu_us']:9.2f} µs of CPU a record, {cost['wall_us']:9.2f} by the clock")
        figures = {f"{size.name}_{what}": value for size, cost in costs.items() for what, value in cost.items()}
        rounds.add(**figures, **dict(against_smallest(costs)))
    rounds.add(**memory_of(*(stack.pipeline for stack in made.values())))
    return rounds

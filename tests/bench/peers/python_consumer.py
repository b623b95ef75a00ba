"""A consumer in Python: confluent-kafka, fastavro, psycopg. See programs/python_consumer.py."""

import itertools
import os
import sys

from bench.peers import COLUMNS, process, upsert
from harness.records import AVRO

PROGRAM = os.path.join(os.path.dirname(__file__), "programs", "python_consumer.py")
BATCH, COPY = 10_000, "binary"


class PythonConsumer:
    kind = "avro"

    def __init__(self, batch=BATCH, copy=COPY):
        self.name = "python" if (batch, copy) == (BATCH, COPY) else f"python_{copy}_{batch}"
        self.batch = batch
        self.copy = copy
        self.runs = itertools.count(1)

    def available(self):
        return None  # what it needs, the tests need

    def prepare(self, servers, folder):
        self.folder = str(folder)

    def run(self, servers, topic, dsn, table, rows):
        settings = {
            "brokers": servers.kafka,
            "topic": topic,
            "group": f"{topic}-python-{self.copy}-{self.batch}-{next(self.runs)}",
            "dsn": dsn,
            "table": table,
            "columns": COLUMNS,
            "upsert": upsert(table, "staging"),
            "schema": os.path.join(AVRO, "ohlcv_clean.avsc"),
            "batch": self.batch,
            "copy": self.copy,
        }
        path = process.write_json(os.path.join(self.folder, "python.json"), settings)
        return process.run("python-consumer", [sys.executable, PROGRAM, path], self.folder, dsn, table, rows)


def variants():
    return [PythonConsumer(batch, copy) for batch in (2_000, 10_000, 50_000) for copy in ("binary", "text")]

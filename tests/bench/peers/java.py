"""A consumer in plain Java: kafka-clients, Avro, the PostgreSQL driver's CopyManager. See java/Consumer.java."""

import itertools
import os

from psycopg.conninfo import conninfo_to_dict

from bench.peers import COLUMNS, jars, process, quoted, upsert
from harness.records import AVRO

HERE = os.path.join(os.path.dirname(__file__), "java")
POM = os.path.join(HERE, "consumer.pom.xml")
SOURCE = os.path.join(HERE, "Consumer.java")
HEAP = "512m"
BATCH = 10_000


def jdbc(dsn):
    """The driver speaks TCP only."""
    parts = conninfo_to_dict(dsn)
    url = f"jdbc:postgresql://127.0.0.1:{parts['port']}/{parts['dbname']}"
    return {"url": url, "user": parts["user"], "password": parts["password"]}


class JavaConsumer:
    kind = "avro"

    def __init__(self, batch=BATCH):
        self.name = "java" if batch == BATCH else f"java_{batch}"
        self.batch = batch
        self.runs = itertools.count(1)

    def available(self):
        return jars.missing("java", "javac") or jars.fetch(POM)

    def prepare(self, servers, folder):
        self.folder = str(folder)
        libraries, program = os.path.join(jars.folder(POM), "*"), os.path.join(self.folder, "consumer.jar")
        jars.build(SOURCE, libraries, program)
        self.path = os.pathsep.join([program, libraries])

    def run(self, servers, topic, dsn, table, rows):
        settings = jdbc(dsn) | {
            "brokers": servers.kafka,
            "topic": topic,
            "group": f"{topic}-java-{self.batch}-{next(self.runs)}",
            "schema": os.path.join(AVRO, "ohlcv_clean.avsc"),
            "batch": self.batch,
            "table": table,
            "columns": quoted(COLUMNS),
            "upsert": upsert(table, "staging"),
        }
        path = process.write_properties(os.path.join(self.folder, "java.properties"), settings)
        argv = jars.java(f"-Xmx{HEAP}", "-cp", self.path, "Consumer", path)
        return process.run("java-consumer", argv, self.folder, dsn, table, rows)


def variants():
    return [JavaConsumer(batch) for batch in (2_000, 10_000, 50_000)]

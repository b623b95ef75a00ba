"""Kafka Connect, a standalone worker, with the Debezium JDBC sink: upserts by primary key.

No offset is committed before its rows are, and rows that come again change nothing: the most that this sink promises. It
knows no "only if newer". Records are JSON with their schema, as no Avro converter could be had.
"""

import glob
import itertools
import os
import shutil

from bench.peers import KEY, jars, process
from bench.peers.java import jdbc

HERE = os.path.join(os.path.dirname(__file__), "connect")
WORKER, PLUGIN = (os.path.join(HERE, name + ".pom.xml") for name in ("worker", "plugin"))
POOL = os.path.join(HERE, "AgroalConnectionProvider.java")
SHARED = ("jackson-datatype-jdk8", "jackson-module")  # the worker's, wanted by the plugin, too
HEAP = "1g"
BATCH, TASKS, UNNEST = 5_000, 1, False

WORKER_SETTINGS = {
    "key.converter": "org.apache.kafka.connect.storage.StringConverter",
    "value.converter": "org.apache.kafka.connect.json.JsonConverter",
    "value.converter.schemas.enable": "true",
    "offset.flush.interval.ms": 10_000,
    "plugin.discovery": "only_scan",
}
SINK_SETTINGS = {
    "connector.class": "io.debezium.connector.jdbc.JdbcSinkConnector",
    "insert.mode": "upsert",
    "primary.key.mode": "record_value",
    "primary.key.fields": ",".join(KEY),
    "schema.evolution": "none",
    "quote.identifiers": "true",
    "errors.tolerance": "none",
    "consumer.override.auto.offset.reset": "earliest",
    "consumer.override.max.partition.fetch.bytes": 8 << 20,
}


class Connect:
    kind = "json"

    def __init__(self, batch=BATCH, tasks=TASKS, unnest=UNNEST):
        usual = (batch, tasks, unnest) == (BATCH, TASKS, UNNEST)
        self.name = "connect" if usual else f"connect_{batch}_{tasks}{'_unnest' if unnest else ''}"
        self.batch, self.tasks, self.unnest = batch, tasks, unnest
        self.runs = itertools.count(1)

    def available(self):
        return jars.missing("java", "javac") or jars.fetch(WORKER) or jars.fetch(PLUGIN)

    def prepare(self, servers, folder):
        """The plugin in a folder of its own, with what it needs of the worker's."""
        self.folder = str(folder)
        plugin = os.path.join(self.folder, "plugins", "jdbc")
        if os.path.isdir(plugin):
            return
        shutil.copytree(jars.folder(PLUGIN), plugin)
        for name in SHARED:
            for jar in glob.glob(os.path.join(jars.folder(WORKER), name + "*.jar")):
                shutil.copy(jar, plugin)
        jars.build(POOL, os.path.join(plugin, "*"), os.path.join(plugin, "pool.jar"))

    def run(self, servers, topic, dsn, table, rows):
        name = f"{topic}-connect-{self.batch}-{self.tasks}-{self.unnest}-{next(self.runs)}"
        worker = WORKER_SETTINGS | {
            "bootstrap.servers": servers.kafka,
            "plugin.path": os.path.join(self.folder, "plugins"),
            "offset.storage.file.filename": os.path.join(self.folder, "offsets"),
            "listeners": f"http://127.0.0.1:{servers.free_port()}",
        }
        parts = jdbc(dsn)
        sink = SINK_SETTINGS | {
            "name": name,  # a new one each time: its group keeps offsets
            "topics": topic,
            "tasks.max": self.tasks,
            "connection.url": parts["url"] + "?reWriteBatchedInserts=true",
            "connection.username": parts["user"],
            "connection.password": parts["password"],
            "collection.name.format": table,
            "batch.size": self.batch,
            "consumer.override.max.poll.records": self.batch,
            "dialect.postgres.unnest.insert.enabled": str(self.unnest).lower(),
        }
        files = [
            process.write_properties(os.path.join(self.folder, name + ".properties"), settings)
            for name, settings in (("worker", worker), ("sink", sink))
        ]
        argv = jars.java(
            f"-Xmx{HEAP}",
            "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
            "-cp",
            os.path.join(jars.folder(WORKER), "*"),
            "org.apache.kafka.connect.cli.ConnectStandalone",
            *files,
        )
        return process.run("connect", argv, self.folder, dsn, table, rows)


def variants():
    return [
        Connect(batch, tasks, unnest)
        for unnest in (False, True)
        for batch, tasks in ((500, 1), (5_000, 1), (5_000, 2), (20_000, 1))
    ]

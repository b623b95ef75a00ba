"""Bars from a topic into a table, each exactly once: python_consumer.py SETTINGS.json

What a desk would write that knows its tools: records in batches, COPY into a temporary table, one upsert, and the offsets in
the same transaction. After a restart or a rebalance it goes on from the offsets in the database; whoever had a partition
meanwhile has moved its offset, and a batch of somebody who lost it is not committed.
"""

import datetime
import io
import json
import sys
import time
from decimal import Decimal

import fastavro
import psycopg
from confluent_kafka import Consumer, KafkaException, TopicPartition

BATCH_SECONDS = 0.2
SESSION = {"auto.offset.reset": "error", "enable.auto.commit": False, "enable.auto.offset.store": False}
EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
MICROSECOND = datetime.timedelta(microseconds=1)
FRAME = 5  # a zero and the schema's id

OFFSETS_SQL = """
CREATE TABLE IF NOT EXISTS consumer_offsets (
    consumer text NOT NULL, topic text NOT NULL, partition integer NOT NULL, next_offset bigint NOT NULL,
    PRIMARY KEY (consumer, topic, partition)
)
"""
ASSIGN_SQL = """
INSERT INTO consumer_offsets AS old VALUES (%s, %s, %s, 0) ON CONFLICT (consumer, topic, partition)
DO UPDATE SET next_offset = old.next_offset RETURNING next_offset
"""
MOVE_SQL = """
UPDATE consumer_offsets SET next_offset = %s WHERE consumer = %s AND topic = %s AND partition = %s AND next_offset = %s
"""


def load_schema(path):
    """Times of nanoseconds stay numbers: fastavro knows none."""
    with open(path) as file:
        text = file.read().replace('"logicalType": "timestamp-nanos"', '"nanos": true')
    return fastavro.parse_schema(json.loads(text))


class Bars:
    """Messages to rows."""

    def __init__(self, path):
        self.schema = load_schema(path)

    def row(self, value):
        data = io.BytesIO(value)
        data.seek(FRAME)
        bar = fastavro.schemaless_reader(data, self.schema, None)
        exponent = bar["volume_exponent"]
        return (
            bar["symbol"],
            bar["interval"],
            EPOCH + bar["ts_event"] // 1000 * MICROSECOND,
            bar["dataset"],
            bar["publisher_id"],
            bar["instrument_id"],
            bar["open_price"],
            bar["high_price"],
            bar["low_price"],
            bar["close_price"],
            Decimal(bar["volume"]).scaleb(exponent) if exponent else bar["volume"],
            bar["ticker"],
            bar["venue"],
            bar["session_date"],
            bar["session_basis"],
            bar["flags"],
            bar["attempt"],
            EPOCH + bar["as_of"] // 1000 * MICROSECOND,
        )


class Database:
    TYPES = "text text timestamptz text int4 int8" + " numeric" * 5 + " text text date text int4 int8 timestamptz"

    def __init__(self, settings):
        self.connection = psycopg.connect(settings["dsn"])
        self.names = settings["group"], settings["topic"]
        self.binary = settings["copy"] == "binary"
        columns = ", ".join(f'"{name}"' for name in settings["columns"])
        self.copy = f"COPY staging ({columns}) FROM STDIN" + (" (FORMAT binary)" if self.binary else "")
        self.upsert = settings["upsert"]
        with self.connection.transaction():
            self.connection.execute(OFFSETS_SQL)
            self.connection.execute(f"CREATE TEMPORARY TABLE staging (LIKE {settings['table']}) ON COMMIT DELETE ROWS")
            self.connection.execute("ALTER TABLE staging ALTER created_at DROP NOT NULL")

    def offset(self, partition):
        with self.connection.transaction():
            return self.connection.execute(ASSIGN_SQL, (*self.names, partition)).fetchone()[0]

    def load(self, rows, moves):
        """moves: {partition: (first offset, next offset)}."""
        with self.connection.transaction(), self.connection.cursor() as cursor:
            with cursor.copy(self.copy) as copy:
                if self.binary:
                    copy.set_types(self.TYPES.split())
                for row in rows:
                    copy.write_row(row)
            cursor.execute(self.upsert)
            for partition, (first, after) in moves.items():
                cursor.execute(MOVE_SQL, (after, *self.names, partition, first))
                if cursor.rowcount != 1:
                    raise RuntimeError(f"partition {partition}: somebody else loads it by now")


class Loop:
    def __init__(self, settings):
        self.bars = Bars(settings["schema"])
        self.database = Database(settings)
        self.batch = settings["batch"]
        self.next = {}
        self.consumer = Consumer(SESSION | {"bootstrap.servers": settings["brokers"], "group.id": settings["group"]})
        self.consumer.subscribe([settings["topic"]], on_assign=self.assigned)

    def assigned(self, consumer, partitions):
        self.next = {each.partition: self.database.offset(each.partition) for each in partitions}
        consumer.assign([TopicPartition(each.topic, each.partition, self.next[each.partition]) for each in partitions])

    def take(self):
        """Messages until there are enough, or the first has waited long enough."""
        messages = self.consumer.consume(self.batch, 0.05)
        until = time.monotonic() + BATCH_SECONDS
        while messages and len(messages) < self.batch and (left := until - time.monotonic()) > 0:
            messages += self.consumer.consume(self.batch - len(messages), left)
        return messages

    def step(self):
        rows, moves = [], {}
        for message in self.take():
            if message.error():
                raise KafkaException(message.error())
            partition = message.partition()
            first = moves[partition][0] if partition in moves else self.next[partition]
            moves[partition] = first, message.offset() + 1
            rows.append(self.bars.row(message.value()))
        if rows:
            self.database.load(rows, moves)
            self.next |= {partition: after for partition, (_, after) in moves.items()}


def main():
    with open(sys.argv[1]) as file:
        loop = Loop(json.load(file))
    while True:
        loop.step()


if __name__ == "__main__":
    main()

"""Records of our topics, made and read with fastavro from the schemas in schemas/avro: an encoder that is not ours."""

import io
import json
import os
from decimal import Decimal

import fastavro

from harness.servers import TOP
from harness.waiting import wait_until

AVRO = os.path.join(TOP, "schemas", "avro")
LOCK = os.path.join(TOP, "schemas", "registry.lock")
MASK = (1 << 64) - 1


def schema_id(file):
    """The newest id of the file in the registry lock."""
    with open(LOCK) as lock:
        rows = [line.split() for line in lock if line.strip() and not line.startswith("#")]
    return max(int(row[2]) for row in rows if row[4] == file)


def drop_nanos(schema):
    """fastavro turns no long into a time of nanoseconds: leave them numbers."""
    if isinstance(schema, dict):
        return {k: drop_nanos(v) for k, v in schema.items() if not (k == "logicalType" and v == "timestamp-nanos")}
    return [drop_nanos(each) for each in schema] if isinstance(schema, list) else schema


class Codec:
    def __init__(self, name):
        with open(os.path.join(AVRO, name + ".avsc")) as file:
            self.schema = fastavro.parse_schema(drop_nanos(json.load(file)))
        self.prefix = b"\0" + schema_id(name + ".avsc").to_bytes(4, "big")

    def encode(self, record):
        out = io.BytesIO()
        fastavro.schemaless_writer(out, self.schema, record)
        return self.prefix + out.getvalue()

    def decode(self, message):
        assert message[:5] == self.prefix, message[:5]
        data = io.BytesIO(message[5:])
        record = fastavro.schemaless_reader(data, self.schema, None)
        assert not data.read(), "bytes are left over"
        return record


def lineage(message):
    """Attempt and ordinal alone, quickly."""
    numbers, at = [], 5
    for _ in range(2):
        value = shift = 0
        while True:
            byte = message[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
        numbers.append((value >> 1) ^ -(value & 1))
    return tuple(numbers)


def mix(ordinal):
    """splitmix64's finaliser, as the ledger sums it."""
    z = (ordinal + 0x9E3779B97F4A7C15) & MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
    return z ^ (z >> 31)


def mix_sum(ordinals):
    return sum(map(mix, ordinals)) & MASK


def price(text):
    return Decimal(text).quantize(Decimal("1.000000000"))


def raw_bar(attempt, ordinal, **changes):
    return {
        "attempt": attempt,
        "ordinal": ordinal,
        "as_of": 1_700_000_000_000_000_000,
        "symbol": "ESH1",
        "schema": "ohlcv-1m",
        "dataset": "GLBX.MDP3",
        "publisher_id": 1,
        "instrument_id": 5482,
        "ts_event": 1_609_160_400_000_000_000 + ordinal * 60_000_000_000,
        "open": price("3702.75"),
        "high": price("3704.75"),
        "low": price("3702.5"),
        "close": price("3704.75"),
        "volume": 306,
        "volume_exponent": 0,
        "flags": 0,
    } | changes


def clean_bar(attempt, ordinal, **changes):
    import datetime

    return {
        "attempt": attempt,
        "ordinal": ordinal,
        "as_of": 1_700_000_000_000_000_000,
        "symbol": "ESH1",
        "interval": "1m",
        "ts_event": 1_609_160_400_000_000_000 + ordinal * 60_000_000_000,
        "dataset": "GLBX.MDP3",
        "publisher_id": 1,
        "instrument_id": 5482,
        "open_price": price("3702.75"),
        "high_price": price("3704.75"),
        "low_price": price("3702.5"),
        "close_price": price("3704.75"),
        "volume": 306,
        "volume_exponent": 0,
        "ticker": "ESH1",
        "venue": "GLBX",
        "session_date": datetime.date(2020, 12, 28),
        "session_basis": "session",
        "flags": 0,
    } | changes


def messages(codec, records, partition=0):
    return [
        {"value": codec.encode(record), "key": record["symbol"].encode(), "partition": partition} for record in records
    ]


def outcomes(pipeline, topic, count, seconds=30):
    """Messages of the stage's output topic and letters, once there are so many of both."""

    def found():
        good, letters = pipeline.read(topic), pipeline.read("etl.dlq")
        return (good, letters) if len(good) + len(letters) >= count else None

    return wait_until(found, seconds, f"{count} outcomes")

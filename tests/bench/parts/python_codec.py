"""The same bars by fastavro, with its parts that are compiled: nanoseconds of CPU a record."""

import io
import json
import os
import struct
import time

import fastavro
import fastavro._read
import fastavro._write

from harness.servers import TOP

PREFIX = 5  # bytes before the body of a message
PASSES = 3


def read_messages(path):
    with open(path, "rb") as file:
        while length := file.read(4):
            yield file.read(struct.unpack("=I", length)[0])


def encode(schema, records):
    out = io.BytesIO()
    for record in records:
        out.seek(0)
        fastavro.schemaless_writer(out, schema, record)
    return out


def decode(schema, bodies):
    return [fastavro.schemaless_reader(io.BytesIO(body), schema) for body in bodies]


def least_ns(work, *arguments):
    """The least of some passes, for each of the last argument's items."""
    least = None
    for _ in range(PASSES):
        began = time.process_time_ns()
        work(*arguments)
        spent = time.process_time_ns() - began
        least = spent if least is None else min(least, spent)
    return least / len(arguments[-1])


def measure(path):
    for module in (fastavro._read, fastavro._write):
        assert module.__file__.endswith(".so"), f"{module.__name__} is not compiled: nothing to compare with"
    with open(os.path.join(TOP, "schemas", "avro", "ohlcv.avsc")) as file:
        schema = fastavro.parse_schema(json.load(file))
    bodies = [message[PREFIX:] for message in read_messages(path)]
    records = decode(schema, bodies)
    assert encode(schema, records[:1]).getvalue() == bodies[0], "fastavro writes other bytes"
    return {"encode": least_ns(encode, schema, records), "decode": least_ns(decode, schema, bodies)}

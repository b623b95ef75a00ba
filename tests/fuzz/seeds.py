"""What the fuzzer begins with: good inputs of every kind, in the shape that each target takes (its first bytes choose)."""

import gzip
import hashlib
import json
import os
import subprocess
import tempfile

import zstandard
from harness import dbn
from harness.records import Codec, price
from harness.servers import TOP
from harness.simulator import Simulator

TYPES = "ohlcv trades tbbo statistics definition symbol_mapping".split()
KINDS = "ohlcv-1s ohlcv-1m ohlcv-1h ohlcv-1d ohlcv-eod trades tbbo statistics definition symbol_mapping mbp-1 mbo".split()
LOADED = "ohlcv-1m trades tbbo statistics definition".split()
RECORDS = 4
WINDOW = {"start": "2024-03-11", "end": "2024-03-12"}


def packed(data):
    """The same in two frames of zstd, and as two members of gzip."""
    half = len(data) // 2
    frames = b"".join(zstandard.compress(part) for part in (data[:half], data[half:]))
    return frames, gzip.compress(data[:half]) + gzip.compress(data[half:])


def simulated():
    """{kind: bytes} as the simulated vendor answers, in all encodings, and its answers to the other calls."""
    found = {}
    with tempfile.TemporaryDirectory() as folder, Simulator(folder, "--seed", 7, "--broken-permille", 100) as vendor:
        base = {"dataset": "XNAS.ITCH", "symbols": "AAPL,MSFT", "stype_in": "raw_symbol"} | WINDOW
        for schema in LOADED:
            for encoding, pretty in (("dbn", ""), ("csv", ""), ("csv", "true"), ("json", ""), ("json", "true")):
                form = base | {"schema": schema, "encoding": encoding, "map_symbols": "true"}
                form |= {"pretty_px": pretty, "pretty_ts": pretty} if pretty else {}
                form |= {"map_symbols": "false"} if encoding == "dbn" else {}
                found[f"{schema}.{encoding}{'.pretty' if pretty else ''}"] = vendor.raw(**form, limit=6)
    return found


def dbn_files():
    for version in (1, 2, 3):
        for number, kind in enumerate(KINDS):
            yield f"{kind}.v{version}", dbn.any_file(version, kind, RECORDS, ts_out=number % 3 == version % 3)


def written():
    """A file as `penstock-simulator --write` makes it."""
    program = os.path.join(TOP, "build", "bin", "penstock-simulator")
    with tempfile.TemporaryDirectory() as folder:
        for name in ("bars.dbn", "bars.dbn.zst"):
            path = os.path.join(folder, name)
            subprocess.run([program, "--write", path, "--bars", "12", "--symbols", "2", "--broken", "4"], check=True, capture_output=True)
            with open(path, "rb") as file:
                yield name, file.read()


def all_dbn(answers):
    yield from dbn_files()
    yield from written()
    yield from ((name, data) for name, data in answers.items() if name.endswith(".dbn"))


def of_dbn(answers):
    for number, (name, data) in enumerate(all_dbn(answers)):
        yield name, bytes([0, number % 16]) + data
    for name, data in dbn_files():
        yield name + ".zst", bytes([0, 7]) + packed(data)[0]


def of_stream(answers):
    for name, data in list(written()) + list(dbn_files())[:3]:
        zst, gz = packed(data)
        yield name, b"\x10\x00" + data
        yield name + ".frames", b"\x03\x01" + zst
        yield name + ".gz", b"\x00\x10" + gz
    zeros = bytes(1 << 19)
    yield "bomb.zst", b"\xff\xff" + zstandard.compress(zeros)
    yield "bomb.gz", b"\xff\xff" + gzip.compress(zeros)
    yield "skippable", b"\x00\x00" + b"\x50\x2a\x4d\x18\x04\x00\x00\x00abcd" + zstandard.compress(b"after")
    yield "with_checksum", b"\x00\x00" + zstandard.ZstdCompressor(write_checksum=True).compress(b"abc" * 99)


PLAIN = [
    "t,open,high,low,close,volume,symbol\n2024-01-02T09:30:00Z,1.5,2,1,1.75,10.5,EURUSD\n2024-01-02 09:31,,,,,0,\"a\"\"b\"\n",
    "time\topen\thigh\tlow\tclose\tvolume\tsymbol\n2024-03-10 01:30\t0.1\t1e3\t-1.5\t.5\t1e18\tX\n",
    "20240102 093000123;1.10;1.11;1.09;1.105;300\n20240102 093100123;1.10;1.11;1.09;1.105;300",
    "time,open,high,low,close,symbol\r\n1704187800000,1,2,0.5,1.5,\"A\r\nB\"\r\n",
    "\ufefftime,open,high,low,close,volume,symbol\n27 Oct 24 01:30 AM +0100,1,2,0.5,1.5,7,X\n",
]


MANY = "\x1a"  # FUZZ_STRETCH: of the character before it
LONG = [
    f"t,open,high,low,close,volume,symbol\n2024-01-02,1,1,1,1,1,A{MANY * 2}\n2024-01-02,1,1,1,1,1,B{MANY * 3}\n,\n",
    f"time\topen\thigh\tlow\tclose\tvolume\tsymbol\n2024-03-10\t1\t1\t1\t1\t1\t\"\n{MANY * 3}x\n2\n",
]


def of_csv(answers):
    for number, text in enumerate(LONG, 1):
        yield f"long{number}", bytes([number]) + text.encode()
    for number, text in enumerate(PLAIN, 1):
        yield f"plan{number}", bytes([number]) + text.encode()
    for name, data in answers.items():
        if ".csv" in name:
            yield name, bytes([0, LOADED.index(name.split(".")[0])]) + data


def of_json(answers):
    yield "long", b"\x01" + answers["ohlcv-1m.json"].replace(b"AAPL", b"A" + MANY.encode() * 3, 1)
    for name, data in answers.items():
        if ".json" in name:
            yield name, bytes([1 + LOADED.index(name.split(".")[0])]) + data


def any_value(schema, number):
    """A value of an Avro type; every other one of those that may be null is."""
    if isinstance(schema, list):
        return None if number % 2 else any_value(next(each for each in schema if each != "null"), number)
    kind = schema["type"] if isinstance(schema, dict) else schema
    if kind == "bytes":
        return price("-37.63")
    if kind == "enum":
        return schema["symbols"][number % len(schema["symbols"])]
    if kind == "array":
        return ["ES", "NQ"]
    values = {"long": 1_704_196_800 * 10**9 + number, "int": number - 3, "boolean": True, "string": "ESH4 \u00e9"}
    return values[kind]


def of_avro(answers):
    names = TYPES + [name + "_clean" for name in TYPES] + ["fetch_task", "task_event"]
    for choice, name in enumerate(names):
        codec = Codec(name)
        for shift in (0, 1):
            fields = codec.schema["fields"]
            record = {each["name"]: any_value(each["type"], number + shift) for number, each in enumerate(fields)}
            yield f"{name}{shift}", bytes([choice]) + codec.encode(record)


def of_rules(answers):
    for choice, name in enumerate(TYPES):
        with open(os.path.join(TOP, "stages", "validator", "rules", name + ".yaml"), "rb") as file:
            text = file.read()
        yield name, bytes([choice]) + text
        head, *rules = text.split(b"\n  - name: ")
        for number, rule in enumerate(rules):
            yield f"{name}{number}", bytes([choice]) + head + b"\n  - name: " + rule


# --- answers of the vendor -----------------------------------------------------------------------------------------------

STATUSES = [200, 200, 206, 400, 422, 429, 503, 0]


def answer(body, status=200, breaks=False, headers=False, pieces=0):
    body = body if isinstance(body, bytes) else json.dumps(body).encode()
    kind = STATUSES.index(status) | breaks << 3 | headers << 4 | pieces << 5
    return bytes([kind]) + len(body).to_bytes(2, "little") + body


RANGE = {"start": "2018-05-01T00:00:00.000000000Z", "end": "2024-04-01T00:00:00Z"}
RANGE["schema"] = {"ohlcv-1m": {"start": "2018-05-01", "end": "2024-03-11T18:00:00Z"}}
DAYS = [{"date": "2024-03-11", "condition": "available", "last_modified_date": "2024-03-12"}]
RESOLVED = {"result": {}, "symbols": ["AAPL"], "partial": ["MSFT"], "not_found": ["XX"], "message": "", "status": 1}
CLIPPED = {"detail": {"case": "data_end_after_available_end", "message": "too late", "status_code": 422}}
CLIPPED["detail"]["payload"] = {"available_end": "2024-03-11T16:00:00.000000000Z"}
UNRESOLVED = {"detail": {"case": "symbology_invalid_request", "message": "None of the symbols could be resolved"}}
JOB = {"id": "XNAS-20240311-ABC", "state": "done", "record_count": 12, "dataset": "XNAS.ITCH", "schema": "ohlcv-1m"}
JOB |= {"stype_in": "raw_symbol", "encoding": "dbn", "symbols": ["AAPL", "MSFT"], "ts_received": "2024-03-11 09:00:00+00:00"}
JOB |= {"start": "2024-03-11 00:00:00+00:00", "end": "2024-03-12 00:00:00+00:00"}


def of_quote():
    calls = [answer(RANGE), answer(DAYS, pieces=2), answer(RESOLVED, 206, headers=True)]
    yield "quote", bytes([0, 0, 0]) + b"".join([*calls, answer(b"42"), answer(b"2352\n"), answer(b"0.0123")])
    yield "quote.all", bytes([1, 0, 0]) + b"".join([*calls[:2], answer(b"42"), answer(b"2352"), answer(b"1e-5")])
    again = [answer(b"slow down", 429, headers=True), answer(b"", 503), answer(b"", 0), answer(b'{"sta', breaks=True)]
    yield "quote.again", bytes([0, 0, 0]) + b"".join([*again, *calls])
    yield "quote.clipped", bytes([0, 0, 0]) + b"".join([*calls, answer(CLIPPED, 422), answer(b"1"), answer(b"2")])


def of_fetch(bodies):
    for schema, body in bodies:
        start = bytes([0, LOADED.index(schema), 1]) + answer(b"6")
        yield f"stream.{schema}", start + answer(body, headers=True)
        yield f"stream.{schema}.pieces", start + answer(body, 206, pieces=3)
        cut = answer(body[: len(body) * 3 // 4], breaks=True)
        yield f"stream.{schema}.broken", start + cut + cut + answer(body)
    yield "stream.clipped", bytes([0, 0, 1]) + answer(CLIPPED, 422) + answer(b"6") + answer(bodies[0][1])
    yield "stream.weekend", bytes([0, 0, 1]) + answer(b"0") + answer(UNRESOLVED, 400) + answer([])
    yield "stream.refused", bytes([0, 0, 1]) + answer({"detail": "no licence"}, 400)


def of_batch(bodies):
    for schema, body in bodies:
        job = JOB | {"schema": schema}
        details = answer(job | {"state": "processing"}) + answer(job)
        file = {"filename": "xnas-20240311.dbn.zst", "size": len(body), "hash": "sha256:" + hashlib.sha256(body).hexdigest()}
        other = file | {"filename": "xnas-20240310.dbn.zst"}
        files = answer([{"filename": "metadata.json", "size": 7, "hash": "sha256:00"}, file, other])
        rest = details + files + answer(body[:99], breaks=True) + answer(body[99:], 206, pieces=4) + answer(body)
        head = bytes([0, LOADED.index(schema), 2])
        yield f"batch.{schema}", head + answer([]) + answer(job) + rest
        yield f"batch.{schema}.found", head + answer([job]) + rest
    yield "batch.clipped", bytes([0, 0, 2]) + answer([]) + answer(CLIPPED, 422) + answer([]) + answer(JOB) + rest


def of_http(answers):
    bodies = [(schema, answers[schema + ".dbn"]) for schema in LOADED]
    yield from of_quote()
    yield from of_fetch([(schema, zstandard.compress(body)) for schema, body in bodies])
    yield from of_fetch(bodies[:1])
    yield from of_batch([(schema, zstandard.compress(body)) for schema, body in bodies])


TARGETS = {
    "dbn": of_dbn, "stream": of_stream, "csv": of_csv, "json": of_json, "avro": of_avro, "rules": of_rules,
    "http": of_http,
}  # fmt: skip


def write(folder, names):
    """Files of each target in a folder of its own."""
    answers = simulated()
    for name in names:
        os.makedirs(os.path.join(folder, name), exist_ok=True)
        for file, data in TARGETS[name](answers):
            with open(os.path.join(folder, name, file), "wb") as out:
                out.write(data)

"""`penstock decode` against the vendor's own decoder: every version, every record type, every field."""

import glob
import json
import os
import re
import resource
import struct
import subprocess
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import databento_dbn as vendor
import numpy
import pytest
import zstandard
from harness import dbn
from harness.servers import TOP

PENSTOCK = os.path.join(TOP, "build", "bin", "penstock")
VERSIONS = (1, 2, 3)
MEMORY_MAX = 512 * 1024 * 1024

# Whole numbers whose greatest value is the vendor's "undefined": in its constructors None stands for it.
UNDEFINED = {
    "InstrumentDefMsg": """inst_attrib_value underlying_id market_depth_implied market_depth market_segment_id
        max_trade_vol min_lot_size min_lot_size_block min_lot_size_round_lot min_trade_vol contract_multiplier
        decay_quantity original_contract_size appl_id maturity_year decay_start_date channel_id main_fraction
        price_display_format sub_fraction underlying_product maturity_month maturity_day maturity_week
        contract_multiplier_unit flow_schedule_type tick_rule trading_reference_date md_security_trading_status
        settl_price_type""".split(),
    "StatMsg": ["quantity"],
}


def decode(*arguments):
    limit = {"preexec_fn": lambda: resource.setrlimit(resource.RLIMIT_AS, (MEMORY_MAX, MEMORY_MAX))}
    return subprocess.run([PENSTOCK, "decode", *arguments], capture_output=True, text=True, **limit)


def unpacked(path):
    with open(path, "rb") as file:
        data = file.read()
    if data[:4] != b"\x28\xb5\x2f\xfd":
        return data
    return zstandard.ZstdDecompressor().stream_reader(data, read_across_frames=True).read()


def read_by_vendor(data, **options):
    """Metadata and records of a whole file, in its own version."""
    decoder = vendor.DBNDecoder(upgrade_policy=vendor.VersionUpgradePolicy.AS_IS, **options)
    decoder.write(data)
    return decoder.decode()


def nanoseconds(text):
    whole, fraction = text.removesuffix("Z").split(".")
    since = datetime.fromisoformat(whole + "+00:00") - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86400 + since.seconds) * 10**9 + int(fraction)


def as_number(value):
    """A time, a price or a number of our output as what the vendor has in the record."""
    if isinstance(value, str) and value.endswith("Z") and "T" in value:
        return nanoseconds(value)
    return int(Decimal(value).scaleb(9)) if isinstance(value, str) else value


def fields_of(record):
    """The record's fields by the vendor's layout of its class; what its getters say agrees."""
    kind = type(record)
    values = numpy.frombuffer(bytes(record), dtype=kind._dtypes, count=1)[0]
    for name, code in kind._dtypes:
        if name.startswith("_") or name in ("length", "rtype", "publisher_id", "instrument_id", "ts_event"):
            continue
        value = values[name].tobytes().split(b"\0")[0].decode() if code[0] == "S" else int(values[name])
        said = getattr(record, name, value)
        if isinstance(said, int) and not isinstance(said, bool) and code[0] != "S":
            assert said == value, (kind, name)
        elif isinstance(said, str) and code[0] == "S":
            assert said.strip("\0") == value, (kind, name)
        yield name, code, value


def expected_fields(record):
    kind = type(record)
    undefined = UNDEFINED.get(kind.__name__.removesuffix("V1").removesuffix("V2"), ())
    for name, code, value in fields_of(record):
        exact = name in kind._price_fields or name in kind._timestamp_fields
        if exact or name in undefined:
            bits = 8 * int(code[1:])
            greatest = 2**bits - 1 if code[0] == "u" else 2 ** (bits - 1) - 1
            value = None if value == greatest else value
        yield name, value


class Symbols:
    """As the vendor's client does it: by ts_recv where there is one; live mappings go before."""

    def __init__(self, metadata):
        self.live = {}
        self.intervals = {}
        for symbol, intervals in metadata.mappings.items():
            for each in intervals:
                entry = (each["start_date"], each["end_date"], symbol)
                self.intervals.setdefault(each["symbol"], []).append(entry)

    def at(self, instrument_id, ns):
        day = (datetime(1970, 1, 1) + timedelta(microseconds=ns // 1000)).date()
        found = [symbol for a, b, symbol in self.intervals.get(str(instrument_id), ()) if a <= day < b]
        return found[-1] if found else None

    def of(self, record):
        if "SymbolMappingMsg" in type(record).__name__ and record.stype_out_symbol:
            out = record.stype_out_symbol
            self.live[record.instrument_id] = record.stype_in_symbol if out.isdigit() else out
        if record.instrument_id in self.live:
            return self.live[record.instrument_id]
        times = [getattr(record, "ts_recv", dbn.UNDEF_TIME), record.ts_event]
        found = (self.at(record.instrument_id, ns) for ns in times if ns != dbn.UNDEF_TIME)
        return next((symbol for symbol in found if symbol), None)


def schema_of(metadata, record):
    rtype = int(getattr(record.rtype, "value", record.rtype))
    if rtype == 0x01 and str(metadata.schema) == "tbbo":
        return "tbbo"
    return next(kind for kind, number in dbn.RTYPES.items() if number == rtype)


def assert_line(line, metadata, record, symbols):
    head = {
        "ts_event": None if record.ts_event == dbn.UNDEF_TIME else record.ts_event,
        "rtype": int(getattr(record.rtype, "value", record.rtype)),
        "publisher_id": record.publisher_id,
        "instrument_id": record.instrument_id,
        "symbol": symbols.of(record),
        "schema": schema_of(metadata, record),
    }
    line["ts_event"] = line["ts_event"] if line["ts_event"] is None else as_number(line["ts_event"])
    assert {name: line.pop(name) for name in head} == head
    if metadata.ts_out:
        assert as_number(line.pop("ts_out")) == record.ts_out
    expected = dict(expected_fields(record))
    exact = {*type(record)._price_fields, *type(record)._timestamp_fields}
    assert list(sorted(line)) == list(sorted(expected))
    for name, value in expected.items():
        found = line[name]
        if name in type(record)._price_fields:
            assert found is None or isinstance(found, str), f"{name}: a price is exact text"
        assert (as_number(found) if name in exact and found is not None else found) == value, name


def assert_decodes(path):
    """Every field of every record; how many records there were."""
    metadata, *records = read_by_vendor(unpacked(path))
    done = decode(path)
    assert (done.stderr, done.returncode) == ("", 0)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(lines) == len(records)
    symbols = Symbols(metadata)
    for line, record in zip(lines, records, strict=True):
        assert_line(line, metadata, record, symbols)
    return len(records)


# --- everything there is --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", dbn.RTYPES)
@pytest.mark.parametrize("version", VERSIONS)
def test_every_type_of_every_version(tmp_path, version, kind):
    path = tmp_path / "any.dbn"
    path.write_bytes(dbn.any_file(version, kind))
    assert assert_decodes(path) == 50
    packed = tmp_path / "any.dbn.zst"
    packed.write_bytes(zstandard.compress(path.read_bytes()))
    assert decode(packed).stdout == decode(path).stdout


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("kind", ["ohlcv-1s", "trades", "statistics", "definition"])
def test_the_time_of_sending(tmp_path, version, kind):
    path = tmp_path / "sent.dbn"
    path.write_bytes(dbn.any_file(version, kind, ts_out=True))
    assert assert_decodes(path) == 50


def test_several_zstd_frames(tmp_path):
    data = dbn.any_file(2, "trades", count=500)
    path = tmp_path / "frames.dbn.zst"
    path.write_bytes(b"".join(zstandard.compress(data[at : at + 777]) for at in range(0, len(data), 777)))
    assert assert_decodes(path) == 500


@pytest.mark.parametrize("width", [2, 22, 40, 200])
def test_symbols_of_any_length(tmp_path, width):
    symbol = "S" * (width - 1)
    path = tmp_path / "wide.dbn"
    mappings = [(symbol, [(20240102, 20240104, "1")])]
    head = dbn.metadata(3, schema="trades", symbols=[symbol], mappings=mappings, symbol_bytes=width)
    path.write_bytes(head + dbn.any_records(3, "trades", 20))
    lines = [json.loads(line) for line in decode(path).stdout.splitlines()]
    assert {line["symbol"] for line in lines if line["instrument_id"] == 1} <= {symbol, None}
    assert json.loads(decode("--metadata", path).stdout)["symbols"] == [symbol]


def day_of(number):
    return datetime.strptime(str(number), "%Y%m%d").date().isoformat()


@pytest.mark.parametrize("version", VERSIONS)
def test_metadata(tmp_path, version):
    path = tmp_path / "empty.dbn"
    options = {"partial": ["PART"], "not_found": ["GONE", "AWAY"], "limit": 7, "start": dbn.NOON, "end": dbn.NOON + 5}
    path.write_bytes(dbn.any_file(version, "mbo", count=0, **options))
    line = json.loads(decode("--metadata", path).stdout)
    (truth,) = read_by_vendor(path.read_bytes())
    assert (line["version"], line["schema"], line["dataset"]) == (version, "mbo", truth.dataset)
    assert (line["symbols"], line["partial"], line["not_found"]) == (truth.symbols, truth.partial, truth.not_found)
    assert (nanoseconds(line["start"]), nanoseconds(line["end"])) == (truth.start, truth.end)
    assert (line["limit"], line["ts_out"]) == (truth.limit, truth.ts_out)
    assert (line["stype_in"], line["stype_out"]) == (str(truth.stype_in), str(truth.stype_out))
    assert line["mappings"] == [
        {
            "raw_symbol": symbol,
            "intervals": [{"start_date": day_of(a), "end_date": day_of(b), "symbol": s} for a, b, s in intervals],
        }
        for symbol, intervals in dbn.MAPPINGS
    ]


def test_symbols_named_in_the_stream(tmp_path):
    def mapped(instrument_id, given, out):
        texts = {"stype_in_symbol": given, "stype_out_symbol": out, "stype_in": 255, "stype_out": 255}
        return dbn.record(3, "symbol_mapping", texts, instrument_id=instrument_id)

    def trade(instrument_id):
        return dbn.record(3, "trades", {"ts_recv": dbn.NOON}, instrument_id=instrument_id, ts_event=dbn.NOON)

    path = tmp_path / "live.dbn"
    steps = [trade(1), mapped(1, b"ES.FUT", b"ESH4"), trade(1), trade(2), mapped(2, b"ES.c.0", b"17"), trade(2)]
    steps += [mapped(1, b"ES.FUT", b"ESM4"), trade(1), mapped(1, b"", b""), trade(1)]
    path.write_bytes(dbn.metadata(3, schema=dbn.MIXED, stype_in=255) + b"".join(steps))
    assert assert_decodes(path) == len(steps)
    lines = [json.loads(line) for line in decode(path).stdout.splitlines()]
    trades = [line["symbol"] for line in lines if line["rtype"] == 0]
    assert trades == [None, "ESH4", None, "ES.c.0", "ESM4", "ESM4"]


# --- the vendor's files ---------------------------------------------------------------------------------------------


def sample_files(samples):
    files = glob.glob(os.path.join(samples, "databento", "**", "*"), recursive=True)
    return sorted(path for path in files if os.path.isfile(path))


REFUSALS = [
    (re.compile(r"\.dbz$"), "legacy format DBZ"),
    (re.compile(r"\.frag(\.zst)?$"), "a DBN fragment"),
    (re.compile(r"\.jsonl$"), "no DBN file"),
]


@pytest.mark.samples
def test_every_sample(samples):
    files = sample_files(samples)
    assert len(files) == 158
    records, refused, seen = 0, 0, set()
    for path in files:
        reason = next((reason for pattern, reason in REFUSALS if pattern.search(path)), None)
        if reason is None:
            records += assert_decodes(path)
            seen.add(unpacked(path)[3])
        else:
            done = decode(path)
            assert done.returncode == 1 and reason in done.stderr and path in done.stderr
            refused += 1
    assert seen == set(VERSIONS) and refused == 21 and records > 300


# --- what is damaged ------------------------------------------------------------------------------------------------

HEAD = dbn.metadata(3, schema="trades", symbols=["AAPL", "MSFT"], mappings=dbn.MAPPINGS)
GOOD = dbn.any_records(3, "trades", 1)
FIRST = len(HEAD)


def with_u32(data, at, value):
    return data[:at] + struct.pack("<I", value) + data[at + 4 :]


def dbz():
    return struct.pack("<II", 0x184D2A51, 100) + b"DBZ\x01" + bytes(96) + zstandard.compress(GOOD)


BAD_FILES = {
    "version 0": (HEAD[:3] + b"\x00" + HEAD[4:], "DBN version 0 (byte offset 3)"),
    "version 4": (HEAD[:3] + b"\x04" + HEAD[4:], "DBN version 4 (byte offset 3)"),
    "legacy": (dbz(), "legacy format DBZ"),
    "fragment": (GOOD, "a DBN fragment"),
    "packed fragment": (zstandard.compress(GOOD), "a DBN fragment"),
    "text": (b"symbol,price\nAAPL,1\n", "no DBN file"),
    "empty": (b"", "the file is empty"),
    "no text": (HEAD.replace(b"AAPL", b"AA\xff\xfe"), "is not UTF-8"),
    "no day": (HEAD.replace(struct.pack("<I", 20240102), struct.pack("<I", 20240231), 1), "20240231 is no date"),
    "negative count": (with_u32(HEAD, 112, 0xFFFFFFFF), "4294967295 symbols do not fit into the"),
    "absurd count": (with_u32(HEAD, 112, 10_000_000), "10000000 symbols do not fit into the"),
    "negative length": (with_u32(HEAD, 4, 0xFFFFFFFF), "metadata of 4294967295 bytes (byte offset 4)"),
    "long length": (with_u32(HEAD, 4, 50_000_000), "metadata at byte offset"),
    "narrow symbols": (
        zstandard.compress(dbn.metadata(3, symbol_bytes=2).ljust(60_000_000, b"\0")[:4])
        + zstandard.compress(struct.pack("<I", 60_000_000) + dbn.metadata(3, symbol_bytes=2)[8:].ljust(60_000_000, b"\0")),
        "symbols of 2 bytes, with room for more than",
    ),
    "length 0": (HEAD + GOOD + bytes(48), f"record 2 at byte offset {FIRST + 48} says it has 0 bytes"),
    "length 4": (HEAD + GOOD + b"\x01" + bytes(47), "says it has 4 bytes"),
    "cut record": (HEAD + GOOD + GOOD[:30], f"record 2 at byte offset {FIRST + 48} is cut short: 30 of 48 bytes"),
    "cut frame": (zstandard.compress(HEAD + GOOD * 1000)[:-9], "zstd stream cut short"),
    "broken frame": (zstandard.compress(HEAD) + b"\x28\xb5\x2f\xfd" + b"\xff" * 40, "zstd stream corrupt"),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_bad_file(tmp_path, name):
    data, reason = BAD_FILES[name]
    path, good = tmp_path / "bad.dbn", tmp_path / "good.dbn"
    path.write_bytes(data)
    good.write_bytes(HEAD + GOOD)
    done = decode(path, good)
    assert done.returncode == 1
    assert reason in done.stderr and str(path) in done.stderr and "byte" in done.stderr + " byte" * (not data)
    assert done.stdout.endswith(decode(good).stdout), "what follows is decoded"


BAD_RECORDS = {
    "longer": (dbn.raw(0x00, bytes(36)), "52 bytes, trades has 48"),
    "shorter": (dbn.raw(0x00, bytes(24)), "40 bytes, trades has 48"),
    "header only": (dbn.raw(0x21), "16 bytes, ohlcv-1m has 56"),
    "unknown type": (dbn.raw(0x99, bytes(8)), "record type 0x99 is not known"),
    "length of another version": (dbn.record(2, "statistics", {}), "64 bytes, statistics has 80"),
    "with a time of sending": (dbn.record(3, "trades", {}, ts_out=1), "56 bytes, trades has 48"),
    "no text": (dbn.record(3, "symbol_mapping", {"stype_out_symbol": b"\xff\xfe"}), "the symbol is not UTF-8"),
}


@pytest.mark.parametrize("name", BAD_RECORDS)
def test_bad_record(tmp_path, name):
    data, reason = BAD_RECORDS[name]
    path = tmp_path / "bad.dbn"
    path.write_bytes(HEAD + GOOD + data + GOOD)
    done = decode(path)
    assert done.returncode == 1
    assert f"{path}: record 2 at byte offset {FIRST + 48}: {reason}" in done.stderr
    first, bad, last = (json.loads(line) for line in done.stdout.splitlines())
    assert first == last
    assert bad["hex"] == data[16:].hex()


def test_many_bad_records_are_counted(tmp_path):
    path = tmp_path / "bad.dbn"
    path.write_bytes(HEAD + dbn.raw(0x99) * 5000)
    done = decode(path)
    assert len(done.stderr.splitlines()) == 11 and done.stderr.endswith(f"{path}: 5000 bad records\n")


def test_a_bomb_takes_no_memory(tmp_path):
    """2 GiB of nothing in 200 KiB, and 4 GiB of records: the first ends at once, the second takes no more memory."""
    nothing, records = tmp_path / "nothing.dbn.zst", tmp_path / "records.dbn.zst"
    nothing.write_bytes(zstandard.compress(HEAD) + zstandard.compress(bytes(2**28)) * 8)
    assert f"record 1 at byte offset {FIRST} says it has 0 bytes" in decode(nothing).stderr
    heartbeat = dbn.raw(0x00, bytes(32)) * 100_000
    records.write_bytes(zstandard.compress(HEAD) + zstandard.compress(heartbeat) * 20)
    done = subprocess.run(
        f"ulimit -v {MEMORY_MAX // 1024}; '{PENSTOCK}' decode {records} | wc -l",
        shell=True, capture_output=True, text=True,
    )  # fmt: skip
    assert (done.stdout.strip(), done.stderr) == ("2000000", "")

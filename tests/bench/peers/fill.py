"""One set of bars, the same each time, in a topic of our clean Avro records and in one of JSON with Connect's schema.

Bars come minute by minute, each of all symbols, a symbol's always in the same partition: row n is of symbol n % SYMBOLS.
"""

import base64
import json
import random
import zlib
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic

from harness.pipeline import KAFKA_SECONDS
from harness.records import Codec
from harness.waiting import wait_until

PARTITIONS = 6
SYMBOLS = 500
ATTEMPT = 6_000_000_000_000_000_001
AS_OF_MS = 1_710_000_000_000
BEGIN = datetime(2024, 3, 1, tzinfo=UTC)
MONTH = date(2024, 3, 1)
ROWS_MAX = SYMBOLS * 31 * 24 * 60  # all in one month
EPOCH_DAY = date(1970, 1, 1)
SCALE = 9
CENT = 10 ** (SCALE - 2)
FLUSH_SECONDS = 120

PRODUCER = {
    "acks": "all",
    "compression.type": "lz4",
    "linger.ms": 50,
    "batch.size": 1_000_000,
    "queue.buffering.max.messages": 200_000,
    "queue.buffering.max.kbytes": 512 * 1024,
}


def symbol(number):
    letters = ""
    for _ in range(4):
        number, rest = divmod(number, 26)
        letters = chr(ord("A") + rest) + letters
    return letters


NAMES = [symbol(n * 907) for n in range(SYMBOLS)]
PLACES = [zlib.crc32(name.encode()) % PARTITIONS for name in NAMES]


def cents(rows):
    """Four prices and a volume a row: each symbol's price walks at random."""
    chance = random.Random(7)
    closes = [chance.randrange(1_000, 50_000) for _ in range(SYMBOLS)]
    for n in range(rows):
        start = closes[n % SYMBOLS]
        end = max(100, start + chance.randrange(-20, 21))
        closes[n % SYMBOLS] = end
        spread = chance.randrange(0, 10)
        yield start, max(start, end) + spread, min(start, end) - spread, end, chance.randrange(1, 100_000)


def minute(n):
    return BEGIN + timedelta(minutes=n // SYMBOLS)


def bars(rows):
    """As our clean records; prices in cents, for either topic to turn into its own."""
    assert SYMBOLS <= rows <= ROWS_MAX
    begin = int(BEGIN.timestamp())
    for n, (*prices, volume) in enumerate(cents(rows)):
        name = NAMES[n % SYMBOLS]
        seconds = begin + n // SYMBOLS * 60
        yield {
            "attempt": ATTEMPT,
            "ordinal": n + 1,
            "as_of": AS_OF_MS * 10**6,
            "symbol": name,
            "interval": "1m",
            "ts_event": seconds * 10**9,
            "dataset": "XNAS.ITCH",
            "publisher_id": 2,
            "instrument_id": 1000 + n % SYMBOLS,
            "prices": prices,
            "volume": volume,
            "volume_exponent": 0,
            "ticker": name,
            "venue": "XNAS",
            "session_date": seconds // 86_400,
            "session_basis": "session",
            "flags": 0,
        }


def last_keys(rows):
    """The key of the last row of every partition that has any."""
    found = {PLACES[n % SYMBOLS]: n for n in range(max(0, rows - SYMBOLS), rows)}
    return [(NAMES[n % SYMBOLS], "1m", minute(n), "XNAS.ITCH", 2) for n in found.values()]


# --- Avro ------------------------------------------------------------------------------------------------------------

PRICES = ("open_price", "high_price", "low_price", "close_price")


def avro(codec, bar):
    prices = {name: Decimal(price).scaleb(-2) for name, price in zip(PRICES, bar["prices"])}
    return codec.encode(bar | prices | {"session_date": EPOCH_DAY + timedelta(days=bar["session_date"])})


# --- JSON with a schema, as Connect's JsonConverter writes it by default ----------------------------------------------


def field(name, kind, logical=None, optional=False, parameters=None):
    entry = {"field": name, "type": kind, "optional": optional}
    if logical:
        entry |= {"name": "org.apache.kafka.connect.data." + logical, "version": 1}
    return entry | ({"parameters": parameters} if parameters else {})


FIELDS = [
    field("symbol", "string"),
    field("interval", "string"),
    field("ts_event", "int64", "Timestamp"),
    field("dataset", "string"),
    field("publisher_id", "int32"),
    field("instrument_id", "int64"),
    *(field(name, "bytes", "Decimal", parameters={"scale": str(SCALE)}) for name in PRICES),
    field("volume", "int64"),
    field("ticker", "string"),
    field("venue", "string", optional=True),
    field("session_date", "int32", "Date"),
    field("session_basis", "string"),
    field("flags", "int32"),
    field("attempt", "int64"),
    field("as_of", "int64", "Timestamp"),
]
SCHEMA = json.dumps(
    {"type": "struct", "name": "ohlcv_clean", "optional": False, "fields": FIELDS}, separators=(",", ":")
)
DIRECT = [entry["field"] for entry in FIELDS if "name" not in entry]


def unscaled(number):
    number *= CENT
    return base64.b64encode(number.to_bytes(number.bit_length() // 8 + 1, "big", signed=True)).decode()


def connect_json(bar):
    payload = {name: bar[name] for name in DIRECT}
    payload |= {name: unscaled(price) for name, price in zip(PRICES, bar["prices"])}
    payload |= {"ts_event": bar["ts_event"] // 10**6, "as_of": AS_OF_MS, "session_date": bar["session_date"]}
    return f'{{"schema":{SCHEMA},"payload":{json.dumps(payload, separators=(",", ":"))}}}'.encode()


# --- topics and tables ------------------------------------------------------------------------------------------------


def create_topic(servers, name):
    admin = AdminClient({"bootstrap.servers": servers.kafka})
    admin.create_topics([NewTopic(name, PARTITIONS, 1)])[name].result(KAFKA_SECONDS)
    wait_until(lambda: name in admin.list_topics(timeout=KAFKA_SECONDS).topics, KAFKA_SECONDS, f"{name} stands")


def send(servers, topic, messages):
    """messages: (symbol's number, value)."""
    failures = []
    producer = Producer({"bootstrap.servers": servers.kafka} | PRODUCER)
    for number, value in messages:
        while True:
            try:
                producer.produce(
                    topic,
                    value,
                    NAMES[number].encode(),
                    PLACES[number],
                    on_delivery=lambda error, _: error and failures.append(error),
                )
                break
            except BufferError:
                producer.poll(0.1)
        producer.poll(0)
    assert producer.flush(FLUSH_SECONDS) == 0 and not failures, failures[:3] or f"{topic}: not all was acknowledged"


def fill(servers, topic, kind, rows):
    """kind: avro or json."""
    codec = Codec("ohlcv_clean")
    encode = {"avro": lambda bar: avro(codec, bar), "json": connect_json}[kind]
    send(servers, topic, ((n % SYMBOLS, encode(bar)) for n, bar in enumerate(bars(rows))))


def create_table(pipeline, name):
    """Like ours in columns, key, index and partitions; its month is there already."""
    pipeline.query(f"CREATE TABLE {name} (LIKE ohlcv_data INCLUDING ALL) PARTITION BY RANGE (ts_event)")
    ensure_month(pipeline, name)


def ensure_month(pipeline, name):
    pipeline.query("SELECT etl.ensure_month(%s::regclass, %s)", name, MONTH)

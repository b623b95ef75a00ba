"""Tasks of the vendor's windows from an encoder that is not ours, and what a fetcher makes of them."""

import json
from datetime import datetime, timezone

from harness.records import Codec
from harness.waiting import wait_until

ATTEMPT = 5_000_000_000_000_000_001
TASKS, EVENTS, DLQ = "etl.tasks.databento", "etl.events", "etl.dlq"
DAY = 86_400 * 10**9
ATTEMPT_RANDOM_BITS = 22
QUICK = {"databento.backoff_ms": 20, "databento.backoff_ms_max": 100, "batch.ms": 20}


def ns(text):
    return int(datetime.fromisoformat(text).replace(tzinfo=timezone.utc).timestamp()) * 10**9


MONDAY, TUESDAY, SATURDAY = ns("2024-03-11"), ns("2024-03-12"), ns("2024-03-16")


def task(attempt=ATTEMPT, start=MONDAY, end=TUESDAY, **changes):
    return {
        "attempt": attempt,
        "task": 11,
        "run": 7,
        "subscription": "minutes",
        "source": "databento",
        "record_type": "ohlcv",
        "dataset": "XNAS.ITCH",
        "schema": "ohlcv-1m",
        "path": "",
        "symbols": ["AAPL", "MSFT"],
        "stype_in": "raw_symbol",
        "start": start,
        "end": end,
        "parameters": "",
    } | changes


QUOTE = {"parameters": json.dumps({"action": "quote"})}


def send(pipeline, *tasks, topic=TASKS, slot=0):
    codec = Codec("fetch_task")
    pipeline.produce(topic, [{"value": codec.encode(t), "key": str(t["task"]), "partition": slot} for t in tasks])


def events(pipeline, attempt=ATTEMPT):
    codec = Codec("task_event")
    return [e for e in (codec.decode(m.value()) for m in pipeline.read(EVENTS)) if e["attempt"] == attempt]


def wait_over(pipeline, attempt=ATTEMPT, seconds=60):
    def last():
        found = events(pipeline, attempt)
        return found[-1] if found and found[-1]["state"] != "running" else None

    end = wait_until(last, seconds, lambda: f"the attempt's end: {events(pipeline, attempt)[-1:]}")
    assert len(end["result"]) < 256 * 1024
    return end, json.loads(end["result"] or "null")


def raw(pipeline, kind="ohlcv", attempt=ATTEMPT):
    codec = Codec(kind)
    found = [r for r in (codec.decode(m.value()) for m in pipeline.read(f"etl.raw.{kind}")) if r["attempt"] == attempt]
    return sorted(found, key=lambda record: record["ordinal"])


def meter(simulator):
    return simulator.control("GET", "meter")

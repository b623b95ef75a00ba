"""The validator alone."""

import json
import os

import pytest
from harness.records import Codec, messages, outcomes, price, raw_bar
from harness.waiting import wait_until

ATTEMPT = 6_000_000_000_000_000_001
RAW, VALID, DLQ = "etl.raw.ohlcv", "etl.valid.ohlcv", "etl.dlq"

BROKEN = {
    "HIGH_LESS_THAN_LOW": {"high": price("1"), "low": price("2"), "open": price("1"), "close": price("1")},
    "HIGH_LESS_THAN_OPEN": {"open": price("3705")},
    "HIGH_LESS_THAN_CLOSE": {"close": price("3705")},
    "LOW_GREATER_THAN_OPEN": {"open": price("3702")},
    "LOW_GREATER_THAN_CLOSE": {"close": price("3702")},
    "PRICE_MISSING": {"close": None},
    "PRICE_OUT_OF_RANGE": {"high": price("9000000000")},
    "PRICE_OF_SHARE_NOT_POSITIVE": {
        "symbol": "AAPL",
        "dataset": "XNAS.ITCH",
        **dict.fromkeys(("open", "high", "low", "close"), price("-1")),
    },
    "VOLUME_OUT_OF_RANGE": {"volume": 9 * 10**18},
    "TIMESTAMP_OUT_OF_RANGE": {"ts_event": 315_532_800 * 10**9},
    "SYMBOL_INVALID": {"symbol": ""},
}


@pytest.fixture
def codec():
    return Codec("ohlcv")


def test_what_passes_goes_on_as_the_bytes_it_came_in(pipeline, codec):
    pipeline.start("validator")
    bars = [raw_bar(ATTEMPT, n) for n in range(1, 101)]
    pipeline.produce(RAW, messages(codec, bars, 4))
    valid, letters = outcomes(pipeline, VALID, 100)
    assert not letters
    assert [(m.partition(), m.key(), m.value()) for m in valid] == [(4, b"ESH1", codec.encode(bar)) for bar in bars]


@pytest.mark.parametrize("rule", BROKEN)
def test_each_rule_rejects(pipeline, codec, rule):
    pipeline.start("validator")
    bad, good = raw_bar(ATTEMPT, 1, **BROKEN[rule]), raw_bar(ATTEMPT, 2)
    pipeline.produce(RAW, messages(codec, [bad, good]))
    valid, letters = outcomes(pipeline, VALID, 2)
    assert [m.value() for m in valid] == [codec.encode(good)]
    (letter,) = letters
    headers = pipeline.headers(letter)
    assert rule in headers["etl.rules"].split(","), headers
    assert letter.value() == codec.encode(bad)
    assert (headers["etl.class"], headers["etl.stage"]) == ("validation_failures", "validator")
    assert (headers["etl.attempt"], headers["etl.ordinal"]) == (str(ATTEMPT), "1")
    assert (headers["__connect.errors.topic"], headers["__connect.errors.offset"]) == (pipeline.topic(RAW), "0")
    assert headers["__connect.errors.exception.class.name"] == "BusinessLogicValidation"
    assert headers["etl.rules.version"] and headers["etl.record"].startswith("{") and headers["etl.message"]


def test_every_violated_rule_is_reported(pipeline, codec):
    pipeline.start("validator")
    bad = raw_bar(ATTEMPT, 1, high=price("1"), volume=9 * 10**18)
    pipeline.produce(RAW, messages(codec, [bad]))
    _, (letter,) = outcomes(pipeline, VALID, 1)
    assert set(pipeline.headers(letter)["etl.rules"].split(",")) == {
        "HIGH_LESS_THAN_LOW",
        "HIGH_LESS_THAN_OPEN",
        "HIGH_LESS_THAN_CLOSE",
        "VOLUME_OUT_OF_RANGE",
    }


def test_a_letter_names_the_rules_that_only_flag_too(pipeline, codec):
    pipeline.start("validator")
    bad = raw_bar(ATTEMPT, 1, symbol="AAPL", dataset="XNAS.ITCH", low=price("-1"), volume=0)
    pipeline.produce(RAW, messages(codec, [bad]))
    _, (letter,) = outcomes(pipeline, VALID, 1)
    headers = pipeline.headers(letter)
    assert headers["etl.rules"].split(",") == [
        "PRICE_NOT_POSITIVE",
        "PRICE_OF_SHARE_NOT_POSITIVE",
        "PRICE_MOVED_WITHOUT_VOLUME",
    ]
    assert "(dataset='XNAS.ITCH', open=3702.75, high=3704.75, low=-1, close=3704.75)" in headers["etl.message"]


@pytest.mark.parametrize(
    "symbol, dataset, text",
    [("CLK0", "GLBX.MDP3", "-37.63"), ("CLM4-CLN4", "GLBX.MDP3", "-0.35"), ("AAPL", "ACME.FEED", "0")],
)
def test_a_price_below_zero_is_flagged_and_passes(pipeline, codec, symbol, dataset, text):
    """Crude oil settled at -37.63 on 20 April 2020, and spreads trade there every day."""
    pipeline.start("validator")
    prices = {name: price(text) for name in ("open", "high", "low", "close")}
    bar = raw_bar(ATTEMPT, 1, symbol=symbol, dataset=dataset, **prices)
    pipeline.produce(RAW, messages(codec, [bar]))
    (valid,), letters = outcomes(pipeline, VALID, 1)
    assert not letters
    assert codec.decode(valid.value()) == bar | {"flags": 2}


def test_what_does_not_decode_is_a_letter_and_stops_nothing(pipeline, codec):
    pipeline.start("validator")
    good = codec.encode(raw_bar(ATTEMPT, 2))
    pipeline.produce(
        RAW,
        [
            {"value": b"", "partition": 0},
            {"value": b"hello", "key": b"x", "partition": 0},
            {"value": codec.encode(raw_bar(ATTEMPT, 1))[:-2], "key": b"ESH1", "partition": 0},
            {"value": b"\0\0\0\x27\x0fxyz", "partition": 0},
            {"value": good, "key": b"ESH1", "partition": 0},
        ],
    )
    valid, letters = outcomes(pipeline, VALID, 5)
    assert [m.value() for m in valid] == [good] and len(letters) == 4


def test_a_message_at_the_size_limit_is_a_letter_and_stops_nothing(pipeline, codec):
    validator = pipeline.start("validator")
    large, good = os.urandom(1_040_000), codec.encode(raw_bar(ATTEMPT, 2))
    pipeline.produce(
        RAW,
        [{"value": large, "key": b"x", "partition": 0}, {"value": good, "key": b"ESH1", "partition": 0}],
        message_max_bytes=2_000_000,
    )
    valid, letters = outcomes(pipeline, VALID, 2)
    assert [m.value() for m in valid] == [good] and [m.value() for m in letters] == [large]
    assert validator.running


def test_what_cannot_be_handled_is_not_passed_over(pipeline, codec):
    """The broker takes no letter: the validator tries again or ends, and the message is there for the next one."""
    pipeline.limit_messages(DLQ, 2000)
    validator = pipeline.start("validator")
    pipeline.produce(RAW, [{"value": os.urandom(5000), "key": b"x", "partition": 0}])
    wait_until(lambda: validator.events("batch_dropped") or not validator.running, 30, validator.tail)
    validator.stop()
    pipeline.limit_messages(DLQ, 4 * 1024 * 1024)
    pipeline.start("validator")
    assert len(outcomes(pipeline, VALID, 1)[1]) == 1


def told(pipeline):
    """Attempts whose rule set was said, and what it was."""
    found = [Codec("task_event").decode(m.value()) for m in pipeline.read("etl.events")]
    assert all(event["state"] == "running" and event["worker"] and event["fetched"] == 0 for event in found)
    return sorted((event["attempt"], json.loads(event["result"])["rule_set"].split("@")[0]) for event in found)


def test_the_rule_set_is_told_once_for_each_attempt(pipeline, codec):
    pipeline.start("validator")
    attempts = [ATTEMPT, ATTEMPT + 1, 7]  # the last one is no attempt's number
    bars = [raw_bar(attempt, n) for n in range(1, 51) for attempt in attempts]
    pipeline.produce(RAW, messages(codec, bars, 2))
    outcomes(pipeline, VALID, 150)
    assert told(pipeline) == [(ATTEMPT, "ohlcv"), (ATTEMPT + 1, "ohlcv")]


def test_what_a_dropped_batch_told_is_told_again(pipeline, codec):
    pipeline.limit_messages(DLQ, 2000)
    validator = pipeline.start("validator")
    pipeline.produce(RAW, [*messages(codec, [raw_bar(ATTEMPT, 1)], 0), {"value": os.urandom(5000), "key": b"x", "partition": 0}])
    wait_until(lambda: validator.events("batch_dropped") or not validator.running, 30, validator.tail)
    assert told(pipeline) == []
    pipeline.limit_messages(DLQ, 4 * 1024 * 1024)
    if not validator.running:
        pipeline.start("validator")
    outcomes(pipeline, VALID, 2)
    assert told(pipeline) == [(ATTEMPT, "ohlcv")]


def test_two_validators_share_the_partitions(pipeline, codec):
    pipeline.start("validator", 2, ready=False)
    for partition in range(6):
        bars = [raw_bar(ATTEMPT, partition * 50 + n, symbol=f"S{partition}") for n in range(1, 51)]
        pipeline.produce(RAW, messages(codec, bars, partition))
    valid, _ = outcomes(pipeline, VALID, 300)
    assert sorted(codec.decode(m.value())["ordinal"] for m in valid) == list(range(1, 301))


def test_a_killed_validator_loses_and_doubles_nothing(pipeline, codec):
    pipeline.shorten_sessions()
    first = pipeline.start("validator", settings={"batch.ms": 50})
    bars = [raw_bar(ATTEMPT, n) for n in range(1, 20_001)]
    pipeline.produce(RAW, messages(codec, bars, 1))
    outcomes(pipeline, VALID, 1)
    first.kill()
    pipeline.produce(RAW, messages(codec, [raw_bar(ATTEMPT, n) for n in range(20_001, 20_101)], 1))
    pipeline.start("validator")
    valid, letters = outcomes(pipeline, VALID, 20_100)
    assert [codec.decode(m.value())["ordinal"] for m in valid] == list(range(1, 20_101)) and not letters

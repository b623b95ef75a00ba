"""The transformer alone."""

import datetime

import pytest
from harness.records import Codec, messages, outcomes, raw_bar

ATTEMPT = 7_000_000_000_000_000_001
VALID, CLEAN, DLQ = "etl.valid.ohlcv", "etl.clean.ohlcv", "etl.dlq"
MINUTE = 60 * 10**9


def nanoseconds(text):
    return int(datetime.datetime.fromisoformat(text).timestamp()) * 10**9


def transform(pipeline, bars):
    pipeline.start("transformer")
    pipeline.produce(VALID, messages(Codec("ohlcv"), bars, 2))
    clean, letters = outcomes(pipeline, CLEAN, len(bars))
    codec = Codec("ohlcv_clean")
    return [(m.partition(), m.key().decode(), codec.decode(m.value())) for m in clean], letters


def test_a_bar_becomes_a_row(pipeline):
    bar = raw_bar(ATTEMPT, 1, symbol="AAPL  250221C00250000", dataset="OPRA.PILLAR", publisher_id=30, flags=2)
    (found,), letters = transform(pipeline, [bar])
    assert not letters
    partition, key, row = found
    assert (partition, key) == (2, bar["symbol"])
    for name in ("attempt", "ordinal", "as_of", "symbol", "ts_event", "dataset", "publisher_id", "instrument_id"):
        assert row[name] == bar[name]
    for name in ("open", "high", "low", "close"):
        assert row[name + "_price"] == bar[name]
    assert (row["volume"], row["volume_exponent"], row["flags"]) == (306, 0, 2)
    assert (row["interval"], row["ticker"]) == ("1m", "AAPL 250221C00250000")


@pytest.mark.parametrize(
    "dataset, publisher, schema, time, venue, date, basis",
    [
        # Globex opens at 17:00 Chicago for the next day, on either side of the change to summer time.
        ("GLBX.MDP3", 1, "ohlcv-1m", "2024-03-08T22:59:00+00:00", "GLBX", "2024-03-08", "session"),
        ("GLBX.MDP3", 1, "ohlcv-1m", "2024-03-10T22:00:00+00:00", "GLBX", "2024-03-11", "session"),
        ("GLBX.MDP3", 1, "ohlcv-1m", "2024-11-03T22:59:00+00:00", "GLBX", "2024-11-03", "session"),
        ("GLBX.MDP3", 1, "ohlcv-1m", "2024-11-03T23:00:00+00:00", "GLBX", "2024-11-04", "session"),
        # A daily bar is a UTC day, not Sunday in New York.
        ("XNAS.ITCH", 2, "ohlcv-1d", "2024-01-08T00:00:00+00:00", "XNAS", "2024-01-08", "utc"),
        ("XNAS.ITCH", 2, "ohlcv-1h", "2024-01-09T01:00:00+00:00", "XNAS", "2024-01-08", "session"),
        # Nothing is known: the row says so.
        ("NOBODY.KNOWS", 60000, "ohlcv-1s", "2024-01-09T01:00:00+00:00", None, "2024-01-09", "utc"),
    ],
)
def test_venue_and_session(pipeline, dataset, publisher, schema, time, venue, date, basis):
    bar = raw_bar(
        ATTEMPT, 1, dataset=dataset, publisher_id=publisher, schema=schema, ts_event=nanoseconds(time)
    )
    (found,), _ = transform(pipeline, [bar])
    row = found[2]
    assert (row["venue"], row["session_date"], row["session_basis"]) == (
        venue,
        datetime.date.fromisoformat(date),
        basis,
    )


def test_what_cannot_be_a_row_is_a_letter_and_stops_nothing(pipeline):
    good = raw_bar(ATTEMPT, 4)
    bad = [
        raw_bar(ATTEMPT, 1, ts_event=good["ts_event"] + 1),
        raw_bar(ATTEMPT, 2, schema="mbp-10"),
        raw_bar(ATTEMPT, 3, close=None),
    ]
    clean, letters = transform(pipeline, [*bad, good])
    assert [row["ordinal"] for _, _, row in clean] == [4]
    codec = Codec("ohlcv")
    found = {pipeline.headers(m)["etl.ordinal"]: (pipeline.headers(m), m.value()) for m in letters}
    for bar in bad:
        headers, value = found[str(bar["ordinal"])]
        assert value == codec.encode(bar)
        assert (headers["etl.class"], headers["etl.stage"]) == ("transformation_errors", "transformer")
        assert headers["etl.message"] and headers["etl.symbol"] == "ESH1"


def test_a_symbol_keeps_its_order(pipeline):
    bars = [raw_bar(ATTEMPT, n) for n in range(1, 2001)]
    clean, _ = transform(pipeline, bars)
    assert [row["ordinal"] for _, _, row in clean] == list(range(1, 2001))

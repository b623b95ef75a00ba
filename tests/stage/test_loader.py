"""The loader alone, fed by an encoder that is not ours."""

from decimal import Decimal

import pytest
from harness.records import Codec, clean_bar, messages, mix_sum, price
from harness.waiting import wait_until

ATTEMPT = 4_000_000_000_000_000_001
OTHER = ATTEMPT + 1
CLEAN = "etl.clean.ohlcv"


@pytest.fixture
def clean():
    return Codec("ohlcv_clean")


def ledger(pipeline, attempt=ATTEMPT):
    rows = pipeline.query(
        "SELECT outcome, sum(records)::bigint, mod(sum(mix), 18446744073709551616)::text FROM etl.ledger"
        " WHERE attempt = %s GROUP BY 1",
        attempt,
    )
    return {outcome: (records, int(mix)) for outcome, records, mix in rows}


def accounted(pipeline, attempt=ATTEMPT):
    return sum(records for records, _ in ledger(pipeline, attempt).values())


def load(pipeline, codec, records, attempt=ATTEMPT, partition=0):
    before = accounted(pipeline, attempt)
    pipeline.produce(CLEAN, messages(codec, records, partition))
    wait_until(
        lambda: accounted(pipeline, attempt) >= before + len(records),
        30,
        lambda: f"{len(records)} more records accounted: {ledger(pipeline, attempt)}",
    )


def test_rows_are_the_records(pipeline, clean):
    pipeline.start("loader")
    bars = [clean_bar(ATTEMPT, n) for n in range(1, 501)]
    bars[1] |= {"symbol": "AAPL  250221C00250000", "publisher_id": 30, "open_price": price("-37.63"), "venue": None}
    bars[2] |= {"volume": 5, "volume_exponent": -3, "close_price": price("9223372036.854775807")}
    bars[3] |= {"symbol": "005930", "volume": 12, "volume_exponent": 9, "low_price": price("0.000000001")}
    load(pipeline, clean, bars)

    assert pipeline.value("SELECT count(*) FROM ohlcv_data") == 500
    found = pipeline.query(
        'SELECT symbol, "interval", extract(epoch FROM ts_event), dataset, publisher_id, instrument_id, open_price,'
        " high_price, low_price, close_price, volume, ticker, venue, session_date, session_basis, flags, attempt,"
        " extract(epoch FROM as_of) FROM ohlcv_data ORDER BY ts_event"
    )
    for bar, row in zip(bars, found, strict=True):
        volume = Decimal(bar["volume"]).scaleb(bar["volume_exponent"])
        assert row == (
            bar["symbol"],
            bar["interval"],
            Decimal(bar["ts_event"]) / 10**9,
            bar["dataset"],
            bar["publisher_id"],
            bar["instrument_id"],
            bar["open_price"],
            bar["high_price"],
            bar["low_price"],
            bar["close_price"],
            volume,
            bar["ticker"],
            bar["venue"],
            bar["session_date"],
            bar["session_basis"],
            bar["flags"],
            bar["attempt"],
            Decimal(bar["as_of"]) / 10**9,
        )
    assert ledger(pipeline) == {"inserted": (500, mix_sum(range(1, 501)))}


def test_offsets_are_committed_with_the_rows(pipeline, clean):
    pipeline.start("loader")
    load(pipeline, clean, [clean_bar(ATTEMPT, n) for n in range(1, 11)], partition=3)
    where = pipeline.query(
        "SELECT next_offset, epoch FROM etl.offsets WHERE topic = %s AND partition = 3", pipeline.topic(CLEAN)
    )
    assert where == [(10, 1)]


def test_a_restart_goes_on_where_it_was(pipeline, clean):
    loader = pipeline.start("loader")
    load(pipeline, clean, [clean_bar(ATTEMPT, n) for n in range(1, 11)])
    loader.process.terminate()
    assert loader.wait_exit() == 0
    pipeline.produce(CLEAN, messages(clean, [clean_bar(ATTEMPT, n) for n in range(11, 21)]))
    pipeline.start("loader")
    wait_until(lambda: accounted(pipeline) == 20, 30, lambda: str(ledger(pipeline)))
    assert ledger(pipeline) == {"inserted": (20, mix_sum(range(1, 21)))}


def test_the_same_rows_again_are_unchanged(pipeline, clean):
    pipeline.start("loader")
    load(pipeline, clean, [clean_bar(ATTEMPT, n) for n in range(1, 101)])
    load(pipeline, clean, [clean_bar(OTHER, n) for n in range(1, 121)], OTHER)
    assert ledger(pipeline, OTHER) == {
        "unchanged": (100, mix_sum(range(1, 101))),
        "inserted": (20, mix_sum(range(101, 121))),
    }
    assert pipeline.value("SELECT count(*) FROM ohlcv_data WHERE attempt = %s", ATTEMPT) == 100


def test_the_same_row_twice_in_a_batch_is_a_duplicate(pipeline, clean):
    bar = clean_bar(ATTEMPT, 1)
    pipeline.produce(CLEAN, messages(clean, [bar, bar | {"ordinal": 2}, bar | {"ordinal": 3}]))
    pipeline.start("loader")
    wait_until(lambda: accounted(pipeline) == 3, 30, lambda: str(ledger(pipeline)))
    assert ledger(pipeline) == {"inserted": (1, mix_sum([1])), "duplicate": (2, mix_sum([2, 3]))}


def test_a_newer_reading_updates_and_is_journaled(pipeline, clean):
    pipeline.start("loader")
    load(pipeline, clean, [clean_bar(ATTEMPT, 1)])
    newer = clean_bar(OTHER, 1, as_of=1_800_000_000_000_000_000, close_price=price("3703"))
    load(pipeline, clean, [newer], OTHER)
    assert ledger(pipeline, OTHER) == {"updated": (1, mix_sum([1]))}
    assert pipeline.query("SELECT close_price, attempt FROM ohlcv_data") == [(price("3703"), OTHER)]
    old = pipeline.query("SELECT old_row ->> 'close_price', old_attempt, new_attempt FROM etl.restatements")
    assert old == [("3704.750000000", ATTEMPT, OTHER)]


def test_an_older_reading_changes_nothing(pipeline, clean):
    pipeline.start("loader")
    load(pipeline, clean, [clean_bar(ATTEMPT, 1)])
    load(pipeline, clean, [clean_bar(OTHER, 1, as_of=1, close_price=price("1"))], OTHER)
    assert ledger(pipeline, OTHER) == {"superseded": (1, mix_sum([1]))}
    assert pipeline.value("SELECT close_price FROM ohlcv_data") == price("3704.75")


def test_two_values_for_one_key_from_one_attempt_collide(pipeline, clean):
    pipeline.start("loader")
    bar = clean_bar(ATTEMPT, 1)
    load(pipeline, clean, [bar, bar | {"ordinal": 2, "close_price": price("3703")}])
    assert ledger(pipeline) == {"inserted": (1, mix_sum([1])), "dead_letter": (1, mix_sum([2]))}
    letters = pipeline.query("SELECT class, ordinal, message, stage FROM etl.dead_letters")
    assert [(c, o, s) for c, o, _, s in letters] == [("load_errors", 2, "loader")]
    assert "KEY_COLLISION" in letters[0][2]


def test_bars_that_differ_in_publisher_only_stay_apart(pipeline, clean):
    bar = clean_bar(ATTEMPT, 1)
    pipeline.produce(CLEAN, messages(clean, [bar | {"ordinal": n, "publisher_id": 20 + n} for n in range(1, 5)]))
    pipeline.start("loader")
    wait_until(lambda: accounted(pipeline) == 4, 30, lambda: str(ledger(pipeline)))
    assert pipeline.value("SELECT count(*) FROM ohlcv_data") == 4


def test_what_does_not_decode_is_a_letter_and_stops_nothing(pipeline, clean):
    pipeline.start("loader")
    good = clean.encode(clean_bar(ATTEMPT, 3))
    pipeline.produce(
        CLEAN,
        [
            {"value": b"hello", "key": b"x", "partition": 0},
            {"value": good[:-3], "key": b"ESH1", "partition": 0},
            {"value": good, "key": b"ESH1", "partition": 0},
        ],
    )
    wait_until(lambda: accounted(pipeline) == 2, 30, lambda: str(ledger(pipeline)))
    wait_until(lambda: pipeline.value("SELECT count(*) FROM etl.dead_letters") == 2, 30, "two letters")
    letters = pipeline.query("SELECT attempt, class, value FROM etl.dead_letters ORDER BY letter_offset, attempt")
    assert sorted(letters, key=str) == sorted(
        [(None, "load_errors", b"hello"), (ATTEMPT, "load_errors", good[:-3])], key=str
    )


@pytest.mark.parametrize(
    "change",
    [
        {"symbol": "A\0B"},
        {"dataset": "".join(chr(0x100 + n) for n in range(5000))},
        {"ts_event": -3_000_000_000 * 10**9},
        {"volume_exponent": 400_000},
        {"volume_exponent": -(2**31)},
    ],
    ids=["nul", "long", "before-1900", "huge", "tiny"],
)
def test_a_row_that_the_table_cannot_take_is_a_letter_and_stops_nothing(pipeline, clean, change):
    loader = pipeline.start("loader")
    load(pipeline, clean, [clean_bar(ATTEMPT, 1) | change, clean_bar(ATTEMPT, 2)])
    assert ledger(pipeline) == {"dead_letter": (1, mix_sum([1])), "inserted": (1, mix_sum([2]))}
    ((kind, message),) = pipeline.query("SELECT class, message FROM etl.dead_letters")
    assert kind == "load_errors" and message.startswith(next(iter(change)).removesuffix("_exponent")), message
    assert loader.running


def test_names_of_a_letter_that_are_too_long_to_index_are_cut(pipeline):
    pipeline.start("loader")
    noise = "".join(chr(0x100 + n) for n in range(5000))
    headers = {"etl.class": noise.encode(), "__connect.errors.topic": noise.encode()}
    pipeline.produce("etl.dlq", [{"value": b"x", "key": b"k", "partition": 0, "headers": headers}])
    wait_until(lambda: pipeline.value("SELECT count(*) FROM etl.dead_letters") == 1, 30, "a letter")
    assert pipeline.query("SELECT class, origin_topic FROM etl.dead_letters") == [(noise[:124], noise[:124])]


def test_lost_connections_lose_and_double_nothing(pipeline, clean):
    """Rows, and letters of messages that have no lineage to be told apart by."""
    loader = pipeline.start("loader", settings={"batch.ms": 20})
    for n in range(20):
        records = [clean_bar(ATTEMPT, n * 100 + i) for i in range(1, 101)]
        foreign = {"value": b"foreign %d" % n, "key": b"", "partition": 0}
        pipeline.produce(CLEAN, [*messages(clean, records), foreign])
        pipeline.query(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND application_name LIKE 'penstock.loader%%'"
        )
    wait_until(lambda: accounted(pipeline) >= 2000, 30, lambda: str(ledger(pipeline)))
    wait_until(lambda: pipeline.value("SELECT count(*) FROM etl.dead_letters") >= 20, 30, "20 letters")
    load(pipeline, clean, [clean_bar(ATTEMPT, 2001)])
    assert ledger(pipeline) == {"inserted": (2001, mix_sum(range(1, 2002)))}
    letters = pipeline.query("SELECT value FROM etl.dead_letters")
    assert sorted(value for (value,) in letters) == sorted(b"foreign %d" % n for n in range(20))
    assert loader.running


def test_any_letter_is_archived(pipeline, clean):
    """NUL, invalid UTF-8, no headers at all: nothing stops the archive."""
    pipeline.start("loader")
    pipeline.produce(
        "etl.dlq",
        [
            {"value": b"\0\xff", "key": b"\xff\0", "partition": 0},
            {
                "value": b"x",
                "key": b"k",
                "partition": 1,
                "headers": {"etl.message": b"a\0b\xffc", "etl.attempt": b"not a number", "etl.day": b"2024-13-77"},
            },
            {
                "value": b"y",
                "partition": 2,
                "headers": {"etl.class": b"decode_errors", "etl.attempt": b"9", "etl.ordinal": b"1"},
            },
            {
                "value": b"y",
                "partition": 2,
                "headers": {"etl.class": b"decode_errors", "etl.attempt": b"9", "etl.ordinal": b"1"},
            },
        ],
    )
    wait_until(lambda: pipeline.value("SELECT count(*) FROM etl.dead_letters") == 3, 30, "three letters")
    assert pipeline.query("SELECT class, message, day FROM etl.dead_letters WHERE value = 'x'") == [
        ("foreign", "a?b?c", None)
    ]
    assert ledger(pipeline, 9) == {"dead_letter": (1, mix_sum([1]))}


def test_months_are_made_on_demand(pipeline, clean):
    pipeline.start("loader")
    month = 31 * 86_400 * 10**9
    load(pipeline, clean, [clean_bar(ATTEMPT, n, ts_event=1_577_836_800 * 10**9 + n * month) for n in range(1, 15)])
    assert pipeline.value("SELECT count(*) FROM pg_inherits WHERE inhparent = 'ohlcv_data'::regclass") >= 14


def test_two_loaders_that_need_the_same_months_at_once(pipeline, clean):
    month = 31 * 86_400 * 10**9
    for partition in (0, 5):
        first = partition * 1000
        bars = [clean_bar(ATTEMPT, first + n, symbol=f"S{partition}", ts_event=n * month) for n in range(1, 101)]
        pipeline.produce(CLEAN, messages(clean, bars, partition))
    loaders = pipeline.start("loader", 2, ready=False)
    wait_until(lambda: accounted(pipeline) == 200, 30, lambda: str(ledger(pipeline)))
    assert [loader.running for loader in loaders] == [True, True]


def test_two_loaders_share_the_partitions(pipeline, clean):
    pipeline.start("loader", 2, ready=False)
    for partition in pipeline.partitions(CLEAN):
        records = [clean_bar(ATTEMPT, partition * 100 + n, symbol=f"S{partition}") for n in range(1, 101)]
        pipeline.produce(CLEAN, messages(clean, records, partition))
    wait_until(lambda: accounted(pipeline) == 600, 30, lambda: str(ledger(pipeline)))
    assert ledger(pipeline) == {"inserted": (600, mix_sum(range(1, 601)))}
    assert pipeline.value("SELECT count(*) FROM ohlcv_data") == 600


def test_a_table_that_does_not_fit_is_named(pipeline, clean):
    pipeline.query("ALTER TABLE ohlcv_data ALTER COLUMN instrument_id TYPE integer")
    loader = pipeline.spawn("loader")
    assert loader.wait_exit() == 4
    assert "instrument_id is integer, needed: bigint" in loader.log()

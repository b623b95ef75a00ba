"""The loader alone, fed by an encoder that is not ours."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from harness.ledger import outcomes
from harness.records import clean_bar, messages, mix_sum, price
from harness.waiting import wait_until

ATTEMPT = 4_000_000_000_000_000_001
OTHER = ATTEMPT + 1
CLEAN, DLQ = "etl.clean.ohlcv", "etl.dlq"


def ledger(pipeline, attempt=ATTEMPT):
    return outcomes(pipeline, attempt)


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


# --- refused records -----------------------------------------------------------------------------------------------------
LETTERS = "SELECT count(*) FROM etl.dead_letters"
WAITING = LETTERS + " WHERE letter_topic IS NULL"
POSITIVE = "ALTER TABLE ohlcv_data ADD CONSTRAINT close_is_positive CHECK (close_price > 0)"


def wait_published(pipeline, count, seconds=30):
    wait_until(
        lambda: pipeline.value(LETTERS) == count and pipeline.value(WAITING) == 0,
        seconds,
        lambda: f"{count} letters, none waiting: {pipeline.value(LETTERS)}, {pipeline.value(WAITING)} waiting",
    )


def check_letters(pipeline, count, copies=1):
    """Each letter stands once in the database and where it says in etl.dlq, where nothing else stands."""
    wait_published(pipeline, count)
    published = {(m.partition(), m.offset()): m for m in pipeline.read("etl.dlq")}
    rows = pipeline.query(
        "SELECT letter_topic, letter_partition, letter_offset, key, value, headers FROM etl.dead_letters"
    )
    assert len(rows) == count
    assert count <= len(published) <= count * copies
    for topic, partition, offset, key, value, headers in rows:
        message = published[partition, offset]
        assert topic == pipeline.topic("etl.dlq")
        assert (message.key() or b"", message.value() or b"") == (key, value)
        assert pipeline.headers(message) == headers
    return published.values()


def bars_with_refused(count, refused, **changes):
    return [
        clean_bar(ATTEMPT, n, **(changes | ({"close_price": price("-1")} if n in refused else {})))
        for n in range(1, count + 1)
    ]


def day_of(bar):
    return datetime.fromtimestamp(bar["ts_event"] // 10**9, UTC).date()


def check_refused(pipeline, count, refused):
    good = [n for n in range(1, count + 1) if n not in refused]
    expected = {"inserted": (len(good), mix_sum(good)), "dead_letter": (len(refused), mix_sum(refused))}
    assert ledger(pipeline) == {outcome: sums for outcome, sums in expected.items() if sums[0]}
    assert pipeline.value("SELECT count(*) FROM ohlcv_data WHERE attempt = %s", ATTEMPT) == len(good)
    ordinals = pipeline.query("SELECT ordinal FROM etl.dead_letters ORDER BY 1")
    assert [ordinal for (ordinal,) in ordinals] == sorted(refused)


@pytest.mark.parametrize(
    "count, refused",
    [
        (10_000, {7_777}),
        (5_000, {1, 2, 600, 2_500, 2_501, 4_096, 5_000}),
        (200, set(range(1, 201))),
        (10_000, set(range(1, 10_001))),
    ],
    ids=["one", "scattered", "all", "all-of-many"],
)
def test_rows_that_a_constraint_refuses_are_letters(pipeline, clean, count, refused):
    pipeline.query(POSITIVE)
    bars = bars_with_refused(count, refused)
    pipeline.produce(CLEAN, messages(clean, bars))
    loader = pipeline.start("loader")
    wait_until(lambda: accounted(pipeline) == count, 60, lambda: str(ledger(pipeline)))
    check_refused(pipeline, count, refused)
    first = min(refused)
    letter = pipeline.query(
        "SELECT class, schema, symbol, day::text, stage, rules, message, attempt, replays, key, value, origin_topic,"
        " origin_partition, origin_offset FROM etl.dead_letters WHERE ordinal = %s",
        first,
    )[0]
    assert letter[:6] == ("load_errors", "ohlcv-1m", "ESH1", str(day_of(bars[first - 1])), "loader", [])
    assert letter[6].startswith("SQLSTATE 23514: ") and "close_is_positive" in letter[6]
    assert letter[7:] == (
        ATTEMPT,
        0,
        b"ESH1",
        clean.encode(bars[first - 1]),
        pipeline.topic(CLEAN),
        0,
        first - 1,
    )
    for message in check_letters(pipeline, len(refused)):
        headers = pipeline.headers(message)
        assert headers["etl.class"] == "load_errors"
        assert headers["__connect.errors.exception.class.name"] == "RowRefused"
        assert '"close_price":"-1' in headers["etl.record"]
    load(pipeline, clean, [clean_bar(OTHER, 20_000)], OTHER)  # behind what came back of the letters
    check_refused(pipeline, count, refused)
    wait_until(lambda: loader.metrics()["penstock_loader_letters_waiting"] == 0, 10, "no letters wait")
    assert loader.metrics()["penstock_loader_letters_published_total"] == len(refused)
    assert loader.metrics()['penstock_loader_rows_total{outcome="dead_letter"}'] == len(refused)
    assert loader.metrics()["penstock_batches_dropped_total"] == 0


def test_rows_that_a_trigger_refuses_are_letters(pipeline, clean):
    pipeline.query(
        "CREATE FUNCTION no_thirds() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " IF NEW.instrument_id % 3 = 0 THEN RAISE 'no thirds' USING ERRCODE = '22023'; END IF; RETURN NEW; END $$;"
        " CREATE TRIGGER no_thirds BEFORE INSERT OR UPDATE ON ohlcv_data FOR EACH ROW EXECUTE FUNCTION no_thirds()"
    )
    pipeline.start("loader")
    load(pipeline, clean, [clean_bar(ATTEMPT, n, instrument_id=n) for n in range(1, 101)])
    check_refused(pipeline, 100, set(range(3, 101, 3)))
    assert pipeline.query("SELECT DISTINCT message FROM etl.dead_letters") == [("SQLSTATE 22023: no thirds",)]
    # An update that is refused leaves the row, and nothing in the journal.
    newer = [clean_bar(OTHER, n, as_of=1_800_000_000_000_000_000, instrument_id=n + 1) for n in range(1, 101)]
    load(pipeline, clean, newer, OTHER)
    refused = range(2, 101, 3)
    new = range(3, 101, 3)
    updated = range(1, 101, 3)
    assert ledger(pipeline, OTHER) == {
        "updated": (len(updated), mix_sum(updated)),
        "inserted": (len(new), mix_sum(new)),
        "dead_letter": (len(refused), mix_sum(refused)),
    }
    assert pipeline.value("SELECT count(*) FROM etl.restatements") == len(updated)
    assert pipeline.value("SELECT count(*) FROM ohlcv_data WHERE attempt = %s", ATTEMPT) == len(refused)
    check_letters(pipeline, 33 + len(refused))


def load_refused_then_updates(pipeline, codec, good, bad):
    """Rows of which the constraint at hand refuses every tenth, the bad ones; then newer ones of which it refuses others."""
    loader = pipeline.start("loader")
    refused = range(10, 101, 10)
    load(pipeline, codec, [clean_bar(ATTEMPT, n, **(bad if n in refused else good)) for n in range(1, 101)])
    check_refused(pipeline, 100, refused)
    refused = range(5, 101, 10)
    newer = {"as_of": 1_800_000_000_000_000_000, "close_price": price("3703")}
    bars = [clean_bar(OTHER, n, **newer, **(bad if n in refused else good)) for n in range(1, 101)]
    load(pipeline, codec, bars, OTHER)
    updated = [n for n in range(1, 101) if n % 5]
    new = range(10, 101, 10)
    assert ledger(pipeline, OTHER) == {
        "updated": (len(updated), mix_sum(updated)),
        "inserted": (len(new), mix_sum(new)),
        "dead_letter": (len(refused), mix_sum(refused)),
    }
    assert pipeline.value("SELECT count(*) FROM etl.restatements") == len(updated)
    check_letters(pipeline, 20)
    assert loader.metrics()["penstock_batches_dropped_total"] == 0
    assert loader.stop() == 0


def the_message(pipeline):
    """What stands in every letter."""
    [(message,)] = pipeline.query("SELECT DISTINCT message FROM etl.dead_letters")
    return message


@pytest.mark.parametrize("deferred", ["", " DEFERRABLE INITIALLY DEFERRED"], ids=["at-once", "deferred"])
def test_rows_that_a_foreign_key_refuses_are_letters(pipeline, clean, deferred):
    """Deferred ones too: at the commit nobody could tell which row it was."""
    pipeline.query("CREATE TABLE instruments (id bigint PRIMARY KEY); INSERT INTO instruments VALUES (5482)")
    pipeline.query(
        "ALTER TABLE ohlcv_data ADD CONSTRAINT known_instrument FOREIGN KEY (instrument_id) REFERENCES instruments"
        + deferred
    )
    load_refused_then_updates(pipeline, clean, good={}, bad={"instrument_id": 7})
    message = the_message(pipeline)
    assert message.startswith("SQLSTATE 23503: ") and "known_instrument" in message


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE UNIQUE INDEX ON ohlcv_data (symbol, ts_event, instrument_id)",
        "ALTER TABLE ohlcv_data ADD UNIQUE (symbol, ts_event, instrument_id) DEFERRABLE INITIALLY DEFERRED",
    ],
    ids=["index", "deferred"],
)
def test_rows_that_another_unique_index_refuses_are_letters(pipeline, clean, statement):
    """Their keys are not there: it is for another index that they are refused."""
    loader = pipeline.start("loader")
    load(pipeline, clean, [clean_bar(OTHER + 1, n) for n in range(1, 101)], OTHER + 1)
    assert loader.stop() == 0
    pipeline.query(statement)
    load_refused_then_updates(
        pipeline, clean, good={"publisher_id": 2, "instrument_id": 7}, bad={"publisher_id": 2}
    )
    message = the_message(pipeline)
    assert message.startswith("SQLSTATE 23505: ") and "symbol_ts_event_instrument_id" in message


def test_a_column_that_somebody_made_narrower(pipeline, clean):
    """Refused by the staging table as well."""
    pipeline.start("loader")
    load(pipeline, clean, [clean_bar(ATTEMPT, n) for n in range(1, 11)])
    pipeline.query("DROP VIEW market_data, daily_bars, ohlcv_monthly CASCADE; ALTER TABLE ohlcv_data ALTER COLUMN volume TYPE numeric(6)")
    for worker in pipeline.of("loader"):
        assert worker.stop() == 0
    pipeline.start("loader")
    bars = [clean_bar(OTHER, n, volume=5_000_000 if n % 50 == 0 else 306) for n in range(1, 201)]
    load(pipeline, clean, bars, OTHER)
    refused = range(50, 201, 50)
    new = [n for n in range(11, 201) if n not in refused]
    assert ledger(pipeline, OTHER) == {
        "unchanged": (10, mix_sum(range(1, 11))),
        "inserted": (len(new), mix_sum(new)),
        "dead_letter": (4, mix_sum(refused)),
    }
    check_letters(pipeline, 4)


def test_a_row_that_the_staging_table_refuses_was_never_there(pipeline, clean):
    """The next one of its key is the first: unchanged, not a duplicate."""
    pipeline.start("loader")
    load(pipeline, clean, [clean_bar(ATTEMPT, n, volume=306) for n in range(1, 11)])
    pipeline.query("DROP VIEW market_data, daily_bars, ohlcv_monthly CASCADE; ALTER TABLE ohlcv_data ALTER COLUMN volume TYPE numeric(6)")
    for worker in pipeline.of("loader"):
        assert worker.stop() == 0
    bars = [clean_bar(OTHER, n, volume=volume) for n in (1, 2) for volume in (5_000_000, 306, 306)]
    pipeline.produce(CLEAN, messages(clean, [bar | {"ordinal": n} for n, bar in enumerate(bars, 1)]))
    pipeline.start("loader")
    wait_until(lambda: accounted(pipeline, OTHER) == 6, 30, lambda: str(ledger(pipeline, OTHER)))
    assert ledger(pipeline, OTHER) == {
        "dead_letter": (2, mix_sum([1, 4])),
        "unchanged": (2, mix_sum([2, 5])),
        "duplicate": (2, mix_sum([3, 6])),
    }
    check_letters(pipeline, 2)


def test_refused_rows_among_known_ones(pipeline, clean):
    """What becomes of a row is what would have become of it without the refused ones; NOT VALID leaves old rows be."""
    pipeline.start("loader")
    load(pipeline, clean, [clean_bar(ATTEMPT, 1), clean_bar(ATTEMPT, 2, close_price=price("-5"))])
    pipeline.query(POSITIVE + " NOT VALID")
    newer = {"as_of": 1_800_000_000_000_000_000}
    bad = {"close_price": price("-1")}

    def bar(ordinal, minute, **changes):
        return clean_bar(OTHER, minute) | changes | {"ordinal": ordinal}

    bars = [
        bar(1, 1, **bad, **newer),  # an update that is refused
        bar(2, 1),  # the same as the row before the batch: as if the first had not been
        bar(3, 1),
        bar(4, 2, close_price=price("-5")),  # known and not written, so nobody minds
        bar(5, 3, **bad),
        bar(6, 3, **bad),
        bar(7, 3),  # new, whatever was refused before it
        bar(8, 3),
        bar(9, 3, close_price=price("9")),
        bar(10, 4, **newer),
        bar(11, 4, **bad, **newer),  # same reading, other values: a collision before it is a refusal
        bar(12, 1, close_price=price("8"), **newer),
    ]
    pipeline.produce(CLEAN, messages(clean, bars))
    wait_until(lambda: accounted(pipeline, OTHER) == 12, 30, lambda: str(ledger(pipeline, OTHER)))
    assert ledger(pipeline, OTHER) == {
        "dead_letter": (5, mix_sum([1, 5, 6, 9, 11])),
        "unchanged": (2, mix_sum([2, 4])),
        "duplicate": (2, mix_sum([3, 8])),
        "inserted": (2, mix_sum([7, 10])),
        "updated": (1, mix_sum([12])),
    }
    letters = dict(pipeline.query("SELECT ordinal, rules FROM etl.dead_letters"))
    assert letters == {1: [], 5: [], 6: [], 9: ["KEY_COLLISION"], 11: ["KEY_COLLISION"]}
    assert pipeline.query("SELECT DISTINCT schema FROM etl.dead_letters") == [("ohlcv-1m",)]
    check_letters(pipeline, 5)


@pytest.mark.parametrize("killed", [False, True], ids=["the-same", "the-next"])
def test_letters_wait_while_the_topic_takes_none(pipeline, clean, killed):
    """Rows are loaded all the same; a letter goes out once it can, by whoever runs then, and counts once."""
    pipeline.limit_messages(DLQ, 10)  # none at all
    pipeline.query(POSITIVE)
    loader = pipeline.start("loader")
    pipeline.produce(CLEAN, [{"value": b"hello", "key": b"x", "partition": 0}])
    load(pipeline, clean, bars_with_refused(300, {5, 105}))
    loader.wait_event("letters_wait")
    assert pipeline.value(WAITING) == 3
    load(pipeline, clean, [clean_bar(ATTEMPT, n) for n in range(301, 401)])
    wait_until(lambda: loader.metrics()["penstock_loader_letters_waiting"] == 3, 10, "three letters wait")
    assert len(loader.events("letters_wait")) == 1
    if killed:
        loader.kill()
    pipeline.limit_messages(DLQ, 4 * 1024 * 1024)
    if killed:
        loader = pipeline.start("loader", ready=False)
    check_letters(pipeline, 3)
    assert ledger(pipeline)["dead_letter"] == (2, mix_sum([5, 105]))
    assert loader.stop() == 0


def test_a_letter_that_is_published_twice_is_one(pipeline, clean):
    """As after a crash between the publishing and its commit."""
    pipeline.query(POSITIVE)
    loader = pipeline.start("loader")
    pipeline.produce(CLEAN, [{"value": b"hello", "key": b"x", "partition": 0}])
    load(pipeline, clean, bars_with_refused(300, {5, 105}))
    check_letters(pipeline, 3)
    pipeline.query(
        "UPDATE etl.dead_letters SET letter_topic = NULL, letter_partition = NULL, letter_offset = NULL"
    )
    load(pipeline, clean, [clean_bar(ATTEMPT, 401, close_price=price("-1"))])
    check_letters(pipeline, 4, copies=2)
    assert len(pipeline.read("etl.dlq")) == 7
    load(pipeline, clean, [clean_bar(OTHER, 20_000)], OTHER)
    assert pipeline.value(LETTERS) == 4
    assert ledger(pipeline)["dead_letter"] == (3, mix_sum([5, 105, 401]))
    assert loader.stop() == 0


def test_without_the_letters_topic_rows_are_loaded(pipeline, clean):
    pipeline.query(POSITIVE)
    pipeline.delete_topic("etl.dlq")
    loader = pipeline.start("loader", ready=False)
    pipeline.produce(CLEAN, messages(clean, bars_with_refused(300, {5, 105})))
    wait_until(lambda: accounted(pipeline) == 300, 30, lambda: str(ledger(pipeline)))
    check_refused(pipeline, 300, {5, 105})
    loader.wait_event("letters_wait")
    pipeline.insist("topics", "apply")
    check_letters(pipeline, 2)
    assert loader.stop() == 0


def check_refused_and_foreign(pipeline, count, refused, foreign):
    good = [n for n in range(1, count + 1) if n not in refused]
    assert ledger(pipeline) == {
        "inserted": (len(good), mix_sum(good)),
        "dead_letter": (len(refused), mix_sum(refused)),
    }
    ordinals = pipeline.query("SELECT ordinal FROM etl.dead_letters WHERE attempt IS NOT NULL ORDER BY 1")
    assert [ordinal for (ordinal,) in ordinals] == sorted(refused)
    values = pipeline.query("SELECT value FROM etl.dead_letters WHERE attempt IS NULL")
    assert len(values) == len(set(values)) == foreign


def test_killed_loaders_leave_no_letter_missing_or_doubled(pipeline, clean):
    """Some are killed between a commit and the letters' publishing; one may come twice into the topic, never into the
    archive."""
    pipeline.query(POSITIVE)
    count, refused, foreign = 3_000, set(range(3, 3_001, 3)), 30
    records = messages(clean, bars_with_refused(count, refused))
    records += [{"value": b"foreign %d" % n, "key": b""} for n in range(foreign)]
    pipeline.produce(CLEAN, [message | {"partition": n % 6} for n, message in enumerate(records)])
    pipeline.shorten_sessions()
    for _ in range(3):
        before = accounted(pipeline)
        loader = pipeline.start("loader", ready=False, settings={"batch.records_max": 150, "batch.ms": 20})
        wait_until(lambda seen=before: accounted(pipeline) > seen or accounted(pipeline) == count, 60, "a batch")
        loader.kill()
    pipeline.start("loader", 2, ready=False)
    wait_until(lambda: accounted(pipeline) == count, 60, lambda: str(ledger(pipeline)))
    wait_published(pipeline, len(refused) + foreign, 60)
    check_refused_and_foreign(pipeline, count, refused, foreign)
    check_letters(pipeline, len(refused) + foreign, copies=3)
    load(pipeline, clean, [clean_bar(OTHER, 20_000)], OTHER)
    check_refused_and_foreign(pipeline, count, refused, foreign)


def test_two_loaders_publish_a_letter_once(pipeline, clean):
    pipeline.query(POSITIVE)
    loaders = pipeline.start("loader", 2, ready=False, settings={"batch.ms": 20})
    for first in range(0, 6000, 600):
        bars = [clean_bar(ATTEMPT, first + n, close_price=price("-1" if n % 2 else "1")) for n in range(1, 601)]
        pipeline.produce(CLEAN, [m | {"partition": i % 6} for i, m in enumerate(messages(clean, bars))])
    wait_until(lambda: accounted(pipeline) == 6000, 60, lambda: str(ledger(pipeline)))
    check_letters(pipeline, 3000)
    assert ledger(pipeline) == {
        "inserted": (3000, mix_sum(range(2, 6001, 2))),
        "dead_letter": (3000, mix_sum(range(1, 6001, 2))),
    }
    assert [loader.stop() for loader in loaders] == [0, 0]

"""The loader and rows that a vendor withdrew: keys that it notes, and old readings that do not bring them back."""

import pytest
from harness.ledger import outcomes
from harness.records import clean_bar, messages, price
from harness.waiting import wait_until

ATTEMPT = 4_000_000_000_000_000_001
OTHER = ATTEMPT + 1
CLEAN = "etl.clean.ohlcv"
WITHDRAWN_AT = "2024-01-01T00:00:00Z"  # clean_bar()'s as_of is of November 2023
LATER = 1_710_000_000_000_000_000


def counts(pipeline, attempt):
    return {outcome: records for outcome, (records, _) in outcomes(pipeline, attempt).items()}


def load(pipeline, codec, records, attempt=ATTEMPT):
    before = sum(counts(pipeline, attempt).values())
    pipeline.produce(CLEAN, messages(codec, records))
    wait_until(lambda: sum(counts(pipeline, attempt).values()) >= before + len(records), 30, lambda: str(counts(pipeline, attempt)))


def know(pipeline, attempt, keys_kept):
    """As the orchestrator books an attempt before it is sent."""
    pipeline.query(
        "WITH r AS (INSERT INTO etl.runs (kind) VALUES ('full') RETURNING run), t AS (INSERT INTO etl.tasks (run, subscription, source, parameters)"
        " SELECT run, 's', 'databento', '{}' FROM r RETURNING task, run)"
        " INSERT INTO etl.attempts (attempt, task, run, source, slot, keys_kept) SELECT %s, task, run, 'databento', 0, %s FROM t",
        attempt, keys_kept,
    )  # fmt: skip


WITHDRAW = (
    "WITH gone AS (DELETE FROM ohlcv_data o WHERE ts_event = %s RETURNING o.*), journaled AS ("
    " INSERT INTO etl.restatements (kind, table_name, old_row, old_attempt, new_attempt, symbol, at, old_as_of, new_as_of, key_hash)"
    " SELECT 'withdrawn', 'ohlcv_data', to_jsonb(g), g.attempt, %s, g.symbol, g.ts_event, g.as_of, %s,"
    '  hash_record_extended(ROW (dataset, "interval", publisher_id, symbol, ts_event), 0) FROM gone g RETURNING 1)'
    " INSERT INTO etl.withdrawals (attempt, run, subscription, table_name, from_time, until_time, as_of, delivered, stored, withdrawn)"
    " SELECT %s, run, 's', 'ohlcv_data', '2020-12-28', '2020-12-29', %s, 1, 2, (SELECT count(*) FROM journaled) FROM etl.attempts WHERE attempt = %s"
)


def withdraw(connection, ordinal, attempt=OTHER):
    time = clean_bar(0, ordinal)["ts_event"] // 10**9
    (at,) = connection.execute("SELECT to_timestamp(%s)", [time]).fetchone()
    connection.execute(WITHDRAW, [at, attempt, WITHDRAWN_AT, attempt, WITHDRAWN_AT, attempt])


def test_the_columns_of_a_key(pipeline):
    """Both sides hash the same: the test above all others says so in SQL."""
    assert pipeline.value("SELECT etl.key_columns('ohlcv_data'::regclass, '')") == 'dataset, "interval", publisher_id, symbol, ts_event'


@pytest.mark.parametrize("kept", [True, False])
def test_keys_are_noted_where_somebody_asks_for_them(pipeline, clean, kept):
    """Of new rows, of unchanged ones, and of those that come twice; in the transaction that loads them."""
    know(pipeline, ATTEMPT, False)
    know(pipeline, OTHER, kept)
    pipeline.start("loader")
    load(pipeline, clean, [clean_bar(ATTEMPT, n) for n in range(1, 11)])
    assert pipeline.query("SELECT * FROM etl.seen_keys") == []
    again = [clean_bar(OTHER, n, as_of=LATER) for n in range(6, 16)]
    again[0] |= {"close_price": price("3703")}
    load(pipeline, clean, [*again, again[-1] | {"ordinal": 16}], OTHER)
    noted = pipeline.query("SELECT attempt, as_of, unnest(hashes) FROM etl.seen_keys")
    assert len(noted) == (11 if kept else 0) and {attempt for attempt, _, _ in noted} == ({OTHER} if kept else set())
    hashes = pipeline.query(f"SELECT hash_record_extended(ROW ({pipeline.value(KEY_COLUMNS)}), 0) FROM ohlcv_data ORDER BY ts_event OFFSET 5")
    assert {h for _, _, h in noted} == ({h for (h,) in hashes} if kept else set()) and len(hashes) == 10
    assert {int(at.timestamp()) for _, at, _ in noted} == ({LATER // 10**9} if kept else set())


KEY_COLUMNS = "SELECT etl.key_columns('ohlcv_data'::regclass, '')"


def test_what_was_read_before_does_not_come_back(pipeline, clean):
    know(pipeline, OTHER, True)
    pipeline.start("loader")
    load(pipeline, clean, [clean_bar(ATTEMPT, n) for n in range(1, 11)])
    with pipeline.connect(autocommit=True) as connection:
        withdraw(connection, 3)
    old, new = OTHER + 1, OTHER + 2
    load(pipeline, clean, [clean_bar(old, n) for n in range(1, 12)], old)
    assert counts(pipeline, old) == {"unchanged": 9, "superseded": 1, "inserted": 1}
    assert pipeline.value("SELECT count(*) FROM ohlcv_data") == 10
    load(pipeline, clean, [clean_bar(new, n, as_of=LATER) for n in range(1, 4)], new)
    assert counts(pipeline, new) == {"unchanged": 2, "inserted": 1}
    load(pipeline, clean, [clean_bar(OTHER + 3, n) for n in range(1, 4)], OTHER + 3)
    assert counts(pipeline, OTHER + 3) == {"unchanged": 2, "superseded": 1}, "which was read before, still"
    assert pipeline.value("SELECT count(*) FROM ohlcv_data") == 11


def test_a_batch_meets_a_removal_that_is_not_committed(pipeline, clean):
    """Its row waits for the one that goes, and is written where that is gone: it is found, and the batch taken again."""
    know(pipeline, OTHER, True)
    loader = pipeline.start("loader")
    load(pipeline, clean, [clean_bar(ATTEMPT, n) for n in range(1, 4)])
    assert loader.stop() == 0
    old = OTHER + 1
    with pipeline.connect() as connection:
        withdraw(connection, 2)
        pipeline.produce(CLEAN, messages(clean, [clean_bar(old, 2)]))
        loader = pipeline.start("loader")
        pipeline.wait_blocked()
        connection.commit()
    wait_until(lambda: counts(pipeline, old) == {"superseded": 1}, 30, lambda: str(counts(pipeline, old)))
    assert pipeline.value("SELECT count(*) FROM ohlcv_data") == 2
    assert "withdrawn meanwhile" in loader.log()

"""One batch is written while the next is filled; and which way the rows of a batch take into the table."""

from contextlib import contextmanager

import pytest
from harness.ledger import outcomes
from harness.records import clean_bar, messages, mix_sum, price
from harness.waiting import wait_until

ATTEMPT = 4_000_000_000_000_000_001
OTHER = ATTEMPT + 1
CLEAN = "etl.clean.ohlcv"
NEWER = {"as_of": 1_800_000_000_000_000_000}
FILLING = {"batch.ms": 20}
WRITERS = (
    "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    " AND application_name LIKE 'penstock.loader%%' AND application_name NOT LIKE '%%sender'"
)


def ledger(pipeline, attempt=ATTEMPT):
    return outcomes(pipeline, attempt)


def wait_accounted(pipeline, count, attempt=ATTEMPT):
    wait_until(
        lambda: sum(records for records, _ in ledger(pipeline, attempt).values()) >= count,
        60,
        lambda: str(ledger(pipeline, attempt)),
    )


def send(pipeline, codec, first, last, attempt=ATTEMPT, partition=0, **changes):
    pipeline.produce(CLEAN, messages(codec, [clean_bar(attempt, n, **changes) for n in range(first, last + 1)], partition))


def staged(pipeline):
    """A session's staging tables are made when they are needed first."""
    return pipeline.value("SELECT count(*) FROM pg_class WHERE relname = 'stage_ohlcv_data'") > 0


# --- two batches ---------------------------------------------------------------------------------------------------------
@contextmanager
def table_locked(pipeline):
    with pipeline.connect() as connection:
        connection.execute("LOCK TABLE ohlcv_data IN ACCESS EXCLUSIVE MODE")
        yield


@contextmanager
def two_batches(pipeline, codec):
    """A loader that waits for the table with a batch of 100 and has filled another; the table is free at the end."""
    loader = pipeline.start("loader", settings=FILLING)
    send(pipeline, codec, 1, 100)
    wait_accounted(pipeline, 100)
    with table_locked(pipeline):
        send(pipeline, codec, 101, 200)
        wait_until(lambda: pipeline.query(WRITERS), 30, "a loader waits for the table")
        send(pipeline, codec, 201, 300)
        wait_until(lambda: loader.metrics()["penstock_open_records"] == 200, 30, "the next batch is being filled")
        yield loader


def dropped(loader):
    return loader.metrics()["penstock_batches_dropped_total"]


def test_a_batch_that_fails_on_its_way_takes_the_next_with_it(pipeline, clean):
    with two_batches(pipeline, clean) as loader:
        pipeline.query("SELECT pg_terminate_backend(%s)", pipeline.value(WRITERS))
        wait_until(lambda: dropped(loader) >= 2, 30, "both are dropped")
    wait_accounted(pipeline, 300)
    send(pipeline, clean, 301, 301)
    wait_accounted(pipeline, 301)
    assert ledger(pipeline) == {"inserted": (301, mix_sum(range(1, 302)))}
    assert pipeline.value("SELECT count(*) FROM ohlcv_data") == 301
    assert loader.stop() == 0


def test_partitions_are_given_back_when_the_batch_has_arrived(pipeline, clean):
    with two_batches(pipeline, clean) as first:
        second = pipeline.start("loader", ready=False, settings=FILLING)
        second.wait_event("http_listening")
    wait_accounted(pipeline, 300)
    second.wait_ready(60)
    send(pipeline, clean, 301, 400, partition=1)
    send(pipeline, clean, 401, 500, partition=4)
    wait_accounted(pipeline, 500)
    assert ledger(pipeline) == {"inserted": (500, mix_sum(range(1, 501)))}
    assert (dropped(first), dropped(second)) == (0, 0)


def test_a_stop_waits_for_the_batch_on_its_way_and_for_the_next(pipeline, clean):
    with two_batches(pipeline, clean) as loader:
        loader.process.terminate()
    assert loader.wait_exit() == 0
    assert ledger(pipeline) == {"inserted": (300, mix_sum(range(1, 301)))}


# --- rows that are there already -----------------------------------------------------------------------------------------
COUNT = 12_000  # more than are asked for at once


@pytest.fixture
def loaded(pipeline, clean):
    """Of every three bars the first two."""
    loader = pipeline.start("loader", settings={"batch.ms": 1000})
    bars = [clean_bar(ATTEMPT, n, symbol=f"S{n % 7}") for n in range(1, COUNT + 1) if n % 3]
    pipeline.produce(CLEAN, messages(clean, bars))
    wait_accounted(pipeline, len(bars))
    return loader


def again(pipeline, codec, change=lambda n: {}, ordinals=None):
    bars = [
        clean_bar(OTHER, n, symbol=f"S{n % 7}", **NEWER) | change(n) for n in ordinals or range(1, COUNT + 1)
    ]
    pipeline.produce(CLEAN, messages(codec, bars))
    wait_accounted(pipeline, len(bars), OTHER)
    return ledger(pipeline, OTHER)


def every(third, count=COUNT):
    return [n for n in range(1, count + 1) if n % 3 == third]


def test_what_is_fetched_again_is_compared_and_written_nowhere(pipeline, clean, loaded):
    same = every(1) + every(2)
    before = pipeline.query("SELECT * FROM ohlcv_data ORDER BY 1, 2, 3")
    assert again(pipeline, clean, ordinals=sorted(same)) == {"unchanged": (len(same), mix_sum(same))}
    assert pipeline.query("SELECT * FROM ohlcv_data ORDER BY 1, 2, 3") == before
    assert not staged(pipeline)


def test_new_rows_among_known_ones_are_copied(pipeline, clean, loaded):
    same = every(1) + every(2)
    assert again(pipeline, clean) == {
        "unchanged": (len(same), mix_sum(same)),
        "inserted": (COUNT // 3, mix_sum(every(0))),
    }
    assert not staged(pipeline)
    assert pipeline.value("SELECT count(*) FROM ohlcv_data") == COUNT
    spans = pipeline.query("SELECT min(first_offset), max(last_offset) FROM etl.ledger WHERE attempt = %s", OTHER)
    assert spans[0][1] - spans[0][0] == COUNT - 1


def test_corrected_rows_among_known_and_new_ones(pipeline, clean, loaded):
    assert again(pipeline, clean, lambda n: {"close_price": price("77.5")} if n % 3 == 2 else {}) == {
        "unchanged": (COUNT // 3, mix_sum(every(1))),
        "updated": (COUNT // 3, mix_sum(every(2))),
        "inserted": (COUNT // 3, mix_sum(every(0))),
    }
    assert staged(pipeline)
    assert pipeline.value("SELECT count(*) FROM ohlcv_data WHERE close_price = 77.5") == COUNT // 3
    assert pipeline.value("SELECT count(*) FROM etl.restatements") == COUNT // 3


def test_a_known_key_that_comes_twice(pipeline, clean, loaded):
    """The second of two equal rows is a duplicate, whatever the first one was."""
    twice = [n for n in range(1, 301) for _ in range(2)]
    bars = [clean_bar(OTHER, n, symbol=f"S{n % 7}") | {"ordinal": i + 1} for i, n in enumerate(twice)]
    pipeline.produce(CLEAN, messages(clean, bars))
    wait_accounted(pipeline, 600, OTHER)
    found = {outcome: records for outcome, (records, _) in ledger(pipeline, OTHER).items()}
    assert found == {"unchanged": 200, "inserted": 100, "duplicate": 300}


def test_the_same_number_in_another_form_is_the_same(pipeline, clean, loaded):
    """Bytes differ, values do not: the database decides."""
    pipeline.query("UPDATE ohlcv_data SET volume = volume + 0.00")
    ordinals = [n for n in range(1, 301) if n % 3]
    assert again(pipeline, clean, ordinals=ordinals) == {"unchanged": (200, mix_sum(ordinals))}
    assert staged(pipeline)


def test_a_row_that_somebody_changed_is_seen(pipeline, clean, loaded):
    pipeline.query("UPDATE ohlcv_data SET venue = NULL WHERE symbol = 'S1'")
    ordinals = [n for n in range(1, 301) if n % 3]
    changed = [n for n in ordinals if n % 7 == 1]
    rest = [n for n in ordinals if n % 7 != 1]
    assert again(pipeline, clean, ordinals=ordinals) == {
        "updated": (len(changed), mix_sum(changed)),
        "unchanged": (len(rest), mix_sum(rest)),
    }


def test_series_are_read_from_the_index(pipeline, clean, loaded):
    """Each in one go, and whatever the planner knows: right after rows came it knows nothing of them."""
    ordinals = [n for n in range(1, 301) if n % 3]
    again(pipeline, clean, ordinals=ordinals)
    loaded.stop()  # a session tells its figures when it ends, at the latest
    figures = "SELECT sum(seq_tup_read), sum(idx_scan) FROM pg_stat_user_tables WHERE relname LIKE 'ohlcv_data%%'"
    read, looked_up = pipeline.query(figures)[0]
    assert read == 0, "no table was read from its begin to its end"
    assert 7 <= looked_up < 2 * 7


def test_rows_that_are_far_apart_in_their_series(pipeline, clean, loaded):
    """What lies between them in the table is not read for their sake: the database looks for each."""
    ordinals = [n for n in range(1, COUNT, 700) if n % 3]
    assert again(pipeline, clean, ordinals=ordinals) == {"unchanged": (len(ordinals), mix_sum(ordinals))}
    assert staged(pipeline)


def test_two_stretches_of_a_series(pipeline, clean, loaded):
    """What lies between them is not read, and nothing of them is staged."""
    ordinals = [n for n in [*range(1, 301), *range(COUNT - 300, COUNT)] if n % 3]
    assert again(pipeline, clean, ordinals=ordinals) == {"unchanged": (len(ordinals), mix_sum(ordinals))}
    assert not staged(pipeline)


def test_rows_of_a_series_in_any_order(pipeline, clean, loaded):
    """From the last to the first, two intervals in turn, one of which the table does not have."""
    ordinals = [n for n in range(300, 0, -1) if n % 3]
    bars = [clean_bar(OTHER, n, symbol=f"S{n % 7}") for n in ordinals]
    hours = [bar | {"interval": "1h", "ordinal": bar["ordinal"] + COUNT} for bar in bars]
    pipeline.produce(CLEAN, messages(clean, [bar for both in zip(bars, hours, strict=True) for bar in both]))
    wait_accounted(pipeline, 2 * len(bars), OTHER)
    assert ledger(pipeline, OTHER) == {
        "unchanged": (len(bars), mix_sum(ordinals)),
        "inserted": (len(bars), mix_sum(n + COUNT for n in ordinals)),
    }


def test_rows_of_one_time_and_several_publishers(pipeline, clean, loaded):
    ordinals = [n for n in range(1, 301) if n % 3]
    bars = [clean_bar(OTHER, n, symbol=f"S{n % 7}", publisher_id=n % 2 + 1) for n in ordinals]
    pipeline.produce(CLEAN, messages(clean, bars))
    wait_accounted(pipeline, len(bars), OTHER)
    known = [n for n in ordinals if n % 2 == 0]
    new = [n for n in ordinals if n % 2]
    assert ledger(pipeline, OTHER) == {"unchanged": (len(known), mix_sum(known)), "inserted": (len(new), mix_sum(new))}

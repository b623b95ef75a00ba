"""One batch is written while the next is filled."""

from contextlib import contextmanager

import pytest
from harness.records import Codec, clean_bar, messages, mix_sum
from harness.waiting import wait_until

ATTEMPT = 4_000_000_000_000_000_001
OTHER = ATTEMPT + 1
CLEAN = "etl.clean.ohlcv"
FILLING = {"batch.ms": 20}
WRITERS = (
    "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    " AND application_name LIKE 'penstock.loader%%' AND application_name NOT LIKE '%%sender'"
)


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


def wait_accounted(pipeline, count, attempt=ATTEMPT):
    wait_until(
        lambda: sum(records for records, _ in ledger(pipeline, attempt).values()) >= count,
        60,
        lambda: str(ledger(pipeline, attempt)),
    )


def send(pipeline, codec, first, last, attempt=ATTEMPT, partition=0, **changes):
    pipeline.produce(CLEAN, messages(codec, [clean_bar(attempt, n, **changes) for n in range(first, last + 1)], partition))


# --- two batches ---------------------------------------------------------------------------------------------------------
@contextmanager
def table_locked(pipeline):
    with pipeline.connect() as connection:
        connection.execute("LOCK TABLE ohlcv_data IN ACCESS EXCLUSIVE MODE")
        yield


def start_and_block(pipeline, codec):
    """A loader that waits for the table with a batch, inside the lock; the pid of its session."""
    send(pipeline, codec, 101, 200)
    wait_until(lambda: pipeline.query(WRITERS), 30, "a loader waits for the table")
    return pipeline.value(WRITERS)


def wait_filled(loader):
    """100 messages are on their way, 100 more were taken meanwhile."""
    wait_until(lambda: loader.metrics()["penstock_open_records"] == 200, 30, "the next batch is being filled")


def dropped(loader):
    return loader.metrics()["penstock_batches_dropped_total"]


def test_a_batch_that_fails_on_its_way_takes_the_next_with_it(pipeline, clean):
    loader = pipeline.start("loader", settings=FILLING)
    send(pipeline, clean, 1, 100)
    wait_accounted(pipeline, 100)
    with table_locked(pipeline):
        pid = start_and_block(pipeline, clean)
        send(pipeline, clean, 201, 300)
        wait_filled(loader)
        pipeline.query("SELECT pg_terminate_backend(%s)", pid)
        wait_until(lambda: dropped(loader) >= 2, 30, "both are dropped")
    wait_accounted(pipeline, 300)
    send(pipeline, clean, 301, 301)
    wait_accounted(pipeline, 301)
    assert ledger(pipeline) == {"inserted": (301, mix_sum(range(1, 302)))}
    assert pipeline.value("SELECT count(*) FROM ohlcv_data") == 301
    assert loader.stop() == 0


def test_partitions_are_given_back_when_the_batch_has_arrived(pipeline, clean):
    first = pipeline.start("loader", settings=FILLING)
    send(pipeline, clean, 1, 100)
    wait_accounted(pipeline, 100)
    with table_locked(pipeline):
        start_and_block(pipeline, clean)
        send(pipeline, clean, 201, 300)
        wait_filled(first)
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
    loader = pipeline.start("loader", settings=FILLING)
    send(pipeline, clean, 1, 100)
    wait_accounted(pipeline, 100)
    with table_locked(pipeline):
        start_and_block(pipeline, clean)
        send(pipeline, clean, 201, 300)
        wait_filled(loader)
        loader.process.terminate()
    assert loader.wait_exit() == 0
    assert ledger(pipeline) == {"inserted": (300, mix_sum(range(1, 301)))}

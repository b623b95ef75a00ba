"""A worker that runs for long takes no more memory than after its first batches."""

import pytest
from harness.bars import simulate
from harness.records import Codec, clean_bar, messages, raw_bar
from harness.waiting import wait_until

ATTEMPT = 8_000_000_000_000_000_001
WARM, MANY, RECORDS = 200, 1000, 10  # batches, and records of each
GROWTH_MAX = 3 * 1024 * 1024  # bytes: allocators settle; 1,000 batches that kept 3 KiB each would show
RESIDENT_MAX = 256 * 1024 * 1024
HOPS = {
    "validator": ("etl.raw.ohlcv", "ohlcv", raw_bar),
    "transformer": ("etl.valid.ohlcv", "ohlcv", raw_bar),
    "loader": ("etl.clean.ohlcv", "ohlcv_clean", clean_bar),
}


def send(pipeline, kind, first, batches):
    topic, codec, bar = HOPS[kind]
    encoder = Codec(codec)
    count = batches * RECORDS
    records = [bar(ATTEMPT, n, symbol="" if n % 100 == 7 else "ESH1") for n in range(first, first + count)]
    pipeline.produce(topic, messages(encoder, records))
    return first + count


def batches(worker):
    return worker.metrics()["penstock_batches_total"]


@pytest.mark.parametrize("kind", HOPS)
def test_memory_is_flat_over_a_thousand_batches(pipeline, kind):
    worker = pipeline.start(kind, settings={"batch.records_max": RECORDS, "batch.ms": 1000})
    behind = send(pipeline, kind, 1, WARM)
    wait_until(lambda: batches(worker) >= WARM, 60, lambda: f"{WARM} batches: {batches(worker)}")
    before = worker.resident_bytes()
    send(pipeline, kind, behind, MANY)
    wait_until(lambda: batches(worker) >= WARM + MANY, 120, lambda: f"{MANY} more batches: {batches(worker)}")
    after = worker.resident_bytes()
    assert after - before < GROWTH_MAX, (before, after)
    assert after < RESIDENT_MAX


def test_memory_of_fetcher_and_orchestrator_is_flat(pipeline, tmp_path):
    """Transactions of few records each; one event for the orchestrator with every one of them."""
    orchestrator = pipeline.start("orchestrator")
    fetcher = pipeline.start("fetcher", settings={"batch.ms": 1, "turn.records": RECORDS})
    simulate(pipeline, tmp_path, "warm.dbn", bars=WARM * RECORDS)
    simulate(pipeline, tmp_path, "many.dbn", bars=MANY * RECORDS * 2)
    pipeline.subscribe("warm", tmp_path / "warm.dbn")
    pipeline.subscribe("many", tmp_path / "many.dbn")
    ended = "SELECT count(*) FROM etl.attempts WHERE state = 'done'"
    pipeline.api.start_run(["warm"])
    wait_until(lambda: pipeline.value(ended) == 1, 60, "the first file is read")
    before = {worker: worker.resident_bytes() for worker in (fetcher, orchestrator)}
    count = batches(fetcher)
    pipeline.api.start_run(["many"])
    wait_until(lambda: pipeline.value(ended) == 2, 120, "the second file is read")
    assert batches(fetcher) - count >= MANY
    for worker, bytes_before in before.items():
        assert worker.resident_bytes() - bytes_before < GROWTH_MAX, (worker.kind, bytes_before)
        assert worker.resident_bytes() < RESIDENT_MAX

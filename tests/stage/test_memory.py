"""A worker that runs for long takes no more memory than after its first batches."""

import pytest
from harness.bars import simulate
from harness.records import Codec, clean_bar, messages, raw_bar
from harness.waiting import wait_until

pytestmark = pytest.mark.alone
ATTEMPT = 8_000_000_000_000_000_001
PORTION, PORTIONS, RECORDS = 500, 4, 10  # batches sent at once, as a client reads ahead; and records of a batch
GROWTH_MAX = 1024 * 1024  # bytes: 1,000 batches that kept 1 KiB each would show
ONE_ARENA = {"MALLOC_ARENA_MAX": "1"}  # the allocator has one more for a thread when it is held up: no leak
FETCHER_GROWTH_MAX = 4 * 1024 * 1024  # its queue towards the broker is as full as the broker lets it be
WARM_BARS, MANY_BARS, MANY = 200_000, 1_000_000, 1000
RESIDENT_MAX = 256 * 1024 * 1024
HOPS = {
    "validator": ("etl.raw.ohlcv", "ohlcv", raw_bar),
    "transformer": ("etl.valid.ohlcv", "ohlcv", raw_bar),
    "loader": ("etl.clean.ohlcv", "ohlcv_clean", clean_bar),
}


def send(pipeline, kind, number):
    topic, codec, bar = HOPS[kind]
    first, count = 1 + number * PORTION * RECORDS, PORTION * RECORDS
    records = [bar(ATTEMPT, n, symbol="" if n % 100 == 7 else "ESH1") for n in range(first, first + count)]
    pipeline.produce(topic, messages(Codec(codec), records))


def batches(worker):
    return worker.metrics()["penstock_batches_total"]


def read_file(pipeline, subscription):
    run = pipeline.api.start_run([subscription])
    ended = f"SELECT count(*) FROM etl.attempts WHERE run = {run} AND state = 'done'"
    wait_until(lambda: pipeline.value(ended) == 1, 120, f"the file of {subscription} is read")


@pytest.mark.parametrize("kind", HOPS)
def test_memory_is_flat_over_a_thousand_batches(pipeline, kind):
    settings = ("--set", f"batch.records_max={RECORDS}", "--set", "batch.ms=1000")
    worker = pipeline.spawn(kind, *settings, environment=ONE_ARENA).wait_ready()
    resident = []
    for number in range(PORTIONS):
        send(pipeline, kind, number)
        due = (number + 1) * PORTION
        wait_until(lambda n=due: batches(worker) >= n, 120, lambda n=due: f"{n} batches: {batches(worker)}")
        resident.append(worker.resident_bytes())
    assert resident[-1] - resident[1] < GROWTH_MAX, resident  # over the last two: 1,000 batches
    assert resident[-1] < RESIDENT_MAX


def test_memory_of_fetcher_and_orchestrator_is_flat(pipeline, tmp_path):
    """Short transactions; one event for the orchestrator with every one of them."""
    orchestrator = pipeline.start("orchestrator")
    settings = ("--set", "batch.ms=1", "--set", "turn.records=400")
    fetcher = pipeline.spawn("fetcher", *settings, environment=ONE_ARENA).wait_ready()
    simulate(pipeline, tmp_path, "warm.dbn", bars=WARM_BARS)
    simulate(pipeline, tmp_path, "many.dbn", bars=MANY_BARS)
    pipeline.subscribe("warm", tmp_path / "warm.dbn")
    pipeline.subscribe("many", tmp_path / "many.dbn")
    read_file(pipeline, "warm")
    before = {worker: worker.resident_bytes() for worker in (fetcher, orchestrator)}
    due = batches(fetcher) + MANY
    while batches(fetcher) < due:  # a slower broker means longer, so fewer batches of a file
        read_file(pipeline, "many")
    for worker, bytes_before in before.items():
        assert worker.resident_bytes() - bytes_before < FETCHER_GROWTH_MAX, (worker.kind, bytes_before)
        assert worker.resident_bytes() < RESIDENT_MAX

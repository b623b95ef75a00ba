"""Loaders that are slow with a batch stay in their group: nobody rebalances because of them."""

from contextlib import contextmanager

import pytest
from harness.ledger import outcomes
from harness.records import clean_bar, messages, mix_sum
from harness.waiting import remains, wait_until

ATTEMPT = 4_000_000_000_000_000_001
CLEAN = "etl.clean.ohlcv"
SETTINGS = {"batch.ms": 20, "batch.records_max": 100}
PATIENCE_SECONDS = 5  # max.poll.interval.ms: five minutes where nothing is said
SLOW_SECONDS = 2.4 * PATIENCE_SECONDS  # less than a loader waits for a lock
OF_EACH = (0, 3)  # a partition of the first loader's and one of the second's
OTHERS = (1, 4)
BATCHES = 4  # one on its way, one that is full, and some that wait
COUNT = BATCHES * SETTINGS["batch.records_max"]
BLOCKED = (
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    " AND application_name LIKE 'penstock.loader%%' AND application_name NOT LIKE '%%sender'"
)


@pytest.fixture
def impatient(make_pipeline, fault_programs):
    pipeline = make_pipeline(program_folder=fault_programs).prepare()
    patience = PATIENCE_SECONDS * 1000
    pipeline.configure("kafka", **{"session.timeout.ms": patience, "max.poll.interval.ms": patience})
    return pipeline


def start_two(pipeline, defect):
    words = [word for key, value in SETTINGS.items() for word in ("--set", f"{key}={value}")]
    environment = {"PENSTOCK_DEFECT": defect} if defect else {}
    loaders = [pipeline.spawn("loader", *words, environment=environment).wait_ready() for _ in range(2)]

    def share():
        return all(loader.metrics()["penstock_partitions"] > 0 and loader.is_ready() for loader in loaders)

    wait_until(share, 30, "both loaders have partitions")
    return loaders


def moves(loaders):
    """How often partitions came to each, and went."""
    return [[len(each.events(f"partitions_{word}")) for word in ("assigned", "revoked")] for each in loaders]


def send(pipeline, codec, ordinals, partition):
    pipeline.produce(CLEAN, messages(codec, [clean_bar(ATTEMPT, n) for n in ordinals], partition))


def accounted(pipeline):
    return sum(records for records, _ in outcomes(pipeline, ATTEMPT).values())


@contextmanager
def stuck(pipeline, loaders, codec, partitions):
    """Each loader waits for the table with a batch; records of these partitions wait for it."""
    for number, partition in enumerate(partitions):
        send(pipeline, codec, [number + 1], partition)
    sent = len(partitions)
    wait_until(lambda: accounted(pipeline) == sent, 30, "the first records are loaded")
    with pipeline.connect() as connection:
        connection.execute("LOCK TABLE ohlcv_data IN ACCESS EXCLUSIVE MODE")
        for number, partition in enumerate((*OF_EACH, *OTHERS)):
            first = 5 + number * COUNT
            send(pipeline, codec, range(first, first + COUNT), partition)
        wait_until(lambda: pipeline.value(BLOCKED) == len(loaders), 30, "both loaders wait for the table")
        yield sent + 4 * COUNT


@pytest.mark.parametrize("begun", [OF_EACH, OF_EACH + OTHERS], ids=["others-new", "all-begun"])
def test_who_is_slow_with_a_batch_stays_in_the_group(impatient, clean, begun):
    """For longer than a group has patience with who does not poll."""
    loaders = start_two(impatient, None)
    with stuck(impatient, loaders, clean, begun) as sent:
        before = moves(loaders)
        remains(lambda: moves(loaders) == before, SLOW_SECONDS, lambda: f"{before} became {moves(loaders)}")
        assert impatient.value(BLOCKED) == 2
    wait_until(lambda: accounted(impatient) >= sent, 60, lambda: f"{accounted(impatient)} of {sent}")
    assert_all_once(impatient, begun, sent)
    assert moves(loaders) == before
    assert [loader.metrics()["penstock_batches_dropped_total"] for loader in loaders] == [0, 0]
    assert [loader.stop() for loader in loaders] == [0, 0]


def assert_all_once(pipeline, begun, sent):
    ordinals = [*range(1, len(begun) + 1), *range(5, 5 + 4 * COUNT)]
    assert outcomes(pipeline, ATTEMPT) == {"inserted": (sent, mix_sum(ordinals))}
    found = pipeline.query("SELECT extract(epoch FROM ts_event)::bigint FROM ohlcv_data ORDER BY 1")
    assert len(found) == len(set(found)) == sent


def test_who_does_not_poll_meanwhile_is_thrown_out(impatient, clean):
    """What the test above would see: with the mistake built in, all stop for a rebalance, and nothing is lost by it."""
    loaders = start_two(impatient, "waits_without_polling")
    with stuck(impatient, loaders, clean, OF_EACH) as sent:
        before = moves(loaders)
        wait_until(
            lambda: any("maximum poll interval" in loader.log() for loader in loaders),
            SLOW_SECONDS,
            "somebody is thrown out",
        )
    wait_until(lambda: moves(loaders) != before, 30, "partitions move")
    wait_until(lambda: accounted(impatient) >= sent, 60, lambda: f"{accounted(impatient)} of {sent}")
    assert_all_once(impatient, OF_EACH, sent)

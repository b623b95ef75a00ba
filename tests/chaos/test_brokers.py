"""Three brokers on this machine, and one that is killed in a run. Each of them in turn: `make chaos`."""

import pytest
from confluent_kafka.admin import AdminClient, ConfigResource
from harness.pipeline import KAFKA_SECONDS, Pipeline

from chaos import brokers

BARS = 30_000
# Small batches: a broker dies in the middle of many transactions.
SETTINGS = {
    "fetcher": {"batch.ms": 1, "turn.records": 200},
    "validator": {"batch.ms": 20, "batch.records_max": 1000},
    "transformer": {"batch.ms": 20, "batch.records_max": 1000},
    "loader": {"batch.ms": 20, "batch.records_max": 1000},
}


@pytest.fixture(scope="module")
def three():
    servers = brokers.ThreeBrokers()
    try:
        servers.start()
        yield servers
    finally:
        servers.stop()


def test_every_topic_is_on_all_of_them(three, tmp_path):
    pipeline = Pipeline(three, tmp_path)
    try:
        pipeline.apply_topics()
        admin = AdminClient(pipeline.kafka())
        mine = {n: t for n, t in admin.list_topics(timeout=KAFKA_SECONDS).topics.items() if n.startswith(pipeline.prefix)}
        assert {len(p.replicas) for topic in mine.values() for p in topic.partitions.values()} == {brokers.BROKERS}
        assert {p.leader for topic in mine.values() for p in topic.partitions.values()} == {1, 2, 3}
        asked = ConfigResource("topic", pipeline.topic("etl.raw.ohlcv"))
        told = admin.describe_configs([asked])[asked].result(KAFKA_SECONDS)
        assert told["min.insync.replicas"].value == "2"
    finally:
        pipeline.close()


def test_a_broker_is_killed_in_a_run(three, tmp_path):
    """That which coordinates the validators' group: it moves, and so do leaders and transactions."""
    said = []

    def say(text):
        print(text, flush=True)
        said.append(text)

    found = brokers.play(three, tmp_path, bars=BARS, settings=SETTINGS, say=say)
    assert found == []
    assert sum("is killed" in line for line in said) == 1 and sum("goes on without it" in line for line in said) == 1

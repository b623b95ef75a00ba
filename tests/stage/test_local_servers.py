"""The local stack's own Kafka and PostgreSQL: what was acknowledged survives `kill -9` and a new start."""

import pytest
from confluent_kafka.admin import AdminClient, NewTopic

pytestmark = pytest.mark.alone


@pytest.fixture
def filled(make_pipeline):
    """A pipeline without workers: a topic of three partitions with 100 messages, a table with 5 rows."""
    pipeline = make_pipeline()
    admin = AdminClient(pipeline.kafka())  # its requests end with it
    for future in admin.create_topics([NewTopic(pipeline.topic("kept"), 3, 1)]).values():
        future.result(15)
    pipeline.produce("kept", [{"key": b"k%d" % n, "value": b"v%d" % n} for n in range(100)])
    pipeline.query("CREATE TABLE kept AS SELECT generate_series(1, 5) AS n")
    return pipeline


@pytest.mark.parametrize("how", ["TERM", "KILL"])
def test_acknowledged_data_survives(servers, filled, how):
    servers.restart("kafka", how)
    servers.restart("postgres", how)
    assert sorted(message.value() for message in filled.read("kept", seconds=60)) == sorted(
        b"v%d" % n for n in range(100)
    )
    with filled.connect() as connection:
        assert connection.execute("SELECT count(*) FROM kept").fetchone() == (5,)

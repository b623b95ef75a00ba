"""What every stage owes, whatever it does with a record: validator, transformer and loader alike."""

from dataclasses import dataclass

import pytest
from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic
from harness.pipeline import KAFKA_SECONDS
from harness.records import Codec, clean_bar, messages, mix_sum, raw_bar
from harness.waiting import remains, wait_until

ATTEMPT = 7_000_000_000_000_000_001
LOADER = "loader"


@dataclass
class Hop:
    """One stage as its neighbours see it."""

    kind: str
    reads: str
    writes: str
    codec: Codec
    bar: callable

    def send(self, pipeline, ordinals, partition=0, **values):
        bars = [self.bar(ATTEMPT, n, **values) for n in ordinals]
        pipeline.produce(self.reads, messages(self.codec, bars, partition))

    def done(self, pipeline):
        """Ordinals that it is through with, letters left out."""
        if self.kind == LOADER:
            return [int(n) for (n,) in pipeline.query("SELECT extract(epoch FROM ts_event) FROM ohlcv_data")]
        return [pipeline_codec(self.writes).decode(m.value())["ordinal"] for m in pipeline.read(self.writes)]

    def wait_done(self, pipeline, count, seconds=60):
        wait_until(lambda: self.count(pipeline) >= count, seconds, lambda: f"{count} done by {self.kind}")
        assert self.count(pipeline) == count

    def count(self, pipeline):
        if self.kind == LOADER:
            return pipeline.value("SELECT count(*) FROM ohlcv_data")
        return len(pipeline.read(self.writes))


def pipeline_codec(topic):
    return Codec("ohlcv_clean" if "clean" in topic else "ohlcv")


HOPS = {
    "validator": ("etl.raw.ohlcv", "etl.valid.ohlcv", "ohlcv", raw_bar),
    "transformer": ("etl.valid.ohlcv", "etl.clean.ohlcv", "ohlcv", raw_bar),
    LOADER: ("etl.clean.ohlcv", "", "ohlcv_clean", clean_bar),
}


@pytest.fixture(params=HOPS)
def hop(request):
    reads, writes, codec, bar = HOPS[request.param]
    return Hop(request.param, reads, writes, Codec(codec), bar)


@pytest.fixture(params=["validator", LOADER])
def one_of_each_commit(request):
    """Where many starts are needed: transformer and validator share all of it."""
    reads, writes, codec, bar = HOPS[request.param]
    return Hop(request.param, reads, writes, Codec(codec), bar)


@pytest.fixture
def faulty(make_pipeline, fault_programs, tmp_path):
    """A pipeline of programs that can be told to break, and the folder where they are told."""
    pipeline = make_pipeline(program_folder=fault_programs).prepare()
    pipeline.shorten_sessions()
    pipeline.faults = tmp_path / "faults"
    pipeline.faults.mkdir()
    pipeline.breakable = {"PENSTOCK_FAULTS": str(pipeline.faults)}
    return pipeline


def letters(pipeline):
    return [(pipeline.headers(m), m.value()) for m in pipeline.read("etl.dlq")]


# --- records that crash the stage -------------------------------------------------------------------------------------
def start_until_it_stays(pipeline, kind, starts_max):
    """As a supervisor does; how often it was started."""
    for n in range(1, starts_max + 1):
        worker = pipeline.spawn(kind, environment=pipeline.breakable)
        wait_until(
            lambda w=worker: not w.running or letters(pipeline), 60, lambda w=worker: f"an end or a letter:\n{w.tail()}"
        )
        if worker.running:
            return n, worker
    raise AssertionError(f"{kind} ended {starts_max} times:\n{worker.tail()}")


def test_a_record_that_crashes_the_stage_becomes_a_letter(faulty, one_of_each_commit):
    """Those before and behind it go on; nobody looked into it again."""
    hop = one_of_each_commit
    (faulty.faults / f"{hop.kind}.message-{faulty.topic(hop.reads)}-BAD").write_text("kill always")
    hop.send(faulty, range(1, 41))
    hop.send(faulty, [41], symbol="BAD")
    hop.send(faulty, range(42, 61))
    starts, worker = start_until_it_stays(faulty, hop.kind, 10)
    assert starts >= 5
    hop.wait_done(faulty, 59)
    ((headers, value),) = letters(faulty)
    assert headers["__connect.errors.exception.class.name"] == "StageCrashed"
    assert "crashed the stage" in headers["etl.message"] and headers["etl.record"] == ""
    assert (headers["etl.attempt"], headers["etl.ordinal"]) == (str(ATTEMPT), "41")
    assert value == hop.codec.encode(hop.bar(ATTEMPT, 41, symbol="BAD"))
    assert worker.events("careful_begun")


def test_kills_while_nothing_is_read_count_for_nothing(faulty, one_of_each_commit):
    hop = one_of_each_commit
    for _ in range(6):
        faulty.start(hop.kind).kill()
    worker = faulty.start(hop.kind)
    hop.send(faulty, range(1, 11))
    hop.wait_done(faulty, 10)
    assert not worker.events("careful_begun") and not letters(faulty)


# --- offsets that are gone --------------------------------------------------------------------------------------------
def cut(pipeline, topic, partition, offset):
    """As retention does."""
    place = TopicPartition(pipeline.topic(topic), partition, offset)
    admin = AdminClient(pipeline.kafka())  # its requests end with it
    for future in admin.delete_records([place]).values():
        future.result(KAFKA_SECONDS)


def skip(pipeline, hop, partition, offset):
    """What `penstock offsets skip` does to the position."""
    if hop.kind == LOADER:
        pipeline.query(
            "UPDATE etl.offsets SET next_offset = %s, epoch = epoch + 1, last_offset = NULL, stopped = ''"
            " WHERE topic = %s AND partition = %s",
            offset,
            pipeline.topic(hop.reads),
            partition,
        )
        return
    place = TopicPartition(pipeline.topic(hop.reads), partition, offset)
    group = ConsumerGroupTopicPartitions(f"{pipeline.prefix}penstock.{hop.kind}", [place])
    admin = AdminClient(pipeline.kafka())
    for future in admin.alter_consumer_group_offsets([group]).values():
        future.result(KAFKA_SECONDS)


def test_a_gap_stops_its_partition_and_no_other(pipeline, hop):
    hop.send(pipeline, range(1, 101), partition=0)
    hop.send(pipeline, range(101, 151), partition=1, symbol="NQH1")
    cut(pipeline, hop.reads, 0, 60)
    worker = pipeline.start(hop.kind)
    hop.wait_done(pipeline, 50)
    (line,) = worker.wait_event("partition_stopped")
    assert "offsets skip" in line["message"] and line["context"]["partition"] == 0
    assert worker.metrics()["penstock_partitions_stopped"] == 1
    assert worker.running
    if hop.kind != LOADER:  # Kafka moves the offsets of a group without members only
        worker.stop()
    skip(pipeline, hop, 0, 60)
    if hop.kind != LOADER:
        worker = pipeline.start(hop.kind)
    hop.wait_done(pipeline, 90)
    assert worker.metrics()["penstock_partitions_stopped"] == 0


def test_a_gap_in_front_of_a_running_stage(pipeline, hop):
    worker = pipeline.start(hop.kind)
    hop.send(pipeline, range(1, 11))
    hop.wait_done(pipeline, 10)
    worker.pause()
    hop.send(pipeline, range(11, 111))
    end = max(m.offset() for m in pipeline.read(hop.reads)) + 1
    cut(pipeline, hop.reads, 0, end)
    worker.resume()
    hop.send(pipeline, range(111, 121), partition=1, symbol="NQH1")
    wait_until(lambda: hop.count(pipeline) >= 20, 60, "those of the other partition")


# --- the loader's memory of the log -----------------------------------------------------------------------------------
@pytest.fixture
def loader_hop():
    reads, writes, codec, bar = HOPS[LOADER]
    return Hop(LOADER, reads, writes, Codec(codec), bar)


def is_empty(pipeline, name, count):
    """The broker hears of it after the controller, and takes messages for the old one until then."""
    consumer = Consumer(pipeline.kafka(group_id="penstock-tests"))
    try:
        ends = [consumer.get_watermark_offsets(TopicPartition(name, p), timeout=KAFKA_SECONDS) for p in range(count)]
    except KafkaException:
        return False
    finally:
        consumer.close()
    return all(high == 0 for _, high in ends)


def make_anew(pipeline, topic):
    admin = AdminClient(pipeline.kafka())
    name = pipeline.topic(topic)
    count = len(pipeline.partitions(topic))
    pipeline.delete_topic(topic)
    new = NewTopic(name, count, 1, config={"message.timestamp.type": "LogAppendTime"})

    def created():
        try:
            admin.create_topics([new])[name].result(KAFKA_SECONDS)
        except Exception:  # it is still being deleted
            return False
        return True

    wait_until(created, 30, f"{name} is made anew")
    wait_until(lambda: is_empty(pipeline, name, count), 30, f"the broker has the new {name}")


def test_a_log_that_was_made_anew_is_noticed(pipeline, loader_hop):
    """Its offsets would do; what stands there is something else."""
    loader = pipeline.start(LOADER)
    loader_hop.send(pipeline, range(1, 11))
    loader_hop.wait_done(pipeline, 10)
    loader.stop()
    make_anew(pipeline, loader_hop.reads)
    loader_hop.send(pipeline, range(101, 131))
    loader = pipeline.start(LOADER)
    (line,) = loader.wait_event("partition_stopped")
    assert "another log" in line["message"]
    loader_hop.send(pipeline, range(201, 211), partition=2, symbol="NQH1")
    loader_hop.wait_done(pipeline, 20)
    stopped = "SELECT stopped FROM etl.offsets WHERE topic = %s AND partition = 0"
    assert "another log" in pipeline.value(stopped, pipeline.topic(loader_hop.reads))
    skip(pipeline, loader_hop, 0, 0)
    loader_hop.wait_done(pipeline, 50)
    assert pipeline.value(stopped, pipeline.topic(loader_hop.reads)) == ""


def test_a_last_record_that_expired_is_no_gap(pipeline, loader_hop):
    loader = pipeline.start(LOADER)
    loader_hop.send(pipeline, range(1, 11))
    loader_hop.wait_done(pipeline, 10)
    loader.stop()
    loader_hop.send(pipeline, range(11, 16))
    cut(pipeline, loader_hop.reads, 0, 10)
    loader = pipeline.start(LOADER)
    loader_hop.wait_done(pipeline, 15)
    assert not loader.events("partition_stopped")


def test_another_cluster_is_refused(pipeline, loader_hop):
    loader = pipeline.start(LOADER)
    loader_hop.send(pipeline, range(1, 11))
    loader_hop.wait_done(pipeline, 10)
    loader.stop()
    pipeline.query("UPDATE etl.offsets SET cluster_id = 'another' WHERE partition = 0")
    loader = pipeline.spawn(LOADER)
    assert loader.wait_exit(60) == 4
    assert "belong to Kafka cluster another" in loader.log() and "kafka.bootstrap.servers" in loader.log()


# --- owners that are owners no more -----------------------------------------------------------------------------------
def taken(pipeline, point):
    return list(pipeline.faults.glob(f"{point}.taken.*"))


@pytest.mark.parametrize("point", ["before_begin", "effects_written", "before_commit"])
def test_a_loader_that_wakes_up_too_late_does_nothing(faulty, loader_hop, point):
    """Stopped until its partitions are another's; where it holds locks, they are taken from it."""
    zombie = faulty.start(LOADER)
    zombie.kill()
    zombie = faulty.spawn(LOADER, environment=faulty.breakable)
    zombie.wait_ready()
    (faulty.faults / f"loader.{point}").write_text("stop 0")
    loader_hop.send(faulty, range(1, 101))
    wait_until(lambda: taken(faulty, f"loader.{point}"), 30, f"loader.{point} is passed")
    other = faulty.start(LOADER)
    loader_hop.wait_done(faulty, 100)
    zombie.resume()
    zombie.wait_event("partitions_revoked")
    loader_hop.send(faulty, range(101, 201))
    loader_hop.wait_done(faulty, 200)
    remains(lambda: zombie.running and other.running, 1, "both loaders run")
    rows = faulty.query("SELECT outcome, sum(records)::bigint, mod(sum(mix), 18446744073709551616)::text"
                        " FROM etl.ledger GROUP BY 1")  # fmt: skip
    assert rows == [("inserted", 200, str(mix_sum(range(1, 201))))]


def test_a_stage_that_wakes_up_too_late_does_nothing(faulty, hop):
    if hop.kind == LOADER:
        pytest.skip("has tests of its own")
    zombie = faulty.spawn(hop.kind, environment=faulty.breakable)
    zombie.wait_ready()
    (faulty.faults / f"{hop.kind}.before_commit").write_text("stop 0")
    hop.send(faulty, range(1, 101))
    wait_until(lambda: taken(faulty, f"{hop.kind}.before_commit"), 30, "the point is passed")
    faulty.start(hop.kind, ready=False)
    hop.wait_done(faulty, 100)
    zombie.resume()
    wait_until(lambda: zombie.events("partitions_revoked") or not zombie.running, 30, "it noticed")
    hop.send(faulty, range(101, 201))
    hop.wait_done(faulty, 200)
    assert sorted(hop.done(faulty)) == list(range(1, 201))


def test_a_database_that_was_put_back_under_an_idle_loader(pipeline, loader_hop):
    """What its offsets say now is read again, without a new record to wake anybody up."""
    loader = pipeline.start(LOADER)
    loader_hop.send(pipeline, range(1, 11))
    loader_hop.wait_done(pipeline, 10)
    kept = pipeline.query("SELECT topic, partition, next_offset, epoch FROM etl.offsets")
    loader_hop.send(pipeline, range(11, 31))
    loader_hop.send(pipeline, range(31, 41), partition=3, symbol="NQH1")
    loader_hop.wait_done(pipeline, 40)
    pipeline.query("DELETE FROM ohlcv_data WHERE ts_event > (SELECT ts_event FROM ohlcv_data ORDER BY 1 OFFSET 9 LIMIT 1)")
    pipeline.query("TRUNCATE etl.ledger")
    for topic, partition, offset, epoch in kept:
        pipeline.query(
            "UPDATE etl.offsets SET next_offset = %s, epoch = %s, last_offset = NULL WHERE topic = %s AND partition = %s",
            offset,
            epoch,
            topic,
            partition,
        )
    pipeline.query(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND application_name LIKE 'penstock.loader%%'"
    )
    loader_hop.wait_done(pipeline, 40)
    assert loader.events("store_was_away")

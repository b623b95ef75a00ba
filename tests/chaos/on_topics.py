"""Faults of what is in the topics: records gone unread, topics made anew, messages that nobody of ours wrote."""

import json
import secrets

from confluent_kafka import TopicPartition
from harness.records import Codec, clean_bar, raw_bar

from chaos.fault import SEEN_SECONDS, Fault

ADMIN_SECONDS = 15
READERS = {"etl.raw.ohlcv": "validator", "etl.valid.ohlcv": "transformer", "etl.clean.ohlcv": "loader"}
WHY = "chaos: retention was faster"
STOPPED = 4  # the exit code of who cannot go on


class Gap(Fault):
    """What the answer to a gap is: `penstock offsets skip` for every partition that says it has one."""

    alone = True
    moments = (0.0, 0.4)

    @staticmethod
    def impossible(place):
        known = "offsets skip" in place.pipeline.cli("help").stdout
        return "" if known else "there is no `penstock offsets` yet"

    def __init__(self, name, place, chance):
        super().__init__(name, place, chance)
        self.topic = chance.choice(sorted(READERS))
        self.kind = READERS[self.topic]
        self.answered = []

    def gaps(self):
        """Those that nobody answered yet; the orchestrator looks every few seconds whether one is still there."""
        found = self.place.pipeline.query("SELECT consumer_group, topic, partition, since FROM etl.gaps")
        return [gap for gap in found if gap not in self.answered]

    def skip_all(self):
        """Kafka moves only the offsets of a group without members; the loader's are in the database."""
        if self.gaps() and self.kind != "loader":
            self.place.fleet.hold(self.kind)
        for gap in self.gaps():
            done = self.place.pipeline.cli("offsets", "skip", *gap[:3], "--why", WHY, code=None)
            if done.returncode == 0:
                self.answered.append(gap)
            else:  # a log made anew has grown past the offset; its reader is about to find out that it is another one
                assert "nothing is wrong" in done.stderr, done.stderr
        self.place.fleet.release()

    def noticed(self):
        """Somebody says that records are missing: as a gap, which `status` shows, too."""
        return self.gaps() and self.topic in json.dumps(self.place.pipeline.api.get("/api/etl/status").json())

    def answer(self):
        """Nothing but skipping is asked of anybody: the attempts are fetched again by themselves."""
        fleet = self.place.fleet
        try:
            self.place.wait(self.noticed, SEEN_SECONDS, f"what {self.topic} has lost is noticed")
            self.place.wait(
                lambda: self.skip_all() or self.place.ended(),
                SEEN_SECONDS * 2,
                lambda: f"the run ends after its gaps were skipped, left: {self.gaps()}",
            )
        finally:
            fleet.allowed.clear()


class Expired(Gap):
    """Retention passes records that a stage has not read."""

    def before(self):
        self.place.fleet.allowed[self.kind] = (STOPPED,)

    def inject(self):
        place = self.place
        place.fleet.hold(self.kind)
        topic = place.pipeline.topic(self.topic)
        ends = place.wait(lambda: self.unread(topic), SEEN_SECONDS, f"unread records in {topic}")
        partition, position, end = self.chance.choice(ends)
        gone = TopicPartition(topic, partition, self.chance.randint(position + 1, end))
        for future in place.admin().delete_records([gone]).values():
            future.result(ADMIN_SECONDS)
        place.fleet.release(self.kind)

    def unread(self, topic):
        """(partition, position, end) where the group has something left to read."""
        found = []
        consumer = self.place.consumer()
        try:
            for partition in self.place.pipeline.partitions(self.topic):
                _, end = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=ADMIN_SECONDS)
                position = self.place.position(self.kind, topic, partition)
                if position is not None and end > position + 1:
                    found.append((partition, position, end))
        finally:
            consumer.close()
        return found


class Recreated(Gap):
    """A topic is deleted and made anew under the workers; what was in it is gone."""

    def before(self):
        writers = {"etl.raw.ohlcv": "fetcher", "etl.valid.ohlcv": "validator", "etl.clean.ohlcv": "transformer"}
        for kind in (self.kind, writers[self.topic]):
            self.place.fleet.allowed[kind] = (STOPPED,)

    def booked(self):
        named = "SELECT count(*) FROM etl.expired WHERE topic = %s"
        return self.place.pipeline.value(named, self.place.pipeline.topic(self.topic))

    def noticed(self):
        """Or what is missing is booked: where the groups got a first offset in the new log, nobody has a gap for long."""
        return self.booked() > self.booked_before or super().noticed()

    def inject(self):
        place = self.place
        self.booked_before = self.booked()
        place.admin().delete_topics([place.pipeline.topic(self.topic)])[place.pipeline.topic(self.topic)].result(
            ADMIN_SECONDS
        )
        place.wait(self.made_anew, SEEN_SECONDS, f"{self.topic} is made anew")
        place.fleet.release()

    def made_anew(self):
        """Kafka takes a first offset for a group without members only: where it has some, they are stopped for it."""
        if self.place.pipeline.cli("topics", "apply", code=None).returncode == 0:
            return True
        if self.kind != "loader":
            self.place.fleet.hold(self.kind)
        return False


def no_lineage(codec):
    """A record of ours but for the attempt: 0 is nobody's."""
    record = (raw_bar if codec == "ohlcv" else clean_bar)(0, 0)
    return Codec(codec).encode(record)


class Foreign(Fault):
    """Messages that are not ours, in every topic: each is booked once and stops nothing."""

    moments = (0.0, 0.3)
    topics = {
        "etl.raw.ohlcv": "ohlcv",
        "etl.valid.ohlcv": "ohlcv",
        "etl.clean.ohlcv": "ohlcv_clean",
        "etl.tasks.file": None,
        "etl.dlq": None,
    }
    size_max = 1024 * 1024 - 1024  # of a topic that allows 1 MiB

    def inject(self):
        for topic, codec in self.topics.items():
            self.send(topic, [*self.bodies(codec)])
        self.send_events()

    def send(self, topic, values):
        partitions = self.place.pipeline.partitions(topic)
        messages = [{"value": value, "key": key, "partition": self.chance.choice(partitions)} for key, value in values]
        self.place.pipeline.produce(topic, messages, **{"message_max_bytes": 4_000_000})
        self.place.foreign += [value for _, value in values]

    def bodies(self, codec):
        mark = secrets.token_bytes(12)
        yield b"k", b"no framing " + mark
        yield b"", b"an empty key " + mark
        yield b"k", b"\0\0\0\0\1" + b"\xff" * 12 + mark  # framed; no body that decodes
        yield b"big", b"x" * (self.size_max - len(mark)) + mark
        if codec:
            yield b"k", no_lineage(codec)[:12] + mark
        else:
            yield b"k\0\xff", b"\0\xff\xfe NUL, no UTF-8 " + mark

    def send_events(self):
        """Events are no records: what is not understood is counted and passed over."""
        event = {"attempt": 4711, "task": 1, "run": 1, "state": "done", "fetched": 5, "refused": 0, "skipped": 0}
        event |= {"input_bytes": 1, "worker": "nobody", "ts": 0, "message": ""}
        values = [b"no framing", b"", b"\0\0\0\0\1\xff", Codec("task_event").encode(event)]
        self.place.pipeline.produce("etl.events", [{"key": b"4711", "value": value} for value in values])


class UnknownSchema(Foreign):
    """An id that the registry does not know: waited for, for a while, and then refused."""

    alone = True

    def inject(self):
        for topic in READERS:
            self.send(topic, [(b"k", b"\0\x7f\xff\xff\x01" + secrets.token_bytes(12))])


class Letters(Foreign):
    """Letters as others may write them: NUL, invalid UTF-8, numbers that are none, no headers."""

    def inject(self):
        mark = secrets.token_bytes(12)
        headers = [
            {},
            {"etl.message": b"a\0b\xffc", "etl.attempt": b"not a number", "etl.day": b"2024-13-77"},
            {"etl.class": b"\xff\0", "etl.ordinal": b"-1", "etl.attempt": b"7", "__connect.errors.partition": b"x"},
            {"etl.attempt": b"99999999999999999999", "etl.ordinal": b"1", "etl.replays": b"9" * 30},
        ]
        values = [b"letter %d " % number + mark for number in range(len(headers))]
        messages = [
            {"value": value, "key": b"\0\xff", "partition": self.chance.randrange(3), "headers": each}
            for value, each in zip(values, headers)
        ]
        self.place.pipeline.produce("etl.dlq", messages)
        self.place.foreign += values

"""Three brokers, every topic on all of them; one is killed in a run, and started again when the others have gone on.

Leaders of partitions move, and coordinators of groups and transactions. The next one in the next run, when all is in sync
again. After each every bar is there once.
"""

from dataclasses import dataclass

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from harness.pipeline import KINDS, Pipeline
from harness.servers import Servers, stack

from chaos import scaling
from chaos.supervisor import Fleet

BROKERS = 3
NOBODY = -1
SCALE = dict.fromkeys(KINDS, 2) | {"orchestrator": 1}
BARS = 300_000
FILES = 12
FIRST = 0.05  # share of the run before the kill
GOES_ON = 0.02  # how much of the run is done with two brokers, at least, before the third comes back
BROKER_SECONDS = 5
MOVED_SECONDS = 60
IN_SYNC_SECONDS = 120
RUN_SECONDS = 300
LOOK_SECONDS = 0.2
GONE = (KafkaException, TimeoutError)


class ThreeBrokers(Servers):
    def __init__(self):
        super().__init__(own=True)

    def start(self):
        super().start("--brokers", str(BROKERS))

    def name(self, number):
        return self.place.broker_names()[number - 1]

    def begin_again(self):
        stack(self.folder, "up", "--only", "kafka,postgres", "--throwaway")


@dataclass
class Seen:
    """Of the pipeline's topics, as a broker tells it: partitions by who leads them, and who is in sync."""

    leaders: dict  # (topic, partition): broker
    in_sync: dict  # (topic, partition): brokers
    coordinators: dict  # group: broker


class Round:
    def __init__(self, servers, pipeline, crowd, say):
        self.servers = servers
        self.pipeline = pipeline
        self.crowd = crowd
        self.say = say

    def look(self):
        """None while nobody answers. A client of its own: one whose controller was killed waits for it."""
        groups = [f"{self.pipeline.prefix}penstock.{kind}" for kind in scaling.SCALED]
        try:
            admin = AdminClient(self.pipeline.kafka())
            topics = admin.list_topics(timeout=BROKER_SECONDS).topics
            told = admin.describe_consumer_groups(groups)
            coordinators = {group: told[group].result(BROKER_SECONDS).coordinator.id for group in groups}
        except GONE:
            return None
        partitions = {
            (name, number): partition
            for name, topic in topics.items()
            if name.startswith((self.pipeline.prefix, "__"))
            for number, partition in topic.partitions.items()
        }
        return Seen(
            {place: partition.leader for place, partition in partitions.items()},
            {place: set(partition.isrs) for place, partition in partitions.items()},
            coordinators,
        )

    def wait(self, condition, seconds, what):
        return self.crowd.fleet.wait(condition, seconds, what, LOOK_SECONDS)

    def share(self):
        self.crowd.seen.clear()
        return self.crowd.share("loader")

    def wait_share(self, share):
        self.wait(lambda: self.share() >= share or self.crowd.is_over(), MOVED_SECONDS, lambda: f"progress: {self.share()}")
        assert not self.crowd.is_over(), f"the run was over at {share:.0%}"

    def wait_in_sync(self):
        def are():
            return (seen := self.look()) and all(len(brokers) == BROKERS for brokers in seen.in_sync.values())

        self.wait(are, IN_SYNC_SECONDS, "every broker has everything")

    def has_moved(self, victim):
        seen = self.look()
        return seen and {NOBODY, victim}.isdisjoint({*seen.leaders.values(), *seen.coordinators.values()})

    def kill(self, victim):
        """Until others lead, and the run goes on without it."""
        self.wait_in_sync()
        before = self.look()
        led = [place for place, leader in before.leaders.items() if leader == victim]
        groups = [group for group, broker in before.coordinators.items() if broker == victim]
        assert led, f"broker {victim} leads nothing"
        self.say(
            f"broker {victim}, which leads {len(led)} partitions and {len(groups)} groups, is killed at"
            f" {self.share():.0%} of the run"
        )
        self.servers.kill(self.servers.name(victim))
        self.wait(lambda: self.has_moved(victim), MOVED_SECONDS, f"others lead what broker {victim} has led")
        self.wait_share(self.share() + GOES_ON)
        self.say(f"the run goes on without it: {self.share():.0%}")
        self.servers.begin_again()

    def coordinator_of(self, kind):
        return self.wait(self.look, MOVED_SECONDS, "a broker answers").coordinators[f"{self.pipeline.prefix}penstock.{kind}"]


def play(servers, folder, victims=None, bars=BARS, settings=None, programs=None, say=print):
    """What is wrong after runs in each of which one of these brokers was killed; else that of the validators' group."""
    pipeline = Pipeline(servers, folder, programs)
    try:
        for section, values in (settings or {}).items():
            pipeline.configure(section, **values)
        pipeline.prepare()
        expected = None
        crowd = scaling.Crowd(pipeline, Fleet(pipeline, SCALE, str(folder)), bars, say)
        round_ = Round(servers, pipeline, crowd, say)
        crowd.fleet.start()
        found = []
        for number, victim in enumerate(victims or [round_.coordinator_of("validator")], 1):
            name = f"bars{number}"
            expected = scaling.workload(pipeline, folder, bars, FILES, expected, name, f"20{10 + number}-01-04")
            crowd.run = pipeline.api.start_run([name])
            round_.wait_share(FIRST)
            round_.kill(victim)
            found += scaling.finish(crowd, expected, say, RUN_SECONDS)
        return found + scaling.stop(crowd)
    finally:
        pipeline.close()

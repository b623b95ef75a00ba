"""Where rounds are played: servers behind proxies, a pipeline, its supervised workers, a workload."""

import contextlib
import os
import shutil

import psycopg
import requests
from confluent_kafka import Consumer, ConsumerGroupState, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient
from harness.pipeline import FINAL, Pipeline
from harness.servers import TOP, Servers
from harness.waiting import remains

from chaos import workload
from chaos.kafka_proxy import KafkaProxy
from chaos.proxy import Proxy
from chaos.supervisor import Fleet

SCALE = {"orchestrator": 2, "fetcher": 2, "validator": 2, "transformer": 2, "loader": 2}
WORKLOADS = 6
CALM_SECONDS = 60
PROGRAMS = os.path.join(TOP, "build", "faults", "bin")
BROKER_SECONDS = 10
STANDSTILL_SECONDS = 5
GONE = (requests.ConnectionError, requests.Timeout, psycopg.OperationalError, psycopg.InterfaceError)


class ChaosServers(Servers):
    """Their own ones, as they are killed, cut off and put back; workers reach them through proxies."""

    def __init__(self):
        super().__init__(own=True)
        self.to_kafka = KafkaProxy()
        self.to_postgres = Proxy()

    def start(self):
        super().start("--proxy", str(self.to_kafka.port))
        self.to_kafka.target = self.place.ports["proxied"]
        self.to_postgres.target = self.place.ports["postgres"]

    def proxied_dsn(self, database):
        password = self.postgres.password()
        return f"host=127.0.0.1 port={self.to_postgres.port} dbname={database} user=penstock password={password}"

    def stop(self):
        self.to_kafka.close()
        self.to_postgres.close()
        super().stop()


class Field:
    def __init__(self, servers, folder, seed, settings=None, rounds=0, defects=None):
        """rounds: how many were played elsewhere; defects: see Fleet."""
        self.servers = servers
        self.folder = folder
        self.faults_folder = str(folder / "faults")
        self.seed = seed
        self.foreign = []  # values that were put in and have no lineage
        self.workloads = {}
        self.rounds = rounds
        self.runs = []
        self.kept_admin = None
        folder.mkdir(parents=True, exist_ok=True)
        os.makedirs(self.faults_folder)
        self.pipeline = Pipeline(servers, folder, PROGRAMS)
        self.configure(settings or {})
        self.pipeline.prepare()
        self.fleet = Fleet(self.pipeline, SCALE, self.faults_folder, defects)

    def configure(self, settings):
        """Short sessions, and small batches: many transactions for few records."""
        pipeline = self.pipeline
        dsn = pipeline.secret("dsn.proxied", self.servers.proxied_dsn(pipeline.database))
        pipeline.configure("database", dsn_file=dsn)
        kafka = {"session.timeout.ms": 6000, "heartbeat.interval.ms": 1500}
        pipeline.configure("kafka", **{"bootstrap.servers": f"127.0.0.1:{self.servers.to_kafka.port}"} | kafka)
        pipeline.configure("fetcher", **{"batch.ms": 1, "turn.records": 200})
        pipeline.configure("validator", **{"batch.ms": 20, "batch.records_max": 500})
        pipeline.configure("transformer", **{"batch.ms": 20, "batch.records_max": 500})
        pipeline.configure("loader", **{"batch.ms": 20, "batch.records_max": 500})
        pipeline.configure("orchestrator", poll_ms=50)
        for section, values in settings.items():
            pipeline.configure(section, **values)

    # --- rounds ------------------------------------------------------------------------------------------------------
    def begin(self):
        """An empty table and a workload; everybody is calm."""
        self.rounds += 1
        self.runs = []
        self.fleet.new_round()
        shutil.rmtree(self.faults_folder)
        os.makedirs(self.faults_folder)
        number = self.rounds % WORKLOADS
        if number not in self.workloads:
            folder = self.folder / f"data{number}"
            self.workloads[number] = workload.make(self.pipeline, folder, self.seed * WORKLOADS + number)
        self.workload = self.workloads[number]
        self.pipeline.subscribe("bars", self.workload.pattern)
        self.pipeline.query("TRUNCATE ohlcv_data")

    def start_run(self):
        """The API may be away for a moment: an orchestrator was killed."""

        def step():
            try:
                return self.pipeline.api.start_run()
            except (*GONE, AssertionError):
                return None

        self.runs.append(self.fleet.wait(step, CALM_SECONDS, "a run can be started"))
        return self.runs[-1]

    def wait(self, condition, seconds, what):
        return self.fleet.wait(condition, seconds, what)

    def let_pass(self, seconds):
        """A disturbance's own duration, where there is no event that ends it."""
        remains(lambda: self.fleet.tend() or True, seconds, "")

    def ask(self, statement, *parameters):
        """The first value; None also while the database is away."""
        try:
            return self.pipeline.value(statement, *parameters)
        except GONE:
            if kept := self.pipeline.connections.pop("autocommit", None):
                kept.close()
            return None

    def status(self, run):
        return self.ask("SELECT status FROM etl.runs WHERE run = %s", run)

    def ended(self):
        return self.status(self.runs[-1]) in FINAL

    def stands_wrong(self):
        """Something was found that does not go away by waiting."""
        return self.ask("SELECT count(*) FROM etl.alarms WHERE name NOT IN ('attempt_silent', 'attempt_stalled')") or 0

    def progress(self):
        """Of the run: the share of its records that are accounted."""
        accounted = self.ask(
            "SELECT coalesce(sum(l.records), 0)::bigint FROM etl.attempts a JOIN etl.ledger l USING (attempt)"
            " WHERE a.run = %s",
            self.runs[-1],
        )
        return (accounted or 0) / self.workload.records

    def wait_progress(self, share, seconds=CALM_SECONDS):
        self.wait(lambda: self.progress() >= share or self.ended(), seconds, lambda: f"progress: {self.progress()}")

    def come_to(self, share):
        """Progress, or a standstill: an earlier fault may let nothing pass."""
        with contextlib.suppress(AssertionError):
            self.wait_progress(share, STANDSTILL_SECONDS)

    def keep_busy(self, condition, seconds, what):
        """Waits; a run that ends meanwhile is followed by another one of the same files."""

        def step():
            if value := condition():
                return value
            if self.ended():
                self.start_run()
            return None

        return self.wait(step, seconds, what)

    # --- the servers as an operator sees them ------------------------------------------------------------------------
    def admin(self):
        if self.kept_admin is None:
            self.kept_admin = AdminClient(self.pipeline.kafka())
        return self.kept_admin

    def ask_broker(self, call):
        """None while it does not answer; then a new client has better chances."""
        try:
            return call(self.admin())
        except (KafkaException, TimeoutError):
            self.kept_admin = None
            return None

    def group_members(self, kind):
        """How many the group of a kind has, once it is settled; None while it is not."""
        group = f"{self.pipeline.prefix}penstock.{kind}"
        found = self.ask_broker(lambda admin: admin.describe_consumer_groups([group])[group].result(BROKER_SECONDS))
        if found is None or (found.members and found.state != ConsumerGroupState.STABLE):
            return None
        return len(found.members)

    def consumer(self):
        return Consumer(self.pipeline.kafka(group_id="penstock-chaos", enable_auto_commit=False))

    def position(self, kind, topic, partition):
        """What the group of a kind reads next."""
        group = f"{self.pipeline.prefix}penstock.{kind}"
        if kind == "loader":
            return self.ask(
                "SELECT next_offset FROM etl.offsets WHERE consumer_group = %s AND topic = %s AND partition = %s",
                group,
                topic,
                partition,
            )
        consumer = Consumer(self.pipeline.kafka(group_id=group, enable_auto_commit=False))
        try:
            return consumer.committed([TopicPartition(topic, partition)], timeout=BROKER_SECONDS)[0].offset
        finally:
            consumer.close()

    def restart(self, name, how="TERM"):
        for connection in self.pipeline.connections.values():
            connection.close()
        self.servers.restart(name, how)

    def close(self):
        try:
            self.fleet.stop()
        finally:
            self.pipeline.close()

"""One pipeline of its own on the session's servers: a topic prefix, a database, a configuration, its programs.

pipeline.prepare()
pipeline.subscribe("bars", path)
pipeline.start_all()
run = pipeline.run()
assert pipeline.value("SELECT count(*) FROM ohlcv_data") == run["inserted"]
"""

import json
import os
import secrets
import subprocess
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import psycopg
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource

from harness import timescale
from harness.api import Api
from harness.servers import TOP
from harness.waiting import POLL_SECONDS, patient, wait_until
from harness.worker import Worker

KINDS = ("orchestrator", "fetcher", "validator", "transformer", "loader")
RUN_SECONDS = 60
CLI_SECONDS = 60
KAFKA_SECONDS = 15
SHORT_SESSIONS = {"session.timeout.ms": 2000, "heartbeat.interval.ms": 500, "transaction.timeout.ms": 3000}
FETCH_WAIT_MS = 10  # how long the broker keeps a reader at a partition's end waiting; by default 500
PREPARE_SECONDS = 60
AGAIN = 3  # a program's exit code: start me again later
FINAL = ("success", "failed")


class Pipeline:
    def __init__(self, servers, folder, program_folder=None, database=True, plain=False):
        """database: whether there is one, be it empty; without one there are no topics either. plain: never hypertables."""
        self.servers = servers
        self.folder = str(folder)
        self.programs = program_folder or os.environ.get("PENSTOCK_BIN") or os.path.join(TOP, "build", "bin")
        self.database = servers.unique("test")
        self.prefix = f"{self.database}."
        self.api_port = servers.free_port()
        self.token = secrets.token_urlsafe(16)
        self.config_path = os.path.join(self.folder, "penstock.yaml")
        self.subscriptions_path = os.path.join(self.folder, "subscriptions.yaml")
        self.settings = {}
        self.variables = {}  # of its programs' environment
        self.subscriptions = []
        self.workers = []
        self.started = dict.fromkeys(KINDS, 0)
        self.connections = {}
        self.api = Api(f"http://127.0.0.1:{self.api_port}", self.token)
        self.has_database = database
        self.plain = plain
        if database:
            servers.create_database(self.database)
        self.write_config()
        self.write_subscriptions()

    # --- configuration -----------------------------------------------------------------------------------------------
    def write_config(self):
        """As JSON, which is YAML. self.settings are merged over it by section."""
        config = {
            "kafka": {"bootstrap.servers": self.servers.kafka},
            "topics": {"prefix": self.prefix, "replication_factor": self.servers.place.brokers},
            "database": {"dsn_file": self.secret("dsn", self.servers.dsn(self.database))},
            "api": {"url": self.api.url, "token_file": self.secret("token", self.token)},
            "orchestrator": {"http": {"port": self.api_port}, "subscriptions": self.subscriptions_path},
        }
        for section, values in self.settings.items():
            config[section] = config.get(section, {}) | values
        with open(self.config_path, "w") as file:
            json.dump(config, file, indent=1)

    def secret(self, name, text):
        path = os.path.join(self.folder, name)
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(text + "\n")
        return path

    def configure(self, section, **values):
        """For programs started from now on."""
        self.settings[section] = self.settings.get(section, {}) | values
        self.write_config()

    def shorten_sessions(self):
        """Who dies, or is stopped, is missed soon, and what it had begun is given up; the brokers here allow it."""
        self.configure("kafka", **SHORT_SESSIONS)

    def subscribe(self, name, path, **more):
        """A subscription to files; `path` may be a glob or a list of them. Replaces one of the same name.

        The records alone, so that their count is known; with symbol_mappings="true" those of the metadata, too.
        """
        paths = [str(each) for each in path] if isinstance(path, (list, tuple)) else str(path)
        entry = {"name": name, "source": "file", "path": paths, "symbol_mappings": "false"} | more
        self.subscriptions = [each for each in self.subscriptions if each["name"] != name] + [entry]
        self.write_subscriptions()

    def write_subscriptions(self):
        new = self.subscriptions_path + ".new"
        with open(new, "w") as file:
            json.dump({"subscriptions": self.subscriptions}, file, indent=1)
        os.replace(new, self.subscriptions_path)

    def environment(self):
        foreign = ("PENSTOCK_", "PG")
        return {k: v for k, v in os.environ.items() if not k.startswith(foreign)} | {
            "PENSTOCK_CONFIG": self.config_path
        } | self.variables

    # --- programs ----------------------------------------------------------------------------------------------------
    def program(self, name):
        return os.path.join(self.programs, name)

    def cli(self, *arguments, code=0, seconds=CLI_SECONDS):
        """Runs `penstock ARGUMENTS` and checks its exit code (None: any)."""
        done = subprocess.run(
            [self.program("penstock"), *map(str, arguments)],
            env=self.environment(),
            cwd=self.folder,
            text=True,
            capture_output=True,
            stdin=subprocess.DEVNULL,
            timeout=patient(seconds),
        )
        if code is not None:
            said = f"penstock {' '.join(map(str, arguments))}: exit code {done.returncode}\n{done.stdout}{done.stderr}"
            assert done.returncode == code, said
        return done

    def background(self, *arguments):
        """`penstock ARGUMENTS` as a process that is not waited for; its communicate() gives what it said."""
        return subprocess.Popen(
            [self.program("penstock"), *map(str, arguments)],
            env=self.environment(),
            cwd=self.folder,
            text=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def cli_json(self, *arguments, **options):
        return json.loads(self.cli(*arguments, "--json", **options).stdout)

    def prepare(self):
        """Topics and tables, both at once."""
        with ThreadPoolExecutor() as pool:
            both = [pool.submit(self.apply_topics), pool.submit(self.insist, "db", "migrate")]
        for each in both:
            each.result()
        if timescale.everywhere() and not self.plain:
            self.insist("db", "timescale", "apply")
        return self

    def apply_topics(self):
        """Until they stand: topics are made before everybody is told of them. What the command said, as lines."""
        lines = self.insist("topics", "apply")
        topics = {line.split()[1].rstrip(":") for line in lines if line.startswith("topic ")}
        admin = AdminClient(self.kafka())
        wait_until(
            lambda: topics <= set(admin.list_topics(timeout=KAFKA_SECONDS).topics), PREPARE_SECONDS, f"{topics} stand"
        )
        return lines

    def insist(self, *words):
        """A command whose exit code 3 says: once more. What it said, all times together, as lines."""
        ran = []

        def ended():
            ran.append(self.cli(*words, code=None))
            return ran[-1].returncode != AGAIN

        wait_until(ended, PREPARE_SECONDS, f"penstock {' '.join(words)} does not ask to be started again")
        assert ran[-1].returncode == 0, ran[-1].stdout + ran[-1].stderr
        return [line for each in ran for line in each.stdout.splitlines()]

    def spawn(self, kind, *arguments, environment=None):
        """One worker, not waited for: for those that should end by themselves."""
        self.started[kind] += 1
        number = self.started[kind]
        extra = ("--set", "http.port=0") if kind == "orchestrator" and number > 1 else ()
        argv = [self.program("penstock-" + kind), "--config", self.config_path, *extra, *arguments]
        worker = Worker(kind, f"{kind}-{number}", argv, self.environment() | (environment or {}), self.folder)
        self.workers.append(worker)
        return worker

    def start(self, kind, count=1, ready=True, settings=None):
        """One worker, or a list of `count`, of a kind; settings: {"batch.ms": 20} is `--set batch.ms=20`."""
        arguments = [word for key, value in (settings or {}).items() for word in ("--set", f"{key}={value}")]
        workers = [self.spawn(kind, *arguments) for _ in range(count)]
        for worker in workers if ready else []:
            worker.wait_ready()
        return workers[0] if count == 1 else workers

    def start_all(self, each=1, kinds=KINDS):
        """One orchestrator and `each` of every other kind, ready."""
        begun = [self.spawn(kind) for kind in kinds for _ in range(1 if kind == "orchestrator" else each)]
        for worker in begun:
            worker.wait_ready()
        return self

    def of(self, kind):
        return [worker for worker in self.workers if worker.kind == kind]

    def stop_all(self):
        for worker in self.workers:
            if worker.running:
                worker.process.terminate()
        for worker in self.workers:
            worker.wait_exit()

    # --- runs --------------------------------------------------------------------------------------------------------
    def run(self, subscriptions=None, seconds=RUN_SECONDS, **switches):
        """A full run, followed to its end; the run as the API shows it."""
        return self.wait_run(self.api.start_run(subscriptions, **switches), seconds)

    def wait_run(self, run, seconds=RUN_SECONDS, until=FINAL, every=POLL_SECONDS):
        return wait_until(
            lambda: (shown := self.api.run(run))["status"] in until and shown,
            seconds,
            lambda: f"run {run} is one of {until}: {json.dumps(self.api.run(run), indent=1)}",
            every,
        )

    # --- the database ------------------------------------------------------------------------------------------------
    def connect(self, **options):
        return psycopg.connect(self.servers.dsn(self.database), **options)

    def query(self, statement, *parameters):
        """All rows. Each call sees what is committed by now."""
        if "autocommit" not in self.connections or self.connections["autocommit"].closed:
            self.connections["autocommit"] = self.connect(autocommit=True)
        cursor = self.connections["autocommit"].execute(statement, parameters or None)
        return cursor.fetchall() if cursor.description else []

    def value(self, statement, *parameters):
        rows = self.query(statement, *parameters)
        return rows[0][0] if rows else None

    def wait_blocked(self, count=1):
        """So many sessions of this database wait for a lock that another one has."""
        waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        wait_until(lambda: self.value(waiting) >= count, 30, f"{count} sessions wait for a lock")

    # --- topics ------------------------------------------------------------------------------------------------------
    def topic(self, name):
        return self.prefix + name

    def kafka(self, **more):
        return {"bootstrap.servers": self.servers.kafka} | {key.replace("_", "."): value for key, value in more.items()}

    def partitions(self, topic, client=None):
        metadata = (client or AdminClient(self.kafka())).list_topics(self.topic(topic), timeout=KAFKA_SECONDS)
        return sorted(metadata.topics[self.topic(topic)].partitions)

    def read(self, topic, isolation="read_committed", seconds=KAFKA_SECONDS):
        """Every message that stands in a topic now, by partition and offset; uncommitted ones only where asked for."""
        consumer = Consumer(
            self.kafka(
                group_id="penstock-tests",
                enable_auto_commit=False,
                isolation_level=isolation,
                enable_partition_eof=True,
                fetch_wait_max_ms=FETCH_WAIT_MS,
            )
        )
        try:
            # Asked with the consumer: one that does not know the topic yet waits half a second before it begins.
            waiting = set(self.partitions(topic, consumer))
            consumer.assign([TopicPartition(self.topic(topic), each, OFFSET_BEGINNING) for each in waiting])
            messages = []

            def take(found):
                for message in found:
                    if not message.error():
                        messages.append(message)
                    elif message.error().name() == "_PARTITION_EOF":
                        waiting.discard(message.partition())
                    else:
                        raise KafkaException(message.error())

            def step():
                while waiting and (first := consumer.poll(0.1)):
                    take([first, *consumer.consume(10_000, timeout=0)])
                return not waiting

            wait_until(step, seconds, lambda: f"the end of {topic}, partitions {sorted(waiting)}")
        finally:
            consumer.close()
        return sorted(messages, key=lambda message: (message.partition(), message.offset()))

    def wait_messages(self, topic, count, seconds=KAFKA_SECONDS):
        return wait_until(
            lambda: len(found := self.read(topic)) >= count and found, seconds, f"{count} messages in {topic}"
        )

    def produce(self, topic, messages, **more):
        """messages: dicts of Producer.produce's arguments (value, key, partition, headers), acknowledged on return."""
        producer = Producer(self.kafka(acks="all", **more))
        failures = []
        for message in messages:
            producer.produce(
                self.topic(topic), on_delivery=lambda error, _: error and failures.append(error), **message
            )
            producer.poll(0)
        assert producer.flush(KAFKA_SECONDS) == 0, f"messages to {topic} were not acknowledged"
        assert not failures, failures

    def limit_messages(self, topic, size):
        """max.message.bytes; the broker takes a change before it goes by it."""
        change = ConfigEntry("max.message.bytes", str(size), incremental_operation=AlterConfigOpType.SET)
        resource = ConfigResource("topic", self.topic(topic), incremental_configs=[change])
        admin = AdminClient(self.kafka())
        admin.incremental_alter_configs([resource])[resource].result(KAFKA_SECONDS)

        def known():
            asked = ConfigResource("topic", self.topic(topic))
            return admin.describe_configs([asked])[asked].result(KAFKA_SECONDS)[change.name].value == str(size)

        wait_until(known, KAFKA_SECONDS, f"messages of {topic} are limited to {size} bytes")

    def delete_topic(self, topic):
        """The controller says "deleted" before the broker, which may still take a record that then is gone with it."""
        admin, name = AdminClient(self.kafka()), self.topic(topic)
        admin.delete_topics([name])[name].result(KAFKA_SECONDS)
        wait_until(lambda: name not in admin.list_topics(timeout=KAFKA_SECONDS).topics, 30, f"{name} is gone")

    def headers(self, message):
        """A message's headers as text; of a repeated one the last."""
        return {key: value.decode() if value is not None else None for key, value in message.headers() or []}

    # --- the end -----------------------------------------------------------------------------------------------------
    def logs(self):
        return [(worker.name, worker.tail()) for worker in self.workers]

    def close(self):
        for worker in self.workers:
            worker.kill()
        for connection in self.connections.values():
            connection.close()
        if not self.has_database:
            return
        self.servers.drop_database(self.database)
        admin = AdminClient(self.kafka())
        names = [name for name in admin.list_topics(timeout=KAFKA_SECONDS).topics if name.startswith(self.prefix)]
        for future in (admin.delete_topics(names) if names else {}).values():
            future.result(KAFKA_SECONDS)


@contextmanager
def making(servers, request, folders):
    """make(options) as often as a test needs a pipeline; all are closed at its end. folders: tmp_path_factory."""
    request.node.pipelines = []

    def make(**options):
        pipeline = Pipeline(servers, folders.mktemp("pipeline"), **options)
        request.node.pipelines.append(pipeline)
        return pipeline

    yield make
    for pipeline in request.node.pipelines:
        pipeline.close()

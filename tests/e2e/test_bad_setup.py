"""A wrong set-up: said clearly, with the name and the place; nothing lost, no crash loop, no secret told."""

import json
import os
import subprocess

import pytest
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, NewPartitions, NewTopic
from harness.pipeline import AGAIN, CLI_SECONDS, KAFKA_SECONDS, KINDS
from harness.waiting import patient, remains, wait_until
from harness.worker import STOP_SECONDS, Worker
from test_thread import simulate

WRONG = 2  # wrong arguments or configuration
NEVER = 4  # do not start me again before someone looked
STAGES = tuple(kind for kind in KINDS if kind != "orchestrator")
WITH_DATABASE = ("loader", "orchestrator")
RUN_SECONDS = 60
REFUSAL_SECONDS = 40


def call(pipeline, kind, *arguments, env=None, seconds=CLI_SECONDS):
    """A worker that should end by itself."""
    return subprocess.run(
        [pipeline.program("penstock-" + kind), *map(str, arguments)],
        env=pipeline.environment() | (env or {}),
        cwd=pipeline.folder,
        text=True,
        capture_output=True,
        stdin=subprocess.DEVNULL,
        timeout=patient(seconds),
    )


def write(pipeline, text, name="other.yaml"):
    path = os.path.join(pipeline.folder, name)
    with open(path, "w") as file:
        file.write(text)
    return path


@pytest.fixture
def bare(make_pipeline):
    """A configuration; neither topics nor tables."""
    return make_pipeline()


@pytest.fixture
def written(make_pipeline):
    """A configuration; of what it names nothing is asked."""
    return make_pipeline(database=False)


# --- the configuration file ----------------------------------------------------------------------------------------

BAD_FILES = {
    "unknown section": ("kafka:\n  bootstrap.servers: x\nnonsense:\n  a: 1\n", 4, "nonsense.a"),
    "unknown key": ("kafka:\n  bootstrap.servers: x\ntopics:\n  prefixes: 1\n", 4, "topics.prefixes"),
    "unknown key of a binary": ("{kind}:\n  nonsense: 1\n", 2, "nonsense"),
    "out of range": ("http:\n  port: 70000\n", 2, "http.port: 70000 is not between 0 and 65535"),
    "no number": ("http:\n  port: many\n", 2, "http.port: 'many' is not a whole number"),
    "a list": ("http:\n  port: [1, 2]\n", 2, "http.port takes a single value"),
    "bad YAML": ("kafka:\n  a: [1\nhttp: {}\n", 3, ""),
    "a tab": ("kafka:\n\ta: 1\n", 2, ""),
    "a scalar": ("just words\n", 1, "sections"),
    "two documents": ("http:\n  port: 0\n---\nhttp:\n  port: 1\n", 4, "second document"),
    "a key twice": ("http:\n  port: 0\n  port: 1\n", 3, "port"),
    "unknown to librdkafka": ("kafka:\n  client.id: me\n  nonsense.ms: 1\n", 3, "kafka.nonsense.ms"),
    "refused by librdkafka": ("kafka:\n  sasl:\n    mechanisms: PLAIN\n  linger.ms: soon\n", 4, "kafka.linger.ms"),
}


@pytest.mark.parametrize("case", BAD_FILES)
def test_a_wrong_file_is_named_with_its_line(written, case):
    text, line, names = BAD_FILES[case]
    for kind in KINDS if case == "unknown key of a binary" else ("loader", "orchestrator"):
        path = write(written, text.replace("{kind}", kind))
        done = call(written, kind, "--config", path)
        assert done.returncode == WRONG, done.stderr
        assert f"{path}:{line}" in done.stderr and names in done.stderr, done.stderr
        assert len(done.stderr.splitlines()) == 1 and done.stdout == ""
    if case != "unknown key of a binary":
        assert f"{path}:{line}" in written.cli("status", "--config", path, code=WRONG).stderr


def test_a_file_that_is_not_there_is_named(written):
    for kind in KINDS:
        done = call(written, kind, "--config", "nowhere.yaml")
        assert (done.returncode, "nowhere.yaml" in done.stderr) == (WRONG, True)


def test_other_binaries_keys_are_no_error(written):
    path = write(written, "loader: {batch.ms: 50}\ndatabase: {dsn: dbname=x}\nfetcher: {batch.ms: 30}\n")
    for kind in KINDS:
        assert call(written, kind, "--config", path, "--check").returncode == 0
    shown = call(written, "loader", "--config", path, "--show-config").stdout
    assert settings(shown)["batch.ms"] == ("50", f"{path}:1")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("assignment", "names"),
    [
        ("nonsense=1", "'nonsense'"),
        ("http.port", "KEY=VALUE"),
        ("http.port=-1", "http.port: -1 is not between 0 and 65535"),
        ("http.port=99999999999999999999", "http.port"),
        ("http.port=", "http.port"),
    ],
)
def test_a_wrong_set_is_named(written, kind, assignment, names):
    done = call(written, kind, "--set", assignment)
    assert (done.returncode, names in done.stderr) == (WRONG, True), done.stderr


def test_a_wrong_log_level_is_named(written):
    done = call(written, "loader", "--set", "log.level=loud")
    assert (done.returncode, "log.level" in done.stderr) == (WRONG, True)


# --- the environment -----------------------------------------------------------------------------------------------


def settings(shown):
    """--show-config as key to (value, where it came from)."""
    found = {}
    for line in shown.splitlines():
        text, where = line.split(" # ", 1)
        key, *value = text.split(None, 1)
        found[key] = (value[0].strip() if value else "", where)
    return found


def test_the_environment_is_seen_with_its_origin(written):
    env = {
        "PENSTOCK_LOADER_BATCH_RECORDS_MAX": "123",
        "PENSTOCK_HTTP_BIND": "127.0.0.2",
        "PENSTOCK_NONSENSE": "1",
        "PENSTOCK_LOADER_NONSENSE": "1",
        "PENSTOCK_KAFKA_CLIENT_ID": "me",
    }
    done = call(written, "loader", "--show-config", env=env)
    assert done.returncode == 0 and "NONSENSE" not in done.stdout.upper()
    shown = settings(done.stdout)
    assert shown["batch.records_max"] == ("123", "PENSTOCK_LOADER_BATCH_RECORDS_MAX")
    assert shown["http.bind"] == ("127.0.0.2", "PENSTOCK_HTTP_BIND")
    assert shown["kafka.client.id"][0] == "me"
    assert shown["batch.ms"][1] == "default"
    where, line = shown["topics.prefix"][1].rsplit(":", 1)
    with open(where) as file:
        assert where == written.config_path and written.prefix in file.read().splitlines()[int(line) - 1]
    over = call(written, "loader", "--show-config", "--set", "batch.records_max=9", env=env)
    assert settings(over.stdout)["batch.records_max"] == ("9", "--set")


def test_a_wrong_value_in_the_environment_is_named(written):
    done = call(written, "loader", env={"PENSTOCK_LOADER_BATCH_RECORDS_MAX": "0"})
    assert done.returncode == WRONG
    assert "PENSTOCK_LOADER_BATCH_RECORDS_MAX" in done.stderr and "between 1 and 1000000" in done.stderr


def test_the_environment_works(pipeline, tmp_path):
    """Batches of one record each: as many batches as records."""
    simulate(pipeline, tmp_path, bars=30)
    pipeline.subscribe("bars", tmp_path / "bars.dbn.zst")
    pipeline.start_all(kinds=[kind for kind in KINDS if kind != "loader"])
    argv = [pipeline.program("penstock-loader")]
    env = pipeline.environment() | {"PENSTOCK_LOADER_BATCH_RECORDS_MAX": "1"}
    loader = Worker("loader", "loader-env", argv, env, pipeline.folder)
    pipeline.workers.append(loader)
    loader.wait_ready()
    assert pipeline.run()["inserted"] == 30
    assert loader.metrics()["penstock_batches_total"] == 30


# --- secrets -------------------------------------------------------------------------------------------------------


def test_secrets_are_masked(written):
    env = {
        "PENSTOCK_API_TOKEN": "hush-token",
        "PENSTOCK_DATABASE_DSN": "host=nowhere password=hush-dsn",
        "PENSTOCK_KAFKA_SASL_PASSWORD": "hush-sasl",
        "PENSTOCK_KAFKA_SSL_KEY_PASSWORD": "hush-key",
        "PENSTOCK_KAFKA_SSL_KEY_PEM": "hush-pem",
        "PENSTOCK_KAFKA_SASL_OAUTHBEARER_CONFIG": "hush-config",
    }
    for kind in KINDS:
        done = call(written, kind, "--show-config", env=env)
        assert done.returncode == 0 and "hush" not in done.stdout + done.stderr
        shown = settings(done.stdout)
        assert shown["api.token"] == ("********", "PENSTOCK_API_TOKEN")
        assert shown["kafka.sasl.password"][0] == shown["kafka.ssl.key.pem"][0] == "********"
    assert "hush" not in call(written, "loader", "--help", "--check", env=env).stdout


def test_secrets_come_from_files(written):
    token = written.secret("other-token", "hush")
    done = call(written, "orchestrator", "--show-config", env={"PENSTOCK_API_TOKEN_FILE": token})
    assert settings(done.stdout)["api.token"] == ("********", "PENSTOCK_API_TOKEN_FILE")
    done = call(written, "orchestrator", env={"PENSTOCK_API_TOKEN_FILE": "nowhere"})
    assert done.returncode == WRONG and "nowhere: No such file" in done.stderr
    assert "PENSTOCK_API_TOKEN_FILE" in done.stderr or "api.token_file" in done.stderr
    done = call(written, "orchestrator", env={"PENSTOCK_API_TOKEN_FILE": os.devnull})
    assert done.returncode == WRONG and f"{os.devnull}: empty" in done.stderr


def test_the_token_of_a_file_is_the_token(pipeline):
    path = pipeline.secret("other-token", "sesame")
    pipeline.spawn("orchestrator", "--set", f"api.token_file={path}").wait_ready()
    assert pipeline.api.get("/api/etl/status").status_code == 401
    answer = pipeline.api.anonymous("GET", "/api/etl/status", headers={"Authorization": "Bearer sesame"})
    assert answer.status_code == 200


def test_an_orchestrator_without_a_token_says_how(written):
    done = call(written, "orchestrator", "--set", "api.token=")
    assert done.returncode == WRONG and "api.token" in done.stderr and "PENSTOCK_API_TOKEN" in done.stderr


def test_the_wrong_token_is_said(pipeline):
    pipeline.start("orchestrator")
    done = pipeline.cli("status", "--set", f"api.token_file={pipeline.secret('wrong', 'hush')}", code=None)
    assert done.returncode not in (0, 1) and "does not take this token" in done.stderr and "hush" not in done.stderr


def test_a_connection_string_that_is_none_is_not_repeated(pipeline):
    """Most likely it is the password itself. Trying again cannot help."""
    env = {"PENSTOCK_DATABASE_DSN": "hush"}
    done = [call(pipeline, kind, env=env, seconds=20) for kind in WITH_DATABASE]
    argv = [pipeline.program("penstock"), "db", "migrate"]
    env = pipeline.environment() | env
    done.append(subprocess.run(argv, env=env, cwd=pipeline.folder, text=True, capture_output=True, timeout=patient(20)))
    for each in done:
        assert each.returncode == NEVER, each.stderr
        assert "database.dsn" in each.stderr and "hush" not in each.stderr


def test_no_secret_in_logs_nor_command_lines(pipeline, tmp_path):
    """The finest log, a good run, a failed one, a refused request."""
    simulate(pipeline, tmp_path, bars=100, broken=13)
    pipeline.subscribe("bars", tmp_path / "bars.dbn.zst")
    pipeline.subscribe("missing", tmp_path / "missing.dbn")
    dsn = pipeline.servers.dsn(pipeline.database) + " password=hush-dsn"
    pipeline.configure("database", dsn_file=pipeline.secret("dsn", dsn))
    pipeline.configure("log", level="debug")
    pipeline.start_all()
    pipeline.run()
    pipeline.api.anonymous("GET", "/api/etl/status", headers={"Authorization": "Bearer hush-guess"})
    for worker in pipeline.workers:
        with open(f"/proc/{worker.pid}/cmdline", "rb") as file:
            line = file.read().decode()
        for secret in (pipeline.token, "hush"):
            assert secret not in line and secret not in worker.log(), worker.name
    pipeline.stop_all()
    for worker in pipeline.workers:
        assert pipeline.token not in worker.log() and "hush" not in worker.log(), worker.name


# --- ports ---------------------------------------------------------------------------------------------------------


def test_a_port_in_use_is_named(pipeline):
    pipeline.start("orchestrator")
    loader = call(pipeline, "loader", "--set", f"http.port={pipeline.api_port}", seconds=20)
    second = call(pipeline, "orchestrator", seconds=20)
    for done in (loader, second):
        assert done.returncode == NEVER
        assert f"127.0.0.1:{pipeline.api_port}" in done.stderr and "Address already in use" in done.stderr
        assert "http.port" in done.stderr
    wait_until(lambda: pipeline.api.anonymous("GET", "/health").ok, 20, "the first one works on")


@pytest.mark.parametrize("address", ["localhost", "::1", "999.1.1.1", "192.0.2.1"])
def test_an_address_that_cannot_be_bound_is_named(written, address):
    done = call(written, "loader", "--set", f"http.bind={address}", seconds=20)
    assert done.returncode == NEVER and address in done.stderr and "http." in done.stderr


# --- nobody there --------------------------------------------------------------------------------------------------


def ends_or_waits(worker, *names):
    """It waits, is not ready and says for what, or asks to be started again; in both cases its log names it."""
    wait_until(
        lambda: all(name in worker.log() for name in names) or not worker.running,
        40,
        lambda: f"{names} in the log of {worker.name}:\n{worker.tail()}",
    )
    assert all(name in worker.log() for name in names), worker.tail()
    if worker.running:
        assert worker.get("/healthz").status_code == 200 and not worker.is_ready()
    else:
        assert worker.process.returncode == AGAIN, worker.tail()


@pytest.fixture
def nowhere(servers):
    """Where no broker is."""
    return f"127.0.0.1:{servers.free_port()}"


def test_stages_without_a_broker_say_where_they_look_and_stop_when_told(pipeline, nowhere):
    workers = [pipeline.spawn(kind, "--set", f"kafka.bootstrap.servers={nowhere}") for kind in STAGES]
    for worker in workers:
        ends_or_waits(worker, nowhere)
    for worker in workers:
        if worker.running:
            worker.process.terminate()
            assert worker.wait_exit(STOP_SECONDS) == 0, worker.tail()
            assert worker.events("stopped")


def test_an_orchestrator_without_a_broker_goes_on_and_says_so(pipeline, nowhere):
    worker = pipeline.start("orchestrator", settings={"kafka.bootstrap.servers": nowhere})
    wait_until(lambda: nowhere in worker.log(), 20, lambda: f"it says who does not answer:\n{worker.tail()}")
    wait_until(lambda: pipeline.api.anonymous("GET", "/health").status_code == 503, 20, "degraded")
    assert pipeline.api.anonymous("GET", "/health").json()["kafka"] == "disconnected"
    assert any("kafka" in alarm for alarm in pipeline.api.get("/api/etl/status").json()["alarms"])
    assert "kafka" in pipeline.cli("status", code=1).stdout
    assert worker.stop(STOP_SECONDS) in (0, 3)  # 3: within a call to the broker, which nobody can end


def test_commands_without_a_broker_say_so(pipeline, nowhere):
    """All at once: each waits for an answer for a while."""
    commands = [("topics", "apply"), ("topics", "check"), ("cat", "etl.dlq")]
    begun = [
        subprocess.Popen(
            [pipeline.program("penstock"), *words, "--set", f"kafka.bootstrap.servers={nowhere}"],
            env=pipeline.environment(),
            cwd=pipeline.folder,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        for words in commands
    ]
    for process in begun:
        out, said = process.communicate(timeout=CLI_SECONDS)
        assert (process.returncode, out) == (AGAIN, "") and "kafka.bootstrap.servers" in said, said


def test_a_key_that_librdkafka_does_not_know_is_named(bare):
    for kind in KINDS:
        for check in ([], ["--check"]):
            done = call(bare, kind, "--set", "kafka.nonsense.ms=1", *check)
            assert done.returncode == WRONG and "--set: kafka.nonsense.ms" in done.stderr, done.stderr
    done = call(bare, "loader", "--check", env={"PENSTOCK_KAFKA_NONSENSE_MS": "1"})
    assert done.returncode == WRONG and "PENSTOCK_KAFKA_NONSENSE_MS: kafka.nonsense.ms" in done.stderr, done.stderr


def test_a_consumers_key_is_no_warning_of_producers(pipeline):
    """Nor the other way round; both are obeyed."""
    keys = {"kafka.session.timeout.ms": 12_000, "kafka.linger.ms": 3, "kafka.acks": "all", "kafka.check.crcs": "true"}
    for kind in KINDS:
        worker = pipeline.start(kind, settings=keys)
        said = [line for line in worker.events("kafka_client") if "property" in line["message"]]
        assert said == []
        assert worker.stop() == 0


@pytest.mark.parametrize("kind", WITH_DATABASE)
def test_without_a_database(pipeline, kind):
    port = pipeline.servers.free_port()
    worker = pipeline.spawn(kind, "--set", f"database.dsn=host=127.0.0.1 port={port} dbname=x user=x")
    ends_or_waits(worker, "database", str(port))
    if kind == "orchestrator":
        answer = pipeline.api.anonymous("GET", "/health")
        assert answer.status_code == 503 and answer.json()["database"] == "disconnected"
        done = pipeline.cli("status", code=None)
        assert done.returncode not in (0, 1) and "database" in done.stderr
    if worker.running:  # it may end on its own meanwhile
        assert worker.stop(STOP_SECONDS) in (0, AGAIN)


def test_db_migrate_without_a_database_says_so(written):
    port = written.servers.free_port()
    done = written.cli("db", "migrate", "--set", f"database.dsn=host=127.0.0.1 port={port}", code=AGAIN)
    assert "database" in done.stderr and str(port) in done.stderr


def assert_not_ready(worker):
    """Told what is missing, it either waits for it or has ended; never does it say that it is ready."""
    if worker.process.poll() is None:
        assert not worker.is_ready(), worker.tail()
    else:
        assert worker.process.returncode in (AGAIN, NEVER), worker.tail()


@pytest.mark.parametrize("kind", WITH_DATABASE)
def test_missing_tables_are_named_with_the_command(bare, kind):
    bare.apply_topics()
    worker = bare.spawn(kind)
    wait_until(
        lambda: "penstock db migrate" in worker.log(),
        20,
        lambda: f"{worker.name} tells the command:\n{worker.tail()}",
    )
    assert_not_ready(worker)


@pytest.mark.parametrize("kind", STAGES)
def test_missing_topics_are_named_with_the_command(bare, kind):
    bare.cli("db", "migrate")
    worker = bare.spawn(kind)
    wait_until(
        lambda: "penstock topics apply" in worker.log(),
        30,
        lambda: f"{worker.name} tells the command:\n{worker.tail()}",
    )
    assert_not_ready(worker)
    created = AdminClient(bare.kafka()).list_topics(timeout=KAFKA_SECONDS).topics
    assert not [name for name in created if name.startswith(bare.prefix)], "no worker creates a topic"


# --- tables and topics that are another version's, or that somebody changed --------------------------------------------


def refuses(worker, *names):
    """It ends, not to be started again, with one sentence that has all of that."""
    assert worker.wait_exit(REFUSAL_SECONDS) == NEVER, worker.tail()
    said = worker.events("stopped_by_error")
    assert len(said) == 1 and all(name in said[0]["message"] for name in names), (names, worker.tail())


def test_tables_of_a_later_version_are_refused(pipeline):
    pipeline.query("INSERT INTO etl.migrations (version, name, sha256) VALUES (9999, '9999_later.sql', 'x')")
    for kind in WITH_DATABASE:
        refuses(pipeline.spawn(kind), "9999_later.sql", "newer than this program", "install the version that made them")
    done = pipeline.cli("db", "migrate", code=NEVER)
    assert "9999_later.sql" in done.stderr and done.stdout == ""


def test_tables_of_an_earlier_version_are_refused(pipeline):
    (name,) = pipeline.query("DELETE FROM etl.migrations WHERE version = (SELECT max(version) FROM etl.migrations) RETURNING name")[0]
    for kind in WITH_DATABASE:
        refuses(pipeline.spawn(kind), name, "older than this program", "penstock db migrate")


def add_partitions(pipeline, topic, count):
    admin, name = AdminClient(pipeline.kafka()), pipeline.topic(topic)
    admin.create_partitions([NewPartitions(name, count)])[name].result(KAFKA_SECONDS)
    wait_until(lambda: len(pipeline.partitions(topic)) == count, KAFKA_SECONDS, f"{topic} has {count} partitions")


def remake(pipeline, topic, partitions):
    pipeline.delete_topic(topic)
    admin = AdminClient(pipeline.kafka())
    new = NewTopic(pipeline.topic(topic), partitions, 1, config={"message.timestamp.type": "LogAppendTime"})
    admin.create_topics([new])[new.topic].result(KAFKA_SECONDS)
    wait_until(lambda: len(pipeline.partitions(topic)) == partitions, KAFKA_SECONDS, f"{topic} is made anew")


@pytest.mark.parametrize(("change", "count"), [(add_partitions, 8), (remake, 4)])
def test_another_count_of_partitions_is_refused_and_mended(pipeline, tmp_path, change, count):
    """Keys would move. Kafka gives no partition back: fewer are a topic made anew."""
    simulate(pipeline, tmp_path, bars=300)
    pipeline.subscribe("bars", tmp_path / "bars.dbn.zst")
    change(pipeline, "etl.raw.ohlcv", count)
    for worker in [pipeline.spawn(kind) for kind in KINDS]:
        refuses(worker, pipeline.topic("etl.raw.ohlcv"), f"{count} partitions, the table says 6", "penstock topics apply")
    assert "the table says 6" in pipeline.cli("topics", "apply", code=NEVER).stderr
    pipeline.delete_topic("etl.raw.ohlcv")
    pipeline.apply_topics()
    pipeline.started["orchestrator"] = 0  # where clients look
    pipeline.start_all()
    run = pipeline.run()
    assert (run["status"], run["balanced"], run["inserted"]) == ("success", True, 300), run


def test_partitions_that_are_added_while_it_runs_are_noticed(pipeline, tmp_path):
    """Nothing was written there, and nobody reads on as if nothing were."""
    simulate(pipeline, tmp_path, bars=300)
    pipeline.subscribe("bars", tmp_path / "bars.dbn.zst")
    pipeline.configure("kafka", **{"topic.metadata.refresh.interval.ms": 1000})
    pipeline.start_all()
    assert pipeline.run()["balanced"]
    add_partitions(pipeline, "etl.valid.ohlcv", 9)
    (transformer,) = pipeline.of("transformer")
    refuses(transformer, pipeline.topic("etl.valid.ohlcv"), "9 partitions, the table says 6", "penstock topics apply")
    assert "9 partitions" in pipeline.cli("topics", "check", code=1).stdout


def set_topic(pipeline, topic, key, value):
    entry = ConfigEntry(key, value, incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource("topic", pipeline.topic(topic), incremental_configs=[entry])
    admin = AdminClient(pipeline.kafka())
    admin.incremental_alter_configs([resource])[resource].result(KAFKA_SECONDS)
    asked = ConfigResource("topic", pipeline.topic(topic))

    def told():
        return admin.describe_configs([asked])[asked].result(KAFKA_SECONDS)[key].value == value

    wait_until(told, KAFKA_SECONDS, f"{key} of {topic} is {value}")


@pytest.mark.parametrize(
    ("topic", "key", "value", "wanted"),
    [
        ("etl.raw.ohlcv", "retention.ms", "60000", "259200000"),
        ("etl.clean.trades", "cleanup.policy", "compact", "delete"),
        ("etl.control", "cleanup.policy", "delete", "compact"),
        ("etl.dlq", "message.timestamp.type", "CreateTime", "LogAppendTime"),
    ],
)
def test_a_topic_that_would_lose_records_is_refused(pipeline, topic, key, value, wanted):
    set_topic(pipeline, topic, key, value)
    workers = [pipeline.spawn(kind) for kind in KINDS]
    for worker in workers:
        refuses(worker, pipeline.topic(topic), f"{key}={value}, the table says {wanted}", "kafka-configs.sh")
    set_topic(pipeline, topic, key, wanted)
    pipeline.spawn("validator").wait_ready()


def test_a_topic_that_keeps_records_longer_is_taken(pipeline):
    set_topic(pipeline, "etl.raw.ohlcv", "retention.ms", "-1")
    set_topic(pipeline, "etl.clean.ohlcv", "retention.ms", str(400 * 86_400_000))
    pipeline.start_all()


# --- subscriptions -------------------------------------------------------------------------------------------------

GOOD = '  - name: good\n    source: file\n    path: "{folder}/bars.dbn.zst"\n'
NO_MATCH = GOOD.replace("good", "b").replace("bars", "no*")
FOLDERS = "  - name: b\n    source: file\n    path: '{folder}/*older'\n"
BAD_SUBSCRIPTIONS = {
    "an unknown key": ("subscriptions:\n" + GOOD + "    paths: x\n", 5, "'paths'"),
    "no name": ("subscriptions:\n" + GOOD + "  - source: file\n    path: x\n", 5, "name"),
    "no source": ("subscriptions:\n" + GOOD + "  - name: b\n    path: x\n", 5, "source"),
    "no path": ("subscriptions:\n" + GOOD + "  - name: b\n    source: file\n", 5, "path"),
    "a name twice": ("subscriptions:\n" + GOOD + GOOD, 5, "good stands here twice, first in line 2"),
    "an unknown source": ("subscriptions:\n" + GOOD + "  - name: b\n    source: nonsense\n", 5, "'nonsense'"),
    "a glob that matches nothing": ("subscriptions:\n" + GOOD + NO_MATCH, 5, "no*"),
    "folders only": ("subscriptions:\n" + GOOD + FOLDERS, 5, "folders"),
    "an unknown section": ("subscription:\n" + GOOD, 1, "'subscription'"),
    "no list": ("subscriptions: good\n", 1, "list"),
    "bad YAML": ("subscriptions:\n" + GOOD + "  - [\n", 6, ""),
}


@pytest.fixture
def planner(pipeline, tmp_path):
    """An orchestrator, a good file, and beside it a folder."""
    simulate(pipeline, tmp_path, bars=50)
    (tmp_path / "folder").mkdir()
    pipeline.start("orchestrator")
    return pipeline


def test_wrong_subscriptions_fail_the_run_with_their_place(planner, tmp_path):
    for case, (text, line, names) in BAD_SUBSCRIPTIONS.items():
        write(planner, text.replace("{folder}", str(tmp_path)), "subscriptions.yaml")
        run = planner.run()
        assert run["status"] == "failed" and run["tasks"] == 0, case
        assert f"{planner.subscriptions_path}:{line}" in run["message"] and names in run["message"], (case, run)
    os.unlink(planner.subscriptions_path)
    run = planner.run()
    assert run["status"] == "failed" and planner.subscriptions_path in run["message"]


def test_a_run_after_the_file_was_mended_is_good(planner, tmp_path):
    write(planner, "subscriptions: {}\n", "subscriptions.yaml")
    assert planner.run()["status"] == "failed"
    planner.subscribe("good", tmp_path / "bars.dbn.zst")
    planner.start_all(kinds=STAGES)
    assert planner.run()["status"] == "success"


@pytest.mark.parametrize("name", ["folder", "pipe", "text.dbn", "unreadable/x.dbn"])
def test_a_path_that_is_no_file_fails_its_task(planner, tmp_path, name):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "text.dbn").write_text("symbol,open\n")
    (tmp_path / "unreadable").write_text("a file, not a folder")
    planner.subscribe("bad", tmp_path / name)
    planner.subscribe("good", tmp_path / "bars.dbn.zst")
    planner.start_all(kinds=STAGES)
    run = planner.run()
    assert run["status"] == "failed" and f"{tmp_path / name}: " in run["message"], run
    assert (run["fetched"], run["inserted"], run["balanced"]) == (50, 50, True)
    assert planner.value("SELECT count(*) FROM etl.dead_letters WHERE class = 'api_errors'") == 1
    assert all(worker.running for worker in planner.workers)


# --- SIGTERM -------------------------------------------------------------------------------------------------------


def test_idle_workers_end_when_told(pipeline):
    pipeline.start_all()
    for worker in pipeline.workers:
        assert worker.stop(STOP_SECONDS) == 0, worker.tail()
        assert worker.events("stopped") and not worker.events("shutdown_timeout")


@pytest.mark.parametrize("kind", KINDS)
def test_a_worker_that_is_told_to_end_in_a_run(pipeline, tmp_path, kind):
    """It ends in time with 0; started again, the run goes on to its end, balanced, nothing lost or doubled."""
    bars = 60_000
    simulate(pipeline, tmp_path, bars=bars, symbols=40, broken=130)
    pipeline.subscribe("bars", tmp_path / "bars.dbn.zst")
    pipeline.configure("fetcher", **{"turn.records": 500, "batch.ms": 20})
    pipeline.configure("loader", **{"batch.records_max": 500})
    pipeline.start_all()
    (worker,) = pipeline.of(kind)
    run = pipeline.api.start_run()
    wait_until(
        lambda: pipeline.value("SELECT coalesce(sum(records), 0)::bigint FROM etl.ledger") > 0, 30, "rows arrive"
    )
    assert worker.stop(STOP_SECONDS) == 0, worker.tail()
    assert not worker.events("shutdown_timeout") and not worker.events("stopped_by_error")
    open_now = pipeline.value("SELECT count(*) FROM etl.runs WHERE status IN ('running', 'checking')")
    if kind == "orchestrator":
        # A second one is given a port of its own by the harness; this one has to be where clients look.
        pipeline.started[kind] = 0
    pipeline.spawn(kind).wait_ready()
    shown = pipeline.wait_run(run, RUN_SECONDS)
    assert open_now == 1, "it was told in the middle of the run"
    assert (shown["status"], shown["balanced"], shown["in_flight"]) == ("success", True, 0), json.dumps(shown)
    assert shown["fetched"] == bars
    assert pipeline.value("SELECT count(*) FROM ohlcv_data") == shown["inserted"]
    assert pipeline.value("SELECT count(*) FROM etl.dead_letters") == shown["dead_letters"]
    assert len(shown["attempts"]) == 1, "the attempt went on where it was"
    remains(lambda: pipeline.api.run(run) == shown, 0.5, "nothing comes after the end")

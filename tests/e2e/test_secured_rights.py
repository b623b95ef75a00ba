"""Least privilege: each worker as its own user, with the rights of topics/acls.yaml and no others."""

import pytest
from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import AclBinding, AclOperation, AclPermissionType, ResourcePatternType, ResourceType
from harness.bars import simulate
from harness.pipeline import KINDS
from harness.secured import ADMIN, WORKERS, user_of
from harness.waiting import wait_until

NEVER = 4  # do not start me again before someone looked
KAFKA_SECONDS = 20
END_SECONDS = 60


def rule_of(arguments):
    """What kafka-acls.sh would make of them."""
    words = arguments.split()
    assert words.pop(0) == "--add"
    said = dict(zip(words[::2], words[1::2]))
    kinds = {"--topic": ResourceType.TOPIC, "--group": ResourceType.GROUP}
    kinds["--transactional-id"] = ResourceType.TRANSACTIONAL_ID
    ((option, kind),) = [(option, kind) for option, kind in kinds.items() if option in said]
    operation = {"Read": AclOperation.READ, "Write": AclOperation.WRITE, "Describe": AclOperation.DESCRIBE}
    operation["DescribeConfigs"] = AclOperation.DESCRIBE_CONFIGS
    prefixed = said.get("--resource-pattern-type") == "prefixed"
    return AclBinding(
        kind,
        said[option],
        ResourcePatternType.PREFIXED if prefixed else ResourcePatternType.LITERAL,
        said["--allow-principal"],
        "*",
        operation[said["--operation"]],
        AclPermissionType.ALLOW,
    )


def grant(secured, pipeline):
    """As an administrator does: by the command, and where its library has no word for it, by what it says."""
    secured.speak(pipeline, secured.login(pipeline))
    secured.put_on(pipeline, "cli", ADMIN)
    pipeline.prepare()
    said = pipeline.cli("acls", "apply", code=None)
    left = [line.partition("kafka-acls.sh ")[2] for line in said.stdout.splitlines() if "kafka-acls.sh" in line]
    assert said.returncode == bool(left), said.stdout + said.stderr
    secured.allow([rule_of(each) for each in left])
    return left


@pytest.fixture
def granted(secured, guarded):
    """Topics and rights are there; each program is its own user from now on."""
    grant(secured, guarded)
    return secured.each_for_itself(guarded)


def rules_of(secured, pipeline, worker, name):
    found = [r for r in secured.rules() if r.principal == f"User:{user_of(worker)}" and r.name == pipeline.prefix + name]
    assert found, (worker, name)
    return found


def test_the_table_is_all_that_is_needed(secured, granted, tmp_path):
    pipeline = granted
    simulate(pipeline, tmp_path, bars=1000, symbols=4, broken=13, seed=4)
    pipeline.subscribe("bars", tmp_path / "bars.dbn.zst", symbol_mappings="true")
    pipeline.start_all()
    run = pipeline.run()
    assert (run["status"], run["balanced"]) == ("success", True) and run["dead_letters"] > 0, run
    assert len(pipeline.cli("cat", "etl.clean.ohlcv", "-n", "3").stdout.splitlines()) == 3
    assert pipeline.cli("topics", "check").stdout and pipeline.cli("lag").stdout and pipeline.cli("offsets", "ls").stdout
    replayed = pipeline.cli("replay", "--schema", "ohlcv-1m", "--stage", "valid", "--from", "earliest", "--follow")
    assert "balanced" in replayed.stdout and pipeline.api.get("/api/etl/status").json()["alarms"] == []
    assert [worker.name for worker in pipeline.workers if not worker.running] == []
    for worker in pipeline.workers:
        assert "authorization failed" not in worker.log().lower(), worker.tail()


def test_apply_and_check_agree(secured, guarded):
    left = grant(secured, guarded)
    again = guarded.cli("acls", "apply").stdout.splitlines()
    rows = guarded.cli_json("acls", "ls")
    assert len(again) == len(rows) and all(line.endswith("already there") for line in again)
    assert "0 differences" in guarded.cli("acls", "check").stdout
    lines = guarded.cli("acls", "ls", "--commands").stdout.splitlines()
    assert len(lines) == len(rows) and set(left) <= set(lines)
    (one,) = rules_of(secured, guarded, "validator", "etl.dlq")
    secured.forbid([one])
    said = guarded.cli("acls", "check", code=1).stdout
    assert f"User:penstock-validator: write on topic {guarded.prefix}etl.dlq: missing" in said
    assert "would be written" in guarded.cli("acls", "apply", "--dry-run", code=None).stdout
    assert one not in secured.rules()
    guarded.cli("acls", "apply")
    tasks = guarded.topic("etl.tasks.file")
    more = rule_of(f"--add --allow-principal User:penstock-validator --operation Write --topic {tasks}")
    secured.allow([more])
    assert "not in the table" in guarded.cli("acls", "check", code=1).stdout


def test_principals_are_configurable(guarded):
    guarded.configure("cli", acls={"loader": "User:CN=loader"})
    rows = guarded.cli_json("acls", "ls")
    assert {row["principal"] for row in rows if row["worker"] == "loader"} == {"User:CN=loader"}
    assert {row["worker"] for row in rows} == set(WORKERS)
    assert {row["principal"] for row in rows if row["worker"] == "fetcher"} == {"User:penstock-fetcher"}


# --- no more than that -----------------------------------------------------------------------------------------------

MAY_NOT_WRITE = [("validator", "etl.clean.ohlcv"), ("transformer", "etl.valid.ohlcv"), ("loader", "etl.clean.ohlcv")]
MAY_NOT_WRITE += [("fetcher", "etl.tasks.file"), ("orchestrator", "etl.raw.ohlcv"), ("cli", "etl.control")]
MAY_NOT_READ = [("validator", "etl.valid.ohlcv"), ("transformer", "etl.dlq"), ("loader", "etl.raw.ohlcv")]
MAY_NOT_READ += [("fetcher", "etl.events"), ("validator", "etl.tasks.file")]


def test_nobody_may_do_another_workers_work(secured, granted):
    for worker, topic in MAY_NOT_WRITE:
        failures = []
        producer = Producer(secured.client(user_of(worker)) | {"message.timeout.ms": 10_000})
        producer.produce(granted.topic(topic), b"x", on_delivery=lambda error, _, into=failures: into.append(error))
        assert producer.flush(KAFKA_SECONDS) == 0
        assert [error.name() for error in failures] == ["TOPIC_AUTHORIZATION_FAILED"], (worker, topic)
    for worker, topic in MAY_NOT_READ:
        consumer = Consumer(secured.client(user_of(worker)) | {"group.id": granted.topic(f"penstock.{worker}")})
        consumer.subscribe([granted.topic(topic)])
        message = wait_until(lambda c=consumer: c.poll(0.2), KAFKA_SECONDS, f"{worker} hears about {topic}")
        assert message.error() and message.error().name() == "TOPIC_AUTHORIZATION_FAILED", (worker, topic)
        consumer.close()


NEEDED = [
    ("fetcher", "penstock.fetcher", "roup"),
    ("fetcher", "etl.events", "etl.events"),
    ("validator", "penstock.validator.", "penstock.validator"),
    ("transformer", "etl.clean.", "etl.clean."),
    ("loader", "etl.clean.", "etl.clean."),
    ("loader", "penstock.loader", "roup"),
]


@pytest.mark.parametrize(("worker", "name", "said"), NEEDED, ids=[f"{each[0]}-{each[1]}" for each in NEEDED])
def test_a_missing_right_is_said_at_the_start(secured, granted, worker, name, said):
    secured.forbid(rules_of(secured, granted, worker, name))
    started = granted.spawn(worker)
    assert started.wait_exit(END_SECONDS) == NEVER, started.tail()
    (end,) = started.events("stopped_by_error")
    assert said in end["message"] and "penstock acls check" in end["message"], end


def test_a_right_to_write_that_is_missing_stops_who_writes(secured, granted, tmp_path):
    """A worker may see the topic, and begins; its first transaction tells."""
    secured.forbid(rules_of(secured, granted, "validator", "etl.valid."))
    secured.allow(
        [
            rule_of(
                "--add --allow-principal User:penstock-validator --operation Describe "
                f"--topic {granted.topic('etl.valid.')} --resource-pattern-type prefixed"
            )
        ]
    )
    simulate(granted, tmp_path, bars=50)
    granted.subscribe("bars", tmp_path / "bars.dbn.zst")
    granted.start_all(kinds=[kind for kind in KINDS if kind != "loader"])
    (validator,) = granted.of("validator")
    granted.api.start_run()
    assert validator.wait_exit(END_SECONDS) == NEVER, validator.tail()
    assert "penstock acls check" in validator.events("stopped_by_error")[0]["message"]

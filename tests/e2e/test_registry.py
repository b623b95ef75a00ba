"""The schema registry that the orchestrator serves: Confluent's own client and deserializer against it; penstock schema."""

import io
import json
import os

import fastavro
import fastavro.utils
import pytest
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer
from confluent_kafka.schema_registry.error import SchemaRegistryError
from confluent_kafka.serialization import MessageField, SerializationContext
from harness.bars import loaded
from harness.pipeline import Pipeline
from harness.records import LOCK, Codec, drop_nanos
from harness.servers import TOP
from harness.waiting import wait_until

BARS, BROKEN = 200, 7
TYPE = "application/vnd.schemaregistry.v1+json"
TASKS, EVENTS, CLEAN = "etl.tasks.file", "etl.events", "etl.clean.ohlcv"
# What a run of bars with its symbol mappings writes, and as which record.
WRITTEN = {
    TASKS: "fetch_task",
    "etl.raw.ohlcv": "ohlcv",
    "etl.valid.ohlcv": "ohlcv",
    CLEAN: "ohlcv_clean",
    "etl.raw.symbol_mapping": "symbol_mapping",
    "etl.valid.symbol_mapping": "symbol_mapping",
    "etl.clean.symbol_mapping": "symbol_mapping_clean",
    EVENTS: "task_event",
}
WITHOUT_SCHEMA = {"etl.dlq", "etl.control"}


@pytest.fixture(scope="module")
def once(servers, tmp_path_factory):
    """One pipeline for every test of this file: a run of bars done."""
    with loaded(servers, tmp_path_factory, bars=BARS, broken=BROKEN, symbol_mappings="true") as pipeline:
        assert pipeline.done[0]["status"] == "success"
        yield pipeline


@pytest.fixture
def client(up):
    with SchemaRegistryClient({"url": up.api.url}) as found:
        yield found


@pytest.fixture
def subject(up):
    """The subject of a topic."""
    return lambda topic: f"{up.topic(topic)}-value"


def lock():
    with open(LOCK) as file:
        rows = [line.split() for line in file if not line.startswith("#")]
    return [(subject, int(version), int(number), file) for subject, version, number, _, file in rows]


def source(file):
    with open(os.path.join(TOP, "schemas", "avro", file)) as text:
        return json.load(text)


def get(up, path, status=200):
    """Without a token."""
    answer = up.api.anonymous("GET", path)
    assert answer.status_code == status and answer.headers["Content-Type"] == TYPE, answer.text
    return answer.json()


def refused(up, path, status, code, *words):
    said = get(up, path, status)
    assert said.keys() == {"error_code", "message"} and said["error_code"] == code, said
    assert all(word in said["message"] for word in words), said


# --- messages ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("topic", WRITTEN)
def test_confluents_deserializer_reads_what_was_written(up, client, topic):
    """Every field is what our own schemas say, read by themselves."""
    codec, messages = Codec(WRITTEN[topic]), up.read(topic)
    theirs = AvroDeserializer(client)
    assert messages
    for message in messages:
        context = SerializationContext(message.topic(), MessageField.VALUE)
        assert theirs(message.value(), context) == codec.decode(message.value())


def test_there_are_no_other_topics_with_messages(up):
    """So that the test above is about all of them."""
    topics = {line.split()[1].removeprefix(up.prefix).rstrip(":") for line in up.apply_topics() if line.startswith("topic ")}
    assert {topic for topic in topics if up.read(topic)} - WITHOUT_SCHEMA == set(WRITTEN)


def test_the_newest_version_reads_what_was_written_under_earlier_ones(client):
    """BACKWARD, as the configuration says."""
    earlier = []
    for name in client.get_subjects():
        latest = client.get_latest_version(name)
        for number in client.get_versions(name)[:-1]:
            old = client.get_version(name, number)
            schema = fastavro.parse_schema(drop_nanos(json.loads(old.schema.schema_str)))
            record, out = next(fastavro.utils.generate_many(schema, 1)), io.BytesIO()
            fastavro.schemaless_writer(out, schema, record)
            message = b"\0" + old.schema_id.to_bytes(4, "big") + out.getvalue()
            read = AvroDeserializer(client, latest.schema.schema_str)(message, None)
            assert record.items() <= read.items() and len(read) == len(json.loads(latest.schema.schema_str)["fields"])
            earlier.append((name, number))
    assert len(earlier) == sum(version > 1 for _, version, _, _ in lock()) >= 2


# --- subjects, versions, ids ---------------------------------------------------------------------------------------------


def test_subjects_are_those_of_the_lock_with_the_prefix(up, client):
    expected = {up.prefix + name for name, _, _, _ in lock()}
    assert set(client.get_subjects()) == expected and len(client.get_subjects()) == len(expected)
    topics = {line.split()[1].rstrip(":") for line in up.apply_topics() if line.startswith("topic ")}
    assert {f"{topic}-value" for topic in topics - {up.topic(each) for each in WITHOUT_SCHEMA}} == expected


def test_every_version_has_the_locks_id(up, client):
    for name, version, number, _ in lock():
        found = client.get_version(up.prefix + name, version)
        assert (found.subject, found.version, found.schema_id) == (up.prefix + name, version, number)
        assert client.get_schema(number).schema_str == found.schema.schema_str
        assert {"subject": found.subject, "version": version} in get(up, f"/schemas/ids/{number}/versions")


def test_the_latest_version_is_what_the_source_has(up, client):
    newest = {name: (version, file) for name, version, _, file in lock()}
    for name, (version, file) in newest.items():
        found = client.get_latest_version(up.prefix + name)
        assert found.version == version and json.loads(found.schema.schema_str) == source(file)
        assert get(up, f"/subjects/{up.prefix}{name}/versions") == list(range(1, version + 1))


def test_an_earlier_version_is_what_it_was(up, subject):
    first = get(up, f"/subjects/{subject(TASKS)}/versions/1")
    fields = [field["name"] for field in json.loads(first["schema"])["fields"]]
    assert first["id"] == 1 and fields == [field["name"] for field in source("fetch_task.avsc")["fields"]][:-1]


def test_one_schema_may_belong_to_several_subjects(up, subject):
    found = get(up, "/schemas/ids/2/versions")
    assert found == [{"subject": subject(f"etl.{stage}.ohlcv"), "version": 1} for stage in ("raw", "valid")]


def test_types_and_compatibility(up, client, subject):
    assert get(up, "/schemas/types") == ["AVRO"]
    assert get(up, "/config") == get(up, f"/config/{subject(EVENTS)}") == {"compatibilityLevel": "BACKWARD"}
    assert client.get_compatibility() == "BACKWARD"


def test_head_is_answered_without_a_body(up):
    answer = up.api.anonymous("HEAD", "/subjects")
    assert answer.status_code == 200 and answer.headers["Content-Type"] == TYPE and not answer.content


# --- what there is not ---------------------------------------------------------------------------------------------------


def test_errors_are_confluents(up, client, subject):
    known = subject(CLEAN)
    refused(up, "/subjects/nobodys-value/versions", 404, 40401, "nobodys-value")
    refused(up, "/subjects/nobodys-value/versions/1", 404, 40401)
    refused(up, "/config/nobodys-value", 404, 40401)
    refused(up, f"/subjects/{known}/versions/2", 404, 40402, "2")
    for word in ("0", "-2", "01x", "newest", "2147483648", "99999999999999999999"):
        refused(up, f"/subjects/{known}/versions/{word}", 422, 42202, word)
    for number in ("99", "0", "latest", "-1", "4294967298", "x"):
        refused(up, f"/schemas/ids/{number}", 404, 40403, number)
        refused(up, f"/schemas/ids/{number}/versions", 404, 40403)
    for path in ("/subjects/", f"/subjects/{known}", "/subjects/a/versions/1/2/3", "/schemas", "/schemas/ids", "/config/a/b", "/associations/resources/-/x"):
        assert get(up, path, 404)["error_code"] in (404, 40401)
    with pytest.raises(SchemaRegistryError) as caught:
        client.get_latest_version("nobodys-value")
    assert (caught.value.http_status_code, caught.value.error_code) == (404, 40401)


def test_other_paths_still_want_a_token(up):
    for path in ("/subjectsx", "/configuration", "/api/v1/subjects", "/schema"):
        assert up.api.anonymous("GET", path).status_code == 401


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
@pytest.mark.parametrize("path", ["/subjects/{}/versions", "/subjects/{}", "/config", "/schemas/ids/1"])
def test_a_write_is_refused_by_name(up, subject, method, path):
    answer = up.api.request(method, path.format(subject(CLEAN)), json={"schema": '"string"'})
    assert answer.status_code == 405 and answer.headers["Allow"] == "GET, HEAD"
    said = answer.json()
    assert said["error_code"] == 405 and "part of the build" in said["message"]
    assert len(get(up, f"/subjects/{subject(CLEAN)}/versions")) == 1


def test_a_message_of_an_unknown_id_is_said_to_be_one(up, client):
    with pytest.raises(SchemaRegistryError) as caught:
        AvroDeserializer(client)(b"\0\0\0\0\x63" + b"\2", SerializationContext(up.topic(CLEAN), MessageField.VALUE))
    assert caught.value.error_code == 40403


def test_it_needs_no_database(up, servers, tmp_path):
    alone = Pipeline(servers, tmp_path, database=False)
    try:
        alone.configure("database", dsn_file=alone.secret("nowhere", "host=127.0.0.1 port=1 dbname=none"))
        worker = alone.start("orchestrator", ready=False)
        worker.wait_event("http_listening")
        answer = wait_until(
            lambda: (said := worker.get("/subjects")).status_code == 200 and said, 15, lambda: f"subjects: {worker.tail()}"
        )
        assert f"{alone.prefix}{CLEAN}-value" in answer.json() and not worker.is_ready()
    finally:
        alone.close()


def test_the_document_lists_it(up):
    paths = up.api.anonymous("GET", "/openapi.json").json()["paths"]
    mine = {path: item for path, item in paths.items() if path.split("/")[1] in ("subjects", "schemas", "config")}
    assert len(mine) == 8 and all(item.keys() == {"get"} and item["get"]["security"] == [] for item in mine.values())


# --- penstock schema -----------------------------------------------------------------------------------------------------


def test_schema_ls_and_show_are_what_the_orchestrator_serves(up, client):
    listed = up.cli_json("schema", "ls")["versions"]
    assert {(row["subject"], row["version"], row["id"]) for row in listed} == {
        (up.prefix + name, version, number) for name, version, number, _ in lock()
    }
    lines = up.cli("schema", "ls").stdout.splitlines()
    assert lines[0].split() == ["subject", "version", "id", "fingerprint"] and len(lines) == 1 + len(listed)
    for row in listed:
        shown = up.cli_json("schema", "show", row["subject"], "--version", row["version"])
        assert shown == get(up, f"/subjects/{row['subject']}/versions/{row['version']}")


def test_schema_show_prints_the_latest_as_it_was_written(up, subject):
    assert json.loads(up.cli("schema", "show", subject(TASKS)).stdout) == source("fetch_task.avsc")


def test_schema_diff_names_the_fields(up, subject):
    added = source("task_event.avsc")["fields"][-1]
    there = up.cli("schema", "diff", subject(EVENTS), 1, "latest", code=1).stdout
    assert there.startswith("+ ") and json.loads(there[2:]) == added
    back = up.cli("schema", "diff", subject(EVENTS), 2, 1, code=1).stdout
    assert back == "-" + there[1:]
    found = json.loads(up.cli("schema", "diff", subject(EVENTS), 1, 2, "--json", code=1).stdout)
    assert found == {"subject": subject(EVENTS), "from": 1, "to": 2, "added": [added], "removed": [], "changed": []}
    assert up.cli("schema", "diff", subject(EVENTS), 2, "latest").stdout == ""


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["show"], 2, "it takes a SUBJECT; `penstock schema ls`"),
        (["show", "nobodys-value"], 1, "schema ls"),
        (["show", "{}", "--version", "9"], 1, "no version 9"),
        (["show", "{}", "--version", "new"], 2, "'new'"),
        (["diff", "{}", "1"], 2, "it takes a SUBJECT and two versions"),
        (["diff", "{}", "1", "3"], 1, "no version 3"),
        (["ls", "more"], 2, "'more'"),
    ],
)
def test_what_is_wrong_is_named(up, subject, words, code, said):
    done = up.cli("schema", *[word.format(subject(EVENTS)) for word in words], code=code)
    assert said in done.stderr and not done.stdout

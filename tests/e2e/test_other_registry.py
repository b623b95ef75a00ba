"""registry.url: a registry of another make gives the ids; every program registers there and goes by them."""

import base64
import glob
import os
import struct

import pytest
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer
from confluent_kafka.serialization import MessageField, SerializationContext
from harness.bars import assert_good, simulate
from harness.pipeline import KINDS
from harness.registry import FIRST_ID, Apicurio, Strange
from harness.servers import TOP

BARS, BROKEN = 200, 7
TOPICS = ("etl.tasks.file", "etl.raw.ohlcv", "etl.valid.ohlcv", "etl.clean.ohlcv", "etl.events")


@pytest.fixture
def strange(servers):
    registry = Strange(servers.free_port())
    yield registry
    registry.close()


@pytest.fixture
def apicurio(servers, tmp_path):
    jars = glob.glob(os.path.join(TOP, "build", "apicurio", "*-runner.jar"))
    if not jars:
        pytest.skip("Apicurio: skipped (`make test-registry` fetches it)")
    registry = Apicurio(jars[0], tmp_path, servers.free_port())
    yield registry
    registry.close()


def load(pipeline, folder, url):
    pipeline.configure("registry", url=url)
    simulate(pipeline, folder, bars=BARS, symbols=4, broken=BROKEN, seed=4)
    pipeline.subscribe("bars", folder / "bars.dbn.zst")
    pipeline.start_all()
    run = pipeline.run()
    assert_good(run, BARS)
    assert run["inserted"] > 0 and run["dead_letters"] >= BROKEN
    return run


def ids_in(pipeline, topic):
    return {struct.unpack(">I", m.value()[1:5])[0] for m in pipeline.read(topic) if m.value()}


def test_ids_of_another_registry(pipeline, strange, tmp_path):
    load(pipeline, tmp_path, strange.url)
    for topic in TOPICS:
        found = ids_in(pipeline, topic)
        assert found and min(found) >= FIRST_ID, topic
    shown = pipeline.cli("cat", "etl.clean.ohlcv", "-n", 3).stdout.splitlines()
    assert len(shown) == 3 and all('"symbol"' in line for line in shown)
    again = pipeline.run()
    assert_good(again, BARS)
    assert again["unchanged"] > 0 and again["inserted"] == 0
    # Our own read API tells the same ids.
    for identity in ids_in(pipeline, "etl.clean.ohlcv"):
        answer = pipeline.api.anonymous("GET", f"/schemas/ids/{identity}")
        assert answer.status_code == 200 and "ohlcv" in answer.json()["schema"]
    assert pipeline.api.anonymous("GET", "/schemas/ids/1").status_code == 404


def test_records_with_ids_of_the_lock_are_refused_then(pipeline, strange, tmp_path):
    """They may be another schema's there."""
    simulate(pipeline, tmp_path, bars=20, symbols=1, seed=4)
    pipeline.subscribe("bars", tmp_path / "bars.dbn.zst")
    first = [pipeline.start(kind) for kind in ("orchestrator", "fetcher")]
    pipeline.api.start_run()
    pipeline.wait_messages("etl.raw.ohlcv", 20)
    for worker in first:
        worker.stop()
    pipeline.configure("registry", url=strange.url)
    pipeline.start("validator")
    letters = pipeline.wait_messages("etl.dlq", 20)
    assert all("schema id" in pipeline.headers(m)["etl.message"] for m in letters)


def test_apicurio(pipeline, apicurio, tmp_path):
    """Confluent's deserializer decodes every topic with what Apicurio tells it."""
    load(pipeline, tmp_path, apicurio.url)
    with SchemaRegistryClient({"url": apicurio.url}) as client:
        for topic in TOPICS:
            assert f"{pipeline.topic(topic)}-value" in client.get_subjects()
            decode = AvroDeserializer(client)
            context = SerializationContext(pipeline.topic(topic), MessageField.VALUE)
            records = [decode(m.value(), context) for m in pipeline.read(topic) if m.value()]
            assert records and all(isinstance(record, dict) for record in records), topic
    again = pipeline.run()
    assert again["unchanged"] > 0 and again["inserted"] == 0


# --- a registry that is not there, or refuses -------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_a_registry_that_is_away_is_waited_for(pipeline, servers, kind):
    port = servers.free_port()
    pipeline.configure("registry", url=f"http://127.0.0.1:{port}")
    worker = pipeline.spawn(kind)
    (said,) = worker.wait_event("registry_unavailable")
    assert f"127.0.0.1:{port}" in said["message"]
    assert worker.get("/readyz").status_code == 503 and "registry" in worker.get("/readyz").text
    registry = Strange(port)
    try:
        worker.wait_ready()
    finally:
        registry.close()


def test_who_waits_for_a_registry_can_be_stopped(pipeline, servers):
    pipeline.configure("registry", url=f"http://127.0.0.1:{servers.free_port()}")
    worker = pipeline.spawn("loader")
    worker.wait_event("registry_unavailable")
    assert worker.stop() == 0


@pytest.mark.parametrize(
    ("refusal", "says"),
    [((409, "incompatible with version 1"), "incompatible with version 1"), ((401, "who are you"), "registry.password")],
)
def test_a_registry_that_refuses_is_the_end(pipeline, strange, refusal, says):
    strange.refuse = refusal
    pipeline.configure("registry", url=strange.url)
    loader = pipeline.spawn("loader")
    assert loader.wait_exit() == 4 and says in loader.log() and "registry.url" in loader.log()


def test_its_password_goes_there_and_nowhere_else(pipeline, strange):
    password = "hush-registry-1"
    pipeline.configure("registry", url=strange.url, user="me", password_file=pipeline.secret("registry", password))
    loader = pipeline.start("loader")
    assert strange.logins == {"Basic " + base64.b64encode(f"me:{password}".encode()).decode()}
    assert password not in loader.log()


def test_what_is_no_registry_is_said(pipeline):
    orchestrator = pipeline.start("orchestrator")
    pipeline.configure("registry", url=f"http://127.0.0.1:{orchestrator.port}/health#")
    loader = pipeline.spawn("loader")
    assert loader.wait_exit() == 4 and "registry.url" in loader.log()

"""compose/ without an engine: its files agree with each other and the programs. `make test-compose` starts them."""

import os
import re
import subprocess
from pathlib import Path

import pytest
import yaml
from harness.pipeline import KINDS
from harness.servers import TOP
from local_stack.kafka import Kafka
from local_stack.place import Place

COMPOSE = Path(TOP) / "compose"
OVERLAYS = ("postgres.yaml", "three-brokers.yaml")
FILES = ("compose.yaml", *OVERLAYS)
DOCKERFILES = [COMPOSE / "Dockerfile", COMPOSE / "kafka" / "Dockerfile", COMPOSE / "postgres" / "Dockerfile"]
OF_COMPOSE_ITSELF = {"COMPOSE_PROJECT_NAME", "COMPOSE_FILE", "COMPOSE_PROFILES"}
VARIABLE = re.compile(r"\$\{([A-Z_]+)(?::([-?])([^}]*))?\}")


def read(name):
    return yaml.safe_load((COMPOSE / name).read_text())


def example():
    lines = (COMPOSE / ".env.example").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def variables(text):
    return {name: default for name, sign, default in VARIABLE.findall(text)}


@pytest.fixture(scope="module")
def services():
    """As compose.yaml has them, and those that an overlay adds or changes, over what they begin with."""
    found = dict(read("compose.yaml")["services"])
    for overlay in OVERLAYS:
        for name, service in read(overlay)["services"].items():
            base = found.get(name) or found[service["extends"]["service"]]
            found[name] = base | {key: merged(base.get(key), value) for key, value in service.items()}
    return found


def merged(under, over):
    return under | over if isinstance(under, dict) and isinstance(over, dict) else over


def filled_in(text):
    """As where no variable is set."""
    return VARIABLE.sub(lambda found: found[3], text) if isinstance(text, str) else str(text)


def test_every_worker_is_a_service(services):
    assert {name: service["command"] for name, service in services.items() if name in KINDS} == {k: [k] for k in KINDS}
    assert services["simulator"]["command"][0] == "simulator" and services["simulator"]["profiles"] == ["simulator"]


def test_limits_are_everywhere(services):
    for name, service in services.items():
        assert {"mem_limit", "cpus", "pids_limit", "read_only", "tmpfs", "logging"} <= service.keys(), name
        assert service["cap_drop"] == ["ALL"] and service["security_opt"] == ["no-new-privileges:true"], name


def test_services_wait_for_what_they_need(services):
    for name in KINDS:
        needs = set(services[name]["depends_on"])
        with_database = "PENSTOCK_DATABASE_DSN_FILE" in services[name]["environment"]
        assert needs == ({"topics", "tables"} if with_database else {"topics"}), name
    assert {name for name in KINDS if "tables" in services[name]["depends_on"]} == {"loader", "orchestrator"}


@pytest.mark.parametrize("overlay", ["three-brokers.yaml"])
def test_every_client_of_kafka_knows_every_broker(services, overlay):
    three = {name: service["environment"] for name, service in read(overlay)["services"].items() if name[:5] != "kafka"}
    assert three.keys() == {"topics", *KINDS}
    brokers = ",".join(f"{name}:9092" for name in services if name.startswith("kafka"))
    assert {environment["PENSTOCK_KAFKA_BOOTSTRAP_SERVERS"] for environment in three.values()} == {brokers}


def test_the_example_has_every_variable_and_no_other():
    used = set().union(*(variables((COMPOSE / name).read_text()) for name in FILES))
    assert used | OF_COMPOSE_ITSELF == example().keys()


@pytest.mark.parametrize("name", FILES)
def test_the_example_says_the_defaults(name):
    for variable, default in variables((COMPOSE / name).read_text()).items():
        assert variable == "KAFKA_CLUSTER_ID" or default == example()[variable]


def test_every_secret_is_made_and_used(services, tmp_path):
    declared = read("compose.yaml")["secrets"].keys()
    used = {secret for service in services.values() for secret in service.get("secrets", [])}
    assert declared == used == set(os.listdir(setup_in(tmp_path)))


def test_who_asks_the_database_has_a_role_and_a_password_of_its_own(services, tmp_path):
    """Each sees its own alone; what its role may do is the table's to say."""
    folder, users = setup_in(tmp_path), {}
    for name, service in services.items():
        if "PENSTOCK_DATABASE_DSN_FILE" in (service.get("environment") or {}):
            secret = Path(service["environment"]["PENSTOCK_DATABASE_DSN_FILE"]).name
            assert [each for each in service["secrets"] if each.endswith("_dsn")] == [secret], name
            users[name] = dict(word.split("=", 1) for word in (folder / secret).read_text().split())
    assert {name: words["user"] for name, words in users.items()} == {
        "tables": "penstock", "loader": "loader", "orchestrator": "orchestrator"
    }  # fmt: skip
    assert len({words["password"] for words in users.values()}) == 3
    groups = set(re.findall(r"\('(penstock_\w+)'", (Path(TOP) / "schemas" / "roles.sql").read_text()))
    assert groups == set(re.findall(r"penstock_\w+", (COMPOSE / "initdb.d" / "penstock.sh").read_text()))


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.parent.name)
def test_dockerfiles_are_for_every_builder(path):
    text = path.read_text()
    assert "# syntax" not in text and "<<" not in text and not re.search(r"^RUN --", text, re.M)
    assert "ARG BASE_IMAGE=" + example()["BASE_IMAGE"] in text
    assert set(re.findall(r"^FROM (\S+)", text, re.M)) <= {"${BASE_IMAGE}", "scratch"}
    assert re.search(r"^USER (?!root|0)", text, re.M)


def test_versions_of_kafka_stand_in_one_place():
    text = "".join(path.read_text() for path in DOCKERFILES)
    assert "ops/local/kafka/pom.xml" in text and not re.search(r"kafka_2|maven-dependency-plugin", text)


def test_what_is_copied_into_images_is_let_in():
    ignored = (Path(TOP) / ".dockerignore").read_text().split("\n")
    for path in DOCKERFILES:
        for sources in re.findall(r"^COPY (?!--from)(.+) \S+$", path.read_text(), re.M):
            for source in sources.split():
                assert (Path(TOP) / source).exists() and "!" + source.split("/")[0] in ignored, source


def setup(folder, **environment):
    script = COMPOSE / "setup"
    return subprocess.run([script, folder], env=os.environ | environment, capture_output=True, text=True, check=True)


def setup_in(folder):
    setup(folder)
    return folder / "secrets"


def test_setup_makes_secrets_once(tmp_path):
    setup(tmp_path, DATABENTO_API_KEY="db-key")
    first = {path.name: path.read_text() for path in (tmp_path / "secrets").iterdir()}
    assert first["database_password"].strip() in first["database_dsn"] and first["databento_key"] == "db-key\n"
    assert (tmp_path / "secrets").stat().st_mode & 0o777 == 0o700
    made = (tmp_path / ".env").read_text()
    assert re.search(r"^KAFKA_CLUSTER_ID=[A-Za-z0-9]{22}$", made, re.M)
    setup(tmp_path)
    assert {path.name: path.read_text() for path in (tmp_path / "secrets").iterdir()} == first
    assert (tmp_path / ".env").read_text() == made


def test_the_programs_take_the_configuration(pipeline):
    """The shipped file, and every variable that a service gives its program."""
    config = COMPOSE / "config" / "penstock.yaml"
    secret = Path(pipeline.folder) / "secret"
    secret.write_text("db-" + 29 * "x" + "\n")  # what a fetcher takes for a key, and nobody looks into meanwhile
    for kind in KINDS:
        given = read("compose.yaml")["services"][kind]["environment"]
        given = {name: str(secret) if name.endswith("_FILE") else filled_in(value) for name, value in given.items()}
        words = [pipeline.program("penstock-" + kind), "--config", config, "--show-config"]
        shown = subprocess.run(words, env=os.environ | given, capture_output=True, text=True)
        assert shown.returncode == 0, shown.stderr
        values = {line.split()[0]: line for line in shown.stdout.splitlines() if "#" in line}
        assert str(config) in values["http.bind"] and "0.0.0.0" in values["http.bind"] and "8000" in values["http.port"]
        for name in (name for name in given if name.startswith("PENSTOCK_")):
            assert any(f"# {name}" in line for line in values.values()), (kind, name)


@pytest.mark.parametrize("brokers", [1, 3])
def test_brokers_are_set_up_as_in_the_local_stack(tmp_path, brokers):
    """How many have what, and how soon one is missed; the local stack has fewer coordinators, and one broker is back sooner."""
    place = Place(str(tmp_path))
    place.brokers = brokers
    place.ports = place.preferred()
    local = dict(line.split("=", 1) for line in Kafka(place).configuration().splitlines() if "=" in line)
    base = read("compose.yaml")["services"]["kafka"]["environment"]
    own = {} if brokers == 1 else read("three-brokers.yaml")["services"]["kafka"]["environment"]
    said = {name[6:].lower().replace("_", "."): str(value) for name, value in (base | own).items()}
    alike = {name for name in said if re.search(r"replica|isr", name) or (brokers > 1 and name.startswith("broker."))}
    assert len(alike) >= 7 and {name: local[name] for name in alike} == {name: said[name] for name in alike}
    assert said["controller.quorum.voters"].count("@") == local["controller.quorum.voters"].count("@") == brokers

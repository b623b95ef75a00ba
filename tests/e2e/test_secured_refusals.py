"""What a broker refuses is said at the start, in one sentence that names the broker, the cause and the way out."""

import subprocess

import pytest
from harness.authority import Authority
from harness.old_broker import TXN_OFFSET_COMMIT, OldBroker
from harness.pipeline import AGAIN, KINDS
from harness.secured import ADMIN, password_of, user_of
from harness.waiting import wait_until

NEVER = 4  # do not start me again before someone looked
END_SECONDS = 30
asked = subprocess.run(["pkg-config", "--modversion", "rdkafka"], capture_output=True, text=True, check=True)
LIBRARY = tuple(int(part) for part in asked.stdout.strip().split("."))


@pytest.fixture(scope="session")
def stranger(tmp_path_factory):
    """A CA that nobody trusts, and what it signed."""
    other = Authority(tmp_path_factory.mktemp("stranger"), "somebody else's")
    other.issue(ADMIN)
    return other


def wrong_authority(secured, pipeline, stranger):
    return secured.login(pipeline) | {"ssl.ca.location": stranger.certificate}


def other_name(secured, pipeline, _):
    return secured.login(pipeline) | {"bootstrap.servers": f"127.0.0.1:{secured.place.ports['sasl']}"}


def wrong_password(secured, pipeline, _):
    return secured.login(pipeline, password="hush-wrong")


def wrong_password_by_scram(secured, pipeline, _):
    return secured.login(pipeline, "SCRAM-SHA-512", password="hush-wrong")


def unknown_user(secured, pipeline, _):
    return secured.login(pipeline, user="nobody")


def wrong_mechanism(secured, pipeline, _):
    return secured.login(pipeline, "SCRAM-SHA-256")


def no_certificate(secured, pipeline, _):
    settings = secured.mutual(pipeline)
    return {key: value for key, value in settings.items() if not key.startswith(("ssl.certificate", "ssl.key"))}


def strange_certificate(secured, pipeline, stranger):
    settings = no_certificate(secured, pipeline, stranger)
    paths = {"ssl.certificate.location": stranger.path(f"{ADMIN}.pem"), "ssl.key.location": stranger.path(f"{ADMIN}.key")}
    return settings | paths


REFUSED = [
    (wrong_authority, "sasl", ["certificate", "kafka.ssl.ca.location"]),
    (other_name, "sasl", ["certificate", "kafka.bootstrap.servers"]),
    (wrong_password, "sasl", ["kafka.sasl.username", "kafka.sasl.password"]),
    (wrong_password_by_scram, "sasl", ["kafka.sasl.username", "kafka.sasl.password", "credentials"]),
    (unknown_user, "sasl", ["kafka.sasl.username", "kafka.sasl.password"]),
    (wrong_mechanism, "sasl", ["kafka.sasl.mechanism", "SCRAM-SHA-512"]),
    (no_certificate, "tls", ["kafka.ssl.certificate.location", "kafka.ssl.key.location"]),
    (strange_certificate, "tls", ["kafka.ssl.certificate.location"]),
]


@pytest.mark.parametrize(("settings", "port", "names"), REFUSED, ids=[each[0].__name__ for each in REFUSED])
def test_a_refusal_ends_workers_and_commands(secured, guarded, stranger, settings, port, names):
    secured.speak(guarded, settings(secured, guarded, stranger))
    names = [f":{secured.place.ports[port]}: ", *names]
    for worker in [guarded.spawn(kind) for kind in KINDS]:
        assert worker.wait_exit(END_SECONDS) == NEVER, worker.tail()
        (end,) = worker.events("stopped_by_error")
        assert all(name in end["message"] for name in names), end
        assert "hush" not in worker.log()
    for words in (("topics", "check"), ("cat", "etl.dlq")):
        said = guarded.cli(*words, code=NEVER).stderr
        assert len(said.splitlines()) == 1 and all(name in said for name in names), said


def plain_to_tls(secured, pipeline):
    return {"bootstrap.servers": f"127.0.0.1:{secured.place.ports['tls']}"}


def tls_to_plain(secured, pipeline):
    return secured.tls(bootstrap_servers=secured.kafka, security_protocol="ssl")


def tls_without_a_login(secured, pipeline):
    return secured.tls(bootstrap_servers=f"localhost:{secured.place.ports['sasl']}", security_protocol="ssl")


WAITED_FOR = [
    (plain_to_tls, "tls", ["TLS", "kafka.security.protocol"]),
    (tls_to_plain, "kafka", ["TLS", "kafka.security.protocol"]),
    (tls_without_a_login, "sasl", ["kafka.security.protocol"]),
]


@pytest.mark.parametrize(("settings", "port", "names"), WAITED_FOR, ids=[each[0].__name__ for each in WAITED_FOR])
def test_what_a_starting_broker_does_too_is_waited_for_and_said(secured, guarded, settings, port, names):
    secured.speak(guarded, settings(secured, guarded))
    names = [f":{secured.place.ports[port]}: ", *names]

    def says(worker):
        return any(all(name in line["message"] for name in names) for line in worker.events("broker_unavailable"))

    for worker in [guarded.spawn(kind) for kind in KINDS]:
        wait_until(lambda who=worker: says(who) or not who.running, END_SECONDS, lambda who=worker: who.tail())
        assert says(worker), worker.tail()
        assert not worker.running or not worker.is_ready()
    said = guarded.cli("cat", "etl.dlq", code=AGAIN).stderr
    assert len(said.splitlines()) == 1 and all(name in said for name in names), said


def test_a_ca_file_that_is_not_there_is_named(secured, guarded):
    secured.speak(guarded, secured.login(guarded) | {"ssl.ca.location": "/nowhere/ca.pem"})
    worker = guarded.spawn("validator")
    assert worker.wait_exit(END_SECONDS) == NEVER
    assert "ssl.ca.location" in worker.events("stopped_by_error")[0]["message"]
    assert "ssl.ca.location" in guarded.cli("topics", "check", code=NEVER).stderr


def test_a_wrong_password_of_the_key_is_named(secured, guarded):
    secured.speak(guarded, secured.mutual(guarded) | {"ssl.key.password_file": guarded.secret("wrong", "hush-wrong")})
    worker = guarded.spawn("validator")
    assert worker.wait_exit(END_SECONDS) == NEVER
    assert "ssl.key" in worker.events("stopped_by_error")[0]["message"] and "hush" not in worker.log()
    assert "ssl.key" in guarded.cli("topics", "check", code=NEVER).stderr


@pytest.mark.skipif(LIBRARY >= (2, 6, 1), reason="the system's librdkafka does SCRAM as brokers want it")
def test_scram_of_an_old_library_is_said_to_be_that(secured, guarded):
    """User and password are right, but for the broker they are not."""
    secured.speak(guarded, secured.login(guarded, "SCRAM-SHA-512"))
    said = guarded.cli("topics", "check", code=NEVER).stderr
    assert "2.6.1" in said and "PLAIN" in said and len(said.splitlines()) == 1


# --- too old ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("newest", [2, 0])
def test_a_broker_that_is_too_old_is_refused(servers, make_pipeline, newest):
    """Before 2.5 a transaction's offsets know nothing of the group's members."""
    with OldBroker(servers.kafka, {TXN_OFFSET_COMMIT: newest}) as broker:
        pipeline = make_pipeline()
        pipeline.configure("kafka", **{"bootstrap.servers": broker.address})
        for worker in [pipeline.spawn(kind) for kind in KINDS]:
            assert worker.wait_exit(END_SECONDS) == NEVER, worker.tail()
            (end,) = worker.events("stopped_by_error")
            assert all(name in end["message"] for name in (broker.address, "too old", "Kafka 2.5")), end
        said = pipeline.cli("topics", "apply", code=NEVER).stderr
        assert all(name in said for name in (broker.address, "too old", "Kafka 2.5")), said


def test_a_broker_just_new_enough_is_taken(servers, make_pipeline):
    with OldBroker(servers.kafka, {TXN_OFFSET_COMMIT: 3}) as broker:
        pipeline = make_pipeline()
        pipeline.configure("kafka", **{"bootstrap.servers": broker.address})
        pipeline.prepare().start_all(kinds=["validator"])


def test_a_broker_that_knows_no_versions_is_said_to_be_old(servers, make_pipeline):
    with OldBroker(servers.kafka, None) as broker:
        pipeline = make_pipeline()
        pipeline.configure("kafka", **{"bootstrap.servers": broker.address})
        worker = pipeline.spawn("validator")
        wait_until(lambda: worker.events("broker_unavailable") or not worker.running, END_SECONDS, worker.tail)
        said = worker.events("broker_unavailable")[0]["message"]
        assert broker.address in said and "older than Kafka 0.10" in said


# --- rights ----------------------------------------------------------------------------------------------------------


def test_a_worker_without_rights_says_what_it_lacks(secured, guarded):
    secured.put_on(guarded, "cli", ADMIN)
    secured.speak(guarded, secured.login(guarded))
    guarded.prepare()
    secured.each_for_itself(guarded)
    for worker in [guarded.spawn(kind) for kind in ("fetcher", "validator", "transformer", "loader")]:
        assert worker.wait_exit(2 * END_SECONDS) == NEVER, worker.tail()
        (end,) = worker.events("stopped_by_error")
        assert "penstock acls check" in end["message"] and guarded.prefix in end["message"], end
        assert password_of(user_of(worker.kind)) not in worker.log()
    said = guarded.cli("acls", "apply", code=NEVER).stderr
    assert "administrator" in said and len(said.splitlines()) == 1, said
    done = guarded.cli("acls", "check", code=None)
    assert done.returncode == 1 and "may not look" in done.stdout or "administrator" in done.stderr, done


def test_rights_on_a_broker_without_an_authorizer(make_pipeline):
    pipeline = make_pipeline()
    said = pipeline.cli("acls", "apply", code=NEVER).stderr
    assert "authorizer.class.name" in said and len(said.splitlines()) == 1, said

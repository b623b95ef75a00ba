"""A broker with TLS and SASL: the pipeline runs through it as through any other, and tells no secret meanwhile."""

import glob
import os

import confluent_kafka
import pytest
from harness.authority import SECRET, Authority
from harness.bars import simulate
from harness.pipeline import KINDS
from harness.secured import ADMIN, password_of
from harness.tokens import CLIENT, CLIENT_SECRET
from harness.waiting import wait_until

TOKEN_SECONDS = 5  # a token lives so long: several are needed in a run


def load(pipeline, folder, bars=1000, broken=13):
    """Topics and tables by the command line, every worker, a run that balances."""
    simulate(pipeline, folder, bars=bars, symbols=4, broken=broken, seed=4)
    pipeline.subscribe("bars", folder / "bars.dbn.zst")
    pipeline.prepare().start_all()
    run = pipeline.run()
    assert (run["status"], run["balanced"], run["fetched"]) == ("success", True, bars), run
    assert run["inserted"] == pipeline.value("SELECT count(*) FROM ohlcv_data") > 0
    assert run["dead_letters"] == pipeline.value("SELECT count(*) FROM etl.dead_letters") > 0
    return run


def assert_commands_reach_it(pipeline, run):
    assert "0 differences" in pipeline.cli("topics", "check").stdout
    assert len(pipeline.cli("cat", "etl.clean.ohlcv", "-n", "3").stdout.splitlines()) == 3
    assert pipeline.cli("events", "-n", "5").stdout
    groups = {row["group"] for row in pipeline.cli_json("offsets", "ls")}
    assert {pipeline.topic(f"penstock.{stage}") for stage in ("fetcher", "validator", "transformer")} <= groups
    assert pipeline.cli("lag").returncode == 0
    assert len(pipeline.cli_json("dlq", "ls", "--limit", "100")["dead_letters"]) == run["dead_letters"]


def assert_not_told(pipeline, *secrets):
    """Neither in a log nor in arguments nor where the configuration is shown."""
    said = {worker.name: worker.log() for worker in pipeline.workers}
    for worker in pipeline.workers:
        with open(f"/proc/{worker.pid}/cmdline") as file:
            said[f"arguments of {worker.name}"] = file.read()
    for kind in KINDS:
        shown = pipeline.cli(kind, "--show-config").stdout
        assert "********" in shown
        said[f"--show-config of {kind}"] = shown
    assert [(name, secret) for name, text in said.items() for secret in secrets if secret in text] == []


def test_a_full_run_over_tls_with_a_password(secured, guarded, tmp_path):
    secured.speak(guarded, secured.login(guarded) | {"debug": "conf,security,broker"})
    guarded.configure("log", level="debug")
    run = load(guarded, tmp_path)
    assert_commands_reach_it(guarded, run)
    assert_not_told(guarded, password_of(ADMIN))
    guarded.stop_all()


def test_a_run_by_certificates(secured, guarded, tmp_path):
    secured.speak(guarded, secured.mutual(guarded))
    load(guarded, tmp_path, bars=200)
    assert "0 differences" in guarded.cli("topics", "check").stdout
    assert_not_told(guarded, SECRET, password_of(ADMIN))


def test_a_password_is_read_from_a_file_that_the_environment_names(secured, guarded):
    settings = secured.login(guarded)
    path = settings.pop("sasl.password_file")
    secured.speak(guarded, settings)
    worker = guarded.spawn("validator", environment={"PENSTOCK_KAFKA_SASL_PASSWORD_FILE": path})
    wait_until(lambda: "penstock topics apply" in worker.log(), 30, lambda: f"it logged in:\n{worker.tail()}")
    assert password_of(ADMIN) not in worker.log()


@pytest.fixture
def newer_library(guarded, tmp_path):
    """The programs with the librdkafka that came with the tests' own client, instead of the system's."""
    folder = os.path.join(os.path.dirname(os.path.dirname(confluent_kafka.__file__)), "confluent_kafka.libs")
    (library,) = glob.glob(os.path.join(folder, "librdkafka-*.so.1"))
    (tmp_path / "lib").mkdir()
    os.symlink(library, tmp_path / "lib" / "librdkafka.so.1")
    guarded.variables["LD_LIBRARY_PATH"] = str(tmp_path / "lib")
    return library


def test_a_full_run_by_scram(secured, guarded, newer_library, tmp_path):
    """By a library of today: the broker refuses what Debian 12's makes of SCRAM."""
    secured.speak(guarded, secured.login(guarded, "SCRAM-SHA-512"))
    run = load(guarded, tmp_path)
    assert_commands_reach_it(guarded, run)
    assert_not_told(guarded, password_of(ADMIN))
    for worker in guarded.workers:
        with open(f"/proc/{worker.pid}/maps") as file:
            assert newer_library in file.read(), worker.name


# --- tokens ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def bearer(secured, guarded, tokens):
    """A pipeline whose programs fetch tokens."""
    secured.speak(guarded, secured.sasl("OAUTHBEARER"))
    guarded.configure(
        "oauth",
        url=tokens.url,
        client_id=CLIENT,
        client_secret_file=guarded.secret("client-secret", CLIENT_SECRET),
        scope="kafka.write kafka.read",
        ca_file=secured.authority.certificate,
    )
    return guarded


def test_a_run_by_tokens_that_expire_meanwhile(bearer, tokens, tmp_path):
    """The broker closes connections whose token is over, and takes none that is."""
    tokens.lifetime = TOKEN_SECONDS
    load(bearer, tmp_path)
    first = len(tokens.asked)
    begun = {worker.name: worker.pid for worker in bearer.workers}
    assert tokens.asked[0] == {"grant_type": "client_credentials", "scope": "kafka.write kafka.read"}
    # Idle workers, which poll seldom, have new ones all the same.
    wait_until(lambda: len(tokens.asked) >= first + 4 * len(begun), 60, "each worker fetched tokens while it was idle")
    simulate(bearer, tmp_path, name="more.dbn.zst", bars=500, symbols=3, seed=9)
    bearer.subscribe("more", tmp_path / "more.dbn.zst")
    run = bearer.run(["more"])
    assert (run["status"], run["balanced"], run["fetched"]) == ("success", True, 500), run
    assert {worker.name: worker.pid for worker in bearer.workers if worker.running} == begun
    assert len(bearer.cli("cat", "etl.clean.ohlcv", "-n", "3").stdout.splitlines()) == 3
    assert_not_told(bearer, CLIENT_SECRET)


def test_tokens_are_fetched_once_for_all_clients_of_a_program(bearer, tokens):
    """A worker has several; `topics check` asks for each topic."""
    bearer.prepare()
    tokens.asked.clear()
    worker = bearer.start("fetcher")
    assert len(tokens.asked) == 1
    assert worker.stop() == 0


def test_an_endpoint_that_is_away_for_a_while_is_waited_for(bearer, tokens):
    bearer.prepare()
    tokens.instead = (503, {"error": "temporarily_unavailable"})
    worker = bearer.spawn("validator")
    wait_until(lambda: "503" in worker.log(), 20, lambda: f"it says what is wrong:\n{worker.tail()}")
    assert worker.running and not worker.is_ready()
    tokens.instead = None
    worker.wait_ready(60)


REFUSALS = {
    "another secret": (None, ("401", "invalid_client", "oauth.client_id", "oauth.client_secret")),
    "another scope": ((400, {"error": "invalid_scope"}), ("400", "invalid_scope", "oauth.scope")),
    "no JSON": ((200, b"<html>welcome</html>"), ("no JSON", "oauth.url")),
    "no token": ((200, {"token_type": "Bearer"}), ("access_token", "oauth.url")),
    "no end": ((200, {"access_token": "opaque"}), ("expires_in", "oauth.url")),
    "too much": ((200, b'{"access_token": "' + b"x" * 2_000_000 + b'"}'), ("oauth.url",)),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_a_refused_token_is_said(bearer, tokens, case):
    instead, names = REFUSALS[case]
    tokens.instead = instead
    if case == "another secret":
        bearer.configure("oauth", client_secret_file=bearer.secret("other-secret", "hush-other"))
    done = bearer.cli("topics", "check", code=None)
    assert done.returncode in (3, 4) and tokens.url in done.stderr, done.stderr
    assert all(name in done.stderr for name in names), done.stderr
    assert "hush" not in done.stderr and len(done.stderr.splitlines()) == 1


WRONG_KEYS = {
    "no endpoint": ({"url": ""}, "oauth.url"),
    "no TLS": ({"url": "http://token.example/token"}, "https"),
    "no client": ({"client_id": ""}, "oauth.client_id"),
    "no secret": ({"client_secret_file": None}, "oauth.client_secret"),
}


@pytest.mark.parametrize("case", WRONG_KEYS)
def test_an_incomplete_configuration_is_refused(secured, bearer, case):
    values, names = WRONG_KEYS[case]
    bearer.settings["oauth"] |= values
    bearer.settings["oauth"] = {key: value for key, value in bearer.settings["oauth"].items() if value is not None}
    bearer.write_config()
    for kind in KINDS:
        done = bearer.cli(kind, "--check", code=2)
        assert names in done.stderr and "kafka.sasl.mechanism" in done.stderr, done.stderr


def test_another_authoritys_endpoint_is_not_trusted(secured, bearer, tokens, tmp_path):
    bearer.configure("oauth", ca_file=Authority(tmp_path / "other", "somebody else's").certificate)
    done = bearer.cli("topics", "check", code=None)
    assert done.returncode in (3, 4) and tokens.asked == []
    assert tokens.url in done.stderr and "certificate" in done.stderr and "oauth.ca_file" in done.stderr, done.stderr

"""PostgreSQL over TLS with SCRAM-SHA-256; and what is wrong there is said in a sentence, by programs that then end."""

import json
import shutil
import subprocess

import pytest
from harness.bars import assert_good, simulate
from harness.pipeline import Pipeline
from harness.secured_database import Authority, SecuredServers

NEVER = 4  # do not start me again before someone looked
WITH_DATABASE = ("penstock-loader", "penstock-orchestrator", "penstock")
SECONDS = 40


@pytest.fixture(scope="module")
def secured(servers):
    own = SecuredServers(servers)
    try:
        own.start()
        own.administer("CREATE ROLE certified LOGIN PASSWORD 'certified'")
        yield own
    finally:
        own.stop()


@pytest.fixture
def over_tls(secured, request, tmp_path_factory):
    pipeline = Pipeline(secured, tmp_path_factory.mktemp("pipeline"))
    request.node.pipelines = [pipeline]
    yield pipeline
    pipeline.close()


def test_a_run_over_tls_with_a_password_file(over_tls, secured, tmp_path):
    """The password is in a file that only libpq reads: nowhere else is it."""
    words = {"password": None, "passfile": over_tls.secret("passfile", f"*:*:*:penstock:{secured.postgres.password()}")}
    over_tls.configure("database", dsn_file=over_tls.secret("dsn", secured.dsn(over_tls.database, **words)))
    over_tls.prepare()
    simulate(over_tls, tmp_path, bars=5000, broken=26)
    over_tls.subscribe("bars", tmp_path / "bars.dbn.zst")
    over_tls.start_all()
    run = over_tls.run()
    assert_good(run, 5000)
    assert run["dead_letters"] == 26
    sessions = over_tls.query(
        "SELECT a.application_name, s.ssl FROM pg_stat_activity a JOIN pg_stat_ssl s USING (pid)"
        " WHERE a.datname = current_database() AND a.application_name LIKE 'penstock%'"
    )
    assert len(sessions) >= 3 and all(ssl for _, ssl in sessions), sessions
    assert secured.administer("SELECT rolpassword FROM pg_authid WHERE rolname = 'penstock'").startswith("SCRAM-SHA-256$")
    secret = secured.postgres.password()
    for worker in over_tls.workers:
        with open(f"/proc/{worker.pid}/cmdline") as command, open(f"/proc/{worker.pid}/environ") as environment:
            assert secret not in command.read() + environment.read() + worker.log(), worker.name


def refused(pipeline, dsn, programs=WITH_DATABASE):
    """What each says that should end by itself; all at once, as each may wait for an answer."""
    path = pipeline.secret("other-dsn", dsn)
    begun = []
    for name in programs:
        words = ["db", "migrate"] if name == "penstock" else ["--set", "http.port=0"]
        begun.append(
            subprocess.Popen(
                [pipeline.program(name), *words, "--set", f"database.dsn_file={path}"],
                env=pipeline.environment(), cwd=pipeline.folder, text=True,
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            )  # fmt: skip
        )
    said = []
    for name, process in zip(programs, begun, strict=True):
        try:
            out, errors = process.communicate(timeout=SECONDS)
        finally:
            process.kill()
        assert process.returncode == NEVER, (name, process.returncode, errors)
        last = errors.splitlines()[-1]
        said.append(last if name == "penstock" else json.loads(last)["message"])
        assert len(errors.splitlines()) == 1 or name != "penstock", errors
        assert "hush" not in out + errors
    return said


def cases(secured, tmp_path):
    other = Authority(tmp_path, "other")
    certificate, key = other.sign("certified")
    session = secured.session.postgres  # has no TLS
    plain = {"port": session.port, "password": "hush"}
    return {
        "another CA": ({"sslrootcert": other.certificate}, "not of the CA in database.dsn", "sslrootcert"),
        "no CA": ({"sslrootcert": tmp_path / "nowhere.pem"}, "name its file in database.dsn", "nowhere.pem"),
        "another host": ({"host": "127.0.0.1"}, "another host's", "host name"),
        "no TLS there": (plain, "the server has no TLS", "ssl = on"),
        "no TLS here": ({"sslmode": "disable"}, "sslmode in database.dsn", "pg_hba.conf"),
        "password": ({"password": "hush"}, "user or password in database.dsn is wrong", "authentication failed"),
        "no password": ({"password": None, "passfile": tmp_path / "none"}, "give it in database.dsn", "password"),
        "user": ({"user": "nobody"}, "user or password in database.dsn is wrong", "nobody"),
        "database": ({"database": "nowhere"}, "create it or name another one", "nowhere"),
        "no certificate of ours": ({"user": "certified", "password": "hush"}, "does not let this user in", "certificate"),
        "another's certificate": (
            {"user": "certified", "password": "hush", "sslcert": certificate, "sslkey": key},
            "the CA of our certificate", "sslcert",
        ),
        "a key that others may read": (
            {"sslcert": certificate, "sslkey": readable(key, tmp_path)}, "key cannot be read", "sslkey",
        ),
    }  # fmt: skip


def readable(key, tmp_path):
    path = tmp_path / "readable.key"
    shutil.copyfile(key, path)
    path.chmod(0o644)
    return path


def test_what_is_wrong_with_a_connection_is_said_in_a_sentence(over_tls, secured, tmp_path):
    for case, (words, *names) in cases(secured, tmp_path).items():
        words = {"database": over_tls.database} | words
        server = "localhost" if words.get("host") is None else words["host"]
        for said in refused(over_tls, secured.dsn(**words)):
            assert all(name in said for name in names), (case, said)
            assert server in said and "\n" not in said, (case, said)


def test_a_certificate_of_ours_is_taken(over_tls, secured):
    secured.administer(f"GRANT ALL ON DATABASE {over_tls.database} TO certified")
    certificate, key = secured.authority.sign("certified")
    dsn = secured.dsn(over_tls.database, user="certified", password="certified", sslcert=certificate, sslkey=key)
    done = over_tls.cli("db", "migrate", "--dry-run", "--set", f"database.dsn_file={over_tls.secret('own', dsn)}")
    assert "would be applied" in done.stdout


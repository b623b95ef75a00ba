"""PgBouncer before the database: in session mode everything works; otherwise nothing begins, and why is said."""

import os
import shutil
import signal
import subprocess
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from harness.bars import assert_good, simulate
from harness.waiting import wait_until
from harness.worker import die_with_parent
from test_database_tls import refused

PROGRAM = shutil.which("pgbouncer") or "/usr/sbin/pgbouncer"
pytestmark = pytest.mark.skipif(not os.access(PROGRAM, os.X_OK), reason="pgbouncer is not installed")

SETTINGS = """\
[databases]
* = host=127.0.0.1 port={server_port}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = scram-sha-256
auth_file = {folder}/users
pool_mode = {mode}
default_pool_size = {size}
max_client_conn = 200
{more}
"""


class Pooler:
    """Keeps a folder that its user may read: it does not run as root, nor does the server."""

    def __init__(self, servers, mode, size=40, more=""):
        self.servers = servers
        self.port = servers.free_port()
        self.folder = tempfile.mkdtemp(dir="/var/tmp" if os.getuid() == 0 else None)
        self.account = servers.postgres.account()
        self.write("users", f'"penstock" "{servers.postgres.password()}"\n')
        values = {"server_port": servers.postgres.port, "port": self.port, "folder": self.folder}
        settings = self.write("pgbouncer.ini", SETTINGS.format(mode=mode, size=size, more=more, **values))
        self.log = open(os.path.join(self.folder, "log"), "w+")
        self.process = subprocess.Popen(
            [PROGRAM, settings], stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log,
            preexec_fn=die_with_parent, **self.account,
        )  # fmt: skip

    def write(self, name, text):
        path = os.path.join(self.folder, name)
        with open(path, "w") as file:
            file.write(text)
        if self.account:
            for each in (self.folder, path):
                os.chown(each, self.account["user"], self.account["group"])
        return path

    def dsn(self, database):
        password = self.servers.postgres.password()
        return f"host=127.0.0.1 port={self.port} dbname={database} user=penstock password={password}"

    def wait(self, database):
        def answers():
            assert self.process.poll() is None, self.said()
            try:
                psycopg.connect(self.dsn(database), connect_timeout=2).close()
            except psycopg.OperationalError:
                return False
            return True

        wait_until(answers, 20, lambda: f"pgbouncer answers:\n{self.said()}")

    def said(self):
        self.log.seek(0)
        return self.log.read()

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.log.close()
        shutil.rmtree(self.folder)


@pytest.fixture
def poolers():
    """poolers(pipeline, mode, ...): a pooler before its database, to which its configuration leads from now on."""
    started = []

    def start(pipeline, mode, **options):
        pooler = Pooler(pipeline.servers, mode, **options)
        started.append(pooler)
        pooler.wait(pipeline.database)
        pipeline.configure("database", dsn_file=pipeline.secret("pooled", pooler.dsn(pipeline.database)))
        return pooler

    yield start
    for pooler in started:
        pooler.stop()


@pytest.fixture
def bare(make_pipeline):
    """A database without tables: who is refused looks for none."""
    return make_pipeline()


def test_everything_works_in_session_mode(poolers, pipeline, tmp_path):
    """COPY, temporary tables, the leader's lock."""
    poolers(pipeline, "session")
    simulate(pipeline, tmp_path, bars=5000, broken=26)
    pipeline.subscribe("bars", tmp_path / "bars.dbn.zst")
    pipeline.start_all()
    first = pipeline.run()
    assert_good(first, 5000)
    again = pipeline.run()
    assert (again["balanced"], again["unchanged"]) == (True, first["inserted"])
    assert pipeline.value("SELECT count(*) FROM ohlcv_data") == first["inserted"]
    assert "ok" in pipeline.cli("offsets", "ls").stdout
    assert pipeline.cli("db", "migrate").stdout.count("already there") > 20
    assert pipeline.cli("status").returncode == 0


def test_who_holds_what_is_taken_over_is_found_behind_a_pooler(poolers, pipeline, tmp_path):
    """The one that waits is known to the server by another number than the pooler told it."""
    poolers(pipeline, "session")
    simulate(pipeline, tmp_path, bars=500)
    pipeline.subscribe("bars", tmp_path / "bars.dbn.zst")
    with pipeline.connect(application_name="penstock.loader.hangs") as holder:
        holder.execute("INSERT INTO etl.offsets (consumer_group, topic, partition) VALUES (%s, %s, 0)",
                       [pipeline.topic("penstock.loader"), pipeline.topic("etl.clean.ohlcv")])  # fmt: skip
        (loader,) = [pipeline.spawn("loader")]
        loader.wait_event("blockers_ended")
        loader.wait_ready()
        with pytest.raises(psycopg.OperationalError):
            holder.execute("SELECT 1")
        holder.close()
    pipeline.start_all(kinds=["orchestrator", "fetcher", "validator", "transformer"])
    assert_good(pipeline.run(), 500)


@pytest.mark.parametrize(
    ("mode", "size", "more"),
    [
        ("transaction", 1, ""),
        ("transaction", 2, ""),
        ("transaction", 2, "server_round_robin = 1"),
        ("transaction", 20, "min_pool_size = 10"),
        ("transaction", 3, "min_pool_size = 3\nserver_round_robin = 1"),
        ("statement", 5, ""),
    ],
)
def test_a_pool_that_gives_no_session_is_refused(poolers, bare, mode, size, more):
    pooler = poolers(bare, mode, size=size, more=more)
    for said in refused(bare, pooler.dsn(bare.database)):
        assert f"127.0.0.1 port {pooler.port}" in said and "pool_mode = session" in said, said


def use(dsn, over):
    """Small transactions, one after the other."""
    done = 0
    with psycopg.connect(dsn, autocommit=True, prepare_threshold=None) as connection:
        while not over.is_set():
            connection.execute("SELECT pg_sleep(0.001)")
            done += 1
    return done


def test_it_is_refused_while_others_use_the_pool(poolers, bare):
    """Whose transactions take turns in its sessions meanwhile."""
    pooler = poolers(bare, "transaction", size=3)
    over = threading.Event()
    with ThreadPoolExecutor() as pool:
        others = [pool.submit(use, pooler.dsn(bare.database), over) for _ in range(4)]
        try:
            for _ in range(3):
                for said in refused(bare, pooler.dsn(bare.database)):
                    assert "pool_mode = session" in said, said
        finally:
            over.set()
        assert all(each.result() > 20 for each in others)


def test_a_pool_that_is_too_small_is_named(poolers, bare):
    """In session mode, with one session for all that want one."""
    pooler = poolers(bare, "session", size=1)
    done = bare.cli("offsets", "ls", code=3)
    assert f"127.0.0.1 port {pooler.port} has no session" in done.stderr and "pool is too small" in done.stderr

"""Every worker logs in with a role of its own, which may do what it needs (schemas/roles.sql) and no more."""

import os
import re
import subprocess

import psycopg
import pytest
from harness.bars import assert_good, simulate
from harness.pipeline import Pipeline
from harness.secured_database import SecuredServers
from harness.servers import TOP
from harness.simulator import KEY, Simulator
from harness.waiting import wait_until
from local_stack.process import clean_environment

NEVER = 4
GROUPS = ("loader", "orchestrator", "operator", "reader")
DENIED = psycopg.errors.InsufficientPrivilege


@pytest.fixture(scope="module")
def secured(servers):
    """A server of its own: roles are every database's."""
    own = SecuredServers(servers)
    try:
        own.start()
        yield own
    finally:
        own.stop()


class Roles:
    """A pipeline, and a login of each group."""

    def __init__(self, pipeline, secured):
        self.pipeline = pipeline
        self.secured = secured

    def make(self):
        for group in GROUPS:
            self.secured.administer(f"CREATE ROLE {self.login(group)} LOGIN PASSWORD 'of-{group}' IN ROLE penstock_{group}")
        # Nothing that everybody has by PostgreSQL's defaults.
        self.secured.administer(f"REVOKE ALL ON DATABASE {self.pipeline.database} FROM PUBLIC")

    def drop(self):
        for group in GROUPS:
            self.secured.administer(f"DROP ROLE IF EXISTS {self.login(group)}")

    def login(self, group):
        return f"{self.pipeline.database}_{group}"

    def dsn(self, group):
        return self.secured.dsn(self.pipeline.database, user=self.login(group), password=f"of-{group}")

    def file(self, group):
        return self.pipeline.secret(f"dsn-{group}", self.dsn(group))

    def connect(self, group):
        return psycopg.connect(self.dsn(group), autocommit=True)

    def start(self, kind, **environment):
        """One that knows no other way into the database: a worker without a role does not know any."""
        path = self.file(kind) if kind in GROUPS else self.pipeline.secret("none", "host=192.0.2.1")
        return self.pipeline.spawn(kind, environment=environment | {"PENSTOCK_DATABASE_DSN_FILE": path}).wait_ready()

    def start_all(self, **environment):
        for kind in ("orchestrator", "fetcher", "validator", "transformer", "loader"):
            self.start(kind, **environment)

    def cli(self, group, *words, **options):
        return self.pipeline.cli(*words, "--set", f"database.dsn_file={self.file(group)}", **options)


@pytest.fixture
def tables(secured, request, tmp_path_factory):
    """Without topics, which no test of the database alone needs."""
    pipeline = Pipeline(secured, tmp_path_factory.mktemp("pipeline"))
    request.node.pipelines = [pipeline]
    pipeline.cli("db", "migrate")
    yield pipeline
    pipeline.close()


@pytest.fixture
def roles(tables, secured):
    secured.administer("ALTER ROLE penstock CREATEROLE")
    tables.cli("db", "roles", "apply")
    roles = Roles(tables, secured)
    roles.make()
    yield roles
    for worker in tables.workers:
        worker.kill()
    roles.drop()


@pytest.fixture
def pipeline(tables, roles):
    tables.apply_topics()
    return tables


# --- the command -----------------------------------------------------------------------------------------------------


def test_roles_are_made_by_who_may_and_granted_once(tables, secured):
    secured.administer("ALTER ROLE penstock NOCREATEROLE")
    there = secured.administer("SELECT count(*) FROM pg_roles WHERE rolname ~ '^penstock_'") != "0"
    if not there:
        said = tables.cli("db", "roles", "apply", code=NEVER).stderr
        assert "may not make roles" in said and "CREATE ROLE penstock_" in said
    secured.administer("ALTER ROLE penstock CREATEROLE")
    if there:  # `db migrate` granted what it should
        tables.query("REVOKE SELECT ON ohlcv_data FROM penstock_reader")
    wanted = tables.cli("db", "roles", "apply", "--dry-run").stdout
    assert there or wanted.count("GRANT") > 50
    assert tables.cli("db", "roles", "check", code=1).stdout == wanted
    assert tables.cli("db", "roles", "apply").stdout == wanted
    assert tables.cli("db", "roles", "check").stdout == "as they should be\n"
    assert tables.cli("db", "roles", "apply").stdout == "nothing to change\n"


def test_what_the_table_names_is_there(tables, roles):
    """A name in it that nothing has would grant nothing, and nobody would see."""
    listed = tables.cli("db", "roles", "ls").stdout
    names = set(re.findall(r"etl\.[a-z_]+", listed))
    found = {
        name for (name,) in tables.query(
            "SELECT 'etl.' || relname FROM pg_class WHERE relnamespace = 'etl'::regnamespace"
            " UNION SELECT 'etl.' || proname FROM pg_proc WHERE pronamespace = 'etl'::regnamespace"
        )
    }  # fmt: skip
    assert len(names) > 30 and names <= found, names - found
    assert {f"penstock_{group}" for group in GROUPS} == set(re.findall(r"^penstock_[a-z]+", listed, re.M))


def test_what_is_too_much_is_taken_away(tables, roles):
    tables.query("GRANT DELETE ON ohlcv_data TO penstock_reader")
    tables.query("GRANT UPDATE (why) ON etl.expired TO penstock_loader")
    told = tables.cli("db", "roles", "check", code=1).stdout.splitlines()
    assert sorted(told) == [
        "REVOKE DELETE ON TABLE public.ohlcv_data FROM penstock_reader;",
        "REVOKE UPDATE (why) ON TABLE etl.expired FROM penstock_loader;",
    ]
    assert tables.cli("db", "roles", "apply").stdout.splitlines() == told


def test_a_migration_brings_grants_with_it(tables, roles):
    """As one does that makes a table: it is readable for those who read all of them."""
    tables.query("CREATE TABLE etl.made_later (x integer)")
    with roles.connect("orchestrator") as connection:
        with pytest.raises(DENIED):
            connection.execute("SELECT * FROM etl.made_later")
        assert "roles: 1" not in tables.cli("db", "migrate", "--dry-run").stdout
        assert "roles: 2 statements" in tables.cli("db", "migrate").stdout
        assert connection.execute("SELECT * FROM etl.made_later").fetchall() == []


# --- the pipeline ----------------------------------------------------------------------------------------------------


def test_a_pipeline_of_least_roles(pipeline, roles, tmp_path):
    """Loaded, loaded again, letters worked off, replayed beside and dropped, looked at in every way there is."""
    simulate(pipeline, tmp_path, bars=5000, broken=26)
    pipeline.subscribe("bars", tmp_path / "bars.dbn.zst")
    roles.start_all()
    run = pipeline.run()
    assert_good(run, 5000)
    assert run["dead_letters"] == 26
    again = pipeline.run()
    assert (again["balanced"], again["unchanged"]) == (True, run["inserted"])

    pipeline.cli("dlq", "review")
    pipeline.cli("dlq", "replay", "--id", "1", "--follow", "--why", "try", code=None)
    pipeline.cli("dlq", "discard", "--id", "2", "--why", "no use")
    pipeline.cli("dlq", "reopen", "--id", "2", "--why", "of use")
    pipeline.cli("dlq", "resolve", "--id", "3")
    assert pipeline.value("SELECT count(*) FROM etl.dead_letter_states") == 3

    beside = ("replay", "--schema", "ohlcv-1m", "--stage", "clean", "--from", "earliest", "--into", "beside")
    pipeline.cli(*beside, "--follow")
    pipeline.cli("diff", "beside")
    assert pipeline.value("SELECT count(*) FROM ohlcv_data_beside") == run["inserted"]
    pipeline.cli("diff", "beside", "--drop")
    assert pipeline.value("SELECT to_regclass('ohlcv_data_beside')") is None

    pipeline.cli("token", "create", "desk", "--role", "viewer")
    pipeline.cli("token", "revoke", "desk")
    paths = pipeline.api.get("/openapi.json").json()["paths"]
    looked = [path for path, methods in paths.items() if "get" in methods and "{" not in path]
    assert len(looked) > 20
    for path in looked:
        assert pipeline.api.get(path, stream=True).status_code not in (401, 403, 500, 503), path
    assert "ok" in roles.cli("operator", "offsets", "ls").stdout
    assert roles.cli("reader", "db", "migrate", code=NEVER).stderr.count("penstock db roles check") == 1
    assert all(worker.running for worker in pipeline.workers)


def test_a_vendor_that_corrects_and_withdraws(pipeline, roles, tmp_path):
    """Which takes rows away: what the orchestrator may do by the function for that alone."""
    week = {"start": "2024-03-11", "end": "2024-03-16"}
    with Simulator(tmp_path, "--seed", 7) as vendor:
        pipeline.subscriptions = [
            {
                "name": "minutes", "source": "databento", "dataset": "XNAS.ITCH", "schema": "ohlcv-1m",
                "symbols": ["AAPL", "MSFT"], "chunk": "week", "cost_max_usd": 1000, "symbol_mappings": "false",
            } | week
        ]  # fmt: skip
        pipeline.write_subscriptions()
        roles.start_all(DATABENTO_API_KEY=KEY, DATABENTO_GATEWAY=vendor.url)
        first = pipeline.run(seconds=120)
        assert_good(first)
        where = {"dataset": "XNAS.ITCH", "symbol": "AAPL", "modified": "2024-06-01"}
        day = "2024-03-13T15"
        vendor.control("POST", "corrections", **where, start=f"{day}:00:00Z", end=f"{day}:10:00Z")
        vendor.control("POST", "withdrawals", **where, start=f"{day}:20:00Z", end=f"{day}:25:00Z")
        second = pipeline.run(seconds=120)
        assert_good(second)
    assert second["updated"] > 0 and pipeline.value("SELECT sum(withdrawn) FROM etl.withdrawals") > 0
    assert pipeline.value("SELECT count(*) FROM ohlcv_data") < first["inserted"]


def test_one_privilege_less_is_said_and_given_back(pipeline, roles, tmp_path):
    simulate(pipeline, tmp_path, bars=500)
    pipeline.subscribe("bars", tmp_path / "bars.dbn.zst")
    pipeline.query("REVOKE INSERT ON etl.ledger FROM penstock_loader")
    roles.start_all()
    run = pipeline.api.start_run()
    (loader,) = pipeline.of("loader")
    wait_until(lambda: not loader.running, 60, lambda: f"the loader ends:\n{loader.tail()}")
    assert loader.process.returncode == NEVER
    said = loader.events("stopped_by_error")[-1]["message"]
    assert "permission denied for table ledger" in said and "`penstock db roles check` tells which" in said, said
    assert roles.login("loader") in said and pipeline.value("SELECT count(*) FROM ohlcv_data") == 0
    assert pipeline.cli("db", "roles", "check", code=1).stdout == "GRANT INSERT ON TABLE etl.ledger TO penstock_loader;\n"
    pipeline.cli("db", "roles", "apply")
    roles.start("loader")
    assert_good(pipeline.wait_run(run), 500)


def test_the_containers_roles_are_those(secured, tmp_path):
    """What compose's database runs when it is made: twice, as after new passwords; `db migrate` does the rest."""
    compose = os.path.join(TOP, "compose")
    subprocess.run([os.path.join(compose, "setup"), tmp_path], check=True, capture_output=True)
    secrets = tmp_path / "secrets"
    (secrets / "database_password").unlink()
    (secrets / "database_password").write_text(secured.postgres.password() + "\n")
    with open(os.path.join(compose, "initdb.d", "penstock.sh")) as file:
        script = file.read().replace("/run/secrets", str(secrets))
    environment = clean_environment(
        POSTGRES_USER="postgres", PGHOST="127.0.0.1", PGPORT=str(secured.postgres.port), PGPASSFILE=secured.postgres.pgpass
    )
    for _ in range(2):
        done = subprocess.run(["sh"], input=script, env=environment, text=True, capture_output=True)
        assert (done.returncode, done.stdout + done.stderr) == (0, "")

    pipeline = Pipeline(secured, tmp_path, database=False)
    pipeline.cli("db", "migrate", "--set", f"database.dsn_file={pipeline.secret('owner', secured.dsn())}")
    reads = {"loader": "etl.ledger", "orchestrator": "etl.tokens"}
    for login, table in reads.items():
        with psycopg.connect(secured.dsn(user=login, password=(secrets / f"{login}_password").read_text().strip())) as connection:
            assert connection.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,)
            if login == "loader":
                with pytest.raises(DENIED):
                    connection.execute("SELECT * FROM etl.tokens")


# --- what each may not -----------------------------------------------------------------------------------------------

FORBIDDEN = {
    "loader": [
        "SELECT * FROM etl.tokens", "SELECT * FROM etl.audit", "DELETE FROM ohlcv_data", "TRUNCATE ohlcv_data",
        "UPDATE etl.runs SET message = ''", "UPDATE etl.dead_letters SET message = ''", "DELETE FROM etl.dead_letters",
        "DELETE FROM etl.ledger", "CREATE TABLE etl.own (x integer)", "CREATE TABLE public.own (x integer)",
        "SELECT etl.drop_side('ohlcv_data')", "SELECT etl.withdraw(1)", "ALTER TABLE etl.ledger ADD COLUMN x integer",
    ],
    "orchestrator": [
        "DELETE FROM ohlcv_data", "UPDATE ohlcv_data SET volume = 0", "INSERT INTO etl.ledger SELECT * FROM etl.ledger",
        "UPDATE etl.audit SET who = 'nobody'", "DELETE FROM etl.audit", "DELETE FROM etl.runs", "DROP TABLE etl.gaps",
        "INSERT INTO etl.sides SELECT * FROM etl.sides", "SELECT etl.ensure_month('ohlcv_data', '2024-01-01')",
        "DELETE FROM etl.dead_letters", "CREATE TEMP TABLE own (x integer)",
    ],
    "operator": ["SELECT * FROM ohlcv_data", "SELECT * FROM etl.tokens", "DELETE FROM etl.offsets"],
    "reader": [
        "SELECT * FROM etl.tokens", "SELECT * FROM etl.audit", "INSERT INTO ohlcv_data SELECT * FROM ohlcv_data",
        "UPDATE ohlcv_data SET volume = 0", "DELETE FROM etl.runs", "UPDATE etl.offsets SET next_offset = 0",
        "SELECT etl.drop_side('ohlcv_data')", "CREATE TEMP TABLE own (x integer)",
    ],
}  # fmt: skip


@pytest.mark.parametrize("group", GROUPS)
def test_what_a_role_may_not(roles, group):
    with roles.connect(group) as connection:
        for statement in FORBIDDEN[group]:
            with pytest.raises(DENIED):
                connection.execute(statement)


def test_a_function_with_the_owners_rights_drops_no_table_of_rows(roles):
    with roles.connect("orchestrator") as connection, pytest.raises(psycopg.errors.UndefinedObject):
        connection.execute("SELECT etl.drop_side('ohlcv_data')")


def test_an_analyst_reads_rows_and_where_they_are_from(roles):
    with roles.connect("reader") as connection:
        for name in ("ohlcv_data", "market_data", "daily_bars", "by_region.ohlcv_data", "etl.runs", "etl.accounts_to_sum"):
            assert connection.execute(f"SELECT count(*) FROM {name}").fetchone() == (0,)

"""How the database answers what people ask when a lot is there: by indexes, reading about as many rows as it shows.

Each query of the API is run on tables that have grown, with EXPLAIN (ANALYZE): its first page, a later one, and each filter that
leaves little. A file of resources/ without an expectation here fails, as does a parameter that no case gives.
"""

import glob
import os
import re

import psycopg
import pytest
from harness import grown
from harness.pipeline import Pipeline
from harness.servers import TOP
from psycopg.rows import dict_row

ATTEMPTS, LETTERS, BARS = 50_000, 100_000, 400_000
RUN_ATTEMPTS = 20
API = os.path.join(TOP, "stages", "orchestrator", "api")
FEW = 3000  # rows that a page may read of one table where nothing else is said; every table that grows has many more
SMALL = {"etl.offsets", "etl.tokens", "etl.gaps", "etl.alarms", "etl.breakers", "etl.stage_breakers", "etl.database_jobs", "etl.sides", "etl.leader", "etl.dead_letter_counts", "etl.datasets", "etl.calendars"}  # they do not grow with time


@pytest.fixture(scope="module")
def database(servers, tmp_path_factory):
    pipeline = Pipeline(servers, tmp_path_factory.mktemp("pipeline"))
    try:
        pipeline.insist("db", "migrate")
        grown.fill(pipeline, ATTEMPTS, LETTERS, BARS, run_attempts=RUN_ATTEMPTS)
        with psycopg.connect(servers.dsn(pipeline.database), autocommit=True, row_factory=dict_row) as connection:
            yield connection
    finally:
        pipeline.close()


# --- a resource as its file says it ----------------------------------------------------------------------------------------


class Resource:
    def __init__(self, path):
        self.name = os.path.basename(path).removesuffix(".sql")
        with open(path) as file:
            lines = file.read().splitlines()
        head = next(number for number, line in enumerate(lines) if not line.startswith("-- "))
        declared = [line[3:].split(":", 1) for line in lines[1:head]]
        keys = dict(declared)
        self.cursor = [name.strip() for name in keys.get("cursor", "").split(",") if name.strip()]
        self.limit = int(keys["limit"].split()[0]) if "limit" in keys else None
        fixed = {"path", "list", "missing", "role", "stream", "cursor", "limit", "span"}
        self.parameters = {word.split()[0]: word for word in keys if word not in fixed}
        self.sql = "\n".join(lines[head:])

    def values(self, **given):
        """As the API gives them: texts, null for what nobody said, one row more than the page has."""
        fallbacks = {name: word.split("=")[1].strip() for name, word in self.parameters.items() if "=" in word}
        values = dict.fromkeys(self.parameters) | fallbacks | {f"after_{name}": None for name in self.cursor}
        if self.limit:
            values["limit"] = str(self.limit + 1)
        return values | given

    def statement(self):
        known = "|".join(self.values())
        return re.sub(rf"\{{({known})\}}", r"%(\1)s", self.sql.replace("%", "%%"))


RESOURCES = {r.name: r for r in map(Resource, glob.glob(os.path.join(API, "resources", "*.sql")))}


def queries_of(file):
    """The SQL in a C source, by name."""
    with open(os.path.join(API, file)) as source:
        found = re.findall(r'static const char (\w+)_sql\[\] =((?:\s*"(?:[^"\\]|\\.)*")+)', source.read())
    return {name: re.sub(r'"\s*"', "", text.strip())[1:-1].replace('\\"', '"') for name, text in found}


# --- a plan ----------------------------------------------------------------------------------------------------------------


def nodes(plan):
    yield plan
    for each in plan.get("Plans", []):
        yield from nodes(each)


def table_of(node):
    name = re.sub(r"_\d{4}_\d{2}$", "", node["Relation Name"])
    return name if name.endswith("_data") else f"etl.{name}"


def visited(node):
    removed = node.get("Rows Removed by Filter", 0) + node.get("Rows Removed by Index Recheck", 0)
    return (node["Actual Rows"] + removed) * node["Actual Loops"]


def explain(connection, statement, values):
    row = connection.execute("EXPLAIN (ANALYZE, VERBOSE, FORMAT JSON) " + statement, values).fetchone()
    return list(nodes(row["QUERY PLAN"][0]["Plan"]))


def judge(what, plan, budget, whole=()):
    """whole: tables that are read as a whole, because that is the question."""
    read = {}
    for node in plan:
        if node["Node Type"] == "Sort":
            rows = max(each["Actual Rows"] for each in node["Plans"])
            assert rows <= budget, f"{what}: {rows} rows are sorted by {node['Sort Key']}"
        if "Relation Name" not in node:
            continue
        table = table_of(node)
        if table in SMALL or node["Schema"] in ("pg_catalog", "grown"):
            continue
        assert node["Node Type"] != "Seq Scan" or table in whole or node["Actual Loops"] == 0, f"{what}: all of {table} is read: {node}"
        read[table] = read.get(table, 0) + visited(node)
    for table, rows in read.items():
        assert rows <= budget or table in whole, f"{what}: {rows:.0f} rows of {table} are read"


# --- what is expected ------------------------------------------------------------------------------------------------------

DAY, RECENT = "2024-01-05", "-1 hour"  # RECENT: of now
BIG = "9223372036854775807"


class Expected:
    """cases: filters that leave little, beside no filter. whole: tables that the question is about as a whole."""

    def __init__(self, *cases, bare=True, budget=FEW, whole=()):
        self.cases = [{}, *cases] if bare else list(cases)
        self.budget = budget
        self.whole = whole


SPAN = {"subscription": "subscription-03", "symbol": "SYM0007"}
# A day's attempts and letters, and of each symbol the index's first and last entry in a partition.
OF_A_DAY = LETTERS // 10 // 10 + ATTEMPTS // grown.DAYS * 3 + grown.SYMBOLS * 8
LETTER_FILTERS = (
    {"class": "load_errors"}, {"class": "none"}, {"rule": "SYMBOL_UNKNOWN"}, {"rule": "none"}, {"schema": "none"}, {"symbol": "SYM0007"},
    {"symbol": "none"}, {"subscription": "subscription-03"}, {"subscription": "none"}, {"run": "7"}, {"run": "999999"}, {"day": DAY},
    {"day": "1999-01-01"}, {"stage": "loader"}, {"stage": "none"}, {"since": RECENT}, {"above": str(LETTERS - 100)}, {"above": BIG},
    {"new": "true"}, {"state": "new"}, {"state": "seen"}, {"state": "replayed"}, {"state": "resolved"}, {"state": "discarded"},
    {"id": "77"}, {"id": BIG}, {"class": "load_errors", "day": DAY}, {"symbol": "SYM0007", "rule": "SYMBOL_UNKNOWN"},
)  # fmt: skip

EXPECTED = {
    "alarms": Expected(),
    "audit": Expected({"who": "person-7"}, {"who": "none"}, {"action": "token.create"}, {"action": "none"}, {"since": RECENT}),
    "backfills": Expected({"backfill": "7"}, {"hash": "none"}, {"subscription": "none"}, {"subscription": "subscription-03"}),
    "breakers": Expected({"kind": "source"}, {"state": "open"}),
    "coverage": Expected(SPAN, {"symbol": "SYM0007"}, {"symbol": "none"}, {"subscription": "none"}, {"state": "failed"},
                         SPAN | {"from": DAY, "to": DAY}, {"subscription": "subscription-03"}),
    "coverage_days": Expected(SPAN, {"symbol": "SYM0007"}, {"symbol": "none"}, {"subscription": "none"}, {"state": "failed"},
                              SPAN | {"from": DAY, "to": DAY}),
    "database_status": Expected(budget=OF_A_DAY),
    "dead_letter": Expected({"id": "77"}, {"id": BIG}, bare=False),
    "dead_letter_reviews": Expected(),
    "dead_letters": Expected(*LETTER_FILTERS),
    "dead_letters_summary": Expected(
        {"run": "7"}, {"since": RECENT}, {"class": "none"}, {"schema": "none"}, {"class": "none", "error_type": "none", "by": "rule"},
        {"rule": "none"}, {"symbol": "none"}, {"symbol": "SYM0007", "by": "rule"}, {"subscription": "none"}, {"day": "1999-01-01"},
        {"stage": "none"}, {"new": "true", "rule": "none"}, {"state": "resolved"},
        bare=False),
    "errors": Expected({"minutes": "60"}, bare=False, budget=OF_A_DAY),
    "events": Expected({"run": "7"}, {"run": "999999"}, {"state": "failed"}, {"state": "done"}, {"state": "running", "run": "7"}),
    "expired": Expected(),
    "historical": Expected({"symbol": "SYM0007", "start": "2024-02-01", "end": "2024-10-07", "interval": "1d", "dataset": None},
                           {"symbol": "SYM0007", "start": DAY, "end": DAY, "interval": "1m", "dataset": "GLBX.MDP3"},
                           {"symbol": "SYM0007", "start": DAY, "end": DAY, "interval": "1m", "dataset": None, "as_of": RECENT},
                           {"symbol": "none", "start": "2024-01-01", "end": "2024-12-31", "interval": "1m", "dataset": None}, bare=False),
    "ledger_attempts": Expected({"run": "7"}, {"run": "999999"}, {"subscription": "none"}, {"subscription": "subscription-03"}),
    "ledger_outcomes": Expected({"run": "7"}, {"run": "999999"}, bare=False),
    "ledger_subscriptions": Expected({"run": "7"}, {"run": "999999"}, bare=False),
    # Reports: the rows of the days that are asked for are what they look through.
    "quality_bars": Expected({"days": "7"}),
    "quality_instruments": Expected({"days": "7"}),
    "quality_missing_days": Expected({"days": "7"}, {"days": "7", "dataset": "none"}, {"days": "7", "symbol": "SYM0007"},
                                     {"days": "7", "from": "1999-01-01", "to": "1999-01-31", "interval": "1m"}),
    "quality_stored": Expected({"day": None}, budget=OF_A_DAY),
    "quality_tables": Expected({"exact": "false"}, budget=OF_A_DAY),
    "quality_trades": Expected({"days": "7"}),
    "restatements": Expected({"kind": "withdrawn"}, {"kind": "restated"}, {"table": "trades_data"}, {"table": "tbbo_data"}, {"symbol": "SYM0007"},
                             {"symbol": "none"}, {"symbol": "SYM0007", "from": DAY, "to": DAY}, {"from": "1999-01-01", "to": "1999-01-02"},
                             {"run": "7"}, {"run": "999999"}, {"since": RECENT}),
    "runs": Expected({"run": "7"}, {"run": "999999"}, {"kind": "backfill"}, {"kind": "full"}, {"status": "running"}, {"status": "failed"},
                     budget=10 * RUN_ATTEMPTS * 51),
    "sample": Expected({"schema": "ohlcv-1d", "breadth": "20"}, bare=False),  # what its function reads is its own business: test_validate.py
    "sides": Expected({"suffix": "none"}, {"suffix": "none", "schema": "ohlcv-1m", "examples": "2"}, bare=False),
    "symbols": Expected({"subscription": "none"}, budget=20 * FEW),
    "tokens": Expected(),
    "topic_replays": Expected({"stage": "raw"}, {"record_type": "ohlcv"}),
    "withdrawals": Expected({"run": "7"}, {"run": "999999"}, {"subscription": "subscription-03"}, {"subscription": "none"}),
    "why": Expected({"symbol": "SYM0007", "time": "2024-01-01T05:00:00Z"}, {"symbol": "none", "time": "2024-01-01T05:00:00Z"}, bare=False),
}  # fmt: skip


def test_every_resource_has_an_expectation():
    assert RESOURCES.keys() == EXPECTED.keys()
    for name, expected in EXPECTED.items():
        given = {key for case in expected.cases for key in case}
        assert given == RESOURCES[name].parameters.keys() or given == RESOURCES[name].parameters.keys() - {"by"}, name


def recent(connection, value):
    if value != RECENT:
        return value
    return str(connection.execute("SELECT newest + %s::interval AS at FROM grown.size", [RECENT]).fetchone()["at"])


CASES = [(name, case) for name, expected in EXPECTED.items() for case in expected.cases]


@pytest.mark.parametrize("name, case", CASES, ids=[f"{name}-{'-'.join(f'{k}={v}' for k, v in case.items())}" for name, case in CASES])
def test_a_list_reads_what_it_shows(database, name, case):
    resource, expected = RESOURCES[name], EXPECTED[name]
    values = resource.values(**{key: recent(database, value) for key, value in case.items()})
    judge(f"{name} {case}", explain(database, resource.statement(), values), expected.budget, expected.whole)
    rows = database.execute(resource.statement(), values).fetchall()
    if resource.cursor and len(rows) > resource.limit:
        place = {f"after_{member}": str(rows[resource.limit - 1][member]) for member in resource.cursor}
        judge(f"{name} {case}, later", explain(database, resource.statement(), values | place), expected.budget, expected.whole)


def test_a_page_far_behind(database):
    """The cursor is a place in an index: the last pages cost what the first does."""
    for name, place in (
        ("dead_letters", {"after_id": "1000"}), ("ledger_attempts", {"after_attempt": "{first}"}), ("events", {"after_attempt": "{first}"}), ("runs", {"after_run": "100"}),
        ("coverage_days", {"after_subscription": "subscription-18", "after_symbol": "SYM0100", "after_day": "2024-01-01"}),
        ("coverage", {"after_subscription": "subscription-18", "after_symbol": "SYM0100", "after_from": "2024-01-01"}),
        ("audit", {"after_id": "200"}),
    ):  # fmt: skip
        first = database.execute("SELECT attempt FROM etl.attempts ORDER BY attempt OFFSET 1000 LIMIT 1").fetchone()["attempt"]
        values = RESOURCES[name].values(**{key: value.format(first=first) for key, value in place.items()})
        judge(f"{name} far behind", explain(database, RESOURCES[name].statement(), values), EXPECTED[name].budget)


def with_values(sql, *values):
    """$1, $2 as psycopg has them."""
    names = {f"p{number}": value for number, value in enumerate(values, 1)}
    return re.sub(r"\$(\d)", r"%(p\1)s", sql.replace("%", "%%")), names


@pytest.mark.parametrize("name, values, whole", [("status", [], ["etl.runs"]), ("alarms", ["100"], [])])
def test_status(database, name, values, whole):
    """Runs are counted; neither attempts nor letters are."""
    judge(name, explain(database, *with_values(queries_of("status.c")[name], *values)), FEW, whole)


def test_what_is_not_judged_yet(database):
    """The orchestrator asks several times a second: what is open, and what was closed lately."""
    judge("unjudged", explain(database, "SELECT subscription, sum(records) FROM etl.breaker_unjudged GROUP BY 1", None), FEW)


@pytest.mark.parametrize("name", ["attempts", "quotes", "rules"])
@pytest.mark.parametrize("run", ["7", "999999"])
def test_run_show(database, name, run):
    judge(f"{name} of {run}", explain(database, *with_values(queries_of("run.c")[name], run, "1001")), FEW)


def test_letters_are_counted(database):
    """What is kept is what there is, however they come and go."""
    kept = "SELECT coalesce(sum(letters), 0)::bigint AS n FROM etl.dead_letter_counts"
    there = "SELECT count(*) AS n FROM etl.dead_letters"

    def agree():
        return database.execute(kept).fetchone()["n"] == database.execute(there).fetchone()["n"]

    assert agree() and database.execute(kept).fetchone()["n"] == LETTERS
    add = "INSERT INTO etl.dead_letters (class, failed_at) SELECT 'x', now() FROM generate_series(1, %s)"
    for count in range(200):
        database.execute(add, [count % 3])
    assert agree() and database.execute("SELECT count(*) AS n FROM etl.dead_letter_counts").fetchone()["n"] < 100
    with pytest.raises(ZeroDivisionError), database.transaction():
        database.execute(add, [100])
        assert agree()
        raise ZeroDivisionError
    database.execute("DELETE FROM etl.dead_letters WHERE class = 'x'")
    assert agree() and database.execute(kept).fetchone()["n"] == LETTERS


ACCOUNTED = "inserted + updated + unchanged + duplicate + superseded + dead_letters"


def test_accounts_are_what_the_ledger_says(database):
    """Those of closed attempts are kept with them; whoever changes the ledger afterwards is seen all the same."""
    differing = (
        f"SELECT count(*) AS n FROM (TABLE etl.accounts UNION ALL TABLE etl.accounts_to_sum) a CROSS JOIN LATERAL (SELECT coalesce(sum(records), 0) AS records,"
        f" coalesce(sum(records) FILTER (WHERE outcome = 'dead_letter'), 0) AS letters FROM etl.ledger l WHERE l.attempt = a.attempt) l"
        f" WHERE (a.records, {ACCOUNTED}, dead_letters) IS DISTINCT FROM (l.records, l.records, l.letters)"
    )

    def kept(attempt):
        return database.execute("SELECT inserted FROM etl.attempts WHERE attempt = %s", [attempt]).fetchone()["inserted"]

    def set_closed(value, attempt):
        database.execute(f"UPDATE etl.attempts SET closed_at = {value} WHERE attempt = %s", [attempt])

    attempt = database.execute("SELECT attempt FROM etl.attempts ORDER BY attempt LIMIT 1").fetchone()["attempt"]
    assert database.execute(differing).fetchone()["n"] == 0 and kept(attempt) == 100
    for change in (
        "UPDATE etl.ledger SET records = records + 1 WHERE attempt = %s AND outcome = 'dead_letter'",
        "INSERT INTO etl.ledger VALUES (%s, 'etl.clean.ohlcv', 9, 'updated', 7, 0)",
        "INSERT INTO etl.ledger AS l VALUES (%s, 'etl.clean.ohlcv', 9, 'updated', 7, 0)"
        " ON CONFLICT (attempt, topic, partition, outcome) DO UPDATE SET records = l.records + EXCLUDED.records",
        "DELETE FROM etl.ledger WHERE attempt = %s AND outcome = 'updated'",
    ):
        database.execute(change, [attempt])
        assert kept(attempt) is None and database.execute(differing).fetchone()["n"] == 0, change
        set_closed("NULL", attempt)
        set_closed("now()", attempt)
        assert kept(attempt) == 100 and database.execute(differing).fetchone()["n"] == 0, change

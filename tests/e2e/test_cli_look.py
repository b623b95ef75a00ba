"""The command line that looks in: what the API lists, as tables, as JSON and as files; tokens; dead letters."""

import csv
import io
import json
import os
import pty
import re
import shutil
import signal
import subprocess

import fastavro
import psycopg
import pytest
from harness.bars import loaded
from harness.waiting import patient, wait_until
from psycopg import sql

BARS, BROKEN = 300, 13


@pytest.fixture(scope="module")
def once(servers, tmp_path_factory):
    """One pipeline for every test of this file: two runs done, with dead letters."""
    with loaded(servers, tmp_path_factory, runs=2, bars=BARS, broken=BROKEN) as pipeline:
        yield pipeline


def table(text):
    """Lines as dictionaries; columns are at least two blanks apart."""
    head, *lines = text.splitlines()
    names = head.split()
    starts = [match.start() for match in re.finditer(r"\S+", head)]
    assert len(starts) == len(names)
    return names, lines


def test_the_ledger_by_what_one_wants(up):
    run = str(up.done[0]["run"])
    names, (line,) = table(up.cli("ledger", run).stdout)
    assert names[:3] == ["attempt", "run", "subscription"] and names[-1] == "balanced"
    assert line.split()[2:4] == ["bars", "done"] and line.split()[-1] == "yes"
    (found,) = up.cli_json("ledger", run, "--by", "subscription")["subscriptions"]
    assert (found["fetched"], found["balanced"]) == (BARS, True)
    outcomes = up.cli_json("ledger", run, "--by", "outcome")["outcomes"]
    assert sum(row["records"] for row in outcomes) == BARS
    assert "by takes attempt, subscription or outcome" in up.cli("ledger", "--by", "day", code=2).stderr
    last = {str(row["topic"]): row["records"] for row in up.cli_json("ledger", "--by", "outcome")["outcomes"]}
    assert sum(last.values()) == up.done[-1]["fetched"], "of the last run, where none is named"


def test_lists_that_are_empty_say_so(up):
    assert up.cli("coverage").stdout.startswith("nothing is known: ")
    assert up.cli("alarms").stdout == "nothing is wrong\n"
    assert up.cli("why", "NONE", "2024-01-01").stdout.startswith("no table has a row")
    assert up.cli("dlq", "ls", "--symbol", "NONE").stdout == "no dead letters\n"
    assert up.cli_json("alarms") == {"alarms": [], "next_cursor": None}


def test_why_a_row_is_there(up):
    symbol, time = up.query("SELECT symbol, to_char(ts_event, 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"') FROM ohlcv_data LIMIT 1")[0]
    (row,) = up.cli_json("why", symbol, time)["rows"]
    assert (row["subscription"], row["table_name"]) == ("bars", "ohlcv_data")
    lines = dict(line.split(None, 1) for line in up.cli("why", symbol, time).stdout.splitlines() if line[:1].isalpha())
    for name in ("run", "attempt", "subscription", "topic", "partition", "first_offset", "last_offset"):
        assert lines[name] == str(row[name]), name
    assert "rule_sets" in lines and "request" in lines
    assert "its time is missing" in up.cli("why", symbol, code=2).stderr
    assert "time: 'noon' is not a time" in up.cli("why", symbol, "noon", code=2).stderr
    prices = ("open_price", "high_price", "low_price", "close_price")
    stored = up.query("SELECT open_price, high_price, low_price, close_price FROM ohlcv_data WHERE symbol = %s AND ts_event = %s", symbol, time)
    assert [row["row"][name] for name in prices] == [str(price) for price in stored[0]], "exact decimals, as texts"


def test_dead_letters_are_filtered(up):
    rule, symbol = up.query("SELECT rules[1], symbol FROM etl.dead_letters WHERE cardinality(rules) > 0 LIMIT 1")[0]
    wanted = "SELECT count(*) FROM etl.dead_letters WHERE %s = ANY (rules) AND symbol = %s"
    found = up.cli_json("dlq", "ls", "--where", f"rule = '{rule}' and symbol = '{symbol}'")["dead_letters"]
    assert len(found) == up.value(wanted, rule, symbol) > 0
    assert found == up.cli_json("dlq", "ls", "--rule", rule, "--symbol", symbol)["dead_letters"]
    names, lines = table(up.cli("dlq", "ls", "--rule", rule).stdout)
    assert "rules" in names and all(rule in line for line in lines)


@pytest.mark.parametrize(
    "where, said",
    [
        ("rule", "'=' is missing behind rule"),
        ("rule = 'X' or symbol = 'Y'", "'and' is missing"),
        ("rule = 'X", "is not closed"),
        ("= 'X'", "a name is missing"),
        ("rule =", "the value of rule is missing"),
        ("rules = 'X'", "there is no parameter 'rules' here; there are: class, rule"),
        ("symbol = '''; DROP TABLE etl.runs; --'", ""),
    ],
)
def test_where_that_is_none(up, where, said):
    done = up.cli("dlq", "ls", "--where", where, code=None)
    assert said in done.stderr and done.returncode == (2 if said else 0)
    assert up.value("SELECT count(*) FROM etl.runs") >= 2


def test_pages_go_on(up):
    total = up.value("SELECT count(*) FROM etl.dead_letters")
    done = up.cli("dlq", "ls", "--limit", "5")
    assert len(done.stdout.splitlines()) == 6 and "--all, or --cursor " in done.stderr
    cursor = done.stderr.split("--cursor ")[1].strip()
    second = up.cli("dlq", "ls", "--limit", "5", "--cursor", cursor)
    assert not set(second.stdout.splitlines()[1:]) & set(done.stdout.splitlines()[1:])
    every = up.cli("dlq", "ls", "--limit", "5", "--all")
    assert len(every.stdout.splitlines()) == total + 1 and every.stderr == ""


FILTERS = [  # options, and the same as a condition on etl.dead_letters d
    (["--rule", "HIGH_LESS_THAN_LOW"], "'HIGH_LESS_THAN_LOW' = ANY (d.rules)"),
    (["--class", "validation_failures"], "d.class = 'validation_failures'"),
    (["--symbol", "SYM0001"], "d.symbol = 'SYM0001'"),
    (["--subscription", "bars"], "d.attempt IN (SELECT attempt FROM etl.attempts JOIN etl.tasks USING (task) WHERE subscription = 'bars')"),
    (["--subscription", "none"], "false"),
    (["--day", "2024-01-02"], "d.day = '2024-01-02'"),
    (["--run", "1"], "d.attempt IN (SELECT attempt FROM etl.attempts WHERE run = 1)"),
    (["--stage", "validator"], "d.stage = 'validator'"),
    (["--where", "class = 'validation_failures' and run = 1"],
     "d.class = 'validation_failures' AND d.attempt IN (SELECT attempt FROM etl.attempts WHERE run = 1)"),
    (["--symbol", "' OR ''='"], "false"),
]  # fmt: skip


@pytest.mark.parametrize("options, condition", FILTERS, ids=lambda value: " ".join(value) if isinstance(value, list) else "")
def test_lists_counts_and_exports_take_the_same_filters(up, options, condition):
    total = up.value(f"SELECT count(*) FROM etl.dead_letters d WHERE {condition}")
    assert len(up.cli_json("dlq", "ls", "--limit", "1000", *options)["dead_letters"]) == total
    assert sum(row["dead_letters"] for row in up.cli_json("dlq", "summary", *options)["summary"]) == total
    assert len(json.loads(up.cli("dlq", "export", *options).stdout)["validation_failures"]) == total


def test_a_count_comes_in_pages(up):
    whole = up.cli("dlq", "summary", "--by", "message", "--limit", "1000").stdout.splitlines()
    every = up.cli("dlq", "summary", "--by", "message", "--limit", "2", "--all").stdout.splitlines()
    assert [line.split() for line in every] == [line.split() for line in whole] and len(whole) > 5


def test_runs_come_in_pages(up):
    newest = up.value("SELECT max(run) FROM etl.runs")
    done = up.cli("runs", "--limit", "1")
    assert done.stdout.splitlines()[1].split()[0] == str(newest)
    cursor = done.stderr.split("--cursor ")[1].strip()
    assert up.cli("runs", "--limit", "1", "--cursor", cursor).stdout.splitlines()[1].split()[0] == str(newest - 1)
    assert len(up.cli("runs", "--limit", "1", "--all").stdout.splitlines()) == newest + 1
    assert up.cli("runs", "--status", "failed").stdout.startswith("no run: ")
    assert "'fine' is not one of pending|" in up.cli("runs", "--status", "fine", code=2).stderr


@pytest.mark.parametrize(
    "words",
    [
        ["coverage", "--from", "2024-02-01", "--to", "2024-01-01"],
        ["ledger", "first"],
        ["dlq", "ls", "--day", "2024-02-30"],
        ["dlq", "ls", "--limit", "0"],
        ["runs", "--limit", "many"],
        ["quality", "bars", "--days", "-1"],
        ["token", "create", "desk", "--role", "king"],
    ],
)
def test_wrong_words_are_exit_code_2_whoever_finds_them(up, words):
    done = up.cli(*words, code=2)
    assert done.stdout == "" and len(done.stderr.splitlines()) == 1 and "(HTTP 400)" in done.stderr


def test_one_dead_letter(up):
    number = up.value("SELECT max(id) FROM etl.dead_letters WHERE record <> ''")
    shown = up.cli("dlq", "show", str(number)).stdout
    assert f"id                 {number}\n" in shown and "record" in shown and "letter_offset" in shown
    assert up.cli_json("dlq", "show", str(number))["id"] == number
    assert "there is no dead letter 999999999" in up.cli("dlq", "show", "999999999", code=1).stderr
    assert "its id is missing" in up.cli("dlq", "show", code=2).stderr


def test_export_for_other_programs(up, tmp_path):
    total = up.value("SELECT count(*) FROM etl.dead_letters")
    exported = json.loads(up.cli("dlq", "export").stdout)["validation_failures"]
    assert len(exported) == total
    assert {"schema", "symbol", "error_type", "error_message"} <= exported[0].keys()
    assert "BusinessLogicValidation" in {letter["error_type"] for letter in exported}
    lines = list(csv.DictReader(io.StringIO(up.cli("dlq", "export", "--format", "csv").stdout)))
    assert [line["error_message"] for line in lines] == [letter["error_message"] for letter in exported]
    path = tmp_path / "letters.avro"
    done = up.cli("dlq", "export", "--format", "avro", "--output", str(path))
    assert f"{total} dead letters written to {path}" in done.stderr
    with open(path, "rb") as file:
        found = list(fastavro.reader(file))
    assert [letter["error_message"] for letter in found] == [letter["error_message"] for letter in exported]
    assert [int(letter["id"]) for letter in found] == [letter["id"] for letter in exported]
    assert "takes json, csv or avro" in up.cli("dlq", "export", "--format", "xml", code=2).stderr
    missing = str(tmp_path / "none" / "x.json")
    assert f"{missing}: No such file" in up.cli("dlq", "export", "--output", missing, code=4).stderr


def jq(folder, program, *words):
    """Over all files of the folder, as the guides do."""
    paths = sorted(str(path) for path in folder.iterdir())
    done = subprocess.run(["jq", *words, program, *paths], capture_output=True, text=True, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_export_by_day_and_schema(up, tmp_path):
    """Files as the guides name them, which their lines of jq read."""
    (tmp_path / "out").mkdir()
    done = up.cli("dlq", "export", "--to", str(tmp_path / "out"))
    wanted = up.query(
        "SELECT to_char(coalesce(day, failed_at::date), 'YYYYMMDD') || '_ohlcv_' || class || '.json', count(*)"
        " FROM etl.dead_letters GROUP BY 1"
    )
    total = sum(count for _, count in wanted)
    assert done.stdout == "" and f"{total} dead letters written to {len(wanted)} files in " in done.stderr
    found = {path.name: json.loads(path.read_text())["validation_failures"] for path in (tmp_path / "out").iterdir()}
    assert {name: len(letters) for name, letters in found.items()} == dict(wanted)
    assert any(re.fullmatch(r"[0-9]{8}_ohlcv_validation_failures\.json", name) for name in found)
    letters = [letter for name in found for letter in found[name]]
    assert all({"schema", "symbol", "error_type", "error_message"} <= letter.keys() for letter in letters)
    assert {letter["schema"] for letter in letters} == {"ohlcv-1m"}
    up.cli("dlq", "export", "--to", str(tmp_path / "out"), "--class", "validation_failures")
    again = {path.name: json.loads(path.read_text())["validation_failures"] for path in (tmp_path / "out").iterdir()}
    assert again == found


@pytest.mark.skipif(not shutil.which("jq"), reason="jq is not installed")
def test_the_guides_lines_of_jq(up, tmp_path):
    up.cli("dlq", "export", "--to", str(tmp_path))
    total = up.value("SELECT count(*) FROM etl.dead_letters")
    assert sum(jq(tmp_path, ".validation_failures | length")) == total
    (counts,) = jq(
        tmp_path,
        "[.[].validation_failures[]] | group_by(.error_type) | map({key: .[0].error_type, value: length}) | from_entries",
        "-s",
        "-c",
    )
    assert counts == {row["group"]: row["dead_letters"] for row in up.cli_json("quarantine", "analyze")["by_error_type"]}
    said = jq(tmp_path, '.validation_failures[] | select(.error_type == "BusinessLogicValidation") | .error_message')
    assert len(said) == counts["BusinessLogicValidation"] and all(said)
    lines = jq(tmp_path, ".validation_failures[] | [.schema, .symbol, .error_type, .error_message]", "-c")
    assert len(lines) == total


def test_export_stays_in_its_folder(up, tmp_path):
    """A letter that is not ours may name its schema as it likes."""
    up.query(
        "INSERT INTO etl.dead_letters (class, schema, symbol, failed_at) VALUES ('../x', '../../etc/x', 'EVIL', '2024-05-06')"
    )
    try:
        up.cli("dlq", "export", "--to", str(tmp_path), "--symbol", "EVIL")
        assert [path.name for path in tmp_path.iterdir()] == ["20240506_______etc_x____x.json"]
        missing = tmp_path / "none"
        assert f"{missing}: No such file" in up.cli("dlq", "export", "--to", missing, code=4).stderr
    finally:
        up.query("DELETE FROM etl.dead_letters WHERE symbol = 'EVIL'")
    assert "does not go with another format" in up.cli("dlq", "export", "--to", ".", "--format", "csv", code=2).stderr
    assert "does not go with --output" in up.cli("dlq", "export", "--to", ".", "--output", "x", code=2).stderr


def test_quarantine_analyze(up, tmp_path):
    total = up.value("SELECT count(*) FROM etl.dead_letters")
    summary = up.cli_json("quarantine", "analyze", "--days", "7")
    assert summary["total_quarantined_records"] == total
    assert sum(row["dead_letters"] for row in summary["by_error_type"]) == total
    counts = [row["dead_letters"] for row in summary["by_class"]]
    assert counts == sorted(counts, reverse=True)
    assert summary["business_logic_violations"] and summary["by_rule"]
    said = up.cli("quarantine", "analyze").stdout
    assert "\ngroup " in said and max(len(part.splitlines()) for part in said.split("\n\n")) <= 23
    assert f"Total quarantined records: {total}" in said and "business logic violations" in said
    program = [up.program("penstock"), "quarantine", "analyze", "--export-summary"]
    done = subprocess.run(program, cwd=tmp_path, env=up.environment(), capture_output=True, text=True, check=True)
    (name,) = [name for name in os.listdir(tmp_path) if name.startswith("quarantine_summary_")]
    assert json.loads((tmp_path / name).read_text())["total_quarantined_records"] == total and name in done.stderr


def test_what_the_analysis_leaves_out_is_a_command_away(up):
    add = (
        "INSERT INTO etl.dead_letters (class, message, symbol, headers, failed_at) SELECT 'validation_failures', 'm' || n, 'MANY' || n,"
        " '{\"__connect.errors.exception.class.name\": \"BusinessLogicValidation\"}', now() FROM generate_series(1, 1100) AS n"
    )
    try:
        up.query(add)
        lines = up.cli("quarantine", "analyze").stdout.splitlines()
        for title, column in (("business logic violations", "message"), ("by symbol", "symbol")):
            said = next(line for line in lines[lines.index(title) :] if line.startswith("and "))
            counted, command = said.split(" more: penstock ")
            assert counted == "and at least 980"
            head, *found = up.cli(*command.split()).stdout.splitlines()
            groups = {line.split("  ")[0].strip() for line in found}
            assert len(found) > 1000 and {f"{'m' if column == 'message' else 'MANY'}{n}" for n in range(1, 1101)} <= groups
    finally:
        up.query("DELETE FROM etl.dead_letters WHERE symbol LIKE 'MANY%%'")


def test_a_review_and_what_is_new(up):
    up.query("DELETE FROM etl.dead_letter_reviews")
    ids = [i for (i,) in up.query("SELECT id FROM etl.dead_letters ORDER BY id")]
    assert f"reviewed up to dead letter {ids[3]}" in up.cli("dlq", "review", "--up-to", str(ids[3]), "--why", "some").stdout
    new = up.cli_json("dlq", "ls", "--new", "--limit", "1000")["dead_letters"]
    assert sorted(letter["id"] for letter in new) == ids[4:]
    up.cli("dlq", "review")
    assert up.cli("dlq", "ls", "--new").stdout == "no dead letters\n"
    assert [row["why"] for row in up.cli_json("dlq", "reviews")["reviews"]] == ["", "some"]


def test_watch_shows_what_comes(up):
    process = subprocess.Popen(
        [up.program("penstock"), "dlq", "watch", "--json"], env=up.environment(), stdout=subprocess.PIPE, text=True
    )
    try:
        before = up.value("SELECT max(id) FROM etl.dead_letters")
        wait_until(lambda: "penstock" in open(f"/proc/{process.pid}/cmdline").read(), 10, "it runs")
        up.run(["bars"])
        first = json.loads(process.stdout.readline())
        assert first["id"] > before
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(patient(20)) == 0


def test_tokens_from_the_command_line(up, tmp_path):
    secret = up.cli("token", "create", "desk", "--role", "viewer", "--days", "7").stdout.strip()
    assert secret.startswith("pst_") and len(secret) == 68
    listed = {row["name"]: row for row in up.cli_json("token", "ls")["tokens"]}
    assert (listed["desk"]["role"], listed["desk"]["state"]) == ("viewer", "good") and listed["desk"]["expires_at"]
    path = tmp_path / "token"
    path.write_text(secret)
    as_desk = ("--set", f"api.token_file={path}")
    assert up.cli("dlq", "summary", *as_desk).stdout
    assert "this takes the role operator; token desk has viewer" in up.cli("run", "full", *as_desk, code=1).stderr
    assert up.cli("token", "revoke", "desk").stdout == "desk is revoked\n"
    assert "this token was revoked" in up.cli("dlq", "summary", *as_desk, code=2).stderr
    actions = [(row["action"], row["target"]) for row in up.cli_json("audit")["audit"]]
    assert actions[:2] == [("token.revoke", "desk"), ("token.create", "desk")]
    assert "--role" in up.cli("token", "create", "x", code=2).stderr
    assert secret not in up.cli("audit").stdout


def on_a_terminal(up, *words, **environment):
    """What a command prints to a terminal."""
    master, slave = pty.openpty()
    env = up.environment() | {"TERM": "xterm", "PENSTOCK_PAGER": "cat"} | environment
    process = subprocess.Popen([up.program("penstock"), *words], env=env, stdout=slave, stderr=slave, close_fds=True)
    os.close(slave)
    shown = b""
    try:
        while data := os.read(master, 65536):
            shown += data
    except OSError:  # the other end is closed
        pass
    os.close(master)
    assert process.wait(patient(30)) == 0
    return shown.decode()


def test_colours_and_pager_are_for_terminals(up):
    assert "\033[" not in up.cli("dlq", "summary").stdout
    assert "\033[1m" in on_a_terminal(up, "dlq", "summary")
    assert "\033[" not in on_a_terminal(up, "dlq", "summary", NO_COLOR="1")
    paged = on_a_terminal(up, "dlq", "summary", PENSTOCK_PAGER="sed s/^/PAGED/")
    assert "PAGED\033[1m" in paged, "a pager on a terminal shows colours, too"
    assert "\033[" not in on_a_terminal(up, "runs", NO_COLOR="1", PENSTOCK_PAGER="sed s/^/PAGED/")
    assert "PAGED" not in on_a_terminal(up, "dlq", "summary", "--no-pager", PENSTOCK_PAGER="sed s/^/PAGED/")


def test_what_a_letter_says_moves_no_cursor(up):
    """A record's text may hold anything: orders for the terminal are none in a table."""
    up.query(
        "INSERT INTO etl.dead_letters (class, message, symbol, failed_at) VALUES ('decode_errors', %s, 'EVIL', now())",
        "\033[2Jgone\nnext\tline",
    )
    shown = up.cli("dlq", "ls", "--symbol", "EVIL").stdout
    assert "\033" not in shown and len(shown.splitlines()) == 2 and "gone next line" in shown
    up.query("DELETE FROM etl.dead_letters WHERE symbol = 'EVIL'")


NINE = [
    "System Status", "Database", "API", "Storage", "Logs", "Quarantine", "Average Query Time", "Last Ingestion", "Data Integrity",
]  # fmt: skip


def test_the_nine_lines_of_status(up):
    done = up.cli("status", "--comprehensive")
    lines = dict(line.split(": ", 1) for line in done.stdout.splitlines())
    assert list(lines) == NINE
    assert lines["System Status"] == "HEALTHY" and lines["Database"].startswith("Connected (PostgreSQL 1")
    assert lines["API"] == "no vendor's key is configured" and "GB available" in lines["Storage"]
    total, records = up.value("SELECT count(*) FROM etl.dead_letters"), up.value("SELECT sum(records) FROM etl.ledger")
    assert lines["Quarantine"].startswith(f"etl.dlq ({total} dead letters")
    bad = up.value("SELECT sum(records) FROM etl.ledger WHERE outcome = 'dead_letter'")
    assert lines["Data Integrity"].startswith(f"{100 * (1 - bad / records):.2f}% validation success rate")
    assert lines["Last Ingestion"].endswith("+00:00") and lines["Average Query Time"].split("ms")[0]
    found = up.cli_json("status", "--comprehensive")
    assert len(found) == 9 and all(line["ok"] for line in found.values())


def test_the_nine_lines_where_the_database_is_away(up):
    """What the orchestrator says then is no state of the database."""
    alter = sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS {}")
    name = sql.Identifier(up.database)
    other = psycopg.connect(up.servers.dsn(), autocommit=True)
    up.query("SELECT 1")
    other.execute(alter.format(name, sql.Literal(False)))
    try:
        up.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()")
        done = wait_until(lambda: (d := up.cli("status", "--comprehensive", code=None)).returncode == 1 and d, 30, "it is seen")
    finally:
        other.execute(alter.format(name, sql.Literal(True)))
        other.close()
    lines = dict(line.split(": ", 1) for line in done.stdout.splitlines())
    assert list(lines) == NINE and lines["System Status"] == "UNREACHABLE"
    assert lines["Database"].startswith("Unknown: the database is not available") and lines["Quarantine"] == "unknown"
    wait_until(lambda: up.cli("status", "--comprehensive", code=None).returncode == 0, 30, "it is well again")


def test_parts_of_status(up, monkeypatch):
    assert up.cli("status", "--check-db").stdout.startswith("Database: Connected") and len(
        up.cli("status", "--check-db").stdout.splitlines()
    ) == 1
    assert up.cli("status", "--check-api").stdout == "API: no vendor's key is configured\n"
    monkeypatch.setenv("DATABENTO_API_KEY", "db-" + "x" * 29)
    monkeypatch.setenv("DATABENTO_GATEWAY", "http://127.0.0.1:1")
    said = up.cli("status", "--check-api", code=1).stdout
    assert "Databento connection FAILED" in said and "Connection refused" in said
    said = up.cli("status", "--comprehensive", "--set", "api.url=http://127.0.0.1:1", code=1).stdout
    assert "System Status: UNREACHABLE" in said and "is the orchestrator up" in said


def test_an_alarm_is_told(up):
    gap = (
        "INSERT INTO etl.gaps (consumer_group, topic, partition, message) VALUES ('g', 't', 0, 'nothing moves')"
        " ON CONFLICT DO NOTHING"
    )

    def said(*words):
        """The orchestrator takes gaps away that it does not see."""
        up.query(gap)
        return up.cli(*words, code=None)

    try:
        wait_until(lambda: "System Status: ALARM" in (told := said("status", "--comprehensive")).stdout and told.returncode == 1, 30, "an alarm")
        wait_until(lambda: "nothing moves" in said("alarms").stdout, 30, "which one")
    finally:
        up.query("DELETE FROM etl.gaps WHERE topic = 't'")

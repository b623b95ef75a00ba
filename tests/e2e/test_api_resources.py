"""What the API lists: pages, filters, roles, the audit, and the document that describes it all."""

import csv
import io
import json
import os
import subprocess
import sys
from datetime import date, timedelta

import pytest
from harness.bars import loaded
from harness.servers import TOP

BARS, BROKEN = 300, 13
LETTERS = "/api/v1/dead-letters"
TOKENS = "/api/v1/tokens"


@pytest.fixture(scope="module")
def once(servers, tmp_path_factory):
    """One pipeline for every test of this file: some runs done, with dead letters."""
    with loaded(servers, tmp_path_factory, runs=3, bars=BARS, broken=BROKEN) as pipeline:
        yield pipeline


@pytest.fixture
def api(up):
    return up.api


def problem(answer, status, *words):
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"
    said = answer.json()
    assert said["status"] == status and all(word in said["detail"] for word in words), said
    return said


def pages(api, path, name, **parameters):
    """All rows, page by page."""
    while True:
        answer = api.get(path, params=parameters)
        assert answer.status_code == 200, answer.text
        page = answer.json()
        yield page[name]
        if page["next_cursor"] is None:
            return
        parameters["cursor"] = page["next_cursor"]


def rows(api, path, name, **parameters):
    return [row for page in pages(api, path, name, **parameters) for row in page]


# --- lists ---------------------------------------------------------------------------------------------------------------


def test_dead_letters_come_page_by_page(up):
    found = list(pages(up.api, LETTERS, "dead_letters", limit=7))
    ids = [letter["id"] for page in found for letter in page]
    assert ids == [i for (i,) in up.query("SELECT id FROM etl.dead_letters ORDER BY id DESC")] and len(ids) == 3 * BROKEN
    assert {len(page) for page in found[:-1]} == {7}
    whole = up.api.get(LETTERS, params={"limit": 1000}).json()
    assert [letter["id"] for letter in whole["dead_letters"]] == ids and whole["next_cursor"] is None


def test_filters_of_dead_letters_are_those_of_sql(up):
    counted = "SELECT count(*) FROM etl.dead_letters WHERE "
    rule, symbol = up.query("SELECT rules[1], symbol FROM etl.dead_letters WHERE cardinality(rules) > 0 LIMIT 1")[0]
    last = up.done[-1]["run"]
    for parameters, condition, values in (
        ({"rule": rule}, "%s = ANY (rules)", [rule]),
        ({"symbol": symbol, "rule": rule}, "symbol = %s AND %s = ANY (rules)", [symbol, rule]),
        ({"run": last}, "attempt IN (SELECT attempt FROM etl.attempts WHERE run = %s)", [last]),
        ({"subscription": "bars"}, "true", []),
        ({"subscription": "none"}, "false", []),
        ({"class": "decode_errors"}, "class = %s", ["decode_errors"]),
        ({"since": "2020-01-01"}, "true", []),
        ({"since": "2199-01-01T00:00:00Z"}, "false", []),
        ({"symbol": "' OR ''='"}, "false", []),
    ):
        assert len(rows(up.api, LETTERS, "dead_letters", **parameters)) == up.value(counted + condition, *values), parameters


def test_one_dead_letter(up):
    number = up.value("SELECT max(id) FROM etl.dead_letters WHERE record <> ''")
    letter = up.api.get(f"{LETTERS}/{number}").json()
    assert letter["id"] == number and letter["subscription"] == "bars" and letter["run"] in [r["run"] for r in up.done]
    assert letter["error_type"] and letter["headers"]["etl.class"] == letter["class"]
    assert json.loads(letter["record"])["symbol"] == letter["symbol"]
    value, key = up.query("SELECT encode(value, 'base64'), encode(key, 'base64') FROM etl.dead_letters WHERE id = %s", number)[0]
    assert (letter["value"], letter["key"]) == (value.replace("\n", ""), key.replace("\n", ""))
    problem(up.api.get(f"{LETTERS}/{2**62}"), 404, f"there is no dead letter {2**62}")
    problem(up.api.get(f"{LETTERS}/x"), 404, "id: 'x' is not a whole number")


@pytest.mark.parametrize("by", ["class", "error_type", "rule", "message", "schema", "symbol", "day", "subscription"])
def test_the_summary_adds_up(up, by):
    found = up.api.get(f"{LETTERS}/summary", params={"by": by, "limit": 1000}).json()["summary"]
    counts = [row["dead_letters"] for row in found]
    total = up.value("SELECT count(*) FROM etl.dead_letters")
    if by == "rule":
        total = up.value("SELECT sum(cardinality(rules))::bigint FROM etl.dead_letters")
    assert counts == sorted(counts, reverse=True) and sum(counts) == total > 0


def test_the_ledger_of_a_run(up):
    run = up.done[0]
    (attempt,) = rows(up.api, "/api/v1/ledger/attempts", "attempts", run=run["run"])
    (subscription,) = rows(up.api, "/api/v1/ledger/subscriptions", "subscriptions", run=run["run"])
    for name in ("fetched", "inserted", "updated", "unchanged", "duplicate", "superseded", "dead_letters", "in_flight"):
        assert attempt[name] == subscription[name] == run[name], name
    assert attempt["balanced"] is subscription["balanced"] is True
    outcomes = up.api.get("/api/v1/ledger/outcomes", params={"run": run["run"]}).json()["outcomes"]
    assert sum(row["records"] for row in outcomes) == run["fetched"]
    assert {row["outcome"] for row in outcomes} >= {"inserted", "dead_letter"}
    assert up.api.get("/api/v1/ledger/outcomes").json() == up.api.get(f"/api/v1/ledger/outcomes?run={up.done[-1]['run']}").json()
    assert [a["attempt"] for a in rows(up.api, "/api/v1/ledger/attempts", "attempts", limit=1)] == [
        a for (a,) in up.query("SELECT attempt FROM etl.attempts ORDER BY attempt DESC")
    ]


def test_coverage_in_spans_and_days(up):
    first = date(2024, 1, 1)
    up.query("DELETE FROM etl.coverage")
    attempt = up.value("SELECT max(attempt) FROM etl.attempts")
    for symbol in ("A", "B"):
        for n in range(10):
            state = "verified_empty" if n in (5, 6) else "complete"
            up.query(
                "INSERT INTO etl.coverage (subscription, symbol, day, state, records, request, attempt)"
                " VALUES ('s', %s, %s, %s, %s, 'r', %s)",
                symbol, first + timedelta(days=n), state, 0 if n in (5, 6) else 3, attempt,
            )  # fmt: skip
    wanted = [("complete", "2024-01-01", "2024-01-05", 5, 15), ("verified_empty", "2024-01-06", "2024-01-07", 2, 0),
              ("complete", "2024-01-08", "2024-01-10", 3, 9)]  # fmt: skip
    for limit in (1, 2, 100):
        found = rows(up.api, "/api/v1/coverage", "coverage", limit=limit)
        assert [(r["symbol"], (r["state"], r["from"], r["to"], r["days"], r["records"])) for r in found] == [
            (symbol, span) for symbol in ("A", "B") for span in wanted
        ]
    assert len(rows(up.api, "/api/v1/coverage/days", "days", symbol="A", state="complete", limit=3)) == 8
    cut = rows(up.api, "/api/v1/coverage", "coverage", symbol="B", **{"from": "2024-01-03", "to": "2024-01-06"})
    assert [(r["from"], r["to"]) for r in cut] == [("2024-01-03", "2024-01-05"), ("2024-01-06", "2024-01-06")]
    (a, b) = rows(up.api, "/api/v1/symbols", "symbols", limit=1)
    assert (a["symbol"], a["first_day"], a["last_day"], a["days"], b["symbol"]) == ("A", "2024-01-01", "2024-01-10", 8, "B")


def test_why_a_row_is_there(up):
    symbol, time, attempt = up.query(
        "SELECT symbol, to_char(ts_event, 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"'), attempt FROM ohlcv_data LIMIT 1"
    )[0]
    (row,) = up.api.get("/api/v1/why", params={"symbol": symbol, "time": time}).json()["rows"]
    assert (row["table_name"], row["attempt"], row["subscription"]) == ("ohlcv_data", attempt, "bars")
    assert row["run"] in [run["run"] for run in up.done] and row["row"]["symbol"] == symbol
    assert row["request"]["path"].endswith("bars.dbn.zst")
    assert up.api.get("/api/v1/why", params={"symbol": "NONE", "time": time}).json()["rows"] == []
    problem(up.api.get("/api/v1/why", params={"symbol": symbol}), 400, "time")


def test_the_rule_set_that_judged_a_row(up):
    """As the validator says it, once for each attempt; and as every dead letter of the attempt has it."""
    symbol, time = up.query("SELECT symbol, to_char(ts_event, 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"') FROM ohlcv_data LIMIT 1")[0]
    (row,) = up.api.get("/api/v1/why", params={"symbol": symbol, "time": time}).json()["rows"]
    version = up.cli_json("rules", "check", os.path.join(TOP, "stages/validator/rules/ohlcv.yaml"))["version"]
    assert row["rule_sets"] == [version] and version.startswith("ohlcv@")
    assert up.query("SELECT DISTINCT rules_version FROM etl.dead_letters WHERE class = 'validation_failures'") == [(version,)]
    notes = [event for event in (json.loads(line)["value"] for line in up.cli("cat", "etl.events").stdout.splitlines())
             if event["state"] == "running" and event["result"]]  # fmt: skip
    attempts = [attempt for (attempt,) in up.query("SELECT attempt FROM etl.attempts ORDER BY 1")]
    assert sorted(note["attempt"] for note in notes) == attempts
    assert {note["result"] for note in notes} == {json.dumps({"record_type": "ohlcv", "rule_set": version}, separators=(",", ":"))}
    for run in up.done:
        assert up.api.run(run["run"])["rule_sets"] == [{"record_type": "ohlcv", "rule_set": version}]
        assert f"  rules         {version}\n" in up.cli("run", "show", run["run"]).stdout
    workers = {worker for (worker,) in up.query("SELECT worker FROM etl.attempts")}
    assert all(worker for worker in workers) and up.value("SELECT count(*) FROM etl.attempts WHERE state <> 'done'") == 0


def test_where_a_rows_record_stood(up):
    """Of every symbol, and of rows with a symbol of any length: the partition is that of the record in the topic."""
    found = {}
    for message in up.read("etl.clean.ohlcv"):
        found.setdefault(message.key().decode(), []).append((message.partition(), message.offset()))
    first = up.value("SELECT min(attempt) FROM etl.attempts")
    symbols = [symbol for (symbol,) in up.query("SELECT DISTINCT symbol FROM ohlcv_data")]
    assert len(symbols) == 4
    for symbol in symbols:
        time = up.value("SELECT to_char(ts_event, 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"') FROM ohlcv_data WHERE symbol = %s", symbol)
        (row,) = up.api.get("/api/v1/why", params={"symbol": symbol, "time": time}).json()["rows"]
        partition = found[symbol][0][0]
        assert (row["attempt"], row["topic"], row["partition"]) == (first, up.topic("etl.clean.ohlcv"), partition)
        assert row["first_offset"] <= found[symbol][0][1] <= row["last_offset"]
    spans = up.query(
        "SELECT partition, min(first_offset), max(last_offset) FROM etl.ledger WHERE topic LIKE '%%.clean.%%' AND outcome = 'inserted'"
        " AND attempt = %s GROUP BY 1", first,
    )  # fmt: skip
    offsets = sorted({place for places in found.values() for place in places})
    assert all((p, low) in offsets and (p, high) in offsets for p, low, high in spans) and spans
    assert up.value("SELECT count(*) FROM etl.ledger WHERE outcome = 'unchanged' AND first_offset IS NULL") == 0


@pytest.mark.parametrize("count", [1, 6, 7])
def test_a_keys_partition_is_what_kafka_says(up, count):
    """Java's default partitioner, as the client has it, for keys of every length and byte."""
    keys = ["", "A", "ES", "ESH", "ESH4", "ESH4-ESM4", "AAPL  250221C00250000", "005930", "\u00fc\U0001f600x"]
    (said,) = up.query("SELECT array_agg(etl.kafka_partition(k, %s) ORDER BY n) FROM unnest(%s::text[]) WITH ORDINALITY u(k, n)", count, keys)
    assert said[0] == [murmur2(key.encode()) % count for key in keys]


def murmur2(data):
    """org.apache.kafka.common.utils.Utils.murmur2, its sign bit off."""
    mask, m = 0xFFFFFFFF, 0x5BD1E995
    h = 0x9747B28C ^ len(data)
    whole = len(data) // 4 * 4
    for i in range(0, whole, 4):
        k = int.from_bytes(data[i : i + 4], "little") * m & mask
        h = h * m & mask ^ (k ^ k >> 24) * m & mask
    if rest := data[whole:]:
        h = (h ^ int.from_bytes(rest, "little")) * m & mask
    h = (h ^ h >> 13) * m & mask
    return (h ^ h >> 15) & 0x7FFFFFFF


def test_bars_as_json_and_as_csv(up):
    symbol = up.value("SELECT symbol FROM ohlcv_data LIMIT 1")
    path, span = f"/api/v1/historical/{symbol}", {"start": "2024-01-01", "end": "2024-12-31", "interval": "1m"}
    wanted = up.query(
        "SELECT to_char(ts_event, 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"'), close_price::text FROM ohlcv_data WHERE symbol = %s"
        " ORDER BY ts_event", symbol,
    )  # fmt: skip
    data = up.api.get(path, params=span).json()["data"]
    assert [(bar["time"], bar["close"]) for bar in data] == wanted and len(wanted) > 10
    answer = up.api.get(path, params=span | {"format": "csv"})
    assert answer.headers["Content-Type"].startswith("text/csv")
    lines = list(csv.DictReader(io.StringIO(answer.text)))
    assert [(line["time"], line["close"]) for line in lines] == wanted
    assert up.api.get(path, params=span | {"interval": "1d"}).json() == {"data": []}
    problem(up.api.get(path, params={"start": "2024-01-01"}), 400, "end is missing: a date")
    problem(up.api.get(path, params=span | {"format": "xml"}), 400, "json or csv")


def test_many_bars_are_sent_as_they_are_read(up):
    count = 150_000
    up.query("SELECT etl.ensure_month('ohlcv_data', '2023-01-01')")
    up.query(
        'INSERT INTO ohlcv_data (symbol, "interval", ts_event, dataset, open_price, high_price, low_price, close_price,'
        " volume, ticker, session_date, session_basis, attempt, as_of) SELECT 'MANY', '1s',"
        " timestamptz '2023-01-01 00:00:00Z' + n * interval '1 second', 'D', 1, 1, 1, 1, n, 'MANY', '2023-01-01', 'utc', 1, now()"
        " FROM generate_series(0, %s) n", count - 1,
    )  # fmt: skip
    orchestrator = up.of("orchestrator")[0]
    before = orchestrator.resident_bytes()
    data = up.api.get("/api/v1/historical/MANY", params={"start": "2023-01-01", "end": "2023-01-31", "interval": "1s"})
    found = [int(bar["volume"]) for bar in data.json()["data"]]
    assert found == list(range(count))
    assert orchestrator.resident_bytes() - before < 32 * 1024 * 1024 < len(data.content)


# --- what is no parameter ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path, parameters, words",
    [
        (LETTERS, {"clas": "x"}, ["there is no parameter 'clas'", "class, rule, schema"]),
        (LETTERS, {"class": "validation"}, ["class: 'validation' is not one of decode_errors|validation_failures|"]),
        (LETTERS, {"day": "2024-02-30"}, ["day: '2024-02-30' is not a date"]),
        (LETTERS, {"run": "1 OR 1=1"}, ["run: '1 OR 1=1' is not a whole number"]),
        (LETTERS, {"new": "yes"}, ["new: 'yes' is not true or false"]),
        (LETTERS, {"since": "yesterday"}, ["since: 'yesterday' is not a time"]),
        (LETTERS, {"cursor": "AAAA"}, ["cursor", "next_cursor"]),
        (LETTERS, {"cursor": "eHh4AA"}, []),
        (LETTERS, {"limit": "1001"}, ["1 to 1000"]),
        (f"{LETTERS}/summary", {"by": "id"}, ["by: 'id' is not one of class|"]),
        (f"{LETTERS}/1", {"limit": "1"}, ["there is none"]),
        ("/api/v1/coverage", {"from": "2024-01-02", "to": "2024-01-01"}, ["to, 2024-01-01, is before from, 2024-01-02"]),
        ("/api/v1/coverage/days", {"from": "2024-01-02", "to": "2024-01-01"}, ["is before from"]),
        ("/api/v1/historical/X", {"start": "2024-01-02", "end": "2024-01-01"}, ["end, 2024-01-01, is before start, 2024-01-02"]),
        ("/api/v1/coverage", {"state": "done"}, ["state: 'done' is not one of complete|"]),
    ],
)
def test_what_is_none_is_refused_by_name(api, path, parameters, words):
    problem(api.get(path, params=parameters), 400, *words)


# --- roles ---------------------------------------------------------------------------------------------------------------


def token(api, name, role, **more):
    answer = api.post(TOKENS, json={"name": name, "role": role} | more)
    assert answer.status_code == 201, answer.text
    return answer.json()["token"]


def as_token(api, secret):
    return {"Authorization": f"Bearer {secret}"}


def test_roles_may_what_they_may(up):
    api = up.api
    secrets = {role: token(api, f"a-{role}", role) for role in ("viewer", "operator", "admin")}
    wanted = {
        ("GET", "/api/etl/status"): {"viewer", "operator", "admin"},
        ("GET", LETTERS): {"viewer", "operator", "admin"},
        ("POST", f"{LETTERS}/reviews"): {"operator", "admin"},
        ("GET", TOKENS): {"admin"},
        ("GET", "/api/v1/audit"): {"admin"},
        ("DELETE", f"{TOKENS}/nobody"): {"admin"},
    }
    for (method, path), roles in wanted.items():
        for role, secret in secrets.items():
            answer = api.anonymous(method, path, headers=as_token(api, secret))
            if role in roles:
                assert answer.status_code in (200, 201, 404), (method, path, role, answer.text)
            else:
                problem(answer, 403, f"token a-{role} has {role}")
    execute = api.anonymous("POST", "/api/etl/execute-full-pipeline", headers=as_token(api, secrets["viewer"]))
    problem(execute, 403, "operator")


def test_tokens_are_stored_as_digests_only(up):
    secret = token(up.api, "digest", "viewer")
    stored = up.query("SELECT t::text FROM etl.tokens t")
    assert secret not in str(stored) and up.value("SELECT octet_length(sha256) FROM etl.tokens WHERE name = 'digest'") == 32
    assert up.value("SELECT sha256 = sha256(%s::bytea) FROM etl.tokens WHERE name = 'digest'", secret.encode())
    listed = up.api.get(TOKENS).text
    assert "digest" in listed and secret not in listed
    for worker in up.workers:
        assert secret not in worker.log()


def test_tokens_that_are_no_good_any_more(up):
    api = up.api
    secret = token(api, "short", "viewer", days=1)
    assert api.anonymous("GET", LETTERS, headers=as_token(api, secret)).status_code == 200
    up.query("UPDATE etl.tokens SET expires_at = now() - interval '1 second' WHERE name = 'short'")
    problem(api.anonymous("GET", LETTERS, headers=as_token(api, secret)), 401, "expired on")
    secret = token(api, "gone", "viewer")
    assert api.request("DELETE", f"{TOKENS}/gone").status_code == 204
    problem(api.anonymous("GET", LETTERS, headers=as_token(api, secret)), 401, "revoked")
    problem(api.request("DELETE", f"{TOKENS}/gone"), 404, "no token 'gone'")
    problem(api.post(TOKENS, json={"name": "gone", "role": "viewer"}), 409, "gone")
    problem(api.anonymous("GET", LETTERS, headers=as_token(api, "pst_" + "0" * 64)), 401, "nobody knows")


@pytest.mark.parametrize(
    "body, word",
    [
        ({"name": "x"}, "role"),
        ({"role": "viewer"}, "name"),
        ({"name": "a b", "role": "viewer"}, "name"),
        ({"name": "x" * 65, "role": "viewer"}, "name"),
        ({"name": "x", "role": "root"}, "role"),
        ({"name": "x", "role": "viewer", "days": 0}, "days"),
        ({"name": "x", "role": "viewer", "days": "7"}, "days"),
        ({"name": "x", "role": "viewer", "more": 1}, "more"),
        ([], "object"),
    ],
)
def test_a_token_that_is_none(api, body, word):
    problem(api.post(TOKENS, json=body), 400, word)


def test_every_change_is_in_the_audit(up):
    secret = token(up.api, "auditor", "operator")
    headers = as_token(up.api, secret)
    run = up.api.anonymous("POST", "/api/etl/execute-full-pipeline", headers=headers, json={"subscriptions": ["bars"]}).json()
    up.wait_run(run["run"])
    assert up.api.run(run["run"])["requested_by"] == "auditor"
    up.api.anonymous("POST", f"{LETTERS}/reviews", headers=headers, json={"why": "looked"})
    assert up.api.request("DELETE", f"{TOKENS}/auditor").status_code == 204
    by_auditor = rows(up.api, "/api/v1/audit", "audit", who="auditor")
    assert [(row["action"], row["role"]) for row in by_auditor] == [
        ("dead_letters.review", "operator"),
        ("run.create", "operator"),
    ]
    assert by_auditor[1]["target"] == str(run["run"]) and by_auditor[1]["detail"] == {"subscriptions": ["bars"]}
    others = rows(up.api, "/api/v1/audit", "audit", who="configuration")
    assert ("token.revoke", "auditor") in [(row["action"], row["target"]) for row in others]
    assert secret not in json.dumps(others)


def test_what_was_reviewed_is_not_new(up):
    api = up.api
    assert api.post(f"{LETTERS}/reviews", json={"up_to": 0}).status_code == 201
    ids = [letter["id"] for letter in rows(api, LETTERS, "dead_letters")]
    middle = ids[len(ids) // 2]
    up.query("DELETE FROM etl.dead_letter_reviews")
    assert len(rows(api, LETTERS, "dead_letters", new="true")) == len(ids)
    assert api.post(f"{LETTERS}/reviews", json={"up_to": middle, "why": "half"}).json()["up_to"] == middle
    assert [letter["id"] for letter in rows(api, LETTERS, "dead_letters", new="true")] == [i for i in ids if i > middle]
    assert api.post(f"{LETTERS}/reviews").json()["up_to"] == ids[0]
    assert rows(api, LETTERS, "dead_letters", new="true") == []
    assert [row["why"] for row in rows(api, f"{LETTERS}/reviews", "reviews")] == ["", "half"]


# --- the document ----------------------------------------------------------------------------------------------------------


def test_the_document_needs_no_token_and_names_everything(up):
    document = up.api.anonymous("GET", "/openapi.json").json()
    assert document["openapi"] == "3.1.0" and document["info"]["version"]
    operations = {(method, path) for path, item in document["paths"].items() for method in item}
    assert {("get", "/api/v1/dead-letters"), ("post", "/api/v1/dead-letters/reviews"), ("get", "/api/v1/runs/{run}")} <= operations
    letters = document["paths"]["/api/v1/dead-letters"]["get"]
    names = {parameter["name"] for parameter in letters["parameters"]}
    assert {"class", "rule", "cursor", "limit"} <= names
    row = letters["responses"]["200"]["content"]["application/json"]["schema"]["properties"]["dead_letters"]["items"]
    assert row["properties"]["id"] == {"type": ["integer", "null"]} and "message" in row["required"]


def test_schemathesis_finds_nothing(up, tmp_path):
    """Requests that fit the document and such that do not: no 500, no answer that the document does not have."""
    program = os.path.join(os.path.dirname(sys.executable), "st")
    secret = token(up.api, "schemathesis", "admin")
    done = subprocess.run(
        [program, "run", f"{up.api.url}/openapi.json", "-H", f"Authorization: Bearer {secret}", "--checks", "all"]
        + ["--exclude-checks", "positive_data_acceptance,ignored_auth"]
        + ["--exclude-path", "/api/etl/execute-full-pipeline", "--exclude-path", "/health"]
        + ["--phases", "examples,coverage,fuzzing", "--max-examples", "20", "--seed", "5", "--no-color"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]

"""The orchestrator's HTTP API, route by route, seen by requests and by a socket."""

import json
import re
import socket

import pytest
from harness.api import TIMEOUT_SECONDS
from harness.pipeline import Pipeline
from harness.waiting import wait_until
from test_thread import simulate

EXECUTE = "/api/etl/execute-full-pipeline"
RUNS = "/api/v1/runs"
STATUS = "/api/etl/status"
RUN_KEYS = {
    "run", "kind", "status", "held", "balanced", "fetched", "inserted", "updated", "unchanged", "duplicate", "superseded",
    "dead_letters", "in_flight", "skipped", "tasks", "tasks_closed", "created_at", "started_at", "finished_at",
    "message", "checks",
}  # fmt: skip
ATTEMPT_KEYS = {
    "attempt", "task", "subscription", "source", "slot", "state", "fetched", "refused", "skipped", "input_bytes",
    "accounted", "balanced", "message", "path",
}  # fmt: skip
BARS, BROKEN, RUNS_DONE = 300, 13, 4
COMPONENTS = ("executeSymbolSync", "executeAssetEnrichment", "executeReferenceDataBootstrap")
SWITCHES = (*COMPONENTS, "validateAfterExecution", "continueOnComponentFailure")


@pytest.fixture(scope="module")
def once(servers, tmp_path_factory):
    """One pipeline for every test of this file: two subscriptions, some runs done."""
    pipeline = Pipeline(servers, tmp_path_factory.mktemp("pipeline"))
    try:
        folder = tmp_path_factory.mktemp("files")
        for name in ("bars", "more"):
            simulate(pipeline, folder, f"{name}.dbn.zst", bars=BARS, symbols=4, broken=BROKEN, seed=len(name))
            pipeline.subscribe(name, folder / f"{name}.dbn.zst")
        pipeline.prepare().start_all()
        pipeline.done = [pipeline.run(["bars"]) for _ in range(RUNS_DONE)]
        yield pipeline
    finally:
        pipeline.close()


@pytest.fixture
def api(up):
    return up.api


def runs_there(pipeline):
    return pipeline.value("SELECT count(*) FROM etl.runs")


def problem(answer, status, *names):
    """RFC 9457, and what it says names what is wrong."""
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"
    body = answer.json()
    assert body.keys() >= {"type", "title", "status", "detail"} and body["status"] == status and body["title"]
    for name in names:
        assert name in body["detail"], body
    return body


# --- who may ask ---------------------------------------------------------------------------------------------------

ROUTES = [("POST", EXECUTE), ("GET", STATUS), ("GET", RUNS), ("GET", f"{RUNS}/1")]


@pytest.mark.parametrize(("method", "path"), [*ROUTES, ("GET", "/nothing"), ("DELETE", RUNS)])
@pytest.mark.parametrize(
    "header",
    [None, "", "Bearer", "Bearer ", "Bearer wrong", "Basic {token}", "{token}", "Bearer {token}x", "Bearer  {token}"],
)
def test_without_the_token_nothing_is_told(up, method, path, header):
    headers = {} if header is None else {"Authorization": header.format(token=up.token)}
    before = runs_there(up)
    answer = up.api.anonymous(method, path, headers=headers)
    problem(answer, 401)
    assert answer.headers["WWW-Authenticate"].split()[0] == "Bearer"
    assert up.token not in answer.text and runs_there(up) == before


def test_the_scheme_is_no_matter_of_case(up):
    assert up.api.anonymous("GET", STATUS, headers={"Authorization": f"bearer {up.token}"}).status_code == 200


def test_refused_tokens_are_counted(up):
    name = "penstock_orchestrator_http_unauthorized_total"
    before = up.of("orchestrator")[0].metrics()[name]
    up.api.anonymous("GET", STATUS)
    assert up.of("orchestrator")[0].metrics()[name] == before + 1


def test_health_needs_no_token(up):
    answer = up.api.anonymous("GET", "/health")
    assert answer.status_code == 200 and answer.headers["Content-Type"].startswith("application/json")
    assert answer.json() == {
        "status": "healthy",
        "scheduler_running": True,
        "leader": True,
        "database": "connected",
        "kafka": "connected",
    }


# --- metrics -------------------------------------------------------------------------------------------------------

NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
LABELS = r'\{(?:[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\[\\"n])*",?)*\}'
SAMPLE = re.compile(rf"({NAME})({LABELS})? (-?[0-9.e+-]+|NaN|[+-]Inf)$")


def parse_metrics(text):
    """Text format 0.0.4, strictly: HELP and TYPE once and before the samples, names in one block, no sample twice."""
    assert text.endswith("\n")
    kinds, samples, current = {}, {}, None
    for line in text.splitlines():
        if line.startswith("# HELP "):
            current = line.split(" ", 3)[2]
            assert re.fullmatch(NAME, current) and current not in kinds and line.split(" ", 3)[3], line
        elif line.startswith("# TYPE "):
            _, _, name, kinds[current] = line.split(" ")
            assert name == current and kinds[current] in ("counter", "gauge", "histogram", "summary"), line
        else:
            name, labels, value = SAMPLE.fullmatch(line).groups()
            if kinds[current] == "histogram":
                name = re.sub("_(bucket|sum|count)$", "", name)
                labels = line.rsplit(" ", 1)[0].removeprefix(name)
            assert name == current and name in kinds and (name, labels) not in samples, line
            samples[name, labels] = float(value)
    return kinds, samples


def test_every_worker_serves_metrics(up):
    for worker in up.workers:
        answer = worker.get("/metrics")
        assert answer.status_code == 200 and answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
        kinds, samples = parse_metrics(answer.text)
        assert kinds.keys() == {name for name, _ in samples}, "a family without a sample"
        assert all(name.startswith("penstock_") for name in kinds)
        for name, kind in kinds.items():
            assert name.endswith("_total") == (kind == "counter"), name
        assert all(value >= 0 for (name, _), value in samples.items() if kinds[name] == "counter")


def test_metrics_count_what_happened(up):
    _, samples = parse_metrics(up.of("fetcher")[0].get("/metrics").text)
    attempts = up.value("SELECT sum(fetched - refused)::bigint FROM etl.attempts")
    assert samples["penstock_fetcher_records_total", None] == attempts
    _, samples = parse_metrics(up.api.anonymous("GET", "/metrics").text)
    good = up.value("SELECT count(*) FROM etl.runs WHERE status = 'success'")
    assert samples["penstock_orchestrator_runs_finished_total", '{status="success"}'] == good
    assert samples["penstock_orchestrator_leader", None] == 1


@pytest.mark.parametrize("path", ["/metrics", "/health", "/healthz", "/readyz"])
def test_open_paths_take_get_and_head_only(up, path):
    got, head = up.api.anonymous("GET", path), up.api.anonymous("HEAD", path)
    assert (got.status_code, head.status_code) == (200, 200) and head.text == ""
    assert head.headers["Content-Type"] == got.headers["Content-Type"]
    answer = up.api.anonymous("POST", path)
    problem(answer, 405, path)
    assert answer.headers["Allow"] == "GET, HEAD"


# --- where and how -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "//",
        "/nothing",
        "/api",
        "/api/v1",
        "/api/v1/runs/",
        "/api/v1/runs/x",
        "/api/v1/runs/0",
        "/api/v1/runs/-1",
        "/api/v1/runs/1/2",
        "/api/v1/runs/1%20",
        "/api/v1/runs/1;DROP",
        "/api/v1/runs/999999",
        "/api/v1/runs/9223372036854775807",
        "/api/v1/runs/9223372036854775808",
        "/api/v1/runs/99999999999999999999999999",
        "/api/v1/runs/%00",
        "/api/v1/runs/%ff%fe",
        "/api/v1/runs/%22%0a%5c",
        "/API/v1/runs",
        "/api/etl/status/",
        "/api/etl/execute-full-pipelines",
        "/" + "x" * 8000,
    ],
)
def test_what_is_not_there_is_404(api, path):
    problem(api.get(path), 404)


@pytest.mark.parametrize(
    ("path", "allow", "methods"),
    [
        (EXECUTE, {"POST"}, ("GET", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS")),
        (STATUS, {"GET", "HEAD"}, ("POST", "PUT", "DELETE", "PATCH", "OPTIONS")),
        (RUNS, {"GET", "HEAD"}, ("POST", "PUT", "DELETE", "PATCH", "OPTIONS")),
        (f"{RUNS}/1", {"GET", "HEAD"}, ("POST", "PUT", "DELETE", "PATCH", "OPTIONS")),
    ],
)
def test_another_method_is_405_and_told_which(up, path, allow, methods):
    before = runs_there(up)
    for method in methods:
        answer = up.api.request(method, path)
        assert answer.status_code == 405, (method, answer.text)
        assert set(answer.headers["Allow"].split(", ")) == allow
        assert answer.headers["Content-Type"] == "application/problem+json"
    assert runs_there(up) == before


@pytest.mark.parametrize("path", [STATUS, RUNS, f"{RUNS}/1"])
def test_head_is_get_without_its_body(api, path):
    answer = api.request("HEAD", path)
    assert (answer.status_code, answer.text) == (200, "")
    assert answer.headers["Content-Length"] == api.get(path).headers["Content-Length"]


def raw(pipeline, data, answered):
    """Bytes that no client library would send; the answer's first line, or nothing where the server hangs up."""
    with socket.create_connection(("127.0.0.1", pipeline.api_port), TIMEOUT_SECONDS) as connection:
        answer = b""
        try:
            connection.sendall(data)
            while answered and b"\n" not in answer and (part := connection.recv(65536)):
                answer += part
        except ConnectionError:
            pass  # it may hang up in the middle of nonsense
    return answer.split(b"\r\n", 1)[0]


def assert_unharmed(pipeline):
    assert pipeline.of("orchestrator")[0].running
    assert pipeline.api.anonymous("GET", "/health").status_code == 200


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"nonsense\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET /api/v1/runs\x00x HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET ../../etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET http://elsewhere/ HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /" + b"x" * 100_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /health HTTP/1.1\r\n" + b"X: " + b"y" * 100_000 + b"\r\n\r\n",
        b"POST /health HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
        b"POST /health HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\n",
        b"POST /health HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ],
    ids=range(10),
)
def test_bytes_that_are_no_request_are_refused(up, request_bytes):
    first = raw(up, request_bytes, answered=True)
    assert first == b"" or re.match(rb"HTTP/1\.[01] [45]", first), first
    assert_unharmed(up)


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"\r\n\r\n",
        b"GET /health HTTP/1.1\r\nHost:",
        b"POST /health HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc",
        b"POST /health HTTP/1.1\r\nHost: x\r\nContent-Length: 9000000\r\n\r\n" + b"x" * 2_000_000,
        bytes(range(256)),
    ],
    ids=range(5),
)
def test_a_client_that_hangs_up_harms_nobody(up, request_bytes):
    before = runs_there(up)
    raw(up, request_bytes, answered=False)
    assert_unharmed(up)
    assert runs_there(up) == before


# --- asking for a run: what is refused -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "names"),
    [
        ("{", "JSON"),
        ("nonsense", "JSON"),
        ("{} {}", "JSON"),
        ('{"subscriptions": ["bars"], "subscriptions": ["more"]}', "subscriptions"),
        ("\xff\xfe", "JSON"),
        ("[]", "object"),
        ("null", "JSON"),
        ('"bars"', "JSON"),
        ("[" * 10_000, "JSON"),
        ('{"nonsense": true}', "'nonsense'"),
        ('{"Subscriptions": ["bars"]}', "'Subscriptions'"),
        ('{"": 1}', "''"),
        ('{"subscriptions": "bars"}', "subscriptions"),
        ('{"subscriptions": null}', "subscriptions"),
        ('{"subscriptions": []}', "subscriptions"),
        ('{"subscriptions": [1]}', "subscriptions"),
        ('{"subscriptions": ["bars", null]}', "subscriptions"),
        ('{"subscriptions": {"bars": true}}', "subscriptions"),
        *[(f'{{"{switch}": {value}}}', switch) for switch in SWITCHES for value in ('"true"', "1", "null")],
        *[(f'{{"{switch}": true}}', switch) for switch in COMPONENTS],
    ],
)
def test_a_body_that_is_wrong_is_400_and_starts_nothing(up, body, names):
    before = runs_there(up)
    problem(up.api.post(EXECUTE, data=body.encode("latin-1")), 400, names)
    assert runs_there(up) == before


def test_an_unknown_subscription_is_404_and_named(up):
    before = runs_there(up)
    problem(up.api.post(EXECUTE, json={"subscriptions": ["bars", "nothing"]}), 404, "'nothing'")
    assert runs_there(up) == before


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_too_large_is_413(up, chunked):
    before = runs_there(up)
    text = json.dumps({"subscriptions": ["bars"] * 300_000}).encode()
    answer = up.api.post(EXECUTE, data=iter([text[:100_000], text[100_000:]]) if chunked else text)
    problem(answer, 413)
    assert runs_there(up) == before


# --- runs ----------------------------------------------------------------------------------------------------------


def test_a_run_is_accepted_and_located(up):
    answer = up.api.post(EXECUTE)
    assert answer.status_code == 202, answer.text
    run = answer.json()["run"]
    assert answer.json() == {"run": run, "status": "pending"}
    assert answer.headers["Location"] == f"{RUNS}/{run}"
    shown = up.wait_run(run)
    assert (shown["status"], shown["fetched"], shown["tasks"]) == ("success", 2 * BARS, 2)


def test_a_run_shows_its_attempts(up):
    run = up.api.run(up.done[0]["run"])
    assert run.keys() >= RUN_KEYS | {"attempts"}
    (attempt,) = run["attempts"]
    assert attempt.keys() >= ATTEMPT_KEYS
    assert (attempt["subscription"], attempt["source"], attempt["state"]) == ("bars", "file", "done")
    assert (attempt["fetched"], attempt["accounted"], attempt["balanced"]) == (BARS, BARS, True)
    assert attempt["refused"] == 1 and attempt["input_bytes"] > 0 and attempt["path"].endswith("/bars.dbn.zst")
    assert run["created_at"] <= run["started_at"] <= run["finished_at"]


def test_only_the_named_subscriptions_run_and_each_once(up):
    run = up.run(["more", "more"])
    assert [attempt["subscription"] for attempt in run["attempts"]] == ["more"]


def test_runs_are_paged_from_the_newest(up):
    every = [run["run"] for run in up.api.get(RUNS, params={"limit": 500}).json()["runs"]]
    assert every == sorted(every, reverse=True) and len(every) == runs_there(up) >= RUNS_DONE
    seen, parameters = [], {"limit": 3}
    while True:
        page = up.api.get(RUNS, params=parameters).json()
        assert all(run.keys() >= RUN_KEYS for run in page["runs"]) and len(page["runs"]) <= 3
        seen += [run["run"] for run in page["runs"]]
        if page["next_cursor"] is None:
            break
        parameters["cursor"] = page["next_cursor"]
    assert seen == every


@pytest.mark.parametrize("key", ["limit", "cursor"])
@pytest.mark.parametrize("value", ["0", "-1", "x", "1x", "", "1.5", "9223372036854775808", "1 OR 1=1", "\0"])
def test_a_page_out_of_bounds_is_400(api, key, value):
    problem(api.get(RUNS, params={key: value}), 400, key)


def test_the_largest_page(api):
    assert api.get(RUNS, params={"limit": 500}).status_code == 200
    problem(api.get(RUNS, params={"limit": 501}), 400, "limit", "500")


def test_a_list_shows_what_a_single_run_shows(up):
    number = up.done[-1]["run"]
    (listed,) = up.api.get(RUNS, params={"run": number}).json()["runs"]
    single = up.api.run(number)
    assert listed == {key: single[key] for key in listed}


# --- status and switches -------------------------------------------------------------------------------------------


def test_status_counts_runs(up):
    status = up.api.get(STATUS).json()
    assert status.keys() >= {"status", "leader", "runs", "last_run", "in_flight", "dead_letters", "alarms"}
    by_status = dict(up.query("SELECT status, count(*) FROM etl.runs GROUP BY 1"))
    assert status["runs"] == {
        name: by_status.get(name, 0) for name in ("pending", "running", "success", "failed")
    }  # no test leaves a run behind
    assert (status["status"], status["leader"], status["in_flight"], status["alarms"]) == ("idle", True, 0, [])
    newest = up.value("SELECT max(run) FROM etl.runs")
    single = up.api.run(newest)
    assert status["last_run"] == {key: single[key] for key in status["last_run"]}
    assert status["last_run"].keys() >= RUN_KEYS
    assert status["dead_letters"] == up.value("SELECT count(*) FROM etl.dead_letters")


def test_status_before_the_first_run(pipeline):
    pipeline.start("orchestrator")
    status = pipeline.api.get(STATUS).json()
    assert status["last_run"] is None and status["runs"] == {"pending": 0, "running": 0, "success": 0, "failed": 0}
    assert pipeline.api.get(RUNS).json() == {"runs": [], "next_cursor": None}


def test_without_validation_there_are_no_checks(up):
    run = up.run(["bars"], validateAfterExecution=False)
    assert (run["status"], run["balanced"], run["checks"]) == ("success", True, [])
    checked = up.run(["bars"], validateAfterExecution=True)
    assert len(checked["checks"]) >= 3


def test_switches_that_are_off_change_nothing(up):
    run = up.run(["bars"], **dict.fromkeys(COMPONENTS, False), continueOnComponentFailure=True)
    assert (run["status"], run["fetched"]) == ("success", BARS)


@pytest.mark.parametrize("goes_on", [True, False])
def test_continue_on_component_failure(up, tmp_path, goes_on):
    """One file of two is missing: the other is loaded either way; the run failed either way."""
    simulate(up, tmp_path, "good.dbn", bars=100, start="2024-03-04", seed=5 + goes_on)
    up.subscribe("half", [tmp_path / "missing.dbn", tmp_path / "good.dbn"])
    run = up.run(["half"], continueOnComponentFailure=goes_on)
    assert run["status"] == "failed" and "missing.dbn" in run["message"]
    if goes_on:
        assert (run["fetched"], run["balanced"], run["tasks_closed"]) == (100, True, 1)
        assert run["inserted"] + run["unchanged"] == 100


def test_a_run_started_during_another(make_pipeline, tmp_path):
    """Both are followed to their end, and each has its own account."""
    pipeline = make_pipeline().prepare()
    for number, name in enumerate(("first", "second")):
        simulate(pipeline, tmp_path, f"{name}.dbn.zst", bars=20_000, symbols=20, seed=number, start="2024-02-05")
        pipeline.subscribe(name, tmp_path / f"{name}.dbn.zst")
    pipeline.start_all()
    (validator,) = pipeline.of("validator")
    validator.pause()
    try:
        first = pipeline.api.start_run(["first"])
        wait_until(
            lambda: (run := pipeline.api.run(first))["fetched"] == 20_000 and run["status"] == "running", 30, "fetched"
        )
        second = pipeline.api.start_run(["second"])
        wait_until(lambda: pipeline.api.run(second)["status"] == "running", 30, "the second runs beside the first")
        status = pipeline.api.get(STATUS).json()
        assert (status["status"], status["runs"]["running"], status["last_run"]["run"]) == ("running", 2, second)
        assert status["in_flight"] >= 20_000
        assert pipeline.api.run(first)["balanced"] is False
    finally:
        validator.resume()
    for number, name in ((first, "first"), (second, "second")):
        run = pipeline.wait_run(number)
        assert (run["status"], run["balanced"], run["fetched"]) == ("success", True, 20_000), run
        assert [attempt["subscription"] for attempt in run["attempts"]] == [name]

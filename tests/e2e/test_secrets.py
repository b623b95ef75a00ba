"""Secrets are nowhere: they are put in everywhere, everything is made to fail and to talk, then they are looked for."""

import base64
import json
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from harness.bars import simulate
from harness.pipeline import KINDS, Pipeline
from harness.simulator import KEY

DSN = "hush-dsn-4711"
SASL = "hush-sasl-4712"
WRONG = "hush-wrong-4713"
SECRETS = {"database": DSN, "kafka": SASL, "vendor": KEY, "a token that is none": WRONG}


class Echo(BaseHTTPRequestHandler):
    """A vendor's gateway that repeats the key in its error, as some do."""

    def do_GET(self):
        kind, _, word = self.headers.get("Authorization", "").partition(" ")
        key = base64.b64decode(word).decode().rstrip(":") if kind == "Basic" else "none"
        self.server.asked = key
        body = json.dumps({"detail": {"case": "auth_failed", "message": f"the key {key} is not known", "status_code": 401}})
        self.send_response(401)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    do_POST = do_GET

    def log_message(self, *_):
        pass


@pytest.fixture
def echo():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Echo)
    server.asked = None
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


class Traces:
    """Wherever something is said, collected by place."""

    def __init__(self, pipeline):
        self.pipeline = pipeline
        self.texts = {}

    def add(self, place, text):
        self.texts[place] = self.texts.get(place, "") + text

    def call(self, *words):
        done = self.pipeline.cli(*words, code=None)
        self.add("penstock " + " ".join(words), done.stdout + done.stderr)

    def collect(self):
        for worker in self.pipeline.workers:
            self.add(f"the log of {worker.name}", worker.log())
            with open(f"/proc/{worker.pid}/cmdline") as file:
                self.add(f"arguments of {worker.name}", file.read().replace("\0", " "))
            for path in ("/metrics", "/healthz", "/readyz"):
                self.add(f"{worker.name}{path}", worker.get(path).text)
        for topic in ("etl.dlq", "etl.events", "etl.tasks.databento", "etl.tasks.file", "etl.raw.ohlcv"):
            for m in self.pipeline.read(topic):
                self.add(topic, f"{m.key()} {m.headers()} {m.value().decode('latin-1') if m.value() else ''}\n")
        self.add("the database", self.dump())
        document = self.pipeline.api.get("/openapi.json")
        self.add("/openapi.json", document.text)
        for path, methods in document.json()["paths"].items():
            if "get" in methods and "{" not in path:
                self.add(path, self.pipeline.api.get(path).text)

    def dump(self):
        names = self.pipeline.query("SELECT format('%I.%I', schemaname, tablename) FROM pg_tables WHERE schemaname IN ('etl', 'public')")
        rows = [row for (name,) in names for (row,) in self.pipeline.query(f"SELECT t::text FROM {name} t")]
        return "\n".join(rows)

    def found(self, secrets):
        return sorted((what, place) for what, secret in secrets.items() for place, text in self.texts.items() if secret in text)


def play(servers, pipeline, folder, gateway, environment=None):
    """A run that succeeds, one that the vendor refuses, calls that are refused; where secrets were found, and all texts."""
    pipeline.secret("dsn", servers.dsn(pipeline.database) + f" password={DSN}")
    pipeline.configure("kafka", debug="conf,security,broker")
    pipeline.prepare()
    simulate(pipeline, folder, "bars.dbn", bars=100, symbols=2, broken=5, seed=4)
    pipeline.subscribe("bars", folder / "bars.dbn")
    pipeline.subscriptions.append(
        {"name": "minutes", "source": "databento", "dataset": "XNAS.ITCH", "schema": "ohlcv-1m", "symbols": ["AAPL"]}
        | {"start": "2024-03-11", "end": "2024-03-12", "symbol_mappings": "false"}
    )
    pipeline.write_subscriptions()
    environment = (environment or {}) | {
        "PENSTOCK_LOG_LEVEL": "DEBUG",
        "PENSTOCK_LOG_STATUS_S": "1",
        "PENSTOCK_KAFKA_SASL_PASSWORD": SASL,
        "DATABENTO_API_KEY": KEY,
        "DATABENTO_GATEWAY": gateway,
    }
    for kind in KINDS:
        pipeline.spawn(kind, environment=environment)
    for worker in pipeline.workers:
        worker.wait_ready()
    assert pipeline.run(["bars"])["status"] == "success"
    assert pipeline.run(["minutes"])["status"] == "failed"
    traces = Traces(pipeline)
    for words in (("status",), ("runs",), ("run", "show"), ("alarms",), ("dlq", "ls"), ("audit",), ("token", "ls")):
        traces.call(*words)
    traces.call("subscription", "check", "minutes")
    refused = pipeline.api.anonymous("GET", f"/api/v1/runs?token={WRONG}", headers={"Authorization": f"Bearer {WRONG}"})
    assert refused.status_code == 401
    traces.add("a refused answer", refused.text)
    pipeline.of("loader")[0].wait_event("worker_status")
    traces.collect()
    return traces


def test_no_secret_is_anywhere(servers, make_pipeline, tmp_path, echo):
    pipeline = make_pipeline()
    gateway = f"http://127.0.0.1:{echo.server_port}"
    traces = play(servers, pipeline, tmp_path, gateway)
    created = json.loads(pipeline.cli("token", "create", "desk", "--role", "viewer", "--json").stdout)["token"]
    seen = pipeline.api.anonymous("GET", "/api/v1/runs", headers={"Authorization": f"Bearer {created}"})
    assert seen.status_code == 200
    traces.call("token", "ls")
    traces.collect()
    assert echo.asked == KEY, "the gateway had a key that it could repeat"
    said = "".join(text for place, text in traces.texts.items() if place in ("the database", "the log of fetcher-1"))
    assert "the key *** is not known" in said
    assert traces.found(SECRETS | {"the admin's token": pipeline.token, "a viewer's token": created}) == []


def test_the_search_finds_a_secret_that_is_shown(servers, tmp_path_factory, tmp_path, echo, fault_programs):
    """The same with masking left out."""
    pipeline = Pipeline(servers, tmp_path_factory.mktemp("pipeline"), program_folder=fault_programs)
    try:
        defect = {"PENSTOCK_DEFECT": "secrets_shown"}
        traces = play(servers, pipeline, tmp_path, f"http://127.0.0.1:{echo.server_port}", defect)
        found = traces.found(SECRETS)
    finally:
        pipeline.close()
    assert ("vendor", "the log of fetcher-1") in found or ("vendor", "the database") in found, found


# --- where they come from ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("api.token", "hush"),
        ("kafka.sasl.password", "hush"),
        ("kafka.ssl.key.password", "hush"),
        ("database.dsn", "host=nowhere password=hush"),
        ("database.dsn", "postgresql://me:hush@nowhere/db"),
    ],
)
def test_a_secret_in_the_arguments_is_refused(make_pipeline, key, value):
    pipeline = make_pipeline(database=False)
    for program in ("loader", "orchestrator"):
        done = subprocess.run(
            [pipeline.program("penstock-" + program), "--config", pipeline.config_path, "--set", f"{key}={value}", "--check"],
            env=pipeline.environment(),
            text=True,
            capture_output=True,
        )
        assert done.returncode == 2 and "hush" not in done.stdout + done.stderr
        assert f"{key}_file=FILE" in done.stderr and "PENSTOCK_" + key.upper().replace(".", "_") in done.stderr


def test_a_connection_string_without_a_password_is_no_secret(make_pipeline):
    pipeline = make_pipeline(database=False)
    words = ["--config", pipeline.config_path, "--set", "database.dsn=host=nowhere dbname=x", "--show-config"]
    done = subprocess.run([pipeline.program("penstock-loader"), *words], env=pipeline.environment(), capture_output=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("way", ["file", "environment", "argument"])
def test_kafkas_secrets_come_from_files_too(make_pipeline, way):
    pipeline = make_pipeline(database=False)
    path = pipeline.secret("sasl", SASL)
    words, environment = ["--config", pipeline.config_path, "--show-config"], pipeline.environment()
    if way == "file":
        pipeline.configure("kafka", **{"sasl.password_file": path})
    elif way == "environment":
        environment["PENSTOCK_KAFKA_SASL_PASSWORD_FILE"] = path
    else:
        words += ["--set", f"kafka.sasl.password_file={path}"]
    done = subprocess.run([pipeline.program("penstock-loader"), *words], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("kafka.sasl.password")]
    assert line.split()[1] == "********" and SASL not in done.stdout

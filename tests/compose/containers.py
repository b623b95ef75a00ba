"""penstock in containers: compose/ as a user has it, with a project, ports, images and folders of its own."""

import functools
import json
import os
import pathlib
import re
import secrets
import shutil
import subprocess
import time
from contextlib import contextmanager

import psycopg
import requests
from chaos.workload import Workload
from harness.api import Api
from harness.bars import assert_good, key, rows
from harness.servers import TOP
from harness.waiting import wait_until
from local_stack.process import choose_port

COMPOSE = os.path.join(TOP, "compose")
ONCE = ("topics", "tables")
WORKERS = ("orchestrator", "fetcher", "validator", "transformer", "loader")
IMAGES = {
    "PENSTOCK_IMAGE": "penstock:test",
    "KAFKA_IMAGE": "penstock-kafka:test",
    "POSTGRES_IMAGE": "penstock-postgres:test",
}
UP_SECONDS = 1800  # images are built, on a machine that may be slow
READY_SECONDS = 180
RUN_SECONDS = 240
FINAL = ("success", "failed")


def say(text):
    print(f"  {text}", flush=True)


def call(*words, seconds=120, code=0, **options):
    done = subprocess.run(
        words, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=seconds, check=False, **options
    )
    if code is not None:
        assert done.returncode == code, f"{' '.join(words)}: exit code {done.returncode}\n{done.stdout}{done.stderr}"
    return done


def docker(*words, **options):
    return call("docker", *words, **options).stdout


@functools.cache
def compose_command():
    """The plugin (v2), else the program of its own (1.29); None: neither."""
    for words in (["docker", "compose"], ["docker-compose"]):
        if shutil.which(words[0]) and call(*words, "version", code=None).returncode == 0:
            return words
    return None


def why_not():
    """What is missing to start containers; None: nothing."""
    if not shutil.which("docker"):
        return "there is no docker here"
    if call("docker", "info", code=None).returncode != 0:
        return "no Docker engine answers"
    return None if compose_command() else "there is neither docker compose nor docker-compose"


class Containers:
    def __init__(self, folder, *overlays):
        self.folder = pathlib.Path(folder)
        self.project = f"penstocktest{secrets.token_hex(4)}"
        self.files = [os.path.join(COMPOSE, name) for name in ("compose.yaml", *overlays)]
        self.ports = {}
        for name in ("API_PORT", "POSTGRES_PORT"):
            self.ports[name] = choose_port(None, set(self.ports.values()))
        self.subscriptions = []
        self.workload = Workload(self.open_folder("data"))
        shutil.copy(os.path.join(COMPOSE, "config", "penstock.yaml"), self.open_folder("config"))
        self.write_subscriptions()
        call(os.path.join(COMPOSE, "setup"), str(self.folder))
        self.write_env(
            COMPOSE_FILE=":".join(self.files),
            COMPOSE_PROJECT_NAME=self.project,
            DATA_DIR=self.folder / "data",
            CONFIG_DIR=self.folder / "config",
            DATABENTO_URL="http://simulator:8800",
            **{name: os.environ[name] for name in ("BASE_IMAGE",) if os.environ.get(name)},
            **IMAGES,
            **self.ports,
        )
        token = (self.folder / "secrets" / "api_token").read_text().strip()
        self.api = Api(f"http://127.0.0.1:{self.ports['API_PORT']}", token)

    def open_folder(self, name):
        """One that the containers' users may read, too."""
        path = self.folder / name
        path.mkdir(exist_ok=True)
        path.chmod(0o755)
        return path

    def write_env(self, **values):
        path = self.folder / ".env"
        lines = [line for line in path.read_text().splitlines() if line.partition("=")[0] not in values]
        path.write_text("\n".join(lines + [f"{name}={value}" for name, value in values.items()]) + "\n")

    # --- compose -----------------------------------------------------------------------------------------------------
    def compose(self, *words, **options):
        """Without the variables of whoever runs the tests: those of .env are to count."""
        known = re.findall(r"^([A-Z_]+)=", (self.folder / ".env").read_text(), re.M)
        env = {name: value for name, value in os.environ.items() if name not in known}
        files = [word for file in self.files for word in ("-f", file)]
        words = [*compose_command(), "-p", self.project, "--env-file", str(self.folder / ".env"), *files, *words]
        return call(*words, env=env, **options)

    def build(self):
        begin = time.monotonic()
        self.compose("build", seconds=UP_SECONDS)
        say(f"images: built in {time.monotonic() - begin:.0f} s")
        for image in IMAGES.values():
            size = int(docker("image", "inspect", "-f", "{{.Size}}", image))
            say(f"  {image:<26} {size / 1e6:>5.0f} MB")

    def up(self, *words):
        begin = time.monotonic()
        done = self.compose("up", "-d", *words, seconds=UP_SECONDS, code=None)
        assert done.returncode == 0, done.stdout + done.stderr + self.logs()
        wait_until(lambda: self.unready() == [], READY_SECONDS, lambda: f"ready: {self.unready()}\n{self.logs()}")
        return time.monotonic() - begin

    def down(self):
        """Images stay, for the next time."""
        self.compose("down", "-v", "--remove-orphans", code=None)
        left = [docker(what, "ls", "-q", "--filter", f"label=com.docker.compose.project={self.project}", *all_of)
                for what, *all_of in (("container", "-a"), ("volume",), ("network",))]  # fmt: skip
        assert left == ["", "", ""]

    def logs(self):
        return self.compose("logs", "--no-color", "--tail=8", code=None).stdout

    def cli(self, *words, service="orchestrator", **options):
        return self.compose("exec", "-T", service, "penstock", *words, **options).stdout

    # --- containers --------------------------------------------------------------------------------------------------
    def containers(self, service=None):
        """What the engine knows of them, each: docker inspect."""
        labels = [f"label=com.docker.compose.project={self.project}"]
        labels += [f"label=com.docker.compose.service={service}"] if service else []
        ids = docker("ps", "-aq", *[word for label in labels for word in ("--filter", label)]).split()
        return json.loads(docker("inspect", *ids)) if ids else []

    def unready(self):
        """name: state, of all that are not as they should be."""
        found = []
        for each in self.containers():
            service, state = service_of(each), each["State"]
            health = state.get("Health", {}).get("Status")
            good = (state["Status"], state["ExitCode"]) == ("exited", 0) if service in ONCE else health == "healthy"
            if not good:
                found.append(f"{each['Name']}: {state['Status']} {state['ExitCode']} {health}")
        return found

    def crash(self, service):
        """Its first process dies, as by a mistake or by the kernel; the engine starts it again; Docker's own kill would
        be a wish that it stays away. Which container it was.
        """
        victim = self.containers(service)[0]
        words = ("--rm", "--pid=host", "--user=0", "--entrypoint=sh", IMAGES["KAFKA_IMAGE"])
        docker("run", *words, "-c", f"kill -9 {victim['State']['Pid']}")
        return victim

    @contextmanager
    def frozen(self, service):
        """All of it stand still: a run that needs them does not end meanwhile."""
        self.compose("pause", service)
        try:
            yield
        finally:
            self.compose("unpause", service)

    def is_back(self, victim):
        (now,) = json.loads(docker("inspect", victim["Id"]))
        health = now["State"].get("Health", {}).get("Status")
        return now["RestartCount"] > victim["RestartCount"] and health == "healthy"

    # --- runs --------------------------------------------------------------------------------------------------------
    def subscribe(self, name, **entry):
        others = [each for each in self.subscriptions if each["name"] != name]
        self.subscriptions = [*others, {"name": name} | entry]
        self.write_subscriptions()

    def write_subscriptions(self):
        path = self.open_folder("config") / "subscriptions.yaml"
        new = path.with_suffix(".new")
        new.write_text(json.dumps({"subscriptions": self.subscriptions}, indent=1) + "\n")
        new.replace(path)

    def add_bars(self, name, first_day, files=2, bars=5_000, broken=26):
        """Files of made-up bars by the image's simulator, and a subscription to them: how many rows and letters."""
        before = len(self.workload.rows), self.workload.records
        for number in range(files):
            file = f"{name}-{number}.dbn.zst"
            words = ("--rm", f"--user={os.getuid()}", "-v", f"{self.folder / 'data'}:/out", IMAGES["PENSTOCK_IMAGE"])
            options = {"write": f"/out/{file}", "bars": bars, "broken": broken, "seed": f"{number + 1}"}
            options["start"] = str(first_day.replace(month=number + 1))
            docker("run", *words, "simulator", *[f"--{key}={value}" for key, value in options.items()])
            self.workload.add(self.folder / "data" / file)
        self.subscribe(name, source="file", path=f"/data/{name}-*.dbn.zst", symbol_mappings="false")
        rows = len(self.workload.rows) - before[0]
        return rows, self.workload.records - before[1] - rows

    def answer(self, run):
        """The run, None while nobody tells."""
        try:
            answer = self.api.get(f"/api/v1/runs/{run}")
        except requests.RequestException:
            return None
        return answer.json() if answer.status_code == 200 else None

    def wait_run(self, run):
        def final():
            found = self.answer(run)
            return found if found and found["status"] in FINAL else None

        return wait_until(
            final, RUN_SECONDS, lambda: f"run {run} ends: {json.dumps(self.answer(run), indent=1)}\n{self.logs()}"
        )

    def begin_run(self, name):
        return wait_until(lambda: self.try_run(name), 60, "a run can be started")

    def try_run(self, name):
        try:
            return self.api.start_run([name])
        except requests.RequestException:
            return None

    def load(self, name, first_day):
        """A run over new files, begun; what finish() takes."""
        expected = self.add_bars(name, first_day)
        return self.begin_run(name), expected

    def wait_under_way(self, run):
        wait_until(lambda: (found := self.answer(run)) and found["fetched"] > 0, 60, "the run is under way")

    def finish(self, run, expected):
        """expected: what add_bars() said."""
        done = self.wait_run(run)
        assert_good(done, sum(expected))
        assert (done["inserted"], done["dead_letters"]) == expected
        return done

    # --- rows --------------------------------------------------------------------------------------------------------
    def query(self, sql, *values):
        """As the role that penstock itself has, from outside."""
        password = (self.folder / "secrets" / "database_password").read_text().strip()
        with psycopg.connect(
            host="127.0.0.1", port=self.ports["POSTGRES_PORT"], dbname="penstock", user="penstock", password=password
        ) as connection:
            return connection.execute(sql, values or None).fetchall()

    def assert_rows_are_those_of_the_files(self):
        found, expected = sorted(rows(self), key=key), sorted(self.workload.rows.values(), key=key)
        assert found == expected
        classes = [name for letters in self.workload.letters.values() for name in letters.values()]
        letters = self.query("SELECT class, count(*) FROM etl.dead_letters GROUP BY 1")
        assert dict(letters) == {name: classes.count(name) for name in classes}
        say(
            f"rows: {len(found)} in the database, {len(expected)} by the vendor's decoder, no difference;"
            f" letters: {len(classes)}"
        )


def built(folder, *overlays):
    containers = Containers(folder, *overlays)
    containers.build()
    return containers


def service_of(container):
    return container["Config"]["Labels"]["com.docker.compose.service"]

"""ops/local/stack: what it does with workers that end, with stale pid files, with a supervisor that was killed.

The workers are stand-ins: programs of ten lines that are ready at once and end as they are told. Their stack has no
Kafka and no PostgreSQL.
"""

import json
import os
import pathlib
import signal
import subprocess
import sys

import pytest
import yaml

from harness.servers import STACK
from harness.waiting import patient, wait_until
from local_stack.place import Place
from local_stack.process import PidFile, start_time

KINDS = ("orchestrator", "fetcher", "validator", "transformer", "loader")

STAND_IN = """#!{python}
import http.server, json, os, sys
kind = os.path.basename(sys.argv[0]).removeprefix("penstock-")
told = os.path.join(os.path.dirname(sys.argv[0]), "end-" + kind)
if os.path.exists(told):
    with open(told) as file:
        sys.exit(int(file.read()))
class Ready(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
    def log_message(self, *_):
        pass
server = http.server.HTTPServer(("127.0.0.1", 0), Ready)
print(json.dumps({{"event": "http_listening", "context": {{"port": server.server_port}}}}), file=sys.stderr, flush=True)
server.serve_forever()
"""


class StandIns:
    def __init__(self, folder):
        self.folder = str(folder / "stack")
        self.bin = folder / "bin"
        self.bin.mkdir()
        for kind in KINDS:
            self.program("penstock-" + kind, STAND_IN.format(python=sys.executable))
        self.program("penstock", "#!/bin/sh\nexit 0\n")

    def program(self, name, text):
        (self.bin / name).write_text(text)
        (self.bin / name).chmod(0o755)

    def tell(self, kind, code):
        (self.bin / f"end-{kind}").write_text(str(code))

    def stack(self, *arguments, code=0):
        done = subprocess.run(
            [sys.executable, STACK, "--dir", self.folder, *arguments],
            capture_output=True,
            text=True,
            timeout=patient(90),
            env=os.environ | {"PENSTOCK_BIN": str(self.bin)},
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done

    def up(self, *arguments, code=0):
        return self.stack("up", "--only", "workers", "--throwaway", *arguments, code=code)

    def workers(self):
        with open(os.path.join(self.folder, "run", "workers.json")) as file:
            return json.load(file)

    def supervisor(self):
        return PidFile(os.path.join(self.folder, "run", "supervisor.pid"))

    def pids(self):
        return [worker["pid"] for worker in self.workers().values() if worker["pid"]]


@pytest.fixture
def stand_ins(tmp_path):
    made = StandIns(tmp_path)
    yield made
    made.stack("down")


def test_up_twice_is_harmless_and_down_leaves_nothing(stand_ins):
    stand_ins.up()
    before = stand_ins.pids()
    assert len(before) == 5
    stand_ins.up()
    assert stand_ins.pids() == before
    supervisor = stand_ins.supervisor().pid()
    stand_ins.stack("down")
    assert [pid for pid in [supervisor, *before] if start_time(pid)] == []
    assert "nothing was running" in stand_ins.stack("down").stdout


def test_scale_goes_up_and_down_without_touching_the_others(stand_ins):
    stand_ins.up("--scale", "validator=3")
    before = stand_ins.workers()
    assert {"validator-1", "validator-2", "validator-3"} <= set(before)
    stand_ins.up("--scale", "loader=2")
    after = stand_ins.workers()
    assert {name for name in after if name.startswith(("validator", "loader"))} == {
        "validator-1",
        "loader-1",
        "loader-2",
    }
    assert after["validator-1"]["pid"] == before["validator-1"]["pid"]
    assert start_time(before["validator-3"]["pid"]) is None


def test_a_crashed_worker_starts_again(stand_ins):
    stand_ins.up()
    os.kill(stand_ins.workers()["loader-1"]["pid"], signal.SIGKILL)
    wait_until(lambda: stand_ins.workers()["loader-1"]["restarts"] == 1, 10, "the loader's second start")
    wait_until(lambda: stand_ins.workers()["loader-1"]["port"], 10, "the loader listens again")
    assert "1 restarts, last exit code -9" in stand_ins.stack("status", code=1).stdout  # no Kafka, no PostgreSQL here


def test_exit_code_3_is_started_again_with_a_growing_pause(stand_ins):
    stand_ins.up()
    stand_ins.tell("loader", 3)
    os.kill(stand_ins.workers()["loader-1"]["pid"], signal.SIGKILL)
    wait_until(lambda: stand_ins.workers()["loader-1"]["restarts"] >= 2, 20, "a second attempt after exit code 3")
    assert stand_ins.workers()["loader-1"]["exit"] == 3


@pytest.mark.parametrize(("code", "state"), [(2, "wrong configuration"), (4, "gave up"), (0, "ended")])
def test_final_exit_codes_are_left_alone_and_reported(stand_ins, code, state):
    stand_ins.tell("loader", code)
    said = stand_ins.up(code=1).stderr
    assert f"loader-1: {state} (exit code {code})" in said
    assert "log/loader-1.log" in said
    assert stand_ins.workers()["loader-1"]["restarts"] == 0


def test_a_pid_file_of_another_process_is_not_believed(stand_ins):
    stand_ins.up()
    stand_ins.stack("down")
    bystander = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        stale = {"pid": bystander.pid, "start": start_time(bystander.pid) - 1, "boot": "another"}
        for name in ("kafka", "postgres", "supervisor", "loader-1"):
            with open(os.path.join(stand_ins.folder, "run", name + ".pid"), "w") as file:
                json.dump(stale, file)
        stand_ins.stack("down")
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()


def test_workers_of_a_killed_supervisor_are_replaced(stand_ins):
    stand_ins.up()
    orphans = stand_ins.pids()
    os.kill(stand_ins.supervisor().pid(), signal.SIGKILL)
    stand_ins.up()
    assert [pid for pid in orphans if start_time(pid)] == []
    assert len(stand_ins.pids()) == 5


def test_a_worker_whose_program_was_built_anew_is_restarted(stand_ins):
    copy = stand_ins.bin / "copy"
    copy.write_bytes(pathlib.Path(sys.executable).resolve().read_bytes())
    copy.chmod(0o755)
    stand_ins.program("penstock-loader", STAND_IN.format(python=copy))
    stand_ins.up()
    before = stand_ins.workers()
    copy.unlink()
    stand_ins.program("penstock-loader", STAND_IN.format(python=sys.executable))
    stand_ins.up()
    after = stand_ins.workers()
    assert after["loader-1"]["pid"] != before["loader-1"]["pid"]
    assert start_time(before["loader-1"]["pid"]) is None
    assert after["fetcher-1"]["pid"] == before["fetcher-1"]["pid"]


def test_a_missing_program_is_named_before_anything_starts(stand_ins):
    (stand_ins.bin / "penstock-loader").unlink()
    assert "penstock-loader is not there; build it first: make" in stand_ins.up(code=1).stderr
    assert stand_ins.supervisor().pid() is None


def test_the_number_of_brokers_is_that_of_the_data(stand_ins):
    """Topics are on as many as there were when they were made."""
    stand_ins.up("--brokers", "3")
    data = pathlib.Path(stand_ins.folder) / "kafka" / "data"
    data.mkdir(parents=True)
    (data / "meta.properties").write_text("cluster.id=A\n")
    stand_ins.up()
    stand_ins.up("--brokers", "3")
    said = stand_ins.up("--brokers", "1", code=1).stderr
    assert "this stack has 3 of Kafka's brokers" in said and "down --purge" in said
    assert [part["name"] for part in json.loads(stand_ins.stack("status", "--json", code=1).stdout)["parts"]][:4] == [
        "kafka",
        "kafka-2",
        "kafka-3",
        "postgres",
    ]


def test_a_configuration_is_told_of_other_brokers(tmp_path):
    place = Place(str(tmp_path))
    place.ports = place.preferred()
    place.make()
    place.write_config({})
    with open(place.config, "a") as file:
        file.write("loader: {batch.ms: 100}\n")
    place.settle_brokers(3)
    place.ports = place.preferred()
    place.write_config(dict(place.ports))
    written = yaml.safe_load(pathlib.Path(place.config).read_text())
    assert written["kafka"]["bootstrap.servers"] == "127.0.0.1:19092,127.0.0.1:19094,127.0.0.1:19096"
    assert written["topics"]["replication_factor"] == 3 and written["loader"] == {"batch.ms": 100}

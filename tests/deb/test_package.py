"""The Debian package in a fresh image: installed, booted with real servers behind it, removed. In this order."""

import glob
import json
import os
import re
import subprocess

import pytest
from harness.image import make_image
from harness.pipeline import KINDS
from harness.servers import TOP
from harness.waiting import wait_until

SECONDS = 60
BARS = 500
ORDER = ("orchestrator", "loader", "transformer", "validator", "fetcher")
FIRST = [f"penstock-{kind}@1.service" for kind in ORDER]
CREDENTIALS = "/etc/penstock/credentials"
TOKEN_FILE = "/root/token"


@pytest.fixture(scope="module")
def package():
    found = glob.glob(os.path.join(TOP, "build", "deb", "penstock_*.deb"))
    assert len(found) == 1, f"`make deb` makes one package, not {found}"
    return found[0]


@pytest.fixture(scope="module")
def image(package, tmp_path_factory):
    image = make_image(tmp_path_factory.mktemp("image"))
    try:
        subprocess.run(["cp", package, image.path("/root/penstock.deb")], check=True)
        yield image
    finally:
        image.close()


def install(image):
    image.run("apt-get", "-qq", "install", "--no-install-recommends", "-y", "/root/penstock.deb")


def show(image, unit, *names):
    """Properties of a unit; those that are whole numbers as such."""
    said = image.run("systemctl", "show", "--property", ",".join(names), unit)
    values = dict(line.split("=", 1) for line in said.splitlines())
    found = [int(values[name]) if values[name].isdigit() else values[name] for name in names]
    return found[0] if len(found) == 1 else found


def wait_active(image, unit):
    wait_until(
        lambda: show(image, unit, "ActiveState") == "active",
        SECONDS,
        lambda: f"{unit} is active:\n{image.run('journalctl', '--no-pager', '-n', '20', '-u', unit)}",
    )


# --- the package -----------------------------------------------------------------------------------------------------
def test_lintian_has_nothing_to_say(package):
    [changes] = glob.glob(os.path.join(TOP, "build", "deb", "*.changes"))
    done = subprocess.run(
        ["lintian", "--allow-root", "--fail-on", "error,warning", changes], capture_output=True, text=True, timeout=300
    )
    assert (done.returncode, done.stdout) == (0, "")


def test_installing_brings_all_of_it_and_enables_nothing(image):
    install(image)
    assert re.fullmatch(r"penstock \d+\.\d+\.\d+\n", image.run("penstock", "--version"))
    for kind in KINDS:
        assert image.run(f"penstock-{kind}", "--check").endswith("configuration is good\n")
    assert "ohlcv" in image.run("penstock", "schema", "ls")
    assert image.run("id", "-nu", "penstock") == "penstock\n"
    units = image.run("systemctl", "list-unit-files", "--no-legend", "penstock*").splitlines()
    assert [line.split()[1] for line in units] == ["disabled"] * 12
    assert [name for name in image.files() if name.startswith("/etc/systemd/system/") and "penstock" in name] == []


def test_removing_leaves_what_is_the_users_and_a_purge_nothing(image):
    image.run("apt-get", "-qq", "purge", "-y", "penstock")
    before = image.files()
    assert [name for name in before if "penstock" in name] == ["/root/penstock.deb"]
    install(image)
    image.write(f"{CREDENTIALS}/api.token", "secret\n", 0o600)
    image.write("/etc/penstock/penstock-loader.env", "PENSTOCK_LOG_LEVEL=debug\n")
    image.write("/srv/bars.dbn", "mine\n")
    image.run("systemctl", "enable", "penstock.target", "penstock-setup", "penstock-loader.target", "penstock-loader@2")
    installed = image.files()
    image.run("apt-get", "-qq", "remove", "-y", "penstock")
    left = image.files()
    kept = {name for name in installed if name.startswith(("/etc/penstock", "/srv"))}
    assert kept <= left and {f"{CREDENTIALS}/api.token", "/etc/penstock/penstock.yaml", "/srv/bars.dbn"} <= kept
    assert [name for name in left if "penstock" in name and not name.startswith(("/etc/", "/root/", "/var/lib/"))] == []
    image.run("apt-get", "-qq", "purge", "-y", "penstock")
    assert image.files() - before == {"/srv/bars.dbn"} and before <= image.files()
    assert image.read("/srv/bars.dbn") == "mine\n"


# --- booted ----------------------------------------------------------------------------------------------------------
def configure(image, servers):
    name = servers.unique("deb")
    servers.create_database(name)
    port = servers.free_port()
    dsn = re.sub(r"host=\S+", "host=127.0.0.1", servers.dsn(name))
    secrets = ((f"{CREDENTIALS}/database.dsn", dsn), (f"{CREDENTIALS}/api.token", "image"), (TOKEN_FILE, "image"))
    for path, text in secrets:
        image.write(path, text + "\n", 0o600)
    config = {
        "kafka": {"bootstrap.servers": servers.kafka},
        "topics": {"prefix": f"{name}."},
        "api": {"url": f"http://127.0.0.1:{port}"},
        "orchestrator": {"http": {"port": port}, "subscriptions": "/etc/penstock/subscriptions.yaml"},
    }
    image.write("/etc/penstock/penstock.yaml", json.dumps(config))
    subscription = {"name": "bars", "source": "file", "path": "/srv/bars.dbn", "symbol_mappings": "false"}
    image.write("/etc/penstock/subscriptions.yaml", json.dumps({"subscriptions": [subscription]}))
    simulator = os.path.join(TOP, "build", "bin", "penstock-simulator")
    write = [simulator, f"--write={image.path('/srv/bars.dbn')}", f"--bars={BARS}"]
    subprocess.run(write, check=True, stdout=subprocess.DEVNULL)


@pytest.fixture(scope="module")
def machine(image, servers):
    """The image, installed and booted; nothing of it was started."""
    install(image)
    configure(image, servers)
    yield image.boot()
    image.shut_down()


def run_full(machine):
    penstock = ("env", f"PENSTOCK_API_TOKEN_FILE={TOKEN_FILE}", "penstock", "run")
    machine.run(*penstock, "full", "--follow")
    return json.loads(machine.run(*penstock, "show", "--json"))


def test_each_kind_starts_when_those_that_read_from_it_are_ready(machine):
    assert machine.run("systemctl", "list-units", "--no-legend", "penstock*") == ""
    machine.run("systemctl", "start", "penstock-setup")
    machine.run("systemctl", "start", "penstock.target")  # returns when all are
    began = {unit: show(machine, unit, "ExecMainStartTimestampMonotonic") for unit in FIRST}
    ready = {unit: show(machine, unit, "ActiveEnterTimestampMonotonic") for unit in FIRST}
    for before, unit in zip(FIRST, FIRST[1:], strict=False):
        assert 0 < ready[before] <= began[unit], (before, unit)
    assert [show(machine, unit, "ActiveState", "StatusText", "User") for unit in FIRST] == [
        ["active", "ready", "penstock"]
    ] * len(FIRST)


def test_a_run_under_systemd(machine):
    run = run_full(machine)
    assert (run["status"], run["balanced"], run["inserted"]) == ("success", True, BARS), run
    uid = machine.run("id", "-u", "penstock").strip()
    units = [f"_SYSTEMD_UNIT={unit}" for unit in FIRST]
    lines = machine.run("journalctl", "--boot", "--no-pager", "-o", "cat", *units, f"_UID={uid}").splitlines()
    assert [line for line in lines if not line.startswith("{")] == []
    assert {json.loads(line)["component"] for line in lines} == set(KINDS)


def test_a_killed_worker_is_started_again_alone(machine):
    before = {unit: show(machine, unit, "MainPID") for unit in FIRST}
    machine.run("systemctl", "kill", "--signal=KILL", "penstock-loader@1")
    wait_until(lambda: show(machine, "penstock-loader@1", "NRestarts") == 1, SECONDS, "the loader is started again")
    wait_active(machine, "penstock-loader@1")
    after = {unit: show(machine, unit, "MainPID") for unit in FIRST}
    assert [unit for unit in FIRST if before[unit] != after[unit]] == ["penstock-loader@1.service"]
    assert run_full(machine)["unchanged"] == BARS


@pytest.mark.parametrize(
    ("kind", "file", "text"),
    [
        ("transformer", "/etc/penstock/penstock-transformer@1.env", "PENSTOCK_TRANSFORMER_BATCH_MS=soon\n"),
        ("orchestrator", f"{CREDENTIALS}/api.token", "\n"),
    ],
)
def test_a_mistake_in_the_configuration_is_not_tried_again(machine, kind, file, text):
    unit = f"penstock-{kind}@1.service"
    before = machine.read(file) if os.path.exists(machine.path(file)) else ""
    machine.write(file, text)
    machine.run("systemctl", "restart", unit, code=1)
    assert show(machine, unit, "SubState", "ExecMainStatus", "NRestarts") == ["failed", 2, 0]
    machine.write(file, before)
    machine.run("systemctl", "start", unit)
    assert show(machine, unit, "SubState") == "running"


def test_more_of_a_kind_are_enabled_beside_the_first(machine):
    pid = show(machine, "penstock-validator@1", "MainPID")
    machine.run("systemctl", "enable", "--now", "penstock-validator@2", "penstock-validator@3")
    machine.run("systemctl", "reload", "penstock-validator@1")
    machine.run("systemctl", "restart", "penstock-validator@3")
    found = [show(machine, f"penstock-validator@{n}", "SubState", "Result", "MainPID") for n in (1, 2, 3)]
    assert [each[:2] for each in found] == [["running", "success"]] * 3
    assert found[0][2] == pid and len({each[2] for each in found}) == 3


def last(lines, beginning):
    return max(number for number, line in enumerate(lines) if line.startswith(beginning + " "))


def test_stopping_goes_the_other_way_round(machine):
    machine.run("systemctl", "stop", "penstock.target")
    units = [*FIRST, "penstock-validator@2.service", "penstock-validator@3.service"]
    for unit in units:
        wait_until(lambda one=unit: show(machine, one, "ActiveState") == "inactive", SECONDS, f"{unit} has ended")
    said = machine.run("journalctl", "--no-pager", "-o", "cat", "_PID=1").splitlines()
    said = said[last(said, f"Stopping {FIRST[-1]}") :]
    told = {unit: last(said, f"Stopping {unit}") for unit in units}
    gone = {unit: last(said, f"Stopped {unit}") for unit in units}
    assert [line for line in said if "Failed" in line or "killed" in line] == []
    for unit, before in zip(FIRST, FIRST[1:], strict=False):
        assert gone[before] < told[unit], (before, unit)
    assert max(gone[unit] for unit in units[5:]) < told["penstock-transformer@1.service"]


def test_what_is_enabled_runs_after_a_boot(machine):
    machine.run("systemctl", "enable", "penstock.target", "penstock-setup")
    machine.shut_down()
    machine.boot()
    for unit in ["penstock.target", *FIRST, "penstock-validator@2.service", "penstock-validator@3.service"]:
        wait_active(machine, unit)
    assert show(machine, "penstock-setup", "Result", "ExecMainStatus") == ["success", 0]
    assert show(machine, "penstock-setup", "ExecMainExitTimestampMonotonic") <= show(
        machine, FIRST[0], "ExecMainStartTimestampMonotonic"
    )
    assert show(machine, "penstock-validator@4", "ActiveState") == "inactive"


def names_of_processes(machine):
    return machine.run("sh", "-c", "cat /proc/[0-9]*/comm 2>/dev/null", code=None)


def test_removing_ends_every_worker_first(machine):
    assert "penstock-loader\n" in names_of_processes(machine)
    machine.run("apt-get", "-qq", "purge", "-y", "penstock")
    assert "penstock" not in names_of_processes(machine)
    assert machine.run("systemctl", "list-units", "--no-legend", "penstock*", code=None) == ""
    assert [name for name in machine.files() if "penstock" in name] == ["/root/penstock.deb"]

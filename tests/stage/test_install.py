"""`make install`: what lies where, that it works without the checkout, and what systemd thinks of the units."""

import os
import re
import shutil
import subprocess

import pytest
from harness.bars import assert_good
from harness.pipeline import KINDS
from harness.servers import TOP
from harness.waiting import patient

MAKE_SECONDS = 300
EXPOSURE_MAX = 1.5
SERVICES = [f"penstock-{kind}@.service" for kind in KINDS] + ["penstock-setup.service"]
UNITS = SERVICES + [f"penstock-{kind}.target" for kind in KINDS] + ["penstock.target"]
ORDER = ("orchestrator", "loader", "transformer", "validator", "fetcher")  # who reads is there before who writes


def make(*arguments):
    """As its own call, not as a part of the `make test` that called this."""
    environment = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")}
    done = subprocess.run(
        ["make", "-s", *arguments], cwd=TOP, env=environment, capture_output=True, text=True, timeout=MAKE_SECONDS
    )
    assert done.returncode == 0, done.stdout + done.stderr


def files_below(folder):
    return sorted(
        os.path.relpath(os.path.join(where, name), folder) for where, _, names in os.walk(folder) for name in names
    )


class Installed:
    """A prefix of its own, which the units name."""

    def __init__(self, prefix):
        self.prefix = str(prefix)
        self.arguments = (f"PREFIX={self.prefix}", f"SYSCONFDIR={self.prefix}/etc")
        self.programs = os.path.join(self.prefix, "bin")
        self.etc = os.path.join(self.prefix, "etc", "penstock")
        self.units = os.path.join(self.prefix, "etc", "systemd", "system")
        make("install", *self.arguments)

    def unit(self, name):
        return os.path.join(self.units, name)

    def settings(self, name, key):
        """The words of all lines `key=` of a unit."""
        with open(self.unit(name)) as file:
            return [word for line in file if line.startswith(key + "=") for word in line.split("=", 1)[1].split()]

    def analyze(self, *arguments):
        return subprocess.run(
            ["systemd-analyze", *arguments],
            env=os.environ | {"MANPATH": os.path.join(self.prefix, "share", "man"), "SYSTEMD_LOG_LEVEL": "warning"},
            capture_output=True,
            text=True,
            timeout=patient(120),
        )


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    return Installed(tmp_path_factory.mktemp("prefix"))


@pytest.fixture
def systemd():
    if not shutil.which("systemd-analyze"):
        pytest.skip("units: skipped (there is no systemd-analyze here)")


# --- files -----------------------------------------------------------------------------------------------------------
def test_files_stand_where_a_machine_looks_for_them(tmp_path):
    make("install", f"DESTDIR={tmp_path}", "PREFIX=/usr")
    found = files_below(tmp_path)
    programs = ["penstock", *(f"penstock-{kind}" for kind in KINDS)]
    assert [name for name in found if name.startswith("usr/bin/")] == sorted(f"usr/bin/{name}" for name in programs)
    units = "usr/lib/systemd/system/"
    assert [name for name in found if name.startswith(units)] == sorted(
        units + name for name in [*UNITS, "penstock-.service.d/50-common.conf"]
    )
    expected = {
        "etc/penstock/penstock.env",
        "etc/penstock/penstock.yaml",
        "etc/penstock/subscriptions.yaml",
        "usr/lib/sysusers.d/penstock.conf",
        "usr/share/bash-completion/completions/penstock",
        "usr/share/doc/penstock/systemd.md",
        "usr/share/man/man1/penstock.1",
        "usr/share/zsh/site-functions/_penstock",
        *(f"usr/share/man/man8/penstock-{kind}.8" for kind in KINDS),
    }
    assert expected <= set(found)
    assert os.stat(tmp_path / "etc/penstock/credentials").st_mode & 0o777 == 0o700
    for name in found:
        if not name.startswith("usr/bin/"):
            text = (tmp_path / name).read_text()
            assert not re.search("@[A-Z]+@", text) and str(tmp_path) not in text and TOP not in text, name


def test_what_was_edited_stays_and_all_else_can_go(tmp_path):
    installed = Installed(tmp_path)
    config = tmp_path / "etc/penstock/penstock.yaml"
    config.write_text("# mine\n")
    make("install", *installed.arguments)
    assert config.read_text() == "# mine\n"
    make("uninstall", *installed.arguments)
    left = [f"etc/penstock/{name}" for name in ("penstock.env", "penstock.yaml", "subscriptions.yaml")]
    assert files_below(tmp_path) == left


def test_the_examples_are_good_for_every_program(installed, tmp_path):
    environment = {"PENSTOCK_CONFIG": os.path.join(installed.etc, "penstock.yaml")}
    with open(os.path.join(installed.etc, "penstock.env")) as file:
        lines = re.findall(r"^#?(PENSTOCK_[A-Z_]+)=(.+)$", file.read(), re.M)
    assert lines
    for kind in KINDS:
        done = subprocess.run(
            [os.path.join(installed.programs, f"penstock-{kind}"), "--check", "--show-config"],
            env=environment | dict(lines),
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=patient(30),
        )
        assert done.returncode == 0, done.stdout + done.stderr
        shown = dict(re.findall(r"^(\S+)\s+(\S+)\s+# (?:/|PENSTOCK)", done.stdout, re.M))
        assert shown["kafka.bootstrap.servers"] == "127.0.0.1:9092" and shown["log.level"] == "debug"


def test_the_programs_name_nothing_of_the_checkout(installed, tmp_path):
    """Beside what is there for a debugger."""
    for name in os.listdir(installed.programs):
        plain = tmp_path / name
        subprocess.run(["strip", "-o", plain, os.path.join(installed.programs, name)], check=True)
        assert TOP.encode() not in plain.read_bytes(), name


def test_a_run_by_installed_programs(installed, make_pipeline, tmp_path):
    pipeline = make_pipeline(program_folder=installed.programs).prepare()
    simulator = os.path.join(TOP, "build", "bin", "penstock-simulator")
    subprocess.run([simulator, f"--write={tmp_path}/bars.dbn", "--bars=300"], check=True, stdout=subprocess.DEVNULL)
    pipeline.subscribe("bars", tmp_path / "bars.dbn")
    pipeline.start_all()
    assert_good(pipeline.run(), fetched=300)


# --- units -----------------------------------------------------------------------------------------------------------
def test_systemd_has_nothing_to_say_about_the_units(installed, systemd):
    done = installed.analyze("verify", *map(installed.unit, UNITS))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_systemd_would_find_a_mistake_in_them(installed, systemd, tmp_path):
    for name in UNITS:
        shutil.copy(installed.unit(name), tmp_path)
    wrong = tmp_path / SERVICES[0]
    wrong.write_text(wrong.read_text().replace(installed.programs, "/nowhere/bin"))
    assert "/nowhere/bin" in installed.analyze("verify", "--man=no", str(wrong)).stderr


def exposure(installed, unit):
    done = installed.analyze(
        "security", "--offline=true", "--no-pager", f"--threshold={int(EXPOSURE_MAX * 10)}", installed.unit(unit)
    )
    return float(re.search(r"Overall exposure level for \S+: ([0-9.]+)", done.stdout)[1]), done.returncode


@pytest.mark.parametrize("unit", SERVICES)
def test_a_worker_may_do_little(installed, systemd, unit):
    level, code = exposure(installed, unit)
    assert level <= EXPOSURE_MAX and code == 0


def test_it_is_the_common_part_that_keeps_them_from_it(installed, systemd, tmp_path):
    shutil.copytree(installed.prefix, tmp_path / "other", dirs_exist_ok=True)
    bare = Installed.__new__(Installed)
    bare.prefix, bare.units = str(tmp_path), str(tmp_path / "other" / "etc" / "systemd" / "system")
    os.unlink(bare.unit("penstock-.service.d/50-common.conf"))
    level, code = exposure(bare, "penstock-loader@.service")
    assert level > 5 and code != 0


def test_each_kind_waits_for_those_that_read_from_it(installed):
    for before, kind in zip(ORDER, ORDER[1:], strict=False):
        assert f"penstock-{before}.target" in installed.settings(f"penstock-{kind}@.service", "After")
    for kind in ORDER:
        service, target = f"penstock-{kind}@.service", f"penstock-{kind}.target"
        assert installed.settings(service, "Type") == ["notify"]
        assert installed.settings(service, "Before") == installed.settings(service, "WantedBy") == [target]
        assert installed.settings(target, "Wants") == [f"penstock-{kind}@1.service"]
        for key in ("Wants", "After"):
            assert target in installed.settings("penstock.target", key)

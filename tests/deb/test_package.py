"""The Debian package in a fresh image: installed, removed. In this order."""

import glob
import os
import re
import subprocess

import pytest
from harness.image import make_image
from harness.pipeline import KINDS
from harness.servers import TOP

CREDENTIALS = "/etc/penstock/credentials"


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

"""ops/local's smaller tools: install where nothing is missing, demo with a wrong DATA, subscribe."""

import os
import socket
import subprocess
import sys
import threading
import time

import pytest

from harness.servers import TOP
from harness.waiting import patient
from local_stack.process import choose_port

LOCAL = os.path.join(TOP, "ops", "local")


def call(*arguments, env=None):
    return subprocess.run(
        arguments, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=patient(60), env=os.environ | (env or {})
    )


@pytest.mark.alone
def test_install_does_nothing_where_nothing_is_missing():
    begin = time.monotonic()
    done = call(os.path.join(LOCAL, "install"), "run", "test")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert time.monotonic() - begin < 5


def test_install_names_an_unknown_group():
    done = call(os.path.join(LOCAL, "install"), "everything")
    assert done.returncode == 1
    assert "no group everything; there are: build, run, test, fuzz, lint" in done.stderr


@pytest.mark.parametrize("data", ["none/*.dbn.zst", "none.dbn"])
def test_demo_with_data_that_matches_nothing_ends_before_anything_starts(tmp_path, data):
    path = str(tmp_path / data)
    done = call(os.path.join(LOCAL, "demo"), env={"DATA": path, "YES": ""})
    assert (done.returncode, done.stdout) == (1, "")
    assert f"DATA={path} matches no file" in done.stderr


ENTRY = '  - name: {}\n    source: file\n    path: "{}"\n'


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("subscriptions: []\n", "subscriptions:\n" + ENTRY.format("a", "/x/*")),
        ("# mine\nsubscriptions:\n" + ENTRY.format("b", "/y"), None),
        ("subscriptions:\n" + ENTRY.format("a", "/old") + ENTRY.format("b", "/y"), None),
    ],
)
def test_subscribe_touches_its_own_entry_only(tmp_path, before, after):
    file = tmp_path / "subscriptions.yaml"
    file.write_text(before)
    assert call(os.path.join(LOCAL, "subscribe"), str(file), "a", "source=file", "path=/x/*").returncode == 0
    text = file.read_text()
    assert text.count("name: a\n") == 1
    assert ENTRY.format("a", "/x/*") in text
    assert "/old" not in text
    if after:
        assert text == after
    else:
        assert ENTRY.format("b", "/y") in text
        assert ("# mine" in text) == ("# mine" in before)


def test_subscribe_says_what_to_add_where_it_cannot(tmp_path):
    file = tmp_path / "subscriptions.yaml"
    file.write_text("{subscriptions: []}\n")
    done = call(os.path.join(LOCAL, "subscribe"), str(file), "a", "source=file", "path=/x/*")
    assert done.returncode == 1
    assert "has no line `subscriptions:`" in done.stderr
    assert file.read_text() == "{subscriptions: []}\n"


def test_without_a_network_the_step_and_its_log_are_named(tmp_path):
    """Maven is sent to a proxy that is not there, with nothing fetched before."""
    closed = "-Dhttps.proxyHost=127.0.0.1 -Dhttps.proxyPort=1 -Dhttp.proxyHost=127.0.0.1 -Dhttp.proxyPort=1"
    done = call(
        os.path.join(LOCAL, "install"),
        "run",
        env={"XDG_CACHE_HOME": str(tmp_path), "MAVEN_OPTS": f"{closed} -Dmaven.repo.local={tmp_path}/repository"},
    )
    said = done.stdout + done.stderr
    assert done.returncode == 1
    assert "fetching Kafka" in said and "is the network there" in said and "install.log" in said, said
    assert not list((tmp_path / "penstock").glob("kafka-*")), "half of a download must not look like a whole one"


def test_without_java_it_is_named(tmp_path):
    stack = os.path.join(LOCAL, "stack")
    done = call(sys.executable, stack, "--dir", str(tmp_path / "s"), "up", "--only", "kafka", env={"PATH": "/nowhere"})
    said = done.stdout + done.stderr
    assert done.returncode == 1 and "java" in said.lower(), said


def test_a_port_of_ours_is_waited_for():
    """A server that was killed is gone a moment before its port is free; its clients know no other."""
    held = socket.socket()
    held.bind(("127.0.0.1", 0))
    held.listen()
    port = held.getsockname()[1]
    assert choose_port(port, set()) != port
    threading.Timer(0.3, held.close).start()
    assert choose_port(port, set(), 20) == port

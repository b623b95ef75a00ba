"""`penstock ready`: the health check of a container, which has no shell."""

from harness.waiting import wait_until

NOWHERE = "127.0.0.1:1"


def port_of(worker):
    wait_until(lambda: worker.port, 30, "the worker listens")
    return worker.port


def test_a_worker_that_is_ready(pipeline):
    worker = pipeline.prepare().start("validator")
    assert pipeline.cli("ready", "--set", f"http.port={worker.port}").stdout == "ready\n"
    assert pipeline.cli("ready", f"http://127.0.0.1:{worker.port}/readyz").stdout == "ready\n"


def test_what_is_missing_is_said(pipeline):
    worker = pipeline.spawn("validator", "--set", f"kafka.bootstrap.servers={NOWHERE}")
    done = pipeline.cli("ready", "--set", f"http.port={port_of(worker)}", code=1)
    assert "waiting for the broker (HTTP 503)" in done.stderr and done.stdout == ""


def test_nobody_answers(pipeline):
    assert NOWHERE in pipeline.cli("ready", f"http://{NOWHERE}/readyz", code=3).stderr


def test_a_port_has_to_be_known(pipeline):
    assert "http.port is 0" in pipeline.cli("ready", code=2).stderr
    assert "'more'" in pipeline.cli("ready", "a", "more", code=2).stderr

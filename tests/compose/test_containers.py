"""The containers, started as a user would: a full ETL, more of some, containers that die, the rows that the
vendor's decoder reads. `make test-compose`; no part of `make test`.
"""

import time
from datetime import date

import pytest
from containers import IMAGES, ONCE, WORKERS, built, call, docker, say, service_of
from harness.bars import assert_good, rows
from harness.waiting import wait_until

SCALE = {"validator": 3, "loader": 2}
# Who dies in the middle of a run, and then the next.
VICTIMS = ("loader", "validator", "transformer", "fetcher", "orchestrator", "kafka", "postgres")


@pytest.fixture(scope="module")
def stack(tmp_path_factory):
    containers = built(tmp_path_factory.mktemp("containers"), "postgres.yaml")
    try:
        containers.seconds = containers.up()
        yield containers
    finally:
        containers.down()


def memory(containers):
    names = [each["Name"].removeprefix("/") for each in containers.containers() if service_of(each) not in ONCE]
    lines = docker("stats", "--no-stream", "--format", "{{.Name}} {{.MemUsage}}", *names).splitlines()
    for line in sorted(lines):
        say("  " + line.replace(containers.project, "").lstrip("_-"))


def kill_one_in_the_middle(stack, service, first_day):
    expected = stack.add_bars(f"without-{service}", first_day)
    with stack.frozen("transformer" if service == "loader" else "loader"):
        run = stack.begin_run(f"without-{service}")
        begin = time.monotonic()
        stack.wait_under_way(run)
        victim = stack.crash(service)
    done = stack.finish(run, expected)
    wait_until(lambda: stack.is_back(victim), 120, f"{service} was started again")
    seconds = time.monotonic() - begin
    say(f"killed {service:<13} in run {run}: {done['fetched']} records, balanced, after {seconds:.0f} s")


def test_a_full_etl(stack):
    say(f"up: every container healthy after {stack.seconds:.0f} s, images there, volumes new")
    done = stack.finish(*stack.load("first", date(2010, 1, 4)))
    say(f"run: {done['fetched']} records, balanced; memory then:")
    memory(stack)
    stack.assert_rows_are_those_of_the_files()


def test_loading_again_changes_nothing(stack):
    done = stack.wait_run(stack.begin_run("first"))
    assert_good(done)
    assert done["inserted"] == 0 and done["unchanged"] == len(stack.workload.rows)
    stack.workload.letters |= {f"again {path}": letters for path, letters in stack.workload.letters.items()}
    stack.assert_rows_are_those_of_the_files()


def test_the_command_line_is_there(stack):
    assert "idle" in stack.cli("status")
    assert stack.cli("topics", "check").strip().endswith("0 differences")
    assert stack.cli("ready", service="validator") == "ready\n"


def test_containers_may_do_little(stack):
    containers = stack.containers()
    assert {service_of(each) for each in containers} == {*WORKERS, *ONCE, "kafka", "postgres"}
    for each in containers:
        host = each["HostConfig"]
        assert host["ReadonlyRootfs"] and host["CapDrop"] == ["ALL"], each["Name"]
        assert host["SecurityOpt"] == ["no-new-privileges:true"] and not host["Privileged"]
        assert host["Memory"] > 0 and host["NanoCpus"] > 0 and host["PidsLimit"] > 0
        assert each["Config"]["User"] not in ("", "0", "root")


def test_secrets_are_files(stack):
    """Neither the engine's records nor the programs' environment hold one."""
    secrets = [path.read_text().strip() for path in (stack.folder / "secrets").iterdir()]
    seen = [str(each) for each in stack.containers()] + [stack.logs()]
    assert not [text for text in seen for secret in secrets if secret and secret in text]


def test_the_image_has_no_shell(stack):
    image = IMAGES["PENSTOCK_IMAGE"]
    for shell in ("/bin/sh", "/bin/bash", "/usr/bin/dpkg"):
        assert call("docker", "run", "--rm", f"--entrypoint={shell}", image, code=None).returncode == 127
    assert docker("run", "--rm", "--read-only", "--cap-drop=ALL", image, "--version").startswith("penstock ")


def test_more_of_some_and_one_dies_in_each_run(stack):
    seconds = stack.up(*[f"--scale={service}={count}" for service, count in SCALE.items()])
    for service, count in SCALE.items():
        assert len(stack.containers(service)) == count
    say(f"scaled: {', '.join(f'{service}={count}' for service, count in SCALE.items())} after {seconds:.0f} s")
    for number, service in enumerate(VICTIMS):
        kill_one_in_the_middle(stack, service, date(2011 + number, 1, 4))
    wait_until(lambda: stack.unready() == [], 120, lambda: f"all are healthy: {stack.unready()}")
    stack.assert_rows_are_those_of_the_files()


def test_a_stack_that_was_taken_down_goes_on(stack):
    before = rows(stack)
    stack.compose("down", seconds=180)
    say(f"down and up again, volumes kept: healthy after {stack.up():.0f} s")
    assert rows(stack) == before
    assert_good(stack.wait_run(stack.begin_run("first")))
    assert len(rows(stack)) == len(before)

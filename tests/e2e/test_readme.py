"""README's session: its commands, run on what `make demo` loads, say what stands there."""

import os
import re
import shlex
import subprocess

import pytest
from harness.pipeline import Pipeline
from harness.servers import TOP
from harness.waiting import patient

SUBSCRIPTION = "demo-bars"


def session():
    """[(command, its lines)] of the block."""
    with open(os.path.join(TOP, "README.md")) as file:
        (block,) = re.findall(r"^```console\n(.*?)^```", file.read(), re.M | re.S)
    parts = re.split(r"^\$ (.*)\n", block, flags=re.M)
    assert parts[0] == "", "it begins with a command"
    return [(command, lines.rstrip("\n").splitlines()) for command, lines in zip(parts[1::2], parts[2::2])]


def demo_options():
    """What the simulator is told by `make demo`."""
    with open(os.path.join(TOP, "ops", "local", "demo")) as file:
        (words,) = re.findall(r'penstock-simulator" --write \S+ (--schema(?:[^\n]*\\\n)?[^|\n]*)', file.read())
    return shlex.split(words.replace("\\\n", " "))


@pytest.fixture(scope="module")
def once(servers, tmp_path_factory):
    pipeline = Pipeline(servers, tmp_path_factory.mktemp("pipeline"))
    try:
        folder = tmp_path_factory.mktemp("demo")
        bars = [pipeline.program("penstock-simulator"), "--write", str(folder / "bars.dbn.zst"), *demo_options()]
        subprocess.run(bars, check=True, capture_output=True)
        pipeline.subscribe(SUBSCRIPTION, folder / "*.dbn.zst", symbol_mappings="true")
        pipeline.prepare().start_all()
        assert pipeline.run([SUBSCRIPTION])["status"] == "success"
        pipeline.symbols = {symbol for (symbol,) in pipeline.query("SELECT DISTINCT symbol FROM ohlcv_data")}
        yield pipeline
    finally:
        pipeline.close()


def run(pipeline, command):
    """What a terminal would show, but for its width."""
    environment = pipeline.environment() | {
        "PATH": os.path.dirname(pipeline.program("penstock")) + os.pathsep + os.environ["PATH"],
    }
    words = ["bash", "-o", "pipefail", "-c", command]
    done = subprocess.run(
        words, env=environment, cwd=pipeline.folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=patient(60)
    )
    assert done.returncode in (0, 141), done.stdout  # 141: `head` had enough
    return done.stdout.replace(pipeline.prefix, "").splitlines()


def plain(pipeline, line):
    """Without what differs from run to run: numbers, times, symbols, who did it, the widths of columns."""
    line = re.sub(r"\S+", lambda word: "SYMBOL" if word[0] in pipeline.symbols else word[0], line)
    line = re.sub(r"^worker .*", "worker NAME", line)
    line = re.sub(r"@\d+-[0-9a-f]{8}\b", "@#", line)
    line = re.sub(r"--cursor \S+", "--cursor CURSOR", line)
    line = re.sub(r"\d{4}-\d\d-\d\dT[0-9:.]+Z", "TIME", line)
    return re.sub(r" +", " ", re.sub(r"\d+(\.\d+)?", "#", line)).strip()


def test_the_block_is_a_session():
    commands = [command for command, _ in session()]
    assert 4 <= len(commands) <= 6 and sum(1 + len(lines) for _, lines in session()) <= 60
    assert all("penstock " in command for command in commands)


@pytest.mark.parametrize("command, lines", [pytest.param(c, lines, id=c) for c, lines in session()])
def test_a_command_says_what_the_readme_shows(up, command, lines):
    said = run(up, command)
    assert [plain(up, line) for line in said] == [plain(up, line) for line in lines]


def test_the_environment_finds_the_programs(servers):
    """`. var/env`, as often as one likes."""
    words = ["bash", "-c", f". {servers.folder}/env; . {servers.folder}/env; command -v penstock; echo $PATH"]
    program, path = subprocess.run(words, check=True, capture_output=True, text=True).stdout.splitlines()
    assert os.path.dirname(program) == servers.place.programs() == path.split(":")[0]
    assert path.split(":").count(servers.place.programs()) == 1

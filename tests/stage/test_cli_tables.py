"""What is made from the tables of commands and keys: help, completion as a shell does it, manual pages."""

import os
import pty
import re
import select
import shutil
import subprocess

import pytest
from harness.pipeline import KINDS
from harness.servers import TOP
from harness.waiting import patient, wait_until
from harness.worker import die_with_parent

PROGRAMS = os.environ.get("PENSTOCK_BIN") or os.path.join(TOP, "build", "bin")
ZSH_SECONDS = 30


def program(name, *words, code=0):
    done = subprocess.run(
        [os.path.join(PROGRAMS, name), *words], capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=patient(30)
    )
    assert done.returncode == code, (done.stdout, done.stderr)
    return done


def commands():
    """Every command: name, arguments, summary."""
    first = dict.fromkeys(re.findall(r"^  ([a-z_]+)", program("penstock", "help").stdout, re.M))
    said = "\n".join(program("penstock", "help", word).stdout for word in first if word != "exit")
    return re.findall(r"^penstock ([a-z_-]+(?: [a-z_-]+)*?)(?: ((?:\[|-|[A-Z]|bash\|).*))?\n    (.*)$", said, re.M)


# --- help ------------------------------------------------------------------------------------------------------------


def test_help_of_some_commands():
    said = program("penstock", "help", "dlq").stdout
    assert [line.split()[:3] for line in said.splitlines() if line.startswith("penstock")][0] == [
        "penstock",
        "dlq",
        "summary",
    ]
    assert said.count("penstock dlq ") >= 7 and "penstock run" not in said
    one = program("penstock", "help", "dlq", "review").stdout
    assert one == program("penstock", "dlq", "review", "--help").stdout
    assert one.count("penstock dlq ") == 1 and "`dlq ls --new` begins behind them" in one


def test_help_of_nothing_there():
    done = program("penstock", "help", "dl", code=2)
    assert "no command 'dl'" in done.stderr and done.stdout == ""


# --- completion ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def scripts(tmp_path_factory):
    folder = tmp_path_factory.mktemp("completion")
    for shell in ("bash", "zsh"):
        (folder / shell).write_text(program("penstock", "completion", shell).stdout)
    return folder


def bash_completes(scripts, line, cwd=None):
    """What bash would offer at the line's end."""
    words = line.split(" ")
    quoted = " ".join(f"'{word}'" for word in words)
    code = f"source {scripts}/bash; COMP_WORDS=({quoted}); COMP_CWORD={len(words) - 1}; _penstock"
    done = subprocess.run(
        ["bash", "--norc", "-c", code + '; printf "%s\\n" "${COMPREPLY[@]}"'],
        capture_output=True,
        text=True,
        timeout=patient(30),
        cwd=cwd,
    )
    assert done.returncode == 0 and done.stderr == "", done.stderr
    return done.stdout.split()


@pytest.mark.parametrize(
    ("line", "offers"),
    [
        ("penstock ru", ["run", "runs", "rules"]),
        ("penstock run ", ["full", "show", "pause", "resume", "cancel", "retry"]),
        ("penstock dlq re", ["review", "reviews", "resolve", "replay", "reopen"]),
        ("penstock off", ["offsets"]),
        ("penstock fet", ["fetcher"]),
        ("penstock help tok", ["token"]),
        ("penstock help token ", ["create", "ls", "revoke"]),
        ("penstock ledger --b", ["--by"]),
        ("penstock ledger --by ", ["attempt", "subscription", "outcome"]),
        ("penstock ledger 17 --by out", ["outcome"]),
        ("penstock token create me --role ", ["viewer", "operator", "admin"]),
        ("penstock dlq export --format csv --o", ["--output"]),
        ("penstock dlq export --output ", []),
        ("penstock status --js", ["--json"]),
        ("penstock status --config ", []),
        ("penstock decode ", []),
        ("penstock decode --", ["--metadata", "--config", "--set"]),
        ("penstock completion ", ["bash", "zsh", "--config", "--set"]),
        ("penstock loader --sh", ["--show-config"]),
        ("penstock man penstock-l", ["penstock-loader"]),
        ("penstock nonsense ", []),
    ],
)
def test_bash_completes(scripts, line, offers):
    assert sorted(bash_completes(scripts, line)) == sorted(offers)


def test_bash_completes_every_command_and_option(scripts):
    found = commands()
    assert len(found) > 30
    for name, arguments, _ in found:
        *before, last = name.split(" ")
        assert last in bash_completes(scripts, " ".join(["penstock", *before, ""])), name
        for option in re.findall(r"--[a-z][a-z-]+", arguments):
            assert option in bash_completes(scripts, f"penstock {name} {option}"), (name, option)


def test_bash_falls_back_to_files(scripts):
    registered = subprocess.run(
        ["bash", "--norc", "-c", f"source {scripts}/bash; complete -p penstock"], capture_output=True, text=True
    ).stdout
    assert "-o default" in registered and "-F _penstock penstock" in registered


class Terminal:
    """An interactive zsh without anybody's settings."""

    def __init__(self, folder):
        self.said = b""
        environment = {"PATH": os.environ["PATH"], "TERM": "dumb", "HOME": str(folder), "PS1": "", "LC_ALL": "C.UTF-8"}
        self.master, slave = pty.openpty()
        self.process = subprocess.Popen(
            ["zsh", "-f", "-i"],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env=environment,
            cwd=folder,
            start_new_session=True,
            preexec_fn=die_with_parent,
        )
        os.close(slave)

    def type(self, text):
        os.write(self.master, text.encode())

    def wait(self, text):
        def there():
            while select.select([self.master], [], [], 0.05)[0]:
                self.said += os.read(self.master, 65536)
            return text.encode() in self.said

        wait_until(there, ZSH_SECONDS, lambda: f"{text!r} from zsh: {self.said[-2000:]!r}")

    def close(self):
        self.process.kill()
        self.process.wait()
        os.close(self.master)


@pytest.mark.skipif(not shutil.which("zsh"), reason="there is no zsh")
@pytest.mark.parametrize(
    ("typed", "line"),
    [
        ("penstock sta\t", "status"),
        ("penstock token cre\tme --ro\top\t", "token create me --role operator"),
        ("penstock ledger --by out\t", "ledger --by outcome"),
        ("penstock decode so\t", "decode some.dbn"),
        ("penstock help quar\tan\t", "help quarantine analyze"),
    ],
)
def test_zsh_completes(scripts, tmp_path, typed, line):
    (tmp_path / "some.dbn").write_bytes(b"")
    zsh = Terminal(tmp_path)
    try:
        # What is typed before zsh reads lines would be seen twice: one step after the other.
        zsh.type(f"autoload -Uz compinit && compinit -u -D && source {scripts}/zsh && print rea''dy\n")
        zsh.wait("ready")
        zsh.type("penstock() { print -r -- \"<<$*>>\" }; print rea''ched\n")
        zsh.wait("reached")
        zsh.type(typed + "\n")
        zsh.wait(f"<<{line}>>")
    finally:
        zsh.close()


def test_completion_is_for_these_shells():
    for words in ([], ["fish"], ["bash", "zsh"]):
        assert "bash or zsh" in program("penstock", "completion", *words, code=2).stderr


# --- manual pages ----------------------------------------------------------------------------------------------------

PAGES = {"penstock": "1"} | {f"penstock-{kind}": "8" for kind in KINDS}


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    folder = tmp_path_factory.mktemp("man")
    for name, section in PAGES.items():
        (folder / f"{name}.{section}").write_text(program("penstock", "man", name).stdout)
    return folder


def lint(*words):
    done = subprocess.run(words, capture_output=True, text=True, timeout=patient(60))
    return done.returncode, done.stdout + done.stderr


@pytest.mark.skipif(not shutil.which("groff"), reason="there is no groff")
@pytest.mark.parametrize("name", PAGES)
def test_groff_has_no_warning(pages, name):
    assert lint("groff", "-man", "-ww", "-z", pages / f"{name}.{PAGES[name]}") == (0, "")


@pytest.mark.skipif(not shutil.which("mandoc"), reason="there is no mandoc")
@pytest.mark.parametrize("name", PAGES)
def test_mandoc_finds_no_error(pages, name):
    """Of its warnings one is meant: a page has no date, so that it is the same from each build."""
    _, said = lint("mandoc", "-Tlint", "-Wwarning", pages / f"{name}.{PAGES[name]}")
    assert [line for line in said.splitlines() if "missing date" not in line] == []


def read(pages, name):
    """As a reader sees it, in one line."""
    page = pages / f"{name}.{PAGES[name]}"
    done = subprocess.run(
        ["groff", "-man", "-Tutf8", "-P-cbou", "-rHY=0", page], capture_output=True, text=True, timeout=patient(60), check=True
    )
    return " ".join(done.stdout.replace("\N{HYPHEN}", "-").split())


@pytest.mark.skipif(not shutil.which("groff"), reason="there is no groff")
@pytest.mark.parametrize("kind", KINDS)
def test_a_page_has_every_key(pages, kind):
    helped = program(f"penstock-{kind}", "--help").stdout
    table = helped.partition("\nkeys:\n")[2].partition("\n\n")[0]
    source = (pages / f"penstock-{kind}.8").read_text()
    text = read(pages, f"penstock-{kind}")
    keys = [line.split()[0] for line in table.splitlines()]
    assert len(keys) > 8 and "kafka" in keys
    for line in table.splitlines():
        key, sentence = line.split(maxsplit=1)
        assert f".TP\n\\fB{key}\\fR\n" in source, key
        said = " ".join(re.split(r" \[| \(default", sentence)[0].split())
        assert f"{key} {said}" in text, key
        default = re.search(r"\(default: (.*)\)$", sentence)
        assert not default or f"Default: {default[1]}" in text, key


@pytest.mark.skipif(not shutil.which("groff"), reason="there is no groff")
def test_the_page_of_commands_has_each(pages):
    text = read(pages, "penstock")
    for name, arguments, summary in commands():
        assert f"{name} {arguments}".strip() + " " + summary in text, name


def test_a_page_that_is_not_there():
    done = program("penstock", "man", "simulator", code=2)
    assert "no page 'simulator'" in done.stderr and "penstock-loader" in done.stderr

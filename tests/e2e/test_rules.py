"""`penstock rules check | test`, and rule files of the user's own: compiled by `--check`, used by the validator."""

import glob
import json
import os
import re
import subprocess

import pytest
from harness.records import Codec, messages, outcomes, raw_bar
from harness.servers import TOP

BIN = os.path.join(TOP, "build", "bin")
RULES = os.path.join(TOP, "stages", "validator", "rules")
BUILT_IN = sorted(glob.glob(os.path.join(RULES, "*.yaml")))
ATTEMPT = 6_000_000_000_000_000_001
OWN = """\
name: mine
record: ohlcv
rules:
  - name: VOLUME_TOO_LARGE
    when: asset_class == 'futures'
    violated: volume > 300
    doc: Ours.
"""
EXAMPLES = """\
record: ohlcv
now: 2024-01-01
base: {symbol: ESH1, dataset: GLBX.MDP3, volume: 300}
tests:
  - name: as much as there may be
  - name: one more
    fields: {volume: 301}
    rejected: [VOLUME_TOO_LARGE]
    message: volume > 300 (dataset='GLBX.MDP3', volume=301)
"""


def rules(*arguments, code=0):
    done = subprocess.run([os.path.join(BIN, "penstock"), "rules", *arguments], capture_output=True, text=True)
    assert done.returncode == code, done
    return done


def check(*arguments):
    """`penstock-validator --check` without any configuration file."""
    words = [os.path.join(BIN, "penstock-validator"), "--check", *arguments]
    env = {name: value for name, value in os.environ.items() if not name.startswith("PENSTOCK_")}
    return subprocess.run(words, capture_output=True, text=True, cwd="/", env=env)


@pytest.fixture
def own(tmp_path):
    (tmp_path / "tests").mkdir()
    (tmp_path / "ohlcv.yaml").write_text(OWN)
    (tmp_path / "tests" / "ohlcv.yaml").write_text(EXAMPLES)
    return tmp_path


# --- rules check -----------------------------------------------------------------------------------------------------


def test_there_is_a_set_for_every_record_type():
    names = [os.path.basename(path) for path in BUILT_IN]
    assert names == [f"{kind}.yaml" for kind in ("definition", "ohlcv", "statistics", "symbol_mapping", "tbbo", "trades")]


@pytest.mark.parametrize("path", BUILT_IN, ids=os.path.basename)
def test_check_prints_the_rules_that_are_built_in(path):
    told = json.loads(rules("check", path, "--json").stdout)
    assert told["record"] + ".yaml" == os.path.basename(path) and told["version"].startswith(told["record"] + "@")
    assert {rule["severity"] for rule in told["rules"]} <= {"reject", "flag"}
    assert all(rule["violated"] for rule in told["rules"])
    head, *lines = rules("check", path).stdout.splitlines()
    assert head == f"{told['version']}: {len(told['rules'])} rules for {told['record']}"
    assert [line.split()[:2] for line in lines] == [[rule["severity"], rule["name"]] for rule in told["rules"]]


@pytest.mark.parametrize("path", BUILT_IN, ids=os.path.basename)
def test_the_readme_lists_every_rule_by_severity(path):
    told = json.loads(rules("check", path, "--json").stdout)
    with open(os.path.join(TOP, "stages", "validator", "README.md")) as file:
        row = next(line for line in file if line.startswith(f"| `{told['record']}` |"))
    cells = [re.findall(r"`([A-Z_]+)`", cell) for cell in row.split("|")[2:4]]
    assert cells == [[r["name"] for r in told["rules"] if r["severity"] == kind] for kind in ("reject", "flag")]


def test_check_prints_condition_and_reach(own):
    assert rules("check", own / "ohlcv.yaml").stdout.splitlines()[1].split() == (
        "reject VOLUME_TOO_LARGE volume > 300 when asset_class == 'futures'".split()
    )


@pytest.mark.parametrize(
    "text, place",
    [
        (OWN.replace("volume >", "volumes >"), "ohlcv.yaml:6:15: ohlcv has no field 'volumes'"),
        (OWN.replace("'futures'", "'future'"), "ohlcv.yaml:5:26: no dataset is of class 'future' (there are: futures, "),
        (OWN.replace("doc:", "docs:"), "ohlcv.yaml:7:5: unknown key 'docs'"),
        (OWN.replace("record: ohlcv", "record: bars"), "ohlcv.yaml:2:9: no record type is called 'bars' (there are: ohlcv, "),
        ("name: [", "ohlcv.yaml:"),
    ],
)
def test_a_mistake_is_told_with_its_place(own, text, place):
    (own / "ohlcv.yaml").write_text(text)
    for command in ("check", "test"):
        done = rules(command, own / "ohlcv.yaml", code=1)
        assert place in done.stderr and done.stdout == ""
    checked = check("--set", f"rules.folder={own}")
    if "bars" not in text:
        assert checked.returncode == 2 and place in checked.stderr, checked
    else:
        assert checked.returncode == 2 and "ohlcv.yaml:2:9: these are rules for record 'bars'" in checked.stderr, checked


@pytest.mark.parametrize(
    "words, code, names",
    [
        (["check"], 2, "name a rule file"),
        (["test"], 2, "name a rule file"),
        (["check", "a.yaml", "b.yaml"], 2, "'b.yaml'"),
        (["check", "a.yaml", "--nonsense"], 2, "'--nonsense'"),
        (["test", "a.yaml", "--data"], 2, "'--data'"),
        (["check", "/no/where.yaml"], 1, "/no/where.yaml: No such file"),
    ],
)
def test_wrong_arguments_are_named(words, code, names):
    done = rules(*words, code=code)
    assert names in done.stderr and done.stdout == ""


# --- rules test ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", BUILT_IN, ids=os.path.basename)
def test_examples_of_the_rules_that_are_built_in(path):
    told = json.loads(rules("test", path, "--json").stdout)
    assert told["failed"] == 0 and told["passed"] == len(told["tests"]) > 5 and told["untested"] == []
    lines = rules("test", path).stdout.splitlines()
    assert lines[-1] == f"{told['passed']} passed, 0 failed" and len(lines) == told["passed"] + 1


def missed(test):
    """Rules that a failed test expected."""
    first, prefix = test.get("why", "").split("; ")[0], "not violated: "
    return first.removeprefix(prefix).split(",") if first.startswith(prefix) else []


@pytest.mark.parametrize("path", BUILT_IN, ids=os.path.basename)
def test_without_a_rule_its_examples_fail(path, tmp_path):
    """Each rule in turn is made one that nothing violates."""
    told = json.loads(rules("check", path, "--json").stdout)
    examples = os.path.join(RULES, "tests", os.path.basename(path))
    for rule in told["rules"]:
        kept = [each | ({"violated": "length(symbol) < 0"} if each == rule else {}) for each in told["rules"]]
        kept = [{key: value for key, value in each.items() if value} for each in kept]
        changed = tmp_path / "changed.yaml"
        changed.write_text(json.dumps({"name": "changed", "record": told["record"], "rules": kept}))
        done = json.loads(rules("test", changed, "--data", examples, "--json", code=1).stdout)
        assert rule["name"] in done["untested"]
        assert any(rule["name"] in missed(test) for test in done["tests"]), rule["name"]


def test_what_failed_is_told_with_its_line(own):
    assert rules("test", own / "ohlcv.yaml").stdout.splitlines()[-1] == "2 passed, 0 failed"
    (own / "ohlcv.yaml").write_text(OWN.replace("> 300", "> 400"))
    *_, failed, end = rules("test", own / "ohlcv.yaml", code=1).stdout.splitlines()
    assert failed == f"FAILED {own}/tests/ohlcv.yaml:6: one more: not violated: VOLUME_TOO_LARGE; message: "
    assert end == "1 passed, 1 failed; no test violates VOLUME_TOO_LARGE"
    told = json.loads(rules("test", own / "ohlcv.yaml", "--json", code=1).stdout)
    assert (told["passed"], told["failed"], told["untested"]) == (1, 1, ["VOLUME_TOO_LARGE"])
    assert told["tests"][1]["line"] == 6 and told["tests"][0] == {"name": "as much as there may be", "line": 5, "passed": True}


def test_examples_that_are_none(own):
    (own / "other.yaml").write_text(EXAMPLES.replace("VOLUME_TOO_LARGE", "NOTHING"))
    done = rules("test", own / "ohlcv.yaml", "--data", own / "other.yaml", code=1)
    assert f"{own}/other.yaml:8:16: mine@" in done.stderr and "has no rule 'NOTHING'" in done.stderr
    (own / "tests" / "ohlcv.yaml").unlink()
    assert "tests/ohlcv.yaml: No such file" in rules("test", own / "ohlcv.yaml", code=1).stderr


# --- the validator ---------------------------------------------------------------------------------------------------


def test_check_of_the_validator_compiles_the_rules(own):
    assert "good" in check().stdout
    assert "good" in check("--set", f"rules.folder={own}").stdout
    (own / "trade.yaml").write_text("")
    done = check("--set", f"rules.folder={own}")
    assert done.returncode == 2 and "no record type is called 'trade.yaml'" in done.stderr
    done = check("--set", "rules.folder=/no/where")
    assert done.returncode == 2 and "rules.folder /no/where: No such file" in done.stderr


def test_rules_of_the_user_stand_in_for_those_that_are_built_in(pipeline, own):
    codec = Codec("ohlcv")
    pipeline.start("validator", settings={"rules.folder": own})
    bars = [raw_bar(ATTEMPT, 1, volume=301), raw_bar(ATTEMPT, 2, volume=300), raw_bar(ATTEMPT, 3, volume=-1)]
    pipeline.produce("etl.raw.ohlcv", messages(codec, bars))
    valid, (letter,) = outcomes(pipeline, "etl.valid.ohlcv", 3)
    assert [codec.decode(m.value())["volume"] for m in valid] == [300, -1]
    headers = pipeline.headers(letter)
    assert headers["etl.rules"] == "VOLUME_TOO_LARGE" and headers["etl.rules.version"].startswith("mine@")
    assert headers["etl.message"] == "volume > 300 (dataset='GLBX.MDP3', volume=301)"

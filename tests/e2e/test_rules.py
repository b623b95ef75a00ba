"""`penstock rules check | test | diff`, and rule files of the user's own: compiled by `--check`, used by the validator."""

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
        (["diff"], 2, "name a rule file"),
        (["diff", "a.yaml", "b.yaml", "c.yaml"], 2, "'c.yaml'"),
        (["diff", "/no/where.yaml"], 1, "/no/where.yaml: No such file"),
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


# --- rules diff ------------------------------------------------------------------------------------------------------


OLD = """\
name: ours
record: ohlcv
rules:
  - {name: KEPT, violated: volume < 0}
  - name: FOLDED
    violated: >
      high < low or
      high < open
  - {name: GONE, violated: volume > 5, doc: Why.}
  - {name: OTHER, violated: volume > 6, doc: Old.}
  - {name: SPACED, violated: symbol == 'A B'}
"""
NEW = """\
name: ours
version: 2
record: ohlcv
rules:
  - {name: NEW, violated: close is null, when: dataset == 'XNAS.ITCH'}
  - {name: FOLDED, violated: high < low or high < open}
  - {name: OTHER, violated: volume > 7, severity: flag, doc: Old.}
  - {name: KEPT, violated: volume < 0}
  - {name: SPACED, violated: symbol == 'A  B'}
"""


@pytest.fixture
def both(tmp_path):
    (tmp_path / "old.yaml").write_text(OLD)
    (tmp_path / "new.yaml").write_text(NEW)
    return tmp_path / "new.yaml", tmp_path / "old.yaml"


def test_diff_tells_what_was_added_removed_and_changed(both):
    new, old = both
    told = json.loads(rules("diff", new, old, "--json", code=1).stdout)
    assert told["record"] == "ohlcv" and told["from"]["place"] == str(old) and told["to"]["place"] == str(new)
    assert told["from"]["version"].startswith("ours@1-") and told["to"]["version"].startswith("ours@2-")
    assert [rule["name"] for rule in told["removed"]] == ["GONE"]
    assert told["added"] == [
        {"name": "NEW", "when": "dataset == 'XNAS.ITCH'", "violated": "close is null", "severity": "reject", "doc": ""}
    ]
    assert told["changed"] == [
        {
            "name": "OTHER",
            "violated": {"from": "volume > 6", "to": "volume > 7"},
            "severity": {"from": "reject", "to": "flag"},
        },
        {"name": "SPACED", "violated": {"from": "symbol == 'A B'", "to": "symbol == 'A  B'"}},
    ]
    lines = rules("diff", new, old, code=1).stdout.splitlines()
    assert lines[2:4] == ["- reject GONE: volume > 5", "~ OTHER"] and lines[-1] == "1 added, 1 removed, 2 changed"
    assert "+ reject NEW: close is null   when dataset == 'XNAS.ITCH'" in lines


def test_diff_of_the_same_rules(both):
    new, old = both
    assert rules("diff", new, new).stdout.endswith("0 added, 0 removed, 0 changed\n")
    new.write_text("# Only this is new.\n" + OLD)
    told = json.loads(rules("diff", new, old, "--json").stdout)
    assert told["from"]["version"] != told["to"]["version"] and told["changed"] == []


def test_diff_reminds_of_the_number(both):
    new, old = both
    new.write_text(NEW.replace("version: 2\n", ""))
    assert rules("diff", new, old, code=1).stdout.endswith("both say they are version 1: count it up\n")


def test_diff_with_what_is_installed(own, both):
    installed = os.path.join(RULES, "ohlcv.yaml")
    told = json.loads(rules("diff", installed, "--json").stdout)
    assert told["from"]["place"] == "built in" and told["from"]["version"] == told["to"]["version"]
    told = json.loads(rules("diff", both[0], "--set", f"rules.folder={own}", "--json", code=1).stdout)
    assert told["from"]["place"] == f"{own}/ohlcv.yaml" and [r["name"] for r in told["removed"]] == ["VOLUME_TOO_LARGE"]
    (own / "ohlcv.yaml").write_text(OWN.replace("volume >", "volumes >"))
    done = rules("diff", both[0], "--set", f"rules.folder={own}", code=1)
    assert "what is installed here: " in done.stderr and "ohlcv.yaml:6:15: " in done.stderr and done.stdout == ""


def test_diff_refuses_what_it_cannot_compare(both):
    new, old = both
    assert "has rules for ohlcv, and" in rules("diff", new, os.path.join(RULES, "trades.yaml"), code=2).stderr
    old.write_text(OLD.replace("volume > 5", "volume >"))
    done = rules("diff", new, old, code=1)
    assert f"{old}:9:36: a value is missing at the end" in done.stderr and done.stdout == ""


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

"""Dead letters are put back where they were refused: what becomes of them, and that nothing is lost, doubled or forgotten."""

import os

import pytest
from harness.bars import assert_good, simulate
from harness.servers import TOP

BARS, BROKEN = 400, 39  # three of each kind
RELAXED = "VOLUME_OUT_OF_RANGE"


@pytest.fixture
def loaded(pipeline, tmp_path):
    """A file is loaded; its broken bars are letters."""
    simulate(pipeline, tmp_path, bars=BARS, symbols=4, broken=BROKEN, seed=4)
    pipeline.subscribe("bars", tmp_path / "bars.dbn.zst")
    pipeline.start_all()
    run = pipeline.run(["bars"])
    assert_good(run, fetched=BARS)
    assert run["dead_letters"] == BROKEN
    return pipeline


def relax(pipeline, folder, *rules):
    """From now on validators let pass, with a flag, what these rules refused."""
    with open(os.path.join(TOP, "stages", "validator", "rules", "ohlcv.yaml")) as file:
        text = file.read()
    for rule in rules:
        head = f"  - name: {rule}\n"
        assert head in text
        text = text.replace(head, f"{head}    severity: flag\n")
    folder.mkdir(exist_ok=True)
    (folder / "ohlcv.yaml").write_text(text)
    for worker in pipeline.of("validator"):
        if worker.running:
            assert worker.stop() == 0
    pipeline.configure("validator", rules={"folder": str(folder)})
    pipeline.start("validator")


def replay(pipeline, *words):
    """A replay, followed to its end; the run as the API shows it."""
    return pipeline.cli_json("dlq", "replay", *words, "--follow")


def letters(pipeline, condition="true"):
    return pipeline.query(f"SELECT id, first_letter, replays, rules FROM etl.dead_letters d WHERE {condition} ORDER BY id")


def table(pipeline):
    return pipeline.query('SELECT symbol, "interval", ts_event, open_price, volume, flags, attempt, as_of FROM ohlcv_data ORDER BY 1, 2, 3')


def test_letters_of_the_validator(loaded, tmp_path):
    up = loaded
    before = table(up)
    chosen = [row[0] for row in letters(up, f"'{RELAXED}' = ANY (rules)")]
    passing = [row[0] for row in letters(up, f"rules = ARRAY['{RELAXED}']")]
    all_of_it = [row[0] for row in letters(up, "stage = 'validator'")]
    assert 0 < len(passing) <= len(chosen) < len(all_of_it)
    relax(up, tmp_path / "rules", RELAXED)
    run = replay(up, "--where", "stage = 'validator'", "--why", "volumes are right")
    assert_good(run, fetched=len(all_of_it))
    assert (run["kind"], run["inserted"], run["requested_by"]) == ("replay", len(passing), "configuration")
    assert run["dead_letters"] == len(all_of_it) - len(passing)
    rows = table(up)
    assert len(rows) == len(before) + len(passing) and set(before) <= set(rows)

    # a second failure is a letter of its own that knows the first
    again = letters(up, "replays > 0")
    assert sorted(row[1] for row in again) == [i for i in all_of_it if i not in passing]
    assert {row[2] for row in again} == {1}
    first = up.cli_json("dlq", "show", str(again[0][1]))
    assert first["later_letters"] == [again[0][0]] and first["replay_run"] == run["run"]
    assert (first["state"], first["state_why"], first["state_who"]) == ("replayed", "volumes are right", "configuration")
    assert up.cli_json("dlq", "show", str(again[0][0]))["first_letter"] == again[0][1]
    records = "SELECT count(*) FROM etl.dead_letters a JOIN etl.dead_letters b ON b.id = a.first_letter WHERE (a.rules, a.symbol, a.day, a.message) = (b.rules, b.symbol, b.day, b.message)"
    assert up.value(records) == len(again)

    # when the vendor was read is as it was
    as_of = "SELECT count(*) FROM ohlcv_data o JOIN etl.attempts a USING (attempt) WHERE a.run = %s AND o.as_of < (SELECT created_at FROM etl.runs WHERE run = %s)"
    assert up.value(as_of, run["run"], run["run"]) == len(passing)

    # the account of its own
    (line,) = up.cli_json("ledger", str(run["run"]))["attempts"]
    assert (line["subscription"], line["fetched"], line["balanced"]) == ("bars", len(all_of_it), True)
    assert up.value("SELECT detail->>'letters' FROM etl.audit WHERE action = 'dead_letters.replay'") == str(len(all_of_it))

    # twice the same replay: nothing is put back any more, unless somebody insists; and then no row changes
    said = up.cli("dlq", "replay", "--where", "stage = 'validator' and run = 1", code=1).stderr
    assert f"0 discarded, 0 resolved, {len(all_of_it)} put back as often as max_replays says, 0 that cannot be" in said
    once_more = replay(up, "--where", "stage = 'validator' and run = 1", "--max-replays", "2")
    assert_good(once_more, fetched=len(all_of_it))
    assert (once_more["inserted"], once_more["updated"], once_more["unchanged"]) == (0, 0, len(passing))
    assert table(up) == rows
    third = letters(up, f"attempt IN (SELECT attempt FROM etl.attempts WHERE run = {once_more['run']})")
    assert sorted(row[1] for row in third) == [i for i in all_of_it if i not in passing] and {row[2] for row in third} == {2}


def test_what_is_left_out_is_counted(loaded, tmp_path):
    up = loaded
    (one, two, *rest) = [row[0] for row in letters(up, "stage = 'validator'")]
    up.cli("dlq", "discard", "--id", one, "--why", "a test")
    up.cli("dlq", "resolve", "--id", two)
    said = up.cli("dlq", "replay", "--id", one, code=1).stderr
    assert "none of these dead letters is put back: 1 discarded, 0 resolved" in said
    assert up.value("SELECT count(*) FROM etl.runs") == 1
    relax(up, tmp_path / "rules", RELAXED)
    done = up.cli("dlq", "replay", "--where", "stage = 'validator'", "--follow").stdout
    assert done.startswith(f"{len(rest)} dead letters are put back\nleft out: 1 discarded, 1 resolved\n")
    assert "run 2 (replay): success" in done or "(replay): success" in done
    assert up.value("SELECT count(*) FROM etl.replays WHERE letter IN (%s, %s)", one, two) == 0


@pytest.mark.parametrize(
    "words, code, said",
    [
        ([], 2, "nothing says which"),
        (["--where", "colour = 'red'"], 2, "there is no parameter 'colour' here; there are: class, rule"),
        (["--where", "symbol = 'NONE'"], 1, "there is no such dead letter"),
        (["--run", "1", "--max-replays", "0"], 2, "'max_replays'"),
        (["--run", "1", "--max-replays", "few"], 2, "takes a whole number"),
        (["--run", "first"], 2, "is not a whole number"),
    ],
)
def test_what_is_refused_changes_nothing(orchestrated, words, code, said):
    done = orchestrated.cli("dlq", "replay", *words, code=code)
    assert said in done.stderr and done.stdout == ""
    assert orchestrated.value("SELECT count(*) FROM etl.runs") == 0
    assert orchestrated.value("SELECT count(*) FROM etl.audit") == 0


@pytest.fixture(scope="module")
def orchestrated(servers, tmp_path_factory):
    """An orchestrator alone, with nothing to do."""
    from harness.pipeline import Pipeline

    alone = Pipeline(servers, tmp_path_factory.mktemp("pipeline"))
    try:
        alone.prepare().start("orchestrator")
        yield alone
    finally:
        alone.close()

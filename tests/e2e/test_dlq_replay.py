"""Dead letters are put back where they were refused: what becomes of them, and that nothing is lost, doubled or forgotten."""

import os

import pytest
from harness.bars import assert_good, load_with_letters, simulate
from harness.pipeline import Pipeline
from harness.records import Codec, lineage
from harness.servers import TOP
from harness.simulator import KEY, Simulator
from harness.waiting import patient, wait_until

BARS, BROKEN = 400, 39  # three of each kind
RELAXED = "VOLUME_OUT_OF_RANGE"


@pytest.fixture
def loaded(pipeline, tmp_path):
    return load_with_letters(pipeline, tmp_path, BARS, BROKEN)


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


def carried(pipeline):
    """What the topic's letters say themselves: (how often put back, the first letter), for attempt and ordinal."""
    told = [{name: value.decode() for name, value in message.headers()} for message in pipeline.read("etl.dlq")]
    return {
        (int(letter["etl.attempt"]), int(letter["etl.ordinal"])): (int(letter["etl.replays"]), int(letter.get("etl.first_letter", 0)))
        for letter in told
    }


def assert_carried(pipeline):
    """The topic says of every letter what the archive does, as the loader found it out by itself."""
    kept = pipeline.query("SELECT attempt, ordinal, replays, coalesce(first_letter, 0) FROM etl.dead_letters WHERE attempt IS NOT NULL")
    want = {(attempt, ordinal): rest for attempt, ordinal, *rest in kept}
    assert {key: list(value) for key, value in carried(pipeline).items()} == want
    return want


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

    # a row says which letters it came from, one that was never refused says none
    symbol, time = up.query("SELECT symbol, ts_event FROM ohlcv_data o JOIN etl.attempts a USING (attempt) WHERE a.run = %s LIMIT 1", run["run"])[0]
    (row,) = up.cli_json("why", symbol, time.strftime("%Y-%m-%dT%H:%M:%SZ"))["rows"]
    sent = up.query("SELECT id FROM etl.dead_letters WHERE symbol = %s AND stage = 'validator' AND replays = 0 ORDER BY id", symbol)
    assert row["letters"] == [i for (i,) in sent] and set(row["letters"]) & set(passing)
    symbol, time = up.query("SELECT symbol, ts_event FROM ohlcv_data o JOIN etl.attempts a USING (attempt) WHERE a.run <> %s LIMIT 1", run["run"])[0]
    assert up.cli_json("why", symbol, time.strftime("%Y-%m-%dT%H:%M:%SZ"))["rows"][0]["letters"] is None

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
    said = assert_carried(up).values()
    assert {replays for replays, _ in said} == {0, 1, 2} and all((replays > 0) == (first > 0) for replays, first in said)

    # a letter of a letter: it still names the first, and counts on
    latest = replay(up, "--id", third[0][0], "--max-replays", "3")
    (row,) = letters(up, f"attempt IN (SELECT attempt FROM etl.attempts WHERE run = {latest['run']})")
    assert row[1:3] == (third[0][1], 3)
    assert [3, third[0][1]] in assert_carried(up).values()

    # what passed has it with it as far as the transformer, and nothing else has any headers
    passed = up.query("SELECT attempt, ordinal FROM etl.replays x JOIN etl.attempts a USING (task) WHERE x.letter = %s", passing[0])
    heads = [m.headers() for m in up.read("etl.valid.ohlcv") if tuple(lineage(m.value())) in passed]
    assert len(heads) == 2 and [dict(h)["etl.first_letter"] for h in heads] == [str(passing[0]).encode()] * 2
    others = [m.headers() for m in up.read("etl.valid.ohlcv") if lineage(m.value())[0] in attempts_of(up, "full")]
    others += [m.headers() for m in up.read("etl.clean.ohlcv")]
    assert len(others) > BARS and not any(others)


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


@pytest.mark.parametrize(
    "columns, values",
    [
        ("class, stage, origin_topic, value", "'foreign', 'validator', 'etl.raw.ohlcv', 'x'"),
        ("attempt, ordinal, class, stage, value", "1, 1, 'validation_failures', 'validator', 'x'"),
    ],
)
def test_what_has_no_account_cannot_be_put_back(orchestrated, columns, values):
    up = orchestrated
    up.query(f"INSERT INTO etl.dead_letters ({columns}, failed_at) VALUES ({values}, now())")
    try:
        number = up.value("SELECT max(id) FROM etl.dead_letters")
        assert "1 that cannot be" in up.cli("dlq", "replay", "--id", number, code=1).stderr
        assert up.value("SELECT count(*) FROM etl.runs") == 0
    finally:
        up.query("DELETE FROM etl.dead_letters")


@pytest.fixture(scope="module")
def orchestrated(servers, tmp_path_factory):
    """An orchestrator alone, with nothing to do."""
    alone = Pipeline(servers, tmp_path_factory.mktemp("pipeline"))
    try:
        alone.prepare().start("orchestrator")
        yield alone
    finally:
        alone.close()


# --- other stages ------------------------------------------------------------------------------------------------------


def mended(pipeline, letter):
    """As if the stage had learnt to read it: its record is one that it takes."""
    raw = Codec("ohlcv")
    (value,) = pipeline.query("SELECT value FROM etl.dead_letters WHERE id = %s", letter)[0]
    record = raw.decode(bytes(value))
    record["ts_event"] -= record["ts_event"] % (60 * 10**9)
    pipeline.query("UPDATE etl.dead_letters SET value = %s WHERE id = %s", raw.encode(record), letter)


def attempts_of(pipeline, kind):
    return {attempt for (attempt,) in pipeline.query("SELECT attempt FROM etl.attempts JOIN etl.runs USING (run) WHERE kind = %s", kind)}


def of_attempts(pipeline, topic, run):
    """How many messages of a topic belong to the run."""
    attempts = {attempt for (attempt,) in pipeline.query("SELECT attempt FROM etl.attempts WHERE run = %s", run)}
    return sum(lineage(message.value())[0] in attempts for message in pipeline.read(topic))


def test_letters_of_the_transformer_go_to_its_topic(loaded):
    up = loaded
    found = [row[0] for row in letters(up, "stage = 'transformer'")]
    assert len(found) == 3
    mended(up, found[0])
    run = replay(up, "--stage", "transformer")
    assert_good(run, fetched=3)
    assert (run["inserted"] + run["superseded"] + run["unchanged"], run["dead_letters"]) == (1, 2)
    assert of_attempts(up, "etl.raw.ohlcv", run["run"]) == 0 and of_attempts(up, "etl.valid.ohlcv", run["run"]) == 3
    assert sorted(row[1] for row in letters(up, "replays > 0")) == sorted(found[1:]), "topics have no order between partitions"
    assert sum(replays for replays, _ in assert_carried(up).values()) == 2


def test_letters_of_the_loader_go_to_its_topic(pipeline, tmp_path):
    """A constraint that somebody added refuses rows; without it they are taken, once. More than one task's message holds."""
    up, bars = pipeline, 6000
    simulate(up, tmp_path, bars=bars, symbols=4, seed=4)
    up.subscribe("bars", tmp_path / "bars.dbn.zst")
    up.start_all()
    up.query("ALTER TABLE ohlcv_data ADD CONSTRAINT few CHECK (volume % 2 = 0)")
    run = up.run(["bars"])
    refused = run["dead_letters"]
    assert refused > 0 and up.value("SELECT count(*) FROM etl.dead_letters WHERE stage = 'loader'") == refused
    still = replay(up, "--stage", "loader")
    assert_good(still, fetched=refused)
    assert still["dead_letters"] == refused, "the constraint is there still"
    wait_until(lambda: len(carried(up)) == 2 * refused, 60, "the loader's letters are published")
    assert sum(replays for replays, _ in assert_carried(up).values()) == refused
    up.query("ALTER TABLE ohlcv_data DROP CONSTRAINT few")
    said = up.cli("dlq", "replay", "--stage", "loader", code=1).stderr
    assert f"{2 * refused} put back as often as max_replays says" in said
    run = replay(up, "--where", f"stage = 'loader' and run = {still['run']}", "--max-replays", "2")
    assert_good(run, fetched=refused)
    assert run["inserted"] == refused and up.value("SELECT count(*) FROM ohlcv_data") == bars
    sizes = [n for (n,) in up.query("SELECT (parameters->>'letters')::int FROM etl.tasks WHERE run = %s ORDER BY task", run["run"])]
    assert len(sizes) > 1 and sum(sizes) == refused and min(sizes) > 0
    assert of_attempts(up, "etl.valid.ohlcv", run["run"]) == 0


def test_a_dead_task_is_done_again(pipeline, tmp_path):
    up = pipeline
    up.subscribe("bars", tmp_path / "bars.dbn.zst")
    up.start_all()
    run = up.run(["bars"])
    assert run["status"] == "failed"
    (dead,) = wait_until(lambda: letters(up), 30, "the letter of the task")
    again = replay_failing(up, "--class", "api_errors")
    assert again["status"] == "failed"
    (_, second) = wait_until(lambda: len(found := letters(up)) == 2 and found, 30, "another letter")
    assert second[1:3] == (dead[0], 1), "it knows the first"
    assert sorted(assert_carried(up).values()) == [[0, 0], [1, dead[0]]]
    simulate(up, tmp_path, bars=BARS, symbols=4, seed=4)
    run = replay(up, "--id", second[0], "--max-replays", "2")
    assert_good(run, fetched=BARS)
    assert run["inserted"] == BARS and len(letters(up)) == 2
    (attempt,) = up.api.run(run["run"])["attempts"]
    assert attempt["path"] == str(tmp_path / "bars.dbn.zst") and attempt["subscription"] == "bars"


def replay_failing(pipeline, *words):
    return pipeline.cli_json("dlq", "replay", *words, "--follow", code=1)


# --- two at once -------------------------------------------------------------------------------------------------------


def test_two_operators_one_wins(loaded):
    """Whoever comes second is told of the first's run, in whichever moment it comes."""
    up = loaded
    for worker in up.of("fetcher"):
        assert worker.stop() == 0
    with up.connect() as gate:
        gate.execute("SELECT pg_advisory_xact_lock(hashtext('etl.dead_letter_states'))")
        both = [up.background("dlq", "replay", "--where", "stage = 'validator'") for _ in range(2)]
        up.wait_blocked(2)
        gate.commit()
    said = [(process.communicate(timeout=patient(30)), process.returncode) for process in both]
    assert sorted(code for _, code in said) == [0, 1]
    (lost,) = [text for (_, text), code in said if code == 1]
    total = len(letters(up, "stage = 'validator'"))
    ((run,),) = up.query("SELECT run FROM etl.runs WHERE kind = 'replay'")
    told = f"{total} of these dead letters are being put back by run {run}, which configuration asked for (HTTP 409)"
    assert told in lost
    assert told in up.cli("dlq", "replay", "--where", "stage = 'validator'", "--max-replays", "9", code=1).stderr
    one = letters(up, "stage = 'validator'")[0][0]
    for words in (["discard", "--why", "x"], ["resolve"]):
        said = up.cli("dlq", *words, "--id", one, code=1).stderr
        assert f"1 of these dead letters are being put back by run {run}; decide when it is over" in said
    assert up.value("SELECT count(*) FROM etl.audit WHERE action LIKE 'dead_letters.%%'") == 1
    up.start("fetcher")
    done = up.wait_run(run)
    assert_good(done, fetched=total)
    assert done["dead_letters"] == total
    up.cli("dlq", "discard", "--id", one, "--why", "over")


def test_a_fetcher_that_is_killed_goes_on(loaded):
    """With a transaction for each letter, it is killed twice on the way: each letter is put back once."""
    up = loaded
    for worker in up.of("fetcher"):
        assert worker.stop() == 0
    up.shorten_sessions()
    total = len(letters(up, "stage = 'validator'"))
    slow = {"batch.ms": 1, "turn.records": 1}
    run = up.cli_json("dlq", "replay", "--stage", "validator")["run"]
    for count in (5, 15):
        fetcher = up.start("fetcher", settings=slow)
        wait_until(lambda want=count: up.api.run(run)["fetched"] >= want, 60, f"{count} letters are put back", 0.01)
        fetcher.kill()
    up.start("fetcher")
    done = up.wait_run(run, seconds=120)
    assert_good(done, fetched=total)
    assert done["dead_letters"] == total
    assert up.value("SELECT count(*) FROM etl.dead_letters WHERE replays = 1") == total


# --- a vendor's --------------------------------------------------------------------------------------------------------


def test_a_dead_window_is_quoted_and_bought(pipeline, tmp_path):
    """The vendor refuses one window of two; done again, it alone is bought."""
    up = pipeline
    week = {"start": "2024-03-11", "end": "2024-03-13", "chunk": "day", "cost_max_usd": 1000}
    entry = {"name": "minutes", "source": "databento", "dataset": "XNAS.ITCH", "schema": "ohlcv-1m", "symbols": ["AAPL"]}
    up.subscriptions = [entry | week | {"symbol_mappings": "false"}]
    up.write_subscriptions()
    with Simulator(tmp_path, "--seed", 7, "--start", "2010-01-01") as simulator:
        up.spawn("fetcher", environment={"DATABENTO_API_KEY": KEY, "DATABENTO_GATEWAY": simulator.url}).wait_ready()
        up.start_all(kinds=("orchestrator", "validator", "transformer", "loader"))
        simulator.fault(path="/v0/timeseries.get_range", count=1, status=403)
        run = up.run()
        assert run["status"] == "failed" and run["fetched"] > 0
        (dead,) = wait_until(lambda: letters(up, "class = 'api_errors'"), 30, "the letter of the window")
        billed = simulator.control("GET", "meter")
        again = replay(up, "--id", dead[0])
        assert (again["status"], again["balanced"], again["kind"]) == ("success", True, "replay"), again
        assert again["inserted"] > 0 and again["unchanged"] == 0, "what was bought is not bought again"
        assert simulator.control("GET", "meter") != billed
        states = dict(up.query("SELECT state, count(*) FROM etl.coverage GROUP BY 1"))
        assert states == {"complete": 2}


# --- before it is done -------------------------------------------------------------------------------------------------


def dry_run(pipeline, *words):
    return pipeline.cli_json("dlq", "replay", "--dry-run", *words)


def test_what_would_pass_now(loaded, tmp_path):
    """By today's rules, by a file's, and by those that validators are configured to have; the replay then agrees."""
    up = loaded
    refused = letters(up, "stage = 'validator'")
    passing = [row for row in refused if row[3] == [RELAXED]]
    mine = tmp_path / "mine.yaml"
    with open(os.path.join(TOP, "stages", "validator", "rules", "ohlcv.yaml")) as file:
        text = file.read()
    mine.write_text(text.replace(f"  - name: {RELAXED}\n", f"  - name: {RELAXED}\n    severity: flag\n"))
    before = up.value("SELECT count(*) FROM etl.audit")
    wanted = ("--where", "stage = 'validator'")

    found = dry_run(up, *wanted)
    assert (found["letters"], found["would_pass"], found["left_out"], found["not_judged"]) == (len(refused), 0, 0, 0)
    assert {row["rule"]: row["letters"] for row in found["still_failing"]} == {
        row["group"]: row["dead_letters"]
        for row in up.cli_json("dlq", "summary", "--by", "rule", *wanted)["summary"]
        if row["group"] != "PRICE_NOT_POSITIVE"
    }, "every rule but the one that only flags"
    found = dry_run(up, *wanted, "--rules", mine)
    assert (found["letters"], found["would_pass"]) == (len(refused), len(passing))
    by_rule = {row["rule"]: (row["letters"], row["would_pass"]) for row in found["by_rule"]}
    assert by_rule[RELAXED] == (sum(RELAXED in row[3] for row in refused), len(passing))
    assert sum(row["letters"] for row in found["by_symbol"]) == len(refused)
    assert RELAXED not in {row["rule"] for row in found["still_failing"] if row["letters"] > len(refused) - len(passing)}
    said = up.cli("dlq", "replay", "--dry-run", *wanted, "--rules", mine).stdout
    assert said.startswith(f"would now pass {len(passing)} of {len(refused)}\nrules ohlcv@")
    example = found["still_failing"][0]["examples"][0]
    assert f"letter {example['id']} {example['symbol']} " in said and example["message"] in said
    message = up.value("SELECT message FROM etl.dead_letters WHERE id = %s", example["id"])
    assert example["message"] == message, "as the validator said it"

    relax(up, tmp_path / "rules", RELAXED)
    assert dry_run(up, *wanted)["would_pass"] == len(passing), "the validators' own rules, as configured"
    assert up.value("SELECT count(*) FROM etl.audit") == before and up.value("SELECT count(*) FROM etl.runs") == 1
    run = replay(up, *wanted)
    assert run["inserted"] == len(passing)
    found = dry_run(up, *wanted)
    assert (found["letters"], found["left_out"]) == (0, 2 * len(refused) - len(passing))


def test_other_stages_letters_are_told_apart(loaded):
    up = loaded
    transformer, fetcher = len(letters(up, "stage = 'transformer'")), len(letters(up, "stage = 'fetcher'"))
    one = letters(up, "stage = 'transformer'")[0][0]
    up.cli("dlq", "discard", "--id", one, "--why", "a test")
    found = dry_run(up, "--where", "stage = 'transformer'")
    assert (found["letters"], found["would_pass"], found["left_out"]) == (transformer - 1, 0, 1)
    (failing,) = found["still_failing"]
    assert failing["rule"] == "TRANSFORMATION_ERROR" and "is not on a 1m boundary" in failing["examples"][0]["message"]
    found = dry_run(up, "--stage", "fetcher")
    assert (found["letters"], found["not_judged"]) == (0, fetcher)


@pytest.mark.parametrize(
    "words, code, said",
    [
        (["--dry-run"], 2, "nothing says which"),
        (["--run", "1", "--rules", "x.yaml"], 2, "--rules goes with --dry-run"),
        (["--run", "1", "--dry-run", "--follow"], 2, "--dry-run changes nothing"),
        (["--run", "1", "--dry-run", "--rules", "none.yaml"], 1, "none.yaml: No such file"),
        (["--run", "1", "--dry-run", "--rules", "bad.yaml"], 1, "bad.yaml:6:15: "),
        (["--dry-run", "--where", "symbol = 'NONE'"], 1, "there is no such dead letter"),
        (["--dry-run", "--where", "colour = 'red'"], 2, "there is no parameter 'colour'"),
    ],
)
def test_a_dry_run_that_is_refused(orchestrated, words, code, said):
    with open(os.path.join(orchestrated.folder, "bad.yaml"), "w") as file:
        file.write("name: ohlcv\nrecord: ohlcv\nrules:\n  - name: HIGHS\n    # above\n    violated: hihg < low\n")
    done = orchestrated.cli("dlq", "replay", *words, code=code)
    assert said in done.stderr and done.stdout == ""

"""What is decided about dead letters: states, who and why, and what is refused."""

import pytest
from harness.bars import loaded
from harness.waiting import patient

BARS, BROKEN = 300, 13
DISCARDS, RESOLUTIONS, REOPENINGS = (f"/api/v1/dead-letters/{what}" for what in ("discards", "resolutions", "reopenings"))
RULE = "HIGH_LESS_THAN_LOW"


@pytest.fixture(scope="module")
def once(servers, tmp_path_factory):
    with loaded(servers, tmp_path_factory, runs=1, bars=BARS, broken=BROKEN) as pipeline:
        yield pipeline


@pytest.fixture
def letters(up):
    """Every letter's id, oldest first; nothing is decided about any."""
    up.query("DELETE FROM etl.dead_letter_states")
    up.query("DELETE FROM etl.dead_letter_reviews")
    return [i for (i,) in up.query("SELECT id FROM etl.dead_letters ORDER BY id")]


def states(up, **filters):
    words = [word for name, value in filters.items() for word in (f"--{name}", str(value))]
    return {row["id"]: row["state"] for row in up.cli_json("dlq", "ls", "--limit", "1000", *words)["dead_letters"]}


def counts(up):
    return {row["group"]: row["dead_letters"] for row in up.cli_json("dlq", "summary", "--by", "state")["summary"]}


def audited(up, action):
    return up.cli_json("audit", "--action", f"dead_letters.{action}", "--limit", "1")["audit"][0]


def test_a_letter_is_new_then_seen(up, letters):
    assert states(up) == dict.fromkeys(letters, "new") and counts(up) == {"new": BROKEN}
    up.cli("dlq", "review", "--up-to", str(letters[3]), "--why", "some")
    assert sorted(states(up, state="seen")) == letters[:4] and sorted(states(up, state="new")) == letters[4:]
    assert counts(up) == {"new": BROKEN - 4, "seen": 4}
    one = up.cli_json("dlq", "show", str(letters[0]))
    assert (one["state"], one["state_who"], one["state_why"]) == ("seen", "configuration", "some") and one["state_at"]
    assert audited(up, "review")["detail"] == {"why": "some"}
    names = up.cli("dlq", "ls").stdout.splitlines()[0].split()
    assert names[:2] == ["id", "state"]


def test_discarding_says_who_and_why(up, letters):
    chosen = sorted(states(up, rule=RULE))
    assert 0 < len(chosen) < BROKEN
    said = up.cli("dlq", "discard", "--where", f"rule = '{RULE}'", "--why", "a test of the vendor's").stdout
    assert said == f"{len(chosen)} dead letters are discarded\n"
    assert sorted(states(up, state="discarded")) == chosen
    assert states(up, rule=RULE) == dict.fromkeys(chosen, "discarded") and counts(up)["discarded"] == len(chosen)
    entry = audited(up, "discard")
    assert (entry["who"], entry["role"]) == ("configuration", "admin")
    assert entry["detail"] == {"filters": {"rule": RULE}, "why": "a test of the vendor's", "letters": len(chosen)}
    one = up.cli_json("dlq", "show", str(chosen[0]))
    assert (one["state"], one["state_who"], one["state_why"]) == ("discarded", "configuration", "a test of the vendor's")
    assert sorted(states(up, state="new")) == [i for i in letters if i not in chosen]


def test_decided_letters_stay_as_they_are(up, letters):
    first, second = letters[:2]
    up.cli("dlq", "resolve", "--id", str(first))
    assert states(up)[first] == "resolved"
    answer = up.cli_json("dlq", "discard", "--where", "run = 1", "--why", "all")
    assert answer == {"state": "discarded", "letters": BROKEN - 1, "resolved_before": 1, "discarded_before": 0}
    assert states(up)[first] == "resolved" and states(up)[second] == "discarded"
    before = up.value("SELECT count(*) FROM etl.audit")
    for command in (["discard", "--why", "x"], ["resolve"]):
        done = up.cli("dlq", *command, "--run", "1", code=1)
        assert f"decided upon already: {BROKEN - 1} discarded, 1 resolved (HTTP 409)" in done.stderr
    assert up.value("SELECT count(*) FROM etl.audit") == before, "what changed nothing is no change"


def test_a_mistake_is_taken_back(up, letters):
    """Those that were discarded or resolved are seen; the others, new or put back, stay what they are. Then all begins anew."""
    one, two, three, *rest = letters
    up.cli("dlq", "discard", "--id", one, "--why", "wrong")
    up.cli("dlq", "resolve", "--id", two)
    up.query("INSERT INTO etl.dead_letter_states SELECT %s, 'replayed', min(id), NULL, 1 FROM etl.audit", three)
    up.query("UPDATE etl.dead_letter_states SET replays = 2 WHERE letter = %s", one)
    done = up.cli("dlq", "reopen", "--where", "run = 1", "--why", "they were right").stdout
    assert done == f"2 dead letters are seen\nleft as they were: {BROKEN - 2} that nothing was decided about\n"
    assert states(up) == {one: "seen", two: "seen", three: "replayed"} | dict.fromkeys(rest, "new")
    assert sorted(states(up, state="seen")) == [one, two] and sorted(states(up, state="new")) == rest
    assert counts(up) == {"new": BROKEN - 3, "seen": 2, "replayed": 1}
    summary = up.cli_json("dlq", "summary", "--by", "state", "--state", "seen")["summary"]
    assert [(row["group"], row["dead_letters"]) for row in summary] == [("seen", 2)]
    shown = up.cli_json("dlq", "show", one)
    assert (shown["state"], shown["state_who"], shown["state_why"]) == ("seen", "configuration", "they were right")
    entry = audited(up, "reopen")
    assert (entry["who"], entry["detail"]) == ("configuration", {"filters": {"run": "1"}, "why": "they were right", "letters": 2})
    assert "nothing is decided upon" in up.cli("dlq", "reopen", "--id", one, "--why", "again", code=1).stderr
    assert up.value("SELECT replays FROM etl.dead_letter_states WHERE letter = %s", one) == 2, "counts on"
    assert up.cli_json("dlq", "discard", "--where", "state = 'seen'", "--why", "after all")["letters"] == 2
    assert states(up, state="discarded") == {one: "discarded", two: "discarded"}


@pytest.mark.parametrize(
    "words, code, said",
    [
        (["discard", "--why", "x"], 2, "nothing says which"),
        (["resolve"], 2, "nothing says which"),
        (["reopen", "--why", "x"], 2, "nothing says which"),
        (["reopen", "--run", "1"], 2, "--why is missing"),
        (["reopen", "--run", "1", "--why", "x"], 1, f"nothing is decided upon about these {BROKEN} dead letters (HTTP 409)"),
        (["reopen", "--where", "symbol = 'NONE'", "--why", "x"], 1, "there is no such dead letter"),
        (["discard", "--run", "1"], 2, "--why is missing"),
        (["discard", "--run", "1", "--why", "  "], 2, "why is missing"),
        (["discard", "--where", "colour = 'red'", "--why", "x"], 2, "there is no parameter 'colour' here; there are: class, rule"),
        (["resolve", "--limit", "5"], 2, "there is no parameter 'limit'"),
        (["resolve", "--state", "lost"], 2, "'lost' is not one of new|seen|replayed|resolved|discarded"),
        (["resolve", "--id", "x"], 2, "'x' is not a whole number"),
        (["resolve", "--where", "symbol = 'NONE'"], 1, "there is no such dead letter"),
        (["resolve", "--where", "symbol ="], 2, "the value of symbol is missing"),
    ],
)
def test_what_is_refused_changes_nothing(up, letters, words, code, said):
    before = up.value("SELECT count(*) FROM etl.audit")
    done = up.cli("dlq", *words, code=code)
    assert said in done.stderr and done.stdout == ""
    assert up.value("SELECT count(*) FROM etl.dead_letter_states") == 0
    assert up.value("SELECT count(*) FROM etl.audit") == before


def test_over_http(up, letters):
    answer = up.api.post(DISCARDS, params={"id": letters[0]}, json={"why": "x" * 501})
    assert answer.status_code == 400 and "'why': there is why, a text of 500 bytes" in answer.json()["detail"]
    for body in ('{"why": 1}', '{"reason": "x"}', "[]", "{"):
        assert up.api.post(DISCARDS, params={"id": letters[0]}, data=body).status_code == 400, body
    answer = up.api.post(RESOLUTIONS, params={"id": letters[0]})
    assert (answer.status_code, answer.json()["letters"]) == (200, 1)
    answer = up.api.get(DISCARDS)
    assert (answer.status_code, answer.headers["Allow"]) == (405, "POST"), "it is no letter's number"
    document = up.api.get("/openapi.json").json()
    listed = document["paths"]["/api/v1/dead-letters"]["get"]["parameters"]
    answer = up.api.post(REOPENINGS, params={"id": letters[0]}, json={"why": "x"})
    assert (answer.status_code, answer.json()) == (200, {"state": "seen", "letters": 1, "undecided_before": 0})
    for path in (DISCARDS, RESOLUTIONS, REOPENINGS):
        operation = document["paths"][path]["post"]
        assert operation["parameters"] == [p for p in listed if p["name"] not in ("cursor", "limit")], path
        assert operation["x-role"] == "operator" and "x-filters-of" not in operation


def test_viewers_decide_nothing(up, letters, tmp_path):
    secret = up.cli("token", "create", "looker", "--role", "viewer").stdout.strip()
    path = tmp_path / "token"
    path.write_text(secret)
    done = up.cli("dlq", "resolve", "--run", "1", "--set", f"api.token_file={path}", code=1)
    assert "this takes the role operator" in done.stderr and up.value("SELECT count(*) FROM etl.dead_letter_states") == 0


def test_two_who_decide_at_once(up, letters):
    """Whoever comes second waits for the first, and is told what it decided."""
    with up.connect() as first:
        first.execute("SELECT pg_advisory_xact_lock(hashtext('etl.dead_letter_states'))")
        audit = first.execute(
            "INSERT INTO etl.audit (who, role, action, target) VALUES ('desk', 'operator', 'dead_letters.discard', '') RETURNING id"
        ).fetchone()[0]
        first.execute("INSERT INTO etl.dead_letter_states (letter, state, audit) SELECT id, 'discarded', %s FROM etl.dead_letters", [audit])
        process = up.background("dlq", "resolve", "--run", "1")
        up.wait_blocked()
        first.commit()
    _, said = process.communicate(timeout=patient(30))
    assert process.returncode == 1 and f"decided upon already: {BROKEN} discarded" in said

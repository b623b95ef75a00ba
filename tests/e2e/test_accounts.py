"""An account that changes after it was closed: nobody may go on believing that it is balanced."""

import pytest
from harness.bars import assert_good, loaded
from harness.waiting import wait_until

ADD_SQL = (
    "INSERT INTO etl.ledger AS l (attempt, topic, partition, outcome, records, mix)"
    " SELECT attempt, topic, partition, outcome, 1, 0 FROM etl.ledger WHERE attempt = %s AND outcome = 'inserted' LIMIT 1"
    " ON CONFLICT (attempt, topic, partition, outcome) DO UPDATE SET records = l.records + 1"
)


@pytest.fixture(scope="module")
def once(servers, tmp_path_factory):
    with loaded(servers, tmp_path_factory, bars=50, broken=0) as pipeline:
        yield pipeline


@pytest.mark.parametrize("seen", [True, False], ids=["after", "while it was closed"])
def test_what_is_booked_late_is_in_every_account(up, seen):
    """`seen`: the ledger's trigger knows that the attempt is closed. A loader that had not committed then has one that does not."""
    run = up.run(["bars"])
    assert_good(run)
    attempt = up.value("SELECT attempt FROM etl.attempts WHERE run = %s", run["run"])
    assert up.value("SELECT unchanged FROM etl.attempts WHERE attempt = %s", attempt) == run["unchanged"] > 0
    with up.connect() as connection:
        connection.execute(f"ALTER TABLE etl.ledger {'ENABLE' if seen else 'DISABLE'} TRIGGER USER")
        connection.execute(ADD_SQL.replace("'inserted'", "'unchanged'"), [attempt])
        connection.execute("ALTER TABLE etl.ledger ENABLE TRIGGER USER")
    wait_until(
        lambda: "ledger_changed_after_close" in {a["name"] for a in up.api.get("/api/v1/alarms").json()["alarms"] if a["attempt"] == attempt},
        30,
        "an alarm",
    )
    shown = up.api.run(run["run"])
    assert shown["balanced"] is False and shown["unchanged"] == run["unchanged"] + 1
    (listed,) = up.api.get(f"/api/v1/ledger/attempts?run={run['run']}").json()["attempts"]
    assert listed["unchanged"] == run["unchanged"] + 1

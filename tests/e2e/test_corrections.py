"""A vendor corrects and withdraws: what is planned again, what the journal says, what was known when, and which rows go."""

from datetime import UTC, datetime

from harness.selling import started, vendor  # noqa: F401
from harness.waiting import wait_until

XNAS = "XNAS.ITCH"
WEEK = {"start": "2024-03-11", "end": "2024-03-16"}
DAY = {"start": "2024-03-13", "end": "2024-03-14"}
MINUTES = {
    "name": "minutes",
    "source": "databento",
    "dataset": XNAS,
    "schema": "ohlcv-1m",
    "symbols": ["AAPL", "MSFT"],
    "chunk": "week",
    "cost_max_usd": 1000,
    "symbol_mappings": "false",
} | WEEK


def changed(vendor, what, modified="2024-06-01", **where):
    vendor.control("POST", what, **{"dataset": XNAS, "modified": modified} | where)


def at(minute):
    return f"2024-03-13T15:{minute:02}:00Z"


def fetch(pipeline, **switches):
    run = pipeline.run(seconds=120, **switches)
    assert (run["status"], run["balanced"]) == ("success", True), run
    return run


def meter(vendor):
    """How often the vendor was asked for data, and what it billed."""
    found = vendor.control("GET", "meter")
    return found["requests"], found["billed_bytes"]


COLUMNS = "symbol, ts_event, open_price, high_price, low_price, close_price, volume"


def rows(pipeline, condition="true", *values):
    return pipeline.query(f"SELECT {COLUMNS} FROM ohlcv_data WHERE {condition} ORDER BY 1, 2", *values)


def now():
    return datetime.now(UTC).isoformat().replace("+00:00", "Z")


def listed(pipeline, name="restatements", *words):
    return pipeline.cli_json(name, *words)[name]


def known(pipeline, symbol, *words):
    """Bars of a day as the command line shows them: time, volume, which corrections change."""
    found = pipeline.cli_json("bars", symbol, DAY["start"], DAY["start"], "--interval", "1m", *words)["data"]
    return [(bar["time"], int(bar["volume"])) for bar in found]


# --- corrections ---------------------------------------------------------------------------------------------------------


def test_a_correction_is_journaled_and_known_since_it_was_read(started, pipeline, vendor):
    started(MINUTES)
    fetch(pipeline)
    before, first = rows(pipeline), known(pipeline, "AAPL")
    between = now()
    changed(vendor, "corrections", symbol="AAPL", start=at(0), end=at(30))
    run = fetch(pipeline)
    second = known(pipeline, "AAPL")
    changed_bars = [(old, new) for old, new in zip(first, second, strict=True) if old != new]
    assert run["updated"] >= len(changed_bars) > 10 and all(at(0) <= old[0] < at(30) for old, _ in changed_bars)
    assert known(pipeline, "AAPL", "--as-of", between) == first
    assert known(pipeline, "AAPL", "--as-of", now()) == second
    assert known(pipeline, "AAPL", "--as-of", "2024-03-14") == [], "nobody had read it by then"
    found = listed(pipeline, "restatements", "--limit", "500", "--run", run["run"])
    assert len(found) == run["updated"] and {each["kind"] for each in found} == {"restated"}
    old, new = changed_bars[0]
    (said,) = [each for each in found if each["time"] == old[0] and each["symbol"] == "AAPL"]
    assert said["changes"]["volume"] == {"was": old[1], "is": new[1]} and said["old_row"]["volume"] == old[1]
    assert "close_price" not in said["changes"] and "symbol" not in said["changes"], "what is the same is not said"
    assert said["old_as_of"] < between < said["new_as_of"] and said["subscription"] == "minutes"
    assert listed(pipeline, "restatements", "--symbol", "MSFT") == []
    assert len(before) == len(rows(pipeline)) and run["inserted"] == 0
    text = pipeline.cli("restatements", "--symbol", "AAPL", "--limit", "3").stdout
    assert "restated" in text and "AAPL" in text
    answer = pipeline.api.get("/api/v1/historical/AAPL", params={"start": DAY["start"], "end": DAY["start"], "interval": "1m", "as_of": between, "format": "csv"})
    assert len(answer.text.splitlines()) == len(first) + 1


def test_each_correction_holds_for_its_time(started, pipeline, vendor):
    started(MINUTES)
    said, times = [], []
    for n in range(3):
        fetch(pipeline)
        said.append(known(pipeline, "AAPL"))
        times.append(now())
        changed(vendor, "corrections", f"2024-06-0{n + 1}", symbol="AAPL", start=at(0), end=at(5))
    assert said[0] != said[1] != said[2]
    for time, bars in zip(times, said, strict=True):
        assert known(pipeline, "AAPL", "--as-of", time) == bars


def test_older_never_overwrites_newer(started, pipeline, vendor):
    """Fetched, corrected, fetched again, the first put back: no row changes."""
    started(MINUTES)
    first = fetch(pipeline)
    between = now()
    changed(vendor, "corrections", symbol="AAPL", **DAY)
    second = fetch(pipeline)
    assert second["updated"] > 100
    before = pipeline.query("SELECT * FROM ohlcv_data ORDER BY symbol, ts_event")
    for stage in ("raw", "clean"):
        run = pipeline.cli_json("replay", "--schema", "ohlcv-1m", "--stage", stage, "--from", "earliest", "--to", between, "--follow")
        assert run["balanced"] and run["superseded"] == second["updated"] and run["fetched"] == first["inserted"], run
        assert pipeline.query("SELECT * FROM ohlcv_data ORDER BY symbol, ts_event") == before
    assert pipeline.value("SELECT count(*) FROM etl.restatements") == second["updated"]


# --- what is planned again ---------------------------------------------------------------------------------------------------


def coverage_of(pipeline, day):
    return set(pipeline.query("SELECT vendor_condition, vendor_last_modified::text FROM etl.coverage WHERE day = %s", day))


def test_a_day_that_changed_is_bought_again_and_nothing_else(started, pipeline, vendor):
    """By its last-modified date or its condition; what did not change costs no call for data."""
    started(MINUTES)
    fetch(pipeline)
    asked, billed = meter(vendor)
    assert asked == 1 and billed > 0, "one window"
    run = fetch(pipeline)
    assert meter(vendor) == (asked, billed) and run["fetched"] == 0

    of_a_day = pipeline.value("SELECT count(*) FROM ohlcv_data WHERE ts_event::date = %s", DAY["start"])
    changed(vendor, "corrections", symbol="AAPL", start=at(0), end=at(1))
    run = fetch(pipeline)
    assert meter(vendor) == (asked + 1, billed + of_a_day * 56) and run["fetched"] == of_a_day
    assert coverage_of(pipeline, DAY["start"]) == {("available", "2024-06-01")}
    assert fetch(pipeline)["fetched"] == 0 and meter(vendor)[0] == asked + 1

    vendor.control("POST", "conditions", dataset=XNAS, date="2024-03-12", condition="degraded", modified="2024-03-13")
    left = fetch(pipeline)["fetched"]
    now_asked, now_billed = meter(vendor)
    assert now_asked == asked + 2 and now_billed == billed + (of_a_day + left) * 56 and 0 < left < of_a_day
    assert coverage_of(pipeline, "2024-03-12") == {("degraded", "2024-03-13")}
    assert fetch(pipeline)["fetched"] == 0 and meter(vendor) == (now_asked, now_billed)


# --- withdrawals --------------------------------------------------------------------------------------------------------------


def withdraw(vendor, minute=7, symbol="AAPL", until=None, **more):
    changed(vendor, "withdrawals", symbol=symbol, start=at(minute), end=at(until or minute + 1), **more)


AT = "symbol = 'AAPL' AND ts_event = '2024-03-13T15:07:00Z'"


def test_what_the_vendor_withdrew_goes(started, pipeline, vendor):
    """That row and no other; it was known until then, and is the only one journaled."""
    other = MINUTES | {"name": "other", "symbols": ["NVDA"]}
    started(MINUTES, other)
    first = fetch(pipeline)
    before, gone = rows(pipeline), rows(pipeline, AT)
    assert len(gone) == 1
    between = now()
    withdraw(vendor)
    run = fetch(pipeline)
    assert rows(pipeline) == [row for row in before if row not in gone]
    (said,) = listed(pipeline)
    assert (said["kind"], said["symbol"], said["time"], said["changes"]) == ("withdrawn", "AAPL", at(7), None)
    assert (said["run"], said["subscription"]) == (run["run"], "minutes")
    (made,) = listed(pipeline, "withdrawals")
    assert (made["run"], made["withdrawn"], made["stored"] - made["delivered"], made["why"]) == (run["run"], 1, 1, "")
    assert pipeline.api.get("/api/v1/withdrawals").json()["withdrawals"] == [made]
    (why,) = pipeline.cli_json("why", "AAPL", at(7))["rows"]
    (attempt,) = pipeline.query("SELECT attempt FROM etl.withdrawals")[0]
    assert (why["withdrawn_at"], why["withdrawn_as_of"]) == (said["restated_at"], said["new_as_of"])
    assert (why["withdrawn_by_run"], why["withdrawn_by_attempt"]) == (run["run"], attempt)
    assert (why["run"], why["row"], why["attempt"]) == (first["run"], said["old_row"], said["old_attempt"])
    text = pipeline.cli("why", "AAPL", at(7)).stdout
    assert f"withdrawn_by_attempt {attempt}" in " ".join(text.split()) and f'"volume":{int(gone[0][-1])}' in text.replace(" ", "")
    assert pipeline.cli_json("why", "AAPL", at(6))["rows"][0]["withdrawn_at"] is None, "one that is there"
    times = [time for time, _ in known(pipeline, "AAPL", "--as-of", between)]
    assert at(7) in times and at(7) not in [time for time, _ in known(pipeline, "AAPL")]
    (check,) = [each for each in run["checks"] if each["name"] == "withdrawals"]
    assert (check["passed"], check["observed"], check["expected"]) == (True, 1, 1)
    assert fetch(pipeline)["fetched"] == 0
    assert len(listed(pipeline)) == 1
    assert fetch(pipeline, refetch=True)["inserted"] == 0
    assert len(listed(pipeline)) == 1, "once"


def test_what_was_withdrawn_does_not_come_back_by_a_replay(started, pipeline, vendor):
    """What was read before; what the vendor has again later does."""
    started(MINUTES)
    fetch(pipeline)
    before = rows(pipeline)
    between = now()
    withdraw(vendor, until=9)
    fetch(pipeline)
    after = rows(pipeline)
    assert len(before) - len(after) == 2
    for stage in ("raw", "clean"):
        run = pipeline.cli_json("replay", "--schema", "ohlcv-1m", "--stage", stage, "--from", "earliest", "--to", between, "--follow")
        assert run["balanced"] and (run["superseded"], run["inserted"]) == (2, 0), run
        assert rows(pipeline) == after
    vendor.control("DELETE", "history")
    run = fetch(pipeline)
    assert run["inserted"] == 2 and rows(pipeline) == before
    back, gone = pipeline.cli_json("why", "AAPL", at(7))["rows"]
    assert (back["run"], back["withdrawn_at"]) == (run["run"], None) and gone["withdrawn_at"] and gone["as_of"] < back["as_of"]
    assert pipeline.cli_json("replay", "--schema", "ohlcv-1m", "--stage", "raw", "--from", "earliest", "--to", between, "--follow")["superseded"] == 2
    assert rows(pipeline) == before and len(listed(pipeline)) == 2


def test_a_whole_day_and_a_whole_symbol(started, pipeline, vendor):
    """Nothing is delivered of them any more."""
    started(MINUTES)
    fetch(pipeline)
    before = rows(pipeline)
    changed(vendor, "withdrawals", symbol="MSFT", **DAY)
    fetch(pipeline)
    kept = [row for row in before if row[0] != "MSFT" or str(row[1].date()) != DAY["start"]]
    assert rows(pipeline) == kept and len(kept) < len(before)
    changed(vendor, "withdrawals", modified="2024-06-02", **DAY)
    fetch(pipeline)
    assert rows(pipeline) == [row for row in kept if str(row[1].date()) != DAY["start"]]


TABLES = {"trades": "trades_data", "tbbo": "tbbo_data", "statistics": "statistics_data", "definition": "definitions_data", "ohlcv-1d": "ohlcv_data"}


def test_every_type(started, pipeline, vendor):
    """All that a day has of a symbol, and the other symbol's stay; of trades an hour, too."""
    started(*(MINUTES | {"name": schema, "schema": schema} | DAY for schema in TABLES))
    fetch(pipeline)

    def stored(symbol):
        return {table: pipeline.value(f"SELECT count(*) FROM {table} WHERE symbol = %s", symbol) for table in TABLES.values()}

    aapl, msft = stored("AAPL"), stored("MSFT")
    assert all(aapl.values()) and all(msft.values())
    hour = pipeline.value("SELECT count(*) FROM trades_data WHERE symbol = 'AAPL' AND ts_event >= '2024-03-13T15:00Z' AND ts_event < '2024-03-13T16:00Z'")
    changed(vendor, "withdrawals", symbol="AAPL", start="2024-03-13T15:00:00Z", end="2024-03-13T16:00:00Z")
    fetch(pipeline)
    assert stored("AAPL") | {"ohlcv_data": 1} == aapl | {"trades_data": aapl["trades_data"] - hour, "tbbo_data": aapl["tbbo_data"] - hour} and hour
    changed(vendor, "withdrawals", modified="2024-06-02", symbol="AAPL", **DAY)
    fetch(pipeline)
    assert set(stored("AAPL").values()) == {0} and stored("MSFT") == msft
    journal = pipeline.query("SELECT table_name, count(*) FROM etl.restatements WHERE kind = 'withdrawn' GROUP BY 1")
    assert dict(journal) == aapl


def test_a_window_that_was_parked(started, pipeline, vendor):
    """Its second half is held against the keys of both, however long it stood still: three rows go, before and behind that place."""
    started(MINUTES)
    fetch(pipeline)
    before = rows(pipeline)
    times = [f"{day}T15:07:00Z" for day in ("2024-03-11", "2024-03-13", "2024-03-15")]
    for time in times:
        changed(vendor, "withdrawals", symbol="AAPL", start=time, end=time.replace(":07:", ":08:"))
    vendor.fault(path="/v0/timeseries.get_range", count=1, slow_bytes_per_second=20_000)
    run = pipeline.api.start_run(refetch=True)
    wait_until(lambda: 0 < pipeline.api.run(run)["fetched"] < len(before) - 3, 60, "some of it has arrived")
    pipeline.cli("run", "pause", run)
    open_attempts = "SELECT count(*) FROM etl.attempts WHERE run = %s AND closed_at IS NULL"
    wait_until(lambda: pipeline.value(open_attempts, run) == 0, 60, "it stands still")
    assert pipeline.value("SELECT count(*) FROM etl.attempts WHERE result ? 'parked' AND fetched > 0") == 1
    assert rows(pipeline) == before and listed(pipeline) == []
    pipeline.query("UPDATE etl.attempts SET closed_at = closed_at - interval '2 days' WHERE run = %s", run)
    pipeline.query("SELECT etl.forget_seen_keys()")
    done = pipeline.cli_json("run", "resume", run, "--follow")
    assert (done["status"], done["balanced"], done["withdrawn"], done["inserted"]) == ("success", True, 3, 0), done
    assert [each["time"] for each in reversed(listed(pipeline))] == times
    assert rows(pipeline) == [row for row in before if row[0] != "AAPL" or row[1].strftime("%Y-%m-%dT%H:%M:%SZ") not in times]
    pipeline.query("UPDATE etl.attempts SET closed_at = closed_at - interval '2 days' WHERE run = %s", run)
    pipeline.query("SELECT etl.forget_seen_keys()")
    assert pipeline.value("SELECT count(*) FROM etl.seen_keys s JOIN etl.attempts a USING (attempt) WHERE a.run = %s", run) == 0


def test_by_batch_job(started, pipeline, vendor):
    """A job of its own: the files of the one before have the row still."""
    started(MINUTES | {"via": "batch"})
    fetch(pipeline)
    before = rows(pipeline)
    withdraw(vendor)
    run = fetch(pipeline)
    assert (run["withdrawn"], run["inserted"]) == (1, 0)
    assert len(rows(pipeline)) == len(before) - 1 and rows(pipeline, AT) == []
    assert fetch(pipeline)["fetched"] == 0


def test_a_symbol_of_a_parent(started, pipeline, vendor):
    """What was delivered for it is known by name, so that one of which nothing is delivered any more is missed."""
    started(MINUTES | DAY | {"dataset": "GLBX.MDP3", "stype_in": "parent", "symbols": ["ES.FUT"]})
    fetch(pipeline)
    before = rows(pipeline)
    symbols = sorted({row[0] for row in before})
    assert len(symbols) > 1
    changed(vendor, "withdrawals", dataset="GLBX.MDP3", symbol=symbols[0], **DAY)
    fetch(pipeline)
    assert rows(pipeline) == [row for row in before if row[0] != symbols[0]]
    assert {each["symbol"] for each in listed(pipeline)} == {symbols[0]}


# --- where nothing goes ----------------------------------------------------------------------------------------------------------


def test_equal_counts_withdraw_nothing(started, pipeline, vendor):
    """A row too many and one too few: nobody looks which."""
    started(MINUTES)
    fetch(pipeline)
    pipeline.query("UPDATE ohlcv_data SET ts_event = ts_event + interval '1 second' WHERE " + AT)
    withdraw(vendor, 8)
    before = rows(pipeline)
    pipeline.query("DELETE FROM ohlcv_data WHERE symbol = 'AAPL' AND ts_event = '2024-03-13T15:20:00Z'")
    fetch(pipeline)
    # put there again by the fetch: 15:07 and 15:20; too many: 15:07:01 and 15:08
    assert len(rows(pipeline)) == len(before) + 1 - 2 and len(listed(pipeline)) == 2


def test_a_refused_record_keeps_its_symbols_rows(started, pipeline, vendor):
    """The vendor has it, though nobody knows which it is."""
    started(MINUTES)
    fetch(pipeline)
    before = rows(pipeline)
    withdraw(vendor)
    withdraw(vendor, symbol="MSFT")
    pipeline.query("DELETE FROM ohlcv_data WHERE symbol = 'AAPL' AND ts_event = '2024-03-13T15:20:00Z'")
    pipeline.query("ALTER TABLE ohlcv_data ADD CONSTRAINT refused CHECK (NOT (symbol = 'AAPL' AND ts_event = '2024-03-13T15:20:00Z')) NOT VALID")
    run = fetch(pipeline)
    assert run["dead_letters"] == 1
    assert [each["symbol"] for each in listed(pipeline)] == ["MSFT"]
    assert len(rows(pipeline)) == len(before) - 2


def test_a_day_without_data_is_no_withdrawal_and_a_degraded_one_is(started, pipeline, vendor):
    """What is pending or missing says nothing of rows; degraded is what the vendor has, also after the others."""
    started(MINUTES)
    fetch(pipeline)
    before = rows(pipeline)
    for condition in ("pending", "missing"):
        vendor.control("POST", "conditions", dataset=XNAS, date=DAY["start"], condition=condition)
        assert fetch(pipeline)["fetched"] == 0
        assert rows(pipeline) == before and listed(pipeline) == []
    vendor.control("POST", "conditions", dataset=XNAS, date=DAY["start"], condition="degraded")
    run = fetch(pipeline)
    kept = rows(pipeline)
    lost = [row for row in before if row not in kept]
    assert {str(row[1].date()) for row in lost} == {DAY["start"]} and len(lost) == len(listed(pipeline, "restatements", "--limit", "500"))
    assert run["inserted"] == run["updated"] == 0 and run["unchanged"] == run["fetched"] and run["withdrawn"] == len(lost)
    assert f"withdrawn     {len(lost):12}  rows removed" in pipeline.cli("run", "show", run["run"]).stdout


def test_an_attempt_that_fails_withdraws_nothing(started, pipeline, vendor):
    """Half of the window came; the next one that is complete does it."""
    pipeline.configure("fetcher", databento={"backoff_ms": 20, "backoff_ms_max": 50, "tries_max": 2})
    started(MINUTES)
    fetch(pipeline)
    before = rows(pipeline)
    withdraw(vendor)
    vendor.fault(path="/v0/timeseries.get_range", count=-1, cut_after_bytes=2000)
    run = pipeline.run(seconds=120)
    assert run["status"] == "failed", run
    assert rows(pipeline) == before and listed(pipeline) == [] and listed(pipeline, "withdrawals") == []
    vendor.control("DELETE", "faults")
    fetch(pipeline)
    assert len(rows(pipeline)) == len(before) - 1


# --- guards ------------------------------------------------------------------------------------------------------------------------


def replace(pipeline, old, new):
    """etl.withdraw() with another text."""
    text = pipeline.value("SELECT pg_get_functiondef('etl.withdraw'::regproc)")
    assert text.count(old) == 1, old
    pipeline.query(text.replace(old, new))


KEYS = "AND NOT EXISTS (SELECT FROM seen WHERE seen.hash = hash_record_extended(ROW (%3$s), 0))"
MISCOUNT = """
CREATE FUNCTION public.miscount() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    IF NEW.result ? 'expected_records' THEN
        NEW.result := NEW.result || jsonb_build_object('expected_records', (NEW.result->>'records')::bigint + 1);
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER miscount BEFORE UPDATE OF result ON etl.attempts FOR EACH ROW EXECUTE FUNCTION public.miscount()
"""


def test_each_guard_alone_holds(started, pipeline, vendor):
    """The others are taken away, or what they look at: nothing goes, and it is said why. In the end all of it does."""
    started(MINUTES)
    fetch(pipeline)
    orchestrator = pipeline.of("orchestrator")[0]
    before = rows(pipeline)
    withdraw(vendor)

    # the keys are not looked at: what would go is more than is too much
    replace(pipeline, KEYS, "")
    fetch(pipeline)
    assert rows(pipeline) == before and listed(pipeline) == []
    (said,) = listed(pipeline, "withdrawals")
    assert said["withdrawn"] == 0 and "keys and counts differ" in said["why"]
    assert [event["message"] for event in orchestrator.events("withdrawal_refused")][-1].endswith(said["why"])
    replace(pipeline, "AND (t.%2$I AT TIME ZONE 'UTC')::date <> ALL ($9)", "AND (t.%2$I AT TIME ZONE 'UTC')::date <> ALL ($9)\n" + KEYS)

    # as if a loader had not written keys
    pipeline.query("CREATE RULE lost AS ON INSERT TO etl.seen_keys DO INSTEAD NOTHING")
    fetch(pipeline, refetch=True)
    assert rows(pipeline) == before and listed(pipeline) == []
    assert "the keys of 0 of" in orchestrator.events("withdrawal_refused")[-1]["message"]
    pipeline.query("DROP RULE lost ON etl.seen_keys")

    # as if the vendor counted otherwise
    pipeline.query(MISCOUNT)
    run = pipeline.run(seconds=120, refetch=True)
    assert run["status"] == "failed" and "vendor counts" in run["message"], run
    assert rows(pipeline) == before and listed(pipeline) == []
    assert "counts other records" in orchestrator.events("withdrawal_refused")[-1]["message"]
    pipeline.query("DROP TRIGGER miscount ON etl.attempts")

    fetch(pipeline, refetch=True)
    assert len(rows(pipeline)) == len(before) - 1 and rows(pipeline, AT) == [] and len(listed(pipeline)) == 1


def test_a_newer_reading_stays(started, pipeline, vendor):
    """As if somebody else had read the row later than the window."""
    started(MINUTES)
    fetch(pipeline)
    pipeline.query("UPDATE ohlcv_data SET as_of = now() + interval '1 day' WHERE " + AT)
    before = rows(pipeline)
    withdraw(vendor, until=9)
    fetch(pipeline)
    assert rows(pipeline) == [row for row in before if row[:1] != ("AAPL",) or row[1] != datetime(2024, 3, 13, 15, 8, tzinfo=UTC)]


def test_two_subscriptions_of_one_symbol(started, pipeline, vendor):
    """Both read the day again, and the one that is done last removes what neither has seen."""
    started(MINUTES, MINUTES | {"name": "twin", "symbols": ["AAPL"]})
    fetch(pipeline)
    before = rows(pipeline)
    withdraw(vendor)
    run = fetch(pipeline)
    assert len(rows(pipeline)) == len(before) - 1 and len(listed(pipeline)) == 1
    assert run["inserted"] == run["updated"] == 0


def test_an_orchestrator_that_dies_meanwhile(started, pipeline, vendor):
    """Killed while it removes rows: they are there; the next one removes them, once."""
    started(MINUTES)
    fetch(pipeline)
    before = rows(pipeline)
    withdraw(vendor)
    with pipeline.connect() as holder:
        holder.execute("SELECT FROM ohlcv_data WHERE " + AT + " FOR UPDATE")
        run = pipeline.api.start_run()
        pipeline.wait_blocked()
        pipeline.of("orchestrator")[0].kill()
        assert rows(pipeline) == before
        holder.rollback()
    wait_until(lambda: not pipeline.value("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'penstock-orchestrator' AND state <> 'idle' AND datname = current_database()"), 60, "its session is over")
    pipeline.start("orchestrator", settings={"http.port": pipeline.api_port})
    shown = pipeline.wait_run(run)
    assert (shown["status"], shown["balanced"]) == ("success", True), shown
    assert len(rows(pipeline)) == len(before) - 1 and len(listed(pipeline)) == 1

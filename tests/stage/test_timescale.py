"""Tables of records with TimescaleDB and without it: the same rows, whatever is compressed meanwhile.

Against plain PostgreSQL always. What needs the extension is skipped where the server has none; tests/README.md says how to
give it one.
"""

import itertools
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from harness import timescale
from harness.ledger import outcomes
from harness.records import clean_bar, messages, price
from harness.waiting import wait_until

CLEAN = "etl.clean.ohlcv"
ATTEMPT = 4_000_000_000_000_000_001
SECOND = 10**9
DAY = 86_400 * SECOND
MINUTE = 60 * SECOND
JANUARY_2020 = 1_577_836_800 * SECOND
NEWER, OLDER = 1_800_000_000 * SECOND, 1_600_000_000 * SECOND
JOBS_SECONDS = 60
QUICK = {"timescale.look_s": 1, "timescale.grace_s": 0}


@pytest.fixture
def extension(servers):
    timescale.skip_without(servers)


@pytest.fixture
def hyper(pipeline, extension):
    timescale.apply(pipeline)
    return pipeline


def load(pipeline, codec, records, attempt, partition=0):
    """One batch where they are few: the loader waits for them."""
    before = sum(count for count, _ in outcomes(pipeline, attempt).values())
    pipeline.produce(CLEAN, messages(codec, records, partition))
    wait_until(
        lambda: sum(count for count, _ in outcomes(pipeline, attempt).values()) == before + len(records),
        60,
        lambda: f"{len(records)} more records accounted: {outcomes(pipeline, attempt)}",
    )


def daily(attempt, first_day, days, symbols=("A", "B"), **changes):
    """Daily bars of 2020 and after; prices tell the day and the symbol."""
    ordinal = itertools.count(1)
    return [
        clean_bar(
            attempt,
            next(ordinal),
            symbol=symbol,
            ticker=symbol,
            interval="1d",
            ts_event=JANUARY_2020 + day * DAY,
            session_date=date.fromordinal(date(2020, 1, 1).toordinal() + day),
            session_basis="utc",
            open_price=price(100 + day),
            high_price=price(200 + day * 2 + number),
            low_price=price(50 - day % 40),
            close_price=price(101 + day + number),
            volume=1000 + day,
        )
        | changes
        for day in range(first_day, first_day + days)
        for number, symbol in enumerate(symbols)
    ]


def monthly(bars):
    """What months of these bars are, reckoned here."""
    months = {}
    for bar in sorted(bars, key=lambda bar: bar["ts_event"]):
        day = datetime.fromtimestamp(bar["ts_event"] // SECOND, UTC)
        key = (datetime(day.year, day.month, 1, tzinfo=UTC), bar["symbol"])
        month = months.setdefault(key, [bar["open_price"], bar["high_price"], bar["low_price"], None, 0])
        month[1], month[2] = max(month[1], bar["high_price"]), min(month[2], bar["low_price"])
        month[3], month[4] = bar["close_price"], month[4] + bar["volume"]
    return [(*key, *month) for key, month in sorted(months.items())]


def months_of(pipeline):
    return pipeline.query("SELECT month, symbol, open, high, low, close, volume FROM ohlcv_monthly ORDER BY month, symbol")


# --- without the extension ---------------------------------------------------------------------------------------------


def test_a_server_without_it_is_told_so(pipeline, servers):
    if timescale.is_offered(servers):
        pytest.skip("plain PostgreSQL: skipped (this server has timescaledb)")
    for command, code in (("apply", 0), ("check", 0), ("status", 0)):
        said = pipeline.cli("db", "timescale", command, code=code).stdout
        assert "this server has no TimescaleDB" in said and "ohlcv_monthly is a view" in said
    status = pipeline.cli_json("db", "timescale", "status")
    assert status == {"version": None, "complete": False, "hypertables": [], "jobs": []}
    assert pipeline.value("SELECT count(*) FROM pg_partitioned_table") == len(timescale.TABLES)


def test_bars_of_months_are_a_view(make_pipeline, clean):
    pipeline = make_pipeline(plain=True).prepare()
    pipeline.start("loader")
    bars = daily(ATTEMPT, 20, 60)
    load(pipeline, clean, bars + [clean_bar(ATTEMPT, len(bars) + 1, symbol="A", ts_event=JANUARY_2020)], ATTEMPT)
    assert months_of(pipeline) == monthly(bars)  # minutes are not in it
    assert len(monthly(bars)) == 6
    load(pipeline, clean, daily(ATTEMPT + 1, 25, 1, as_of=NEWER, high_price=price(999)), ATTEMPT + 1)
    assert [row[3] for row in months_of(pipeline)[:2]] == [Decimal(999), Decimal(999)]
    shown = "SELECT month, ticker, region, open, high, low, close, volume FROM {} ORDER BY month, ticker"
    assert pipeline.query(shown.format("monthly_bars")) == pipeline.query(shown.format("by_region.ohlcv_monthly"))
    assert pipeline.query(shown.format("monthly_bars"))[0][:3] == (datetime(2020, 1, 1, tzinfo=UTC), "A", "US")


def test_only_what_is_said(make_pipeline):
    pipeline = make_pipeline(plain=True).prepare()
    for words in (("apply", "--chunks", "x"), ("check", "--dry-run"), ("apply", "all"), ("status", "x")):
        pipeline.cli("db", "timescale", *words, code=2)


# --- from partitions to chunks -------------------------------------------------------------------------------------------


def relations(pipeline):
    """Keys, indexes, views and rights, as far as they have names."""
    return (
        pipeline.query(
            "SELECT c.relname, i.relname, x.indisprimary, pg_get_indexdef(i.oid, 0, true) LIKE '%%brin%%', pg_get_expr(x.indpred, x.indrelid)"
            " FROM pg_index x JOIN pg_class c ON c.oid = x.indrelid JOIN pg_class i ON i.oid = x.indexrelid"
            " WHERE c.relname = ANY (%s) ORDER BY 1, 2",
            list(timescale.TABLES),
        ),
        pipeline.query(
            "SELECT schemaname, viewname, definition FROM pg_views"
            " WHERE (schemaname IN ('public', 'by_region') AND viewname NOT LIKE '%%monthly') ORDER BY 1, 2"
        ),
        pipeline.query("SELECT relname, relacl::text FROM pg_class WHERE relname IN ('ohlcv_data', 'market_data') ORDER BY 1, 2"),
        pipeline.query("SELECT tgname FROM pg_trigger WHERE tgrelid = 'ohlcv_data'::regclass AND NOT tgisinternal"),
    )


def test_partitions_become_chunks_and_nothing_else_changes(make_pipeline, clean, extension):
    pipeline = make_pipeline(plain=True).prepare()
    loader = pipeline.start("loader")
    load(pipeline, clean, daily(ATTEMPT, 0, 400), ATTEMPT)
    loader.stop()
    pipeline.query("GRANT SELECT ON ohlcv_data, market_data TO PUBLIC")
    pipeline.query("CREATE FUNCTION let() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'")
    pipeline.query("CREATE TRIGGER let BEFORE INSERT ON ohlcv_data FOR EACH ROW EXECUTE FUNCTION let()")
    rows, months, named = timescale.contents(pipeline, "ohlcv_data"), months_of(pipeline), relations(pipeline)

    pipeline.cli("db", "timescale", "check", code=1)
    said = "\n".join(timescale.apply(pipeline, "--dry-run"))
    assert "ohlcv_data: would be a hypertable: about" in said and "in 14 partitions" in said
    assert pipeline.value("SELECT count(*) FROM pg_extension WHERE extname = 'timescaledb'") == 0

    said = "\n".join(timescale.apply(pipeline))
    assert "ohlcv_data: a hypertable now, 800 rows moved" in said and "partition 14 of 14, 800 rows moved" in said
    assert timescale.contents(pipeline, "ohlcv_data") == rows
    assert months_of(pipeline) == months
    assert relations(pipeline) == named
    assert pipeline.value("SELECT count(*) FROM timescaledb_information.hypertables WHERE hypertable_schema = 'public'") == 6
    assert pipeline.value("SELECT count(*) FROM timescaledb_information.continuous_aggregates") == 1
    # All but this month's are materialised, exactly.
    assert pipeline.value("SELECT count(*) FROM etl.touched") == 0
    pipeline.query("ALTER MATERIALIZED VIEW ohlcv_monthly SET (timescaledb.materialized_only = true)")
    assert months_of(pipeline) == months

    again = timescale.apply(pipeline)
    assert [line.split(": ")[1] for line in again] == ["as it is to be"] * 7
    assert pipeline.cli("db", "timescale", "check").stdout.splitlines() == again


def test_chunks_are_as_long_as_said(hyper):
    words = ("--chunk", "ohlcv_data=90 days", "--compress-after", "trades_data=never", "--compress-after", "tbbo_data=2 years")
    told = timescale.apply(hyper, *words, "--dry-run")
    wanted = [line for line in told if "wanted" in line]
    assert len(wanted) == 3 and "ohlcv_data: wanted: chunks of 90 days, not 30 days" in wanted
    hyper.cli("db", "timescale", "check")  # nothing was changed by telling
    assert len([line for line in timescale.apply(hyper, *words) if ": now " in line]) == 3
    hyper.cli("db", "timescale", "check")
    jobs = hyper.query("SELECT hypertable_name, config->>'compress_after' FROM timescaledb_information.jobs WHERE proc_name = 'policy_compression'")
    assert sorted(jobs) == [
        ("definitions_data", "1 year"),
        ("ohlcv_data", "1 year"),
        ("statistics_data", "1 year"),
        ("symbol_mappings", "1 year"),
        ("tbbo_data", "2 years"),
    ]
    for wrong in ("nothing=7 days", "ohlcv_data"):
        assert "--chunk" in hyper.cli("db", "timescale", "apply", "--chunk", wrong, code=1).stderr


def test_the_policy_of_months_is_the_guides(hyper):
    config, every = hyper.query(
        "SELECT config, schedule_interval FROM timescaledb_information.jobs WHERE proc_name = 'policy_refresh_continuous_aggregate'"
    )[0]
    assert (config["start_offset"], config["end_offset"], every.days) == ("3 mons", "1 day", 1)


# --- the same workload, with and without ---------------------------------------------------------------------------------

TOLD_APART = ("ohlcv_data", "etl.restatements", "etl.dead_letters")
OWN = {"etl.restatements": ("id", "restated_at"), "etl.dead_letters": ("id", "archived_at", "failed_at")}


def told(pipeline, table):
    """Rows but for what differs from one database to the next."""
    left_out = OWN.get(table, ()) + ("letter_topic", "letter_partition", "letter_offset", "origin_topic", "headers")
    names = [f'"{name}"' for name in timescale.columns(pipeline, table) if name not in left_out]
    names = ["old_row - 'created_at'" if name == '"old_row"' else name for name in names]
    return sorted(pipeline.query(f"SELECT ROW ({', '.join(names)})::text FROM {table}"))


def workload(clean):
    """Batches, each with its attempt: what is late, said again, corrected, older, double, in contradiction."""
    first = daily(ATTEMPT, 0, 300, symbols=("A", "B", "C"))
    yield ATTEMPT, first
    yield "compress", None
    yield ATTEMPT + 1, daily(ATTEMPT + 1, 100, 120, symbols=("B", "D"))  # unchanged, and new among them
    corrected = daily(ATTEMPT + 2, 40, 50, symbols=("A", "C"), as_of=NEWER, close_price=price(777))
    yield ATTEMPT + 2, corrected
    yield "compress", None
    yield ATTEMPT + 3, corrected[:20]  # replayed: the same attempt's records, under another attempt
    yield ATTEMPT + 4, daily(ATTEMPT + 4, 45, 5, as_of=OLDER, close_price=price(1))  # superseded
    double = daily(ATTEMPT + 5, 310, 10)
    yield ATTEMPT + 5, double + [bar | {"ordinal": bar["ordinal"] + 100} for bar in double]
    against = daily(ATTEMPT + 6, 400, 2, symbols=("E",))
    yield ATTEMPT + 6, against + [against[0] | {"ordinal": 50, "close_price": price(5)}]
    late = daily(ATTEMPT + 7, 0, 300, symbols=("F",)) + [
        bar | {"ordinal": 1000 + bar["ordinal"]} for bar in daily(ATTEMPT + 7, 70, 9, symbols=("A",), as_of=NEWER + 1, low_price=price(2))
    ]
    yield ATTEMPT + 7, late  # new series and corrections in one batch


def test_rows_are_the_same_with_and_without(make_pipeline, clean, extension):
    plain, hyper = make_pipeline(plain=True).prepare(), make_pipeline(plain=True).prepare()
    timescale.apply(hyper)
    for pipeline in (plain, hyper):
        pipeline.start("loader", settings={"batch.ms": 300})
    ledgers = {}
    for attempt, records in workload(clean):
        if attempt == "compress":
            assert timescale.compress(hyper) >= 10
            continue
        records = [record | {"attempt": attempt} for record in records]
        for pipeline in (plain, hyper):
            load(pipeline, clean, records, attempt)
        ledgers[attempt] = outcomes(plain, attempt)
        assert outcomes(hyper, attempt) == ledgers[attempt], attempt - ATTEMPT
    for table in TOLD_APART:
        rows = told(hyper, table)
        assert rows == told(plain, table), table
        assert len(rows) > 0 or table == "etl.dead_letters"
    seen = set().union(*(set(each) for each in ledgers.values()))
    assert {"inserted", "updated", "unchanged", "duplicate", "superseded"} <= seen
    assert timescale.compressed(hyper)[1] > 0
    assert months_of(plain) == monthly_again(hyper)
    # One key, one row, also where half of a chunk is compressed.
    keys = 'SELECT count(*), count(DISTINCT (symbol, "interval", ts_event, dataset, publisher_id)) FROM ohlcv_data'
    assert len(set(hyper.query(keys)[0])) == 1


def monthly_again(pipeline):
    """After what an orchestrator would do."""
    with_orchestrator = pipeline.start("orchestrator", settings=QUICK)
    wait_until(lambda: pipeline.value("SELECT count(*) FROM etl.touched") == 0, JOBS_SECONDS, "what was touched is refreshed")
    with_orchestrator.stop()
    return months_of(pipeline)


# --- many rows for compressed chunks -------------------------------------------------------------------------------------


def minutes(attempt, first, count, **changes):
    return [clean_bar(attempt, n + 1, symbol="M", ticker="M", ts_event=JANUARY_2020 + (first + n) * MINUTE) | changes for n in range(count)]


def test_many_late_rows_open_their_chunks(hyper, clean):
    loader = hyper.start("loader", settings={"batch.ms": 2000})
    load(hyper, clean, minutes(ATTEMPT, 0, 100), ATTEMPT)
    load(hyper, clean, minutes(ATTEMPT + 1, 300_000, 100), ATTEMPT + 1)
    chunks = timescale.compress(hyper)
    load(hyper, clean, minutes(ATTEMPT + 2, 50, 6000), ATTEMPT + 2)
    opened = loader.events("chunks_unpacked")
    assert len(opened) >= 1 and opened[0]["context"]["table"] == "ohlcv_data"
    total, packed = timescale.compressed(hyper)
    assert 0 < packed < chunks <= total, "the others are left as they are"
    assert {k: n for k, (n, _) in outcomes(hyper, ATTEMPT + 2).items()} == {"unchanged": 50, "inserted": 5950}
    assert hyper.value("SELECT count(*) FROM ohlcv_data") == 6150


def test_more_compressed_rows_than_a_statement_may_touch(hyper, clean):
    """The extension gives such a batch up: its chunks are opened, and it is written."""
    loader = hyper.start("loader", settings={"batch.ms": 500, "unpack_rows_max": 10})
    load(hyper, clean, minutes(ATTEMPT, 0, 3000), ATTEMPT)
    timescale.compress(hyper)
    load(hyper, clean, minutes(ATTEMPT + 1, 0, 200, as_of=NEWER, close_price=price(9)), ATTEMPT + 1)
    assert loader.events("chunks_unpacked")
    assert {k: n for k, (n, _) in outcomes(hyper, ATTEMPT + 1).items()} == {"updated": 200}
    assert hyper.value("SELECT count(*) FROM etl.restatements") == 200
    assert hyper.value("SELECT count(*) FROM ohlcv_data WHERE close_price = 9") == 200


def test_a_few_corrections_open_no_more_than_their_series(hyper, clean):
    loader = hyper.start("loader", settings={"batch.ms": 500, "unpack_rows_max": 1500})
    load(hyper, clean, minutes(ATTEMPT, 0, 1000), ATTEMPT)
    for number in range(1, 4):
        load(hyper, clean, minutes(ATTEMPT + number, 0, 1000, symbol=f"N{number}"), ATTEMPT + number)
    timescale.compress(hyper)
    load(hyper, clean, minutes(ATTEMPT + 9, 10, 5, as_of=NEWER, close_price=price(9)), ATTEMPT + 9)
    assert {k: n for k, (n, _) in outcomes(hyper, ATTEMPT + 9).items()} == {"updated": 5}
    assert not loader.events("chunks_unpacked"), "four times as many rows are in the chunk as may be touched"
    assert timescale.compressed(hyper)[1] > 0


# --- jobs ------------------------------------------------------------------------------------------------------------------


def test_late_bars_are_in_their_months(hyper, clean):
    hyper.start("loader")
    bars = daily(ATTEMPT, 0, 120)
    load(hyper, clean, bars, ATTEMPT)
    hyper.start("orchestrator", settings=QUICK)

    def refreshed():
        wait_until(lambda: hyper.value("SELECT count(*) FROM etl.touched") == 0, JOBS_SECONDS, "touched months are refreshed")

    refreshed()
    hyper.query("ALTER MATERIALIZED VIEW ohlcv_monthly SET (timescaledb.materialized_only = true)")
    assert months_of(hyper) == monthly(bars)
    timescale.compress(hyper)
    late = daily(ATTEMPT + 1, 120, 10) + daily(ATTEMPT + 1, 33, 1, as_of=NEWER, high_price=price(5000))
    for ordinal, bar in enumerate(late, 1):
        bar["ordinal"] = ordinal
    load(hyper, clean, late, ATTEMPT + 1)
    refreshed()
    kept = {(bar["symbol"], bar["ts_event"]): bar for bar in bars + late}
    assert months_of(hyper) == monthly(kept.values())
    assert Decimal(5000) in [row[3] for row in months_of(hyper)]


def job_of(pipeline, name, about):
    return pipeline.value("SELECT job FROM etl.timescale_jobs() WHERE name = %s AND about = %s", name, about)


def test_jobs_that_their_scheduler_does_not_run_are_run(hyper, clean):
    hyper.start("loader")
    load(hyper, clean, daily(ATTEMPT, 0, 100), ATTEMPT)
    job = job_of(hyper, "policy_compression", "ohlcv_data")
    # A scheduler that is not at work: next week.
    hyper.query("SELECT alter_job(job_id, next_start => now() + interval '7 days') FROM timescaledb_information.jobs WHERE job_id >= 1000")
    orchestrator = hyper.start("orchestrator", settings=QUICK)
    ran = "SELECT ok FROM etl.database_jobs WHERE job = %s AND finished_at IS NOT NULL"
    wait_until(lambda: hyper.query(ran, job), JOBS_SECONDS, f"job {job} is run by us")
    assert hyper.query(ran, job) == [(True,)]
    total, packed = timescale.compressed(hyper)
    assert 0 < packed == total
    assert orchestrator.events("database_job_started")
    assert hyper.value("SELECT count(*) FROM etl.audit WHERE action = 'database.run_job' AND target = %s", str(job)) == 1

    def shown():
        found = orchestrator.metrics()
        return found.get('postgres_compressed_chunks{hypertable="ohlcv_data"}') == packed and found

    found = wait_until(shown, JOBS_SECONDS, "metrics show the chunks")
    assert found['postgres_hypertable_chunks{hypertable="ohlcv_data"}'] == total
    assert found['postgres_overdue_chunks{hypertable="ohlcv_data"}'] == 0
    assert found['postgres_compression_ratio{hypertable="ohlcv_data"}'] > 0
    status = hyper.cli_json("db", "timescale", "status")
    table = next(each for each in status["hypertables"] if each["hypertable"] == "ohlcv_data")
    assert (table["chunks"], table["compressed_chunks"], table["dimensions"]) == (total, packed, 1)
    assert table["bytes"] > 0 and table["before_bytes"] > table["after_bytes"] > 0
    assert next(each for each in status["jobs"] if each["job"] == job)["ours"] == "Success"
    said = hyper.cli("status", "--check-db").stdout
    assert f"TimescaleDB {status['version']}): 6 hypertables, {packed} of " in said and ", 0 here" in said


def test_a_job_that_fails_here_too_is_an_alarm(hyper, servers):
    job = job_of(hyper, "policy_compression", "trades_data")
    hyper.query("SELECT alter_job(job_id, next_start => now() + interval '7 days') FROM timescaledb_information.jobs WHERE job_id >= 1000")
    catalog = "_timescaledb_config.bgw_job" if hyper.value("SELECT to_regclass('_timescaledb_config.bgw_job')") else "_timescaledb_catalog.bgw_job"
    broken = f"UPDATE {catalog} SET config = config - 'compress_after' WHERE id = {job}"
    done = servers.postgres.psql(broken, hyper.database)
    assert done.returncode == 0, done.stderr
    hyper.start("orchestrator", settings=QUICK | {"timescale.grace_s": 3600})
    hyper.query("INSERT INTO etl.database_jobs (job, name, about, seen_at) VALUES (%s, 'policy_compression', 'trades_data', '2020-01-01')"
                " ON CONFLICT (job) DO UPDATE SET seen_at = EXCLUDED.seen_at", job)
    hyper.query("UPDATE etl.database_jobs SET seen_at = '2020-01-01' WHERE job = %s", job)
    wait_until(lambda: hyper.value("SELECT ok FROM etl.database_jobs WHERE job = %s", job) is False, JOBS_SECONDS, f"job {job} fails")
    done = hyper.cli("status", code=1)
    assert f"TimescaleDB's job {job} (policy_compression of trades_data) fails" in done.stdout
    alarms = hyper.cli_json("alarms")
    assert "database_job_failed" in str(alarms)

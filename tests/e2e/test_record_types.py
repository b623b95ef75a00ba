"""Trades, quoted trades, statistics and definitions from files of every DBN version to their tables."""

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from harness import dbn
from harness.bars import assert_good

SECOND = 10**9
NOON = dbn.NOON
MAPPINGS = [("ESH4", [(20240101, 20240201, "7")]), ("CLM4", [(20240101, 20240201, "8")])]
VERSIONS = (1, 2, 3)


def price(text):
    return int(Decimal(text).scaleb(9))


def at(ns):
    """As the tables have it: to the microsecond, and what is left."""
    micros, rest = divmod(ns, 1000)
    return datetime.fromtimestamp(micros // 10**6, UTC).replace(microsecond=micros % 10**6), rest


def write(folder, name, version, schema, records, dataset=b"GLBX.MDP3"):
    path = folder / name
    path.write_bytes(dbn.metadata(version, dataset=dataset, schema=schema, mappings=MAPPINGS) + b"".join(records))
    return path


def load(pipeline, path, fetched):
    pipeline.subscribe("file", path)
    run = pipeline.run()
    assert_good(run, fetched)
    return run


def load_again(pipeline, path, records):
    """What is there already is compared where it came, in every type's binary forms, and goes through no staging table."""
    run = load(pipeline, path, records)
    staged = "SELECT count(*) FROM pg_class WHERE relname ~ '^stage_.*_(data|mappings)$'"
    assert pipeline.value(staged) == 0
    return run["inserted"], run["unchanged"]


def trade(version, kind="trades", instrument=7, **values):
    """The second field of `at` is what tells two trades apart."""
    ts = values.pop("ts_event", NOON + 1)
    base = {"price": price("4700.25"), "size": 2, "action": b"T", "side": b"A", "ts_recv": NOON + 1002, "sequence": 5}
    return dbn.record(version, kind, base | values, instrument_id=instrument, ts_event=ts)


@pytest.fixture
def running(pipeline):
    return pipeline.start_all()


@pytest.mark.parametrize("version", VERSIONS)
def test_trades(running, tmp_path, version):
    records = [
        trade(version),
        trade(version),  # the same once more: two trades, as the vendor numbers no two apart
        trade(version, ts_event=NOON + 2),  # a nanosecond later
        trade(version, instrument=8, price=price("-37.63"), side=b"B", flags=130, ts_in_delta=-7, depth=1),
        trade(version, side=b"N", sequence=6),
        trade(version, size=0, sequence=7),
        trade(version, price=dbn.UNDEF_PRICE, sequence=8),
        trade(version, side=b"X", sequence=9),
    ]
    path = write(tmp_path, "trades.dbn", version, "trades", records)
    run = load(running, path, len(records))
    assert (run["inserted"], run["dead_letters"]) == (5, 3)
    rows = running.query(
        "SELECT symbol, ts_event, ts_event_ns, ts_recv, ts_recv_ns, sequence, tie, price, size, side, vendor_side, action,"
        " depth, ts_in_delta, vendor_flags, instrument_id, ticker, venue, session_date, session_basis, flags"
        " FROM trades_data ORDER BY symbol, ts_event, ts_event_ns, sequence, tie"
    )
    later = (*at(NOON + 1002), 5)
    common = (7, "ESH4", "GLBX", date(2024, 1, 2), "session", 0)
    oil = (8, "CLM4", "GLBX", date(2024, 1, 2), "session", 2)
    assert rows == [
        ("CLM4", *at(NOON + 1), *later, 0, Decimal("-37.63"), 2, "B", "B", "T", 1, -7, 130, *oil),
        ("ESH4", *at(NOON + 1), *later, 0, Decimal("4700.25"), 2, "S", "A", "T", 0, 0, 0, *common),
        ("ESH4", *at(NOON + 1), *later, 1, Decimal("4700.25"), 2, "S", "A", "T", 0, 0, 0, *common),
        ("ESH4", *at(NOON + 1), *at(NOON + 1002), 6, 0, Decimal("4700.25"), 2, "N", "N", "T", 0, 0, 0, *common),
        ("ESH4", *at(NOON + 2), *later, 0, Decimal("4700.25"), 2, "S", "A", "T", 0, 0, 0, *common),
    ]
    rules = running.query("SELECT rules, schema FROM etl.dead_letters ORDER BY ordinal")
    assert rules == [(["SIZE_NOT_POSITIVE"], "trades"), (["PRICE_MISSING"], "trades"), (["SIDE_UNKNOWN"], "trades")]
    assert load_again(running, path, len(records)) == (0, 5)


@pytest.mark.parametrize("version", VERSIONS)
def test_trades_with_their_quotes(running, tmp_path, version):
    quote = {"bid_px_00": price("4700"), "ask_px_00": price("4700.5"), "bid_sz_00": 26, "ask_sz_00": 7}
    records = [
        trade(version, "tbbo", **quote, bid_ct_00=16, ask_ct_00=6),
        trade(version, "tbbo", sequence=6, **quote | {"bid_px_00": dbn.UNDEF_PRICE}),
        trade(version, "tbbo", sequence=7, **quote | {"bid_px_00": price("4701")}),
    ]
    run = load(running, write(tmp_path, "tbbo.dbn", version, "tbbo", records), 3)
    assert run["inserted"] == 3
    rows = running.query(
        "SELECT sequence, price, side, bid_px_00, ask_px_00, bid_sz_00, ask_sz_00, bid_ct_00, ask_ct_00, flags"
        " FROM tbbo_data ORDER BY sequence"
    )
    same = (Decimal("4700.25"), "S")
    assert rows == [
        (5, *same, Decimal("4700"), Decimal("4700.5"), 26, 7, 16, 6, 0),
        (6, *same, None, Decimal("4700.5"), 26, 7, 0, 0, 0),
        (7, *same, Decimal("4701"), Decimal("4700.5"), 26, 7, 0, 0, 2),  # crossed: flagged
    ]


def statistic(version, ts_event=0, **values):
    none = dbn.UNDEF_I64 if version == 3 else 2**31 - 1
    base = {"ts_recv": NOON, "ts_ref": dbn.UNDEF_TIME, "price": dbn.UNDEF_PRICE, "quantity": none, "update_action": 1}
    return dbn.record(version, "statistics", base | values, instrument_id=7, ts_event=ts_event)


@pytest.mark.parametrize("version", VERSIONS)
def test_statistics(running, tmp_path, version):
    day = NOON - NOON % (86400 * SECOND)
    records = [
        statistic(version, stat_type=3, price=price("4700.25"), ts_ref=day, sequence=1),
        statistic(version, stat_type=3, price=price("4701"), ts_ref=day, sequence=2, ts_event=NOON - 1, ts_recv=NOON + 1),
        statistic(version, stat_type=9, quantity=123456, sequence=3),
        statistic(version, stat_type=6, quantity=7, sequence=4),
        statistic(version, stat_type=6, sequence=5, update_action=2, ts_recv=NOON + SECOND),
    ]
    path = write(tmp_path, "statistics.dbn", version, "statistics", records)
    assert load(running, path, 5)["inserted"] == 5
    rows = running.query(
        "SELECT stat_type, sequence, ts_event, ts_event_ns, ts_recv, ts_recv_ns, ts_ref = '-infinity', price, quantity,"
        " update_action FROM statistics_data ORDER BY sequence"
    )
    assert rows == [
        (3, 1, None, None, *at(NOON), False, Decimal("4700.25"), None, 1),
        (3, 2, *at(NOON - 1), *at(NOON + 1), False, Decimal("4701"), None, 1),
        (9, 3, None, None, *at(NOON), True, None, 123456, 1),
        (6, 4, None, None, *at(NOON), True, None, 7, 1),
        (6, 5, None, None, *at(NOON + SECOND), True, None, None, 2),
    ]
    latest = running.query("SELECT stat_type, price, quantity, ts_ref FROM statistics_latest ORDER BY stat_type")
    assert latest == [(3, Decimal("4701"), None, at(day)[0]), (9, None, 123456, None)]
    assert load_again(running, path, 5) == (0, 5)


@pytest.mark.parametrize("version", VERSIONS)
def test_definitions(running, tmp_path, version):
    fields, _ = dbn.layout("definition", version)
    undefined = {
        "strike_price": dbn.UNDEF_PRICE,
        "expiration": NOON + 999,
        "activation": dbn.UNDEF_TIME,
        "market_depth": 2**31 - 1,
        "maturity_year": 2024,
    }
    common = {"ts_recv": NOON, "raw_symbol": b"ESH4", "instrument_class": b"F", "asset": b"ES", "group": b"ES"} | undefined
    legs = [{"leg_count": 2, "leg_index": 0}, {"leg_count": 2, "leg_index": 1}] if version == 3 else [{}]
    assert set(common) <= set(fields)
    records = [dbn.record(version, "definition", common | leg, instrument_id=7, ts_event=0) for leg in legs]
    path = write(tmp_path, "definition.dbn", version, "definition", records)
    assert load(running, path, len(legs))["inserted"] == len(legs)
    rows = running.query(
        "SELECT symbol, raw_symbol, ts_event, ts_recv, instrument_class, asset, \"group\", strike_price, expiration,"
        " expiration_ns, activation, activation_ns, market_depth, maturity_year, leg_index FROM definitions_data"
        " ORDER BY leg_index"
    )
    first = ("ESH4", "ESH4", None, at(NOON)[0], "F", "ES", "ES", None, *at(NOON + 999), None, None, None, 2024)
    assert rows == [(*first, number) for number in range(len(legs))]
    assert load_again(running, path, len(legs)) == (0, len(legs))


@pytest.mark.parametrize("batch", [1, 1000])
def test_bars_that_differ_in_their_publisher_only_stay_apart(pipeline, tmp_path, batch):
    bar = {"open": price("1"), "high": price("1"), "low": price("1"), "close": price("1"), "volume": 1}
    day = NOON - NOON % (86400 * SECOND)
    records = [dbn.record(3, "ohlcv-1d", bar, publisher_id=p, instrument_id=7, ts_event=day) for p in (20, 21, 22, 30)]
    path = write(tmp_path, "bars.dbn", 3, "ohlcv-1d", records, dataset=b"OPRA.PILLAR")
    pipeline.configure("loader", **{"batch.records_max": batch})
    pipeline.start_all()
    assert load(pipeline, path, 4)["inserted"] == 4
    assert pipeline.query("SELECT publisher_id FROM ohlcv_data ORDER BY 1") == [(20,), (21,), (22,), (30,)]

"""The simulated vendor, seen by the vendor's own Python client, unmodified."""

import io

import databento
import databento_dbn as dbn
import pytest
import zstandard

NASDAQ, CME, OPRA = "XNAS.ITCH", "GLBX.MDP3", "OPRA.PILLAR"
SCHEMAS = ["trades", "ohlcv-1s", "ohlcv-1m", "ohlcv-1h", "ohlcv-1d", "definition", "statistics", "ohlcv-eod"]
WEDNESDAY, THURSDAY, FRIDAY, SATURDAY, MONDAY = "2024-03-13", "2024-03-14", "2024-03-15", "2024-03-16", "2024-03-18"
MINUTES = {"dataset": NASDAQ, "symbols": "AAPL,MSFT", "schema": "ohlcv-1m", "start": THURSDAY, "end": FRIDAY}


def rows(store):
    return [tuple(row) for row in store.to_ndarray().tolist()]


# --- data ----------------------------------------------------------------------------------------------------------
def test_minutes(vendor):
    store = vendor.timeseries.get_range(**MINUTES)
    frame = store.to_df()
    assert len(frame) == 2 * 390
    assert set(frame["symbol"]) == {"AAPL", "MSFT"}
    assert frame.index.is_monotonic_increasing
    assert (frame["high"] >= frame[["open", "close", "low"]].max(axis=1)).all()
    assert (frame["low"] <= frame[["open", "close"]].min(axis=1)).all()
    assert str(frame.index[0]) == "2024-03-14 14:30:00+00:00"
    assert store.metadata.version == 3


@pytest.mark.parametrize(
    "dataset, stype_in, symbols",
    [
        (NASDAQ, "raw_symbol", "AAPL"),
        (CME, "parent", "ES.FUT"),
        (CME, "continuous", "ES.c.0"),
        (OPRA, "parent", "SPY.OPT"),
    ],
)
@pytest.mark.parametrize("schema", SCHEMAS + ["tbbo"])
def test_every_schema(vendor, dataset, stype_in, symbols, schema):
    if dataset == OPRA and schema == "tbbo":
        assert schema not in vendor.metadata.list_schemas(OPRA)
        return
    window = {"dataset": dataset, "symbols": symbols, "stype_in": stype_in, "schema": schema}
    window |= {"start": f"{THURSDAY}T15:00" if schema in ("trades", "tbbo", "ohlcv-1s") else THURSDAY, "end": FRIDAY}
    window |= {"limit": 5000} if schema in ("trades", "tbbo", "ohlcv-1s") else {}
    store = vendor.timeseries.get_range(**window)
    assert str(store.schema) == schema
    frame = store.to_df()
    assert len(frame) > 0 and frame["symbol"].notna().all() and (frame["symbol"] != "").all()
    assert len(frame) == vendor.metadata.get_record_count(**window)
    assert frame.index.is_monotonic_increasing


def test_the_same_seed_gives_the_same_bytes(start_simulator, simulator):
    form = MINUTES | {"encoding": "dbn", "compression": "zstd"}
    again = start_simulator("--seed", 7)
    assert again.raw(**form) == simulator.raw(**form) == simulator.raw(**form)
    assert start_simulator("--seed", 8).raw(**form) != again.raw(**form)


@pytest.mark.parametrize("schema", ["trades", "ohlcv-1s", "ohlcv-1m", "ohlcv-1h", "statistics", "definition"])
def test_windows_cut_anywhere_are_the_whole(clean, schema):
    cuts = ["2024-03-14", "2024-03-14T14:30:17.123456789", "2024-03-14T14:31", "2024-03-14T19:05:59.5",
            "2024-03-15T15:00:00+01:00", "2024-03-16", "2024-03-19"]  # fmt: skip
    form = {"dataset": NASDAQ, "symbols": "AAPL,QQQ", "schema": schema, "encoding": "csv"}
    whole = clean.raw(**form, start=cuts[0], end=cuts[-1]).splitlines()
    parts = [clean.raw(**form, start=a, end=b).splitlines() for a, b in zip(cuts, cuts[1:])]
    assert len(whole) > 4
    assert whole == whole[:1] + [line for part in parts for line in part[1:]]


def test_schemas_agree(vendor):
    """Trades add up to seconds, minutes, hours and days."""
    window = {"dataset": NASDAQ, "symbols": "AAPL", "start": THURSDAY, "end": FRIDAY}
    trades = vendor.timeseries.get_range(**window, schema="trades").to_df(price_type="fixed")
    for schema, step in (("ohlcv-1s", "1s"), ("ohlcv-1m", "1min"), ("ohlcv-1h", "1h"), ("ohlcv-1d", "1D")):
        bars = vendor.timeseries.get_range(**window, schema=schema).to_df(price_type="fixed")
        groups = trades.set_index("ts_event").resample(step)
        made = groups["price"].ohlc().assign(volume=groups["size"].sum()).dropna()
        made = made[made["volume"] > 0]
        assert len(made) == len(bars), schema
        for column in ("open", "high", "low", "close", "volume"):
            assert (made[column].to_numpy() == bars[column].to_numpy()).all(), (schema, column)


def test_ids_change_from_day_to_day(vendor):
    found = vendor.symbology.resolve(NASDAQ, "AAPL,MSFT", "raw_symbol", "instrument_id", WEDNESDAY, "2024-03-20")
    days = found["result"]["AAPL"]
    assert [day["d0"] for day in days] == [WEDNESDAY, THURSDAY, FRIDAY, MONDAY, "2024-03-19"]
    assert len({day["s"] for day in days}) == 5
    store = vendor.timeseries.get_range(NASDAQ, WEDNESDAY, "2024-03-20", "AAPL", "ohlcv-1d")
    assert [str(row["instrument_id"]) for row in store.to_ndarray()] == [day["s"] for day in days]


def test_several_publishers(vendor):
    store = vendor.timeseries.get_range(OPRA, THURSDAY, FRIDAY, "SPY.OPT", "ohlcv-1d", stype_in="parent")
    frame = store.to_df()
    venues = {p["publisher_id"] for p in vendor.metadata.list_publishers() if p["dataset"] == OPRA}
    assert set(frame["publisher_id"]) == venues and len(venues) == 4
    assert not frame.reset_index().duplicated(["ts_event", "publisher_id", "instrument_id"]).any()
    assert frame.reset_index().duplicated(["ts_event", "instrument_id"]).any()


def test_weekends_are_empty(start_simulator, vendor):
    weekend = {"dataset": NASDAQ, "symbols": "AAPL", "schema": "ohlcv-1m", "start": SATURDAY, "end": MONDAY}
    store = vendor.timeseries.get_range(**weekend)
    assert len(rows(store)) == 0 and store.metadata.not_found == ["AAPL"]
    assert vendor.metadata.get_record_count(**weekend) == 0
    with pytest.raises(databento.BentoClientError, match="symbology_invalid_request"):
        start_simulator("--weekend-422").client().timeseries.get_range(**weekend)


def defined(record):
    names = ("raw_symbol", "expiration", "strike_price", "exchange", "asset", "contract_multiplier", "currency")
    return [getattr(record, name) for name in names]


@pytest.mark.parametrize("version", [1, 2, 3])
@pytest.mark.parametrize("schema", SCHEMAS)
def test_versions(versions, simulator, schema, version):
    """Read as they are, and upgraded to the newest, which is what a server of version 3 sends."""
    window = {"dataset": CME, "symbols": "ESM4", "schema": schema, "start": THURSDAY, "end": FRIDAY, "limit": 300}
    body = versions[version].raw(**window)
    assert body[3] == version
    stores = [databento.DBNStore.from_bytes(io.BytesIO(b)) for b in (body, simulator.raw(**window))]
    assert stores[0].metadata.mappings == stores[1].metadata.mappings
    old, new = (list(store) for store in stores)
    assert len(old) == len(new) > 0
    assert [r.ts_event for r in old] == [r.ts_event for r in new]
    if schema == "definition":
        assert [defined(record) for record in old] == [defined(record) for record in new]
    elif schema == "statistics":
        assert [(r.stat_type, r.price, r.quantity, r.sequence) for r in old] == [
            (r.stat_type, r.price, r.quantity, r.sequence) for r in new
        ]
    else:
        assert [bytes(r) for r in old] == [bytes(r) for r in new]


@pytest.fixture(scope="module")
def versions(start_simulator):
    return {version: start_simulator("--seed", 7, "--dbn-version", version) for version in (1, 2, 3)}


@pytest.mark.parametrize("encoding", ["csv", "json"])
@pytest.mark.parametrize("pretty", [False, True])
@pytest.mark.parametrize("schema", SCHEMAS + ["tbbo"])
def test_text_is_what_the_vendor_makes_of_dbn(clean, schema, encoding, pretty):
    window = {"dataset": CME, "symbols": "ESM4,NQM4", "schema": schema, "start": THURSDAY, "end": FRIDAY, "limit": 200}
    style = {"pretty_px": pretty, "pretty_ts": pretty, "map_symbols": True}
    out = io.BytesIO()
    coder = dbn.Transcoder(out, dbn.Encoding(encoding), dbn.Compression.NONE, **style)
    coder.write(clean.raw(**window))
    coder.flush()
    text = clean.raw(**window, encoding=encoding, compression="zstd", **{k: str(v).lower() for k, v in style.items()})
    assert zstandard.ZstdDecompressor().stream_reader(text).read() == out.getvalue()

"""Metadata, symbology, errors, faults, the meter, and data that changes after it was published."""

import datetime
import io
import time
from concurrent.futures import ThreadPoolExecutor

import databento
import pytest
import requests
from databento.common.error import BentoDeprecationWarning
from harness.simulator import KEY
from harness.waiting import wait_until

NASDAQ, CME, OPRA = "XNAS.ITCH", "GLBX.MDP3", "OPRA.PILLAR"
THURSDAY, FRIDAY, MONDAY = "2024-03-14", "2024-03-15", "2024-03-18"
MINUTES = {"dataset": NASDAQ, "symbols": "AAPL,MSFT", "schema": "ohlcv-1m", "start": THURSDAY, "end": FRIDAY}
BAR_BYTES = 56


# --- metadata ------------------------------------------------------------------------------------------------------
def test_lists(vendor):
    assert vendor.metadata.list_datasets() == [CME, NASDAQ, OPRA, "EQUS.MINI"]
    assert "ohlcv-1m" in vendor.metadata.list_schemas(NASDAQ)
    publishers = {p["publisher_id"]: p for p in vendor.metadata.list_publishers()}
    assert publishers[2]["venue"] == "XNAS" and publishers[2]["dataset"] == NASDAQ and publishers[2]["description"]
    prices = {p["mode"]: p["unit_prices"] for p in vendor.metadata.list_unit_prices(NASDAQ)}
    assert prices["historical-streaming"].keys() == set(vendor.metadata.list_schemas(NASDAQ))


@pytest.mark.parametrize("schema", ["ohlcv-1m", "trades", "tbbo", "statistics", "definition"])
def test_fields(vendor, simulator, schema):
    fields = vendor.metadata.list_fields(schema, "csv", NASDAQ)
    text = simulator.raw(**MINUTES | {"schema": schema, "encoding": "csv", "limit": 1})
    assert {field["name"] for field in fields} == set(text.decode().splitlines()[0].split(","))


def test_range_and_cost(vendor):
    span = vendor.metadata.get_dataset_range(NASDAQ)
    assert (span["start"], span["end"]) == ("2020-01-01T00:00:00.000000000Z", "2025-01-01T00:00:00.000000000Z")
    assert span["schema"]["ohlcv-1m"]["end"] == span["end"]
    assert vendor.metadata.get_record_count(**MINUTES) == 780
    assert vendor.metadata.get_billable_size(**MINUTES) == 780 * BAR_BYTES
    price = vendor.metadata.list_unit_prices(NASDAQ)[1]["unit_prices"]["ohlcv-1m"]
    assert vendor.metadata.get_cost(**MINUTES) == pytest.approx(780 * BAR_BYTES / 1e9 * price)
    assert vendor.metadata.get_record_count(**MINUTES, limit=7) == 7


def test_the_end_is_carried_forward(vendor):
    day = {k: v for k, v in MINUTES.items() if k != "end"}
    assert vendor.metadata.get_record_count(**day) == 780
    assert vendor.metadata.get_record_count(**day | {"start": f"{THURSDAY}T15"}) == 120
    assert vendor.metadata.get_record_count(**day | {"start": f"{THURSDAY}T15:01"}) == 2
    assert vendor.metadata.get_record_count(**day | {"start": datetime.date(2024, 3, 14)}) == 780


# --- symbology -----------------------------------------------------------------------------------------------------
def test_resolve(vendor):
    def resolve(symbols, stype_in, first, end, dataset=CME, stype_out="instrument_id"):
        return vendor.symbology.resolve(dataset, symbols, stype_in, stype_out, first, end)

    found = resolve("ES.c.0,NOPE.c.0", "continuous", "2024-03-11", "2024-03-29")
    assert [(i["d0"], i["d1"]) for i in found["result"]["ES.c.0"]] == [
        ("2024-03-11", "2024-03-16"), ("2024-03-18", "2024-03-29")
    ]  # fmt: skip
    assert found["not_found"] == ["NOPE.c.0"] and found["status"] == 1
    front, following = (i["s"] for i in found["result"]["ES.c.0"])
    assert resolve("ESH4", "raw_symbol", "2024-03-11", "2024-03-15")["result"]["ESH4"][0]["s"] == front
    back = resolve(following, "instrument_id", "2024-03-18", "2024-03-20", stype_out="raw_symbol")
    assert back["result"][following][0]["s"] == "ESM4"
    assert resolve("ESH4", "raw_symbol", "2024-03-11", "2024-03-29")["partial"] == ["ESH4"]
    assert len(resolve("ES.FUT", "parent", "2024-03-11", "2024-03-12")["result"]["ES.FUT"]) == 8
    assert resolve("NOPE", "raw_symbol", "2024-03-11", "2024-03-12")["status"] == 2
    with pytest.raises(databento.BentoClientError, match="not available"):
        resolve("ESH4", "raw_symbol", "2024-03-11", "2031-03-12")


def test_ids_of_shares_are_of_a_day(vendor):
    ids = vendor.symbology.resolve(NASDAQ, "AAPL", "raw_symbol", "instrument_id", THURSDAY, "2024-03-19")
    for day in ids["result"]["AAPL"]:
        back = vendor.symbology.resolve(NASDAQ, day["s"], "instrument_id", "raw_symbol", day["d0"], day["d1"])
        assert back["result"][day["s"]][0]["s"] == "AAPL"


def test_partly_resolved_symbols_are_206(clean, vendor):
    answer = clean.request("POST", "/v0/timeseries.get_range", data=MINUTES | {"symbols": "AAPL,NOPE"})
    assert answer.status_code == 206
    store = vendor.timeseries.get_range(**MINUTES | {"symbols": "AAPL,NOPE"})
    assert store.metadata.not_found == ["NOPE"] and len(store.to_ndarray()) == 390


# --- errors --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "change, case",
    [
        ({"end": "2025-06-01"}, "data_end_after_available_end"),
        ({"start": "2019-06-01"}, "data_start_before_available_start"),
        ({"start": "2026-06-01", "end": "2026-06-02"}, "data_start_after_available_end"),
        ({"end": THURSDAY}, "data_time_range_start_on_or_after_end"),
        ({"symbols": "NOPE"}, "symbology_invalid_request"),
        ({"schema": "mbo"}, "data_schema_not_supported"),
        ({"dataset": "NO.SUCH"}, "data_dataset_not_found"),
    ],
)
def test_refusals(vendor, change, case):
    for call in (vendor.timeseries.get_range, vendor.metadata.get_cost):
        with pytest.raises(databento.BentoClientError) as caught:
            call(**MINUTES | change)
        assert caught.value.http_status == 422
        assert caught.value.json_body["detail"]["case"] == case
        assert caught.value.request_id


def test_the_available_end_is_in_the_refusal(vendor):
    with pytest.raises(databento.BentoClientError) as caught:
        vendor.timeseries.get_range(**MINUTES | {"end": "2025-06-01"})
    payload = caught.value.json_body["detail"]["payload"]
    assert payload["available_end"] == "2025-01-01T00:00:00.000000000Z" and payload["dataset"] == NASDAQ
    vendor.metadata.get_record_count(**MINUTES | {"start": "2024-12-31", "end": payload["available_end"]})


def test_keys(clean):
    for key in ("db-short", "xx-" + "0" * 29):
        with pytest.raises(databento.BentoClientError) as caught:
            clean.client(key).metadata.list_datasets()
        assert caught.value.http_status == 401
    assert clean.request("GET", "/v0/metadata.list_datasets", auth=None).status_code == 401
    assert clean.request("GET", "/v0/no.such").status_code == 404
    assert clean.request("GET", "/v0/timeseries.get_range").status_code == 405
    assert clean.request("POST", "/v0/timeseries.get_range", data="x=" + "y" * 2_000_000).status_code == 413


# --- faults --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "status, error",
    [(402, databento.BentoClientError), (403, databento.BentoClientError), (503, databento.BentoServerError)],
)
def test_an_error_on_demand(clean, vendor, status, error):
    clean.fault(path="/v0/metadata.*", status=status, case="made_to_fail", message="on purpose", count=2)
    for _ in range(2):
        with pytest.raises(error, match="made_to_fail\non purpose") as caught:
            vendor.metadata.list_datasets()
        assert caught.value.http_status == status
    assert vendor.metadata.list_datasets()
    assert clean.control("GET", "faults")[0]["hits"] == 2


def test_too_many_requests(clean, vendor):
    clean.fault(status=429, retry_after=3, method="POST", skip=1)
    vendor.metadata.get_cost(**MINUTES)
    with pytest.raises(databento.BentoClientError) as caught:
        vendor.metadata.get_cost(**MINUTES)
    assert caught.value.headers["Retry-After"] == "3"
    vendor.metadata.get_cost(**MINUTES)


def test_a_cut_body(clean, vendor):
    clean.fault(path="/v0/timeseries.get_range", cut_after_bytes=5000)
    with pytest.raises(databento.BentoError, match="Error streaming response"):
        vendor.timeseries.get_range(**MINUTES)
    vendor.timeseries.get_range(**MINUTES)


def test_slow_and_late_bodies(clean):
    clean.fault(slow_bytes_per_second=100_000)
    begin = time.monotonic()
    slow = clean.raw(**MINUTES, encoding="dbn")
    assert time.monotonic() - begin > 0.3
    clean.fault(delay_ms=300)
    begin = time.monotonic()
    late = clean.raw(**MINUTES)
    assert time.monotonic() - begin > 0.3
    clean.fault(stall_after_bytes=1000, stall_ms=300)
    begin = time.monotonic()
    assert clean.raw(**MINUTES) == slow == late
    assert time.monotonic() - begin > 0.3


def test_a_corrupt_body(clean):
    clean.fault(corrupt_after_bytes=3000)
    wrong, right = (clean.raw(**MINUTES) for _ in range(2))
    assert [i for i, (a, b) in enumerate(zip(wrong, right)) if a != b] == [3000]


def test_warnings_reach_the_client(clean, vendor):
    clean.fault(warning='DeprecationWarning: this is "old"')
    with pytest.warns(BentoDeprecationWarning, match='this is "old"'):
        vendor.metadata.list_datasets()


def test_faults_from_the_start(start_simulator):
    simulator = start_simulator("--fault", "status=500,count=1,path=/v0/metadata.*", tls=None)
    assert simulator.request("GET", "/v0/metadata.list_datasets").status_code == 500
    assert simulator.request("GET", "/v0/metadata.list_datasets").status_code == 200


@pytest.mark.parametrize("what", [{"state": 1}, {"status": "500"}, {"status": 200}, {"path": 5}])
def test_a_fault_that_is_none(simulator, what):
    answer = simulator.request("POST", "/simulator/faults", json=what)
    assert answer.status_code == 400 and answer.json()["detail"]


# --- the meter -----------------------------------------------------------------------------------------------------
def test_the_meter(clean, vendor):
    vendor.timeseries.get_range(**MINUTES)
    vendor.timeseries.get_range(**MINUTES)
    clean.raw(**MINUTES | {"symbols": "AAPL"}, encoding="csv")
    vendor.metadata.get_cost(**MINUTES)
    meter = clean.control("GET", "meter")
    assert (meter["requests"], meter["records"], meter["billed_bytes"]) == (3, 1950, 1950 * BAR_BYTES)
    assert meter["keys"] == [{"key": KEY, "requests": 3, "records": 1950, "billed_bytes": 1950 * BAR_BYTES}]
    assert [(w["symbols"], w["requests"], w["billed_bytes"]) for w in meter["windows"]] == [
        ("AAPL,MSFT", 2, 1560 * BAR_BYTES), ("AAPL", 1, 390 * BAR_BYTES)
    ]  # fmt: skip
    clean.control("DELETE", "meter")
    assert clean.control("GET", "meter")["billed_bytes"] == 0


# --- after it was published ----------------------------------------------------------------------------------------
def test_a_late_correction(clean, vendor):
    before = vendor.timeseries.get_range(**MINUTES).to_df()
    window = {"start": f"{THURSDAY}T15:00", "end": f"{THURSDAY}T15:10"}
    clean.control("POST", "corrections", dataset=NASDAQ, symbol="AAPL", modified="2024-03-20", **window)
    after = vendor.timeseries.get_range(**MINUTES).to_df()
    changed = before[(before != after).any(axis=1)]
    assert len(changed) == 10 and set(changed["symbol"]) == {"AAPL"}
    assert (changed.index[0].minute, changed.index[-1].minute) == (0, 9)
    days = vendor.metadata.get_dataset_condition(NASDAQ, "2024-03-13", FRIDAY)
    assert [day["last_modified_date"] for day in days] == [THURSDAY, "2024-03-20", "2024-03-16"]
    assert {day["condition"] for day in days} == {"available"}


def test_withdrawn_records(clean, vendor):
    window = {"start": f"{THURSDAY}T15:00", "end": f"{THURSDAY}T15:10"}
    clean.control("POST", "withdrawals", dataset=NASDAQ, symbol="MSFT", **window)
    assert vendor.metadata.get_record_count(**MINUTES) == 770
    assert len(vendor.timeseries.get_range(**MINUTES | window).to_ndarray()) == 10


def test_conditions(clean, vendor, start_simulator):
    for date, condition in ((THURSDAY, "degraded"), (FRIDAY, "pending")):
        clean.control("POST", "conditions", dataset=NASDAQ, date=date, condition=condition)
    days = vendor.metadata.get_dataset_condition(NASDAQ, THURSDAY, MONDAY)
    assert [day["condition"] for day in days] == ["degraded", "pending", "available"]
    assert 600 < vendor.metadata.get_record_count(**MINUTES) < 780
    assert vendor.metadata.get_record_count(**MINUTES | {"start": FRIDAY, "end": MONDAY}) == 0
    other = start_simulator("--degraded-permille", 200).client()
    many = other.metadata.get_dataset_condition(NASDAQ, "2024-01-01", "2024-12-31")
    assert 20 < sum(day["condition"] == "degraded" for day in many) < 90


# --- broken records ------------------------------------------------------------------------------------------------
def broken(start_simulator, kinds, permille=100, **change):
    simulator = start_simulator("--seed", 7, "--broken-permille", permille, "--broken-kinds", kinds)
    return simulator.raw(**MINUTES | change)


@pytest.mark.parametrize(
    "kind, is_broken",
    [
        ("high_below_low", lambda bar: bar.high < bar.low),
        ("high_below_open", lambda bar: bar.high < bar.open),
        ("low_above_close", lambda bar: bar.low > bar.close),
        ("price_zero", lambda bar: bar.open == bar.high == bar.low == bar.close == 0),
        ("price_undefined", lambda bar: bar.open == 2**63 - 1),
        ("volume_negative", lambda bar: bar.volume == 2**64 - 1000),
        ("instrument_unmapped", lambda bar: bar.instrument_id == 4000000001),
        ("time_unaligned", lambda bar: bar.ts_event % 60_000_000_000 == 1),
    ],
)
def test_broken_bars(start_simulator, kind, is_broken):
    bars = list(databento.DBNStore.from_bytes(io.BytesIO(broken(start_simulator, kind))))
    assert len(bars) == 780
    assert 40 < sum(map(is_broken, bars)) < 130


def test_broken_trades(start_simulator):
    body = broken(start_simulator, "size_negative", schema="trades")
    trades = list(databento.DBNStore.from_bytes(io.BytesIO(body)))
    assert any(trade.size > 2**31 for trade in trades)


def test_records_of_unknown_type_and_length(start_simulator, clean):
    right = clean.raw(**MINUTES)
    head = 8 + int.from_bytes(right[4:8], "little")
    expected = (("rtype_unknown", 1, {33, 0x7E}), ("length_wrong", 0, {14, 5}), ("length_zero", 0, {14, 0}))
    for kind, at, values in expected:
        body = broken(start_simulator, kind)
        assert len(body) == len(right)
        assert set(body[head + at :: BAR_BYTES]) == values


def test_many_at_once(clean):
    with ThreadPoolExecutor(12) as pool:
        bodies = list(pool.map(lambda _: clean.raw(**MINUTES, compression="zstd"), range(40)))
    assert len(set(bodies)) == 1


# --- the program ---------------------------------------------------------------------------------------------------
def test_memory_does_not_depend_on_the_window(start_simulator):
    simulator = start_simulator("--symbols", 20, tls=None)
    simulator.raw(**MINUTES)
    before = simulator.resident_bytes()
    form = MINUTES | {"symbols": "ALL_SYMBOLS", "start": "2024-01-01", "end": "2024-07-01"}
    with requests.post(
        f"{simulator.url}/v0/timeseries.get_range", data=form, auth=(KEY, ""), stream=True, timeout=60
    ) as answer:
        size = sum(len(piece) for piece in answer.iter_content(1 << 20))
    assert size > 40_000_000
    assert simulator.resident_bytes() - before < 8_000_000


def test_it_ends_while_a_body_is_stuck(start_simulator):
    simulator = start_simulator("--fault", "stall_after_bytes=100,stall_ms=600000", tls=None)
    with ThreadPoolExecutor(1) as pool:
        stuck = pool.submit(simulator.request, "POST", "/v0/timeseries.get_range", data=MINUTES)
        wait_until(lambda: simulator.control("GET", "meter")["requests"], 10, "the body is on its way")
        assert simulator.stop() == 0
        with pytest.raises(requests.RequestException):
            stuck.result()


def test_an_address_that_is_taken(simulator, tmp_path):
    with pytest.raises(AssertionError, match="cannot listen"):
        type(simulator)(tmp_path, "--listen", f"127.0.0.1:{simulator.port}")

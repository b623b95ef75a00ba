"""`penstock validate`: the rules over rows that are stored, right and damaged ones."""

import pytest
from harness import dbn
from harness.bars import simulate
from harness.pipeline import Pipeline

BARS = 300
MAPPINGS = [("ESH4", [(20240101, 20240201, "7")])]
PRICE = 4700 * 10**9
TRADE = {"price": PRICE, "size": 2, "action": b"T", "side": b"A", "ts_recv": dbn.NOON + 1002}
QUOTED = TRADE | {"bid_px_00": PRICE, "ask_px_00": PRICE, "bid_sz_00": 1, "ask_sz_00": 1}
CROSSED = QUOTED | {"bid_px_00": PRICE + 1, "sequence": 7}
STATISTIC = {"ts_recv": dbn.NOON, "ts_ref": dbn.UNDEF_TIME, "stat_type": 9, "quantity": 5, "price": dbn.UNDEF_PRICE, "update_action": 1}
DEFINITION = {"ts_recv": dbn.NOON, "raw_symbol": b"ESH4", "instrument_class": b"F", "expiration": dbn.NOON + 999}
OTHERS = {
    "trades": [TRADE | {"sequence": n} for n in range(5)],
    "tbbo": [QUOTED, CROSSED],
    "statistics": [STATISTIC, STATISTIC | {"ts_ref": dbn.NOON, "price": PRICE, "quantity": dbn.UNDEF_I64, "sequence": 2}],
    "definition": [DEFINITION],
}  # fmt: skip


@pytest.fixture(scope="module")
def once(servers, tmp_path_factory):
    """Every schema's rows, all good; bars of a minute with days among them."""
    pipeline = Pipeline(servers, tmp_path_factory.mktemp("pipeline"))
    try:
        folder = tmp_path_factory.mktemp("files")
        simulate(pipeline, folder, bars=BARS, symbols=4, seed=4)
        pipeline.subscribe("bars", folder / "bars.dbn.zst", symbol_mappings="true")
        for schema, records in OTHERS.items():
            body = b"".join(dbn.record(3, schema, values, instrument_id=7, ts_event=dbn.NOON) for values in records)
            path = folder / f"{schema}.dbn"
            path.write_bytes(dbn.metadata(3, dataset=b"GLBX.MDP3", schema=schema, mappings=MAPPINGS) + body)
            pipeline.subscribe(schema, path)
        pipeline.prepare().start_all()
        pipeline.loaded = pipeline.run()
        yield pipeline
    finally:
        pipeline.close()


def validate(up, schema, *words, code=0):
    return up.cli_json("validate", "--schema", schema, *words, code=code)


def bars(up):
    return "ohlcv-" + up.value('SELECT "interval" FROM ohlcv_data LIMIT 1')


@pytest.mark.parametrize("schema", ["bars", *OTHERS, "symbol_mapping"])
def test_what_the_validator_let_pass_passes_again(up, schema):
    """And what it flagged is flagged again: the record is the one that it saw."""
    table = {"bars": "ohlcv_data", "definition": "definitions_data", "symbol_mapping": "symbol_mappings"}.get(schema, schema + "_data")
    stored, flagged = up.query(f"SELECT count(*), count(*) FILTER (WHERE flags & 2 <> 0) FROM {table}")[0]
    assert stored > 0 and up.loaded["dead_letters"] == 0
    report = validate(up, bars(up) if schema == "bars" else schema)
    assert (report["sampled"], report["passed"], report["failed"], report["flagged"]) == (stored, stored, 0, flagged)
    assert report["rule_set"].startswith(("ohlcv@", schema + "@"))
    if schema == "tbbo":
        assert [(rule["rule"], rule["severity"], rule["records"]) for rule in report["rules"]] == [("BOOK_CROSSED", "flag", 1)]


def test_a_damaged_row_is_found(up):
    symbol, time = up.query("SELECT symbol, ts_event FROM ohlcv_data ORDER BY random() LIMIT 1")[0]
    place = "WHERE symbol = %s AND ts_event = %s"
    saved = up.query(f"SELECT high_price, volume FROM ohlcv_data {place}", symbol, time)[0]
    up.query(f"UPDATE ohlcv_data SET high_price = low_price - 1, volume = -5 {place}", symbol, time)
    try:
        report = validate(up, bars(up), code=1)
        rules = {rule["rule"]: rule for rule in report["rules"] if rule["severity"] == "reject"}
        assert (report["failed"], report["passed"]) == (1, BARS - 1)
        assert set(rules) >= {"HIGH_LESS_THAN_LOW", "VOLUME_OUT_OF_RANGE"}
        (example,) = rules["HIGH_LESS_THAN_LOW"]["examples"]
        assert (example["symbol"], example["ts_event"][:19]) == (symbol, time.strftime("%Y-%m-%dT%H:%M:%S"))
        assert example["message"].startswith("high < low (high=") and rules["HIGH_LESS_THAN_LOW"]["records"] == 1
        said = up.cli("validate", "--schema", bars(up), code=1).stdout
        assert f"{BARS} sampled, {BARS - 1} passed" in said and "HIGH_LESS_THAN_LOW" in said and symbol in said
    finally:
        up.query(f"UPDATE ohlcv_data SET high_price = %s, volume = %s {place}", *saved, symbol, time)


def test_a_row_that_is_no_record(up):
    """More than a record's quantity can say."""
    up.query("UPDATE trades_data SET size = 1e60 WHERE sequence = 3")
    try:
        (rule,) = validate(up, "trades", code=1)["rules"]
        assert (rule["rule"], rule["records"]) == ("NO_RECORD", 1) and rule["examples"][0]["message"].startswith("size is 1000")
    finally:
        up.query("UPDATE trades_data SET size = 2 WHERE sequence = 3")


def test_prices_are_exact(up, tmp_path):
    """The last place counts, and the last nanosecond."""
    path = tmp_path / "tbbo.yaml"
    rule = "  - {{name: {}, violated: '{}'}}\n"
    path.write_text(
        "name: mine\nrecord: tbbo\nrules:\n"
        + rule.format("ONE_UNIT_ABOVE", "bid_px_00 == 4700.000000001")
        + rule.format("THE_TIME", "ts_recv == 2024-01-01T00:00:00Z or length(schema) != 4 or size != 2")
    )
    report = validate(up, "tbbo", "--rules", path, code=1)
    assert [(rule["rule"], rule["records"]) for rule in report["rules"]] == [("ONE_UNIT_ABOVE", 1)]
    assert report["rule_set"].startswith("mine@")


def test_as_many_as_asked_for_and_not_always_the_same(up):
    up.query("UPDATE ohlcv_data SET high_price = low_price - 1")
    try:
        found = [validate(up, bars(up), "--sample-size", "3", code=1) for _ in range(6)]
    finally:
        up.query("UPDATE ohlcv_data SET high_price = greatest(open_price, low_price, close_price)")
    assert {report["sampled"] for report in found} == {3}
    chosen = {tuple(sorted(example["ts_event"] + example["symbol"] for example in report["rules"][0]["examples"])) for report in found}
    assert len(chosen) > 1


def test_rare_rows_of_a_large_table_are_found(up):
    """Some pages are looked at first, and where these do not have as many as are wanted, all of them."""
    up.query("ANALYZE ohlcv_data")
    path, few = f"/api/v1/samples/{bars(up)}", {"limit": 5, "breadth": 1}
    assert min(len(up.api.get(path, params=few).json()["rows"]) for _ in range(5)) < 5
    assert validate(up, bars(up), "--sample-size", "250")["sampled"] == 250


def test_nothing_is_stored(up):
    report = validate(up, "ohlcv-eod")
    assert report["sampled"] == 0 and "no row of this schema" in up.cli("validate", "--schema", "ohlcv-eod").stdout


@pytest.mark.parametrize(
    "words, code, said",
    [
        ([], 2, "name a schema; --schema takes ohlcv-1s, "),
        (["--schema", "mbo"], 2, "there is no schema 'mbo'; --schema takes ohlcv-1s, ohlcv-1m"),
        (["--schema", "trades", "--sample-size", "0"], 2, "--sample-size takes 1 to 10000, not 0"),
        (["--schema", "trades", "--sample-size", "-3"], 2, "--sample-size takes a whole number from 0, not '-3'"),
        (["--schema", "trades", "--sample-size", "10001"], 2, "--sample-size takes 1 to 10000, not 10001"),
        (["--schema", "trades", "--rules", "none.yaml"], 1, "none.yaml"),
        (["--schema", "trades", "more"], 2, "unknown or incomplete argument 'more'"),
    ],
)
def test_wrong_words(up, words, code, said):
    done = up.cli("validate", *words, code=code)
    assert said in done.stderr and len(done.stderr.splitlines()) == 1 and done.stdout == ""


def test_rules_of_another_type(up, tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("name: mine\nrecord: ohlcv\nrules:\n  - {name: NONE, violated: 'high < low'}\n")
    assert "has rules for ohlcv, and trades is trades" in up.cli("validate", "--schema", "trades", "--rules", path, code=2).stderr

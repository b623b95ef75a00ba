"""Bars of a plain CSV from a subscription to rows: names, times, prices and quantities as the subscription says them."""

from decimal import Decimal

from harness.bars import assert_good

CSV = """Date;Time;O;H;L;C;Qty
03.11.2024;00:59:00;1286.5699462890625;1287;1286;1286.25;10
03.11.2024;01:30:00;1286.5;1287;1286;1286.25;0.5
10.03.2024;02:30:00;1;1;1;1;1
"""


def test_a_subscription_says_how_a_csv_is_read(pipeline, tmp_path):
    path = tmp_path / "bars.csv"
    path.write_text(CSV.replace(";0", " 0", 2).replace(";02:", " 02:").replace("Date;Time", "When"))
    pipeline.subscribe(
        "own",
        path,
        format="csv",
        dataset="XNAS.ITCH",
        schema="ohlcv-1m",
        csv={
            "time": "When",
            "open": "O",
            "high": "H",
            "low": "L",
            "close": 5,
            "volume": "Qty",
            "symbol_constant": "ABC",
            "delimiter": ";",
            "price_text": "float32",
            "time_format": "%d.%m.%Y %H:%M:%S",
            "time_zone": "America/New_York",
            "time_twice": "second",
        },
    )
    pipeline.start_all()
    run = pipeline.run()
    assert_good(run, fetched=3)
    assert (run["inserted"], run["dead_letters"]) == (2, 1)
    rows = pipeline.query(
        "SELECT symbol, ts_event AT TIME ZONE 'UTC', open_price, volume, dataset FROM ohlcv_data ORDER BY ts_event"
    )
    assert [(r[0], str(r[1]), r[2], r[3], r[4]) for r in rows] == [
        ("ABC", "2024-11-03 04:59:00", Decimal("1286.57"), Decimal(10), "XNAS.ITCH"),
        ("ABC", "2024-11-03 06:30:00", Decimal("1286.5"), Decimal("0.5"), "XNAS.ITCH"),
    ]
    ((message,),) = pipeline.query("SELECT message FROM etl.dead_letters")
    assert "bars.csv: record 3 at byte offset" in message and "was skipped by the clocks" in message


def test_what_is_wrong_names_file_line_and_key(pipeline, tmp_path):
    pipeline.subscribe("own", tmp_path / "bars.csv", format="csv", dataset="D", schema="ohlcv-1m", csv={"tine": "t"})
    pipeline.start_all(kinds=("orchestrator",))
    run = pipeline.run()
    assert run["status"] == "failed"
    assert "subscriptions.yaml:" in run["message"] and "tine is not a key of csv" in run["message"], run

"""The views of bars: by ticker, region and date, as other systems' queries name them."""

from datetime import date, timedelta
from decimal import Decimal

import pytest
from harness import dbn
from harness.bars import assert_good

DAY = 86_400 * 10**9
TICKERS = ["AAPL", "MSFT"] + [f"T{number:02}" for number in range(38)]
FIRST, DAYS = date(2023, 1, 2), 300


def ts(day):
    return (day - date(1970, 1, 1)).days * DAY


def weekdays():
    days = (FIRST + timedelta(days=n) for n in range(DAYS))
    return [day for day in days if day.weekday() < 5]


def bar(instrument, day, close, volume, publisher=2, kind="ohlcv-1d", offset=0):
    values = {name: int(Decimal(close).scaleb(9)) for name in ("open", "high", "low", "close")} | {"volume": volume}
    return dbn.record(3, kind, values, publisher_id=publisher, instrument_id=instrument, ts_event=ts(day) + offset)


def write(folder, dataset, records, symbols, schema="ohlcv-1d"):
    mappings = [(symbol, [(20230101, 20241231, str(number))]) for number, symbol in enumerate(symbols, 1)]
    path = folder / f"{dataset}.{schema}.dbn"
    head = dbn.metadata(3, dataset=dataset.encode(), schema=schema, mappings=mappings)
    path.write_bytes(head + b"".join(records))
    return path


@pytest.fixture
def loaded(pipeline, tmp_path):
    """Two datasets of shares, one that nobody knows, futures, and minutes of a share."""
    days = weekdays()
    shares = [bar(n, day, 100 + n, 1000) for day in days for n in range(1, len(TICKERS) + 1)]
    summary = [bar(1, day, 170, 5000, publisher=90) for day in days[:5]]
    oil = [bar(1, day, "-37.63", 7, publisher=1) for day in days[:3]]
    minutes = [bar(1, days[0], 101, 3, kind="ohlcv-1m", offset=15 * 3600 * 10**9 + n * 60 * 10**9) for n in range(60)]
    paths = [
        write(tmp_path, "XNAS.ITCH", shares, TICKERS),
        write(tmp_path, "EQUS.SUMMARY", summary, ["AAPL"]),
        write(tmp_path, "ACME.FEED", [bar(1, days[0], 9, 1, publisher=0)], ["005930"]),
        write(tmp_path, "GLBX.MDP3", oil, ["CLK0"]),
        write(tmp_path, "XNAS.ITCH", minutes, ["AAPL"], "ohlcv-1m"),
    ]
    pipeline.start_all()
    pipeline.subscribe("bars", paths)
    assert_good(pipeline.run(), len(shares) + 5 + 1 + 3 + 60)
    return pipeline


def test_daily_bars(loaded):
    days = weekdays()
    rows = loaded.query("SELECT date, open, close, volume, dataset FROM daily_bars WHERE ticker = 'AAPL' ORDER BY date")
    assert [row[0] for row in rows] == days, "a bar of midnight UTC is that day's, and Sundays have none"
    assert rows[0][1:] == (170, 170, 5000, "EQUS.SUMMARY") and rows[5][1:] == (101, 101, 1000, "XNAS.ITCH")
    columns = "ticker, region, date, open, high, low, close, volume, created_at"
    assert loaded.value(f"SELECT count(*) FROM (SELECT {columns} FROM daily_bars) AS b") == len(TICKERS) * len(days) + 4
    assert loaded.query(
        "SELECT ticker, region, date, count(*) FROM daily_bars GROUP BY ticker, region, date HAVING count(*) > 1"
    ) == []  # fmt: skip
    assert loaded.query("SELECT ticker, region, close, asset_class FROM daily_bars WHERE ticker !~ '^[AMT]' ORDER BY date, 1") == [
        ("005930", None, 9, None), *[("CLK0", "US", Decimal("-37.63"), "futures")] * 3,
    ]  # fmt: skip
    assert loaded.query("SELECT time, close, gap FROM (SELECT time, close, 0 AS gap FROM market_data) AS m LIMIT 1")


def test_queries_of_other_systems_work_as_they_are(loaded):
    with loaded.connect() as connection:
        connection.execute("SET search_path = by_region, public")
        found = connection.execute(
            "SELECT ticker, region, date, close, LAG(close) OVER (PARTITION BY ticker, region ORDER BY date) FROM ohlcv_data"
            " WHERE region = 'US' AND ticker = 'MSFT' AND date >= '2023-10-01' ORDER BY date"
        ).fetchall()
        assert len(found) == sum(day >= date(2023, 10, 1) for day in weekdays()) and found[1][3:] == (102, 102)
        regions = connection.execute("SELECT region, count(DISTINCT ticker) FROM ohlcv_data GROUP BY region").fetchall()
        assert sorted(regions, key=str) == [("US", len(TICKERS) + 1), (None, 1)]


def plan(pipeline, statement):
    return "\n".join(row[0] for row in pipeline.query("EXPLAIN " + statement))


def test_one_ticker_is_found_by_the_index(loaded):
    loaded.query("ANALYZE ohlcv_data")
    loaded.query("SET enable_seqscan = off")  # with so few rows a month it would be read as a whole
    for where in ("ticker = 'AAPL' AND region = 'US'", "ticker = 'AAPL' AND region = 'US' AND date >= '2023-08-01'"):
        text = plan(loaded, f"SELECT * FROM daily_bars WHERE {where}")
        assert "Seq Scan on ohlcv_data" not in text and "ticker" in text, text
        conditions = [line for line in text.splitlines() if "Index Cond" in line and "dataset" not in line]
        assert conditions and all("ticker" in line for line in conditions), text
        assert ("session_date" in conditions[0]) == ("date" in where), text
    assert "Seq Scan on ohlcv_data" not in plan(loaded, "SELECT * FROM market_data WHERE symbol = 'AAPL' AND \"interval\" = '1d'")


def test_the_table_of_datasets_is_what_the_file_says(pipeline):
    before = pipeline.query("SELECT * FROM etl.datasets ORDER BY dataset")
    assert ("GLBX.MDP3", "US", "futures", "America/Chicago") in [row[:4] for row in before] and len(before) > 40
    pipeline.query("DELETE FROM etl.datasets WHERE dataset < 'G'")
    pipeline.query("UPDATE etl.datasets SET region = 'XX'")
    pipeline.query("INSERT INTO etl.datasets VALUES ('OLD.FEED', 'US', 'futures', 'UTC')")
    pipeline.cli("db", "migrate")
    assert pipeline.query("SELECT * FROM etl.datasets ORDER BY dataset") == before

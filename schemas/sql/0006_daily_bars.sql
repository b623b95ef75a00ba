-- Bars by ticker, region and date.

-- What common/datasets.yaml says, for SQL: `penstock db migrate` writes it anew every time.
CREATE TABLE etl.datasets (
    dataset     text COLLATE "C" PRIMARY KEY,
    region      text COLLATE "C" NOT NULL,
    asset_class text COLLATE "C" NOT NULL,
    timezone    text COLLATE "C" NOT NULL
);

-- The key of that view. Only daily bars are in it, so that minutes cost nothing more.
CREATE INDEX idx_ohlcv_ticker_date ON ohlcv_data (ticker, session_date DESC) WHERE "interval" = '1d';

-- One bar for a ticker, region and date: where several datasets or publishers have one, that with the most volume (the
-- consolidated one, if it is there). The region of a dataset that is not in common/datasets.yaml is null.
CREATE VIEW daily_bars AS
SELECT DISTINCT ON (o.ticker, d.region, o.session_date)
       o.ticker, d.region, o.session_date AS date, o.open_price AS open, o.high_price AS high, o.low_price AS low,
       o.close_price AS close, o.volume, o.created_at, o.symbol, o.dataset, o.publisher_id, o.venue, d.asset_class, o.flags
FROM ohlcv_data o LEFT JOIN etl.datasets d USING (dataset)
WHERE o."interval" = '1d'
ORDER BY o.ticker, d.region, o.session_date, o.volume DESC, o.dataset, o.publisher_id;

-- The same under the name that such systems' queries use: SET search_path = by_region, public
CREATE SCHEMA by_region;
CREATE VIEW by_region.ohlcv_data AS SELECT * FROM daily_bars;

-- Bars of a symbol, the oldest first.
-- path: /api/v1/historical/{symbol}
-- list: data
-- stream: bars
-- symbol text: the symbol, as the vendor writes it
-- start date!: from this day on (UTC)
-- end date!: up to this day, inclusive
-- interval 1s|1m|1h|1d|eod = 1d: of these bars
-- dataset text: of this dataset only
-- span: start, end
SELECT ts_event AS time, open_price AS open, high_price AS high, low_price AS low, close_price AS close, volume, dataset,
       publisher_id, session_date, venue, flags, attempt
FROM ohlcv_data
WHERE symbol = {symbol} AND "interval" = {interval} AND ts_event >= {start}::date AND ts_event < {end}::date + 1
  AND ({dataset}::text IS NULL OR dataset = {dataset})
ORDER BY ts_event, dataset, publisher_id

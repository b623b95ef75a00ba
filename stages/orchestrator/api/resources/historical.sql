-- Bars of a symbol, the oldest first.
-- path: /api/v1/historical/{symbol}
-- list: data
-- stream: bars
-- symbol text: the symbol, as the vendor writes it
-- start date!: from this day on (UTC)
-- end date!: up to this day, inclusive
-- interval 1s|1m|1h|1d|eod = 1d: of these bars
-- dataset text: of this dataset only
-- as_of time: as they were known at this time (of a day: when it began), corrections and withdrawals since then taken back
-- span: start, end
--
-- A row is known since the vendor was read for it, its as_of; what it said before that the journal has, each for a time of its own.
SELECT ts_event AS time, open_price AS open, high_price AS high, low_price AS low, close_price AS close, volume, dataset,
       publisher_id, session_date, venue, flags, attempt, as_of
FROM (SELECT ts_event, open_price, high_price, low_price, close_price, volume, dataset, publisher_id, session_date, venue, flags, attempt, as_of
      FROM ohlcv_data
      WHERE symbol = {symbol} AND "interval" = {interval} AND ts_event >= {start}::date AND ts_event < {end}::date + 1
        AND ({dataset}::text IS NULL OR dataset = {dataset}) AND ({as_of}::timestamptz IS NULL OR as_of <= {as_of}::timestamptz)
      UNION ALL
      SELECT o.ts_event, o.open_price, o.high_price, o.low_price, o.close_price, o.volume, o.dataset, o.publisher_id, o.session_date, o.venue,
             o.flags, o.attempt, o.as_of
      FROM etl.restatements r CROSS JOIN LATERAL jsonb_populate_record(NULL::ohlcv_data, r.old_row) o
      WHERE {as_of}::timestamptz IS NOT NULL AND r.table_name = 'ohlcv_data' AND r.symbol = {symbol}
        AND r.old_row->>'interval' = {interval} AND r.at >= {start}::date AND r.at < {end}::date + 1
        AND ({dataset}::text IS NULL OR r.old_row->>'dataset' = {dataset})
        AND r.old_as_of <= {as_of}::timestamptz AND r.new_as_of > {as_of}::timestamptz) known
ORDER BY ts_event, dataset, publisher_id

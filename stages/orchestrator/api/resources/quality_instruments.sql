-- Symbols that have several instrument ids on one day, within a table or between them. Ids change from day to day.
-- path: /api/v1/quality/instruments
-- list: symbols
-- cursor: session_date, dataset, symbol
-- limit: 100 1000
-- days integer = 7: of so many days
WITH seen AS (
    SELECT DISTINCT 'ohlcv_data' AS table_name, dataset, symbol, session_date, instrument_id FROM ohlcv_data
     WHERE ts_event >= now() - make_interval(days => least({days}::bigint, 36500)::integer)
    UNION SELECT DISTINCT 'trades_data', dataset, symbol, session_date, instrument_id FROM trades_data
     WHERE ts_event >= now() - make_interval(days => least({days}::bigint, 36500)::integer)
    UNION SELECT DISTINCT 'tbbo_data', dataset, symbol, session_date, instrument_id FROM tbbo_data
     WHERE ts_event >= now() - make_interval(days => least({days}::bigint, 36500)::integer))
SELECT dataset, symbol, session_date, count(DISTINCT instrument_id) AS instrument_ids,
       json_agg(json_build_object('table', table_name, 'instrument_id', instrument_id) ORDER BY table_name, instrument_id) AS found
FROM seen
WHERE {after_session_date}::date IS NULL OR session_date < {after_session_date}::date
      OR (session_date = {after_session_date}::date AND (dataset, symbol) > ({after_dataset}, {after_symbol}))
GROUP BY dataset, symbol, session_date HAVING count(DISTINCT instrument_id) > 1
ORDER BY session_date DESC, dataset, symbol LIMIT {limit}

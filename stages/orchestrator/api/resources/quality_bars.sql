-- Bars whose prices contradict each other, of the last days. The rules refuse them, so there should be none.
-- path: /api/v1/quality/bars
-- list: violations
-- cursor: ts_event, symbol, dataset, interval, publisher_id
-- limit: 100 1000
-- days integer = 7: of so many days
SELECT symbol, "interval", ts_event, dataset, publisher_id, open_price, high_price, low_price, close_price,
       concat_ws(', ', CASE WHEN high_price < low_price THEN 'HIGH_LESS_THAN_LOW' END,
                 CASE WHEN high_price < open_price THEN 'HIGH_LESS_THAN_OPEN' END,
                 CASE WHEN high_price < close_price THEN 'HIGH_LESS_THAN_CLOSE' END,
                 CASE WHEN low_price > open_price THEN 'LOW_GREATER_THAN_OPEN' END,
                 CASE WHEN low_price > close_price THEN 'LOW_GREATER_THAN_CLOSE' END) AS validation_status
FROM ohlcv_data
WHERE ts_event >= now() - make_interval(days => least({days}::bigint, 36500)::integer)
  AND (high_price < low_price OR high_price < open_price OR high_price < close_price OR low_price > open_price OR low_price > close_price)
  AND ({after_ts_event}::timestamptz IS NULL OR ts_event < {after_ts_event}::timestamptz
       OR (ts_event = {after_ts_event}::timestamptz AND (symbol, dataset, "interval", publisher_id)
           > ({after_symbol}, {after_dataset}, {after_interval}, {after_publisher_id}::integer)))
ORDER BY ts_event DESC, symbol, dataset, "interval", publisher_id LIMIT {limit}

-- Bars of this run whose prices cannot be in this order: the highest is not the highest, or the lowest not the lowest.
SELECT count(*) AS observed, 0 AS expected,
       coalesce('for example ' || min(format('%s %s %s', symbol, "interval", ts_event)), '') AS detail
FROM ohlcv_data
WHERE attempt BETWEEN (SELECT min(attempt) FROM etl.attempts WHERE run = $1::bigint)
                  AND (SELECT max(attempt) FROM etl.attempts WHERE run = $1::bigint)
  AND attempt IN (SELECT attempt FROM etl.attempts WHERE run = $1::bigint)
  AND (high_price < greatest(open_price, close_price, low_price)
       OR low_price > least(open_price, close_price))

-- Keys of bars that this run wrote more than once. Keys are grouped by a 64-bit hash, which is twice as fast as by themselves; only where a hash
-- comes twice are its keys compared.
WITH mine AS NOT MATERIALIZED (
    SELECT symbol, "interval", ts_event, dataset, publisher_id,
           hash_record_extended(ROW (symbol, "interval", ts_event, dataset, publisher_id), 0) AS hash
    FROM ohlcv_data
    WHERE attempt BETWEEN (SELECT min(attempt) FROM etl.attempts WHERE run = $1::bigint)
                      AND (SELECT max(attempt) FROM etl.attempts WHERE run = $1::bigint)
      AND attempt IN (SELECT attempt FROM etl.attempts WHERE run = $1::bigint)
), suspects AS MATERIALIZED (
    SELECT hash FROM mine GROUP BY hash HAVING count(*) > 1
), twice AS (
    SELECT symbol, "interval", ts_event FROM mine
    WHERE (SELECT count(*) FROM suspects) > 0 AND hash IN (SELECT hash FROM suspects)
    GROUP BY symbol, "interval", ts_event, dataset, publisher_id HAVING count(*) > 1
)
SELECT count(*) AS observed,
       0 AS expected,
       coalesce('for example ' || min(format('%s %s %s', symbol, "interval", ts_event)), '') AS detail
FROM twice

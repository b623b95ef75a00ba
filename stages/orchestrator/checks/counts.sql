-- Rows that this run's attempts wrote, those replaced by a later restatement included, against the ledger.
SELECT (SELECT count(*) FROM ohlcv_data
        WHERE attempt BETWEEN (SELECT min(attempt) FROM etl.attempts WHERE run = $1::bigint)
                          AND (SELECT max(attempt) FROM etl.attempts WHERE run = $1::bigint)
          AND attempt IN (SELECT attempt FROM etl.attempts WHERE run = $1::bigint))
     + (SELECT count(*) FROM etl.restatements WHERE table_name = 'ohlcv_data'
          AND old_attempt IN (SELECT attempt FROM etl.attempts WHERE run = $1::bigint)) AS observed,
       (SELECT coalesce(sum(records), 0)::bigint FROM etl.ledger WHERE outcome IN ('inserted', 'updated')
          AND attempt IN (SELECT attempt FROM etl.attempts WHERE run = $1::bigint)) AS expected,
       'rows in ohlcv_data and in the restatement journal; inserted and updated in the ledger' AS detail

-- Rows that this run's attempts wrote, those replaced by a later restatement included, against the ledger.
WITH mine AS MATERIALIZED (SELECT min(attempt) AS first, max(attempt) AS last FROM etl.attempts WHERE run = $1::bigint)
SELECT (SELECT count(*) FROM ohlcv_data
        WHERE attempt BETWEEN (SELECT first FROM mine) AND (SELECT last FROM mine)
          AND attempt IN (SELECT attempt FROM etl.attempts WHERE run = $1::bigint))
     + (SELECT count(*) FROM trades_data
        WHERE attempt BETWEEN (SELECT first FROM mine) AND (SELECT last FROM mine)
          AND attempt IN (SELECT attempt FROM etl.attempts WHERE run = $1::bigint))
     + (SELECT count(*) FROM tbbo_data
        WHERE attempt BETWEEN (SELECT first FROM mine) AND (SELECT last FROM mine)
          AND attempt IN (SELECT attempt FROM etl.attempts WHERE run = $1::bigint))
     + (SELECT count(*) FROM statistics_data
        WHERE attempt BETWEEN (SELECT first FROM mine) AND (SELECT last FROM mine)
          AND attempt IN (SELECT attempt FROM etl.attempts WHERE run = $1::bigint))
     + (SELECT count(*) FROM definitions_data
        WHERE attempt BETWEEN (SELECT first FROM mine) AND (SELECT last FROM mine)
          AND attempt IN (SELECT attempt FROM etl.attempts WHERE run = $1::bigint))
     + (SELECT count(*) FROM symbol_mappings
        WHERE attempt BETWEEN (SELECT first FROM mine) AND (SELECT last FROM mine)
          AND attempt IN (SELECT attempt FROM etl.attempts WHERE run = $1::bigint))
     + (SELECT count(*) FROM etl.restatements
        WHERE old_attempt IN (SELECT attempt FROM etl.attempts WHERE run = $1::bigint))
     + etl.side_rows($1::bigint) AS observed,
       (SELECT coalesce(sum(records), 0)::bigint FROM etl.ledger WHERE outcome IN ('inserted', 'updated')
          AND attempt IN (SELECT attempt FROM etl.attempts WHERE run = $1::bigint)) AS expected,
       'rows in the tables and in the restatement journal; inserted and updated in the ledger' AS detail

-- Refused records of this run that are in the archive, against the ledger.
SELECT (SELECT count(*) FROM etl.dead_letters WHERE ordinal > 0
          AND attempt IN (SELECT attempt FROM etl.attempts WHERE run = $1::bigint)) AS observed,
       (SELECT coalesce(sum(records), 0)::bigint FROM etl.ledger WHERE outcome = 'dead_letter'
          AND attempt IN (SELECT attempt FROM etl.attempts WHERE run = $1::bigint)) AS expected,
       'letters in etl.dead_letters; dead_letter in the ledger' AS detail

-- Rows that this run removed because the vendor no longer has them: each is in the journal.
SELECT (SELECT count(*) FROM etl.restatements WHERE kind = 'withdrawn'
          AND new_attempt IN (SELECT attempt FROM etl.attempts WHERE run = $1::bigint)) AS observed,
       (SELECT coalesce(sum(withdrawn), 0)::bigint FROM etl.withdrawals WHERE run = $1::bigint) AS expected,
       'withdrawn in the restatement journal; in etl.withdrawals' AS detail

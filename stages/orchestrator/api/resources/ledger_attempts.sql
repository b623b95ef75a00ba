-- What became of the records of each attempt, the newest first.
-- path: /api/v1/ledger/attempts
-- list: attempts
-- cursor: attempt
-- limit: 50 500
-- run integer: of this run only
-- subscription text: of this subscription only
SELECT a.attempt, a.run, t.subscription, a.state, a.fetched, a.inserted, a.updated, a.unchanged, a.duplicate, a.superseded,
       a.dead_letters, CASE WHEN a.expired THEN 0 ELSE a.fetched - a.records END AS in_flight,
       a.closed_at IS NOT NULL AND a.fetched = a.records AS balanced, a.expired
FROM etl.accounts a JOIN etl.tasks t USING (task)
WHERE ({run}::bigint IS NULL OR a.run = {run}::bigint) AND ({subscription}::text IS NULL OR t.subscription = {subscription})
  AND ({after_attempt}::bigint IS NULL OR a.attempt < {after_attempt}::bigint)
ORDER BY a.attempt DESC LIMIT {limit}

-- What became of the records of each attempt, the newest first.
-- path: /api/v1/ledger/attempts
-- list: attempts
-- cursor: attempt
-- limit: 50 500
-- run integer: of this run only
-- subscription text: of this subscription only
SELECT a.attempt, a.run, t.subscription, a.state, a.fetched, l.inserted, l.updated, l.unchanged, l.duplicate, l.superseded,
       l.dead_letters, CASE WHEN a.expired THEN 0 ELSE a.fetched - l.records END AS in_flight,
       a.closed_at IS NOT NULL AND a.fetched = l.records AS balanced, a.expired
FROM etl.attempts a JOIN etl.tasks t USING (task)
CROSS JOIN LATERAL (
    SELECT coalesce(sum(records) FILTER (WHERE outcome = 'inserted'), 0)::bigint AS inserted,
           coalesce(sum(records) FILTER (WHERE outcome = 'updated'), 0)::bigint AS updated,
           coalesce(sum(records) FILTER (WHERE outcome = 'unchanged'), 0)::bigint AS unchanged,
           coalesce(sum(records) FILTER (WHERE outcome = 'duplicate'), 0)::bigint AS duplicate,
           coalesce(sum(records) FILTER (WHERE outcome = 'superseded'), 0)::bigint AS superseded,
           coalesce(sum(records) FILTER (WHERE outcome = 'dead_letter'), 0)::bigint AS dead_letters,
           coalesce(sum(records), 0)::bigint AS records
    FROM etl.ledger WHERE attempt = a.attempt) l
WHERE ({run}::bigint IS NULL OR a.run = {run}::bigint) AND ({subscription}::text IS NULL OR t.subscription = {subscription})
  AND ({after_attempt}::bigint IS NULL OR a.attempt < {after_attempt}::bigint)
ORDER BY a.attempt DESC LIMIT {limit}

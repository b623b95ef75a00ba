-- What became of the records of each subscription of a run.
-- path: /api/v1/ledger/subscriptions
-- list: subscriptions
-- cursor: subscription
-- limit: 50 500
-- run integer: the run; the last one where none is named
SELECT t.subscription, count(DISTINCT a.attempt) AS attempts, sum(a.fetched)::bigint AS fetched,
       coalesce(sum(l.inserted), 0)::bigint AS inserted, coalesce(sum(l.updated), 0)::bigint AS updated,
       coalesce(sum(l.unchanged), 0)::bigint AS unchanged, coalesce(sum(l.duplicate), 0)::bigint AS duplicate,
       coalesce(sum(l.superseded), 0)::bigint AS superseded, coalesce(sum(l.dead_letters), 0)::bigint AS dead_letters,
       coalesce(sum(CASE WHEN a.expired THEN 0 ELSE a.fetched - l.records END), 0)::bigint AS in_flight,
       bool_and(CASE WHEN a.expired THEN NOT l.is_last ELSE a.closed_at IS NOT NULL AND a.fetched = l.records END) AS balanced
FROM etl.attempts a JOIN etl.tasks t USING (task)
CROSS JOIN LATERAL (
    SELECT coalesce(sum(records) FILTER (WHERE outcome = 'inserted'), 0) AS inserted,
           coalesce(sum(records) FILTER (WHERE outcome = 'updated'), 0) AS updated,
           coalesce(sum(records) FILTER (WHERE outcome = 'unchanged'), 0) AS unchanged,
           coalesce(sum(records) FILTER (WHERE outcome = 'duplicate'), 0) AS duplicate,
           coalesce(sum(records) FILTER (WHERE outcome = 'superseded'), 0) AS superseded,
           coalesce(sum(records) FILTER (WHERE outcome = 'dead_letter'), 0) AS dead_letters,
           coalesce(sum(records), 0) AS records,
           NOT EXISTS (SELECT FROM etl.attempts later WHERE later.task = a.task AND later.attempt > a.attempt) AS is_last
    FROM etl.ledger WHERE attempt = a.attempt) l
WHERE a.run = coalesce({run}::bigint, (SELECT max(run) FROM etl.runs)) AND ({after_subscription}::text IS NULL OR t.subscription > {after_subscription})
GROUP BY t.subscription ORDER BY t.subscription LIMIT {limit}

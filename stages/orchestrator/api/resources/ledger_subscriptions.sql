-- What became of the records of each subscription of a run.
-- path: /api/v1/ledger/subscriptions
-- list: subscriptions
-- cursor: subscription
-- limit: 50 500
-- run integer: the run; the last one where none is named
SELECT t.subscription, count(DISTINCT a.attempt) AS attempts, sum(a.fetched)::bigint AS fetched,
       sum(a.inserted)::bigint AS inserted, sum(a.updated)::bigint AS updated, sum(a.unchanged)::bigint AS unchanged,
       sum(a.duplicate)::bigint AS duplicate, sum(a.superseded)::bigint AS superseded, sum(a.dead_letters)::bigint AS dead_letters,
       sum(CASE WHEN a.expired THEN 0 ELSE a.fetched - a.records END)::bigint AS in_flight,
       bool_and(CASE WHEN a.expired
                THEN EXISTS (SELECT FROM etl.attempts later WHERE later.task = a.task AND later.attempt > a.attempt)
                ELSE a.closed_at IS NOT NULL AND a.fetched = a.records END) AS balanced
FROM etl.accounts_to_sum a JOIN etl.tasks t USING (task)
WHERE a.run = coalesce({run}::bigint, (SELECT max(run) FROM etl.runs)) AND ({after_subscription}::text IS NULL OR t.subscription > {after_subscription})
GROUP BY t.subscription ORDER BY t.subscription LIMIT {limit}

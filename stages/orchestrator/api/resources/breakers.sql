-- Breakers: which subscriptions, sources and stages are held back, or were.
-- path: /api/v1/breakers
-- list: breakers
-- cursor: kind, name
-- limit: 100 1000
-- kind subscription|source|stage: of this kind only
-- state closed|open|half_open: in this state only
WITH b AS (
    SELECT kind, name, state, since, openings, probe_at, probe, reason FROM etl.breakers
    UNION ALL SELECT 'stage', stage || ' ' || worker, state, since, openings, probe_at, NULL, reason FROM etl.stage_breakers_now)
SELECT kind, name, state, since, openings, probe_at, probe AS probe_task, reason,
       (SELECT count(*) FROM etl.tasks t JOIN etl.runs r USING (run) WHERE t.state = 'pending' AND r.status = 'running'
          AND t.source <> 'kafka' AND b.name = CASE b.kind WHEN 'subscription' THEN t.subscription WHEN 'source' THEN t.source END)
         AS tasks_waiting
FROM b
WHERE ({kind}::text IS NULL OR kind = {kind}) AND ({state}::text IS NULL OR state = {state})
  AND ({after_kind}::text IS NULL OR (kind, name) > ({after_kind}, {after_name}))
ORDER BY kind, name LIMIT {limit}

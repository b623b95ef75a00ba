-- What was stored of each record type since a day began (UTC), by what became of it.
-- path: /api/v1/quality/stored
-- list: stored
-- day date: since this day; today where nothing is said
SELECT regexp_replace(l.topic, '^.*\.clean\.', '') AS record_type, count(DISTINCT l.attempt) AS attempts,
       coalesce(sum(l.records) FILTER (WHERE l.outcome = 'inserted'), 0)::bigint AS inserted,
       coalesce(sum(l.records) FILTER (WHERE l.outcome = 'updated'), 0)::bigint AS updated,
       coalesce(sum(l.records) FILTER (WHERE l.outcome = 'unchanged'), 0)::bigint AS unchanged
FROM etl.attempts a JOIN etl.ledger l USING (attempt)
WHERE a.created_at >= coalesce({day}::date, current_date) AND l.topic LIKE '%.clean.%'
GROUP BY 1 ORDER BY 1

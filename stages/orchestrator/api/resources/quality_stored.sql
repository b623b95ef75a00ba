-- What was stored of each record type since a day began (UTC), by what became of it.
-- path: /api/v1/quality/stored
-- list: stored
-- day date: since this day; today where nothing is said
--
-- OFFSET: each attempt is looked up, however many there are of a day: else, late in it, the planner reads all of the ledger.
SELECT regexp_replace(l.topic, '^.*\.clean\.', '') AS record_type, count(DISTINCT l.attempt) AS attempts,
       coalesce(sum(l.records) FILTER (WHERE l.outcome = 'inserted'), 0)::bigint AS inserted,
       coalesce(sum(l.records) FILTER (WHERE l.outcome = 'updated'), 0)::bigint AS updated,
       coalesce(sum(l.records) FILTER (WHERE l.outcome = 'unchanged'), 0)::bigint AS unchanged
FROM etl.attempts a CROSS JOIN LATERAL (SELECT * FROM etl.ledger WHERE attempt = a.attempt AND topic LIKE '%.clean.%' OFFSET 0) l
WHERE a.created_at >= coalesce({day}::date, current_date)
GROUP BY 1 ORDER BY 1

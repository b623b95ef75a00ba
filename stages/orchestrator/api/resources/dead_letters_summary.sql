-- How many dead letters there are of each class, rule, schema or symbol, the most first.
-- path: /api/v1/dead-letters/summary
-- list: summary
-- limit: 50 1000
-- by class|error_type|rule|message|schema|symbol|day|subscription = class: what they are counted by
-- class text: of this class only
-- error_type text: of this type only: BusinessLogicValidation, …
-- schema text: of this schema only
-- run integer: of this run only
-- since time: refused at this time or later
SELECT CASE {by} WHEN 'class' THEN d.class WHEN 'error_type' THEN d.headers->>'__connect.errors.exception.class.name' WHEN 'rule' THEN r.rule WHEN 'message' THEN d.message WHEN 'schema' THEN d.schema
                 WHEN 'symbol' THEN d.symbol WHEN 'day' THEN d.day::text
                 ELSE (SELECT t.subscription FROM etl.attempts a JOIN etl.tasks t USING (task) WHERE a.attempt = d.attempt) END AS "group",
       count(*) AS dead_letters, count(DISTINCT d.symbol) AS symbols, min(d.failed_at) AS first_failed_at,
       max(d.failed_at) AS last_failed_at
FROM etl.dead_letters d
LEFT JOIN LATERAL unnest(CASE WHEN {by} = 'rule' THEN d.rules END) AS r (rule) ON true
WHERE ({class}::text IS NULL OR d.class = {class}) AND ({schema}::text IS NULL OR d.schema = {schema})
  AND ({error_type}::text IS NULL OR d.headers->>'__connect.errors.exception.class.name' = {error_type})
  AND ({run}::bigint IS NULL OR d.attempt IN (SELECT attempt FROM etl.attempts WHERE run = {run}::bigint))
  AND ({since}::timestamptz IS NULL OR d.failed_at >= {since}::timestamptz)
  AND ({by} <> 'rule' OR r.rule IS NOT NULL)
GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT {limit}

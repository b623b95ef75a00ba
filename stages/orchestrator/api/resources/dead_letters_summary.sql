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
--
-- Counted by symbol first: so nothing is sorted to tell how many symbols there are.
SELECT "group", sum(letters)::bigint AS dead_letters, count(*) AS symbols, min(first_failed_at) AS first_failed_at,
       max(last_failed_at) AS last_failed_at
FROM (
    SELECT CASE {by} WHEN 'class' THEN d.class WHEN 'error_type' THEN d.headers->>'__connect.errors.exception.class.name'
                     WHEN 'rule' THEN r.rule WHEN 'message' THEN d.message WHEN 'schema' THEN d.schema
                     WHEN 'symbol' THEN d.symbol WHEN 'day' THEN d.day::text ELSE t.subscription END AS "group",
           d.symbol, count(*) AS letters, min(d.failed_at) AS first_failed_at, max(d.failed_at) AS last_failed_at
    FROM etl.dead_letters d LEFT JOIN etl.attempts a USING (attempt) LEFT JOIN etl.tasks t USING (task)
    LEFT JOIN LATERAL unnest(CASE WHEN {by} = 'rule' THEN d.rules END) AS r (rule) ON {by} = 'rule'
    WHERE ({class}::text IS NULL OR d.class = {class}) AND ({schema}::text IS NULL OR d.schema = {schema})
      AND ({error_type}::text IS NULL OR d.headers->>'__connect.errors.exception.class.name' = {error_type})
      AND ({run}::bigint IS NULL OR a.run = {run}::bigint)
      AND ({since}::timestamptz IS NULL OR d.failed_at >= {since}::timestamptz)
      AND ({by} <> 'rule' OR r.rule IS NOT NULL)
    GROUP BY 1, 2) s
GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT {limit}

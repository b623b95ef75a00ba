-- How many dead letters there are of each class, rule, schema, symbol or state, the most first.
-- path: /api/v1/dead-letters/summary
-- list: summary
-- cursor: dead_letters, group
-- limit: 50 1000
-- by class|error_type|rule|message|schema|symbol|day|subscription|state = class: what they are counted by
-- class text: of this class only
-- error_type text: of this type only: BusinessLogicValidation, …
-- rule text: that violate this rule
-- schema text: of this schema only
-- symbol text: of this symbol only
-- subscription text: of this subscription only
-- run integer: of this run only
-- day date: of this day of the market only
-- stage text: refused by this stage only
-- since time: refused at this time or later
-- new flag = false: behind what was reviewed last only
-- state new|seen|replayed|resolved|discarded: in this state only; one is seen where a review went beyond it, or where it was opened again
--
-- Counted by symbol first: so nothing is sorted to tell how many symbols there are.
SELECT "group", sum(letters)::bigint AS dead_letters, count(*) AS symbols, min(first_failed_at) AS first_failed_at,
       max(last_failed_at) AS last_failed_at
FROM (
    SELECT nullif(CASE {by} WHEN 'class' THEN d.class WHEN 'error_type' THEN d.headers->>'__connect.errors.exception.class.name'
                     WHEN 'rule' THEN r.rule WHEN 'message' THEN d.message WHEN 'schema' THEN d.schema
                     WHEN 'symbol' THEN d.symbol WHEN 'day' THEN d.day::text
                     WHEN 'state' THEN coalesce(s.state, CASE WHEN d.id <= (SELECT max(up_to) FROM etl.dead_letter_reviews)
                                                              THEN 'seen' ELSE 'new' END)
                     ELSE t.subscription END, '') AS "group",
           d.symbol, count(*) AS letters, min(d.failed_at) AS first_failed_at, max(d.failed_at) AS last_failed_at
    FROM etl.dead_letters d LEFT JOIN etl.attempts a USING (attempt) LEFT JOIN etl.tasks t USING (task)
    LEFT JOIN etl.dead_letter_states s ON s.letter = d.id
    LEFT JOIN LATERAL unnest(CASE WHEN {by} = 'rule' THEN d.rules END) AS r (rule) ON {by} = 'rule'
    WHERE ({class}::text IS NULL OR d.class = {class}) AND ({schema}::text IS NULL OR d.schema = {schema})
      AND ({rule}::text IS NULL OR d.rules @> ARRAY[{rule}::text]) AND ({symbol}::text IS NULL OR d.symbol = {symbol})
      AND ({subscription}::text IS NULL OR t.subscription = {subscription}) AND ({day}::date IS NULL OR d.day = {day}::date)
      AND ({stage}::text IS NULL OR d.stage = {stage})
      AND (NOT {new}::boolean OR d.id > coalesce((SELECT max(up_to) FROM etl.dead_letter_reviews), 0))
      AND ({error_type}::text IS NULL OR d.headers->>'__connect.errors.exception.class.name' = {error_type})
      AND ({run}::bigint IS NULL OR a.run = {run}::bigint)
      AND ({since}::timestamptz IS NULL OR d.failed_at >= {since}::timestamptz)
      AND ({state}::text IS NULL OR {state} IN ('new', 'seen') OR s.state = {state})
      AND ({state}::text IS NULL OR {state} <> 'new' OR (s.letter IS NULL AND d.id > coalesce((SELECT max(up_to) FROM etl.dead_letter_reviews), 0)))
      AND ({state}::text IS NULL OR {state} <> 'seen' OR d.id <= greatest((SELECT max(up_to) FROM etl.dead_letter_reviews),
           (SELECT max(letter) FROM etl.dead_letter_states WHERE state = 'seen')))
      AND ({state}::text IS NULL OR {state} <> 'seen' OR coalesce((SELECT x.state FROM etl.dead_letter_states x WHERE x.letter = d.id),
           CASE WHEN d.id <= (SELECT max(up_to) FROM etl.dead_letter_reviews) THEN 'seen' END) = 'seen')
      AND ({by} <> 'rule' OR r.rule IS NOT NULL)
    GROUP BY 1, 2) s
GROUP BY 1
HAVING {after_dead_letters}::bigint IS NULL OR sum(letters) < {after_dead_letters}::bigint
       OR (sum(letters) = {after_dead_letters}::bigint AND coalesce("group", '') > {after_group})
ORDER BY sum(letters) DESC, coalesce("group", '') LIMIT {limit}

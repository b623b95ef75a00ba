-- Records and tasks that were refused, the newest first.
-- path: /api/v1/dead-letters
-- list: dead_letters
-- cursor: id
-- limit: 50 1000
-- class decode_errors|validation_failures|transformation_errors|load_errors|api_errors: of this class only
-- rule text: that violate this rule
-- schema text: of this schema only
-- symbol text: of this symbol only
-- subscription text: of this subscription only
-- run integer: of this run only
-- day date: of this day of the market only
-- stage text: refused by this stage only
-- since time: refused at this time or later
-- above integer: with a larger id only, as of those that came since
-- new flag = false: behind what was reviewed last only
-- state new|seen|replayed|resolved|discarded: in this state only; one is seen where a review went beyond it, or where it was opened again
-- id integer: this one only
--
-- First the page and then the runs of its letters: joins that no filter needs are left out of the search by the planner.
SELECT d.id, coalesce((SELECT s.state FROM etl.dead_letter_states s WHERE s.letter = d.id), CASE WHEN d.id <= (SELECT max(up_to) FROM etl.dead_letter_reviews) THEN 'seen' ELSE 'new' END) AS state,
       d.failed_at, d.class, d.headers->>'__connect.errors.exception.class.name' AS error_type, d.stage, d.schema, d.symbol, d.day,
       to_json(d.rules) AS rules, d.message, d.record, a.run, t.subscription,
       d.attempt, d.ordinal, d.replays, d.first_letter, (SELECT s.run FROM etl.dead_letter_states s WHERE s.letter = d.id) AS replay_run,
       coalesce((SELECT s.replays FROM etl.dead_letter_states s WHERE s.letter = d.id), 0) AS put_back, d.letter_topic, d.letter_partition, d.letter_offset
FROM (
    SELECT d.* FROM etl.dead_letters d LEFT JOIN etl.attempts a USING (attempt) LEFT JOIN etl.tasks t USING (task)
    LEFT JOIN etl.dead_letter_states s ON s.letter = d.id
    WHERE ({class}::text IS NULL OR d.class = {class}) AND ({rule}::text IS NULL OR d.rules @> ARRAY[{rule}::text])
      AND ({schema}::text IS NULL OR d.schema = {schema}) AND ({symbol}::text IS NULL OR d.symbol = {symbol})
      AND ({subscription}::text IS NULL OR t.subscription = {subscription}) AND ({run}::bigint IS NULL OR a.run = {run}::bigint)
      AND ({day}::date IS NULL OR d.day = {day}::date) AND ({stage}::text IS NULL OR d.stage = {stage})
      AND ({since}::timestamptz IS NULL OR d.failed_at >= {since}::timestamptz)
      AND (NOT {new}::boolean OR d.id > coalesce((SELECT max(up_to) FROM etl.dead_letter_reviews), 0))
      AND ({state}::text IS NULL OR {state} IN ('new', 'seen') OR s.state = {state})
      AND ({state}::text IS NULL OR {state} <> 'new' OR (s.letter IS NULL AND d.id > coalesce((SELECT max(up_to) FROM etl.dead_letter_reviews), 0)))
      AND ({state}::text IS NULL OR {state} <> 'seen' OR d.id <= greatest((SELECT max(up_to) FROM etl.dead_letter_reviews),
           (SELECT max(letter) FROM etl.dead_letter_states WHERE state = 'seen')))
      AND ({state}::text IS NULL OR {state} <> 'seen' OR coalesce((SELECT x.state FROM etl.dead_letter_states x WHERE x.letter = d.id),
           CASE WHEN d.id <= (SELECT max(up_to) FROM etl.dead_letter_reviews) THEN 'seen' END) = 'seen')
      AND ({id}::bigint IS NULL OR d.id = {id}::bigint)
      AND ({above}::bigint IS NULL OR d.id > {above}::bigint) AND ({after_id}::bigint IS NULL OR d.id < {after_id}::bigint)
    ORDER BY d.id DESC LIMIT {limit}) d
LEFT JOIN etl.attempts a USING (attempt) LEFT JOIN etl.tasks t USING (task)
ORDER BY d.id DESC

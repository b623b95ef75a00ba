-- One dead letter, with the record as text, its bytes in base64, and where it stood.
-- path: /api/v1/dead-letters/{id}
-- missing: there is no dead letter {id}
-- id integer: its number
SELECT d.id, d.failed_at, d.class, d.headers->>'__connect.errors.exception.class.name' AS error_type, d.stage, d.schema, d.symbol, d.day, to_json(d.rules) AS rules, d.rules_version, d.message, a.run,
       t.subscription, t.task, d.attempt, d.ordinal, d.replays, d.record, d.headers,
       translate(encode(d.key, 'base64'), E'\n', '') AS key, translate(encode(d.value, 'base64'), E'\n', '') AS value,
       d.origin_topic, d.origin_partition, d.origin_offset, d.letter_topic, d.letter_partition, d.letter_offset, d.archived_at
FROM etl.dead_letters d LEFT JOIN etl.attempts a USING (attempt) LEFT JOIN etl.tasks t USING (task)
WHERE d.id = {id}::bigint

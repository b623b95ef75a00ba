-- One dead letter, with the record as text, its bytes in base64, where it stood, and what was done about it.
-- path: /api/v1/dead-letters/{id}
-- missing: there is no dead letter {id}
-- id integer: its number
SELECT d.id, coalesce(s.state, CASE WHEN v.id IS NOT NULL THEN 'seen' ELSE 'new' END) AS state, coalesce(u.who, v.who) AS state_who,
       coalesce(u.at, v.reviewed_at) AS state_at, coalesce(u.detail->>'why', v.why) AS state_why, s.run AS replay_run,
       d.first_letter, (SELECT to_json(array_agg(l.id ORDER BY l.id)) FROM etl.dead_letters l WHERE l.first_letter = d.id) AS later_letters,
       d.failed_at, d.class, d.headers->>'__connect.errors.exception.class.name' AS error_type, d.stage, d.schema, d.symbol, d.day, to_json(d.rules) AS rules, d.rules_version, d.message, a.run,
       t.subscription, t.task, d.attempt, d.ordinal, d.replays, d.record, d.headers,
       translate(encode(d.key, 'base64'), E'\n', '') AS key, translate(encode(d.value, 'base64'), E'\n', '') AS value,
       d.origin_topic, d.origin_partition, d.origin_offset, d.letter_topic, d.letter_partition, d.letter_offset, d.archived_at
FROM etl.dead_letters d LEFT JOIN etl.attempts a USING (attempt) LEFT JOIN etl.tasks t USING (task)
LEFT JOIN etl.dead_letter_states s ON s.letter = d.id LEFT JOIN etl.audit u ON u.id = s.audit
LEFT JOIN LATERAL (SELECT id, who, reviewed_at, why FROM etl.dead_letter_reviews WHERE up_to >= d.id ORDER BY id LIMIT 1) v ON true
WHERE d.id = {id}::bigint

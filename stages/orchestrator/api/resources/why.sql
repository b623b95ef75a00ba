-- Where rows came from: everything that the tables have of a symbol at a time, and what was withdrawn of it.
-- path: /api/v1/why
-- list: rows
-- cursor: place
-- limit: 20 100
-- symbol text!: the symbol, as the vendor writes it
-- time time!: the record's time (ts_event; of statistics and definitions ts_recv)
--
-- A record's partition is told by its symbol. Its offset is not kept with the row: it lies between the first and the last of those
-- that the attempt wrote from this partition. Of what was put back after it had been refused, `letters` are those of the symbol that went
-- the same way: the row's is one of them. What has a `withdrawn_at` is
-- in no table any more (or again, as another row): at `withdrawn_as_of` the vendor had it no longer. All else tells where it had come
-- from. Numbers with a point are texts: a reader of JSON would make binary floats of them.
WITH stored AS (
    SELECT 'ohlcv_data' AS table_name, to_jsonb(o) AS row, attempt, as_of, NULL::bigint AS withdrawal FROM ohlcv_data o
     WHERE symbol = {symbol} AND ts_event = {time}::timestamptz
    UNION ALL SELECT 'trades_data', to_jsonb(o), attempt, as_of, NULL FROM trades_data o
     WHERE symbol = {symbol} AND ts_event = {time}::timestamptz
    UNION ALL SELECT 'tbbo_data', to_jsonb(o), attempt, as_of, NULL FROM tbbo_data o
     WHERE symbol = {symbol} AND ts_event = {time}::timestamptz
    UNION ALL SELECT 'statistics_data', to_jsonb(o), attempt, as_of, NULL FROM statistics_data o
     WHERE symbol = {symbol} AND ts_recv = {time}::timestamptz
    UNION ALL SELECT 'definitions_data', to_jsonb(o), attempt, as_of, NULL FROM definitions_data o
     WHERE symbol = {symbol} AND ts_recv = {time}::timestamptz
    UNION ALL SELECT table_name, old_row, old_attempt, old_as_of, id FROM etl.restatements
     WHERE kind = 'withdrawn' AND symbol = {symbol} AND at = {time}::timestamptz),
numbered AS (SELECT *, row_number() OVER (ORDER BY withdrawal NULLS FIRST, table_name, attempt, row) AS place FROM stored),
found AS (SELECT * FROM numbered WHERE {after_place}::bigint IS NULL OR place > {after_place}::bigint ORDER BY place LIMIT {limit}),
places AS (
    SELECT topic, etl.kafka_partition({symbol}, count(*)) AS partition FROM etl.offsets WHERE topic LIKE '%etl.clean.%' GROUP BY topic)
SELECT f.table_name, w.restated_at AS withdrawn_at, w.new_as_of AS withdrawn_as_of,
       (SELECT run FROM etl.attempts WHERE attempt = w.new_attempt) AS withdrawn_by_run, w.new_attempt AS withdrawn_by_attempt,
       t.subscription, t.source, t.action, a.run, r.kind, r.requested_by, a.task, f.attempt, a.worker, f.as_of,
       p.topic, p.partition, p.first_offset, p.last_offset,
       (SELECT json_agg(u.rule_set ORDER BY u.told_at, u.rule_set) FROM etl.attempt_rules u WHERE u.attempt = f.attempt
           AND u.record_type = replace(replace(f.table_name, '_data', ''), 'definitions', 'definition')) AS rule_sets,
       t.parameters AS request,
       (SELECT json_agg(json_build_object('restated_at', s.restated_at, 'old_attempt', s.old_attempt, 'old_row',
        (SELECT jsonb_object_agg(key, CASE WHEN jsonb_typeof(value) = 'number' AND value::text LIKE '%.%' THEN to_jsonb(value::text)
            ELSE value END) FROM jsonb_each(s.old_row))) ORDER BY s.id DESC)
          FROM etl.restatements s WHERE s.kind = 'restated' AND s.new_attempt = f.attempt AND s.table_name = f.table_name
           AND s.old_row->>'symbol' = f.row->>'symbol' AND s.old_row->>'ts_event' IS NOT DISTINCT FROM f.row->>'ts_event') AS restatements,
       (SELECT json_agg(d.id ORDER BY d.id) FROM etl.replays q JOIN etl.dead_letters d ON d.id = q.letter
         WHERE q.task = coalesce(t.quote, t.task) AND d.symbol = {symbol}) AS letters,
       (SELECT jsonb_object_agg(key, CASE WHEN jsonb_typeof(value) = 'number' AND value::text LIKE '%.%' THEN to_jsonb(value::text)
            ELSE value END) FROM jsonb_each(f.row)) AS row, f.place
FROM found f LEFT JOIN etl.attempts a ON a.attempt = f.attempt LEFT JOIN etl.tasks t USING (task) LEFT JOIN etl.runs r ON r.run = a.run
LEFT JOIN etl.restatements w ON w.id = f.withdrawal
LEFT JOIN LATERAL (
    SELECT l.topic, l.partition, min(l.first_offset) AS first_offset, max(l.last_offset) AS last_offset
      FROM etl.ledger l JOIN places USING (topic, partition)
     WHERE l.attempt = f.attempt AND l.topic LIKE '%.clean.' || replace(replace(f.table_name, '_data', ''), 'definitions', 'definition')
       AND l.outcome IN ('inserted', 'updated') GROUP BY l.topic, l.partition LIMIT 1) p ON true
ORDER BY f.place

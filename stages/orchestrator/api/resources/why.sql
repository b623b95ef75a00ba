-- Where rows came from: everything that the tables have of a symbol at a time.
-- path: /api/v1/why
-- list: rows
-- limit: 20 100
-- symbol text!: the symbol, as the vendor writes it
-- time time!: the record's time (ts_event; of statistics and definitions ts_recv)
WITH found AS (
    SELECT 'ohlcv_data' AS table_name, to_jsonb(o) AS row, attempt, as_of FROM ohlcv_data o
     WHERE symbol = {symbol} AND ts_event = {time}::timestamptz
    UNION ALL SELECT 'trades_data', to_jsonb(o), attempt, as_of FROM trades_data o
     WHERE symbol = {symbol} AND ts_event = {time}::timestamptz
    UNION ALL SELECT 'tbbo_data', to_jsonb(o), attempt, as_of FROM tbbo_data o
     WHERE symbol = {symbol} AND ts_event = {time}::timestamptz
    UNION ALL SELECT 'statistics_data', to_jsonb(o), attempt, as_of FROM statistics_data o
     WHERE symbol = {symbol} AND ts_recv = {time}::timestamptz
    UNION ALL SELECT 'definitions_data', to_jsonb(o), attempt, as_of FROM definitions_data o
     WHERE symbol = {symbol} AND ts_recv = {time}::timestamptz)
SELECT f.table_name, t.subscription, t.source, t.action, a.run, r.kind, r.requested_by, a.task, f.attempt, a.worker, f.as_of,
       t.parameters AS request,
       (SELECT json_agg(json_build_object('topic', p.topic, 'partition', p.partition, 'outcome', p.outcome) ORDER BY p.topic, p.partition)
          FROM etl.ledger p WHERE p.attempt = f.attempt) AS written_from,
       (SELECT json_agg(json_build_object('restated_at', s.restated_at, 'old_attempt', s.old_attempt, 'old_row', s.old_row) ORDER BY s.id DESC)
          FROM etl.restatements s WHERE s.new_attempt = f.attempt AND s.table_name = f.table_name
           AND s.old_row->>'symbol' = f.row->>'symbol' AND s.old_row->>'ts_event' IS NOT DISTINCT FROM f.row->>'ts_event') AS restatements,
       f.row
FROM found f LEFT JOIN etl.attempts a ON a.attempt = f.attempt LEFT JOIN etl.tasks t USING (task) LEFT JOIN etl.runs r ON r.run = a.run
ORDER BY f.table_name, f.attempt LIMIT {limit}

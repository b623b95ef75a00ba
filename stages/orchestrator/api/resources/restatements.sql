-- What rows said before a vendor corrected them, or before they went because the vendor no longer has them; the newest first.
-- path: /api/v1/restatements
-- list: restatements
-- cursor: id
-- limit: 50 500
-- kind restated|withdrawn: of this kind only
-- table ohlcv_data|trades_data|tbbo_data|statistics_data|definitions_data|symbol_mappings: of this table only
-- symbol text: of this symbol only
-- from date: rows of this day (UTC) or later
-- to date: rows of this day or earlier
-- run integer: journaled by this run only
-- since time: journaled at this time or later
-- span: from, to
--
-- Tables beside the real ones have rows of their own here, which are nobody's corrections. Numbers with a point are texts: a reader
-- of JSON would make binary floats of them.
SELECT r.id, r.kind, r.restated_at, r.table_name, r.symbol, r.at AS time, r.old_row->>'interval' AS "interval", r.old_row->>'dataset' AS dataset,
       CASE WHEN r.changes IS NOT NULL THEN
            (SELECT jsonb_object_agg(c.key, jsonb_build_object(
                'was', CASE WHEN jsonb_typeof(r.old_row->c.key) = 'number' AND r.old_row->>c.key LIKE '%.%' THEN to_jsonb(r.old_row->>c.key)
                            ELSE r.old_row->c.key END,
                'is', CASE WHEN jsonb_typeof(c.value) = 'number' AND c.value::text LIKE '%.%' THEN to_jsonb(c.value::text) ELSE c.value END))
               FROM jsonb_each(r.changes) c) END AS changes,
       r.old_as_of, r.new_as_of, r.old_attempt, r.new_attempt, a.run, t.subscription,
       (SELECT jsonb_object_agg(key, CASE WHEN jsonb_typeof(value) = 'number' AND value::text LIKE '%.%' THEN to_jsonb(value::text)
            ELSE value END) FROM jsonb_each(r.old_row)) AS old_row
FROM (SELECT * FROM etl.restatements
       WHERE table_name = ANY ('{ohlcv_data,trades_data,tbbo_data,statistics_data,definitions_data,symbol_mappings}')
         AND ({kind}::text IS NULL OR kind = {kind}) AND ({table}::text IS NULL OR table_name = {table})
         AND ({symbol}::text IS NULL OR symbol = {symbol}) AND ({from}::date IS NULL OR at >= {from}::date)
         AND ({to}::date IS NULL OR at < {to}::date + 1) AND ({since}::timestamptz IS NULL OR restated_at >= {since}::timestamptz)
         AND ({run}::bigint IS NULL OR new_attempt = ANY (ARRAY(SELECT attempt FROM etl.attempts WHERE run = {run}::bigint)))
         AND ({after_id}::bigint IS NULL OR id < {after_id}::bigint)
       ORDER BY id DESC LIMIT {limit}) r
LEFT JOIN etl.attempts a ON a.attempt = r.new_attempt LEFT JOIN etl.tasks t ON t.task = a.task
ORDER BY r.id DESC

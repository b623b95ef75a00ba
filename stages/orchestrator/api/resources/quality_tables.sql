-- What each table holds: its first and last time, and how many rows.
-- path: /api/v1/quality/tables
-- list: tables
-- exact flag = false: rows are counted; else they are estimated, which takes no time however many they are
SELECT t.name AS table_name, s.earliest, s.latest,
       CASE WHEN NOT {exact}::boolean THEN s.rows_estimated
            ELSE CASE t.name WHEN 'ohlcv_data' THEN (SELECT count(*) FROM ohlcv_data)
                             WHEN 'trades_data' THEN (SELECT count(*) FROM trades_data)
                             WHEN 'tbbo_data' THEN (SELECT count(*) FROM tbbo_data)
                             WHEN 'statistics_data' THEN (SELECT count(*) FROM statistics_data)
                             ELSE (SELECT count(*) FROM definitions_data) END END AS record_count,
       pg_size_pretty(z.bytes) AS size, z.bytes
FROM (VALUES ('ohlcv_data', 'ts_event'), ('trades_data', 'ts_event'), ('tbbo_data', 'ts_event'), ('statistics_data', 'ts_recv'),
             ('definitions_data', 'ts_recv')) AS t (name, time_column)
CROSS JOIN LATERAL etl.table_span(t.name::regclass, t.time_column) s
CROSS JOIN LATERAL (SELECT etl.table_bytes(t.name::regclass) AS bytes) z
ORDER BY t.name

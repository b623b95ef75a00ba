-- What each table holds: its first and last time, and about how many rows.
-- path: /api/v1/quality/tables
-- list: tables
SELECT t.name AS table_name, s.earliest, s.latest, s.rows_estimated, pg_size_pretty(z.bytes) AS size, z.bytes
FROM (VALUES ('ohlcv_data', 'ts_event'), ('trades_data', 'ts_event'), ('tbbo_data', 'ts_event'), ('statistics_data', 'ts_recv'),
             ('definitions_data', 'ts_recv')) AS t (name, time_column)
CROSS JOIN LATERAL etl.table_span(t.name::regclass, t.time_column) s
CROSS JOIN LATERAL (SELECT coalesce(sum(pg_total_relation_size(inhrelid)), 0)::bigint AS bytes FROM pg_inherits
                     WHERE inhparent = t.name::regclass) z
ORDER BY t.name

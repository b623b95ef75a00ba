-- The database in figures: what is in it, how much of what came was good, and when something was stored last.
-- path: /api/v1/status
SELECT json_build_object(
    'version', split_part(version(), ' on ', 1),
    'timescaledb', (SELECT extversion FROM pg_extension WHERE extname = 'timescaledb'),
    'bytes', pg_database_size(current_database()),
    'latest_data', (SELECT max(s.latest) FROM (VALUES ('ohlcv_data', 'ts_event'), ('trades_data', 'ts_event'), ('tbbo_data', 'ts_event'))
                    AS t (name, time_column) CROSS JOIN LATERAL etl.table_span(t.name::regclass, t.time_column) s),
    'last_ingestion', (SELECT max(closed_at) FROM etl.attempts WHERE closed_at > now() - interval '30 days'),
    'validation_rate_pct', (SELECT round(100 * (1 - sum(l.records) FILTER (WHERE l.outcome = 'dead_letter') / nullif(sum(l.records), 0)), 2)
                            FROM etl.attempts a JOIN etl.ledger l USING (attempt) WHERE a.created_at > now() - interval '24 hours'),
    'records_24h', (SELECT coalesce(sum(l.records), 0) FROM etl.attempts a JOIN etl.ledger l USING (attempt)
                    WHERE a.created_at > now() - interval '24 hours'),
    'dead_letters', (SELECT count(*) FROM (SELECT FROM etl.dead_letters LIMIT 1000000) d),
    'dead_letters_24h', (SELECT count(*) FROM etl.dead_letters WHERE failed_at > now() - interval '24 hours'),
    'failures_today', (SELECT count(*) FROM etl.dead_letters WHERE failed_at >= current_date AND class = 'validation_failures'),
    'connections', (SELECT count(*) FROM pg_stat_activity WHERE datname = current_database())) AS database

-- The database in figures: what is in it, how much of what came was good, and when something was stored last.
-- path: /api/v1/status
SELECT json_build_object(
    'version', split_part(version(), ' on ', 1),
    'timescaledb', (SELECT extversion FROM pg_extension WHERE extname = 'timescaledb'),
    'timescale', etl.timescale_summary(),
    'bytes', pg_database_size(current_database()),
    'latest_data', (SELECT max(etl.table_latest(t.name::regclass, t.time_column))
                    FROM (VALUES ('ohlcv_data', 'ts_event'), ('trades_data', 'ts_event'), ('tbbo_data', 'ts_event')) AS t (name, time_column)),
    'last_ingestion', (SELECT max(closed_at) FROM etl.attempts WHERE closed_at > now() - interval '30 days'),
    'validation_rate_pct', round(100 * (1 - day.dead_letters / nullif(day.records, 0)::numeric), 2),
    'records_24h', day.records,
    'dead_letters', (SELECT coalesce(sum(letters), 0)::bigint FROM etl.dead_letter_counts),
    'dead_letters_24h', letters.of_day,
    'failures_today', letters.failures_today,
    'connections', (SELECT count(*) FROM pg_stat_activity WHERE datname = current_database())) AS database
FROM (SELECT coalesce(sum(records), 0)::bigint AS records, coalesce(sum(dead_letters), 0)::bigint AS dead_letters
      FROM etl.accounts_to_sum WHERE created_at > now() - interval '24 hours') day,
     (SELECT count(*) AS of_day,
             count(*) FILTER (WHERE failed_at >= current_date AND class = 'validation_failures') AS failures_today
      FROM etl.dead_letters WHERE failed_at > now() - interval '24 hours') letters

-- What is wrong now: gaps first, as nothing behind them moves before somebody decides; then what breakers hold back.
-- path: /api/v1/alarms
-- list: alarms
-- cursor: rank, since, name, about
-- limit: 100 1000
SELECT * FROM (
    SELECT 'offset_gap' AS name, NULL::bigint AS attempt, consumer_group, topic, partition, message, since, 0 AS rank,
           concat_ws(' ', consumer_group, topic, partition) AS about FROM etl.gaps
    UNION ALL SELECT name, NULL, NULL, NULL, NULL, message, since, 1, about FROM etl.breaker_alarms
    UNION ALL SELECT name, NULL, NULL, NULL, NULL, message, since, 1, about FROM etl.database_alarms
    UNION ALL SELECT name, attempt, NULL, NULL, NULL, message, since, 2, attempt::text FROM etl.alarms) a
WHERE {after_rank}::integer IS NULL OR rank > {after_rank}::integer
      OR (rank = {after_rank}::integer AND (since < {after_since}::timestamptz
          OR (since = {after_since}::timestamptz AND (name, coalesce(about, '')) > ({after_name}, {after_about}))))
ORDER BY rank, since DESC, name, coalesce(about, '') LIMIT {limit}

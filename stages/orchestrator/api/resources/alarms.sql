-- What is wrong now: gaps first, as nothing behind them moves before somebody decides.
-- path: /api/v1/alarms
-- list: alarms
-- limit: 100 1000
SELECT * FROM (
    SELECT 'offset_gap' AS name, NULL::bigint AS attempt, consumer_group, topic, partition, message, since, 0 AS rank FROM etl.gaps
    UNION ALL SELECT name, attempt, NULL, NULL, NULL, message, since, 1 FROM etl.alarms) a
ORDER BY rank, since DESC, name, attempt LIMIT {limit}

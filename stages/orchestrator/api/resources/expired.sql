-- Records that nobody will read: somebody decided to go on behind them. The newest first.
-- path: /api/v1/expired
-- list: expired
-- cursor: id
-- limit: 50 500
SELECT id, consumer_group, topic, partition, from_offset, to_offset, why, who, booked_at FROM etl.expired
WHERE {after_id}::bigint IS NULL OR id < {after_id}::bigint ORDER BY id DESC LIMIT {limit}

-- Who has looked through the dead letters, and how far, the newest first.
-- path: /api/v1/dead-letters/reviews
-- list: reviews
-- cursor: id
-- limit: 50 500
SELECT id, up_to, who, why, reviewed_at FROM etl.dead_letter_reviews
WHERE {after_id}::bigint IS NULL OR id < {after_id}::bigint ORDER BY id DESC LIMIT {limit}

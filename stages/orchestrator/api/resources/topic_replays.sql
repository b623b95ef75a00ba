-- Attempts that put a range of a topic into it again: their records are left out of the next replay of that topic.
-- path: /api/v1/topic-replays
-- list: attempts
-- cursor: attempt
-- limit: 1000 10000
-- stage raw|valid|clean: whose records are left out of this stage's topics only
-- record_type text: of this record type only: ohlcv, trades, …
--
SELECT attempt, run, task, stage, record_type FROM etl.topic_replays
WHERE ({stage}::text IS NULL OR {stage} = ANY (stages)) AND ({record_type}::text IS NULL OR record_type = {record_type})
  AND ({after_attempt}::bigint IS NULL OR attempt > {after_attempt}::bigint)
ORDER BY attempt LIMIT {limit}

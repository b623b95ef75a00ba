-- How many records of a run came to which end, and where in the topics their ends were written.
-- path: /api/v1/ledger/outcomes
-- list: outcomes
-- run integer: the run; the last one where none is named
SELECT l.outcome, l.topic, sum(l.records)::bigint AS records, count(DISTINCT l.attempt) AS attempts,
       count(DISTINCT l.partition) AS partitions
FROM etl.attempts a JOIN etl.ledger l USING (attempt) WHERE a.run = coalesce({run}::bigint, (SELECT max(run) FROM etl.runs))
GROUP BY l.outcome, l.topic ORDER BY l.outcome, l.topic

-- Ranges of a topic are put into it again: which attempts did that, with which topic's records. Another replay of the topic
-- leaves theirs out, as what they put back stands before it, too.
CREATE VIEW etl.topic_replays AS
SELECT a.attempt, t.run, t.task, t.parameters->>'stage' AS stage, t.parameters->>'record_type' AS record_type
FROM etl.runs r JOIN etl.tasks t USING (run) JOIN etl.attempts a USING (task)
WHERE r.kind = 'replay' AND r.options ? 'topic';

CREATE INDEX runs_topic_replays ON etl.runs (run) WHERE kind = 'replay' AND options ? 'topic';

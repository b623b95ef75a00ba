-- Dead letters are worked off: put back, or decided upon.

-- What was done about a letter, and in etl.audit who did it, when and why. A letter without a row is new, or was seen where a
-- review went beyond it. Apart from the letters, which stay as they are: a decision about a million of them writes a million
-- small rows. No foreign key to the letters, which may be emptied without asking.
CREATE TABLE etl.dead_letter_states (
    letter  bigint PRIMARY KEY, -- etl.dead_letters.id
    state   text NOT NULL CHECK (state IN ('replayed', 'resolved', 'discarded')),
    audit   bigint NOT NULL REFERENCES etl.audit,
    run     bigint REFERENCES etl.runs, -- that put it back last
    replays integer NOT NULL DEFAULT 0  -- how often it was put back
);
CREATE INDEX dead_letter_states_state ON etl.dead_letter_states (state, letter);
CREATE INDEX dead_letter_states_run ON etl.dead_letter_states (run) WHERE run IS NOT NULL;

-- Which record of a replay's task which letter is. Of a task that is done again as a whole the ordinals are those that the
-- letters had in it; 0 is the task itself.
CREATE TABLE etl.replays (
    task    bigint NOT NULL REFERENCES etl.tasks,
    ordinal bigint NOT NULL,
    letter  bigint NOT NULL,
    PRIMARY KEY (task, ordinal)
);
CREATE INDEX replays_letter ON etl.replays (letter, task);

-- Of a record that was put back and refused again: the letter that it was at first.
ALTER TABLE etl.dead_letters ADD COLUMN first_letter bigint;
CREATE INDEX dead_letters_first_letter ON etl.dead_letters (first_letter) WHERE first_letter IS NOT NULL;

-- How a letter can be put back. Way `record`: its bytes, into the topic of `stage` and `record_type` that they were read from;
-- `task`: the fetcher refused it, so its task is done again. Else why neither can be: `foreign` (of no attempt of ours),
-- `replay` (what a replay's own task holds is other letters'), `no_place` (no topic that records pass, or no bytes), `too_large`
-- (for a task's message).
CREATE VIEW etl.replay_ways AS
SELECT d.id AS letter, t.task, t.subscription, o.place[1] AS stage, o.place[2] AS record_type,
       CASE WHEN t.task IS NULL THEN 'foreign'
            WHEN d.stage = 'fetcher' THEN CASE WHEN t.source = 'kafka' THEN 'replay' ELSE 'task' END
            WHEN o.place IS NULL OR coalesce(octet_length(d.value), 0) = 0 OR d.ordinal < 1 THEN 'no_place'
            WHEN octet_length(d.value) + coalesce(octet_length(d.key), 0) > 131072 THEN 'too_large'
            ELSE 'record' END AS way
FROM etl.dead_letters d LEFT JOIN etl.attempts a USING (attempt) LEFT JOIN etl.tasks t USING (task)
CROSS JOIN LATERAL (SELECT regexp_match(d.origin_topic, 'etl[.](raw|valid|clean)[.]([a-z_]+)$') AS place) o;

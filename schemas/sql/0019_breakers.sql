-- Breakers: what is held back because too much of it went wrong, until it is seen to work again or somebody says so.
CREATE TABLE etl.breakers (
    kind     text NOT NULL CHECK (kind IN ('subscription', 'source')),
    name     text NOT NULL,
    state    text NOT NULL CHECK (state IN ('closed', 'open', 'half_open')),
    since    timestamptz NOT NULL DEFAULT now(), -- of the state
    openings integer NOT NULL DEFAULT 0,         -- since it was closed last: each is twice as long as the one before
    probe_at timestamptz,                        -- while open: when one task is let through to see
    probe    bigint REFERENCES etl.tasks,        -- while half open: that task
    reason   text NOT NULL DEFAULT '',           -- why it opened last
    -- Attempts of a subscription up to this one are parked by the fetchers, and up to which one they were told so.
    park_through bigint NOT NULL DEFAULT 0,
    told_through bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (kind, name)
);
CREATE INDEX breakers_not_closed ON etl.breakers (kind, name) WHERE state <> 'closed';

-- What was judged of an attempt's account: only what came since counts for the next judgement.
CREATE TABLE etl.breaker_judged (
    attempt      bigint PRIMARY KEY REFERENCES etl.attempts,
    records      bigint NOT NULL,
    dead_letters bigint NOT NULL
);

-- What was accounted for and not judged yet, of open attempts and those that were closed lately. What is put back on purpose
-- says nothing of what a subscription brings.
CREATE VIEW etl.breaker_unjudged AS
SELECT t.subscription, c.attempt, c.records AS all_records, c.dead_letters AS all_dead_letters,
       c.records - coalesce(j.records, 0) AS records, c.dead_letters - coalesce(j.dead_letters, 0) AS dead_letters
FROM etl.accounts c JOIN etl.attempts a ON a.attempt = c.attempt JOIN etl.tasks t ON t.task = a.task
JOIN etl.runs r ON r.run = a.run LEFT JOIN etl.breaker_judged j ON j.attempt = c.attempt
WHERE a.source <> 'kafka' AND ((a.closed_at IS NULL AND r.status IN ('running', 'checking'))
                               OR a.closed_at > now() - interval '10 minutes');

-- From here on only what comes counts.
CREATE FUNCTION etl.breaker_judge(name text) RETURNS void LANGUAGE sql AS $$
    DELETE FROM etl.breaker_judged j USING etl.attempts a
     WHERE a.attempt = j.attempt AND a.closed_at < now() - interval '1 hour';
    INSERT INTO etl.breaker_judged AS j (attempt, records, dead_letters)
    SELECT attempt, all_records, all_dead_letters FROM etl.breaker_unjudged u WHERE u.subscription = breaker_judge.name AND u.records > 0
    ON CONFLICT (attempt) DO UPDATE SET records = EXCLUDED.records, dead_letters = EXCLUDED.dead_letters;
$$;

CREATE VIEW etl.breaker_alarms AS
SELECT 'breaker_open' AS name, since, kind || ' ' || name AS about,
       format('%s %s is held back%s: %s; `penstock breaker reset %s --why …` lets it go on', kind, name,
              CASE WHEN state = 'half_open' THEN ', and tried with task ' || probe
                   ELSE ' until ' || to_char(probe_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') END,
              reason, name) AS message
FROM etl.breakers WHERE state <> 'closed';

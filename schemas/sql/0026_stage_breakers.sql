-- Breakers of stages: a worker whose batches fail whatever they hold stands still, and says so with each try. Of
-- workers that were not heard of for 30 days nothing is kept.
CREATE TABLE etl.stage_breakers (
    stage    text NOT NULL,
    worker   text NOT NULL,
    state    text NOT NULL CHECK (state IN ('closed', 'open')),
    since    timestamptz NOT NULL DEFAULT now(), -- of the state
    openings integer NOT NULL DEFAULT 0,
    probe_at timestamptz NOT NULL,               -- while open: when it tries again
    reason   text NOT NULL DEFAULT '',           -- why it opened last
    PRIMARY KEY (stage, worker)
);

-- A worker that is gone does not say that its trouble is over.
CREATE VIEW etl.stage_breakers_now AS
SELECT stage, worker, CASE WHEN gone THEN 'closed' ELSE state END AS state,
       CASE WHEN gone THEN probe_at + interval '2 minutes' ELSE since END AS since, openings,
       CASE WHEN state = 'open' AND NOT gone THEN probe_at END AS probe_at, reason
FROM (SELECT *, state = 'open' AND probe_at < now() - interval '2 minutes' AS gone FROM etl.stage_breakers) b;

CREATE OR REPLACE VIEW etl.breaker_alarms AS
SELECT 'breaker_open' AS name, since, kind || ' ' || name AS about,
       format('%s %s is held back%s: %s; `penstock breaker reset %s --why …` lets it go on', kind, name,
              CASE WHEN state = 'half_open' THEN ', and tried with task ' || probe
                   ELSE ' until ' || to_char(probe_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') END,
              reason, name) AS message
FROM etl.breakers WHERE state <> 'closed'
UNION ALL
SELECT 'breaker_open', since, 'stage ' || stage || ' ' || worker,
       format('%s %s stands still, and tries again at %s: %s', stage, worker,
              to_char(probe_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'), reason)
FROM etl.stage_breakers_now WHERE state = 'open';

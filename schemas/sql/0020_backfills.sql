-- Backfills: what is missing of a subscription is planned, looked at, and only then bought.

-- Why no task of a running run is sent now: somebody paused it, or its budget is spent. Of one that was cancelled, why what it has
-- under way is to stop.
ALTER TABLE etl.runs
    ADD COLUMN held text NOT NULL DEFAULT '' CHECK (held IN ('', 'paused', 'budget', 'cancelled')),
    ADD COLUMN told_through bigint NOT NULL DEFAULT 0; -- attempts up to this one: the fetchers were told to park them
CREATE INDEX runs_held ON etl.runs (run) WHERE held <> '';

-- What is sent next of a run, and what failed of it.
CREATE INDEX tasks_pending_of_run ON etl.tasks (run, task) WHERE state = 'pending';

ALTER TABLE etl.tasks
    ADD COLUMN calls      bigint,      -- of the vendor that this window takes; null: nobody counts them
    ADD COLUMN cost_usd   numeric,     -- the vendor's quote for this window alone; null: it was not asked for
    ADD COLUMN retried_at timestamptz; -- attempts before that do not count any more
ALTER TABLE etl.attempts ADD COLUMN calls_max bigint; -- of a run with a budget: so many calls of the vendor it may make

-- A plan. Approved, it is a run of its own.
CREATE TABLE etl.backfills (
    backfill     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    hash         text,           -- of all that is decided by it; null: it is being made, or there is nothing to do
    subscription text COLLATE "C" NOT NULL,
    asked        jsonb NOT NULL, -- symbols, from, to (not included), reprocess, newest_first, request: what coverage holds for
    coverage     text NOT NULL,  -- a digest of etl.coverage as it was
    quotes       jsonb NOT NULL, -- the tasks that ask for the vendor's price
    windows      jsonb,          -- what is to be fetched, in this order
    totals       jsonb,          -- of that
    seconds      bigint,         -- it will take about so long; null: nobody knows
    cost_usd     numeric,        -- as quoted
    cost_max_usd numeric NOT NULL,
    budget_calls bigint CHECK (budget_calls > 0),
    budget_usd   numeric CHECK (budget_usd > 0),
    planning_run bigint NOT NULL UNIQUE REFERENCES etl.runs,
    requested_by text NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT now(),
    run          bigint UNIQUE REFERENCES etl.runs,
    approved_by  text,
    approved_at  timestamptz
);
CREATE INDEX backfills_hash ON etl.backfills (hash, backfill);
CREATE INDEX backfills_subscription ON etl.backfills (subscription, backfill);

-- What a run may still do. An attempt counts as all that it may do until it told what it did, so that nothing is spent twice.
CREATE VIEW etl.budgets AS
SELECT b.run, b.budget_calls, b.budget_usd, s.calls, s.usd, b.budget_calls - s.calls AS calls_left, b.budget_usd - s.usd AS usd_left
FROM etl.backfills b CROSS JOIN LATERAL (
    SELECT coalesce(sum(CASE WHEN told THEN made ELSE calls_max END), 0)::bigint AS calls,
           coalesce(sum(CASE WHEN told AND made = 0 THEN 0 ELSE cost_usd END), 0) AS usd
    FROM (SELECT a.calls_max, t.cost_usd, (a.result->>'calls')::bigint AS made,
                 a.closed_at IS NOT NULL AND jsonb_typeof(a.result->'calls') = 'number' AS told
          FROM etl.attempts a JOIN etl.tasks t USING (task) WHERE a.run = b.run) x) s
WHERE b.run IS NOT NULL AND (b.budget_calls IS NOT NULL OR b.budget_usd IS NOT NULL);

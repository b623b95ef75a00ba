-- What a vendor says of a dataset's days, as the last quote was told: which of them it has changed since they were fetched is known
-- without asking it anew.
CREATE TABLE etl.vendor_days (
    dataset       text COLLATE "C" NOT NULL,
    day           date NOT NULL,
    condition     text, -- null: it said nothing of this day
    last_modified date,
    changed       boolean NOT NULL DEFAULT false, -- it said something else once: rows of coverage may be older than that
    attempt       bigint NOT NULL,                -- of the quote
    read_at       timestamptz NOT NULL,
    PRIMARY KEY (dataset, day)
);
CREATE INDEX vendor_days_changed ON etl.vendor_days (dataset, day) WHERE changed;

-- What is known by now stands with what was fetched. Read at no time: the next plan asks.
INSERT INTO etl.vendor_days (dataset, day, condition, last_modified, changed, attempt, read_at)
SELECT split_part(request, ' ', 1), day, (array_agg(vendor_condition ORDER BY attempt DESC))[1],
       (array_agg(vendor_last_modified ORDER BY attempt DESC))[1],
       count(DISTINCT (coalesce(vendor_condition, ''), coalesce(vendor_last_modified, '-infinity'))) > 1, max(attempt), '-infinity'
FROM etl.coverage GROUP BY 1, 2;

-- Keys that nobody asks for any more: of attempts that were closed long ago, or never will be. Those of one that was parked are asked for
-- when its task is done, however long the run stood still.
CREATE OR REPLACE FUNCTION etl.forget_seen_keys() RETURNS void LANGUAGE sql AS $$
    DELETE FROM etl.seen_keys s USING etl.attempts a JOIN etl.tasks t USING (task)
     WHERE a.attempt = s.attempt AND (a.created_at < now() - interval '30 days'
           OR (a.closed_at < now() - interval '1 day' AND NOT (t.state IN ('pending', 'dispatched') AND coalesce(a.result ? 'parked', false)))) $$;

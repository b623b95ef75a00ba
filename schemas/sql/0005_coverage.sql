-- What a vendor is asked for: first a quote, then, when the quotes of a run are there, its windows.
ALTER TABLE etl.tasks
    ADD COLUMN action text NOT NULL DEFAULT 'fetch' CHECK (action IN ('fetch', 'quote')),
    ADD COLUMN quote  bigint REFERENCES etl.tasks; -- of a window: the quote that it was planned from, which holds the rest of its parameters

-- What the event that ended the attempt told beyond counts: a quote, or what of a window was delivered.
ALTER TABLE etl.attempts ADD COLUMN result jsonb;

-- False from a run's start with quotes until the windows are planned: so long it cannot end.
ALTER TABLE etl.runs ADD COLUMN windows_planned boolean NOT NULL DEFAULT true;

-- What of a vendor's data was fetched, by subscription, symbol and day (UTC). Written with the closing of an attempt only.
-- A symbol is one that the subscription asks for; or one that was delivered for it, where it asks for a parent or for all.
--   complete        all that the subscription asks for of this day was fetched and accounted for
--   verified_empty  the same, and the vendor has no records: a weekend, a holiday, a symbol that it does not know
--   partial         the vendor's data ended within the day: what there was is here, the day is fetched again
--   pending         not fetched yet: the vendor's data ended before it
--   failed          the task failed for good; what was there before is not forgotten
-- The first two are not fetched again until the vendor's condition or last-modified date of the day is another one. A day
-- without a row is pending, too.
CREATE TABLE etl.coverage (
    subscription text COLLATE "C" NOT NULL,
    symbol       text COLLATE "C" NOT NULL,
    day          date NOT NULL,
    state        text NOT NULL CHECK (state IN ('complete', 'verified_empty', 'partial', 'pending', 'failed')),
    reason       text NOT NULL DEFAULT '',
    records      bigint CHECK (records >= 0), -- null: not fetched, not counted, or nobody tells which of several parents a record is of
    request      text NOT NULL,               -- dataset, schema and symbology: of another request the row says nothing
    vendor_condition     text,                -- as quoted before the day was fetched
    vendor_last_modified date,
    attempt      bigint NOT NULL,
    updated_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (subscription, symbol, day)
);
CREATE INDEX coverage_days ON etl.coverage (subscription, day);

-- Bars. Native range partitions by month, made on demand by the loader.
CREATE TABLE ohlcv_data (
    symbol        text COLLATE "C" NOT NULL,
    "interval"    text COLLATE "C" NOT NULL,
    ts_event      timestamptz NOT NULL,
    dataset       text COLLATE "C" NOT NULL,
    publisher_id  integer NOT NULL DEFAULT 0,
    instrument_id bigint NOT NULL DEFAULT 0,
    open_price    numeric(19, 9) NOT NULL,
    high_price    numeric(19, 9) NOT NULL,
    low_price     numeric(19, 9) NOT NULL,
    close_price   numeric(19, 9) NOT NULL,
    volume        numeric NOT NULL,
    ticker        text COLLATE "C" NOT NULL,
    venue         text COLLATE "C",
    session_date  date NOT NULL,
    session_basis text COLLATE "C" NOT NULL,
    flags         integer NOT NULL DEFAULT 0,
    attempt       bigint NOT NULL,
    as_of         timestamptz NOT NULL,
    created_at    timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (symbol, "interval", ts_event, dataset, publisher_id)
) PARTITION BY RANGE (ts_event);

-- For the checks after a run: attempts grow with time and rows are appended, so a few pages of ranges find a run's rows.
CREATE INDEX ohlcv_data_attempt ON ohlcv_data USING brin (attempt) WITH (autosummarize = on);

-- What a row said before a vendor's correction replaced it.
CREATE TABLE etl.restatements (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    table_name  text NOT NULL,
    old_row     jsonb NOT NULL,
    old_attempt bigint NOT NULL,
    new_attempt bigint NOT NULL,
    restated_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX restatements_new_attempt ON etl.restatements (new_attempt);
CREATE INDEX restatements_old_attempt ON etl.restatements (old_attempt);

-- The month partition of a time-partitioned table that holds `month`, made if it is missing. Made apart and then
-- attached: readers and writers of the other partitions go on meanwhile. Asked of pg_class and not of to_regclass(): that
-- one answers, after the wait for the lock, from a cache of before it.
CREATE FUNCTION etl.ensure_month(parent regclass, month date) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    first date := date_trunc('month', month)::date;
    space name;
    child text;
BEGIN
    SELECT n.nspname, format('%s_%s', c.relname, to_char(first, 'YYYY_MM')) INTO space, child
      FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = parent;
    PERFORM pg_advisory_xact_lock(hashtext('etl.ensure_month'), hashtext(child));
    IF NOT EXISTS (SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                    WHERE c.relname = child AND n.nspname = space) THEN
        EXECUTE format('CREATE TABLE %I.%I (LIKE %s INCLUDING ALL)', space, child, parent);
        EXECUTE format('ALTER TABLE %s ATTACH PARTITION %I.%I FOR VALUES FROM (%L) TO (%L)', parent, space, child,
                       first::timestamp AT TIME ZONE 'UTC', (first + interval '1 month')::timestamp AT TIME ZONE 'UTC');
    END IF;
END $$;

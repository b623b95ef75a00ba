-- Sessions of exchanges, so that a day on which a market was closed is no gap, and one that nobody has is.

-- What common/calendars.yaml says: `penstock db migrate` writes it anew every time. Open from Monday to Friday, but for these days.
CREATE TABLE etl.calendars (
    calendar  text COLLATE "C" PRIMARY KEY,
    first_day date NOT NULL,
    last_day  date NOT NULL,
    closed    date[] NOT NULL
);

-- Null: nobody has told when it is open.
ALTER TABLE etl.datasets ADD COLUMN calendar text COLLATE "C";

-- The sessions of a dataset in a span of days, as far as its calendar goes.
CREATE FUNCTION etl.sessions(asked text, first_day date, last_day date) RETURNS SETOF date LANGUAGE sql STABLE AS $$
    SELECT day::date
    FROM etl.datasets d JOIN etl.calendars c USING (calendar)
    CROSS JOIN LATERAL generate_series(greatest($2, c.first_day)::timestamp, least($3, c.last_day)::timestamp, interval '1 day') AS day
    WHERE d.dataset = asked AND extract(isodow FROM day) < 6 AND NOT day::date = ANY (c.closed) $$;

-- The rows are estimated: as the server counts them while they change, which it forgets in a crash, or as the planner knows them.
CREATE OR REPLACE FUNCTION etl.table_span(parent regclass, time_column name, OUT earliest timestamptz, OUT latest timestamptz, OUT rows_estimated bigint)
LANGUAGE plpgsql STABLE AS $$
DECLARE
    part record;
BEGIN
    SELECT coalesce(sum(coalesce(nullif(pg_stat_get_live_tuples(c.oid), 0), greatest(c.reltuples, 0)::bigint)), 0)::bigint INTO rows_estimated
      FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = parent;
    FOR part IN SELECT i.inhrelid::regclass AS name FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
                 WHERE i.inhparent = parent ORDER BY c.relname LOOP
        EXECUTE format('SELECT min(%I) FROM %s', time_column, part.name) INTO earliest;
        EXIT WHEN earliest IS NOT NULL;
    END LOOP;
    FOR part IN SELECT i.inhrelid::regclass AS name FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
                 WHERE i.inhparent = parent ORDER BY c.relname DESC LOOP
        EXECUTE format('SELECT max(%I) FROM %s', time_column, part.name) INTO latest;
        EXIT WHEN latest IS NOT NULL;
    END LOOP;
END $$;

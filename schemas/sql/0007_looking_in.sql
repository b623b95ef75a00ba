-- Who may ask the API what, and who changed what.

-- A token is known by the SHA-256 of its 32 random bytes as text only. That of the configuration (api.token) is an admin's and
-- stands nowhere.
CREATE TABLE etl.tokens (
    name         text COLLATE "C" PRIMARY KEY,
    role         text NOT NULL CHECK (role IN ('viewer', 'operator', 'admin')),
    sha256       bytea NOT NULL UNIQUE,
    created_by   text NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT now(),
    expires_at   timestamptz,
    revoked_at   timestamptz,
    last_used_at timestamptz -- to the minute
);

-- Every change that somebody asked for.
CREATE TABLE etl.audit (
    id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at      timestamptz NOT NULL DEFAULT now(),
    who     text NOT NULL, -- a token's name; `configuration`: api.token
    role    text NOT NULL,
    action  text NOT NULL, -- run.create, token.create, token.revoke, dead_letters.review
    target  text NOT NULL,
    detail  jsonb NOT NULL DEFAULT '{}'
);
CREATE INDEX audit_at ON etl.audit (at);

-- How far somebody has looked through the dead letters: `penstock dlq ls --new` begins behind it.
CREATE TABLE etl.dead_letter_reviews (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    up_to       bigint NOT NULL, -- etl.dead_letters.id
    who         text NOT NULL,
    why         text NOT NULL DEFAULT '',
    reviewed_at timestamptz NOT NULL DEFAULT now()
);

-- What `penstock dlq` looks for.
CREATE INDEX dead_letters_failed_at ON etl.dead_letters (failed_at);
CREATE INDEX dead_letters_symbol ON etl.dead_letters (symbol, id);
CREATE INDEX dead_letters_rules ON etl.dead_letters USING gin (rules);

-- The first and the last time in a table that is partitioned by months: asked of the outermost partitions that hold anything,
-- never of all. Its rows are estimated, as the planner knows them.
CREATE FUNCTION etl.table_span(parent regclass, time_column name, OUT earliest timestamptz, OUT latest timestamptz, OUT rows_estimated bigint)
LANGUAGE plpgsql STABLE AS $$
DECLARE
    part record;
BEGIN
    SELECT coalesce(sum(greatest(c.reltuples, 0)), 0)::bigint INTO rows_estimated
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

-- Looking in stays fast when a lot is there: counts are kept, and every list has its index.

-- How many dead letters there are, kept by whoever changes that. Each statement adds a row and waits for nobody, as one row that all
-- loaders change would be held by each until it commits; every so often the rows that are there are folded into one. Their sum is
-- exact in every snapshot.
CREATE TABLE etl.dead_letter_counts (
    id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    letters bigint NOT NULL
);

CREATE FUNCTION etl.count_dead_letters() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    added bigint;
    place bigint;
BEGIN
    IF TG_OP = 'TRUNCATE' THEN
        DELETE FROM etl.dead_letter_counts;
        RETURN NULL;
    END IF;
    SELECT CASE TG_OP WHEN 'DELETE' THEN -count(*) ELSE count(*) END INTO added FROM changed;
    IF added <> 0 THEN
        INSERT INTO etl.dead_letter_counts (letters) VALUES (added) RETURNING id INTO place;
        IF place % 64 = 0 THEN -- rows that somebody else folds now are left to that one
            WITH taken AS (DELETE FROM etl.dead_letter_counts WHERE id IN
                           (SELECT id FROM etl.dead_letter_counts FOR UPDATE SKIP LOCKED) RETURNING letters)
            INSERT INTO etl.dead_letter_counts (letters) SELECT sum(letters) FROM taken HAVING count(*) > 0;
        END IF;
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER dead_letters_added AFTER INSERT ON etl.dead_letters
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION etl.count_dead_letters();
CREATE TRIGGER dead_letters_removed AFTER DELETE ON etl.dead_letters
    REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION etl.count_dead_letters();
CREATE TRIGGER dead_letters_emptied AFTER TRUNCATE ON etl.dead_letters
    FOR EACH STATEMENT EXECUTE FUNCTION etl.count_dead_letters();
INSERT INTO etl.dead_letter_counts (letters) SELECT count(*) FROM etl.dead_letters;

-- What the ledger said of an attempt when it was closed, so that a run of many attempts is added up without the ledger. Null where
-- the ledger is asked: of attempts that are open or expired, and of one whose account changed after it was closed.
ALTER TABLE etl.attempts
    ADD COLUMN inserted bigint, ADD COLUMN updated bigint, ADD COLUMN unchanged bigint,
    ADD COLUMN duplicate bigint, ADD COLUMN superseded bigint, ADD COLUMN dead_letters bigint;

CREATE FUNCTION etl.account_of(account bigint, OUT inserted bigint, OUT updated bigint, OUT unchanged bigint, OUT duplicate bigint,
                               OUT superseded bigint, OUT dead_letters bigint) LANGUAGE sql STABLE AS $$
    SELECT coalesce(sum(records) FILTER (WHERE outcome = 'inserted'), 0)::bigint,
           coalesce(sum(records) FILTER (WHERE outcome = 'updated'), 0)::bigint,
           coalesce(sum(records) FILTER (WHERE outcome = 'unchanged'), 0)::bigint,
           coalesce(sum(records) FILTER (WHERE outcome = 'duplicate'), 0)::bigint,
           coalesce(sum(records) FILTER (WHERE outcome = 'superseded'), 0)::bigint,
           coalesce(sum(records) FILTER (WHERE outcome = 'dead_letter'), 0)::bigint
    FROM etl.ledger WHERE attempt = account $$;

CREATE FUNCTION etl.keep_account() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    SELECT * INTO NEW.inserted, NEW.updated, NEW.unchanged, NEW.duplicate, NEW.superseded, NEW.dead_letters FROM etl.account_of(NEW.attempt);
    RETURN NEW;
END $$;
CREATE TRIGGER attempts_made_closed BEFORE INSERT ON etl.attempts
    FOR EACH ROW WHEN (NEW.closed_at IS NOT NULL AND NOT NEW.expired) EXECUTE FUNCTION etl.keep_account();
CREATE TRIGGER attempts_closed BEFORE UPDATE OF closed_at ON etl.attempts
    FOR EACH ROW WHEN (OLD.closed_at IS NULL AND NEW.closed_at IS NOT NULL AND NOT NEW.expired) EXECUTE FUNCTION etl.keep_account();

CREATE FUNCTION etl.forget_accounts() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE etl.attempts
       SET inserted = NULL, updated = NULL, unchanged = NULL, duplicate = NULL, superseded = NULL, dead_letters = NULL
     WHERE attempt IN (SELECT attempt FROM changed) AND inserted IS NOT NULL;
    RETURN NULL;
END $$;
CREATE TRIGGER ledger_added AFTER INSERT ON etl.ledger
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION etl.forget_accounts();
CREATE TRIGGER ledger_updated AFTER UPDATE ON etl.ledger
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION etl.forget_accounts();
CREATE TRIGGER ledger_removed AFTER DELETE ON etl.ledger
    REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION etl.forget_accounts();

UPDATE etl.attempts a
   SET inserted = l.inserted, updated = l.updated, unchanged = l.unchanged, duplicate = l.duplicate, superseded = l.superseded,
       dead_letters = l.dead_letters
  FROM etl.attempts x CROSS JOIN LATERAL etl.account_of(x.attempt) l
 WHERE x.attempt = a.attempt AND x.closed_at IS NOT NULL AND NOT x.expired;

-- Attempts, each with its account: for lists.
CREATE VIEW etl.accounts AS
SELECT a.attempt, a.task, a.run, a.state, a.fetched, a.skipped, a.expired, a.created_at, a.closed_at,
       coalesce(a.inserted, l.inserted) AS inserted, coalesce(a.updated, l.updated) AS updated,
       coalesce(a.unchanged, l.unchanged) AS unchanged, coalesce(a.duplicate, l.duplicate) AS duplicate,
       coalesce(a.superseded, l.superseded) AS superseded, coalesce(a.dead_letters, l.dead_letters) AS dead_letters,
       coalesce(a.inserted + a.updated + a.unchanged + a.duplicate + a.superseded + a.dead_letters, l.records) AS records
FROM etl.attempts a
LEFT JOIN LATERAL (
    SELECT coalesce(sum(records) FILTER (WHERE outcome = 'inserted'), 0)::bigint AS inserted,
           coalesce(sum(records) FILTER (WHERE outcome = 'updated'), 0)::bigint AS updated,
           coalesce(sum(records) FILTER (WHERE outcome = 'unchanged'), 0)::bigint AS unchanged,
           coalesce(sum(records) FILTER (WHERE outcome = 'duplicate'), 0)::bigint AS duplicate,
           coalesce(sum(records) FILTER (WHERE outcome = 'superseded'), 0)::bigint AS superseded,
           coalesce(sum(records) FILTER (WHERE outcome = 'dead_letter'), 0)::bigint AS dead_letters,
           coalesce(sum(records), 0)::bigint AS records
    FROM etl.ledger WHERE attempt = a.attempt HAVING a.inserted IS NULL) l ON true;

-- The same for sums, in two parts: the many that are closed cost nothing more than their rows.
CREATE INDEX attempts_not_kept ON etl.attempts (attempt) WHERE inserted IS NULL;
CREATE VIEW etl.accounts_to_sum AS
SELECT attempt, task, run, state, fetched, skipped, expired, created_at, closed_at, inserted, updated, unchanged, duplicate, superseded,
       dead_letters, inserted + updated + unchanged + duplicate + superseded + dead_letters AS records
FROM etl.attempts WHERE inserted IS NOT NULL
UNION ALL
SELECT a.attempt, a.task, a.run, a.state, a.fetched, a.skipped, a.expired, a.created_at, a.closed_at, l.inserted, l.updated, l.unchanged,
       l.duplicate, l.superseded, l.dead_letters, l.inserted + l.updated + l.unchanged + l.duplicate + l.superseded + l.dead_letters
FROM etl.attempts a CROSS JOIN LATERAL etl.account_of(a.attempt) l WHERE a.inserted IS NULL;

-- Filters of lists that are ordered by id, for those that few rows pass; of one day and class both are asked.
DROP INDEX etl.dead_letters_class_day;
CREATE INDEX dead_letters_class ON etl.dead_letters (class, id);
CREATE INDEX dead_letters_day ON etl.dead_letters (day, id);
CREATE INDEX dead_letters_schema ON etl.dead_letters (schema, id);
CREATE INDEX dead_letters_stage ON etl.dead_letters (stage, id);
DROP INDEX etl.dead_letters_failed_at;
CREATE INDEX dead_letters_failed_at ON etl.dead_letters (failed_at, class); -- counts of the last day without the letters themselves
CREATE INDEX dead_letter_reviews_up_to ON etl.dead_letter_reviews (up_to);
CREATE INDEX audit_who ON etl.audit (who, id);
CREATE INDEX audit_action ON etl.audit (action, id);
CREATE INDEX runs_status ON etl.runs (status, run);
CREATE INDEX runs_kind ON etl.runs (kind, run);
CREATE INDEX attempts_created_at ON etl.attempts (created_at);
CREATE INDEX tasks_state ON etl.tasks (run, state);
CREATE INDEX tasks_quotes ON etl.tasks (run, subscription, task) WHERE action = 'quote';
CREATE INDEX tasks_subscription ON etl.tasks (subscription, task);
CREATE INDEX coverage_symbol ON etl.coverage (symbol, subscription, day);
-- What is not there as it should be is rare.
CREATE INDEX coverage_wanting ON etl.coverage (state, subscription, symbol, day) WHERE state IN ('partial', 'pending', 'failed');
-- The other tables' keys begin with the symbol.
CREATE INDEX definitions_data_symbol ON definitions_data (symbol, ts_recv);

-- The first and the last time in a partition. Its key begins with the symbol, so each symbol is asked for its own, in its index,
-- instead of reading all rows; of bars each symbol and interval.
CREATE FUNCTION etl.partition_span(part regclass, time_column name, has_interval boolean, OUT earliest timestamptz, OUT latest timestamptz)
LANGUAGE plpgsql STABLE AS $$
DECLARE
    key text := CASE WHEN has_interval THEN 'symbol, "interval"' ELSE 'symbol' END;
    next_key text := CASE WHEN has_interval THEN 's.symbol, s."interval"' ELSE 's.symbol' END;
    same text := CASE WHEN has_interval THEN 'x.symbol = s.symbol AND x."interval" = s."interval"' ELSE 'x.symbol = s.symbol' END;
BEGIN
    EXECUTE format('WITH RECURSIVE s AS ((SELECT %1$s FROM %2$s ORDER BY %1$s LIMIT 1) UNION ALL SELECT n.* FROM s CROSS JOIN LATERAL'
                   ' (SELECT %1$s FROM %2$s x WHERE (%1$s) > (%3$s) ORDER BY %1$s LIMIT 1) n)'
                   ' SELECT min((SELECT min(%5$I) FROM %2$s x WHERE %4$s)), max((SELECT max(%5$I) FROM %2$s x WHERE %4$s)) FROM s',
                   key, part, next_key, same, time_column) INTO earliest, latest;
END $$;

CREATE OR REPLACE FUNCTION etl.table_span(parent regclass, time_column name, OUT earliest timestamptz, OUT latest timestamptz, OUT rows_estimated bigint)
LANGUAGE plpgsql STABLE AS $$
DECLARE
    has_interval boolean := EXISTS (SELECT FROM pg_attribute WHERE attrelid = parent AND attname = 'interval');
    part record;
BEGIN
    SELECT coalesce(sum(greatest(c.reltuples, 0)), 0)::bigint INTO rows_estimated
      FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = parent;
    FOR part IN SELECT i.inhrelid::regclass AS name FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
                 WHERE i.inhparent = parent ORDER BY c.relname LOOP
        SELECT s.earliest INTO earliest FROM etl.partition_span(part.name, time_column, has_interval) s;
        EXIT WHEN earliest IS NOT NULL;
    END LOOP;
    latest := etl.table_latest(parent, time_column);
END $$;

CREATE FUNCTION etl.table_latest(parent regclass, time_column name) RETURNS timestamptz LANGUAGE plpgsql STABLE AS $$
DECLARE
    has_interval boolean := EXISTS (SELECT FROM pg_attribute WHERE attrelid = parent AND attname = 'interval');
    latest timestamptz;
    part record;
BEGIN
    FOR part IN SELECT i.inhrelid::regclass AS name FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
                 WHERE i.inhparent = parent ORDER BY c.relname DESC LOOP
        SELECT s.latest INTO latest FROM etl.partition_span(part.name, time_column, has_interval) s;
        EXIT WHEN latest IS NOT NULL;
    END LOOP;
    RETURN latest;
END $$;

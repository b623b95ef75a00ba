-- Corrections and withdrawals: what a vendor said before, and what it no longer says.

-- The journal: what a row said before it was corrected, or before it went. `restated`: the row is there still and says something
-- else. `withdrawn`: the vendor no longer has it, so it went. It was so from old_as_of until before new_as_of: times at which the vendor was read.
ALTER TABLE etl.restatements
    ADD COLUMN kind      text NOT NULL DEFAULT 'restated' CHECK (kind IN ('restated', 'withdrawn')),
    ADD COLUMN symbol    text COLLATE "C",
    ADD COLUMN at        timestamptz, -- the row's time, by which its table is partitioned
    ADD COLUMN old_as_of timestamptz,
    ADD COLUMN new_as_of timestamptz,
    ADD COLUMN changes   jsonb,       -- the columns that say something else since; null: of a row that went, or from before
    ADD COLUMN key_hash  bigint;      -- of a row that went: etl.key_columns()
UPDATE etl.restatements
   SET symbol = coalesce(old_row->>'symbol', old_row->>'input_symbol'), old_as_of = (old_row->>'as_of')::timestamptz,
       at = CASE WHEN old_row ? 'd0' THEN (old_row->>'d0')::timestamp AT TIME ZONE 'UTC'
                 WHEN table_name ~ '^(statistics|definitions)' THEN (old_row->>'ts_recv')::timestamptz
                 ELSE (old_row->>'ts_event')::timestamptz END;
-- Until when it was so, the journal's next row of that key says; of the last one the row itself. Only bars are read as of a time.
UPDATE etl.restatements r SET new_as_of = coalesce(n.next_as_of, o.as_of, r.restated_at)
  FROM (SELECT id, table_name, symbol, at, old_row, lead(old_as_of) OVER (
               PARTITION BY table_name, symbol, at, old_row->>'interval', old_row->>'dataset', old_row->>'publisher_id' ORDER BY id) AS next_as_of
          FROM etl.restatements WHERE table_name = 'ohlcv_data') n
  LEFT JOIN ohlcv_data o ON o.symbol = n.symbol AND o."interval" = n.old_row->>'interval' AND o.ts_event = n.at
        AND o.dataset = n.old_row->>'dataset' AND o.publisher_id = (n.old_row->>'publisher_id')::integer
 WHERE n.id = r.id;
UPDATE etl.restatements SET new_as_of = restated_at WHERE new_as_of IS NULL;

CREATE INDEX restatements_symbol ON etl.restatements (symbol, at);
CREATE INDEX restatements_symbol_id ON etl.restatements (symbol, id); -- this and those below: lists are ordered by id
CREATE INDEX restatements_table ON etl.restatements (table_name, id);
CREATE INDEX restatements_at ON etl.restatements (at);
CREATE INDEX restatements_restated_at ON etl.restatements (restated_at);
CREATE INDEX restatements_withdrawn ON etl.restatements (id) WHERE kind = 'withdrawn';
CREATE INDEX restatements_withdrawn_key ON etl.restatements (key_hash) WHERE kind = 'withdrawn';

-- An attempt whose window was fetched before: which rows the vendor no longer has, only the keys of all that it delivered tell.
-- The loader writes them, in the transaction of each batch, as hashes: two keys that are alike in that keep a row, never cost one.
ALTER TABLE etl.attempts ADD COLUMN keys_kept boolean NOT NULL DEFAULT false;
CREATE TABLE etl.seen_keys (
    attempt bigint NOT NULL,
    as_of   timestamptz NOT NULL, -- when the vendor was read
    hashes  bigint[] NOT NULL
);
CREATE INDEX seen_keys_attempt ON etl.seen_keys (attempt);

-- A window that was fetched again and held more rows than the vendor delivered: how many went, or why none did. Written in the
-- transaction that removes them and closes the attempt's account.
CREATE TABLE etl.withdrawals (
    attempt      bigint PRIMARY KEY REFERENCES etl.attempts,
    run          bigint NOT NULL REFERENCES etl.runs,
    subscription text NOT NULL,
    table_name   text NOT NULL,
    from_time    timestamptz NOT NULL, -- of the table's time
    until_time   timestamptz NOT NULL,
    as_of        timestamptz NOT NULL, -- what was read before it and is not there any more does not come back
    delivered    bigint NOT NULL,      -- keys
    stored       bigint NOT NULL,      -- rows, before any went
    withdrawn    bigint NOT NULL,
    why          text NOT NULL DEFAULT '', -- why none went
    at           timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX withdrawals_table ON etl.withdrawals (table_name, until_time) WHERE withdrawn > 0;
CREATE INDEX withdrawals_run ON etl.withdrawals (run, attempt);
CREATE INDEX withdrawals_subscription ON etl.withdrawals (subscription, attempt);

-- What a key's hash is made of, for SQL: hash_record_extended(ROW (…), 0). The loader has the same columns in the same order.
CREATE FUNCTION etl.key_columns(of_table regclass, prefix text) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT string_agg(prefix || quote_ident(a.attname), ', ' ORDER BY a.attname COLLATE "C")
    FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey)
    WHERE i.indrelid = of_table AND i.indisprimary $$;

-- What a task's coverage holds for.
CREATE FUNCTION etl.request_of(parameters jsonb) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT concat_ws(' ', parameters->>'dataset', parameters->>'schema', parameters->>'stype_in') $$;

-- Whether some of a window's days were fetched before, or an attempt at it brought records that the next one does not go on from.
CREATE FUNCTION etl.fetched_before(of_task bigint) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT EXISTS (
        SELECT FROM etl.tasks t JOIN etl.tasks q ON q.task = t.quote
        JOIN etl.coverage c ON c.subscription = t.subscription AND c.request = etl.request_of(q.parameters)
         AND c.day BETWEEN ((t.parameters->>'start')::timestamptz AT TIME ZONE 'UTC')::date
                       AND ((t.parameters->>'end')::timestamptz AT TIME ZONE 'UTC' - interval '1 microsecond')::date
         AND c.state <> 'pending'
        WHERE t.task = of_task)
    OR EXISTS (SELECT FROM etl.attempts WHERE task = of_task AND fetched > 0 AND NOT coalesce(result ? 'parked', false)) $$;

-- Other attempts that may have read the same as this one, and not before it: of vendors' windows that overlap, and of files. What
-- they saw is there. Those that are not closed yet may still see something.
CREATE FUNCTION etl.read_meanwhile(of_attempt bigint, record_type text) RETURNS TABLE (attempt bigint, keys_kept boolean, closed boolean)
LANGUAGE sql STABLE AS $$
    WITH me AS (SELECT a.task, a.created_at, t.parameters AS w, q.parameters AS p
                FROM etl.attempts a JOIN etl.tasks t USING (task) JOIN etl.tasks q ON q.task = t.quote WHERE a.attempt = of_attempt),
    others AS (SELECT b.attempt, b.task, b.keys_kept, b.closed_at FROM etl.attempts b
                WHERE b.closed_at >= (SELECT created_at FROM me) AND b.source <> 'kafka'
               UNION ALL
               SELECT b.attempt, b.task, b.keys_kept, b.closed_at FROM etl.attempts b JOIN etl.runs r USING (run)
                WHERE b.closed_at IS NULL AND b.source <> 'kafka' AND r.status IN ('running', 'checking'))
    SELECT o.attempt, o.keys_kept, o.closed_at IS NOT NULL
    FROM others o JOIN etl.tasks t ON t.task = o.task LEFT JOIN etl.tasks q ON q.task = t.quote CROSS JOIN me
    WHERE o.task <> me.task AND t.action = 'fetch'
      AND CASE WHEN t.quote IS NULL
               THEN EXISTS (SELECT FROM etl.ledger l WHERE l.attempt = o.attempt AND l.topic LIKE '%etl.clean.' || record_type)
               ELSE q.parameters->>'dataset' = me.p->>'dataset' AND q.parameters->>'schema' = me.p->>'schema'
                    AND (q.parameters->>'stype_in' IS DISTINCT FROM me.p->>'stype_in' OR q.parameters->'symbols' ? 'ALL_SYMBOLS'
                         OR me.p->'symbols' ? 'ALL_SYMBOLS'
                         OR q.parameters->'symbols' ?| ARRAY(SELECT jsonb_array_elements_text(me.p->'symbols')))
                    AND (t.parameters->>'start')::timestamptz < (me.w->>'end')::timestamptz
                    AND (t.parameters->>'end')::timestamptz > (me.w->>'start')::timestamptz END $$;

-- Removes the rows of an attempt's window that the vendor no longer has. Called when its account is closed and balanced, before its
-- coverage is written; *why: why nothing can be said, or why none of those that are too many went.
-- How many keys there are the planner cannot know, and one by one they would take for ever: rows are held against a hash table.
CREATE FUNCTION etl.withdraw(of_attempt bigint, OUT withdrawn bigint, OUT delivered bigint, OUT stored bigint, OUT why text)
LANGUAGE plpgsql SET enable_nestloop = off SET enable_mergejoin = off SET jit = off AS $$
DECLARE
    me record;
    kind record;
    chain bigint[];       -- the attempt, and those of its task that it went on from
    witnesses bigint[];   -- whose keys count, too
    begins timestamptz;
    ends timestamptz;
    from_time timestamptz; -- of the table's time, which may be another one
    until_time timestamptz;
    was_read timestamptz;
    symbols text[];       -- of all rows that are counted
    candidates text[];    -- of those that may go
    dataless date[];
    kept bigint;
    accounted bigint;
    elsewhere bigint;     -- keys that were delivered and need not be in the table
    rows_of text;
BEGIN
    withdrawn := 0; delivered := 0; stored := 0; why := '';
    SELECT a.task, a.run, a.created_at, a.result, t.subscription, t.parameters AS w, q.parameters AS p, t.quote INTO me
      FROM etl.attempts a JOIN etl.tasks t USING (task) JOIN etl.tasks q ON q.task = t.quote
     WHERE a.attempt = of_attempt AND a.keys_kept AND a.state = 'done' AND NOT a.expired;
    SELECT v.* INTO kind FROM (VALUES ('ohlcv', 'ohlcv_data', 'ts_event', 'ts_event'), ('trades', 'trades_data', 'ts_recv', 'ts_event'),
        ('tbbo', 'tbbo_data', 'ts_recv', 'ts_event'), ('statistics', 'statistics_data', 'ts_recv', 'ts_recv'),
        ('definition', 'definitions_data', 'ts_recv', 'ts_recv')) AS v (record_type, table_name, time_column, moment)
     WHERE v.record_type = me.p->>'record_type';
    IF me.task IS NULL OR kind.table_name IS NULL THEN
        RETURN;
    END IF;
    begins := (me.w->>'start')::timestamptz;
    ends := least((me.w->>'end')::timestamptz, (me.result->>'covered_end')::timestamptz);
    from_time := begins - CASE WHEN kind.time_column = kind.moment THEN interval '0' ELSE interval '1 day' END;
    until_time := ends + CASE WHEN kind.time_column = kind.moment THEN interval '0' ELSE interval '1 day' END;

    -- All of it: as many as the vendor counts, and of each the key.
    IF me.result->>'records' IS NULL OR me.result->>'records' IS DISTINCT FROM me.result->>'expected_records' THEN
        why := 'the vendor counts other records than it delivered';
        RETURN;
    END IF;
    chain := ARRAY(SELECT attempt FROM etl.attempts WHERE task = me.task AND (attempt = of_attempt OR result ? 'parked'));
    SELECT coalesce(sum(cardinality(s.hashes)), 0), coalesce(min(s.as_of), me.created_at) INTO kept, was_read
      FROM etl.seen_keys s WHERE s.attempt = ANY (chain);
    SELECT coalesce(sum(records), 0), coalesce(sum(records) FILTER (WHERE outcome = 'superseded'), 0) INTO accounted, elsewhere
      FROM etl.ledger WHERE attempt = ANY (chain) AND topic LIKE '%etl.clean.' || kind.record_type;
    IF kept < accounted THEN
        why := format('the keys of %s of %s records were kept', kept, accounted);
        RETURN;
    END IF;

    -- Symbols that this subscription asks for or was delivered, and that the vendor resolved again. One whose record was
    -- refused may have it all the same.
    symbols := ARRAY(SELECT DISTINCT symbol FROM etl.coverage
                      WHERE subscription = me.subscription AND request = etl.request_of(me.p)
                        AND day BETWEEN (begins AT TIME ZONE 'UTC')::date AND (ends AT TIME ZONE 'UTC' - interval '1 microsecond')::date
                     UNION SELECT jsonb_array_elements_text(me.p->'symbols')
                     UNION SELECT x.symbol FROM jsonb_to_recordset(nullif(me.result->'days', 'null')) AS x (symbol text));
    candidates := ARRAY(SELECT unnest(symbols) EXCEPT SELECT symbol FROM etl.dead_letters WHERE attempt = ANY (chain)
                        EXCEPT SELECT jsonb_array_elements_text(me.result->'not_found')
                        EXCEPT SELECT jsonb_array_elements_text(me.result->'partial'));
    dataless := ARRAY(SELECT v.date FROM etl.attempts a, jsonb_to_recordset(a.result->'conditions') AS v (date date, condition text)
                       WHERE a.task = me.quote AND a.state = 'done' AND v.condition IN ('pending', 'missing'));
    rows_of := format('FROM %I t WHERE t.dataset = $1 AND t.symbol = ANY ($2) AND t.%I >= $3 AND t.%I < $4', kind.table_name,
                      kind.time_column, kind.time_column)
               || CASE WHEN kind.time_column = kind.moment THEN '' ELSE format(' AND t.%I BETWEEN $5 AND $6', kind.moment) END
               || CASE WHEN kind.record_type = 'ohlcv' THEN format(' AND t."interval" = %L', replace(me.p->>'schema', 'ohlcv-', '')) ELSE '' END;
    EXECUTE 'SELECT count(*) ' || rows_of INTO stored USING me.p->>'dataset', symbols, begins, ends, from_time, until_time;
    SELECT count(DISTINCT h) INTO delivered FROM etl.seen_keys s CROSS JOIN unnest(s.hashes) AS h WHERE s.attempt = ANY (chain);
    IF stored = delivered THEN
        RETURN;
    END IF;

    SELECT max(CASE WHEN m.keys_kept THEN '' ELSE format('attempt %s may have read it as well', m.attempt) END),
           array_agg(m.attempt) INTO why, witnesses FROM etl.read_meanwhile(of_attempt, kind.record_type) m WHERE m.closed OR NOT m.keys_kept;
    why := coalesce(why, '');
    IF why = '' THEN
        SELECT coalesce(max(format('attempt %s reads it as well, and decides', m.attempt)), '') INTO why
          FROM etl.read_meanwhile(of_attempt, kind.record_type) m WHERE NOT m.closed;
    END IF;
    IF why = '' AND EXISTS (SELECT FROM etl.dead_letters WHERE attempt = ANY (chain) AND ordinal > 0 AND symbol = '') THEN
        why := 'a record was refused of which nobody knows the symbol';
    END IF;
    IF why = '' THEN
        elsewhere := elsewhere + (SELECT count(*) FROM etl.dead_letters WHERE attempt = ANY (chain) AND ordinal > 0);
        BEGIN
            EXECUTE format($sql$
                WITH seen AS MATERIALIZED (SELECT unnest(s.hashes) AS hash FROM etl.seen_keys s WHERE s.attempt = ANY ($8)),
                gone AS (DELETE %1$s AND t.attempt <> ALL ($8) AND t.as_of < $7 AND (t.%2$I AT TIME ZONE 'UTC')::date <> ALL ($9)
                            AND NOT EXISTS (SELECT FROM seen WHERE seen.hash = hash_record_extended(ROW (%3$s), 0)) RETURNING t.*)
                INSERT INTO etl.restatements (kind, table_name, old_row, old_attempt, new_attempt, symbol, at, old_as_of, new_as_of, key_hash)
                SELECT 'withdrawn', %4$L, to_jsonb(g), g.attempt, $10, g.symbol, g.%5$I, g.as_of, $7, hash_record_extended(ROW (%6$s), 0)
                  FROM gone g$sql$,
                rows_of, kind.time_column, etl.key_columns(kind.table_name::regclass, 't.'), kind.table_name, kind.moment,
                etl.key_columns(kind.table_name::regclass, 'g.'))
            USING me.p->>'dataset', candidates, begins, ends, from_time, until_time, was_read, chain || coalesce(witnesses, '{}'), dataless, of_attempt;
            GET DIAGNOSTICS withdrawn = ROW_COUNT;
            -- Keys and counts have to agree. Where they do not, one of them is wrong, and nothing goes.
            IF withdrawn > stored - (delivered - elsewhere) THEN
                RAISE EXCEPTION SQLSTATE 'ETL01';
            END IF;
        EXCEPTION WHEN SQLSTATE 'ETL01' THEN
            why := format('keys and counts differ: %s rows would go, where %s are stored and %s were delivered', withdrawn, stored, delivered);
            withdrawn := 0;
        END;
    END IF;
    IF withdrawn > 0 OR why <> '' THEN
        INSERT INTO etl.withdrawals (attempt, run, subscription, table_name, from_time, until_time, as_of, delivered, stored, withdrawn, why)
        VALUES (of_attempt, me.run, me.subscription, kind.table_name, from_time, until_time, was_read, delivered, stored, withdrawn, why);
    END IF;
END $$;

-- Keys that nobody asks for any more: of attempts that were closed long ago, or never will be.
CREATE FUNCTION etl.forget_seen_keys() RETURNS void LANGUAGE sql AS $$
    DELETE FROM etl.seen_keys s USING etl.attempts a
     WHERE a.attempt = s.attempt AND (a.closed_at < now() - interval '1 day' OR a.created_at < now() - interval '30 days') $$;

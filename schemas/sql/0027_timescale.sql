-- TimescaleDB, where the server has it: `penstock db timescale apply` makes hypertables of the tables of records. Everywhere else they
-- stay partitioned by months, and nothing here asks for what only the extension has.

-- What each table is to be as a hypertable. The only place where it is said; `apply --chunk` and `--compress-after` write here.
-- Every column of a key is in one of the two lists: a compressed chunk finds a key's rows by them.
CREATE TABLE etl.hypertables (
    table_name     text COLLATE "C" PRIMARY KEY,
    time_column    name NOT NULL,
    chunk_interval interval NOT NULL,
    compress_after interval, -- null: never
    segment_by     text NOT NULL,
    order_by       text NOT NULL,
    made_at        timestamptz -- null: it is none
);
INSERT INTO etl.hypertables (table_name, time_column, chunk_interval, compress_after, segment_by, order_by) VALUES
    ('ohlcv_data', 'ts_event', '30 days', '1 year', 'symbol, "interval", dataset, publisher_id', 'ts_event'),
    ('trades_data', 'ts_event', '7 days', '1 year', 'symbol, dataset, publisher_id',
     'ts_event, ts_event_ns, ts_recv, ts_recv_ns, sequence, tie'),
    ('tbbo_data', 'ts_event', '7 days', '1 year', 'symbol, dataset, publisher_id',
     'ts_event, ts_event_ns, ts_recv, ts_recv_ns, sequence, tie'),
    ('statistics_data', 'ts_recv', '30 days', '1 year', 'symbol, dataset, publisher_id',
     'ts_recv, ts_recv_ns, stat_type, channel_id, sequence, ts_ref, ts_ref_ns, tie'),
    ('definitions_data', 'ts_recv', '30 days', '1 year', 'dataset, publisher_id', 'instrument_id, ts_recv, ts_recv_ns, leg_index'),
    ('symbol_mappings', 'd0', '365 days', '1 year', 'dataset, stype_in, stype_out', 'input_symbol, d0, output_symbol, d1');

CREATE FUNCTION etl.is_hypertable(of_table regclass) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT EXISTS (SELECT FROM etl.hypertables WHERE to_regclass(table_name) = of_table AND made_at IS NOT NULL) $$;

-- A hypertable makes its chunks itself.
CREATE OR REPLACE FUNCTION etl.ensure_month(parent regclass, month date) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    first date := date_trunc('month', month)::date;
    space name;
    child text;
BEGIN
    IF NOT EXISTS (SELECT FROM pg_partitioned_table WHERE partrelid = parent) THEN
        RETURN;
    END IF;
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

-- --- looking in ---------------------------------------------------------------------------------------------------------

-- A table's partitions, or chunks, from the oldest to the newest. Packed: compressed, so its rows are not in its own pages. Rows are
-- estimated: as the server counts them while they change, which it forgets in a crash, or as the planner knows them.
CREATE FUNCTION etl.parts(parent regclass) RETURNS TABLE (part regclass, place bigint, packed boolean, rows_estimated bigint)
LANGUAGE plpgsql STABLE AS $$
BEGIN
    IF etl.is_hypertable(parent) THEN
        RETURN QUERY
            SELECT p.oid::regclass, row_number() OVER (ORDER BY k.range_start, p.oid), k.is_compressed,
                   CASE WHEN k.is_compressed THEN approximate_row_count(p.oid::regclass)
                        ELSE coalesce(nullif(pg_stat_get_live_tuples(p.oid), 0), greatest(p.reltuples, 0)::bigint) END
              FROM timescaledb_information.chunks k
              JOIN pg_class c ON c.oid = parent JOIN pg_namespace n ON n.oid = c.relnamespace
              JOIN pg_namespace s ON s.nspname = k.chunk_schema JOIN pg_class p ON p.relname = k.chunk_name AND p.relnamespace = s.oid
             WHERE k.hypertable_schema = n.nspname AND k.hypertable_name = c.relname;
    ELSE
        RETURN QUERY
            SELECT c.oid::regclass, row_number() OVER (ORDER BY c.relname), false,
                   coalesce(nullif(pg_stat_get_live_tuples(c.oid), 0), greatest(c.reltuples, 0)::bigint)
              FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = parent;
    END IF;
END $$;

CREATE FUNCTION etl.part_span(part regclass, packed boolean, time_column name, has_interval boolean,
                              OUT earliest timestamptz, OUT latest timestamptz)
LANGUAGE plpgsql STABLE AS $$
BEGIN
    IF packed THEN
        EXECUTE format('SELECT min(%1$I), max(%1$I) FROM %2$s', time_column, part) INTO earliest, latest;
    ELSE
        SELECT s.earliest, s.latest INTO earliest, latest FROM etl.partition_span(part, time_column, has_interval) s;
    END IF;
END $$;

CREATE OR REPLACE FUNCTION etl.table_span(parent regclass, time_column name, OUT earliest timestamptz, OUT latest timestamptz, OUT rows_estimated bigint)
LANGUAGE plpgsql STABLE AS $$
DECLARE
    has_interval boolean := EXISTS (SELECT FROM pg_attribute WHERE attrelid = parent AND attname = 'interval');
    p record;
BEGIN
    SELECT coalesce(sum(x.rows_estimated), 0)::bigint INTO rows_estimated FROM etl.parts(parent) x;
    FOR p IN SELECT x.part, x.packed FROM etl.parts(parent) x ORDER BY x.place LOOP
        SELECT s.earliest INTO earliest FROM etl.part_span(p.part, p.packed, time_column, has_interval) s;
        EXIT WHEN earliest IS NOT NULL;
    END LOOP;
    latest := etl.table_latest(parent, time_column);
END $$;

CREATE OR REPLACE FUNCTION etl.table_latest(parent regclass, time_column name) RETURNS timestamptz LANGUAGE plpgsql STABLE AS $$
DECLARE
    has_interval boolean := EXISTS (SELECT FROM pg_attribute WHERE attrelid = parent AND attname = 'interval');
    latest timestamptz;
    p record;
BEGIN
    FOR p IN SELECT x.part, x.packed FROM etl.parts(parent) x ORDER BY x.place DESC LOOP
        SELECT s.latest INTO latest FROM etl.part_span(p.part, p.packed, time_column, has_interval) s;
        EXIT WHEN latest IS NOT NULL;
    END LOOP;
    RETURN latest;
END $$;

CREATE FUNCTION etl.table_bytes(parent regclass) RETURNS bigint LANGUAGE plpgsql STABLE AS $$
BEGIN
    IF etl.is_hypertable(parent) THEN
        RETURN hypertable_size(parent);
    END IF;
    RETURN (SELECT coalesce(sum(pg_total_relation_size(inhrelid)), 0)::bigint FROM pg_inherits WHERE inhparent = parent);
END $$;

-- As before. A compressed chunk has no pages to choose from: of a hypertable, chunks are taken at random until they hold about
-- `breadth` rows for each that is wanted, and of their rows some at random.
CREATE OR REPLACE FUNCTION etl.sample_rows(parent regclass, bar text, wanted bigint, breadth bigint) RETURNS SETOF json
LANGUAGE plpgsql AS $$
DECLARE
    rows double precision;
    only_bar text := CASE WHEN bar IS NULL THEN '' ELSE 'WHERE o."interval" = $3' END;
    source text;
BEGIN
    IF etl.is_hypertable(parent) THEN
        SELECT 'SELECT o FROM (' || string_agg(format('SELECT o.* FROM %s o %s', c.part, only_bar), ' UNION ALL ') || ') o' INTO source
          FROM (SELECT p.part, coalesce(sum(p.rows_estimated) OVER (ORDER BY p.chance ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0) AS held
                  FROM (SELECT x.part, x.rows_estimated, random() AS chance FROM etl.parts(parent) x) p) c
         WHERE c.held < wanted * breadth;
        IF source IS NULL THEN -- there is no chunk
            RETURN;
        END IF;
    ELSE
        SELECT coalesce(sum(greatest(c.reltuples, 0)), 0) INTO rows
          FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = parent;
        source := format('SELECT o FROM %s o TABLESAMPLE SYSTEM ($1) %s', parent, only_bar);
    END IF;
    RETURN QUERY EXECUTE
        'SELECT (SELECT json_object_agg(m.key, m.value) FROM json_each_text(to_json(s.o)) m) FROM (' || source
        || ' ORDER BY random() LIMIT $2) s'
    USING least(100, 100.0 * wanted * breadth / greatest(rows, 1)), wanted, bar;
END $$;

-- --- from partitions to chunks --------------------------------------------------------------------------------------------

CREATE FUNCTION etl.grants_of(relation regclass) RETURNS text[] LANGUAGE sql STABLE AS $$
    SELECT coalesce(array_agg(format('GRANT %s ON %s TO %s%s', x.privilege_type, relation,
                                     CASE WHEN x.grantee = 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(x.grantee)) END,
                                     CASE WHEN x.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END)), '{}')
      FROM pg_class c CROSS JOIN LATERAL aclexplode(c.relacl) x WHERE c.oid = relation AND x.grantee <> c.relowner $$;

-- Views hold on to the very relation that they were made of, whatever its name becomes: those that stand on one are dropped, and what
-- makes them again is handed back.
CREATE FUNCTION etl.take_down_views(relation regclass) RETURNS text[] LANGUAGE plpgsql AS $$
DECLARE
    again text[] := '{}';
    names text[] := '{}';
    v record;
BEGIN
    FOR v IN
        WITH RECURSIVE above AS (
            SELECT relation::oid AS oid, 0 AS depth
            UNION
            SELECT r.ev_class, a.depth + 1
              FROM above a JOIN pg_depend d ON d.refclassid = 'pg_class'::regclass AND d.refobjid = a.oid AND d.classid = 'pg_rewrite'::regclass
              JOIN pg_rewrite r ON r.oid = d.objid WHERE r.ev_class <> a.oid)
        SELECT c.oid::regclass AS name, c.relkind, c.reloptions, max(a.depth) AS depth
          FROM above a JOIN pg_class c ON c.oid = a.oid WHERE a.depth > 0 GROUP BY c.oid, c.relkind, c.reloptions ORDER BY depth
    LOOP
        IF v.relkind <> 'v' THEN
            RAISE EXCEPTION '% stands on % and is no plain view: drop it, and make it again afterwards', v.name, relation;
        END IF;
        again := again || format('CREATE VIEW %s%s AS %s', v.name, coalesce(' WITH (' || array_to_string(v.reloptions, ', ') || ')', ''),
                                 pg_get_viewdef(v.name)) || etl.grants_of(v.name);
        names := names || v.name::text;
    END LOOP;
    IF names <> '{}' THEN
        EXECUTE 'DROP VIEW ' || array_to_string(names, ', ');
    END IF;
    RETURN again;
END $$;

CREATE FUNCTION etl.run_all(statements text[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    statement text;
BEGIN
    FOREACH statement IN ARRAY statements LOOP
        EXECUTE statement;
    END LOOP;
END $$;

-- Begins it: nobody reads or writes the table from here on, and its partitions are to be moved one after the other.
CREATE FUNCTION etl.begin_hypertable(of_table text) RETURNS TABLE (part text, rows_estimated bigint) LANGUAGE plpgsql AS $$
DECLARE
    old regclass := of_table::regclass;
    h etl.hypertables := (SELECT x FROM etl.hypertables x WHERE x.table_name = of_table);
BEGIN
    EXECUTE format('LOCK TABLE %s IN ACCESS EXCLUSIVE MODE', old);
    IF (SELECT relrowsecurity FROM pg_class WHERE oid = old) THEN
        RAISE EXCEPTION '% has row level security, which compressed chunks do not know', of_table;
    END IF;
    EXECUTE format('CREATE TABLE %I (LIKE %s INCLUDING ALL EXCLUDING INDEXES)', of_table || '_hyper', old);
    PERFORM create_hypertable(format('%I', of_table || '_hyper')::regclass, h.time_column, chunk_time_interval => h.chunk_interval,
                              create_default_indexes => false);
    RETURN QUERY SELECT p.part::text, p.rows_estimated FROM etl.parts(old) p ORDER BY p.place;
END $$;

CREATE FUNCTION etl.move_part(of_table text, part text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    columns text := (SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) FROM pg_attribute
                      WHERE attrelid = of_table::regclass AND attnum > 0 AND NOT attisdropped);
    moved bigint;
BEGIN
    EXECUTE format('INSERT INTO %I (%s) SELECT %s FROM %s', of_table || '_hyper', columns, columns, part::regclass);
    GET DIAGNOSTICS moved = ROW_COUNT;
    RETURN moved;
END $$;

-- Ends it: the new table takes the old one's name, keys, indexes, triggers, rights and views.
CREATE FUNCTION etl.finish_hypertable(of_table text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    old regclass := of_table::regclass;
    again text[];
    views text[];
BEGIN
    SELECT coalesce(array_agg(format('ALTER TABLE %s ADD CONSTRAINT %I %s', old, conname, pg_get_constraintdef(oid)) ORDER BY contype DESC, oid), '{}')
      INTO again FROM pg_constraint WHERE conrelid = old AND contype IN ('p', 'u', 'f');
    SELECT again || coalesce(array_agg(replace(pg_get_indexdef(i.indexrelid), ' ON ONLY ', ' ON ') ORDER BY i.indexrelid), '{}')
      INTO again FROM pg_index i
     WHERE i.indrelid = old AND NOT EXISTS (SELECT FROM pg_constraint c WHERE c.conindid = i.indexrelid AND c.conrelid = old);
    SELECT again || coalesce(array_agg(pg_get_triggerdef(oid) ORDER BY tgname), '{}')
      INTO again FROM pg_trigger WHERE tgrelid = old AND NOT tgisinternal;
    again := again || etl.grants_of(old);
    views := etl.take_down_views(old);
    EXECUTE format('DROP TABLE %s', old);
    EXECUTE format('ALTER TABLE %I RENAME TO %I', of_table || '_hyper', of_table);
    PERFORM etl.run_all(again || views);
    UPDATE etl.hypertables SET made_at = now() WHERE table_name = of_table;
END $$;

-- --- chunks, compression, policies ------------------------------------------------------------------------------------------

-- The extension as this database has it; null: it has none.
CREATE FUNCTION etl.timescale_version() RETURNS text LANGUAGE sql STABLE AS $$
    SELECT extversion FROM pg_extension WHERE extname = 'timescaledb' $$;

-- What of the extension's is not its free part: compression, continuous aggregates, jobs.
CREATE FUNCTION etl.timescale_complete() RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT etl.timescale_version() IS NOT NULL AND current_setting('timescaledb.license', true) IS DISTINCT FROM 'apache' $$;

-- Makes a hypertable what etl.hypertables says of it, and tells what it changes; or only tells.
CREATE FUNCTION etl.settle_hypertable(of_table text, only_tell boolean) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
    h etl.hypertables := (SELECT x FROM etl.hypertables x WHERE x.table_name = of_table);
    space name := (SELECT n.nspname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = of_table::regclass);
    is_now record;
BEGIN
    SELECT t.compression_enabled, d.time_interval INTO is_now
      FROM timescaledb_information.hypertables t JOIN timescaledb_information.dimensions d USING (hypertable_schema, hypertable_name)
     WHERE t.hypertable_schema = space AND t.hypertable_name = of_table AND d.dimension_number = 1;
    IF NOT FOUND THEN
        RETURN NEXT 'is not a hypertable';
        RETURN;
    END IF;
    IF is_now.time_interval <> h.chunk_interval THEN
        RETURN NEXT format('chunks of %s, not %s', h.chunk_interval, is_now.time_interval);
        IF NOT only_tell THEN
            PERFORM set_chunk_time_interval(of_table::regclass, h.chunk_interval);
        END IF;
    END IF;
    IF NOT etl.timescale_complete() THEN
        RETURN;
    END IF;
    IF NOT is_now.compression_enabled THEN
        RETURN NEXT format('can be compressed: by %s, in the order of %s', h.segment_by, h.order_by);
        IF NOT only_tell THEN
            EXECUTE format('ALTER TABLE %I SET (timescaledb.compress, timescaledb.compress_segmentby = %L, timescaledb.compress_orderby = %L)',
                           of_table, h.segment_by, h.order_by);
        END IF;
    END IF;
    SELECT (j.config->>'compress_after')::interval AS compress_after INTO is_now FROM timescaledb_information.jobs j
     WHERE j.hypertable_schema = space AND j.hypertable_name = of_table AND j.proc_name IN ('policy_compression', 'policy_columnstore');
    IF is_now.compress_after IS DISTINCT FROM h.compress_after THEN
        RETURN NEXT format('chunks are compressed after %s, not %s', coalesce(h.compress_after::text, 'never'), coalesce(is_now.compress_after::text, 'never'));
        IF NOT only_tell THEN
            PERFORM remove_compression_policy(of_table::regclass, if_exists => true);
            IF h.compress_after IS NOT NULL THEN
                PERFORM add_compression_policy(of_table::regclass, compress_after => h.compress_after, schedule_interval => interval '1 day');
            END IF;
        END IF;
    END IF;
END $$;

-- --- bars of months -----------------------------------------------------------------------------------------------------------

-- Monthly bars of daily ones, by calendar months of UTC: first, highest, lowest, last, sum. A view, always up to date; where there is
-- TimescaleDB a continuous aggregate of the same name and columns takes its place.
CREATE VIEW ohlcv_monthly AS
SELECT date_trunc('month', ts_event, 'UTC') AS month, symbol, ticker, dataset, publisher_id,
       (array_agg(open_price ORDER BY ts_event))[1] AS open, max(high_price) AS high, min(low_price) AS low,
       (array_agg(close_price ORDER BY ts_event DESC))[1] AS close, sum(volume) AS volume
FROM ohlcv_data WHERE "interval" = '1d'
GROUP BY 1, symbol, ticker, dataset, publisher_id;

-- One for a ticker, region and month, chosen as daily_bars chooses; and under the name that such systems' queries use.
CREATE VIEW monthly_bars AS
SELECT DISTINCT ON (m.ticker, d.region, m.month)
       m.month, m.ticker, d.region, m.open, m.high, m.low, m.close, m.volume, m.symbol, m.dataset, m.publisher_id
FROM ohlcv_monthly m LEFT JOIN etl.datasets d USING (dataset)
ORDER BY m.ticker, d.region, m.month, m.volume DESC, m.dataset, m.publisher_id;
CREATE VIEW by_region.ohlcv_monthly AS SELECT * FROM monthly_bars;

-- What has been materialised of months is refreshed where rows changed since: times of bars that were written, or withdrawn.
CREATE TABLE etl.touched (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    table_name text NOT NULL,
    from_time  timestamptz NOT NULL,
    until_time timestamptz NOT NULL,
    touched_at timestamptz NOT NULL DEFAULT now()
);

-- Nothing of this month is materialised yet.
CREATE FUNCTION etl.touch(of_table text, from_time timestamptz, until_time timestamptz) RETURNS void LANGUAGE sql AS $$
    INSERT INTO etl.touched (table_name, from_time, until_time)
    SELECT table_name, $2, $3 FROM etl.hypertables
     WHERE table_name = of_table AND made_at IS NOT NULL AND $2 < date_trunc('month', now() - interval '1 day', 'UTC') $$;

CREATE FUNCTION etl.touch_withdrawn() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM etl.touch(NEW.table_name, NEW.from_time, NEW.until_time);
    RETURN NULL;
END $$;
CREATE TRIGGER withdrawals_touch AFTER INSERT ON etl.withdrawals
    FOR EACH ROW WHEN (NEW.withdrawn > 0 AND NEW.table_name = 'ohlcv_data') EXECUTE FUNCTION etl.touch_withdrawn();

-- The window to be refreshed, in whole months that are over, and whose rows it is for. Nothing: null.
CREATE FUNCTION etl.touched_months(OUT ids bigint[], OUT from_month timestamptz, OUT until_month timestamptz) LANGUAGE sql STABLE AS $$
    SELECT array_agg(id), date_trunc('month', min(from_time), 'UTC'),
           least(date_trunc('month', max(until_time), 'UTC') + interval '1 month', date_trunc('month', now() - interval '1 day', 'UTC'))
      FROM etl.touched WHERE table_name = 'ohlcv_data' $$;

CREATE FUNCTION etl.settle_monthly(only_tell boolean) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
    space name := (SELECT n.nspname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = 'ohlcv_monthly'::regclass);
    views text[];
BEGIN
    IF NOT etl.timescale_complete() THEN
        RETURN;
    END IF;
    IF NOT EXISTS (SELECT FROM timescaledb_information.continuous_aggregates WHERE view_schema = space AND view_name = 'ohlcv_monthly') THEN
        RETURN NEXT 'is a continuous aggregate';
        IF NOT only_tell THEN
            views := etl.grants_of('ohlcv_monthly') || etl.take_down_views('ohlcv_monthly');
            DROP VIEW ohlcv_monthly;
            EXECUTE $sql$
                CREATE MATERIALIZED VIEW ohlcv_monthly WITH (timescaledb.continuous, timescaledb.materialized_only = false) AS
                SELECT time_bucket('1 month', ts_event) AS month, symbol, ticker, dataset, publisher_id,
                       first(open_price, ts_event) AS open, max(high_price) AS high, min(low_price) AS low,
                       last(close_price, ts_event) AS close, sum(volume) AS volume
                FROM ohlcv_data WHERE "interval" = '1d' GROUP BY 1, 2, 3, 4, 5 WITH NO DATA$sql$;
            PERFORM etl.run_all(views);
            INSERT INTO etl.touched (table_name, from_time, until_time)
            SELECT 'ohlcv_data', earliest, latest FROM etl.table_span('ohlcv_data', 'ts_event') WHERE earliest IS NOT NULL;
        END IF;
    END IF;
    -- Its jobs go by the name of the aggregate, in older versions by that of the table behind it.
    IF NOT EXISTS (SELECT FROM timescaledb_information.jobs j JOIN timescaledb_information.continuous_aggregates c
                       ON j.hypertable_name IN (c.view_name, c.materialization_hypertable_name)
                    WHERE j.proc_name = 'policy_refresh_continuous_aggregate' AND c.view_schema = space AND c.view_name = 'ohlcv_monthly') THEN
        RETURN NEXT 'the last 3 months are refreshed every day';
        IF NOT only_tell THEN
            PERFORM add_continuous_aggregate_policy('ohlcv_monthly', start_offset => interval '3 months', end_offset => interval '1 day',
                                                    schedule_interval => interval '1 day', if_not_exists => true);
        END IF;
    END IF;
END $$;

-- --- late data -------------------------------------------------------------------------------------------------------------------

-- Makes the compressed chunks that hold these months plain ones, as many rows are to be written there; how many it were. They are
-- compressed again by the table's policy.
CREATE FUNCTION etl.unpack_months(of_table text, months date[]) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    unpacked bigint := 0;
    c record;
BEGIN
    IF NOT etl.is_hypertable(of_table::regclass) THEN
        RETURN 0;
    END IF;
    FOR c IN
        SELECT format('%I.%I', k.chunk_schema, k.chunk_name)::regclass AS chunk FROM timescaledb_information.chunks k
          JOIN pg_class t ON t.oid = of_table::regclass JOIN pg_namespace n ON n.oid = t.relnamespace
         WHERE k.hypertable_schema = n.nspname AND k.hypertable_name = t.relname AND k.is_compressed
           AND EXISTS (SELECT FROM unnest(months) AS m (month) WHERE k.range_start < (m.month + interval '1 month') AT TIME ZONE 'UTC'
                                                                 AND k.range_end > m.month::timestamp AT TIME ZONE 'UTC')
         ORDER BY k.range_start
    LOOP
        PERFORM decompress_chunk(c.chunk, if_compressed => true);
        unpacked := unpacked + 1;
    END LOOP;
    RETURN unpacked;
END $$;

-- A statement of ours may touch as many compressed rows as this; the extension's own limit would give the whole up. A session has it
-- from here on; 0: any number.
CREATE FUNCTION etl.allow_unpacking(rows_max bigint) RETURNS void LANGUAGE sql AS $$
    SELECT set_config('timescaledb.max_tuples_decompressed_per_dml_transaction', rows_max::text, false)
      FROM pg_extension WHERE extname = 'timescaledb' $$;

-- --- jobs ------------------------------------------------------------------------------------------------------------------------

-- What the orchestrator did about the extension's jobs on our tables: those that its scheduler did not run in time, or could not.
CREATE TABLE etl.database_jobs (
    job         integer PRIMARY KEY,
    name        text NOT NULL, -- policy_compression
    about       text NOT NULL, -- ohlcv_data
    seen_at     timestamptz NOT NULL DEFAULT now(), -- first
    why         text NOT NULL DEFAULT '',           -- it was run
    started_at  timestamptz,
    finished_at timestamptz,
    ok          boolean,
    ok_at       timestamptz, -- when it last was
    runs        bigint NOT NULL DEFAULT 0,
    message     text NOT NULL DEFAULT ''            -- what it failed with
);

-- Jobs of our tables as the extension's scheduler tells of them, and as we ran them. Nothing without the extension.
CREATE FUNCTION etl.timescale_jobs()
RETURNS TABLE (job integer, name text, about text, every interval, scheduled boolean, there_status text, there_at timestamptz,
               there_ok_at timestamptz, next_at timestamptz, here_ok boolean, here_at timestamptz, here_ok_at timestamptz, runs bigint, message text)
LANGUAGE plpgsql STABLE AS $$
BEGIN
    IF NOT etl.timescale_complete() THEN
        RETURN;
    END IF;
    RETURN QUERY
        SELECT j.job_id, j.proc_name::text, coalesce(c.view_name, j.hypertable_name)::text, j.schedule_interval, j.scheduled,
               s.last_run_status::text, nullif(s.last_run_started_at, '-infinity'), nullif(s.last_successful_finish, '-infinity'),
               nullif(nullif(s.next_start, '-infinity'), 'infinity'), d.ok, d.finished_at, d.ok_at, coalesce(d.runs, 0), coalesce(d.message, '')
          FROM timescaledb_information.jobs j
          LEFT JOIN timescaledb_information.job_stats s ON s.job_id = j.job_id
          LEFT JOIN timescaledb_information.continuous_aggregates c
            ON j.hypertable_name IN (c.view_name, c.materialization_hypertable_name)
          LEFT JOIN etl.database_jobs d ON d.job = j.job_id
         WHERE c.view_name = 'ohlcv_monthly' OR j.hypertable_name IN (SELECT h.table_name FROM etl.hypertables h)
         ORDER BY j.job_id;
END $$;

-- Which of them are to be run here, and why: those that failed there, and those that were not run for their interval and a grace
-- longer. One that failed here waits for a grace, too.
CREATE FUNCTION etl.due_jobs(grace interval) RETURNS TABLE (job integer, name text, about text, why text) LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO etl.database_jobs (job, name, about) SELECT j.job, j.name, j.about FROM etl.timescale_jobs() j ON CONFLICT DO NOTHING;
    DELETE FROM etl.database_jobs d WHERE NOT EXISTS (SELECT FROM etl.timescale_jobs() j WHERE j.job = d.job);
    RETURN QUERY
        SELECT j.job, j.name, j.about, CASE WHEN j.failed THEN 'its scheduler''s last run ended as failed' ELSE 'it was not run in time' END
          FROM (SELECT x.*, greatest(x.there_ok_at, x.here_ok_at) AS ok_at,
                       x.there_status = 'Failed' AND x.there_at > coalesce(greatest(x.there_ok_at, x.here_ok_at), '-infinity') AS failed
                  FROM etl.timescale_jobs() x WHERE x.scheduled) j
          JOIN etl.database_jobs d ON d.job = j.job
         WHERE (j.failed OR coalesce(j.ok_at, d.seen_at - j.every) < now() - j.every - grace)
           AND NOT (j.here_ok IS FALSE AND j.here_at > now() - grace)
         ORDER BY j.job;
END $$;

-- What each hypertable holds. before and after: bytes of what is compressed, and of what it was.
CREATE FUNCTION etl.hypertable_figures()
RETURNS TABLE (hypertable text, time_column text, dimensions integer, chunk_interval interval, compress_after interval, chunks bigint,
               compressed_chunks bigint, overdue_chunks bigint, bytes bigint, before_bytes bigint, after_bytes bigint)
LANGUAGE plpgsql STABLE AS $$
BEGIN
    IF etl.timescale_version() IS NULL THEN
        RETURN;
    END IF;
    RETURN QUERY
        SELECT h.table_name, h.time_column::text, t.num_dimensions::integer, d.time_interval, h.compress_after, k.chunks, k.compressed, k.overdue,
               hypertable_size(c.oid::regclass), s.before_bytes, s.after_bytes
          FROM etl.hypertables h JOIN pg_class c ON c.oid = to_regclass(h.table_name) JOIN pg_namespace n ON n.oid = c.relnamespace
          JOIN timescaledb_information.hypertables t ON t.hypertable_schema = n.nspname AND t.hypertable_name = c.relname
          JOIN timescaledb_information.dimensions d USING (hypertable_schema, hypertable_name)
          CROSS JOIN LATERAL (
              SELECT count(*) AS chunks, count(*) FILTER (WHERE x.is_compressed) AS compressed,
                     count(*) FILTER (WHERE NOT x.is_compressed AND x.range_end < now() - h.compress_after) AS overdue
                FROM timescaledb_information.chunks x WHERE x.hypertable_schema = n.nspname AND x.hypertable_name = c.relname) k
          LEFT JOIN LATERAL (SELECT x.before_compression_total_bytes AS before_bytes, x.after_compression_total_bytes AS after_bytes
                               FROM hypertable_compression_stats(c.oid::regclass) x) s ON true
         WHERE d.dimension_number = 1 ORDER BY h.table_name;
END $$;

-- For those who list what is wrong: jobs that failed here as well.
CREATE VIEW etl.database_alarms AS
SELECT 'database_job_failed' AS name, finished_at AS since, job::text AS about,
       format('TimescaleDB''s job %s (%s of %s) fails, run by its scheduler and by us: %s', job, database_jobs.name, about, message) AS message
FROM etl.database_jobs WHERE ok IS FALSE;

-- A short word for `status`; null without the extension.
CREATE FUNCTION etl.timescale_summary() RETURNS json LANGUAGE sql STABLE AS $$
    SELECT json_build_object(
               'hypertables', (SELECT count(*) FROM etl.hypertables WHERE made_at IS NOT NULL),
               'chunks', f.chunks, 'compressed_chunks', f.compressed, 'overdue_chunks', f.overdue, 'compression_ratio', f.ratio,
               'jobs', j.jobs, 'jobs_failed_there', j.there, 'jobs_failed', j.here)
      FROM (SELECT coalesce(sum(chunks), 0)::bigint AS chunks, coalesce(sum(compressed_chunks), 0)::bigint AS compressed,
                   coalesce(sum(overdue_chunks), 0)::bigint AS overdue, round(sum(before_bytes) / nullif(sum(after_bytes), 0), 2) AS ratio
              FROM etl.hypertable_figures()) f,
           (SELECT count(*) AS jobs, count(*) FILTER (WHERE there_status = 'Failed') AS there, count(*) FILTER (WHERE here_ok IS FALSE) AS here
              FROM etl.timescale_jobs()) j
     WHERE etl.timescale_version() IS NOT NULL $$;

-- --- beside -------------------------------------------------------------------------------------------------------------------------

-- As before, whether the real table is partitioned by months or a hypertable.
CREATE OR REPLACE FUNCTION etl.diff_side(side text, examples_max integer)
RETURNS TABLE (what text, rows bigint, examples json) LANGUAGE plpgsql STABLE AS $$
DECLARE
    real_table text := (SELECT s.table_name FROM etl.sides s WHERE s.side_name = side);
    keys name[];
    contents name[];
    parts name[];
    moment name;
BEGIN
    SELECT array_agg(a.attname ORDER BY k.n) INTO keys FROM pg_index i CROSS JOIN unnest(i.indkey) WITH ORDINALITY AS k (attnum, n)
      JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
     WHERE i.indrelid = real_table::regclass AND i.indisprimary AND k.n <= i.indnkeyatts;
    SELECT array_agg(a.attname ORDER BY a.attnum) INTO contents FROM pg_attribute a
     WHERE a.attrelid = real_table::regclass AND a.attnum > 0 AND NOT a.attisdropped
       AND a.attname <> ALL (keys || '{attempt,as_of,created_at}'::name[]);
    SELECT h.time_column INTO moment FROM etl.hypertables h WHERE h.table_name = real_table;
    parts := ARRAY(SELECT k FROM unnest(keys) AS k
                   WHERE k IN ('symbol', 'interval', 'dataset', 'publisher_id', 'instrument_id', 'stype_in', 'input_symbol'));
    RETURN QUERY EXECUTE format($sql$
        WITH scope AS (SELECT %1$s, min(%2$I) AS first_moment, max(%2$I) AS last_moment FROM %3$I GROUP BY %1$s),
        here AS (SELECT r.* FROM %4$I r JOIN scope USING (%1$s) WHERE r.%2$I BETWEEN first_moment AND last_moment),
        compared AS (SELECT CASE WHEN t.%2$I IS NULL THEN 'only_here' WHEN h.%2$I IS NULL THEN 'only_there' ELSE 'different' END AS what,
                            %5$s, to_jsonb(h) AS h, to_jsonb(t) AS t
                     FROM here h FULL JOIN %3$I t USING (%5$s)
                     WHERE t.%2$I IS NULL OR h.%2$I IS NULL OR (%6$s) IS DISTINCT FROM (%7$s)),
        placed AS (SELECT *, row_number() OVER (PARTITION BY what ORDER BY %5$s) AS place FROM compared)
        SELECT k.what, count(p.what), coalesce(json_agg(json_build_object(
                   'key', (SELECT jsonb_object_agg(x, coalesce(p.h, p.t)->x) FROM unnest(%8$L::text[]) x),
                   'here', (SELECT jsonb_object_agg(x, p.h->x) FROM unnest(%9$L::text[]) x WHERE p.h IS NOT NULL AND p.h->x IS DISTINCT FROM p.t->x),
                   'there', (SELECT jsonb_object_agg(x, p.t->x) FROM unnest(%9$L::text[]) x WHERE p.t IS NOT NULL AND p.h->x IS DISTINCT FROM p.t->x))
                   ORDER BY p.place) FILTER (WHERE p.place <= $1), '[]')
        FROM unnest(ARRAY['only_here', 'only_there', 'different']) WITH ORDINALITY AS k (what, n) LEFT JOIN placed p USING (what)
        GROUP BY k.what, k.n ORDER BY k.n$sql$,
        (SELECT string_agg(quote_ident(x), ', ') FROM unnest(parts) x), moment, side, real_table,
        (SELECT string_agg(quote_ident(x), ', ' ORDER BY n) FROM unnest(keys) WITH ORDINALITY AS k (x, n)),
        (SELECT string_agg('h.' || quote_ident(x), ', ') FROM unnest(contents) x),
        (SELECT string_agg('t.' || quote_ident(x), ', ') FROM unnest(contents) x),
        keys::text, contents::text) USING examples_max;
END $$;

-- --- whose rights ------------------------------------------------------------------------------------------------------------------

-- As in 0025: what needs the owner's rights has them, for those alone that are granted it.
DO $$
DECLARE
    rows_in text := (SELECT quote_ident(n.nspname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                      WHERE c.oid = 'ohlcv_data'::regclass);
    function text;
BEGIN
    FOREACH function IN ARRAY ARRAY['etl.ensure_month(regclass, date)', 'etl.unpack_months(text, date[])',
                                    'etl.touch(text, timestamptz, timestamptz)'] LOOP
        EXECUTE format('ALTER FUNCTION %s SECURITY DEFINER SET search_path = %s, pg_temp', function, rows_in);
        EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', function);
    END LOOP;
END $$;

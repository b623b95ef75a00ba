-- Replays may load beside a real table, into one with the same columns and key, to be compared with it. A row goes with its table.
CREATE TABLE etl.sides (
    side_name  text PRIMARY KEY, -- ohlcv_data_before
    suffix     text NOT NULL,    -- before
    table_name text NOT NULL,    -- ohlcv_data
    schema     text NOT NULL,    -- that was put back: ohlcv-1m
    run        bigint NOT NULL REFERENCES etl.runs,
    made_at    timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX sides_suffix ON etl.sides (suffix);

CREATE FUNCTION etl.make_side(real_table text, suffix text, schema text, run bigint) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING ALL)', real_table || '_' || suffix, real_table);
    INSERT INTO etl.sides (side_name, suffix, table_name, schema, run) VALUES (real_table || '_' || suffix, suffix, real_table, schema, run);
END $$;

CREATE FUNCTION etl.drop_side(side text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('DROP TABLE IF EXISTS %I', side);
    DELETE FROM etl.restatements r WHERE r.table_name = side;
    DELETE FROM etl.sides s WHERE s.side_name = side;
END $$;

-- Rows that a run's attempts wrote beside the real tables.
CREATE FUNCTION etl.side_rows(of_run bigint) RETURNS bigint LANGUAGE plpgsql STABLE AS $$
DECLARE
    side text;
    found bigint := 0;
BEGIN
    SELECT side_name INTO side FROM etl.sides WHERE run = of_run;
    IF to_regclass(side) IS NOT NULL THEN
        EXECUTE format('SELECT count(*) FROM %I WHERE attempt IN (SELECT attempt FROM etl.attempts WHERE run = $1)', side)
           INTO found USING of_run;
    END IF;
    RETURN found;
END $$;

-- What a table beside a real one (`there`) has otherwise than that (`here`), for what it is of: its symbols, each from its first
-- row to its last. Lineage is no difference.
CREATE FUNCTION etl.diff_side(side text, examples_max integer)
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
    SELECT a.attname INTO moment FROM pg_partitioned_table p JOIN pg_attribute a ON a.attrelid = p.partrelid AND a.attnum = p.partattrs[0]
     WHERE p.partrelid = real_table::regclass;
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

-- As before, and in which topics an attempt's records are no past of their own: where it put them, and of a replay that loads
-- beside wherever they went from there, or the next replay would load into the real table what was only tried.
CREATE OR REPLACE VIEW etl.topic_replays AS
SELECT a.attempt, t.run, t.task, t.parameters->>'stage' AS stage, t.parameters->>'record_type' AS record_type,
       CASE WHEN r.options ? 'into' THEN w.ways[array_position(w.ways, t.parameters->>'stage'):]
            ELSE ARRAY[t.parameters->>'stage'] END AS stages
FROM etl.runs r JOIN etl.tasks t USING (run) JOIN etl.attempts a USING (task)
CROSS JOIN (VALUES ('{raw,valid,clean}'::text[])) AS w (ways)
WHERE r.kind = 'replay' AND r.options ? 'topic';

-- As before, and `beside`: what a replay could not load beside a real table is none of that table's business.
CREATE OR REPLACE VIEW etl.replay_ways AS
SELECT d.id AS letter, t.task, t.subscription, o.place[1] AS stage, o.place[2] AS record_type,
       CASE WHEN t.task IS NULL THEN 'foreign'
            WHEN r.options ? 'into' THEN 'beside'
            WHEN d.stage = 'fetcher' THEN CASE WHEN t.source = 'kafka' THEN 'replay' ELSE 'task' END
            WHEN o.place IS NULL OR coalesce(octet_length(d.value), 0) = 0 OR d.ordinal < 1 THEN 'no_place'
            WHEN octet_length(d.value) + coalesce(octet_length(d.key), 0) > 131072 THEN 'too_large'
            ELSE 'record' END AS way
FROM etl.dead_letters d LEFT JOIN etl.attempts a USING (attempt) LEFT JOIN etl.tasks t USING (task)
LEFT JOIN etl.runs r ON r.run = t.run
CROSS JOIN LATERAL (SELECT regexp_match(d.origin_topic, 'etl[.](raw|valid|clean)[.]([a-z_]+)$') AS place) o;

-- Rows of a table at random, as JSON of texts, so that no number passes through a binary float. Of a large table only some
-- pages are looked at, so many that about `breadth` rows are found for each that is wanted, and of these some rows are taken: the
-- answer comes soon, however much there is. `bar` is the interval of bars; null takes every row.
CREATE OR REPLACE FUNCTION etl.sample_rows(parent regclass, bar text, wanted bigint, breadth bigint) RETURNS SETOF json
LANGUAGE plpgsql AS $$
DECLARE
    rows double precision;
BEGIN
    SELECT coalesce(sum(greatest(c.reltuples, 0)), 0) INTO rows
      FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = parent;
    RETURN QUERY EXECUTE format(
        'SELECT (SELECT json_object_agg(m.key, m.value) FROM json_each_text(to_json(s.o)) m)'
        ' FROM (SELECT o FROM %s o TABLESAMPLE SYSTEM ($1) %s ORDER BY random() LIMIT $2) s',
        parent, CASE WHEN bar IS NULL THEN '' ELSE 'WHERE o."interval" = $3' END)
    USING least(100, 100.0 * wanted * breadth / greatest(rows, 1)), wanted, bar;
END $$;

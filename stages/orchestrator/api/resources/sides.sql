-- What tables beside the real ones have otherwise than these, for their symbols and times; three lines for each table.
-- path: /api/v1/sides/{suffix}
-- list: differences
-- suffix text: what the tables' names end with
-- schema text: the table of this schema only
-- examples integer: so many of each, 5 where nothing is said
--
SELECT s.table_name, s.side_name, s.schema, s.run, d.what, d.rows, d.examples
FROM etl.sides s CROSS JOIN LATERAL etl.diff_side(s.side_name, coalesce({examples}::bigint, 5)::integer) d
WHERE s.suffix = {suffix} AND ({schema}::text IS NULL OR s.schema = {schema})
ORDER BY s.side_name, array_position(ARRAY['only_here', 'only_there', 'different'], d.what)

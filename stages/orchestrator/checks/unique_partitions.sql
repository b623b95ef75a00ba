-- Partitions, or a hypertable's chunks, whose key nothing keeps unique: there, two runs' rows may have the same one. Whose run
-- $1 is makes no difference.
WITH parents AS (
    SELECT i.indrelid AS parent, i.indnkeyatts AS columns FROM pg_index i
    WHERE i.indisprimary AND i.indrelid IN ('ohlcv_data'::regclass, 'trades_data'::regclass, 'tbbo_data'::regclass,
        'statistics_data'::regclass, 'definitions_data'::regclass, 'symbol_mappings'::regclass)
), bare AS (
    SELECT p.inhrelid AS relid FROM parents JOIN pg_inherits p ON p.inhparent = parent
    WHERE NOT EXISTS (SELECT 1 FROM pg_index i WHERE i.indrelid = p.inhrelid AND i.indisunique AND i.indisvalid
                        AND i.indnkeyatts = parents.columns)
)
SELECT count(*) + 6 - (SELECT count(*) FROM parents) AS observed, 0 AS expected,
       coalesce('for example ' || min(relid::regclass::text), '') AS detail
FROM bare WHERE $1::bigint IS NOT NULL

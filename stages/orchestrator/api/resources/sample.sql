-- Stored rows of a schema at random, each as an object of texts: prices and quantities are exact.
-- path: /api/v1/samples/{schema}
-- list: rows
-- limit: 1000 10000
-- schema ohlcv-1s|ohlcv-1m|ohlcv-1h|ohlcv-1d|ohlcv-eod|trades|tbbo|statistics|definition|symbol_mapping: the vendor's name of it
-- breadth integer = 20: rows that are looked at for each that is wanted, about
--
-- Of a large table some pages are looked at; where the schema's rows are rare in it, fewer than asked for come from these, and a
-- larger breadth looks at more.
SELECT row FROM etl.sample_rows(
    CASE {schema} WHEN 'trades' THEN 'trades_data' WHEN 'tbbo' THEN 'tbbo_data' WHEN 'statistics' THEN 'statistics_data'
                  WHEN 'definition' THEN 'definitions_data' WHEN 'symbol_mapping' THEN 'symbol_mappings' ELSE 'ohlcv_data' END::regclass,
    CASE WHEN {schema} LIKE 'ohlcv-%' THEN substr({schema}, 7) END, {limit}, greatest(1, least({breadth}::bigint, 1000000000))) AS row

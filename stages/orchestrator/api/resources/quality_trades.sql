-- Trades without a price, a size or a side, by symbol, of the last days; sides are those of each source (B, S, N).
-- path: /api/v1/quality/trades
-- list: symbols
-- cursor: trades, symbol
-- limit: 100 1000
-- days integer = 7: of so many days
SELECT symbol, count(*) AS trades, count(*) FILTER (WHERE price <= 0) AS invalid_prices, count(*) FILTER (WHERE size <= 0) AS invalid_sizes,
       count(*) FILTER (WHERE side NOT IN ('B', 'S', 'N')) AS invalid_sides
FROM trades_data WHERE ts_event >= now() - make_interval(days => least({days}::bigint, 36500)::integer)
GROUP BY symbol HAVING bool_or(price <= 0 OR size <= 0 OR side NOT IN ('B', 'S', 'N'))
   AND ({after_trades}::bigint IS NULL OR count(*) < {after_trades}::bigint
        OR (count(*) = {after_trades}::bigint AND symbol > {after_symbol}))
ORDER BY count(*) DESC, symbol LIMIT {limit}

-- Symbols that are known to be covered, with the days that there are of them.
-- path: /api/v1/symbols
-- list: symbols
-- cursor: symbol, subscription
-- limit: 100 1000
-- subscription text: of this subscription only
SELECT symbol, subscription, min(day) FILTER (WHERE state = 'complete') AS first_day,
       max(day) FILTER (WHERE state = 'complete') AS last_day, count(*) FILTER (WHERE state = 'complete') AS days,
       sum(records)::bigint AS records
FROM etl.coverage WHERE ({subscription}::text IS NULL OR subscription = {subscription})
  AND ({after_symbol}::text IS NULL OR (symbol, subscription) > ({after_symbol}, {after_subscription}))
GROUP BY symbol, subscription ORDER BY symbol, subscription LIMIT {limit}

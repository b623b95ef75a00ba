-- What of a vendor's data was fetched, in spans of days that are alike.
-- path: /api/v1/coverage
-- list: coverage
-- cursor: subscription, symbol, from
-- limit: 100 1000
-- subscription text: of this subscription only
-- symbol text: of this symbol only
-- from date: from this day on
-- to date: up to this day
-- span: from, to
-- state complete|verified_empty|partial|pending|failed: in this state only
--
-- Each symbol of a subscription has a span at least: as many of them as there may be spans are looked for in the index, one behind
-- the other, and only their days are read.
WITH RECURSIVE found AS (
    (SELECT subscription, symbol FROM etl.coverage
      WHERE ({subscription}::text IS NULL OR subscription = {subscription}) AND ({symbol}::text IS NULL OR symbol = {symbol})
        AND ({from}::date IS NULL OR day >= {from}::date) AND ({to}::date IS NULL OR day <= {to}::date)
        AND ({state}::text IS NULL OR state = {state})
        AND ({after_subscription}::text IS NULL OR (subscription, symbol) >= ({after_subscription}, {after_symbol}))
      ORDER BY subscription, symbol LIMIT 1)
    UNION ALL
    SELECT n.* FROM found f CROSS JOIN LATERAL (
        SELECT subscription, symbol FROM etl.coverage
         WHERE ({subscription}::text IS NULL OR subscription = {subscription}) AND ({symbol}::text IS NULL OR symbol = {symbol})
           AND ({from}::date IS NULL OR day >= {from}::date) AND ({to}::date IS NULL OR day <= {to}::date)
           AND ({state}::text IS NULL OR state = {state}) AND (subscription, symbol) > (f.subscription, f.symbol)
         ORDER BY subscription, symbol LIMIT 1) n),
 symbols AS (SELECT subscription, symbol FROM found LIMIT {limit}::bigint + 1) -- of that at the cursor there may be no other span
SELECT subscription, symbol, min(day) AS "from", max(day) AS "to", count(*) AS days, state, reason,
       sum(records)::bigint AS records, vendor_condition, max(updated_at) AS updated_at
FROM (SELECT c.*, day - (row_number() OVER (PARTITION BY c.subscription, c.symbol, state, reason, vendor_condition ORDER BY day))::integer AS island
      FROM symbols s CROSS JOIN LATERAL (
          SELECT * FROM etl.coverage x WHERE x.subscription = s.subscription AND x.symbol = s.symbol
             AND ({from}::date IS NULL OR day >= {from}::date) AND ({to}::date IS NULL OR day <= {to}::date)
             AND ({state}::text IS NULL OR state = {state}) OFFSET 0) c) days
GROUP BY subscription, symbol, state, reason, vendor_condition, island
HAVING {after_subscription}::text IS NULL
       OR (subscription, symbol, min(day)) > ({after_subscription}, {after_symbol}, {after_from}::date)
ORDER BY subscription, symbol, min(day) LIMIT {limit}

-- What of a vendor's data was fetched, in spans of days that are alike.
-- path: /api/v1/coverage
-- list: coverage
-- cursor: subscription, symbol, from
-- limit: 100 1000
-- subscription text: of this subscription only
-- symbol text: of this symbol only
-- from date: from this day on
-- to date: up to this day
-- state complete|verified_empty|partial|pending|failed: in this state only
SELECT subscription, symbol, min(day) AS "from", max(day) AS "to", count(*) AS days, state, reason,
       sum(records)::bigint AS records, vendor_condition, max(updated_at) AS updated_at
FROM (SELECT c.*, day - (row_number() OVER (PARTITION BY subscription, symbol, state, reason, vendor_condition ORDER BY day))::integer AS island
      FROM etl.coverage c
      WHERE ({subscription}::text IS NULL OR subscription = {subscription}) AND ({symbol}::text IS NULL OR symbol = {symbol})
        AND ({from}::date IS NULL OR day >= {from}::date) AND ({to}::date IS NULL OR day <= {to}::date)
        AND ({state}::text IS NULL OR state = {state})
        AND ({after_subscription}::text IS NULL
             OR (subscription, symbol) >= ({after_subscription}, {after_symbol}))) days
GROUP BY subscription, symbol, state, reason, vendor_condition, island
HAVING {after_subscription}::text IS NULL
       OR (subscription, symbol, min(day)) > ({after_subscription}, {after_symbol}, {after_from}::date)
ORDER BY subscription, symbol, min(day) LIMIT {limit}

-- What of a vendor's data was fetched, day by day.
-- path: /api/v1/coverage/days
-- list: days
-- cursor: subscription, symbol, day
-- limit: 100 1000
-- subscription text: of this subscription only
-- symbol text: of this symbol only
-- from date: from this day on
-- to date: up to this day
-- span: from, to
-- state complete|verified_empty|partial|pending|failed: in this state only
SELECT subscription, symbol, day, state, reason, records, vendor_condition, vendor_last_modified, attempt, updated_at
FROM etl.coverage
WHERE ({subscription}::text IS NULL OR subscription = {subscription}) AND ({symbol}::text IS NULL OR symbol = {symbol})
  AND ({from}::date IS NULL OR day >= {from}::date) AND ({to}::date IS NULL OR day <= {to}::date)
  AND ({state}::text IS NULL OR state = {state})
  AND ({after_subscription}::text IS NULL
       OR (subscription, symbol, day) > ({after_subscription}, {after_symbol}, {after_day}::date))
ORDER BY subscription, symbol, day LIMIT {limit}

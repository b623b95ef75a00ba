-- Windows that were fetched again and held more rows than the vendor has: how many went, or why none did; the newest first.
-- path: /api/v1/withdrawals
-- list: withdrawals
-- cursor: attempt
-- limit: 50 500
-- run integer: of this run only
-- subscription text: of this subscription only
--
SELECT attempt, at, run, subscription, table_name, from_time AS "from", until_time AS until, as_of, delivered, stored, withdrawn, why
FROM etl.withdrawals
WHERE ({run}::bigint IS NULL OR run = {run}::bigint) AND ({subscription}::text IS NULL OR subscription = {subscription})
  AND ({after_attempt}::bigint IS NULL OR attempt < {after_attempt}::bigint)
ORDER BY attempt DESC LIMIT {limit}

-- Backfills that were planned, the newest first: what they would fetch, and the run that did.
-- path: /api/v1/backfills
-- list: backfills
-- cursor: backfill
-- limit: 50 500
-- backfill integer: this one only
-- hash text: of this hash only
-- subscription text: of this subscription only
--
SELECT b.backfill, b.hash, CASE WHEN b.run IS NOT NULL THEN 'approved' WHEN b.hash IS NOT NULL THEN 'planned'
                                WHEN p.status = 'failed' THEN 'failed'
                                WHEN b.totals IS NOT NULL AND b.asked ? 'looks' THEN 'looked' WHEN b.totals IS NOT NULL THEN 'nothing_to_do'
                                ELSE 'planning' END AS state,
       b.subscription, b.asked->>'from' AS "from", ((b.asked->>'to')::date - 1)::text AS "to", b.asked->>'reprocess' AS reprocess,
       (b.asked->>'newest_first')::boolean AS newest_first, b.asked->>'chunk' AS chunk,
       jsonb_array_length(b.asked->'symbols') AS symbols, (b.asked->>'symbols_wanting')::bigint AS symbols_wanting,
       (b.asked->>'symbol_days')::bigint AS symbol_days, (b.asked->>'stretches')::bigint AS stretches, (b.asked->>'corrected_days')::bigint AS corrected_days,
       (b.totals->>'windows')::bigint AS windows, (b.totals->>'calls')::bigint AS calls, (b.totals->>'records')::bigint AS records,
       (b.totals->>'bytes')::bigint AS bytes, b.totals->>'cost_usd' AS cost_usd, b.cost_max_usd::text AS cost_max_usd,
       b.seconds, b.totals->>'vendor_ends_at' AS vendor_ends_at, b.budget_calls, b.budget_usd::text AS budget_usd,
       s.calls AS calls_spent, s.usd::text AS usd_spent, b.planning_run, p.message, b.requested_by, b.created_at,
       b.run, b.approved_by, b.approved_at
FROM (SELECT * FROM etl.backfills b
       WHERE ({backfill}::bigint IS NULL OR backfill = {backfill}::bigint) AND ({hash}::text IS NULL OR hash = {hash})
         AND ({subscription}::text IS NULL OR subscription = {subscription})
         AND ({after_backfill}::bigint IS NULL OR backfill < {after_backfill}::bigint)
       ORDER BY backfill DESC LIMIT {limit}) b
JOIN etl.runs p ON p.run = b.planning_run LEFT JOIN LATERAL (SELECT calls, usd FROM etl.budgets x WHERE x.run = b.run) s ON true
ORDER BY b.backfill DESC

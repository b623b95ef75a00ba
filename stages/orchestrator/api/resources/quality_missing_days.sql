-- Days on which a dataset has daily bars, and a symbol none between its first and its last: sessions, not calendar days.
-- path: /api/v1/quality/missing-days
-- list: missing
-- cursor: day, dataset, symbol
-- limit: 100 1000
-- days integer = 90: of so many days
-- dataset text: of this dataset only
-- symbol text: of this symbol only
WITH bars AS (
    SELECT dataset, symbol, session_date FROM ohlcv_data
     WHERE "interval" = '1d' AND ts_event >= now() - make_interval(days => least({days}::bigint, 36500)::integer)
       AND ({dataset}::text IS NULL OR dataset = {dataset})),
 sessions AS (SELECT DISTINCT dataset, session_date FROM bars),
 spans AS (SELECT dataset, symbol, min(session_date) AS first_day, max(session_date) AS last_day FROM bars
            WHERE {symbol}::text IS NULL OR symbol = {symbol} GROUP BY dataset, symbol)
SELECT p.dataset, p.symbol, s.session_date AS day, c.state AS coverage, c.reason
FROM spans p JOIN sessions s ON s.dataset = p.dataset AND s.session_date BETWEEN p.first_day AND p.last_day
LEFT JOIN LATERAL (SELECT state, reason FROM etl.coverage c WHERE c.symbol = p.symbol AND c.day = s.session_date LIMIT 1) c ON true
WHERE NOT EXISTS (SELECT FROM bars b WHERE b.dataset = p.dataset AND b.symbol = p.symbol AND b.session_date = s.session_date)
  AND ({after_day}::date IS NULL OR s.session_date < {after_day}::date
       OR (s.session_date = {after_day}::date AND (p.dataset, p.symbol) > ({after_dataset}, {after_symbol})))
ORDER BY s.session_date DESC, p.dataset, p.symbol LIMIT {limit}

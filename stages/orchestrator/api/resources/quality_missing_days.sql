-- Sessions that a symbol has no bar of, between its first and its last: those of the exchange's calendar, not calendar days.
-- path: /api/v1/quality/missing-days
-- list: missing
-- cursor: day, dataset, symbol
-- limit: 100 1000
-- days integer = 90: of so many days, where no `from` is named
-- from date: from this day on
-- to date: up to this day; today where nothing is said
-- dataset text: of this dataset only
-- symbol text: of this symbol only
-- interval 1s|1m|1h|1d|eod = 1d: of these bars
-- span: from, to
--
-- Where no calendar is known (common/datasets.yaml), days on which any symbol of the dataset has a bar stand for it.
WITH asked AS (
    SELECT coalesce({from}::date, current_date - least({days}::bigint, 36500)::integer) AS first_day, coalesce({to}::date, current_date) AS last_day),
 bars AS (
    SELECT DISTINCT dataset, symbol, session_date FROM ohlcv_data
     WHERE "interval" = {interval} AND ({dataset}::text IS NULL OR dataset = {dataset})
       AND ts_event >= coalesce({from}::date, current_date - least({days}::bigint, 36500)::integer) - 1
       AND ts_event < coalesce({to}::date, current_date) + 2
       AND session_date BETWEEN (SELECT first_day FROM asked) AND (SELECT last_day FROM asked)),
 days AS (SELECT DISTINCT b.dataset, d.calendar, c.first_day, c.last_day, b.session_date
          FROM bars b LEFT JOIN etl.datasets d USING (dataset) LEFT JOIN etl.calendars c USING (calendar)),
 sessions AS (
    SELECT k.dataset, day AS session_date, k.calendar
      FROM (SELECT dataset, calendar, min(session_date) AS first_day, max(session_date) AS last_day FROM days GROUP BY dataset, calendar) k
     CROSS JOIN LATERAL etl.sessions(k.dataset, k.first_day, k.last_day) AS day
    UNION ALL
    SELECT dataset, session_date, NULL FROM days WHERE (session_date BETWEEN first_day AND last_day) IS NOT TRUE),
 spans AS (SELECT dataset, symbol, min(session_date) AS first_day, max(session_date) AS last_day FROM bars
            WHERE {symbol}::text IS NULL OR symbol = {symbol} GROUP BY dataset, symbol)
SELECT p.dataset, p.symbol, s.session_date AS day, s.calendar, c.state AS coverage, c.reason
FROM spans p JOIN sessions s ON s.dataset = p.dataset AND s.session_date BETWEEN p.first_day AND p.last_day
LEFT JOIN LATERAL (SELECT state, reason FROM etl.coverage c WHERE c.symbol = p.symbol AND c.day = s.session_date LIMIT 1) c ON true
WHERE NOT EXISTS (SELECT FROM bars b WHERE b.dataset = p.dataset AND b.symbol = p.symbol AND b.session_date = s.session_date)
  AND ({after_day}::date IS NULL OR s.session_date < {after_day}::date
       OR (s.session_date = {after_day}::date AND (p.dataset, p.symbol) > ({after_dataset}, {after_symbol})))
ORDER BY s.session_date DESC, p.dataset, p.symbol LIMIT {limit}

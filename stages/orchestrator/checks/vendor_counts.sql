-- Windows of this run for which the vendor counts other than it delivered.
SELECT count(*) AS observed, 0 AS expected,
       coalesce(min(format('vendor counts %s records, %s were delivered: subscription %s, %s to %s',
                           to_char(expected, 'FM999,999,999,999,999,990'), to_char(delivered, 'FM999,999,999,999,999,990'),
                           subscription, starts, ends)), '') AS detail
FROM (SELECT t.subscription, t.parameters->>'start' AS starts, t.parameters->>'end' AS ends,
             (a.result->>'expected_records')::numeric AS expected, (a.result->>'records')::numeric AS delivered
      FROM etl.attempts a JOIN etl.tasks t USING (task)
      WHERE a.run = $1::bigint AND t.quote IS NOT NULL AND a.state = 'done' AND a.closed_at IS NOT NULL AND NOT a.expired
        AND jsonb_typeof(a.result->'expected_records') = 'number' AND jsonb_typeof(a.result->'records') = 'number') x
WHERE expected <> delivered

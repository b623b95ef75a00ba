-- What fetchers said last of each attempt, the newest attempts first.
-- path: /api/v1/events
-- list: events
-- cursor: attempt
-- limit: 50 500
-- run integer: of this run only
-- state sending|sent|running|done|failed|abandoned: in this state only
--
-- Every single event is in the topic (`penstock events`); the last has all counts, as they are cumulative.
SELECT attempt, task, run, state, fetched, refused, skipped, input_bytes, worker, last_event_at AS ts, message
  FROM etl.attempts
 WHERE ({run}::bigint IS NULL OR run = {run}::bigint) AND ({state}::text IS NULL OR state = {state})
   AND ({after_attempt}::bigint IS NULL OR attempt < {after_attempt}::bigint)
 ORDER BY attempt DESC LIMIT {limit}

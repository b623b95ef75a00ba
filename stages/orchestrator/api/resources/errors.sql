-- What went wrong in the last minutes, as the database knows it, and alarms that stand, whenever they began.
-- path: /api/v1/errors
-- list: errors
-- minutes integer = 60: so many
--
-- What was refused is the data's fault, and an attempt that was given up is followed by another: these are no trouble of the
-- pipeline's own.
SELECT kind, name, errors, last_at, trouble FROM (
    SELECT 'dead letters' AS kind, class AS name, count(*) AS errors, max(failed_at) AS last_at, false AS trouble
      FROM etl.dead_letters WHERE failed_at > now() - make_interval(mins => least({minutes}::bigint, 5256000)::integer) GROUP BY class
    UNION ALL
    SELECT 'attempts', state, count(*), max(coalesce(closed_at, last_event_at)), state = 'failed' FROM etl.attempts
     WHERE state IN ('failed', 'abandoned')
       AND (closed_at > now() - make_interval(mins => least({minutes}::bigint, 5256000)::integer)
            OR (closed_at IS NULL AND last_event_at > now() - make_interval(mins => least({minutes}::bigint, 5256000)::integer)))
     GROUP BY state
    UNION ALL
    SELECT 'runs', status, count(*), max(finished_at), true FROM etl.runs
     WHERE status = 'failed' AND finished_at > now() - make_interval(mins => least({minutes}::bigint, 5256000)::integer) GROUP BY status
    UNION ALL
    SELECT 'alarms', name, count(*), max(since), true
      FROM (SELECT name, since FROM etl.alarms UNION ALL SELECT 'offset_gap', since FROM etl.gaps
            UNION ALL SELECT name, since FROM etl.breaker_alarms
            UNION ALL SELECT name, since FROM etl.database_alarms) a GROUP BY name) e
ORDER BY trouble DESC, kind, name

-- Runs, the newest first.
-- path: /api/v1/runs
-- list: runs
-- cursor: run
-- limit: 50 500
-- run integer: this one only
-- kind text: of this kind only: full, backfill, replay, …
-- status pending|running|checking|success|failed: in this state only
--
-- Closed means that count and mix once agreed; as the ledger only ever grows, an equal count now means that they still do.
-- Records of an attempt that expired are in flight no more, and its task's next one stands for it.
SELECT r.run, r.kind, r.status, r.held, a.unbalanced = 0 AND t.open = 0 AND r.status <> 'pending' AS balanced,
       a.fetched, a.inserted, a.updated, a.unchanged, a.duplicate, a.superseded, a.dead_letters,
       a.in_flight, a.skipped,
       (SELECT coalesce(sum(w.withdrawn), 0)::bigint FROM etl.withdrawals w WHERE w.run = r.run) AS withdrawn, a.expired_attempts, a.expired_records, t.tasks, t.closed AS tasks_closed,
       r.created_at, r.started_at, r.finished_at, r.requested_by, r.message,
       (SELECT coalesce(json_agg(json_build_object('name', c.name, 'passed', c.passed, 'observed', c.observed,
                                                   'expected', c.expected, 'detail', c.detail) ORDER BY c.name), '[]')
          FROM etl.run_checks c WHERE c.run = r.run) AS checks
FROM (SELECT * FROM etl.runs
       WHERE ({run}::bigint IS NULL OR run = {run}::bigint) AND ({kind}::text IS NULL OR kind = {kind})
         AND ({status}::text IS NULL OR status = {status}) AND ({after_run}::bigint IS NULL OR run < {after_run}::bigint)
       ORDER BY run DESC LIMIT {limit}) r
CROSS JOIN LATERAL (
    SELECT coalesce(sum(x.fetched), 0)::bigint AS fetched, coalesce(sum(x.skipped), 0)::bigint AS skipped,
           coalesce(sum(x.inserted), 0)::bigint AS inserted, coalesce(sum(x.updated), 0)::bigint AS updated,
           coalesce(sum(x.unchanged), 0)::bigint AS unchanged, coalesce(sum(x.duplicate), 0)::bigint AS duplicate,
           coalesce(sum(x.superseded), 0)::bigint AS superseded, coalesce(sum(x.dead_letters), 0)::bigint AS dead_letters,
           coalesce(sum(x.fetched - x.records) FILTER (WHERE NOT x.expired), 0)::bigint AS in_flight,
           count(*) FILTER (WHERE x.expired) AS expired_attempts,
           coalesce(sum(x.fetched - x.records) FILTER (WHERE x.expired), 0)::bigint AS expired_records,
           count(*) FILTER (WHERE CASE WHEN x.expired
                                  THEN NOT EXISTS (SELECT FROM etl.attempts later WHERE later.task = x.task AND later.attempt > x.attempt)
                                  ELSE x.closed_at IS NULL OR x.fetched <> x.records END) AS unbalanced
    FROM etl.accounts_to_sum x WHERE x.run = r.run) a
CROSS JOIN LATERAL (
    SELECT count(*) AS tasks, count(*) FILTER (WHERE state = 'closed') AS closed,
           count(*) FILTER (WHERE state IN ('pending', 'dispatched')) AS open
    FROM etl.tasks WHERE run = r.run) t
ORDER BY r.run DESC

-- Who changed what, the newest first.
-- path: /api/v1/audit
-- list: audit
-- role: admin
-- cursor: id
-- limit: 50 500
-- who text: by this token only
-- action text: this action only: run.create, token.create, token.revoke, dead_letters.review, dead_letters.discard, dead_letters.resolve, dead_letters.replay, breaker.reset, backfill.plan, backfill.approve, run.pause, run.resume, run.cancel, run.retry
-- since time: at this time or later
SELECT id, at, who, role, action, target, detail FROM etl.audit
WHERE ({who}::text IS NULL OR who = {who}) AND ({action}::text IS NULL OR action = {action})
  AND ({since}::timestamptz IS NULL OR at >= {since}::timestamptz) AND ({after_id}::bigint IS NULL OR id < {after_id}::bigint)
ORDER BY id DESC LIMIT {limit}

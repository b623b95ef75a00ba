-- Tokens and their roles; never the tokens themselves.
-- path: /api/v1/tokens
-- list: tokens
-- role: admin
-- cursor: name
-- limit: 100 1000
SELECT name, role, CASE WHEN revoked_at IS NOT NULL THEN 'revoked' WHEN expires_at <= now() THEN 'expired' ELSE 'good' END AS state,
       created_by, created_at, expires_at, revoked_at, last_used_at
FROM etl.tokens WHERE {after_name}::text IS NULL OR name > {after_name} ORDER BY name LIMIT {limit}

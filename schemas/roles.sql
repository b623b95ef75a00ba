-- Which role may do what in the database: the one place of these facts. A role is a group, which the role that a program logs in with is
-- a member of (CREATE ROLE … LOGIN IN ROLE penstock_loader). `penstock db roles apply` makes them and grants just this, as the owner of
-- the tables; `penstock db migrate` does it again for those that are there.
--
-- What there is: `database`; `schema etl`, `schema rows`: where the rows are, `schema by_region`; `etl.NAME`, of it (COLUMN COLUMN);
-- `etl.*`: its tables and views, less those behind a minus; `rows`: the tables of rows, their partitions, and those of replays beside
-- them; `rows to come`: those that will be made; `views`: of rows; `function etl.NAME`.
SELECT * FROM (VALUES
    ('penstock_loader', 'CONNECT TEMPORARY', 'database'),
    ('penstock_loader', 'USAGE', 'schema etl, schema rows'),
    ('penstock_loader', 'SELECT INSERT UPDATE', 'rows, rows to come'),
    ('penstock_loader', 'EXECUTE', 'function etl.ensure_month, function etl.unpack_months, function etl.touch'),
    ('penstock_loader', 'SELECT INSERT UPDATE', 'etl.offsets, etl.ledger'),
    ('penstock_loader', 'SELECT INSERT', 'etl.dead_letters, etl.restatements'),
    ('penstock_loader', 'UPDATE', 'etl.dead_letters (letter_topic letter_partition letter_offset)'),
    ('penstock_loader', 'INSERT', 'etl.seen_keys'),
    ('penstock_loader', 'SELECT', 'etl.attempts, etl.tasks, etl.runs, etl.letters_put_back, etl.withdrawals, etl.migrations, etl.hypertables'),

    ('penstock_orchestrator', 'CONNECT', 'database'),
    ('penstock_orchestrator', 'USAGE', 'schema etl, schema rows'),
    ('penstock_orchestrator', 'SELECT', 'rows, rows to come, views, etl.*'),
    ('penstock_orchestrator', 'EXECUTE', 'function etl.withdraw, function etl.make_side, function etl.drop_side'),
    ('penstock_orchestrator', 'INSERT UPDATE', 'etl.runs, etl.tasks, etl.attempts, etl.run_checks, etl.leader, etl.offsets, etl.breakers, etl.backfills'),
    ('penstock_orchestrator', 'INSERT UPDATE', 'etl.vendor_days, etl.dead_letter_states, etl.tokens'),
    ('penstock_orchestrator', 'INSERT UPDATE DELETE', 'etl.alarms, etl.gaps, etl.coverage, etl.breaker_judged, etl.stage_breakers, etl.database_jobs'),
    ('penstock_orchestrator', 'INSERT', 'etl.audit, etl.dead_letter_reviews, etl.expired, etl.replays, etl.run_rules, etl.attempt_rules'),
    ('penstock_orchestrator', 'UPDATE', 'etl.lease, etl.audit (target detail)'),
    ('penstock_orchestrator', 'DELETE', 'etl.seen_keys, etl.touched'),

    -- Of a person: penstock offsets ls, offsets skip
    ('penstock_operator', 'CONNECT', 'database'),
    ('penstock_operator', 'USAGE', 'schema etl'),
    ('penstock_operator', 'SELECT INSERT UPDATE', 'etl.offsets'),
    ('penstock_operator', 'SELECT INSERT DELETE', 'etl.expired'),

    -- Of analysts, and of tools that show what is there
    ('penstock_reader', 'CONNECT', 'database'),
    ('penstock_reader', 'USAGE', 'schema etl, schema rows, schema by_region'),
    ('penstock_reader', 'SELECT', 'rows, rows to come, views, etl.* - etl.tokens etl.audit')
) AS facts (role, may, what)

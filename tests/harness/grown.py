"""A database that has grown: as many attempts, dead letters and bars as wanted, made by the server itself, the same each time.

Times end with the current hour, so that what is asked of the last day finds something; all else depends on the numbers
alone. Rows come in the order of their keys, through every index and trigger that the product has.
"""

import time

RUN_ATTEMPTS = 1000  # of a run, as a rule, where nothing is said
LARGE_RUN_ATTEMPTS = 100_000  # of one run among them: orchestrator.tasks_max
LETTERS_OF_ATTEMPT = 10
SUBSCRIPTIONS, SYMBOLS = 20, 200
DAYS = 100  # that the attempts are spread over
BARS_BEGIN = "2024-01-01"
DAILY_BARS = 366  # of each symbol, beside those of a minute
STEP = 5_000_000  # rows of a statement

# What a row's number means. n: attempts from 0 on, a run's beside each other.
PREPARE = f"""
CREATE SCHEMA grown;
CREATE TABLE grown.size AS SELECT %(attempts)s::bigint AS attempts, date_trunc('hour', now()) AS newest;
CREATE FUNCTION grown.at(n bigint) RETURNS timestamptz LANGUAGE sql STABLE AS
    $$ SELECT newest - (attempts - n) * (interval '{DAYS} days' / attempts) FROM grown.size $$;
CREATE FUNCTION grown.symbol(n bigint) RETURNS text LANGUAGE sql IMMUTABLE AS
    $$ SELECT 'SYM' || lpad((n %% {SYMBOLS})::text, 4, '0') $$;
CREATE FUNCTION grown.subscription(n bigint) RETURNS text LANGUAGE sql IMMUTABLE AS
    $$ SELECT 'subscription-' || lpad((n %% {SUBSCRIPTIONS})::text, 2, '0') $$;
-- Attempts 0 … large - 1 are those of the large run, which is the first; the others follow, as many each as a run has as a rule.
CREATE FUNCTION grown.run(n bigint) RETURNS bigint LANGUAGE sql IMMUTABLE AS
    $$ SELECT CASE WHEN n < %(large)s THEN 1 ELSE 2 + (n - %(large)s) / %(run_attempts)s END $$;
-- Milliseconds and bits, as the orchestrator makes them.
CREATE TABLE grown.attempts AS
    SELECT n, ((extract(epoch FROM grown.at(n)) * 1000)::bigint << 22) + n * 7919 %% 4194304 AS attempt, grown.at(n) AS at
    FROM generate_series(0::bigint, %(attempts)s - 1) AS n;
CREATE UNIQUE INDEX ON grown.attempts (n);
VACUUM ANALYZE grown.attempts;
"""

RUNS = """
INSERT INTO etl.runs (kind, status, requested_by, created_at, started_at, finished_at)
SELECT 'full', CASE WHEN grown.run(n) % 17 = 0 THEN 'failed' ELSE 'success' END, 'configuration', min(at), min(at), max(at)
FROM grown.attempts GROUP BY grown.run(n) ORDER BY grown.run(n)
"""

BACKFILLS = """
INSERT INTO etl.backfills (hash, subscription, asked, coverage, quotes, windows, totals, cost_usd, cost_max_usd, budget_calls, planning_run,
                           requested_by, run)
SELECT left(md5(run::text), 16), 'subscription-' || lpad((run % 20)::text, 2, '0'),
       '{"symbols": ["A"], "from": "2024-01-01", "to": "2024-02-01", "reprocess": "missing", "newest_first": false, "chunk": "month",
         "symbols_wanting": 1, "symbol_days": 31, "stretches": 1}',
       '', '[]', '[]', '{"windows": 1, "calls": 2, "records": 100, "bytes": 5600, "cost_usd": "1"}', 1, 1, 100, run, 'configuration', run
FROM etl.runs ORDER BY run
"""

CHECKS = """
INSERT INTO etl.run_checks (run, name, passed, observed, expected)
SELECT run, name, true, 0, 0 FROM etl.runs, unnest('{counts,dead_letters,duplicate_keys,ohlc_order,unique_partitions}'::text[]) AS name
"""

TASKS = """
INSERT INTO etl.tasks (run, subscription, source, parameters, state, created_at)
SELECT grown.run(n), grown.subscription(n), 'file', json_build_object('path', '/data/' || n || '.dbn.zst')::jsonb, 'closed', at
FROM grown.attempts ORDER BY n
"""

# After their accounts, as an attempt is closed when it is accounted for.
ATTEMPTS = """
INSERT INTO etl.attempts (attempt, task, run, source, slot, state, slot_offset, fetched, worker, created_at, sent_at, last_event_at,
                          closed_at)
SELECT attempt, n + 1, grown.run(n), 'file', n % 8, 'done', n / 8, 110, 'fetcher-1', at, at, at, at + interval '10 seconds'
FROM grown.attempts ORDER BY n
"""

LEDGER = """
INSERT INTO etl.ledger (attempt, topic, partition, outcome, records, mix)
SELECT attempt, 'etl.clean.ohlcv', partition, 'inserted', 50, 1 FROM grown.attempts, generate_series(0, 1) AS partition
UNION ALL SELECT attempt, 'etl.dlq', 0, 'dead_letter', 10, 1 FROM grown.attempts ORDER BY 1, 2, 3
"""

COVERAGE = f"""
INSERT INTO etl.coverage (subscription, symbol, day, state, records, request, attempt, updated_at)
SELECT grown.subscription(subscription), grown.symbol(symbol), date '{BARS_BEGIN}' + day::integer,
       CASE WHEN day % 97 = 0 THEN 'partial' WHEN day % 7 > 4 THEN 'verified_empty' ELSE 'complete' END, 1440, 'ohlcv-1m', 1, newest
FROM grown.size, generate_series(0, {SUBSCRIPTIONS} - 1) AS subscription, generate_series(0, {SYMBOLS} - 1) AS symbol,
     generate_series(1, greatest(attempts / {SUBSCRIPTIONS * SYMBOLS}, 1)) AS day
ORDER BY 1, 2, 3
"""

RESTATEMENTS = f"""
INSERT INTO etl.restatements (kind, table_name, old_row, old_attempt, new_attempt, restated_at, symbol, at, old_as_of, new_as_of, changes, key_hash)
SELECT CASE WHEN n % 1000 = 0 THEN 'withdrawn' ELSE 'restated' END, CASE WHEN n % 500 = 0 THEN 'trades_data' ELSE 'ohlcv_data' END,
       json_build_object('symbol', grown.symbol(n / 10), 'interval', '1m', 'dataset', 'GLBX.MDP3', 'ts_event', r.row_at, 'close_price', 1.25)::jsonb,
       attempt - 1, attempt, at, grown.symbol(n / 10), r.row_at, at - interval '1 day', at, '{{"close_price": 1.5}}',
       CASE WHEN n % 1000 = 0 THEN n END
FROM grown.attempts CROSS JOIN LATERAL (SELECT timestamptz '{BARS_BEGIN}' + n % 500000 * interval '1 minute' AS row_at) r WHERE n % 10 = 0 ORDER BY n
"""

WITHDRAWALS = """
INSERT INTO etl.withdrawals (attempt, run, subscription, table_name, from_time, until_time, as_of, delivered, stored, withdrawn, at)
SELECT attempt, grown.run(n), grown.subscription(n), 'ohlcv_data', at, at + interval '1 day', at, 99, 100, 1, at
FROM grown.attempts WHERE n % 10 = 0 ORDER BY n
"""

AUDIT = """
INSERT INTO etl.audit (at, who, role, action, target)
SELECT at, 'person-' || n / 10 % 50, 'operator', CASE WHEN n % 1000 = 0 THEN 'token.create' ELSE 'run.create' END, n::text
FROM grown.attempts WHERE n % 10 = 0 ORDER BY n
"""

REVIEWS = """
INSERT INTO etl.dead_letter_reviews (up_to, who, reviewed_at)
SELECT n, 'person-1', at FROM grown.attempts WHERE n % 100 = 0 ORDER BY n
"""

EXPIRED = """
INSERT INTO etl.expired (consumer_group, topic, partition, from_offset, to_offset, why, who, booked_at)
SELECT 'etl.loader', 'etl.clean.ohlcv', n % 8, n, n + 1, 'retention', 'person-1', at FROM grown.attempts WHERE n % 100 = 0 ORDER BY n
"""

# m: letters from 0 on; each is one of {LETTERS_OF_ATTEMPT} of an attempt.
LETTERS = f"""
INSERT INTO etl.dead_letters (attempt, ordinal, class, schema, symbol, day, stage, rules, rules_version, message, record, key, value,
                              headers, origin_topic, origin_partition, origin_offset, letter_topic, letter_partition, letter_offset,
                              failed_at, archived_at)
SELECT a.attempt, 1 + m % {LETTERS_OF_ATTEMPT}, l.class, 'ohlcv-1m', grown.symbol(m), date '{BARS_BEGIN}' + (m % 700)::integer, l.stage,
       l.rules, '3', l.message, '{{"symbol": "' || grown.symbol(m) || '", "open": "12.25", "high": "12.00", "low": "11.75"}}',
       grown.symbol(m)::bytea, decode(repeat('ab', 40), 'hex'),
       jsonb_build_object('etl.class', l.class, '__connect.errors.exception.class.name', l.error_type),
       'etl.raw.ohlcv', m % 8, m / 8, 'etl.dlq', m % 8, m / 8, a.at, a.at
FROM generate_series(%(first)s, %(last)s) AS m
JOIN grown.attempts a ON a.n = m / {LETTERS_OF_ATTEMPT}
CROSS JOIN LATERAL (SELECT CASE WHEN m % 10 < 8 THEN 'validation_failures' WHEN m % 10 = 8 THEN 'decode_errors' ELSE 'load_errors' END AS class,
                           CASE WHEN m % 10 < 8 THEN 'validator' WHEN m % 10 = 8 THEN 'fetcher' ELSE 'loader' END AS stage,
                           CASE WHEN m % 10 < 8 THEN 'BusinessLogicValidation' ELSE 'Malformed' END AS error_type,
                           CASE WHEN m % 1000 = 0 THEN '{{SYMBOL_UNKNOWN}}'::text[] WHEN m % 10 < 4 THEN '{{HIGH_LESS_THAN_LOW}}'
                                WHEN m % 10 < 8 THEN '{{HIGH_LESS_THAN_OPEN,HIGH_LESS_THAN_CLOSE}}' ELSE '{{}}' END AS rules,
                           'high 12.00 is less than ' || m % 100 AS message) l
ORDER BY m
"""

# One in a hundred is decided upon, mostly discarded.
STATES = """
INSERT INTO etl.dead_letter_states (letter, state, audit)
SELECT id, CASE WHEN id % 10000 = 0 THEN 'resolved' WHEN id % 1000 = 0 THEN 'replayed' ELSE 'discarded' END, (SELECT min(id) FROM etl.audit)
FROM etl.dead_letters WHERE id % 100 = 0
"""

# i: of one month, symbol by symbol.
BARS = f"""
INSERT INTO ohlcv_data (symbol, "interval", ts_event, dataset, publisher_id, instrument_id, open_price, high_price, low_price, close_price,
                        volume, ticker, venue, session_date, session_basis, flags, attempt, as_of)
SELECT grown.symbol(i / %(count)s), %(interval)s, b.at, 'GLBX.MDP3', 1, i / %(count)s, 12.25, 12.75, 11.5, 12.5, i %% 1000,
       grown.symbol(i / %(count)s), NULL, b.at::date, 'utc', 0, a.attempt, a.at
FROM generate_series(0, %(count)s::bigint * {SYMBOLS} - 1) AS i
CROSS JOIN LATERAL (SELECT date %(begin)s + (%(first)s + i %% %(count)s) * %(step)s::interval AS at) b,
     (SELECT attempt, at FROM grown.attempts WHERE n = 0) a
"""

GROWING = (
    "etl.runs", "etl.backfills", "etl.run_checks", "etl.tasks", "etl.attempts", "etl.ledger", "etl.coverage", "etl.restatements",
    "etl.withdrawals", "etl.audit",
    "etl.dead_letter_reviews", "etl.expired", "etl.dead_letters", "etl.dead_letter_states", "ohlcv_data",
)  # fmt: skip


def timed(what, begun, say):
    say(f"  {what}: {time.monotonic() - begun:.0f} s")


def literal(value):
    return "'" + value + "'" if isinstance(value, str) else str(value)


def filled(statement, **values):
    return statement % {name: literal(value) for name, value in values.items()}


def fill_letters(pipeline, letters, say):
    for first in range(0, letters, STEP):
        begun = time.monotonic()
        last = min(first + STEP, letters) - 1
        pipeline.query(LETTERS.replace("%(first)s", str(first)).replace("%(last)s", str(last)))
        timed(f"dead letters up to {last + 1:,}", begun, say)
    pipeline.query(STATES)


def months(pipeline, minutes):
    """Of the bars: the first minute and the last of each month, and its first day, as numbers from the beginning."""
    return pipeline.query(
        f"SELECT month::date, extract(epoch FROM month - timestamp '{BARS_BEGIN}')::bigint / 60,"
        f" extract(epoch FROM month + interval '1 month' - timestamp '{BARS_BEGIN}')::bigint / 60 - 1"
        f" FROM generate_series(timestamp '{BARS_BEGIN}', timestamp '{BARS_BEGIN}'"
        f" + greatest(interval '1 minute' * {minutes}, interval '{DAILY_BARS} days') - interval '1 minute', interval '1 month') AS month"
    )


def fill_bars(pipeline, bars, say):
    """Month by month; of each, days and then minutes."""
    minutes = bars // SYMBOLS
    for month, first, last in months(pipeline, minutes):
        begun = time.monotonic()
        pipeline.query(f"SELECT etl.ensure_month('ohlcv_data', '{month}')")
        for interval, step, span, count in (("1d", "1 day", 1440, DAILY_BARS), ("1m", "1 minute", 1, minutes)):
            a, b = first // span, min(last // span, count - 1)
            if a <= b:
                pipeline.query(filled(BARS, interval=interval, step=step, begin=BARS_BEGIN, first=a, count=b - a + 1))
        timed(f"bars of {month}", begun, say)


def fill(pipeline, attempts, letters, bars, run_attempts=RUN_ATTEMPTS, say=lambda line: None):
    """Into a database that was migrated and is empty otherwise. letters: up to ten times as many as attempts."""
    assert letters <= attempts * LETTERS_OF_ATTEMPT and bars >= SYMBOLS
    large = min(LARGE_RUN_ATTEMPTS, attempts // 10)
    for statement in filled(PREPARE, attempts=attempts, large=large, run_attempts=run_attempts).split(";\n"):
        if statement.strip():
            pipeline.query(statement)
    made = (RUNS, BACKFILLS, CHECKS, TASKS, LEDGER, ATTEMPTS, COVERAGE, RESTATEMENTS, WITHDRAWALS, AUDIT, REVIEWS, EXPIRED)
    for statement in made:
        begun = time.monotonic()
        pipeline.query(statement)
        timed(statement.split()[2], begun, say)
    fill_letters(pipeline, letters, say)
    fill_bars(pipeline, bars, say)
    for table in GROWING:
        begun = time.monotonic()
        pipeline.query(f"VACUUM ANALYZE {table}")
        timed(f"VACUUM ANALYZE {table}", begun, say)

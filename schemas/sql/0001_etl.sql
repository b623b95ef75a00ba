-- The pipeline's own tables: runs and what they asked for, offsets, the ledger, dead letters.
CREATE SCHEMA IF NOT EXISTS etl;

CREATE TABLE etl.runs (
    run          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind         text NOT NULL CHECK (kind IN ('full', 'backfill', 'replay', 'sync', 'enrichment', 'bootstrap', 'validation')),
    status       text NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'running', 'checking', 'success', 'failed')),
    options      jsonb NOT NULL DEFAULT '{}',
    requested_by text NOT NULL DEFAULT '',
    message      text NOT NULL DEFAULT '',
    created_at   timestamptz NOT NULL DEFAULT now(),
    started_at   timestamptz,
    finished_at  timestamptz
);
CREATE INDEX runs_open ON etl.runs (run) WHERE status IN ('pending', 'running', 'checking');

CREATE TABLE etl.tasks (
    task         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    run          bigint NOT NULL REFERENCES etl.runs,
    subscription text NOT NULL,
    source       text NOT NULL,
    parameters   jsonb NOT NULL,
    state        text NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'dispatched', 'closed', 'failed')),
    message      text NOT NULL DEFAULT '',
    created_at   timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX tasks_of_run ON etl.tasks (run, task);
CREATE INDEX tasks_pending ON etl.tasks (task) WHERE state = 'pending';

-- The outbox: an attempt is committed as 'sending', produced, then marked 'sent' with its place in the slot.
CREATE TABLE etl.attempts (
    attempt      bigint PRIMARY KEY,
    task         bigint NOT NULL REFERENCES etl.tasks,
    run          bigint NOT NULL REFERENCES etl.runs,
    source       text NOT NULL,
    slot         integer NOT NULL,
    state        text NOT NULL DEFAULT 'sending'
                 CHECK (state IN ('sending', 'sent', 'running', 'done', 'failed', 'abandoned')),
    slot_offset  bigint,
    fetched      bigint NOT NULL DEFAULT 0,
    refused      bigint NOT NULL DEFAULT 0,
    skipped      bigint NOT NULL DEFAULT 0,
    input_bytes  bigint NOT NULL DEFAULT 0,
    worker       text NOT NULL DEFAULT '',
    message      text NOT NULL DEFAULT '',
    created_at   timestamptz NOT NULL DEFAULT now(),
    sent_at      timestamptz,
    last_event_at timestamptz,
    closed_at    timestamptz -- set once terminal and count and mix balance
);
CREATE INDEX attempts_of_task ON etl.attempts (task);
CREATE INDEX attempts_of_run ON etl.attempts (run, attempt);
CREATE INDEX attempts_open ON etl.attempts (source, slot) WHERE closed_at IS NULL;

-- Offsets of consumers whose effects are in this database; written in the transaction that has the effect.
CREATE TABLE etl.offsets (
    consumer_group text NOT NULL,
    topic          text NOT NULL,
    partition      integer NOT NULL,
    epoch          bigint NOT NULL DEFAULT 0,
    next_offset    bigint NOT NULL DEFAULT 0,
    owner          text NOT NULL DEFAULT '',
    updated_at     timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (consumer_group, topic, partition)
);

-- What became of every fetched record: per attempt count and sum of mix64(ordinal) modulo 2^64, by outcome.
CREATE TABLE etl.ledger (
    attempt   bigint NOT NULL,
    topic     text NOT NULL,
    partition integer NOT NULL,
    outcome   text NOT NULL CHECK (outcome IN
              ('inserted', 'updated', 'unchanged', 'duplicate', 'superseded', 'dead_letter')),
    records   bigint NOT NULL,
    mix       numeric(20) NOT NULL,
    PRIMARY KEY (attempt, topic, partition, outcome)
);

-- Every dead letter that was published. Letters of our records are keyed by attempt and ordinal (0: the task itself),
-- foreign ones (no lineage) by where they stood.
CREATE TABLE etl.dead_letters (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    attempt     bigint,
    ordinal     bigint,
    class       text NOT NULL,
    schema      text NOT NULL DEFAULT '',
    symbol      text NOT NULL DEFAULT '',
    day         date,
    stage       text NOT NULL DEFAULT '',
    rules       text[] NOT NULL DEFAULT '{}',
    rules_version text NOT NULL DEFAULT '',
    message     text NOT NULL DEFAULT '',
    record      text NOT NULL DEFAULT '',
    replays     integer NOT NULL DEFAULT 0,
    key         bytea,
    value       bytea,
    headers     jsonb NOT NULL DEFAULT '{}',
    origin_topic     text NOT NULL DEFAULT '',
    origin_partition integer,
    origin_offset    bigint,
    letter_topic     text NOT NULL,
    letter_partition integer NOT NULL,
    letter_offset    bigint NOT NULL,
    failed_at   timestamptz NOT NULL,
    archived_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (attempt, ordinal, replays),
    UNIQUE (letter_topic, letter_partition, letter_offset)
);
CREATE INDEX dead_letters_class_day ON etl.dead_letters (class, day);
-- A letter without lineage that the loader published twice (its batch was read again) is archived once: what was
-- refused, where it stood, and by whom.
CREATE UNIQUE INDEX dead_letters_foreign
    ON etl.dead_letters (origin_topic, origin_partition, origin_offset, md5(stage), md5(coalesce(value, '')), replays)
 WHERE attempt IS NULL AND origin_topic <> '' AND origin_offset IS NOT NULL;

CREATE TABLE etl.run_checks (
    run      bigint NOT NULL REFERENCES etl.runs,
    name     text NOT NULL,
    passed   boolean NOT NULL,
    observed bigint NOT NULL,
    expected bigint NOT NULL,
    detail   text NOT NULL DEFAULT '',
    checked_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (run, name)
);

-- The one active orchestrator: the row's epoch is raised by each that becomes active and checked by its writes.
CREATE TABLE etl.leader (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    epoch    bigint NOT NULL DEFAULT 0,
    holder   text NOT NULL DEFAULT '',
    since    timestamptz NOT NULL DEFAULT now()
);
INSERT INTO etl.leader DEFAULT VALUES ON CONFLICT DO NOTHING;

-- What the orchestrator found wrong with an attempt's account. A row goes when it is right again.
CREATE TABLE etl.alarms (
    attempt bigint NOT NULL REFERENCES etl.attempts,
    name    text NOT NULL CHECK (name IN ('in_flight_negative', 'ledger_mix_differs', 'attempt_stalled',
                                          'attempt_silent', 'ledger_changed_after_close')),
    message text NOT NULL,
    since   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (attempt, name)
);

-- For the look at accounts that changed after they were closed: the last hour's only.
CREATE INDEX attempts_closed ON etl.attempts (closed_at) WHERE closed_at IS NOT NULL;

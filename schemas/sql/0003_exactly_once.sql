-- What a takeover compares with the log before it goes on: a log that was cut, or made anew, is noticed.
ALTER TABLE etl.offsets
    ADD COLUMN cluster_id        text NOT NULL DEFAULT '',
    ADD COLUMN last_offset       bigint, -- of the last record that had its effect
    ADD COLUMN last_timestamp_ms bigint,
    ADD COLUMN last_crc          bigint, -- CRC-32 of its key and value
    ADD COLUMN starts            integer NOT NULL DEFAULT 0, -- times that somebody began at next_offset and did not get past it
    ADD COLUMN stopped           text NOT NULL DEFAULT '';   -- why nobody reads on; empty: somebody does

-- Records that nobody will read: somebody decided to go on behind them.
CREATE TABLE etl.expired (
    id             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    consumer_group text NOT NULL,
    topic          text NOT NULL,
    partition      integer NOT NULL,
    from_offset    bigint NOT NULL,
    to_offset      bigint NOT NULL,
    why            text NOT NULL,
    who            text NOT NULL,
    booked_at      timestamptz NOT NULL DEFAULT now()
);

-- Partitions that a group cannot go on in, as the active orchestrator sees them. A row goes when it can again.
CREATE TABLE etl.gaps (
    consumer_group text NOT NULL,
    topic          text NOT NULL,
    partition      integer NOT NULL,
    message        text NOT NULL,
    since          timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (consumer_group, topic, partition)
);

-- Some of its records expired: its account can never balance, its task is fetched again.
ALTER TABLE etl.attempts ADD COLUMN expired boolean NOT NULL DEFAULT false;

ALTER TABLE etl.alarms DROP CONSTRAINT alarms_name_check;
ALTER TABLE etl.alarms ADD CONSTRAINT alarms_name_check
    CHECK (name IN ('in_flight_negative', 'ledger_mix_differs', 'attempt_stalled', 'attempt_silent', 'attempt_lost',
                    'ledger_changed_after_close'));

-- The loader's own letters are written here in the transaction that refuses the record, and published afterwards: until
-- then they stand nowhere in etl.dlq.
ALTER TABLE etl.dead_letters
    ALTER COLUMN letter_topic DROP NOT NULL,
    ALTER COLUMN letter_partition DROP NOT NULL,
    ALTER COLUMN letter_offset DROP NOT NULL;
-- A topic that is made anew gives the same places away again: what is archived once is told by the offsets alone.
ALTER TABLE etl.dead_letters DROP CONSTRAINT dead_letters_letter_topic_letter_partition_letter_offset_key;
CREATE INDEX dead_letters_place ON etl.dead_letters (letter_topic, letter_partition, letter_offset);
CREATE INDEX dead_letters_unpublished ON etl.dead_letters (id) WHERE letter_topic IS NULL;

-- Renewed by the active orchestrator every few seconds; a table of its own, as transactions hold the leader's row.
CREATE TABLE etl.lease (
    only_row   boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    epoch      bigint NOT NULL DEFAULT 0,
    renewed_at timestamptz NOT NULL DEFAULT now()
);
INSERT INTO etl.lease DEFAULT VALUES;

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

-- Which rule sets judged an attempt's records: name and fingerprint, as validators say it. More than one where validators had
-- different ones, or were started anew with another meanwhile.
CREATE TABLE etl.attempt_rules (
    attempt     bigint NOT NULL,
    record_type text NOT NULL,
    rule_set    text NOT NULL, -- ohlcv@1a2b3c4d
    told_at     timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (attempt, record_type, rule_set)
);

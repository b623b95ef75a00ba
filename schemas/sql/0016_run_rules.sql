-- Which rule sets judged a run's records, so that nobody looks through a large run's attempts for it.
CREATE TABLE etl.run_rules (
    run         bigint NOT NULL REFERENCES etl.runs,
    record_type text NOT NULL,
    rule_set    text NOT NULL, -- ohlcv@3-1a2b3c4d
    told_at     timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (run, record_type, rule_set)
);
INSERT INTO etl.run_rules (run, record_type, rule_set, told_at)
SELECT a.run, r.record_type, r.rule_set, min(r.told_at) FROM etl.attempt_rules r JOIN etl.attempts a USING (attempt)
GROUP BY a.run, r.record_type, r.rule_set;

-- Attempts that did not end well, or have not ended: few among many, and asked for by name (/api/v1/events).
CREATE INDEX attempts_of_state ON etl.attempts (state, attempt) WHERE state <> 'done';

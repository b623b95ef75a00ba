-- A letter that was discarded or resolved by mistake is open again. Its row stays: who did that, when and why, and how often it
-- was put back, which counts on.
ALTER TABLE etl.dead_letter_states
    DROP CONSTRAINT dead_letter_states_state_check,
    ADD CONSTRAINT dead_letter_states_state_check CHECK (state IN ('seen', 'replayed', 'resolved', 'discarded'));

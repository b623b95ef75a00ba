-- What a record, or a task (ordinal 0), that is put back was before: what is sent with it, and what a letter that becomes of it
-- is told. One letter may be put back by several tasks; each counts those before it, and itself. No letter: it was emptied away.
CREATE VIEW etl.letters_put_back AS
SELECT x.task, x.ordinal, p.id AS letter, coalesce(p.first_letter, p.id) AS first_letter,
       p.replays + (SELECT count(*) FROM etl.replays q WHERE q.letter = p.id AND q.task <= x.task)::integer AS replays,
       p.class, p.key, p.value
FROM etl.replays x LEFT JOIN etl.dead_letters p ON p.id = x.letter;

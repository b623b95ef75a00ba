#include "stages/orchestrator/replay.h"

#include "common/cleanup.h"
#include "stages/orchestrator/orchestrator.h"
#include "stages/orchestrator/replay_topic.h"

/* Bytes of one task's letters: in base64 they fit a message, with the largest letter that etl.replay_ways lets pass. */
#define TASK_BYTES_SQL "400000"
#define LETTER_BYTES_SQL "64" /* beside key and value */

/*
 * Letters of a subscription and topic, in their order, as many to a task as its message holds. What their ordinals will
 * be is known now, as the source gives each of them as one record: so a letter that fails again is told whose it is.
 */
static const char records_sql[] =
	"WITH sized AS (SELECT s.letter, w.subscription, w.stage, w.record_type, d.schema,"
	"               octet_length(d.value) + coalesce(octet_length(d.key), 0) + " LETTER_BYTES_SQL " AS bytes"
	"               FROM etl.dead_letter_states s JOIN etl.dead_letters d ON d.id = s.letter"
	"               JOIN etl.replay_ways w ON w.letter = s.letter WHERE s.run = $1 AND w.way = 'record'),"
	" cut AS (SELECT *, (sum(bytes) OVER (PARTITION BY subscription, stage, record_type ORDER BY letter) - bytes)"
	"                   / " TASK_BYTES_SQL " AS part FROM sized),"
	" placed AS (SELECT *, row_number() OVER (PARTITION BY subscription, stage, record_type, part ORDER BY letter) AS ordinal"
	"            FROM cut),"
	" made AS (INSERT INTO etl.tasks (run, subscription, source, parameters)"
	"          SELECT $1, subscription, 'kafka', jsonb_build_object('stage', stage, 'record_type', record_type,"
	"                 'schema', min(schema), 'part', part, 'letters', count(*))"
	"          FROM placed GROUP BY subscription, stage, record_type, part ORDER BY min(letter)"
	"          RETURNING task, subscription, parameters AS p)"
	" INSERT INTO etl.replays (task, ordinal, letter) SELECT m.task, l.ordinal, l.letter FROM placed l JOIN made m"
	" ON (m.subscription, m.p->>'stage', m.p->>'record_type', (m.p->>'part')::bigint)"
	"    = (l.subscription, l.stage, l.record_type, l.part)";

/*
 * A task of a vendor's is quoted anew, whatever it was: what it costs now is held against what may be spent, and what is
 * covered by now is not bought again, but for a window that was fetched and had records refused (one that a breaker put off
 * may have been fetched since). Of several letters of one record the newest is taken for what comes of it.
 */
static const char tasks_sql[] =
	"WITH old AS (SELECT t.task, t.subscription, t.source, coalesce(q.parameters, '{}') || t.parameters AS p,"
	"                    t.action = 'quote' OR t.quote IS NOT NULL AS vendor,"
	"                    t.quote IS NOT NULL AND t.state = 'closed' AND EXISTS (SELECT 1 FROM etl.attempts a"
	"                     JOIN etl.dead_letters d USING (attempt) JOIN etl.dead_letter_states s ON s.letter = d.id"
	"                     WHERE a.task = t.task AND d.ordinal > 0 AND s.run = $1) AS refetch"
	"             FROM etl.tasks t LEFT JOIN etl.tasks q ON q.task = t.quote WHERE t.task IN"
	"             (SELECT w.task FROM etl.dead_letter_states s JOIN etl.replay_ways w ON w.letter = s.letter"
	"               WHERE s.run = $1 AND w.way = 'task')),"
	" spans AS (SELECT *, p->>'start' AS first, coalesce(p->>'until', p->>'end') AS last FROM old),"
	" made AS (INSERT INTO etl.tasks (run, subscription, source, action, parameters)"
	"          SELECT $1, subscription, source, CASE WHEN vendor THEN 'quote' ELSE 'fetch' END,"
	"                 p - 'until' || jsonb_build_object('replay_of', task) || CASE WHEN vendor THEN jsonb_build_object("
	"                     'end', last, 'refetch', refetch, 'parameters', jsonb_build_object('action', 'quote',"
	"                     'from', (first::timestamptz AT TIME ZONE 'UTC')::date,"
	"                     'to', ((last::timestamptz - interval '1 microsecond') AT TIME ZONE 'UTC')::date)::text)"
	"                 ELSE '{}' END FROM spans ORDER BY task RETURNING task, (parameters->>'replay_of')::bigint AS old)"
	" INSERT INTO etl.replays (task, ordinal, letter) SELECT DISTINCT ON (m.task, d.ordinal) m.task, d.ordinal, d.id"
	" FROM made m JOIN etl.attempts a ON a.task = m.old JOIN etl.dead_letters d USING (attempt)"
	" JOIN etl.dead_letter_states s ON s.letter = d.id AND s.run = $1 WHERE d.stage = 'fetcher'"
	" ORDER BY m.task, d.ordinal, d.id DESC";

static int plan_letters(struct orchestrator *self, int64_t run, struct err *err)
{
	return pg_query(self->pg, records_sql, PG_PARAMS(INT_TEXT(run)), NULL, err) ||
			       pg_query(self->pg, tasks_sql, PG_PARAMS(INT_TEXT(run)), NULL, err)
		       ? -1
		       : 0;
}

int replay_plan(struct orchestrator *self, int64_t run, const char *options, unsigned *ret_tasks, bool *ret_quotes,
		struct err *err)
{
	CLEANUP(pg_result_freep) struct pg_result *r = NULL;

	if ((replay_is_of_topic(options) ? replay_topic_plan(self, run, err) : plan_letters(self, run, err)) ||
	    pg_query(self->pg,
		     "SELECT count(*), coalesce(bool_or(action = 'quote'), false) FROM etl.tasks WHERE run = $1",
		     PG_PARAMS(INT_TEXT(run)), &r, err))
		return err_wrap(err, "planning a replay");
	*ret_tasks = (unsigned)pg_int(r, 0, 0);
	*ret_quotes = pg_bool(r, 0, 1);
	if (*ret_tasks == 0)
		return err_set(err, ERR_RECORD, "no dead letter is to be put back any more");
	return 0;
}

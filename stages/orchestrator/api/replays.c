/* Dead letters are put back: who asks for it decides which ones, in one transaction with the run that does it. */

#include "common/cleanup.h"
#include "common/json_in.h"
#include "stages/orchestrator/api/decisions.h"
#include "stages/orchestrator/orchestrator.h"

#define MAX_REPLAYS "max_replays"

/* %B: the run, %C: how often a record is put back at most. One that is put back now is nobody else's meanwhile. */
static const char replay_sql[] =
	"known AS MATERIALIZED (SELECT c.id, s.state, d.replays + coalesce(s.replays, 0) AS replays, w.way IN ('record', 'task')"
	"                       AS possible, CASE WHEN r.status IN ('pending', 'running', 'checking') THEN r.run END AS open_run"
	"                       FROM chosen c JOIN etl.dead_letters d USING (id) JOIN etl.replay_ways w ON w.letter = c.id"
	"                       LEFT JOIN etl.dead_letter_states s ON s.letter = c.id LEFT JOIN etl.runs r USING (run)),"
	" judged AS MATERIALIZED (SELECT *, CASE WHEN open_run IS NOT NULL THEN 'open' WHEN state IN ('discarded', 'resolved')"
	"                         THEN state WHEN replays >= %C::bigint THEN 'replayed_before' WHEN NOT possible"
	"                         THEN 'impossible' ELSE 'replayed' END AS verdict FROM known),"
	" done AS (INSERT INTO etl.dead_letter_states AS s (letter, state, audit, run, replays)"
	"          SELECT id, 'replayed', %A::bigint, %B::bigint, 1 FROM judged WHERE verdict = 'replayed'"
	"          ON CONFLICT (letter) DO UPDATE SET state = EXCLUDED.state, audit = EXCLUDED.audit, run = EXCLUDED.run,"
	"          replays = s.replays + 1 RETURNING 1)"
	" SELECT (SELECT count(*) FROM done) AS letters, count(*) FILTER (WHERE verdict = 'discarded') AS discarded,"
	" count(*) FILTER (WHERE verdict = 'resolved') AS resolved,"
	" count(*) FILTER (WHERE verdict = 'replayed_before') AS replayed_before,"
	" count(*) FILTER (WHERE verdict = 'impossible') AS impossible, count(open_run), min(open_run),"
	" (SELECT requested_by FROM etl.runs WHERE run = (SELECT min(open_run) FROM judged)) FROM judged";

enum { LETTERS, DISCARDED, RESOLVED, REPLAYED_BEFORE, IMPOSSIBLE, OPEN, OPEN_RUN, OPEN_WHO };

/* True: nothing is changed, and the response says why. */
static bool is_in_vain(struct decision *d, const struct pg_result *r)
{
	int64_t left = 0;

	for (int i = DISCARDED; i <= IMPOSSIBLE; i++)
		left += pg_int(r, 0, i);
	if (pg_int(r, 0, OPEN) > 0)
		api_problem(d->call->response, 409,
			    "%s of these dead letters are being put back by run %s, which %s asked for",
			    pg_text(r, 0, OPEN), pg_text(r, 0, OPEN_RUN), pg_text(r, 0, OPEN_WHO));
	else if (pg_int(r, 0, LETTERS) > 0)
		return false;
	else if (left > 0)
		api_problem(d->call->response, 409,
			    "none of these dead letters is put back: %s discarded, %s resolved, %s put back as often as"
			    " " MAX_REPLAYS " says, %s that cannot be",
			    pg_text(r, 0, DISCARDED), pg_text(r, 0, RESOLVED), pg_text(r, 0, REPLAYED_BEFORE),
			    pg_text(r, 0, IMPOSSIBLE));
	else
		api_problem(d->call->response, 404, "there is no such dead letter");
	return true;
}

static void answer(struct http_response *response, int64_t run, const struct pg_result *r)
{
	struct json_out out = JSON_OUT(&response->body);

	api_run_accepted(response, &out, run);
	for (int i = LETTERS; i <= IMPOSSIBLE; i++) {
		json_put_key(&out, pg_column(r, i));
		json_put_int(&out, pg_int(r, 0, i));
	}
	json_put_close(&out, '}');
}

static int make_run(struct decision *d, int64_t max_replays, int64_t *ret, struct err *err)
{
	CLEANUP(pg_result_freep) struct pg_result *r = NULL;

	if (pg_query(d->call->pg,
		     "INSERT INTO etl.runs (kind, options, requested_by) SELECT 'replay', jsonb_build_object('filters',"
		     " detail->'filters', 'maxReplays', $2::bigint), $3 FROM etl.audit WHERE id = $1"
		     " RETURNING run",
		     PG_PARAMS(d->audit, INT_TEXT(max_replays), d->call->principal.name), &r, err))
		return -1;
	*ret = pg_int(r, 0, 0);
	return 0;
}

int api_replay(struct api_call *call, struct err *err)
{
	CLEANUP(decision_release) struct decision d;
	CLEANUP(pg_result_freep) struct pg_result *r = NULL;
	char run_text[PG_INT_MAX], max_text[PG_INT_MAX];
	int64_t max_replays, run;

	decision_read(&d, call, false, MAX_REPLAYS);
	if (d.refused)
		return 0;
	max_replays = json_integer_value(json_object_get(d.body, MAX_REPLAYS));
	if (max_replays == 0)
		max_replays = 1;
	if (decision_begin(&d, "dead_letters.replay", err) || make_run(&d, max_replays, &run, err))
		return -1;
	const char *more[] = { pg_int_text(run, run_text), pg_int_text(max_replays, max_text) };

	if (decision_query(&d, replay_sql, more, 2, &r, err))
		return -1;
	if (is_in_vain(&d, r)) {
		pg_rollback(call->pg);
		return 0;
	}
	if (decision_commit(&d, more[0], pg_int(r, 0, LETTERS), err))
		return -1;
	answer(call->response, run, r);
	orchestrator_wake();
	return 0;
}

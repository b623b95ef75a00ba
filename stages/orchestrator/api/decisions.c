/* What was decided about dead letters: they are discarded, resolved by hand, or open again. */
#include "stages/orchestrator/api/decisions.h"

#include <inttypes.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/json_in.h"
#include "stages/orchestrator/api/rows.h"

/* --- the request --------------------------------------------------------------------------------------------------------- */

void decision_release(struct decision *d)
{
	asked_release(&d->chosen);
	json_decref(d->body);
}

static bool refuse(struct decision *d, const char *detail)
{
	api_problem(d->call->response, 400, "%s", detail);
	return false;
}

static bool check_member(struct decision *d, const char *key, const json_t *value, const char *number)
{
	if (strcmp(key, "why") == 0 && json_is_string(value) && json_string_length(value) <= DECISION_WHY_MAX)
		return true;
	if (number && strcmp(key, number) == 0 && json_is_integer(value) && json_integer_value(value) >= 1)
		return true;
	api_problem(d->call->response, 400, "'%.64s': there is why, a text of %d bytes%s%s%s", key, DECISION_WHY_MAX,
		    number ? ", and " : "", number ? number : "", number ? ", a number from 1" : "");
	return false;
}

static bool read_body(struct decision *d, bool needs_why, const char *number)
{
	struct str text = d->call->request->body;
	const char *key;
	json_t *value;

	d->body = text.len == 0 ? json_object() : json_loadb(text.data, text.len, JSON_REJECT_DUPLICATES, NULL);
	if (!json_is_object(d->body))
		return refuse(d, "the body must be a JSON object");
	json_object_foreach(d->body, key, value) if (!check_member(d, key, value, number)) return false;
	d->why = json_string_value(json_object_get(d->body, "why"));
	if (!d->why)
		d->why = "";
	if (needs_why && strspn(d->why, " \t\r\n") == strlen(d->why))
		return refuse(d, "why is missing: a text that says why");
	return true;
}

void decision_read(struct decision *ret, struct api_call *call, bool needs_why, const char *number)
{
	*ret = (struct decision){ .call = call };
	asked_all(&ret->chosen, call, resources_find(call->resources, "dead_letters"));
	ret->refused = ret->chosen.refused || !read_body(ret, needs_why, number);
}

/* --- the transaction ----------------------------------------------------------------------------------------------------- */

/* What chose the letters: the filters that were said. */
static json_t *filters_of(const struct decision *d)
{
	json_t *filters = json_object();

	for (unsigned i = 0; i < d->chosen.resource->parameter_count; i++) {
		const char *name = d->chosen.resource->parameters[i].name;

		if (http_argument(d->call->request, name))
			json_object_set_new(filters, name, json_string(d->chosen.values[i]));
	}
	return filters;
}

int decision_begin(struct decision *d, const char *action, struct err *err)
{
	CLEANUP(json_freep) json_t *detail = json_pack("{s:o, s:s}", "filters", filters_of(d), "why", d->why);
	CLEANUP(freep) char *text = json_dumps(detail, JSON_COMPACT);

	if (pg_begin(d->call->pg, err) ||
	    pg_query(d->call->pg, "SELECT pg_advisory_xact_lock(hashtext('etl.dead_letter_states'))", PG_NO_PARAMS,
		     NULL, err))
		return -1;
	return api_audit_id(d->call->pg, &d->call->principal, action, "", text, d->audit, err);
}

/* %A becomes the number of the audit's parameter, %B, … of those behind it. */
static void put_numbers(const struct decision *d, const char *sql, struct buf *out)
{
	for (; *sql; sql++)
		if (sql[0] == '%' && sql[1] >= 'A' && sql[1] <= 'E')
			buf_printf(out, "$%u", d->chosen.count + 1 + (unsigned)(*++sql - 'A'));
		else
			buf_put_u8(out, (uint8_t)*sql);
}

int decision_query(struct decision *d, const char *sql, const char *const *more, unsigned more_count,
		   struct pg_result **ret, struct err *err)
{
	CLEANUP(buf_release) struct buf text = BUF_INIT(DECISION_SQL_MAX);
	const char *values[ASKED_VALUES_MAX + 5];
	unsigned count = d->chosen.count;

	memcpy(values, d->chosen.values, count * sizeof(*values));
	values[count++] = d->audit;
	for (unsigned i = 0; i < more_count && i < 4; i++)
		values[count++] = more[i];
	buf_printf(&text, "WITH chosen AS MATERIALIZED (SELECT id FROM (%s) c), ", d->chosen.resource->sql);
	put_numbers(d, sql, &text);
	return pg_query(d->call->pg, buf_text(&text), values, count, ret, err);
}

int decision_commit(struct decision *d, const char *target, int64_t letters, struct err *err)
{
	if (pg_query(d->call->pg,
		     "UPDATE etl.audit SET target = $2, detail = detail || jsonb_build_object('letters', $3::bigint)"
		     " WHERE id = $1",
		     PG_PARAMS(d->audit, target, INT_TEXT(letters)), NULL, err))
		return -1;
	return pg_commit(d->call->pg, err);
}

/* --- discarded, resolved, opened again ------------------------------------------------------------------------------------ */

/*
 * One that is put back now is not decided upon; one that is, stays as it is, unless it is to be open again. %B: the state;
 * %C: whether those are meant that are decided upon.
 */
static const char decide_sql[] =
	"known AS MATERIALIZED (SELECT c.id, s.state, CASE WHEN r.status IN ('pending', 'running', 'checking') THEN s.run END"
	"                       AS open_run, coalesce(s.state IN ('discarded', 'resolved'), false) AS decided"
	"                       FROM chosen c LEFT JOIN etl.dead_letter_states s ON s.letter = c.id LEFT JOIN etl.runs r USING (run)),"
	" done AS (INSERT INTO etl.dead_letter_states AS s (letter, state, audit)"
	"          SELECT id, %B::text, %A::bigint FROM known WHERE decided = %C::boolean AND (decided OR open_run IS NULL)"
	"          ON CONFLICT (letter) DO UPDATE SET state = EXCLUDED.state, audit = EXCLUDED.audit RETURNING 1)"
	" SELECT (SELECT count(*) FROM done) AS letters, count(*) FILTER (WHERE state = 'resolved') AS resolved_before,"
	" count(*) FILTER (WHERE state = 'discarded') AS discarded_before, count(*) FILTER (WHERE NOT decided) AS undecided_before,"
	" count(open_run), min(open_run) FROM known";

enum { DECIDED, RESOLVED_BEFORE, DISCARDED_BEFORE, UNDECIDED_BEFORE, OPEN, OPEN_RUN };

struct verb {
	const char *state, *action;
	bool needs_why;
	bool undoes;    /* of those that are decided upon */
	int first_left; /* columns that say what is left as it was */
	int last_left;
};

/* True: nothing is changed, and the response says why. */
static bool is_in_vain(struct decision *d, const struct verb *verb, const struct pg_result *r)
{
	int64_t left = 0;

	for (int i = verb->first_left; i <= verb->last_left; i++)
		left += pg_int(r, 0, i);

	if (pg_int(r, 0, OPEN) > 0)
		api_problem(d->call->response, 409,
			    "%s of these dead letters are being put back by run %s; decide when it is over",
			    pg_text(r, 0, OPEN), pg_text(r, 0, OPEN_RUN));
	else if (pg_int(r, 0, DECIDED) > 0)
		return false;
	else if (left > 0 && verb->undoes)
		api_problem(d->call->response, 409, "nothing is decided upon about these %s dead letters",
			    pg_text(r, 0, UNDECIDED_BEFORE));
	else if (left > 0)
		api_problem(d->call->response, 409,
			    "these dead letters are decided upon already: %s discarded, %s resolved",
			    pg_text(r, 0, DISCARDED_BEFORE), pg_text(r, 0, RESOLVED_BEFORE));
	else
		api_problem(d->call->response, 404, "there is no such dead letter");
	return true;
}

static void put_count(struct json_out *out, const struct pg_result *r, int column)
{
	json_put_key(out, pg_column(r, column));
	json_put_int(out, pg_int(r, 0, column));
}

static void answer(struct decision *d, const struct verb *verb, const struct pg_result *r)
{
	struct json_out out = JSON_OUT(&d->call->response->body);

	json_put_open(&out, '{');
	json_put_key(&out, "state");
	json_put_str(&out, str_of(verb->state));
	put_count(&out, r, DECIDED);
	for (int i = verb->first_left; i <= verb->last_left; i++)
		put_count(&out, r, i);
	json_put_close(&out, '}');
}

static int decide(struct api_call *call, const struct verb *verb, struct err *err)
{
	CLEANUP(decision_release) struct decision d;
	CLEANUP(pg_result_freep) struct pg_result *r = NULL;
	const char *more[] = { verb->state, verb->undoes ? "true" : "false" };

	decision_read(&d, call, verb->needs_why, NULL);
	if (d.refused)
		return 0;
	if (decision_begin(&d, verb->action, err) || decision_query(&d, decide_sql, more, 2, &r, err))
		return -1;
	if (is_in_vain(&d, verb, r)) {
		pg_rollback(call->pg);
		return 0;
	}
	if (decision_commit(&d, "", pg_int(r, 0, DECIDED), err))
		return -1;
	answer(&d, verb, r);
	return 0;
}

int api_discard(struct api_call *call, struct err *err)
{
	static const struct verb discard = { .state = "discarded",
					     .action = "dead_letters.discard",
					     .needs_why = true,
					     .first_left = RESOLVED_BEFORE,
					     .last_left = DISCARDED_BEFORE };

	return decide(call, &discard, err);
}

int api_resolve(struct api_call *call, struct err *err)
{
	static const struct verb resolve = { .state = "resolved",
					     .action = "dead_letters.resolve",
					     .first_left = RESOLVED_BEFORE,
					     .last_left = DISCARDED_BEFORE };

	return decide(call, &resolve, err);
}

int api_reopen(struct api_call *call, struct err *err)
{
	static const struct verb reopen = { .state = "seen",
					    .action = "dead_letters.reopen",
					    .needs_why = true,
					    .undoes = true,
					    .first_left = UNDECIDED_BEFORE,
					    .last_left = UNDECIDED_BEFORE };

	return decide(call, &reopen, err);
}

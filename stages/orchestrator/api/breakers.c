/* A breaker is closed by hand: what it holds back goes on at once. */
#include <jansson.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/json_in.h"
#include "stages/orchestrator/api/api.h"
#include "stages/orchestrator/api/rows.h"
#include "stages/orchestrator/orchestrator.h"

#define NAME_MAX 200 /* bytes */
#define WHY_MAX 500

struct reset {
	struct api_call *call;
	json_t *body;
	const char *kind, *name, *why; /* kind NULL: whichever has that name */
};

static void reset_release(struct reset *reset)
{
	json_decref(reset->body);
}

static bool is_text(const json_t *value, size_t max)
{
	const char *text = json_string_value(value);

	return text && strlen(text) <= max && strspn(text, " \t\r\n") < strlen(text);
}

static bool check_member(const char *key, const json_t *value)
{
	const char *text = json_string_value(value);

	if (strcmp(key, "kind") == 0)
		return text && (strcmp(text, "subscription") == 0 || strcmp(text, "source") == 0);
	return (strcmp(key, "name") == 0 && is_text(value, NAME_MAX)) ||
	       (strcmp(key, "why") == 0 && is_text(value, WHY_MAX));
}

static bool read_body(struct reset *reset)
{
	struct str text = reset->call->request->body;
	const char *key;
	json_t *value;
	bool good;

	reset->body = json_loadb(text.data, text.len, JSON_REJECT_DUPLICATES, NULL);
	good = json_is_object(reset->body);
	json_object_foreach(reset->body, key, value) good = good && check_member(key, value);
	reset->kind = json_string_value(json_object_get(reset->body, "kind"));
	reset->name = json_string_value(json_object_get(reset->body, "name"));
	reset->why = json_string_value(json_object_get(reset->body, "why"));
	if (good && reset->name && reset->why)
		return true;
	api_problem(
		reset->call->response, 400,
		"the body must be a JSON object: name, whose breaker it is; why, a text of %d bytes; and where two have"
		" that name kind, subscription or source",
		WHY_MAX);
	return false;
}

/* What is known of breakers of that name; locked, as the core changes them, too. */
static const char find_sql[] =
	"SELECT kind, state FROM etl.breakers WHERE name = $1 AND ($2::text IS NULL OR kind = $2)"
	" ORDER BY state = 'closed', kind FOR UPDATE";

/* What came before is not held against it: the next judgement is of what comes now. */
static const char reset_sql[] =
	"WITH judged AS MATERIALIZED (SELECT etl.breaker_judge($2) WHERE $1 = 'subscription')"
	" UPDATE etl.breakers SET state = 'closed', since = now(), openings = 0, probe = NULL, probe_at = NULL"
	" WHERE kind = $1 AND name = $2 AND (SELECT count(*) FROM judged) >= 0"
	" RETURNING kind, name, state, since, reason";

/* False: the response says why not. */
static bool may_reset(struct reset *reset, const struct pg_result *found)
{
	if (pg_rows(found) == 0)
		api_problem(reset->call->response, 404,
			    "nothing of the name '%.200s' was ever held back; a stage goes on by itself", reset->name);
	else if (strcmp(pg_text(found, 0, 1), "closed") == 0)
		api_problem(reset->call->response, 409, "%s %.200s is not held back", pg_text(found, 0, 0),
			    reset->name);
	else if (pg_rows(found) > 1 && strcmp(pg_text(found, 1, 1), "closed") != 0)
		api_problem(reset->call->response, 400,
			    "a subscription and a source of the name '%.200s' are held back: say which, by kind",
			    reset->name);
	return reset->call->response->status < 400;
}

static int store(struct reset *reset, const char *kind, struct pg_result **ret, struct err *err)
{
	CLEANUP(json_freep) json_t *detail = json_pack("{s:s, s:s}", "kind", kind, "why", reset->why);
	CLEANUP(freep) char *text = json_dumps(detail, JSON_COMPACT);
	struct api_call *call = reset->call;

	if (pg_query(call->pg, reset_sql, PG_PARAMS(kind, reset->name), ret, err) ||
	    api_audit(call->pg, &call->principal, "breaker.reset", reset->name, text, err))
		return -1;
	return pg_commit(call->pg, err);
}

int api_breaker_reset(struct api_call *call, struct err *err)
{
	CLEANUP(reset_release) struct reset reset = { .call = call };
	CLEANUP(pg_result_freep) struct pg_result *found = NULL;
	CLEANUP(pg_result_freep) struct pg_result *done = NULL;
	struct json_out out = JSON_OUT(&call->response->body);

	if (!read_body(&reset))
		return 0;
	if (pg_begin(call->pg, err) || pg_query(call->pg, find_sql, PG_PARAMS(reset.name, reset.kind), &found, err))
		return -1;
	if (!may_reset(&reset, found)) {
		pg_rollback(call->pg);
		return 0;
	}
	if (store(&reset, pg_text(found, 0, 0), &done, err))
		return -1;
	orchestrator_wake();
	json_put_open(&out, '{');
	api_put_members(&out, done, 0);
	json_put_close(&out, '}');
	return 0;
}

/* How far somebody has looked through the dead letters. */
#include <inttypes.h>
#include <jansson.h>

#include "common/cleanup.h"
#include "common/json_in.h"
#include "stages/orchestrator/api/api.h"
#include "stages/orchestrator/api/rows.h"

#define WHY_MAX 500

/* Up to the newest where nothing is said. */
static const char store_sql[] = "INSERT INTO etl.dead_letter_reviews (up_to, who, why)"
				" SELECT coalesce($1::bigint, max(id), 0), $2, $3 FROM etl.dead_letters"
				" RETURNING id, up_to, who, why, reviewed_at";

static bool check(struct api_call *call, const json_t *body)
{
	const char *key;
	json_t *value;

	if (!json_is_object(body))
		return api_problem(call->response, 400, "the body must be a JSON object: {\"up_to\", \"why\"}"), false;
	json_object_foreach((json_t *)body, key, value)
	{
		bool number = strcmp(key, "up_to") == 0 && json_is_integer(value) && json_integer_value(value) >= 0;
		bool text = strcmp(key, "why") == 0 && json_is_string(value) && json_string_length(value) <= WHY_MAX;

		if (!number && !text)
			return api_problem(call->response, 400,
					   "'%.64s': there are up_to, a dead letter's id, and why, a text of %d bytes",
					   key, WHY_MAX),
			       false;
	}
	return true;
}

static int store(struct api_call *call, const json_t *body, struct pg_result **ret, struct err *err)
{
	const json_t *up_to = json_object_get(body, "up_to");
	const char *why = json_string_value(json_object_get(body, "why"));
	CLEANUP(json_freep) json_t *detail = why ? json_pack("{s:s}", "why", why) : json_object();
	CLEANUP(freep) char *detail_text = json_dumps(detail, JSON_COMPACT);

	if (pg_begin(call->pg, err) ||
	    pg_query(
		    call->pg, store_sql,
		    PG_PARAMS(up_to ? INT_TEXT(json_integer_value(up_to)) : NULL, call->principal.name, why ? why : ""),
		    ret, err) ||
	    api_audit(call->pg, &call->principal, "dead_letters.review", pg_text(*ret, 0, 1), detail_text, err))
		return -1;
	return pg_commit(call->pg, err);
}

int api_review(struct api_call *call, struct err *err)
{
	CLEANUP(pg_result_freep) struct pg_result *r = NULL;
	struct str text = call->request->body;
	CLEANUP(json_freep)
	json_t *body = text.len == 0 ? json_object() : json_loadb(text.data, text.len, JSON_REJECT_DUPLICATES, NULL);
	struct json_out out = JSON_OUT(&call->response->body);

	if (!check(call, body))
		return 0;
	if (store(call, body, &r, err))
		return -1;
	call->response->status = 201;
	json_put_open(&out, '{');
	api_put_members(&out, r, 0);
	json_put_close(&out, '}');
	return 0;
}

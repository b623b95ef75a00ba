#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/json_in.h"
#include "stages/orchestrator/api/api.h"
#include "stages/orchestrator/orchestrator.h"
#include "stages/orchestrator/quotes.h"
#include "stages/orchestrator/subscriptions.h"

#define NAMES_MAX 1000

/* The guides' switches. One with a component asks for what this version does not have. */
static const struct {
	const char *key;
	const char *component;
} switches[] = {
	{ "executeSymbolSync", "symbol synchronization" },
	{ "executeAssetEnrichment", "asset enrichment" },
	{ "executeReferenceDataBootstrap", "reference data bootstrap" },
	{ "validateAfterExecution", NULL },
	{ "continueOnComponentFailure", NULL },
	{ "refetch", NULL },
};

/* False: the request was refused; the response says why. */
static bool check_switch(struct http_response *response, const char *key, const json_t *value)
{
	for (unsigned i = 0; i < sizeof(switches) / sizeof(*switches); i++) {
		if (strcmp(switches[i].key, key) != 0)
			continue;
		if (!json_is_boolean(value))
			return api_problem(response, 400, "%s: true or false", key), false;
		if (json_is_true(value) && switches[i].component)
			return api_problem(response, 400,
					   "%s: %s is not in this version; leave it out or set it to false", key,
					   switches[i].component),
			       false;
		return true;
	}
	return api_problem(response, 400, "unknown key '%.100s'", key), false;
}

/* A text, or a whole number: what JSON calls 0.1 is a binary float somewhere on the way. */
static bool check_cost(struct http_response *response, const json_t *value)
{
	const char *text = json_string_value(value);
	int64_t cost;

	if (text ? quote_cost(str_of(text), &cost) : json_is_integer(value) && json_integer_value(value) >= 0)
		return true;
	return api_problem(response, 400, "costMaxUsd: an amount of USD as a text (\"2.50\"), or a whole number"),
	       false;
}

static bool check_name(struct http_response *response, const struct subscriptions *list, const json_t *value)
{
	const char *name = json_string_value(value);

	if (!name)
		return api_problem(response, 400, "subscriptions: a list of names"), false;
	if (!subscriptions_find(list, name))
		return api_problem(response, 404, "there is no subscription '%.128s' in %s", name, list->file), false;
	return true;
}

static bool check_names(struct api_call *call, const json_t *names)
{
	CLEANUP(subscriptions_release) struct subscriptions list = SUBSCRIPTIONS_INIT;
	struct err err = ERR_INIT;

	if (!json_is_array(names) || json_array_size(names) == 0 || json_array_size(names) > NAMES_MAX)
		return api_problem(call->response, 400, "subscriptions: a list of 1 to %d names", NAMES_MAX), false;
	if (subscriptions_read(&list, config_text(call->cfg, "subscriptions"), &err))
		return api_problem(call->response, 500, "%s", err.text), false;
	for (size_t i = 0; i < json_array_size(names); i++)
		if (!check_name(call->response, &list, json_array_get(names, i)))
			return false;
	return true;
}

static bool check_options(struct api_call *call, json_t *options)
{
	const char *key;
	json_t *value;

	json_object_foreach(options, key, value)
	{
		if (strcmp(key, "subscriptions") == 0 ? !check_names(call, value)
		    : strcmp(key, "costMaxUsd") == 0  ? !check_cost(call->response, value)
						      : !check_switch(call->response, key, value))
			return false;
	}
	return true;
}

/* NULL: refused. An absent body asks for everything with its default. */
static json_t *read_options(struct api_call *call)
{
	CLEANUP(json_freep) json_t *options = NULL;
	struct str body = call->request->body;
	json_error_t where;

	options = body.len == 0 ? json_object() : json_loadb(body.data, body.len, JSON_REJECT_DUPLICATES, &where);
	if (!options)
		return api_problem(call->response, 400, "the body is no JSON: line %d: %s", where.line, where.text),
		       NULL;
	if (!json_is_object(options))
		return api_problem(call->response, 400, "the body must be a JSON object"), NULL;
	return check_options(call, options) ? STEAL(options) : NULL;
}

/* A row is all it takes: whichever orchestrator is active finds it. */
int api_execute(struct api_call *call, struct err *err)
{
	CLEANUP(pg_result_freep) struct pg_result *r = NULL;
	CLEANUP(json_freep) json_t *options = read_options(call);
	CLEANUP(freep) char *text = NULL;

	if (!options)
		return 0;
	text = json_dumps(options, JSON_COMPACT | JSON_SORT_KEYS);
	if (!text)
		return err_set(err, ERR_FATAL, "options cannot be written as JSON");
	if (pg_begin(call->pg, err) ||
	    pg_query(call->pg,
		     "INSERT INTO etl.runs (kind, options, requested_by) VALUES ('full', $1, $2) RETURNING run",
		     PG_PARAMS(text, call->principal.name), &r, err) ||
	    api_audit(call->pg, &call->principal, "run.create", pg_text(r, 0, 0), text, err) ||
	    pg_commit(call->pg, err))
		return -1;
	api_run_answer(call->response, pg_int(r, 0, 0));
	orchestrator_wake();
	return 0;
}

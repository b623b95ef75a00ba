/* A topic's past is put into it again: which ranges of its partitions was decided by who asks, as only that is what was looked at. */
#include <string.h>

#include "common/cleanup.h"
#include "common/data_types.h"
#include "common/json_in.h"
#include "common/mem.h"
#include "stages/orchestrator/api/api.h"
#include "stages/orchestrator/orchestrator.h"

#define WHY_MAX 500 /* bytes */
#define RANGES_MAX 1024
#define SYMBOLS_MAX 2000
#define SYMBOL_MAX 128 /* bytes */
#define SUFFIX_MAX 20  /* bytes: with the longest table's name, and what the loader puts before and behind it, 63 */

/* --- what is asked for ------------------------------------------------------------------------------------------------- */

static bool is_schema(const json_t *value)
{
	return json_is_string(value) && data_schema_find(json_string_value(value));
}

static bool is_stage(const json_t *value)
{
	const char *text = json_string_value(value);

	return text && (strcmp(text, "raw") == 0 || strcmp(text, "valid") == 0 || strcmp(text, "clean") == 0);
}

static bool is_why(const json_t *value)
{
	return json_is_string(value) && json_string_length(value) <= WHY_MAX;
}

static bool is_symbols(const json_t *value)
{
	size_t n = json_array_size(value);

	for (size_t i = 0; i < n; i++) {
		const json_t *symbol = json_array_get(value, i);

		if (!json_is_string(symbol) || json_string_length(symbol) < 1 ||
		    json_string_length(symbol) > SYMBOL_MAX)
			return false;
	}
	return json_is_array(value) && n >= 1 && n <= SYMBOLS_MAX;
}

static bool is_switch(const json_t *value)
{
	return json_is_boolean(value);
}

/* It becomes part of a table's name. */
static bool is_suffix(const json_t *value)
{
	const char *text = json_string_value(value);
	size_t n = text ? strlen(text) : 0;

	return n >= 1 && n <= SUFFIX_MAX && text[0] >= 'a' && text[0] <= 'z' &&
	       strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789_") == n;
}

static bool is_range(const json_t *range, bool seen[RANGES_MAX])
{
	const json_t *partition = json_object_get(range, "partition"), *from = json_object_get(range, "from"),
		     *to = json_object_get(range, "to");
	json_int_t number = json_integer_value(partition);

	if (!json_is_integer(partition) || !json_is_integer(from) || !json_is_integer(to) || number < 0 ||
	    number >= RANGES_MAX || seen[number] || json_integer_value(from) < 0 ||
	    json_integer_value(to) <= json_integer_value(from) || json_object_size(range) != 3)
		return false;
	return seen[number] = true;
}

static bool is_ranges(const json_t *value)
{
	bool seen[RANGES_MAX] = { false };
	size_t n = json_array_size(value);

	for (size_t i = 0; i < n && i < RANGES_MAX; i++)
		if (!is_range(json_array_get(value, i), seen))
			return false;
	return json_is_array(value) && n >= 1 && n <= RANGES_MAX;
}

static const struct {
	const char *key, *takes;
	bool (*check)(const json_t *value);
	bool required;
} members[] = {
	{ "schema", "a schema that can be loaded: ohlcv-1m, trades, …", is_schema, true },
	{ "stage", "raw, valid or clean", is_stage, true },
	{ "ranges", "a list of partition, from, to; each of another partition, from below to", is_ranges, true },
	{ "symbols", "a list of 1 to 2000 symbols", is_symbols, false },
	{ "replays", "true or false", is_switch, false },
	{ "dry_run", "true or false", is_switch, false },
	{ "into", "1 to 20 of a-z, 0-9 and _, a letter first", is_suffix, false },
	{ "why", "a text of 500 bytes", is_why, false },
};

#define MEMBERS (sizeof(members) / sizeof(*members))

static bool check(struct api_call *call, json_t *body)
{
	const char *key;
	json_t *value;

	if (!json_is_object(body))
		return api_problem(call->response, 400, "the body must be a JSON object"), false;
	json_object_foreach(body, key, value)
	{
		size_t i = 0;

		while (i < MEMBERS && strcmp(members[i].key, key) != 0)
			i++;
		if (i == MEMBERS)
			return api_problem(call->response, 400, "unknown key '%.100s'", key), false;
		if (!members[i].check(value))
			return api_problem(call->response, 400, "%s: %s", key, members[i].takes), false;
	}
	for (size_t i = 0; i < MEMBERS; i++)
		if (members[i].required && !json_object_get(body, members[i].key))
			return api_problem(call->response, 400, "%s is missing: %s", members[i].key, members[i].takes),
			       false;
	return true;
}

/* --- the run ----------------------------------------------------------------------------------------------------------- */

/* The run's options are what was asked for, and what follows from it. */
static char *options_of(json_t *body)
{
	const struct data_schema *schema = data_schema_find(json_string_value(json_object_get(body, "schema")));
	const char *stage = json_string_value(json_object_get(body, "stage")), *type = data_types[schema->type].name;

	json_object_set_new(body, "record_type", json_string(type));
	json_object_set_new(body, "topic", json_sprintf("etl.%s.%s", stage, type));
	return json_dumps(body, JSON_COMPACT | JSON_SORT_KEYS);
}

static char *side_name(const json_t *body)
{
	const struct data_schema *schema = data_schema_find(json_string_value(json_object_get(body, "schema")));
	const char *suffix = json_string_value(json_object_get(body, "into"));

	return suffix ? mem_printf("%s_%s", data_types[schema->type].table, suffix) : NULL;
}

/* True: the response says that there is such a table. Two who want the same one wait for each other. */
static int refuse_side(struct api_call *call, const json_t *body, bool *ret_refused, struct err *err)
{
	CLEANUP(pg_result_freep) struct pg_result *r = NULL;
	CLEANUP(freep) char *name = side_name(body);

	*ret_refused = false;
	if (!name)
		return 0;
	if (pg_query(call->pg, "SELECT pg_advisory_xact_lock(hashtext('etl.sides'))", PG_NO_PARAMS, NULL, err) ||
	    pg_query(call->pg, "SELECT to_regclass($1) IS NOT NULL", PG_PARAMS(name), &r, err))
		return -1;
	*ret_refused = pg_bool(r, 0, 0);
	if (*ret_refused)
		api_problem(
			call->response, 409,
			"table %s is there already: take another suffix, or see what `penstock diff %s --drop` drops",
			name, json_string_value(json_object_get(body, "into")));
	return 0;
}

/* In the transaction that makes the run, or there is neither. */
static int make_side(struct api_call *call, const json_t *body, const char *run, struct err *err)
{
	const char *schema = json_string_value(json_object_get(body, "schema"));
	const char *suffix = json_string_value(json_object_get(body, "into"));

	if (!suffix)
		return 0;
	return pg_query(call->pg, "SELECT etl.make_side($1, $2, $3, $4)",
			PG_PARAMS(data_types[data_schema_find(schema)->type].table, suffix, schema, run), NULL, err);
}

static int begin_run(struct api_call *call, json_t *body, struct err *err)
{
	CLEANUP(pg_result_freep) struct pg_result *r = NULL;
	CLEANUP(freep) char *options = options_of(body);

	if (!options)
		return err_set(err, ERR_FATAL, "options cannot be written as JSON");
	if (pg_query(call->pg,
		     "INSERT INTO etl.runs (kind, options, requested_by) VALUES ('replay', $1, $2) RETURNING run",
		     PG_PARAMS(options, call->principal.name), &r, err) ||
	    make_side(call, body, pg_text(r, 0, 0), err) ||
	    api_audit(call->pg, &call->principal, "topics.replay", pg_text(r, 0, 0), options, err) ||
	    pg_commit(call->pg, err))
		return -1;
	api_run_answer(call->response, pg_int(r, 0, 0));
	orchestrator_wake();
	return 0;
}

int api_replay_topic(struct api_call *call, struct err *err)
{
	struct str text = call->request->body;
	CLEANUP(json_freep) json_t *body = json_loadb(text.data, text.len, JSON_REJECT_DUPLICATES, NULL);
	bool refused;

	if (!check(call, body))
		return 0;
	if (pg_begin(call->pg, err) || refuse_side(call, body, &refused, err))
		return -1;
	if (!refused && !json_is_true(json_object_get(body, "dry_run")))
		return begin_run(call, body, err);
	pg_rollback(call->pg);
	if (!refused)
		call->response->status = 204;
	return 0;
}

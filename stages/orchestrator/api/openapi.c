/*
 * What the API is, in OpenAPI 3.1: openapi.json says what no resource answers;
 * the rest comes from the resources themselves, their members' types from the
 * database.
 */
#include <jansson.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/embed.h"
#include "common/json_in.h"
#include "common/version.h"
#include "stages/orchestrator/api/api.h"

/* Made once: the resources do not change while this runs. */
static struct {
	pthread_mutex_t lock;
	char *text;
} made = { .lock = PTHREAD_MUTEX_INITIALIZER };

static json_t *parameter_schema(const struct resource_parameter *p)
{
	json_t *schema, *words;
	struct str left;

	switch (p->type) {
	case RESOURCE_INTEGER:
		return json_pack("{s:s, s:i, s:I}", "type", "integer", "minimum", 0, "maximum", (json_int_t)INT64_MAX);
	case RESOURCE_FLAG:
		return json_pack("{s:s}", "type", "boolean");
	case RESOURCE_DATE:
		return json_pack("{s:s, s:s}", "type", "string", "format", "date");
	case RESOURCE_TIME:
		return json_pack("{s:s, s:s}", "type", "string", "format", "date-time");
	case RESOURCE_CHOICE:
		break;
	case RESOURCE_TEXT:
		return json_pack("{s:s, s:i}", "type", "string", "minLength", p->in_path ? 1 : 0);
	}
	schema = json_pack("{s:s, s:[]}", "type", "string", "enum");
	words = json_object_get(schema, "enum");
	left = str_of(p->choices);
	while (left.len > 0) {
		const char *at = memchr(left.data, '|', left.len);
		uint32_t len = at ? (uint32_t)(at - left.data) : left.len;

		json_array_append_new(words, json_stringn(left.data, len));
		left.data += len + (at ? 1 : 0);
		left.len -= len + (at ? 1 : 0);
	}
	return schema;
}

static void add_parameter(json_t *list, const char *name, const char *where, bool required, const char *doc,
			  json_t *schema)
{
	json_array_append_new(list, json_pack("{s:s, s:s, s:b, s:s, s:o}", "name", name, "in", where, "required",
					      required, "description", doc, "schema", schema));
}

static json_t *filters_of(const struct resource *q)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < q->parameter_count; i++) {
		const struct resource_parameter *p = &q->parameters[i];

		add_parameter(list, p->name, p->in_path ? "path" : "query", p->in_path || p->required, p->doc,
			      parameter_schema(p));
	}
	return list;
}

static json_t *parameters_of(const struct resource *q)
{
	json_t *list = filters_of(q);

	if (q->stream)
		add_parameter(
			list, "format", "query", false, "of the answer",
			json_pack("{s:s, s:[ss], s:s}", "type", "string", "enum", "json", "csv", "default", "json"));
	if (q->cursor_count > 0)
		add_parameter(list, "cursor", "query", false, "next_cursor of the page before",
			      json_pack("{s:s, s:s}", "type", "string", "pattern", "^[A-Za-z0-9_-]+$"));
	if (q->limit > 0)
		add_parameter(list, "limit", "query", false, "rows of a page",
			      json_pack("{s:s, s:i, s:I, s:I}", "type", "integer", "minimum", 1, "maximum",
					(json_int_t)q->limit_max, "default", (json_int_t)q->limit));
	return list;
}

static json_t *column_schema(enum pg_type type)
{
	switch (type) {
	case PG_TYPE_INTEGER:
		return json_pack("{s:[ss]}", "type", "integer", "null");
	case PG_TYPE_FLOAT:
		return json_pack("{s:[ss]}", "type", "number", "null");
	case PG_TYPE_BOOL:
		return json_pack("{s:[ss]}", "type", "boolean", "null");
	case PG_TYPE_JSON:
		return json_object();
	case PG_TYPE_DATE:
		return json_pack("{s:[ss], s:s}", "type", "string", "null", "format", "date");
	case PG_TYPE_TIME:
		return json_pack("{s:[ss], s:s}", "type", "string", "null", "format", "date-time");
	case PG_TYPE_TEXT:
		break;
	}
	return json_pack("{s:[ss]}", "type", "string", "null");
}

static json_t *row_schema(const struct pg_result *described)
{
	json_t *schema = json_pack("{s:s, s:{}, s:[]}", "type", "object", "properties", "required");
	json_t *properties = json_object_get(schema, "properties"), *required = json_object_get(schema, "required");

	for (int i = 0; i < pg_columns(described); i++) {
		json_object_set_new(properties, pg_column(described, i), column_schema(pg_column_type(described, i)));
		json_array_append_new(required, json_string(pg_column(described, i)));
	}
	return schema;
}

static json_t *answer_schema(const struct resource *q, const struct pg_result *described)
{
	json_t *schema;

	if (!q->list)
		return row_schema(described);
	schema = json_pack("{s:s, s:{s:{s:s, s:o}}, s:[s]}", "type", "object", "properties", q->list, "type", "array",
			   "items", row_schema(described), "required", q->list);
	if (q->cursor_count > 0) {
		json_object_set_new(json_object_get(schema, "properties"), "next_cursor",
				    json_pack("{s:[ss]}", "type", "string", "null"));
		json_array_append_new(json_object_get(schema, "required"), json_string("next_cursor"));
	}
	return schema;
}

static json_t *problem(const char *description)
{
	return json_pack("{s:s, s:{s:{s:{s:s}}}}", "description", description, "content", "application/problem+json",
			 "schema", "$ref", "#/components/schemas/problem");
}

static int add_resource(json_t *paths, const struct resource *q, struct pg *pg, struct err *err)
{
	CLEANUP(pg_result_freep) struct pg_result *described = NULL;
	json_t *operation, *responses, *path = json_object_get(paths, q->path);

	if (pg_describe(pg, q->sql, &described, err))
		return err_wrap(err, "resource %s", q->name);
	responses = json_pack("{s:{s:s, s:{s:{s:o}}}, s:o, s:o, s:o, s:o}", "200", "description", "the rows", "content",
			      "application/json", "schema", answer_schema(q, described), "400",
			      problem("a parameter is none"), "401", problem("no token that is good"), "403",
			      problem("the token's role is too little"), "default", problem("what else went wrong"));
	if (q->stream)
		json_object_set_new(json_object_get(json_object_get(responses, "200"), "content"), "text/csv",
				    json_object());
	if (!q->list)
		json_object_set_new(responses, "404", problem("there is none"));
	operation = json_pack("{s:s, s:s, s:o, s:o, s:s}", "operationId", q->name, "summary", q->doc, "parameters",
			      parameters_of(q), "responses", responses, "x-role", q->role);
	if (!path) {
		path = json_object();
		json_object_set_new(paths, q->path, path);
	}
	json_object_set_new(path, "get", operation);
	return 0;
}

/* Of paths that openapi.json has: what chooses the rows is told once, in the resource. */
static int add_filters(json_t *paths, const struct resources *resources, struct err *err)
{
	const char *path, *method;
	json_t *methods, *operation;

	json_object_foreach(paths, path, methods) json_object_foreach(methods, method, operation)
	{
		const char *name = json_string_value(json_object_get(operation, "x-filters-of"));
		const struct resource *q = name ? resources_find(resources, name) : NULL;

		if (name && !q)
			return err_set(err, ERR_FATAL, "openapi.json: there is no resource %s", name);
		if (q)
			json_object_set_new(operation, "parameters", filters_of(q));
		json_object_del(operation, "x-filters-of");
	}
	return 0;
}

static int make(struct api_call *call, char **ret, struct err *err)
{
	struct str base = embed_find("stages/orchestrator/api/openapi.json");
	CLEANUP(json_freep) json_t *document = json_loadb(base.data, base.len, JSON_REJECT_DUPLICATES, NULL);
	json_t *paths = json_object_get(document, "paths");

	if (!paths)
		return err_set(err, ERR_FATAL, "openapi.json is no JSON with paths");
	if (add_filters(paths, call->resources, err))
		return -1;
	json_object_set_new(json_object_get(document, "info"), "version", json_string(PENSTOCK_VERSION));
	for (unsigned i = 0; i < call->resources->count; i++)
		if (add_resource(paths, &call->resources->items[i], call->pg, err))
			return -1;
	*ret = json_dumps(document, JSON_INDENT(1));
	return 0;
}

int api_openapi(struct api_call *call, struct err *err)
{
	int r = 0;

	pthread_mutex_lock(&made.lock);
	if (!made.text)
		r = make(call, &made.text, err);
	if (r == 0)
		buf_put_text(&call->response->body, made.text);
	pthread_mutex_unlock(&made.lock);
	return r;
}

void api_openapi_release(void)
{
	free(made.text);
	made.text = NULL;
}

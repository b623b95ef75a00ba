/*
 * The schemas as a registry that tools know (Confluent's REST interface, what
 * of it reads). Schemas are no secret: they stand in the source, and clients
 * that decode messages come without a token, as they do for /openapi.json.
 * Neither is the database needed: everything is compiled in.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/frame_ids.h"
#include "common/registry.h"
#include "stages/orchestrator/api/api.h"

#define CONTENT_TYPE "application/vnd.schemaregistry.v1+json"
#define WORDS_MAX 4

/* Confluent's error codes: the status, and what of it was not found. */
enum registry_error {
	NO_PATH = 404,
	NO_METHOD = 405,
	NO_SUBJECT = 40401,
	NO_VERSION = 40402,
	NO_SCHEMA = 40403,
	BAD_VERSION = 42202,
};

#define STATUS_OF(error) ((error) > 999 ? (int)(error) / 100 : (int)(error))

struct ask {
	const struct registry *registry;
	struct str words[WORDS_MAX]; /* of the path */
	unsigned count;
	struct json_out out;
	struct http_response *response;
};

static void refuse(struct ask *ask, enum registry_error error, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

static void refuse(struct ask *ask, enum registry_error error, const char *fmt, ...)
{
	char message[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(message, sizeof(message), fmt, ap);
	va_end(ap);
	ask->response->status = STATUS_OF(error);
	json_put_open(&ask->out, '{');
	json_put_key(&ask->out, "error_code");
	json_put_int(&ask->out, error);
	json_put_key(&ask->out, "message");
	json_put_str(&ask->out, str_of(message));
	json_put_close(&ask->out, '}');
}

static void put_text(struct json_out *out, const char *key, const char *text)
{
	json_put_key(out, key);
	json_put_str(out, str_of(text));
}

static void put_schema(struct json_out *out, const struct registry_version *v)
{
	CLEANUP(freep) char *text = registry_compact(v->schema);

	put_text(out, "schema", text);
}

/* --- subjects ---------------------------------------------------------------------------------------------------------- */

/* The subject's newest version; NULL: there is none, and that was said. */
static const struct registry_version *need_subject(struct ask *ask, struct str subject)
{
	const struct registry_version *v = registry_find(ask->registry, subject, REGISTRY_LATEST);
	char shown[STR_SHOWN_MAX];

	if (!v)
		refuse(ask, NO_SUBJECT, "Subject '%s' not found.", str_show(subject, shown));
	return v;
}

static void serve_subjects(struct ask *ask)
{
	json_put_open(&ask->out, '[');
	for (unsigned i = 0; i < registry_count(ask->registry); i++)
		if (registry_at(ask->registry, i)->version == 1)
			json_put_str(&ask->out, str_of(registry_at(ask->registry, i)->subject));
	json_put_close(&ask->out, ']');
}

static void serve_versions(struct ask *ask)
{
	const struct registry_version *latest = need_subject(ask, ask->words[1]);

	if (!latest)
		return;
	json_put_open(&ask->out, '[');
	for (unsigned version = 1; version <= latest->version; version++)
		json_put_int(&ask->out, version);
	json_put_close(&ask->out, ']');
}

static void serve_version(struct ask *ask)
{
	const struct registry_version *v;
	struct str word = ask->words[3];
	char shown[STR_SHOWN_MAX];
	unsigned version;

	if (!registry_version_parse(word, &version))
		refuse(ask, BAD_VERSION,
		       "The specified version '%s' is not a valid version id. Allowed values are between [1, 2^31-1] "
		       "and the string \"latest\".",
		       str_show(word, shown));
	else if (!need_subject(ask, ask->words[1]))
		return;
	else if (!(v = registry_find(ask->registry, ask->words[1], version)))
		refuse(ask, NO_VERSION, "Version %u not found.", version);
	else {
		json_put_open(&ask->out, '{');
		put_text(&ask->out, "subject", v->subject);
		json_put_key(&ask->out, "version");
		json_put_int(&ask->out, v->version);
		json_put_key(&ask->out, "id");
		json_put_int(&ask->out, frame_id_written(v->id));
		put_schema(&ask->out, v);
		json_put_close(&ask->out, '}');
	}
}

/* --- schemas ----------------------------------------------------------------------------------------------------------- */

/* One of the versions that are this schema; NULL: there is none, and that was said. */
static const struct registry_version *need_schema(struct ask *ask, struct str word)
{
	const struct registry_version *v = NULL;
	char shown[STR_SHOWN_MAX];
	unsigned id;

	if (registry_version_parse(word, &id)) /* "latest" is 0, which is no schema's id */
		v = registry_find_id(ask->registry, frame_id_read(id));
	if (!v)
		refuse(ask, NO_SCHEMA, "Schema %s not found", str_show(word, shown));
	return v;
}

static void serve_schema(struct ask *ask)
{
	const struct registry_version *v = need_schema(ask, ask->words[2]);

	if (!v)
		return;
	json_put_open(&ask->out, '{');
	put_schema(&ask->out, v);
	json_put_close(&ask->out, '}');
}

static void serve_schema_versions(struct ask *ask)
{
	const struct registry_version *schema = need_schema(ask, ask->words[2]);

	if (!schema)
		return;
	json_put_open(&ask->out, '[');
	for (unsigned i = 0; i < registry_count(ask->registry); i++) {
		const struct registry_version *v = registry_at(ask->registry, i);

		if (v->id != schema->id)
			continue;
		json_put_open(&ask->out, '{');
		put_text(&ask->out, "subject", v->subject);
		json_put_key(&ask->out, "version");
		json_put_int(&ask->out, v->version);
		json_put_close(&ask->out, '}');
	}
	json_put_close(&ask->out, ']');
}

static void serve_types(struct ask *ask)
{
	json_put_open(&ask->out, '[');
	json_put_str(&ask->out, STR_LIT("AVRO"));
	json_put_close(&ask->out, ']');
}

/* One level for all: what is said of a subject is said of each. */
static void serve_config(struct ask *ask)
{
	if (ask->count == 2 && !need_subject(ask, ask->words[1]))
		return;
	json_put_open(&ask->out, '{');
	put_text(&ask->out, "compatibilityLevel", REGISTRY_COMPATIBILITY);
	json_put_close(&ask->out, '}');
}

/* --- routes ------------------------------------------------------------------------------------------------------------ */

static const struct {
	const char *words[WORDS_MAX]; /* "*": any */
	unsigned count;
	void (*serve)(struct ask *ask);
} routes[] = {
	{ { "subjects" }, 1, serve_subjects },
	{ { "subjects", "*", "versions" }, 3, serve_versions },
	{ { "subjects", "*", "versions", "*" }, 4, serve_version },
	{ { "schemas", "types" }, 2, serve_types },
	{ { "schemas", "ids", "*" }, 3, serve_schema },
	{ { "schemas", "ids", "*", "versions" }, 4, serve_schema_versions },
	{ { "config" }, 1, serve_config },
	{ { "config", "*" }, 2, serve_config },
};

static bool fits(const struct ask *ask, const char *const *words, unsigned count)
{
	if (ask->count != count)
		return false;
	for (unsigned i = 0; i < count; i++)
		if (strcmp(words[i], "*") != 0 && !str_eq(str_of(words[i]), ask->words[i]))
			return false;
	return true;
}

/* The path's words; of more than any route has the count is one too many. */
static void split(struct ask *ask, const char *path)
{
	while (*path == '/' && ask->count < WORDS_MAX) {
		size_t n = strcspn(++path, "/");

		ask->words[ask->count++] = (struct str){ path, (uint32_t)n };
		path += n;
	}
	ask->count += *path != '\0';
}

/*
 * Newer clients first ask for associations, and take a 404 for "there are
 * none: the subject is that of the topic". Any other answer stops them.
 */
static bool is_registrys(const struct ask *ask)
{
	if (str_eq(ask->words[0], STR_LIT("associations")))
		return true;
	for (unsigned i = 0; i < sizeof(routes) / sizeof(*routes); i++)
		if (str_eq(ask->words[0], str_of(routes[i].words[0])))
			return true;
	return false;
}

static void serve(struct ask *ask, const char *path)
{
	for (unsigned i = 0; i < sizeof(routes) / sizeof(*routes); i++)
		if (fits(ask, routes[i].words, routes[i].count)) {
			routes[i].serve(ask);
			return;
		}
	refuse(ask, NO_PATH, "HTTP 404 Not Found: there is no %s here", path);
}

bool api_registry(const struct registry *registry, const struct http_request *request, struct http_response *response)
{
	struct ask ask = { .registry = registry, .out = JSON_OUT(&response->body), .response = response };

	split(&ask, request->path);
	if (ask.count == 0 || !is_registrys(&ask))
		return false;
	response->status = 200;
	response->content_type = CONTENT_TYPE;
	if (api_is_get(request->method)) {
		serve(&ask, request->path);
		return true;
	}
	snprintf(response->allow, sizeof(response->allow), "GET, HEAD");
	refuse(&ask, NO_METHOD,
	       "HTTP 405 Method Not Allowed: schemas are part of the build, nothing is registered, changed or deleted "
	       "here; a new version is made in schemas/avro with `make lock`");
	return true;
}

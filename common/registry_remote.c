#include "common/registry_remote.h"

#include <stdlib.h>

#include "common/cleanup.h"
#include "common/frame_ids.h"
#include "common/http_json.h"
#include "common/json_in.h"
#include "common/mem.h"
#include "common/registry.h"

#define CONTENT_TYPE "application/vnd.schemaregistry.v1+json"

bool registry_is_remote(const struct config *cfg)
{
	return config_text(cfg, "registry.url")[0] != '\0';
}

static int refused(const struct registry_version *v, long status, const json_t *answer, struct err *err)
{
	const char *message = json_string_value(json_object_get(answer, "message"));

	if (status == 401 || status == 403)
		return err_set(err, ERR_FATAL, "it does not take registry.user and registry.password (HTTP %ld)",
			       status);
	return err_set(err, status >= 500 || status == 429 ? ERR_RETRY : ERR_FATAL,
		       "%s, version %u, is refused: %.200s (HTTP %ld)", v->subject, v->version, message ? message : "",
		       status);
}

/* {"schema": "…"}: the schema is text in there. */
static char *body_of(const struct registry_version *v)
{
	CLEANUP(freep) char *schema = registry_compact(v->schema);
	CLEANUP(json_freep) json_t *body = json_pack("{s:s}", "schema", schema);

	return json_dumps(body, JSON_COMPACT);
}

static int register_one(const struct config *cfg, const struct registry_version *v, struct err *err)
{
	CLEANUP(freep) char *url = mem_printf("%s/subjects/%s/versions", config_text(cfg, "registry.url"), v->subject);
	CLEANUP(freep) char *body = body_of(v);
	CLEANUP(json_freep) json_t *answer = NULL;
	const struct http_json_call call = { .method = "POST",
					     .url = url,
					     .body = body,
					     .content_type = CONTENT_TYPE,
					     .user = config_text(cfg, "registry.user"),
					     .password = config_text(cfg, "registry.password"),
					     .ca_file = config_text(cfg, "registry.ca_file") };
	const json_t *id;
	long status = 0;

	if (http_json(&call, &status, &answer, err))
		return -1;
	if (status >= 400)
		return refused(v, status, answer, err);
	id = json_object_get(answer, "id");
	if (!json_is_integer(id) || json_integer_value(id) <= 0 || json_integer_value(id) >= FRAME_ID_UNKNOWN)
		return err_set(err, ERR_FATAL, "%s: the answer has no id; is that Confluent's API?", url);
	frame_ids_map(v->id, (uint32_t)json_integer_value(id));
	return 0;
}

int registry_register(const struct config *cfg, struct err *err)
{
	CLEANUP(registry_freep) struct registry *registry = NULL;

	if (!registry_is_remote(cfg))
		return 0;
	if (registry_open(&registry, cfg, err))
		return -1;
	for (unsigned i = 0; i < registry_count(registry); i++)
		if (register_one(cfg, registry_at(registry, i), err))
			return err_wrap(err, "registry.url");
	return 0;
}

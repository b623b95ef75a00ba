#include "ops/cli/api.h"

#include "common/cleanup.h"
#include "common/http_json.h"
#include "common/json_in.h"
#include "common/mem.h"
#include "ops/cli/cli.h"

/* RFC 9457: what the server says is wrong. */
static int refused(long status, const json_t *answer, struct err *err)
{
	const char *title = json_string_value(json_object_get(answer, "title"));
	const char *detail = json_string_value(json_object_get(answer, "detail"));

	if (status == 400 || status == 401) /* a parameter, or the token of the configuration */
		cli_blame_usage();
	if (status == 401)
		return err_set(err, ERR_FATAL, "the orchestrator does not take this token (api.token): %s",
			       detail ? detail : "refused");
	return err_set(err, status >= 500 ? ERR_RETRY : ERR_RECORD, "%s (HTTP %ld)",
		       detail && detail[0] ? detail
		       : title             ? title
					   : "refused",
		       status);
}

int api_call(const struct config *cfg, const char *method, const char *path, const char *body, json_t **ret,
	     struct err *err)
{
	CLEANUP(freep) char *url = mem_printf("%s%s", config_text(cfg, "api.url"), path);
	const struct http_json_call call = {
		.method = method, .url = url, .body = body, .bearer = config_text(cfg, "api.token")
	};
	long status = 0;

	if (http_json(&call, &status, ret, err)) {
		CLEANUP(freep) char *why = mem_strdup(err->text);

		return err_set(err, err->kind, "%s; is the orchestrator up (`make status`)?", why);
	}
	if (status >= 400)
		return refused(status, *ret, err);
	if (!*ret && status != 204)
		return err_set(err, ERR_FATAL, "%s: the answer is not JSON", url);
	return 0;
}

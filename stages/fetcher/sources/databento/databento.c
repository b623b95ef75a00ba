/*
 * Source `databento`: the vendor's historical API. A task says in its
 * parameters what is wanted: {"action": "quote"}, or the records themselves,
 * and how: {"via": "batch"}.
 */
#include <jansson.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/json_in.h"
#include "stages/fetcher/sources/databento/account.h"
#include "stages/fetcher/sources/databento/actions.h"
#include "stages/fetcher/sources/databento/request.h"

static int open_fetch(struct source **ret, const struct source_env *env, const struct fetch_task *task,
		      const char *resume, const json_t *parameters, struct err *err)
{
	const json_t *value = json_object_get(parameters, "via");
	const char *via = value ? json_string_value(value) : "stream";

	if (databento_is_mappings(task))
		return databento_open_mappings(ret, env, task, resume, err);
	if (via && strcmp(via, "stream") == 0)
		return databento_open_stream(ret, env, task, resume, err);
	if (via && strcmp(via, "batch") == 0)
		return databento_open_batch(ret, env, task, resume, err);
	return err_set(err, ERR_RECORD, "databento: via '%.40s' is not one of stream, batch", via ? via : "");
}

static int open_action(struct source **ret, const struct source_env *env, const struct fetch_task *task,
		       const char *resume, const json_t *parameters, struct err *err)
{
	const json_t *value = json_object_get(parameters, "action");
	const char *action = value ? json_string_value(value) : "fetch";

	if (action && strcmp(action, "quote") == 0)
		return databento_open_quote(ret, env, task, false, err);
	if (action && strcmp(action, "conditions") == 0)
		return databento_open_quote(ret, env, task, true, err);
	if (action && strcmp(action, "fetch") == 0)
		return open_fetch(ret, env, task, resume, parameters, err);
	return err_set(err, ERR_RECORD, "databento: action '%.40s' is not one of fetch, quote, conditions",
		       action ? action : "");
}

static int databento_open(struct source **ret, const struct source_env *env, const struct fetch_task *task,
			  const char *resume, struct err *err)
{
	bool said = task->parameters && task->parameters[0];
	CLEANUP(json_freep) json_t *parameters = said ? json_loads(task->parameters, 0, NULL) : NULL;

	if (!env->http || !env->databento->key[0])
		return err_set(err, ERR_FATAL, "databento: a task came, but there is no key (databento.key)");
	if (said && !json_is_object(parameters))
		return err_set(err, ERR_RECORD, "databento: the task's parameters are no JSON object");
	if (databento_check_task(task, err))
		return -1;
	return open_action(ret, env, task, resume, parameters, err);
}

const struct source_ops source_databento_ops = {
	.name = "databento",
	.open = databento_open,
};

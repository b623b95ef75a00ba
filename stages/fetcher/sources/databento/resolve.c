#include "stages/fetcher/sources/databento/resolve.h"

#include "common/cleanup.h"
#include "common/json_in.h"
#include "stages/fetcher/sources/databento/request.h"

#define ANSWER_MAX (16u * 1024 * 1024) /* bytes; its objects take some ten times as much */

void resolve_init(struct resolve *resolve, const struct fetch_task *task)
{
	*resolve = (struct resolve){ .task = task, .partial = json_array(), .not_found = json_array() };
}

void resolve_release(struct resolve *resolve)
{
	json_decref(resolve->partial);
	json_decref(resolve->not_found);
}

bool resolve_ended(const struct resolve *resolve)
{
	return resolve->first == resolve->task->symbol_count;
}

void resolve_put(struct resolve *resolve, struct databento_call *call, int64_t start, int64_t end)
{
	unsigned left = resolve->task->symbol_count - resolve->first;

	resolve->count = left < RESOLVE_SYMBOLS ? left : RESOLVE_SYMBOLS;
	databento_put_symbols(call, resolve->task, resolve->first, resolve->count, start, end);
}

static int take_names(json_t *to, const json_t *answer, const char *key, struct err *err)
{
	json_t *names = json_object_get(answer, key);

	if (json_is_array(names) && json_array_extend(to, names) == 0)
		return 0;
	return err_set(err, ERR_RECORD, "databento: symbology.resolve: the answer has no array %s", key);
}

json_t *resolve_take(struct resolve *resolve, const struct databento_call *call, struct err *err)
{
	CLEANUP(json_freep) json_t *answer = NULL;

	if (call->answer.len > ANSWER_MAX) {
		err_set(err, ERR_RECORD,
			"databento: symbology.resolve: an answer of %zu bytes; ask for shorter windows (chunk), or for "
			"fewer symbols than %s",
			call->answer.len, resolve->task->symbols[resolve->first]);
		return NULL;
	}
	answer = databento_call_json(call, err);
	if (!answer || take_names(resolve->partial, answer, "partial", err) ||
	    take_names(resolve->not_found, answer, "not_found", err))
		return NULL;
	resolve->first += resolve->count;
	return STEAL(answer);
}

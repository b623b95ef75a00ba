#include "stages/fetcher/source.h"

#include <string.h>

#include "stages/fetcher/sources/sources.h"

static const struct source_ops *const sources[] = { &source_file_ops, &source_databento_ops, &source_kafka_ops };

#define SOURCE_COUNT (sizeof(sources) / sizeof(sources[0]))

int source_open(struct source **ret, const struct source_env *env, const struct fetch_task *task, const char *resume,
		struct err *err)
{
	const char *name = task->source ? task->source : "";

	for (size_t i = 0; i < SOURCE_COUNT; i++)
		if (strcmp(sources[i]->name, name) == 0)
			return sources[i]->open(ret, env, task, resume, err);
	return err_set(err, ERR_RECORD, "source '%s' is not known (known: %s, %s, %s)", name, sources[0]->name,
		       sources[1]->name, sources[2]->name);
}

int source_next(struct source *source, struct source_item *ret_item, struct err *err)
{
	return source->ops->next(source, ret_item, err);
}

void source_freep(struct source **source)
{
	struct source *self = *source;

	*source = NULL;
	if (self)
		self->ops->free(self);
}

const char *source_identity(const struct source *source)
{
	return source->ops->identity(source);
}

int64_t source_input_bytes(const struct source *source)
{
	return source->ops->input_bytes(source);
}

const char *source_resume(const struct source *source)
{
	return source->ops->resume ? source->ops->resume(source) : "";
}

bool source_begins_behind(const struct source *source)
{
	return source->ops->begins_behind && source->ops->begins_behind(source);
}

const char *source_result(struct source *source)
{
	return source->ops->result ? source->ops->result(source) : "";
}

#include "stages/orchestrator/sources.h"

#include <string.h>

#include "stages/orchestrator/plan_internal.h"
#include "stages/orchestrator/subscription_internal.h"

static const struct subscription_source sources[] = {
	{ "file", subscription_read_file, plan_files },
	{ "databento", subscription_read_databento, plan_quote },
};

#define SOURCES (sizeof(sources) / sizeof(*sources))

const struct subscription_source *source_find(const char *name)
{
	for (unsigned i = 0; i < SOURCES; i++)
		if (strcmp(sources[i].name, name) == 0)
			return &sources[i];
	return NULL;
}

void source_names(struct buf *out)
{
	for (unsigned i = 0; i < SOURCES; i++)
		buf_printf(out, "%s%s", i ? ", " : "", sources[i].name);
}

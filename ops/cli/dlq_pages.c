#include "ops/cli/dlq_pages.h"

#include <string.h>

#include "common/cleanup.h"
#include "common/json_in.h"
#include "common/mem.h"
#include "ops/cli/api.h"

#define PAGE "1000"

/* *cursor: where the page begins, then where the next one does; NULL: there is none. */
static int visit_page(const struct config *cfg, const char *query, char **cursor, dlq_letter_fn *visit, void *self,
		      struct err *err)
{
	CLEANUP(json_freep) json_t *answer = NULL;
	CLEANUP(freep) char *before = *cursor;
	CLEANUP(freep)
	char *path = mem_printf("/api/v1/dead-letters?limit=" PAGE "%s%s%s%s", query[0] ? "&" : "", query,
				before ? "&cursor=" : "", before ? before : "");
	const char *next;
	size_t i;
	json_t *letter;

	*cursor = NULL;
	if (api_call(cfg, "GET", path, NULL, &answer, err))
		return -1;
	json_array_foreach(json_object_get(answer, "dead_letters"), i, letter) if (visit(self, letter, err)) return -1;
	next = json_string_value(json_object_get(answer, "next_cursor"));
	*cursor = next ? mem_strdup(next) : NULL;
	return 0;
}

int dlq_each(const struct config *cfg, const char *query, dlq_letter_fn *visit, void *self, struct err *err)
{
	CLEANUP(freep) char *cursor = NULL;

	do {
		if (visit_page(cfg, query, &cursor, visit, self, err))
			return -1;
	} while (cursor);
	return 0;
}

static int keep(void *self, const json_t *letter, struct err *err)
{
	(void)err;
	json_array_append(self, (json_t *)letter);
	return 0;
}

int dlq_oldest_first(const struct config *cfg, const char *query, dlq_letter_fn *visit, void *self, struct err *err)
{
	CLEANUP(json_freep) json_t *kept = json_array();

	if (dlq_each(cfg, query, keep, kept, err))
		return -1;
	for (size_t i = json_array_size(kept); i-- > 0;)
		if (visit(self, json_array_get(kept, i), err))
			return -1;
	return 0;
}

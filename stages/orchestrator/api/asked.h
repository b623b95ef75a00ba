#pragma once
/* What a request asks of a resource: its parameters, checked, as the resource's SQL takes them. */
#include "common/pg.h"
#include "stages/orchestrator/api/api.h"

#define ASKED_VALUES_MAX (RESOURCE_PARAMETERS_MAX + RESOURCE_CURSOR_MAX + 1)

struct asked {
	const struct resource *resource;
	struct api_call *call;
	const char *values[ASKED_VALUES_MAX]; /* in the order of its parameters, the cursor's, the limit; NULL: null */
	unsigned count;
	int64_t limit;
	char limit_text[PG_INT_MAX];
	struct buf storage[RESOURCE_PARAMETERS_MAX], cursor;
	bool refused; /* the response says why */
};

void asked_release(struct asked *asked);

/* One page of the rows of the resource that the request's path matches. */
void asked_page(struct asked *ret, struct api_call *call);

/* All rows that the request's parameters choose of a resource of another path; refused, too, where it names none of them. */
void asked_all(struct asked *ret, struct api_call *call, const struct resource *resource);

#pragma once
/*
 * symbology.resolve of a task's symbols: some of them at a time, as an answer
 * has a line for each symbol and interval, on some venues each day.
 */
#include "stages/fetcher/sources/databento/call.h"

#define RESOLVE_SYMBOLS 25 /* of one call */

struct resolve {
	const struct fetch_task *task;
	unsigned first, count;       /* of the symbols that are asked for now */
	json_t *partial, *not_found; /* arrays of the symbols that have nothing for some days, or for all */
};

void resolve_init(struct resolve *resolve, const struct fetch_task *task);
void resolve_release(struct resolve *resolve);

/* The fields of a call for the next symbols; the days of a window from start to before end, ns. */
void resolve_put(struct resolve *resolve, struct databento_call *call, int64_t start, int64_t end);

/* Its answer, whole, the caller's; it may be asked again then. NULL: ERR_RECORD, there is none that makes sense. */
json_t *resolve_take(struct resolve *resolve, const struct databento_call *call, struct err *err);

bool resolve_ended(const struct resolve *resolve);

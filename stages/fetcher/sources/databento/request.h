#pragma once
/*
 * What all calls about a task's data say, and what becomes of the vendor's
 * refusals.
 */
#include "stages/fetcher/sources/databento/call.h"

/* dataset, symbols, schema, symbology, and the window. */
void databento_put_request(struct databento_call *call, const struct fetch_task *task, int64_t start, int64_t end);

/* dataset, symbols and symbology, as symbology.resolve wants them, with whole days. */
void databento_put_symbols(struct databento_call *call, const struct fetch_task *task, int64_t start, int64_t end);

/* The task has what each fetch needs; ERR_RECORD names what is missing. */
int databento_check_task(const struct fetch_task *task, struct err *err);

bool databento_is_all_symbols(const struct fetch_task *task);

/*
 * The window ends, or even begins, behind what the vendor has so far: *end
 * becomes the end of that. False: it was refused for another reason.
 */
bool databento_clip(const struct databento_refusal *refusal, int64_t *end);

/* ERR_RECORD: the vendor's words. */
int databento_refused(const struct databento_call *call, struct err *err);

/* Days of a window; the last one holds its last nanosecond. */
int32_t databento_first_day(int64_t start);
int32_t databento_last_day(int64_t end);

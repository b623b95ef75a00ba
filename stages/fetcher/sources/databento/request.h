#pragma once
/*
 * What all calls about a task's data say, and what becomes of the vendor's
 * refusals.
 */
#include "stages/fetcher/sources/databento/call.h"

/* Symbologies: of the task's symbols, and of what they are resolved to. */
const char *databento_stype_in(const struct fetch_task *task);
const char *databento_stype_out(const struct fetch_task *task);

/* dataset, symbols, schema, symbology, and the window. */
void databento_put_request(struct databento_call *call, const struct fetch_task *task, int64_t start, int64_t end);

/* dataset, `count` symbols from `first` on and symbology, as symbology.resolve wants them, with whole days. */
void databento_put_symbols(struct databento_call *call, const struct fetch_task *task, unsigned first, unsigned count,
			   int64_t start, int64_t end);

/* dataset and the days of a window, as metadata.get_dataset_condition wants them. */
void databento_put_days(struct databento_call *call, const struct fetch_task *task, int64_t start, int64_t end);

/* The task has what each fetch needs; ERR_RECORD names what is missing. */
int databento_check_task(const struct fetch_task *task, struct err *err);

bool databento_is_all_symbols(const struct fetch_task *task);

/* Its schema is none that the vendor sells: what symbology.resolve says, as records. */
bool databento_is_mappings(const struct fetch_task *task);

/*
 * The window ends, or even begins, behind what the vendor has so far: *end
 * becomes the end of that. False: it was refused for another reason.
 */
bool databento_clip(const struct databento_refusal *refusal, int64_t *end);

/* No symbol resolves: so it is for a window without data, too. */
bool databento_is_unresolved(const struct databento_refusal *refusal);

/* *ret: the days that were asked about have none of the vendor's data, for sure, as of a weekend. -1: no such answer. */
int databento_take_dataless(const struct databento_call *call, bool *ret, struct err *err);

/* *ret: the number that is the whole answer. -1: it is none. */
int databento_take_number(const struct databento_call *call, int64_t *ret, struct err *err);
struct str databento_answer_text(const struct databento_call *call);

/* ERR_RECORD: the vendor's words. */
int databento_refused(const struct databento_call *call, struct err *err);

/* Days of a window; the last one holds its last nanosecond. */
int32_t databento_first_day(int64_t start);
int32_t databento_last_day(int64_t end);

#include "stages/fetcher/sources/databento/request.h"

#include <inttypes.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/clock.h"

#define SYMBOLS_MAX 2000 /* of one request */
#define LIST_MAX (1024 * 1024)
#define ALL_SYMBOLS "ALL_SYMBOLS"

bool databento_is_all_symbols(const struct fetch_task *task)
{
	return task->symbol_count == 1 && strcmp(task->symbols[0], ALL_SYMBOLS) == 0;
}

static const char *stype_in(const struct fetch_task *task)
{
	return task->stype_in && task->stype_in[0] ? task->stype_in : "raw_symbol";
}

/* Records carry instrument ids only: what the metadata maps to them names the rows, so ids are asked for by name. */
static const char *stype_out(const struct fetch_task *task)
{
	return strcmp(stype_in(task), "instrument_id") == 0 ? "raw_symbol" : "instrument_id";
}

static void put_common(struct databento_call *call, const struct fetch_task *task)
{
	CLEANUP(buf_release) struct buf list = BUF_INIT(LIST_MAX);

	for (unsigned i = 0; i < task->symbol_count; i++)
		buf_printf(&list, "%s%s", i > 0 ? "," : "", task->symbols[i]);
	databento_call_field(call, "dataset", str_of(task->dataset));
	databento_call_field(call, "symbols", buf_str(&list));
	databento_call_field(call, "stype_in", str_of(stype_in(task)));
	databento_call_field(call, "stype_out", str_of(stype_out(task)));
}

void databento_put_request(struct databento_call *call, const struct fetch_task *task, int64_t start, int64_t end)
{
	put_common(call, task);
	databento_call_field(call, "schema", str_of(task->schema));
	databento_call_time(call, "start", start);
	databento_call_time(call, "end", end);
}

void databento_put_symbols(struct databento_call *call, const struct fetch_task *task, int64_t start, int64_t end)
{
	put_common(call, task);
	databento_call_date(call, "start_date", databento_first_day(start));
	databento_call_date(call, "end_date", databento_last_day(end) + 1);
}

int databento_check_task(const struct fetch_task *task, struct err *err)
{
	const char *missing = !task->dataset || !task->dataset[0]  ? "dataset"
			      : !task->schema || !task->schema[0]  ? "schema"
			      : task->symbol_count == 0            ? "symbols"
			      : !task->has_start || !task->has_end ? "start and end"
								   : NULL;

	if (missing)
		return err_set(err, ERR_RECORD, "databento: the task names no %s", missing);
	if (task->symbol_count > SYMBOLS_MAX)
		return err_set(err, ERR_RECORD, "databento: %u symbols; a request takes %d", task->symbol_count,
			       SYMBOLS_MAX);
	if (task->start >= task->end)
		return err_set(err, ERR_RECORD, "databento: the task's window is empty");
	return 0;
}

bool databento_clip(const struct databento_refusal *refusal, int64_t *end)
{
	bool too_late = strcmp(refusal->case_name, "data_end_after_available_end") == 0 ||
			strcmp(refusal->case_name, "data_start_after_available_end") == 0;

	if (!too_late || refusal->available_end == 0 || refusal->available_end >= *end)
		return false;
	*end = refusal->available_end;
	return true;
}

int databento_refused(const struct databento_call *call, struct err *err)
{
	const struct databento_refusal *r = &call->refusal;

	return err_set(err, ERR_RECORD, "databento: %s: HTTP %ld %s%s%s", call->name, r->status, r->case_name,
		       r->case_name[0] ? ": " : "", r->message);
}

int32_t databento_first_day(int64_t start)
{
	return clock_day_of(start);
}

int32_t databento_last_day(int64_t end)
{
	return clock_day_of(end - 1);
}

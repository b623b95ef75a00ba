#include "stages/fetcher/sources/databento/request.h"

#include <inttypes.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/data_types.h"
#include "common/json_in.h"
#include "common/number_text.h"

#define SYMBOLS_MAX 2000 /* of one request */
#define LIST_MAX (1024 * 1024)
#define ALL_SYMBOLS "ALL_SYMBOLS"

bool databento_is_all_symbols(const struct fetch_task *task)
{
	return task->symbol_count == 1 && strcmp(task->symbols[0], ALL_SYMBOLS) == 0;
}

bool databento_is_mappings(const struct fetch_task *task)
{
	const struct data_schema *schema = data_schema_find(task->schema);

	return schema && schema->type == DATA_SYMBOL_MAPPING;
}

const char *databento_stype_in(const struct fetch_task *task)
{
	return task->stype_in && task->stype_in[0] ? task->stype_in : "raw_symbol";
}

/* Records carry instrument ids only: what the metadata maps to them names the rows, so ids are asked for by name. */
const char *databento_stype_out(const struct fetch_task *task)
{
	return strcmp(databento_stype_in(task), "instrument_id") == 0 ? "raw_symbol" : "instrument_id";
}

static void put_common(struct databento_call *call, const struct fetch_task *task, unsigned first, unsigned count)
{
	CLEANUP(buf_release) struct buf list = BUF_INIT(LIST_MAX);

	for (unsigned i = 0; i < count; i++)
		buf_printf(&list, "%s%s", i > 0 ? "," : "", task->symbols[first + i]);
	databento_call_field(call, "dataset", str_of(task->dataset));
	databento_call_field(call, "symbols", buf_str(&list));
	databento_call_field(call, "stype_in", str_of(databento_stype_in(task)));
	databento_call_field(call, "stype_out", str_of(databento_stype_out(task)));
}

void databento_put_request(struct databento_call *call, const struct fetch_task *task, int64_t start, int64_t end)
{
	put_common(call, task, 0, task->symbol_count);
	databento_call_field(call, "schema", str_of(task->schema));
	databento_call_time(call, "start", start);
	databento_call_time(call, "end", end);
}

void databento_put_symbols(struct databento_call *call, const struct fetch_task *task, unsigned first, unsigned count,
			   int64_t start, int64_t end)
{
	put_common(call, task, first, count);
	databento_call_date(call, "start_date", databento_first_day(start));
	databento_call_date(call, "end_date", databento_last_day(end) + 1);
}

void databento_put_days(struct databento_call *call, const struct fetch_task *task, int64_t start, int64_t end)
{
	databento_call_field(call, "dataset", str_of(task->dataset));
	databento_call_date(call, "start_date", databento_first_day(start));
	databento_call_date(call, "end_date", databento_last_day(end));
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

bool databento_is_unresolved(const struct databento_refusal *refusal)
{
	return strcmp(refusal->case_name, "symbology_invalid_request") == 0;
}

int databento_take_dataless(const struct databento_call *call, bool *ret, struct err *err)
{
	CLEANUP(json_freep) json_t *days = databento_call_json(call, err);
	json_t *day;
	size_t i;

	if (!days)
		return -1;
	*ret = true;
	json_array_foreach(days, i, day)
	{
		const char *condition = json_string_value(json_object_get(day, "condition"));

		if (condition && strcmp(condition, "missing") != 0 && strcmp(condition, "pending") != 0)
			*ret = false;
	}
	return 0;
}

struct str databento_answer_text(const struct databento_call *call)
{
	struct str text = buf_str(&call->answer);

	while (text.len > 0 && (uint8_t)text.data[text.len - 1] <= ' ')
		text.len--;
	return text;
}

int databento_take_number(const struct databento_call *call, int64_t *ret, struct err *err)
{
	if (number_text_i64(databento_answer_text(call), ret))
		return 0;
	return err_set(err, ERR_RECORD, "databento: %s: the answer has no number", call->name);
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

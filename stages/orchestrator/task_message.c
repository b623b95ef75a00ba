#include <jansson.h>
#include <stdlib.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/control.h"
#include "common/json_in.h"
#include "common/mem.h"
#include "stages/orchestrator/outbox.h"

static char *copy_member(const json_t *object, const char *key, const char *fallback)
{
	const char *text = json_string_value(json_object_get(object, key));

	return mem_strdup(text ? text : fallback);
}

static void copy_symbols(const json_t *list, struct fetch_task *task)
{
	if (json_array_size(list) == 0)
		return;
	task->symbols = mem_zalloc(json_array_size(list), sizeof(*task->symbols));
	for (size_t i = 0; i < json_array_size(list); i++) {
		const char *symbol = json_string_value(json_array_get(list, i));

		task->symbols[task->symbol_count++] = mem_strdup(symbol ? symbol : "");
	}
}

static int copy_time(const json_t *object, const char *key, bool *ret_has, int64_t *ret, struct err *err)
{
	const char *text = json_string_value(json_object_get(object, key));

	*ret_has = text;
	if (!text || clock_parse(str_of(text), ret))
		return 0;
	return err_set(err, ERR_RECORD, "task parameters: %s '%.40s' is no time", key, text);
}

/* What source `kafka` is told: messages, or of which range they are, and where they go. */
static char *messages_told(const json_t *object)
{
	static const char *const names[] = { "stage", "messages", "partition", "from", "to", "replays" };
	CLEANUP(json_freep) json_t *told = json_object();

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (json_object_get(object, names[i]))
			json_object_set(told, names[i], json_object_get(object, names[i]));
	return json_dumps(told, JSON_COMPACT);
}

/*
 * What the source is told, whether what the metadata says of symbols is to be fetched, where a parked task goes on, which
 * letter a dead one is, and how often it may ask.
 */
static int copy_told(const json_t *object, int64_t calls_max, char **ret, struct err *err)
{
	const char *told = json_string_value(json_object_get(object, "parameters"));
	bool mappings = json_is_true(json_object_get(object, "symbol_mappings"));
	json_t *parked = json_object_get(object, "parked"), *letter = json_object_get(object, "letter");
	CLEANUP(json_freep) json_t *merged = NULL;

	if (json_object_get(object, "messages") || json_object_get(object, "partition")) {
		*ret = messages_told(object);
		return 0;
	}
	merged = told && told[0] ? json_loads(told, 0, NULL) : json_object();
	if (!mappings && !parked && !letter && calls_max == 0) {
		*ret = mem_strdup(told ? told : "");
		return 0;
	}
	if (!json_is_object(merged))
		return err_set(err, ERR_RECORD, "task parameters: what the source is told is no object");
	if (mappings)
		json_object_set_new(merged, "symbol_mappings", json_true());
	if (parked)
		json_object_set(merged, "parked", parked);
	if (letter)
		json_object_set(merged, "letter", letter);
	if (calls_max > 0)
		json_object_set_new(merged, "calls_max", json_integer(calls_max));
	*ret = json_dumps(merged, JSON_COMPACT);
	return 0;
}

/* etl.tasks.parameters, as the plan wrote it, becomes a task that holds all a fetcher needs. */
int task_message(const struct task_columns *columns, struct buf *out, struct err *err)
{
	CLEANUP(fetch_task_release) struct fetch_task task = FETCH_TASK_INIT;
	CLEANUP(json_freep) json_t *parameters = NULL;
	json_error_t where;

	parameters = json_loads(columns->parameters, JSON_REJECT_DUPLICATES, &where);
	if (!json_is_object(parameters))
		return err_set(err, ERR_RECORD, "task parameters: %s", parameters ? "no object" : where.text);
	task = (struct fetch_task){
		.attempt = columns->attempt,
		.task = columns->task,
		.run = columns->run,
		.subscription = mem_strdup(columns->subscription),
		.source = mem_strdup(columns->source),
		.record_type = copy_member(parameters, "record_type", "ohlcv"),
		.dataset = copy_member(parameters, "dataset", ""),
		.schema = copy_member(parameters, "schema", ""),
		.path = copy_member(parameters, "path", ""),
		.stype_in = copy_member(parameters, "stype_in", ""),
	};
	copy_symbols(json_object_get(parameters, "symbols"), &task);
	if (copy_told(parameters, columns->calls_max, &task.parameters, err) ||
	    copy_time(parameters, "start", &task.has_start, &task.start, err) ||
	    copy_time(parameters, "end", &task.has_end, &task.end, err))
		return -1;
	return fetch_task_encode(&task, out, err);
}

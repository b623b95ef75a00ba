#include "stages/fetcher/formats/csv_plan.h"

#include <jansson.h>

#include "common/cleanup.h"
#include "common/json_in.h"

void csv_plan_release(struct csv_plan *plan)
{
	csv_settings_release(&plan->settings);
	time_format_release(&plan->time);
}

static int read_parameters(const struct fetch_task *task, json_t **ret, struct err *err)
{
	json_error_t where;

	*ret = json_loads(task->parameters, JSON_REJECT_DUPLICATES, &where);
	if (json_is_object(*ret))
		return 0;
	return err_set(err, ERR_RECORD, "the task's parameters: %s", *ret ? "no object" : where.text);
}

int csv_plan_wanted(const struct fetch_task *task, bool *ret_wanted, struct err *err)
{
	CLEANUP(json_freep) json_t *parameters = NULL;
	const char *format;

	*ret_wanted = false;
	if (!task->parameters || !task->parameters[0])
		return 0;
	if (read_parameters(task, &parameters, err))
		return -1;
	format = json_string_value(json_object_get(parameters, "format"));
	if (format && strcmp(format, "csv") != 0)
		return err_set(err, ERR_RECORD, "the task's format '%.64s' is not csv", format);
	*ret_wanted = format != NULL;
	return 0;
}

static int read_settings(struct csv_settings *settings, json_t *csv, struct err *err)
{
	const char *key;
	json_t *value;

	json_object_foreach(csv, key, value)
	{
		if (!json_is_string(value))
			return err_set(err, ERR_RECORD, "%.64s: no text", key);
		if (csv_settings_set(settings, key, json_string_value(value), err))
			return -1;
	}
	return csv_settings_check(settings, err);
}

static const char *or_empty(const char *text)
{
	return text ? text : "";
}

int csv_plan_open(struct csv_plan *plan, const struct fetch_task *task, struct err *err)
{
	CLEANUP(json_freep) json_t *parameters = NULL;
	const struct csv_settings *s = &plan->settings;

	if (read_parameters(task, &parameters, err))
		return -1;
	if (read_settings(&plan->settings, json_object_get(parameters, "csv"), err) ||
	    time_format_open(&plan->time, or_empty(s->time_format), or_empty(s->time_zone), or_empty(s->time_twice),
			     err))
		return err_wrap(err, "the task's csv");
	return 0;
}

/* --- columns ----------------------------------------------------------------------------------------------------------- */

/* The header as a message shows it. */
static const char *show_header(const struct csv *header, char out[STR_SHOWN_MAX])
{
	return str_show(header->lines.line, out);
}

static int find_name(const struct csv *header, const char *name, unsigned *ret, struct err *err)
{
	char shown[STR_SHOWN_MAX];

	*ret = 0;
	for (unsigned i = 0; i < header->count; i++) {
		if (!str_eq(header->fields[i], str_of(name)))
			continue;
		if (*ret)
			return err_set(err, ERR_RECORD, "column '%.100s' stands twice in the header: %s", name,
				       show_header(header, shown));
		*ret = i + 1;
	}
	if (*ret)
		return 0;
	return err_set(err, ERR_RECORD, "column '%.100s' is not in the header: %s", name, show_header(header, shown));
}

static int find_column(struct csv_plan *plan, enum csv_column column, const struct csv *header, struct err *err)
{
	const char *text = plan->settings.columns[column];
	unsigned *place = &plan->columns[column];

	if (!text || (column == CSV_VOLUME && strcmp(text, CSV_NONE) == 0))
		return 0;
	*place = csv_column_number(text);
	if (!*place && header && find_name(header, text, place, err))
		return err_wrap(err, "%s", csv_column_name(column));
	if (header && *place > header->count)
		return err_set(err, ERR_RECORD, "%s: column %u: the header has %u", csv_column_name(column), *place,
			       header->count);
	if (*place > plan->least)
		plan->least = *place;
	return 0;
}

int csv_plan_columns(struct csv_plan *plan, const struct csv *header, struct err *err)
{
	if (header && header->fault)
		return err_set(err, ERR_RECORD, "the header cannot be read: %s", header->fault);
	plan->exact = header ? header->count : 0;
	for (int i = 0; i < CSV_COLUMNS; i++)
		if (find_column(plan, (enum csv_column)i, header, err))
			return -1;
	return 0;
}

#include "stages/orchestrator/subscription_internal.h"

#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/csv_settings.h"
#include "common/data_types.h"
#include "common/mem.h"

#define PARAMETERS_MAX 8000 /* bytes; a task's strings take no more */

static bool is_bars(const char *name)
{
	const struct data_schema *schema = data_schema_find(name);

	return schema && schema->type == DATA_OHLCV;
}

/* A file of such bars says neither of them. */
static int check_bars(const struct yaml_doc *doc, const struct yaml_node *map, const struct subscription *s,
		      struct err *err)
{
	const struct yaml_node *schema = yaml_get(doc, map, "schema");

	if (!s->dataset[0])
		return yaml_error(doc, map, err, "subscription %s: format csv needs a dataset: the files name none",
				  s->name);
	if (!is_bars(s->schema))
		return yaml_error(
			doc, schema ? schema : map, err,
			"subscription %s: format csv needs a schema: ohlcv-1s, ohlcv-1m, ohlcv-1h, ohlcv-1d or ohlcv-eod",
			s->name);
	return 0;
}

static int read_settings(const struct yaml_doc *doc, const struct yaml_node *csv, const struct subscription *s,
			 struct csv_settings *settings, struct err *err)
{
	struct err why = ERR_INIT;

	for (unsigned i = 0; i < yaml_count(csv); i++) {
		const struct yaml_node *value = yaml_value(doc, csv, i);
		const char *text = value ? yaml_text(value) : NULL;

		if (!text)
			err_set(&why, ERR_RECORD, "%.64s: a text", yaml_key(doc, csv, i));
		if (!text || csv_settings_set(settings, yaml_key(doc, csv, i), text, &why))
			return yaml_error(doc, value ? value : csv, err, "subscription %s: csv: %s", s->name, why.text);
	}
	if (csv_settings_check(settings, &why))
		return yaml_error(doc, csv, err, "subscription %s: csv: %s", s->name, why.text);
	return 0;
}

static int read_csv(const struct yaml_doc *doc, const struct yaml_node *map, struct subscription *s, struct err *err)
{
	CLEANUP(csv_settings_release) struct csv_settings settings = CSV_SETTINGS_INIT;
	CLEANUP(buf_release) struct buf text = BUF_INIT(PARAMETERS_MAX);
	struct json_out out = JSON_OUT(&text);
	const struct yaml_node *csv = yaml_get(doc, map, "csv");

	if (!csv || yaml_kind(csv) != YAML_MAP)
		return yaml_error(doc, csv ? csv : map, err,
				  "subscription %s: format csv needs a mapping `csv:` that says which column is what",
				  s->name);
	if (check_bars(doc, map, s, err) || read_settings(doc, csv, s, &settings, err))
		return -1;
	json_put_open(&out, '{');
	json_put_key(&out, "format");
	json_put_str(&out, STR_LIT("csv"));
	json_put_key(&out, "csv");
	csv_settings_json(&settings, &out);
	json_put_close(&out, '}');
	if (text.overflow)
		return yaml_error(doc, csv, err, "subscription %s: csv: more than %d bytes", s->name, PARAMETERS_MAX);
	free(s->parameters);
	s->parameters = mem_strdup(buf_text(&text));
	return 0;
}

int subscription_format(const struct yaml_doc *doc, const struct yaml_node *map, struct subscription *s,
			struct err *err)
{
	const struct yaml_node *csv = yaml_get(doc, map, "csv");
	const char *format;

	s->parameters = mem_strdup("");
	if (yaml_get_text(doc, map, "format", "", &format, err))
		return -1;
	if (strcmp(format, "csv") == 0)
		return read_csv(doc, map, s, err);
	if (format[0])
		return yaml_error(
			doc, yaml_get(doc, map, "format"), err,
			"subscription %s: format '%.64s' is not csv; the vendor's own files need none: their first bytes tell it",
			s->name, format);
	if (csv)
		return yaml_error(doc, csv, err, "subscription %s: csv stands here without format: csv", s->name);
	return 0;
}

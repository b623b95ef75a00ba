#include "common/calendars_pg.h"

#include "common/cleanup.h"
#include "common/json_out.h"
#include "common/yaml_in.h"

#define LIST_MAX ((size_t)4 * 1024 * 1024)

/* Days are checked by the database, which has to know them anyway. */
static int put_calendar(const struct yaml_doc *doc, const struct yaml_node *map, struct json_out *json, struct err *err)
{
	static const char *const keys[] = { "name", "first", "last", "closed", NULL };

	if (yaml_check_keys(doc, map, keys, err))
		return -1;
	json_put_open(json, '{');
	for (const char *const *key = keys; *key; key++) {
		const char *text;

		if (yaml_get_text(doc, map, *key, "", &text, err))
			return -1;
		if (!*text)
			return yaml_error(doc, map, err, "a calendar needs name, first, last and closed");
		json_put_key(json, *key);
		json_put_str(json, str_of(text));
	}
	json_put_close(json, '}');
	return 0;
}

static int put_list(const struct yaml_doc *doc, struct json_out *json, struct err *err)
{
	static const char *const keys[] = { "calendars", NULL };
	const struct yaml_node *list = yaml_get(doc, yaml_root(doc), "calendars");

	if (yaml_check_keys(doc, yaml_root(doc), keys, err))
		return -1;
	if (!list || yaml_kind(list) != YAML_LIST)
		return yaml_error(doc, yaml_root(doc), err, "`calendars` is a list");
	json_put_open(json, '[');
	for (unsigned i = 0; i < yaml_count(list); i++)
		if (put_calendar(doc, yaml_item(doc, list, i), json, err))
			return -1;
	json_put_close(json, ']');
	return 0;
}

int calendars_store(struct pg *pg, const char *name, struct str yaml, struct err *err)
{
	CLEANUP(yaml_freep) struct yaml_doc *doc = NULL;
	CLEANUP(buf_release) struct buf text = BUF_INIT(LIST_MAX);
	struct json_out json = JSON_OUT(&text);

	if (yaml_read(&doc, name, yaml, err) || put_list(doc, &json, err))
		return -1;
	return pg_query(pg,
			"WITH said AS (SELECT name AS calendar, first AS first_day, last AS last_day,"
			" string_to_array(closed, ' ')::date[] AS closed"
			" FROM jsonb_to_recordset($1::jsonb) AS (name text, first date, last date, closed text)),"
			" gone AS (DELETE FROM etl.calendars WHERE calendar NOT IN (SELECT calendar FROM said))"
			" INSERT INTO etl.calendars SELECT * FROM said ON CONFLICT (calendar) DO UPDATE"
			" SET first_day = EXCLUDED.first_day, last_day = EXCLUDED.last_day, closed = EXCLUDED.closed",
			PG_PARAMS(buf_text(&text)), NULL, err);
}

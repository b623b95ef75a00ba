#include "common/datasets_pg.h"

#include "common/cleanup.h"
#include "common/json_out.h"

#define LIST_MAX ((size_t)4 * 1024 * 1024)

static void put(struct json_out *json, const char *key, struct str value)
{
	json_put_key(json, key);
	json_put_str(json, value);
}

static void list(const struct datasets *all, struct buf *out)
{
	struct json_out json = JSON_OUT(out);

	json_put_open(&json, '[');
	for (unsigned i = 0; i < datasets_count(all); i++) {
		const struct dataset *d = datasets_at(all, i);

		json_put_open(&json, '{');
		put(&json, "dataset", d->name);
		put(&json, "region", str_of(d->region));
		put(&json, "asset_class", str_of(datasets_class_name(all, d->asset_class)));
		put(&json, "timezone", str_of(d->timezone));
		if (d->calendar[0])
			put(&json, "calendar", str_of(d->calendar));
		json_put_close(&json, '}');
	}
	json_put_close(&json, ']');
}

int datasets_store(const struct datasets *all, struct pg *pg, struct err *err)
{
	CLEANUP(buf_release) struct buf json = BUF_INIT(LIST_MAX);

	list(all, &json);
	return pg_query(
		pg,
		"WITH said AS (SELECT * FROM jsonb_populate_recordset(NULL::etl.datasets, $1::jsonb)),"
		" gone AS (DELETE FROM etl.datasets WHERE dataset NOT IN (SELECT dataset FROM said))"
		" INSERT INTO etl.datasets SELECT * FROM said ON CONFLICT (dataset) DO UPDATE"
		" SET region = EXCLUDED.region, asset_class = EXCLUDED.asset_class, timezone = EXCLUDED.timezone,"
		" calendar = EXCLUDED.calendar",
		PG_PARAMS(buf_text(&json)), NULL, err);
}

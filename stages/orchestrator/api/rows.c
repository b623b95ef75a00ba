#include "stages/orchestrator/api/rows.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *api_time(const char *text, char time[API_TIME_MAX])
{
	char *zone;

	snprintf(time, API_TIME_MAX, "%s", text);
	zone = strchr(time, '+');
	if (strlen(time) > 10 && time[10] == ' ' && zone) {
		time[10] = 'T';
		memcpy(zone, "Z", 2);
	}
	return time;
}

/* JSON has no NaN. */
static void put_float(struct json_out *out, const char *text)
{
	if (strspn(text, "-+.0123456789eE") == strlen(text))
		json_put_raw(out, str_of(text));
	else
		json_put_null(out);
}

void api_put_value(struct json_out *out, const struct pg_result *r, int row, int column)
{
	const char *text = pg_text(r, row, column);
	char time[API_TIME_MAX];

	if (pg_null(r, row, column)) {
		json_put_null(out);
		return;
	}
	switch (pg_column_type(r, column)) {
	case PG_TYPE_BOOL:
		json_put_bool(out, pg_bool(r, row, column));
		break;
	case PG_TYPE_INTEGER:
	case PG_TYPE_JSON:
		json_put_raw(out, str_of(text));
		break;
	case PG_TYPE_FLOAT:
		put_float(out, text);
		break;
	case PG_TYPE_TIME:
		json_put_str(out, str_of(api_time(text, time)));
		break;
	case PG_TYPE_DATE:
	case PG_TYPE_TEXT:
		json_put_str(out, str_of(text));
		break;
	}
}

void api_put_members(struct json_out *out, const struct pg_result *r, int row)
{
	for (int column = 0; column < pg_columns(r); column++) {
		json_put_key(out, pg_column(r, column));
		api_put_value(out, r, row, column);
	}
}

void api_put_rows(struct json_out *out, const struct pg_result *r, int max)
{
	json_put_open(out, '[');
	for (int row = 0; row < pg_rows(r) && row < max; row++) {
		json_put_open(out, '{');
		api_put_members(out, r, row);
		json_put_close(out, '}');
	}
	json_put_close(out, ']');
}

bool api_number(const char *text, int64_t max, int64_t *ret)
{
	char *end;

	errno = 0;
	*ret = strtoll(text, &end, 10);
	return text[0] >= '0' && text[0] <= '9' && *end == '\0' && !errno && *ret >= 1 && *ret <= max;
}

#include <errno.h>
#include <stdlib.h>

#include "stages/orchestrator/api.h"

static void put_value(struct json_out *out, const struct pg_result *r, int row, int column, enum member_kind kind)
{
	if (pg_null(r, row, column))
		json_put_null(out);
	else if (kind == MEMBER_TEXT)
		json_put_str(out, str_of(pg_text(r, row, column)));
	else if (kind == MEMBER_BOOL)
		json_put_bool(out, pg_bool(r, row, column));
	else
		json_put_raw(out, str_of(pg_text(r, row, column)));
}

void api_put_members(struct json_out *out, const struct pg_result *r, int row, const struct api_member *members)
{
	for (int i = 0; members[i].name; i++) {
		json_put_key(out, members[i].name);
		put_value(out, r, row, i, members[i].kind);
	}
}

void api_put_rows(struct json_out *out, const struct pg_result *rows, const struct api_member *members, int max)
{
	json_put_open(out, '[');
	for (int i = 0; i < pg_rows(rows) && i < max; i++) {
		json_put_open(out, '{');
		api_put_members(out, rows, i, members);
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

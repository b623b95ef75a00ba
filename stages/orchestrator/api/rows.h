#pragma once
/* Rows of the database as JSON: columns are members, in their order, as the types of the columns are. */
#include <stdbool.h>
#include <stdint.h>

#include "common/json_out.h"
#include "common/pg.h"

#define API_TIME_MAX 64
/* "2024-01-31 14:30:00.5+00", as the database writes a time of UTC, as ISO 8601. Returns `time`. */
const char *api_time(const char *text, char time[API_TIME_MAX]);

void api_put_value(struct json_out *out, const struct pg_result *r, int row, int column);

/* A row's members, between the braces. */
void api_put_members(struct json_out *out, const struct pg_result *r, int row);

/* A list of objects, `max` of the rows at most. */
void api_put_rows(struct json_out *out, const struct pg_result *r, int max);

/* A whole number from 1 to max; false for anything else. */
bool api_number(const char *text, int64_t max, int64_t *ret);

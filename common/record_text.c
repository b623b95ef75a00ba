#include "common/record_text.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/decimal.h"

static bool parse_whole(const char *text, int64_t min, int64_t max, int64_t *ret)
{
	char *end;

	errno = 0;
	*ret = strtoll(text, &end, 10);
	return *text && !*end && errno == 0 && *ret >= min && *ret <= max;
}

/* Times are text as JSON shows them, or their number. */
static bool parse_number(const struct record_field *field, const char *text, int64_t *ret)
{
	struct err ignored = ERR_INIT;
	int64_t ns;

	if (field->type == FIELD_BOOL) {
		*ret = strcmp(text, "true") == 0;
		return *ret || strcmp(text, "false") == 0;
	}
	if (field->type == FIELD_DECIMAL)
		return decimal_parse(str_of(text), ret, &ignored) == 0;
	if (field->logical != LOGICAL_NONE && clock_parse(str_of(text), &ns)) {
		*ret = field->logical == LOGICAL_DATE ? clock_day_of(ns) : ns;
		return true;
	}
	if (field->type == FIELD_INT)
		return parse_whole(text, INT32_MIN, INT32_MAX, ret);
	return parse_whole(text, INT64_MIN, INT64_MAX, ret);
}

static void put_number(const struct record_field *field, void *record, int64_t number)
{
	void *place = (char *)record + field->offset;

	if (field->type == FIELD_BOOL)
		*(bool *)place = number != 0;
	else if (field->type == FIELD_INT)
		*(int32_t *)place = (int32_t)number;
	else
		*(int64_t *)place = number;
}

bool record_put_text(void *record, const struct record_field *field, const char *text)
{
	int64_t number;

	if (field->nullable)
		record_set_present(record, field->bit, text);
	if (!text)
		return field->nullable;
	if (field->type == FIELD_STRING)
		*(struct str *)((char *)record + field->offset) = str_of(text);
	else if (!parse_number(field, text, &number))
		return false;
	else
		put_number(field, record, number);
	return true;
}

/* Records as CSV and JSON, in the fields of DBN's newest version. */
#include <inttypes.h>
#include <stdio.h>

#include "common/clock.h"
#include "common/decimal.h"
#include "common/json_out.h"
#include "ops/simulator/records/layout.h"

#define NEWEST (DBN_VERSIONS - 1)
#define VALUE_MAX 40

static int64_t number_of(const struct record *record, const struct field *field)
{
	int64_t value = field->fill;

	if (field->from != LAYOUT_CONSTANT)
		memcpy(&value, (const char *)record + field->from, sizeof(value));
	return value;
}

static const char *text_of(const struct record *record, const struct field *field)
{
	const char *text = "";

	if (field->from != LAYOUT_CONSTANT)
		memcpy(&text, (const char *)record + field->from, sizeof(text));
	return text ? text : "";
}

static void format_price(int64_t value, char text[VALUE_MAX])
{
	uint64_t size = value < 0 ? -(uint64_t)value : (uint64_t)value;

	snprintf(text, VALUE_MAX, "%s%" PRIu64 ".%09" PRIu64, value < 0 ? "-" : "", size / DECIMAL_ONE,
		 size % DECIMAL_ONE);
}

/* False where the value is undefined and the style shows that. */
static bool format_number(const struct field *field, int64_t value, const struct text_style *style,
			  char text[VALUE_MAX])
{
	bool pretty =
		field->kind == FIELD_PRICE ? style->pretty_price : field->kind == FIELD_TIME && style->pretty_time;

	if (pretty && value == (field->kind == FIELD_PRICE ? INT64_MAX : -1))
		return false;
	if (pretty && field->kind == FIELD_PRICE)
		format_price(value, text);
	else if (pretty)
		clock_format(value, 9, text);
	else if (field->type[0] == 'u')
		snprintf(text, VALUE_MAX, "%" PRIu64, (uint64_t)value);
	else
		snprintf(text, VALUE_MAX, "%" PRId64, value);
	return true;
}

/* --- CSV --------------------------------------------------------------------------------------------------------- */

static void put_csv_value(struct buf *buf, const struct record *record, const struct field *field,
			  const struct text_style *style)
{
	int64_t value = number_of(record, field);
	char text[VALUE_MAX];

	if (field->kind == FIELD_TEXT)
		buf_put_text(buf, text_of(record, field));
	else if (field->kind == FIELD_CHAR && value)
		buf_put_u8(buf, (uint8_t)value);
	else if (field->kind != FIELD_CHAR && format_number(field, value, style, text))
		buf_put_text(buf, text);
}

/* ts_recv stands before the header's fields. */
static bool leads(const struct layout *layout)
{
	return layout->fields[0].from == offsetof(struct record, ts_recv);
}

typedef void put_field_fn(struct buf *buf, const struct record *record, const struct field *field,
			  const struct text_style *style);

static void put_csv_name(struct buf *buf, const struct record *record, const struct field *field,
			 const struct text_style *style)
{
	(void)record;
	(void)style;
	buf_put_text(buf, field->name);
}

static void put_csv_line(struct buf *buf, const struct record *record, const struct layout *layout,
			 const struct text_style *style, put_field_fn *put)
{
	uint32_t first = leads(layout);

	if (first) {
		put(buf, record, &layout->fields[0], style);
		buf_put_u8(buf, ',');
	}
	for (uint32_t i = 0; i < header_field_count; i++) {
		if (i > 0)
			buf_put_u8(buf, ',');
		put(buf, record, &header_fields[i], style);
	}
	for (uint32_t i = first; i < layout->count; i++) {
		if (layout->fields[i].places[NEWEST].bytes == 0)
			continue;
		buf_put_u8(buf, ',');
		put(buf, record, &layout->fields[i], style);
	}
}

void record_put_csv_head(struct buf *buf, const struct layout *layout, const struct text_style *style)
{
	put_csv_line(buf, NULL, layout, style, put_csv_name);
	buf_put_text(buf, style->symbols ? ",symbol\n" : "\n");
}

void record_put_csv(struct buf *buf, const struct record *record, const struct layout *layout,
		    const struct text_style *style)
{
	put_csv_line(buf, record, layout, style, put_csv_value);
	if (style->symbols)
		buf_printf(buf, ",%s", record->symbol);
	buf_put_u8(buf, '\n');
}

/* --- JSON -------------------------------------------------------------------------------------------------------- */

static void put_json_char(struct json_out *json, int64_t value)
{
	char c = (char)value;

	if (value)
		json_put_str(json, (struct str){ &c, 1 });
	else
		json_put_null(json);
}

static void put_json_value(struct json_out *json, const struct record *record, const struct field *field,
			   const struct text_style *style)
{
	int64_t value = number_of(record, field);
	char text[VALUE_MAX];

	if (field->kind == FIELD_TEXT)
		json_put_str(json, str_of(text_of(record, field)));
	else if (field->kind == FIELD_CHAR)
		put_json_char(json, value);
	else if (!format_number(field, value, style, text))
		json_put_null(json);
	else if (field->places[NEWEST].bytes == 8) /* what a double would not hold */
		json_put_str(json, str_of(text));
	else
		json_put_raw(json, str_of(text));
}

static void put_json_field(struct json_out *json, const struct record *record, const struct field *field,
			   const struct text_style *style)
{
	if (field->places[NEWEST].bytes == 0)
		return;
	json_put_key(json, field->name);
	put_json_value(json, record, field, style);
}

static void put_json_header(struct json_out *json, const struct record *record, const struct text_style *style)
{
	json_put_key(json, "hd");
	json_put_open(json, '{');
	for (uint32_t i = 0; i < header_field_count; i++)
		put_json_field(json, record, &header_fields[i], style);
	json_put_close(json, '}');
}

/* bid_px_00 of CSV is bid_px of the first level. */
static void put_json_levels(struct json_out *json, const struct record *record, const struct layout *layout,
			    const struct text_style *style)
{
	json_put_key(json, "levels");
	json_put_open(json, '[');
	json_put_open(json, '{');
	for (uint32_t i = layout->levels_from; i < layout->count; i++) {
		char name[VALUE_MAX];

		snprintf(name, sizeof(name), "%.6s", layout->fields[i].name);
		json_put_key(json, name);
		put_json_value(json, record, &layout->fields[i], style);
	}
	json_put_close(json, '}');
	json_put_close(json, ']');
}

void record_put_json(struct buf *buf, const struct record *record, const struct layout *layout,
		     const struct text_style *style)
{
	uint32_t first = leads(layout);
	struct json_out json = JSON_OUT(buf);

	json_put_open(&json, '{');
	if (first)
		put_json_field(&json, record, &layout->fields[0], style);
	put_json_header(&json, record, style);
	for (uint32_t i = first; i < layout->count && i < layout->levels_from; i++)
		put_json_field(&json, record, &layout->fields[i], style);
	if (layout->levels_from < layout->count)
		put_json_levels(&json, record, layout, style);
	if (style->symbols) {
		json_put_key(&json, "symbol");
		json_put_str(&json, str_of(record->symbol));
	}
	json_put_close(&json, '}');
	buf_put_u8(buf, '\n');
}

/*
 * Databento's JSON lines: an object per line, the record's head within `hd`,
 * levels of a book in a list. A line that is no object, or lacks a field, is
 * refused; so is a number with a point outside of a text, which would have
 * been a binary float on the way.
 */
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/cleanup.h"
#include "common/mem.h"
#include "stages/fetcher/formats/databento_text.h"
#include "stages/fetcher/formats/format.h"
#include "stages/fetcher/formats/text_lines.h"

#define HEAD_FIELDS 4 /* of databento_text's; these stand in hd */
#define INTEGER_TEXT 24
#define LEVEL_SUFFIX "_00"

struct databento_json {
	struct format base;
	struct text_lines lines;
	struct databento_text text;
	json_t *object;             /* of the line; NULL: it is none */
	const json_t *head, *level; /* its hd and the first of its levels; NULL: it has none */
	uint64_t records;
	int pending; /* what reading the first line came to, before it was asked for */
	struct err pending_err;
	bool has_pending;
};

static void free_format(struct format *format)
{
	struct databento_json *self = (struct databento_json *)format;

	json_decref(self->object);
	text_lines_release(&self->lines);
	databento_text_release(&self->text);
	free(self);
}

/* --- values ------------------------------------------------------------------------------------------------------------ */

/* "bid_px_00" is bid_px in the first of the levels. */
static const json_t *find_value(const struct databento_json *self, const struct databento_field *field, unsigned index)
{
	size_t n = strlen(field->name), suffix = strlen(LEVEL_SUFFIX);
	char name[64];

	if (index < HEAD_FIELDS)
		return json_object_get(self->head, field->name);
	if (!self->level || n <= suffix || strcmp(field->name + n - suffix, LEVEL_SUFFIX) != 0)
		return json_object_get(self->object, field->name);
	snprintf(name, sizeof(name), "%.*s", (int)(n - suffix), field->name);
	return json_object_get(self->level, name);
}

/* False: it is neither a text nor a whole number nor null. */
static bool text_of(const json_t *value, char integer[INTEGER_TEXT], struct str *ret)
{
	*ret = (struct str){ "", 0 };
	if (json_is_null(value))
		return true;
	if (json_is_string(value)) {
		*ret = (struct str){ json_string_value(value), (uint32_t)json_string_length(value) };
		return true;
	}
	if (!json_is_integer(value))
		return false;
	snprintf(integer, INTEGER_TEXT, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
	*ret = str_of(integer);
	return true;
}

static int put_field(struct databento_json *self, unsigned index, struct err *why)
{
	const struct databento_field *field = &self->text.fields[index];
	const json_t *value = find_value(self, field, index);
	char integer[INTEGER_TEXT];
	struct str text;

	if (!value && !field->required)
		return 0;
	if (!value)
		return err_set(why, ERR_RECORD, "there is no %s%s", index < HEAD_FIELDS ? "hd." : "", field->name);
	if (!text_of(value, integer, &text))
		return err_set(why, ERR_RECORD, "%s is neither a text nor a whole number", field->name);
	return databento_text_put(&self->text, index, text, why);
}

/* --- lines ------------------------------------------------------------------------------------------------------------- */

/* The next line that is not empty, parsed where it can be. */
static int advance(struct databento_json *self, struct err *err)
{
	json_error_t where;
	char shown[STR_SHOWN_MAX];
	int got;

	json_decref(self->object);
	self->object = NULL;
	do
		got = text_lines_next(&self->lines, err);
	while (got > 0 && self->lines.line.len == 0);
	if (got <= 0)
		return got;
	self->records++;
	if (self->lines.too_long)
		err_set(&self->lines.why, ERR_RECORD, "a line of more than %d bytes", TEXT_LINE_MAX);
	else
		self->object = json_loadb(self->lines.line.data, self->lines.line.len, JSON_REJECT_DUPLICATES, &where);
	if (self->object && !json_is_object(self->object)) {
		err_set(&self->lines.why, ERR_RECORD, "no JSON object");
		json_decref(self->object);
		self->object = NULL;
	} else if (!self->object && !self->lines.too_long) {
		/* It quotes the line, perhaps up to the middle of a character. */
		err_set(&self->lines.why, ERR_RECORD, "no JSON: %s",
			str_is_text(str_of(where.text)) ? where.text : str_show(str_of(where.text), shown));
	}
	self->head = json_object_get(self->object, "hd");
	self->level = json_array_get(json_object_get(self->object, "levels"), 0);
	return 1;
}

/* The fields that a record with this rtype has; -1: it says none that is known. */
static int choose_fields(struct databento_json *self, struct err *why)
{
	const json_t *value = json_object_get(self->head, "rtype");
	json_int_t rtype = json_integer_value(value);
	bool old = json_object_get(self->object, "trading_reference_price");

	if (!json_is_integer(value))
		return err_set(why, ERR_RECORD, "there is no hd.rtype: this is not the vendor's JSON");
	if (rtype < 0 || rtype > UINT8_MAX || !dbn_type_of((uint8_t)rtype))
		return err_set(why, ERR_RECORD, "rtype %" JSON_INTEGER_FORMAT " is not known", rtype);
	if (self->text.field_count == 0 || self->text.rtype != rtype || self->text.version != (old ? 2 : DBN_VERSION))
		databento_text_fields(&self->text, (uint8_t)rtype, old ? 2 : DBN_VERSION);
	databento_text_begin(&self->text);
	self->text.record[1] = (uint8_t)rtype;
	return 0;
}

/* The first line says what the file holds, where it can be read. */
static int peek(struct databento_json *self, struct err *err)
{
	self->has_pending = true;
	self->pending = advance(self, &self->pending_err);
	if (self->pending <= 0 || !self->object)
		return 0;
	return choose_fields(self, err) || databento_text_settle(&self->text, err) ? -1 : 0;
}

static int open_format(struct format **ret, const char *path, const struct fetch_task *task, struct err *err)
{
	struct databento_json *self = mem_zalloc(1, sizeof(*self));
	CLEANUP(format_freep) struct format *format = &self->base;

	self->base.ops = &format_databento_json_ops;
	self->lines = (struct text_lines)TEXT_LINES_INIT;
	if (text_lines_open(&self->lines, path, err) || databento_text_open(&self->text, task, err) || peek(self, err))
		return err_wrap(err, "%s", path);
	*ret = STEAL(format);
	return 0;
}

/* --- records ----------------------------------------------------------------------------------------------------------- */

static struct str symbol_of(const struct databento_json *self)
{
	const json_t *symbol = json_object_get(self->object, "symbol");

	if (!json_is_string(symbol))
		return (struct str){ "", 0 };
	return (struct str){ json_string_value(symbol), (uint32_t)json_string_length(symbol) };
}

static int read_record(struct databento_json *self, struct source_item *ret_item, struct err *why)
{
	if (!self->object)
		return -1; /* the reason is there */
	if (choose_fields(self, why) || (!self->text.load && databento_text_settle(&self->text, why)))
		return -1;
	/* Of another schema: skipped, whatever it says. */
	for (unsigned i = 0; self->text.rtype == self->text.load->rtype && i < self->text.field_count; i++)
		if (put_field(self, i, why))
			return -1;
	return databento_text_fill(&self->text, symbol_of(self), ret_item, why);
}

static int next_item(struct format *format, struct source_item *ret_item, struct err *err)
{
	struct databento_json *self = (struct databento_json *)format;
	int got = self->has_pending ? self->pending : advance(self, err);

	if (self->has_pending && got < 0)
		*err = self->pending_err;
	self->has_pending = false;
	if (got < 0)
		return text_lines_fail(&self->lines, self->records + 1, err);
	*ret_item = (struct source_item){ .kind = SOURCE_END,
					  .schema = self->text.load ? dbn_schema_name(self->text.load->schema) : "" };
	if (got == 0)
		return 0;
	if (read_record(self, ret_item, &self->lines.why) == 0)
		return 0;
	if (ret_item->symbol.len == 0)
		ret_item->symbol = symbol_of(self);
	text_lines_refuse(&self->lines, self->records, ret_item);
	return 0;
}

static int get_fd(const struct format *format)
{
	return ((const struct databento_json *)format)->lines.stream.fd;
}

static int64_t get_input_bytes(const struct format *format)
{
	return byte_stream_input_bytes(&((const struct databento_json *)format)->lines.stream);
}

const struct format_ops format_databento_json_ops = {
	.name = "databento-json",
	.open = open_format,
	.next = next_item,
	.fd = get_fd,
	.input_bytes = get_input_bytes,
	.free = free_format,
};

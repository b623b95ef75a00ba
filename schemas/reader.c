#include "schemas/reader.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/mem.h"

static const char *text_of(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "";
}

/* "long" or {"type": "long", "logicalType": …}; false where it is neither. */
static bool read_scalar(const json_t *type, struct schema_field *field)
{
	field->logical = "";
	if (json_is_string(type)) {
		field->type = json_string_value(type);
		return true;
	}
	field->type = text_of(type, "type");
	field->logical = text_of(type, "logicalType");
	field->precision = (int)json_integer_value(json_object_get(type, "precision"));
	field->scale = (int)json_integer_value(json_object_get(type, "scale"));
	return json_is_object(type) && field->type[0] != '\0';
}

static bool is_null(const json_t *type)
{
	return json_is_string(type) && strcmp(json_string_value(type), "null") == 0;
}

static bool known_scalar(const struct schema_field *field)
{
	static const char *const names[] = { "boolean", "int", "long", "string" };

	for (unsigned i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (strcmp(field->type, names[i]) == 0)
			return true;
	return strcmp(field->type, "bytes") == 0 && strcmp(field->logical, "decimal") == 0 && field->scale == 9;
}

static void read_type(const json_t *type, struct schema_field *field)
{
	if (json_is_array(type)) {
		int null_at = is_null(json_array_get(type, 0)) ? 0 : 1;

		field->nullable = true;
		field->null_branch = null_at;
		field->flat = json_array_size(type) == 2 && is_null(json_array_get(type, (size_t)null_at)) &&
			      read_scalar(json_array_get(type, (size_t)!null_at), field);
	} else {
		field->flat = read_scalar(type, field);
	}
	if (!field->type)
		field->type = "";
	field->flat = field->flat && known_scalar(field);
}

static int read_fields(struct schema *schema, const json_t *fields, struct err *err)
{
	size_t i;
	json_t *json;

	if (!json_is_array(fields) || json_array_size(fields) == 0 || json_array_size(fields) > SCHEMA_FIELDS_MAX)
		return err_set(err, ERR_FATAL, "a record has 1 to %d fields", SCHEMA_FIELDS_MAX);
	schema->flat = true;
	json_array_foreach(fields, i, json)
	{
		struct schema_field *field = &schema->fields[schema->field_count++];

		field->name = text_of(json, "name");
		field->doc = text_of(json, "doc");
		if (field->name[0] == '\0')
			return err_set(err, ERR_FATAL, "field %zu has no name", i);
		read_type(json_object_get(json, "type"), field);
		schema->flat = schema->flat && field->flat;
	}
	return 0;
}

int schema_read(struct schema *schema, const char *path, struct err *err)
{
	json_error_t at;

	schema->json = json_load_file(path, JSON_REJECT_DUPLICATES, &at);
	if (!schema->json)
		return err_set(err, ERR_FATAL, "%s:%d:%d: %s", path, at.line, at.column, at.text);
	if (strcmp(text_of(schema->json, "type"), "record") != 0)
		return err_set(err, ERR_FATAL, "%s: not a record", path);
	schema->name = text_of(schema->json, "name");
	schema->doc = text_of(schema->json, "doc");
	if (read_fields(schema, json_object_get(schema->json, "fields"), err))
		return err_wrap(err, "%s", path);
	return 0;
}

void schema_release(struct schema *schema)
{
	json_decref(schema->json);
	*schema = (struct schema)SCHEMA_INIT;
}

/* --- parsing canonical form ----------------------------------------------------------------------------------------- */

static void put_canonical(FILE *out, const json_t *schema, const char *space);

static bool is_primitive(const char *type)
{
	static const char *const names[] = { "null", "boolean", "int", "long", "float", "double", "bytes", "string" };

	for (unsigned i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (strcmp(type, names[i]) == 0)
			return true;
	return false;
}

/* [FULLNAMES] */
static void put_name(FILE *out, const char *name, const char *space)
{
	if (strchr(name, '.') || is_primitive(name) || space[0] == '\0')
		fprintf(out, "\"%s\"", name);
	else
		fprintf(out, "\"%s.%s\"", space, name);
}

static void put_list(FILE *out, const json_t *list, const char *space)
{
	size_t i;
	json_t *item;

	fputc('[', out);
	json_array_foreach(list, i, item)
	{
		fputs(i ? "," : "", out);
		put_canonical(out, item, space);
	}
	fputc(']', out);
}

static void put_fields(FILE *out, const json_t *fields, const char *space)
{
	size_t i;
	json_t *field;

	fputs(",\"fields\":[", out);
	json_array_foreach(fields, i, field)
	{
		fprintf(out, "%s{\"name\":\"%s\",\"type\":", i ? "," : "", text_of(field, "name"));
		put_canonical(out, json_object_get(field, "type"), space);
		fputc('}', out);
	}
	fputc(']', out);
}

static void put_symbols(FILE *out, const json_t *symbols)
{
	size_t i;
	json_t *symbol;

	fputs(",\"symbols\":[", out);
	json_array_foreach(symbols, i, symbol) fprintf(out, "%s\"%s\"", i ? "," : "", json_string_value(symbol));
	fputc(']', out);
}

/* [ORDER]: name, type, fields, symbols, items, values, size. */
static void put_object(FILE *out, const json_t *schema, const char *space)
{
	const char *type = text_of(schema, "type"), *name = text_of(schema, "name");

	if (is_primitive(type)) {
		fprintf(out, "\"%s\"", type);
		return;
	}
	if (json_object_get(schema, "namespace"))
		space = text_of(schema, "namespace");
	fputc('{', out);
	if (name[0] != '\0') {
		fputs("\"name\":", out);
		put_name(out, name, space);
		fputc(',', out);
	}
	fprintf(out, "\"type\":\"%s\"", type);
	if (json_object_get(schema, "fields"))
		put_fields(out, json_object_get(schema, "fields"), space);
	if (json_object_get(schema, "symbols"))
		put_symbols(out, json_object_get(schema, "symbols"));
	if (json_object_get(schema, "items")) {
		fputs(",\"items\":", out);
		put_canonical(out, json_object_get(schema, "items"), space);
	}
	if (json_object_get(schema, "values")) {
		fputs(",\"values\":", out);
		put_canonical(out, json_object_get(schema, "values"), space);
	}
	fputc('}', out);
}

static void put_canonical(FILE *out, const json_t *schema, const char *space)
{
	if (json_is_string(schema))
		put_name(out, json_string_value(schema), space);
	else if (json_is_array(schema))
		put_list(out, schema, space);
	else
		put_object(out, schema, space);
}

char *schema_canonical(const json_t *schema)
{
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		return mem_strdup("");
	put_canonical(out, schema, "");
	fclose(out);
	return text;
}

uint64_t schema_fingerprint(const char *canonical)
{
	const uint64_t empty = UINT64_C(0xc15d213aa4d7a795);
	uint64_t fp = empty;

	for (const unsigned char *p = (const unsigned char *)canonical; *p; p++) {
		uint64_t entry = (fp ^ *p) & 0xff;

		for (int i = 0; i < 8; i++)
			entry = (entry >> 1) ^ (empty & -(entry & 1));
		fp = (fp >> 8) ^ entry;
	}
	return fp;
}

/*
 * Dead letters as files for other programs: JSON in the shape of the guides
 * ({"validation_failures": [{"schema", "symbol", "error_type",
 * "error_message", …}]}), CSV (RFC 4180), or an Avro file.
 */
#include <avro.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/json_in.h"
#include "common/mem.h"
#include "ops/cli/cli.h"
#include "ops/cli/dlq.h"
#include "ops/cli/dlq_files.h"
#include "ops/cli/dlq_pages.h"

/* What a letter says, under the guides' names where they have one. */
static const struct {
	const char *name, *member;
} fields[] = {
	{ "schema", "schema" },
	{ "symbol", "symbol" },
	{ "error_type", "error_type" },
	{ "error_message", "message" },
	{ "class", "class" },
	{ "rules", "rules" },
	{ "id", "id" },
	{ "failed_at", "failed_at" },
	{ "day", "day" },
	{ "stage", "stage" },
	{ "subscription", "subscription" },
	{ "run", "run" },
	{ "attempt", "attempt" },
	{ "ordinal", "ordinal" },
	{ "record", "record" },
};

#define FIELDS (sizeof(fields) / sizeof(*fields))

struct export
{
	FILE *file;
	const char *path; /* "-": stdout */
	uint64_t count;
	avro_schema_t schema;
	avro_value_iface_t *iface;
	avro_file_writer_t avro;
};

struct export_format {
	const char *name;
	int (*begin)(struct export *e, struct err *err);
	dlq_letter_fn *put;
	int (*end)(struct export *e, struct err *err);
};

static int cannot_write(const struct export *e, struct err *err)
{
	return err_set(err, ERR_FATAL, "%s: %s", e->path, errno ? strerror(errno) : "it cannot be written");
}

/* What a cell holds, as text. */
static char *text_of(const json_t *value)
{
	if (!value || json_is_null(value))
		return mem_strdup("");
	if (json_is_string(value))
		return mem_strdup(json_string_value(value));
	return json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
}

/* --- JSON ------------------------------------------------------------------------------------------------------------------ */

static int begin_json(struct export *e, struct err *err)
{
	return fputs("{\"validation_failures\": [", e->file) < 0 ? cannot_write(e, err) : 0;
}

json_t *dlq_letter_json(const json_t *letter)
{
	json_t *out = json_object();

	for (unsigned i = 0; i < FIELDS; i++)
		json_object_set(out, fields[i].name, json_object_get(letter, fields[i].member));
	return out;
}

static int put_json(void *self, const json_t *letter, struct err *err)
{
	struct export *e = self;
	CLEANUP(json_freep) json_t *out = dlq_letter_json(letter);

	if (fputs(e->count++ ? ",\n  " : "\n  ", e->file) < 0 || json_dumpf(out, e->file, JSON_COMPACT))
		return cannot_write(e, err);
	return 0;
}

static int end_json(struct export *e, struct err *err)
{
	return fputs("\n]}\n", e->file) < 0 ? cannot_write(e, err) : 0;
}

/* --- CSV ------------------------------------------------------------------------------------------------------------------- */

static int begin_csv(struct export *e, struct err *err)
{
	for (unsigned i = 0; i < FIELDS; i++)
		fprintf(e->file, "%s%s", i > 0 ? "," : "", fields[i].name);
	return fputs("\r\n", e->file) < 0 ? cannot_write(e, err) : 0;
}

static void put_csv_text(FILE *file, const char *text)
{
	if (!strpbrk(text, ",\"\r\n")) {
		fputs(text, file);
		return;
	}
	putc('"', file);
	for (; *text; text++) {
		if (*text == '"')
			putc('"', file);
		putc(*text, file);
	}
	putc('"', file);
}

static int put_csv(void *self, const json_t *letter, struct err *err)
{
	struct export *e = self;

	for (unsigned i = 0; i < FIELDS; i++) {
		CLEANUP(freep) char *text = text_of(json_object_get(letter, fields[i].member));

		if (i > 0)
			putc(',', e->file);
		put_csv_text(e->file, text);
	}
	e->count++;
	return fputs("\r\n", e->file) < 0 ? cannot_write(e, err) : 0;
}

static int end_nothing(struct export *e, struct err *err)
{
	(void)e;
	(void)err;
	return 0;
}

/* --- Avro ------------------------------------------------------------------------------------------------------------------ */

static int avro_failed(const struct export *e, struct err *err)
{
	return err_set(err, ERR_FATAL, "%s: %s", e->path, avro_strerror());
}

static char *avro_schema_text(void)
{
	CLEANUP(json_freep)
	json_t *schema = json_pack("{s:s, s:s, s:s, s:[]}", "type", "record", "name", "dead_letter", "namespace",
				   "penstock", "fields");

	for (unsigned i = 0; i < FIELDS; i++)
		json_array_append_new(json_object_get(schema, "fields"),
				      json_pack("{s:s, s:[ss]}", "name", fields[i].name, "type", "null", "string"));
	return json_dumps(schema, JSON_COMPACT);
}

static int begin_avro(struct export *e, struct err *err)
{
	CLEANUP(freep) char *text = avro_schema_text();

	if (avro_schema_from_json_length(text, strlen(text), &e->schema) ||
	    avro_file_writer_create_fp(e->file, e->path, 0, e->schema, &e->avro))
		return avro_failed(e, err);
	e->iface = avro_generic_class_from_schema(e->schema);
	return e->iface ? 0 : avro_failed(e, err);
}

static int set_field(avro_value_t *record, unsigned i, const json_t *value)
{
	CLEANUP(freep) char *text = text_of(value);
	avro_value_t field, branch;
	bool null = !value || json_is_null(value);

	if (avro_value_get_by_index(record, i, &field, NULL) || avro_value_set_branch(&field, null ? 0 : 1, &branch))
		return -1;
	return null ? avro_value_set_null(&branch) : avro_value_set_string(&branch, text);
}

static int put_avro(void *self, const json_t *letter, struct err *err)
{
	struct export *e = self;
	avro_value_t record;
	int failed = 0;

	if (avro_generic_value_new(e->iface, &record))
		return avro_failed(e, err);
	for (unsigned i = 0; i < FIELDS && !failed; i++)
		failed = set_field(&record, i, json_object_get(letter, fields[i].member));
	failed = failed || avro_file_writer_append_value(e->avro, &record);
	avro_value_decref(&record);
	e->count++;
	return failed ? avro_failed(e, err) : 0;
}

static int end_avro(struct export *e, struct err *err)
{
	int failed = avro_file_writer_close(e->avro);

	e->avro = NULL;
	return failed ? avro_failed(e, err) : 0;
}

static void export_release(struct export *e)
{
	if (e->avro)
		avro_file_writer_close(e->avro);
	if (e->iface)
		avro_value_iface_decref(e->iface);
	if (e->schema)
		avro_schema_decref(e->schema);
	if (e->file && e->file != stdout)
		fclose(e->file);
}

/* --- the command ------------------------------------------------------------------------------------------------------------- */

static const struct export_format formats[] = {
	{ "json", begin_json, put_json, end_json },
	{ "csv", begin_csv, put_csv, end_nothing },
	{ "avro", begin_avro, put_avro, end_avro },
};

static const struct export_format *find_format(const char *name)
{
	for (unsigned i = 0; i < sizeof(formats) / sizeof(*formats); i++)
		if (strcmp(formats[i].name, name ? name : "json") == 0)
			return &formats[i];
	fprintf(stderr, "penstock dlq export: --format takes json, csv or avro, not '%s'\n", name);
	return NULL;
}

static int export(const struct config *cfg, const struct export_format *format, const char *query, struct export *e,
		  struct err *err)
{
	errno = 0;
	e->file = strcmp(e->path, "-") == 0 ? stdout : fopen(e->path, "wb");
	if (!e->file)
		return cannot_write(e, err);
	if (format->begin(e, err) || dlq_each(cfg, query, format->put, e, err) || format->end(e, err))
		return -1;
	if (format->put != put_avro && fflush(e->file))
		return cannot_write(e, err);
	return 0;
}

/* Files by day and schema are those of the guides: JSON. */
static int export_files(const struct config *cfg, const char *query, const char *folder)
{
	struct dlq_files_count count;
	struct err err = ERR_INIT;

	if (dlq_files_export(cfg, query, folder, &count, &err))
		return cli_fail("dlq export", &err);
	fprintf(stderr, "%llu dead letters written to %llu files in %s\n", count.letters, count.files, folder);
	return EXIT_OK;
}

static bool go_together(const char *to, const char *output, const struct export_format *format)
{
	if (!to || (!output && format == &formats[0]))
		return true;
	fprintf(stderr, "penstock dlq export: --to makes JSON files in a folder; it does not go with %s\n",
		output ? "--output" : "another format");
	return false;
}

int command_dlq_export(int argc, char **argv)
{
	CLEANUP(config_freep) struct config *cfg = NULL;
	CLEANUP(query_string_release) struct query_string query = QUERY_STRING("dlq export");
	const char *format_name = cli_option(&argc, argv, "--format"), *output = cli_option(&argc, argv, "--output"),
		   *to = cli_option(&argc, argv, "--to");
	const struct export_format *format = find_format(format_name);
	CLEANUP(export_release) struct export e = { .path = output ? output : "-" };
	struct err err = ERR_INIT;

	if (!format || !go_together(to, output, format))
		return EXIT_USAGE;
	if (cli_config(&cfg, &argc, argv, &err))
		return cli_fail("dlq export", &err), EXIT_USAGE;
	while (argc > 0)
		if (!query_string_take(&query, &argc, &argv))
			return EXIT_USAGE;
	if (to)
		return export_files(cfg, buf_text(&query.text), to);
	if (export(cfg, format, buf_text(&query.text), &e, &err))
		return cli_fail("dlq export", &err);
	if (output)
		fprintf(stderr, "%llu dead letters written to %s\n", (unsigned long long)e.count, output);
	return EXIT_OK;
}

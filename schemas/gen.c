/*
 * Build tool: gen OUT_DIR REGISTRY_LOCK AVSC…
 *
 * Writes OUT_DIR/schemas.h (a struct and index constants for every flat
 * record) and OUT_DIR/schemas.c (the descriptors), and refuses a schema that
 * is not the one its last version in the lock file names: a schema changes by
 * a new version, never silently. What was locked lies beside the lock file,
 * versions/ID.avsc: the registry answers with it, so it has to fit, too.
 *
 * gen --lock REGISTRY_LOCK AVSC… appends the versions that are missing, and
 * copies their texts.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/err.h"
#include "common/mem.h"
#include "schemas/reader.h"

#define LOCK_MAX 256
#define BITS_MAX 64 /* of `present` */

struct lock_entry {
	char subject[64];
	unsigned version, id;
	uint64_t fingerprint;
	char file[64];
};

struct lock {
	struct lock_entry entries[LOCK_MAX];
	unsigned count;
};

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

static int lock_read(struct lock *lock, const char *path, struct err *err)
{
	FILE *in = fopen(path, "r");
	char line[256];

	if (!in)
		return err_set(err, ERR_FATAL, "%s: cannot be opened", path);
	for (unsigned number = 1; fgets(line, sizeof(line), in); number++) {
		struct lock_entry *e = &lock->entries[lock->count];

		if (line[0] == '#' || line[0] == '\n')
			continue;
		if (lock->count == LOCK_MAX || sscanf(line, "%63s %u %u %" SCNx64 " %63s", e->subject, &e->version,
						      &e->id, &e->fingerprint, e->file) != 5) {
			fclose(in);
			return err_set(err, ERR_FATAL, "%s:%u: not 'subject version id fingerprint file'", path,
				       number);
		}
		lock->count++;
	}
	fclose(in);
	return 0;
}

/* versions/ID.avsc beside the lock file; owned by the caller. */
static char *version_path(const char *lock_path, unsigned id)
{
	return mem_printf("%.*sversions/%u.avsc", (int)(base_name(lock_path) - lock_path), lock_path, id);
}

/* The newest entry of any subject that uses the file. */
static const struct lock_entry *lock_find(const struct lock *lock, const char *file)
{
	const struct lock_entry *found = NULL;

	for (unsigned i = 0; i < lock->count; i++)
		if (strcmp(lock->entries[i].file, file) == 0 && (!found || lock->entries[i].id > found->id))
			found = &lock->entries[i];
	return found;
}

static void print_upper(FILE *out, const char *text)
{
	for (; *text; text++)
		fputc(*text >= 'a' && *text <= 'z' ? *text - 'a' + 'A' : *text, out);
}

struct c_type {
	const char *avro, *c, *field;
};

static const struct c_type *c_type_of(const struct schema_field *field)
{
	static const struct c_type types[] = {
		{ "boolean", "bool ", "FIELD_BOOL" },     { "int", "int32_t ", "FIELD_INT" },
		{ "long", "int64_t ", "FIELD_LONG" },     { "string", "struct str ", "FIELD_STRING" },
		{ "bytes", "int64_t ", "FIELD_DECIMAL" },
	};
	const struct c_type *type = types;

	while (strcmp(type->avro, field->type) != 0)
		type++;
	return type;
}

static const char *logical_of(const struct schema_field *field)
{
	if (strcmp(field->logical, "timestamp-nanos") == 0)
		return "LOGICAL_TIMESTAMP_NANOS";
	return strcmp(field->logical, "date") == 0 ? "LOGICAL_DATE" : "LOGICAL_NONE";
}

static void print_constant(FILE *out, const struct schema *s, const char *name)
{
	print_upper(out, s->name);
	fputc('_', out);
	print_upper(out, name);
}

/* Fields that may be null have a bit in `present`, and all of them together a mask. */
static void write_bits(FILE *h, const struct schema *s)
{
	int bit = 0;

	for (int i = 0; i < s->field_count; i++) {
		if (!s->fields[i].nullable)
			continue;
		fputs(bit == 0 ? "\nenum {\n\t" : "\t", h);
		print_constant(h, s, s->fields[i].name);
		fprintf(h, " = %d,\n", bit++);
	}
	fprintf(h, "%s#define ", bit == 0 ? "\n" : "};\n");
	print_constant(h, s, "present");
	fprintf(h, " UINT64_C(0x%" PRIx64 ") /* nothing is null */\n",
		bit == 0 ? UINT64_C(0) : UINT64_MAX >> (BITS_MAX - bit));
}

static void write_struct(FILE *h, const struct schema *s)
{
	fprintf(h, "\n/* %s */\nstruct %s {\n\tuint64_t present;\n", s->doc, s->name);
	for (int i = 0; i < s->field_count; i++)
		fprintf(h, "\t%s%s;%s%s%s\n", c_type_of(&s->fields[i])->c, s->fields[i].name,
			s->fields[i].doc[0] ? " /* " : "", s->fields[i].doc, s->fields[i].doc[0] ? " */" : "");
	fprintf(h, "};\n");
	write_bits(h, s);
	fprintf(h, "\nextern const struct record_type %s_type;\n", s->name);
}

static void write_field(FILE *c, const struct schema *s, const struct schema_field *f, int *bit)
{
	fprintf(c, "\t{ \"%s\", %s, %s, offsetof(struct %s, %s), ", f->name, c_type_of(f)->field, logical_of(f),
		s->name, f->name);
	if (f->nullable)
		fprintf(c, "%d, true, %d },\n", (*bit)++, f->null_branch);
	else
		fprintf(c, "FIELD_NOT_NULLABLE, false, 0 },\n");
}

/* Places of those whose length is not bounded: an encoder asks them first. */
static unsigned write_strings(FILE *c, const struct schema *s)
{
	unsigned count = 0;

	fprintf(c, "};\n\nstatic const uint8_t %s_strings[] = {", s->name);
	for (int i = 0; i < s->field_count; i++)
		if (strcmp(c_type_of(&s->fields[i])->field, "FIELD_STRING") == 0)
			fprintf(c, "%s %d", count++ ? "," : "", i);
	fprintf(c, "%s };\n", count ? "" : " 0");
	return count;
}

/* put_long(), get_string(), …: common/record_codec.h has one of each for every type. */
static void write_encoder(FILE *c, const struct schema *s)
{
	int bit = 0;

	fprintf(c, "\nstatic uint8_t *%s_put(uint8_t *p, const void *record)\n{\n\tconst struct %s *r = record;\n\n",
		s->name, s->name);
	for (int i = 0; i < s->field_count; i++) {
		const struct schema_field *f = &s->fields[i];

		if (!f->nullable) {
			fprintf(c, "\tp = put_%s(p, r->%s);\n", f->type, f->name);
			continue;
		}
		fprintf(c, "\tp = put_branch(p, r->present >> %d & 1 ? %d : %d);\n", bit, !f->null_branch,
			f->null_branch);
		fprintf(c, "\tif (r->present >> %d & 1)\n\t\tp = put_%s(p, r->%s);\n", bit++, f->type, f->name);
	}
	fprintf(c, "\treturn p;\n}\n");
}

/* It returns the place of the field that does not decode, else how many there are. */
static void write_decoder(FILE *c, const struct schema *s)
{
	int bit = 0;

	fprintf(c, "\nstatic unsigned %s_get(struct codec_in *in, void *record)\n{\n\tstruct %s *r = record;\n",
		s->name, s->name);
	fprintf(c,
		"\tconst uint8_t *p = in->p, *end = in->end, *next;\n\tuint64_t present = 0;\n\tbool here = false;\n\n"
		"\t(void)here;\n");
	for (int i = 0; i < s->field_count; i++) {
		const struct schema_field *f = &s->fields[i];

		if (f->nullable)
			fprintf(c,
				"\tnext = get_branch(p, end, %d, &present, %d, &here);\n"
				"\tif (next && here)\n\t\tnext = get_%s(next, end, &r->%s);\n",
				f->null_branch, bit++, f->type, f->name);
		else
			fprintf(c, "\tnext = get_%s(p, end, &r->%s);\n", f->type, f->name);
		fprintf(c, "\tif (!next)\n\t\treturn codec_stop(in, p, %d);\n\tp = next;\n", i);
	}
	fprintf(c, "\tr->present = present;\n\treturn codec_stop(in, p, %d);\n}\n", s->field_count);
}

static void write_table(FILE *c, const struct schema *s, const char *path, unsigned id)
{
	unsigned strings;
	int bit = 0;

	fprintf(c, "\nstatic const struct record_field %s_fields[] = {\n", s->name);
	for (int i = 0; i < s->field_count; i++)
		write_field(c, s, &s->fields[i], &bit);
	strings = write_strings(c, s);
	write_encoder(c, s);
	write_decoder(c, s);
	fprintf(c,
		"\nconst struct record_type %s_type = {\n\t.name = \"%s\",\n\t.file = \"%s\",\n\t.schema_id = %u,\n"
		"\t.size = sizeof(struct %s),\n\t.field_count = %d,\n\t.string_count = %u,\n"
		"\t.fields = %s_fields,\n\t.strings = %s_strings,\n\t.put = %s_put,\n\t.get = %s_get,\n};\n",
		s->name, s->name, path, id, s->name, s->field_count, strings, s->name, s->name, s->name, s->name);
}

static int check_lock(const struct schema *s, const struct lock *lock, const char *path, unsigned *ret_id,
		      struct err *err)
{
	const struct lock_entry *e = lock_find(lock, base_name(path));
	CLEANUP(freep) char *canonical = schema_canonical(s->json);

	if (!e)
		return err_set(err, ERR_FATAL, "%s: not in the registry lock; add it with `make lock`", path);
	if (e->fingerprint != schema_fingerprint(canonical))
		return err_set(err, ERR_FATAL,
			       "%s: changed since version %u of %s was locked; add a version with `make lock`", path,
			       e->version, e->subject);
	*ret_id = e->id;
	return 0;
}

/* Each version that was ever locked still has its text. */
static int check_versions(const struct lock *lock, const char *lock_path, struct err *err)
{
	for (unsigned i = 0; i < lock->count; i++) {
		const struct lock_entry *e = &lock->entries[i];
		CLEANUP(schema_release) struct schema s = SCHEMA_INIT;
		CLEANUP(freep) char *path = version_path(lock_path, e->id);
		CLEANUP(freep) char *canonical = NULL;

		if (schema_read(&s, path, err))
			return err_wrap(err, "version %u of %s", e->version, e->subject);
		canonical = schema_canonical(s.json);
		if (e->fingerprint != schema_fingerprint(canonical))
			return err_set(err, ERR_FATAL, "%s: is not what was locked as version %u of %s", path,
				       e->version, e->subject);
	}
	return 0;
}

static int count_nullable(const struct schema *s)
{
	int count = 0;

	for (int i = 0; i < s->field_count; i++)
		count += s->fields[i].nullable;
	return count;
}

static int generate_one(FILE *h, FILE *c, const struct lock *lock, const char *path, struct err *err)
{
	CLEANUP(schema_release) struct schema s = SCHEMA_INIT;
	unsigned id = 0;

	if (schema_read(&s, path, err) || check_lock(&s, lock, path, &id, err))
		return -1;
	if (!s.flat)
		return 0; /* a control record: read with avro-c's generic values */
	if (count_nullable(&s) > BITS_MAX)
		return err_set(err, ERR_FATAL, "%s: more than %d fields that may be null", path, BITS_MAX);
	write_struct(h, &s);
	write_table(c, &s, path, id);
	return 0;
}

static int generate(const char *dir, const char *lock_path, char **paths, int count, struct err *err)
{
	CLEANUP(freep) char *h_path = mem_printf("%s/schemas.h", dir);
	CLEANUP(freep) char *c_path = mem_printf("%s/schemas.c", dir);
	CLEANUP(freep) struct lock *lock = mem_zalloc(1, sizeof(*lock));
	FILE *h = fopen(h_path, "w"), *c = fopen(c_path, "w");
	int r = h && c ? lock_read(lock, lock_path, err) : err_set(err, ERR_FATAL, "%s: cannot be written", dir);

	if (r == 0)
		r = check_versions(lock, lock_path, err);
	if (r == 0) {
		fprintf(h,
			"#pragma once\n/* Generated from schemas/avro by schemas/gen.c. */\n#include \"common/record.h\"\n");
		fprintf(c,
			"/* Generated from schemas/avro by schemas/gen.c. */\n#include \"schemas.h\"\n\n#include <stddef.h>\n\n#include \"common/record_codec.h\"\n");
	}
	for (int i = 0; r == 0 && i < count; i++)
		r = generate_one(h, c, lock, paths[i], err);
	if (h && fclose(h) && r == 0)
		r = err_set(err, ERR_FATAL, "%s: cannot be written", h_path);
	if (c && fclose(c) && r == 0)
		r = err_set(err, ERR_FATAL, "%s: cannot be written", c_path);
	if (r) {
		remove(h_path);
		remove(c_path);
	}
	return r;
}

/* --- gen --lock ------------------------------------------------------------------------------------------------------ */

/* Subjects of files that are no data records; names as in topics/topics.yaml, TopicNameStrategy: <topic>-value. */
static const struct {
	const char *file, *subject;
} control_subjects[] = {
	{ "fetch_task.avsc", "etl.tasks.file-value" },
	{ "fetch_task.avsc", "etl.tasks.databento-value" },
	{ "fetch_task.avsc", "etl.tasks.kafka-value" },
	{ "task_event.avsc", "etl.events-value" },
};

#define CLEAN_SUFFIX "_clean.avsc"

/* The newest entry of a subject. */
static const struct lock_entry *lock_find_subject(const struct lock *lock, const char *subject)
{
	const struct lock_entry *found = NULL;

	for (unsigned i = 0; i < lock->count; i++)
		if (strcmp(lock->entries[i].subject, subject) == 0)
			found = &lock->entries[i];
	return found;
}

/* What the lock is to say of a file: a line for each of its subjects that has none, or an older one. */
struct version {
	const struct lock *lock;
	FILE *out;
	const char *file;
	unsigned id;
	uint64_t fingerprint;
	unsigned subjects; /* of the file so far */
};

static void write_version(struct version *v, const char *subject)
{
	const struct lock_entry *e = lock_find_subject(v->lock, subject);

	v->subjects++;
	if (!e || e->fingerprint != v->fingerprint)
		fprintf(v->out, "%s %u %u %016" PRIx64 " %s\n", subject, e ? e->version + 1 : 1, v->id, v->fingerprint,
			v->file);
}

static void write_control_versions(struct version *v)
{
	for (unsigned i = 0; i < sizeof(control_subjects) / sizeof(*control_subjects); i++)
		if (strcmp(control_subjects[i].file, v->file) == 0)
			write_version(v, control_subjects[i].subject);
}

/* Of a record type T: T.avsc is on the raw and the valid topic, T_clean.avsc on the clean one. */
static void write_data_versions(struct version *v)
{
	size_t n = strlen(v->file), suffix = strlen(CLEAN_SUFFIX);
	bool clean = n > suffix && strcmp(v->file + n - suffix, CLEAN_SUFFIX) == 0;
	CLEANUP(freep) char *type = mem_printf("%.*s", (int)(n - (clean ? suffix : strlen(".avsc"))), v->file);
	CLEANUP(freep) char *first = mem_printf("etl.%s.%s-value", clean ? "clean" : "raw", type);
	CLEANUP(freep) char *second = mem_printf("etl.valid.%s-value", type);

	write_version(v, first);
	if (!clean)
		write_version(v, second);
}

static int keep_text(const char *lock_path, unsigned id, const char *path, struct err *err)
{
	CLEANUP(freep) char *copy = version_path(lock_path, id);
	FILE *in = fopen(path, "r"), *out = fopen(copy, "wx");
	char room[4096];
	size_t n;
	int r = in && out ? 0 : err_set(err, ERR_FATAL, "%s: cannot be copied to %s, a new file", path, copy);

	while (r == 0 && (n = fread(room, 1, sizeof(room), in)) > 0)
		fwrite(room, 1, n, out);
	if (in)
		fclose(in);
	if (out && fclose(out) && r == 0)
		r = err_set(err, ERR_FATAL, "%s: cannot be written", copy);
	return r;
}

static int lock_one(const struct lock *lock, FILE *out, const char *lock_path, const char *path, unsigned *next_id,
		    struct err *err)
{
	CLEANUP(schema_release) struct schema s = SCHEMA_INIT;
	const struct lock_entry *e = lock_find(lock, base_name(path));
	CLEANUP(freep) char *canonical = NULL;
	struct version v = { .lock = lock, .out = out, .file = base_name(path) };
	bool known;

	if (schema_read(&s, path, err))
		return -1;
	canonical = schema_canonical(s.json);
	v.fingerprint = schema_fingerprint(canonical);
	known = e && e->fingerprint == v.fingerprint;
	v.id = known ? e->id : (*next_id)++;
	write_control_versions(&v);
	if (v.subjects == 0 && !s.flat)
		return err_set(err, ERR_FATAL, "%s: no subject is known for it: add a row in schemas/gen.c", path);
	if (v.subjects == 0)
		write_data_versions(&v);
	return known ? 0 : keep_text(lock_path, v.id, path, err);
}

static int lock_update(const char *lock_path, char **paths, int count, struct err *err)
{
	CLEANUP(freep) struct lock *lock = mem_zalloc(1, sizeof(*lock));
	unsigned next_id = 1;
	FILE *out;
	int r = 0;

	if (lock_read(lock, lock_path, err))
		return -1;
	for (unsigned i = 0; i < lock->count; i++)
		if (lock->entries[i].id >= next_id)
			next_id = lock->entries[i].id + 1;
	out = fopen(lock_path, "a");
	if (!out)
		return err_set(err, ERR_FATAL, "%s: cannot be written", lock_path);
	for (int i = 0; r == 0 && i < count; i++)
		r = lock_one(lock, out, lock_path, paths[i], &next_id, err);
	fclose(out);
	return r;
}

int main(int argc, char **argv)
{
	struct err err = ERR_INIT;
	int r;

	if (argc >= 4 && strcmp(argv[1], "--lock") == 0)
		r = lock_update(argv[2], argv + 3, argc - 3, &err);
	else if (argc >= 4)
		r = generate(argv[1], argv[2], argv + 3, argc - 3, &err);
	else
		r = err_set(&err, ERR_FATAL, "usage: gen OUT_DIR REGISTRY_LOCK AVSC… | gen --lock REGISTRY_LOCK AVSC…");
	if (r)
		fprintf(stderr, "gen: %s\n", err.text);
	return r ? EXIT_FAILED : EXIT_OK;
}

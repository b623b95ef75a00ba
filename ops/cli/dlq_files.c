#include "ops/cli/dlq_files.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/data_types.h"
#include "common/json_in.h"
#include "common/mem.h"
#include "ops/cli/dlq.h"
#include "ops/cli/dlq_pages.h"

#define WORD_MAX 64 /* of a file's name */
#define PART ".part"

struct files {
	const char *folder;
	char **paths; /* as they are to be called */
	unsigned count;
	unsigned current; /* whose file is open, where one is: letters of a file mostly come together */
	FILE *file;
	unsigned long long letters;
};

static int failed(const char *path, struct err *err)
{
	return err_set(err, ERR_FATAL, "%s: %s", path, errno ? strerror(errno) : "it cannot be written");
}

/* What was not finished is nobody's. */
static void files_release(struct files *f)
{
	if (f->file)
		fclose(f->file);
	for (unsigned i = 0; i < f->count; i++) {
		CLEANUP(freep) char *part = mem_printf("%s" PART, f->paths[i]);

		unlink(part);
		free(f->paths[i]);
	}
	free(f->paths);
}

/* --- names --------------------------------------------------------------------------------------------------------------- */

/* A letter that is not ours may say anything: no way out of the folder. */
static const char *word_of(const char *text, char word[WORD_MAX])
{
	unsigned n = 0;

	for (; text && *text && n + 1 < WORD_MAX; text++) {
		bool plain = (*text >= 'a' && *text <= 'z') || (*text >= 'A' && *text <= 'Z') ||
			     (*text >= '0' && *text <= '9') || *text == '-';

		word[n++] = plain ? *text : '_';
	}
	word[n] = '\0';
	return n > 0 ? word : "unknown";
}

static const char *member(const json_t *letter, const char *name)
{
	const char *text = json_string_value(json_object_get(letter, name));

	return text ? text : "";
}

/* "ohlcv" of ohlcv-1m, as the guides call them. */
static const char *schema_of(const json_t *letter)
{
	const struct data_schema *schema = data_schema_find(member(letter, "schema"));

	return schema ? data_types[schema->type].name : member(letter, "schema");
}

/* The day of the market; of what has none, as a task, the day it was refused. */
static char *path_of(const char *folder, const json_t *letter)
{
	const char *day = member(letter, member(letter, "day")[0] ? "day" : "failed_at");
	char schema[WORD_MAX], class[WORD_MAX];

	if (strlen(day) < strlen("2024-01-31"))
		day = "0000-00-00";
	return mem_printf("%s/%.4s%.2s%.2s_%s_%s.json", folder, day, day + 5, day + 8,
			  word_of(schema_of(letter), schema), word_of(member(letter, "class"), class));
}

/* --- files --------------------------------------------------------------------------------------------------------------- */

static int close_file(struct files *f, struct err *err)
{
	FILE *file = STEAL(f->file);

	return file && fclose(file) ? failed(f->paths[f->current], err) : 0;
}

static int open_file(struct files *f, unsigned at, const char *mode, struct err *err)
{
	CLEANUP(freep) char *part = mem_printf("%s" PART, f->paths[at]);

	if (close_file(f, err))
		return -1;
	errno = 0;
	f->current = at;
	f->file = fopen(part, mode);
	return f->file ? 0 : failed(part, err);
}

/* The file of the letter becomes the open one; *ret_first: nothing stands in it yet. */
static int find_file(struct files *f, const json_t *letter, bool *ret_first, struct err *err)
{
	CLEANUP(freep) char *path = path_of(f->folder, letter);

	*ret_first = false;
	if (f->file && strcmp(f->paths[f->current], path) == 0)
		return 0;
	for (unsigned i = 0; i < f->count; i++)
		if (strcmp(f->paths[i], path) == 0)
			return open_file(f, i, "a", err);
	*ret_first = true;
	f->paths = mem_realloc(f->paths, (size_t)f->count + 1, sizeof(*f->paths));
	f->paths[f->count++] = STEAL(path);
	return open_file(f, f->count - 1, "w", err);
}

static int put_letter(void *self, const json_t *letter, struct err *err)
{
	struct files *f = self;
	CLEANUP(json_freep) json_t *out = dlq_letter_json(letter);
	bool first;

	if (find_file(f, letter, &first, err))
		return -1;
	f->letters++;
	errno = 0;
	if (fputs(first ? "{\"validation_failures\": [\n  " : ",\n  ", f->file) < 0 ||
	    json_dumpf(out, f->file, JSON_COMPACT))
		return failed(f->paths[f->current], err);
	return 0;
}

static int finish(struct files *f, unsigned at, struct err *err)
{
	CLEANUP(freep) char *part = mem_printf("%s" PART, f->paths[at]);

	if (open_file(f, at, "a", err))
		return -1;
	errno = 0;
	if (fputs("\n]}\n", f->file) < 0 || close_file(f, err) || rename(part, f->paths[at]))
		return failed(f->paths[at], err);
	return 0;
}

int dlq_files_export(const struct config *cfg, const char *query, const char *folder, struct dlq_files_count *ret,
		     struct err *err)
{
	CLEANUP(files_release) struct files f = { .folder = folder };

	errno = 0;
	if (access(folder, W_OK | X_OK))
		return failed(folder, err);
	if (dlq_each(cfg, query, put_letter, &f, err))
		return -1;
	for (unsigned i = 0; i < f.count; i++)
		if (finish(&f, i, err))
			return -1;
	*ret = (struct dlq_files_count){ .letters = f.letters, .files = f.count };
	return 0;
}

#include <errno.h>
#include <glob.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/mem.h"
#include "stages/orchestrator/plan_internal.h"

/* One file is one task. */
static int add_file(struct planner *p, const char *path, struct err *err)
{
	const struct subscription *s = p->subscription;

	if (!str_is_text(str_of(path)))
		return err_set(err, ERR_RECORD, "%s:%u: subscription %s: the name of a file is not UTF-8: %.200s",
			       p->list->file, s->line, s->name, path);
	if (p->plan->count >= p->tasks_max)
		return err_set(err, ERR_RECORD,
			       "subscription %s: more than %lld files in one run; narrow its path or raise tasks_max",
			       s->name, (long long)p->tasks_max);
	plan_open_task(p, "fetch");
	plan_put(&p->out, "path", path);
	plan_put(&p->out, "dataset", s->dataset);
	plan_put(&p->out, "schema", s->schema);
	plan_put(&p->out, "parameters", s->parameters);
	plan_close_task(p);
	return 0;
}

/* Absolute, owned by the caller; NULL where it is longer than a path may be. */
static char *absolute(const char *folder, const char *path)
{
	char *text = path[0] == '/' ? mem_strdup(path) : mem_printf("%s/%s", folder, path);

	if (strlen(text) < PATH_MAX)
		return text;
	free(text);
	return NULL;
}

/* The folder is a name, not a pattern: glob(3) must not see its special characters as such. */
static char *escape(const char *folder)
{
	char *text = mem_alloc(2 * strlen(folder) + 1), *to = text;

	for (; *folder; folder++) {
		if (strchr("*?[\\", *folder))
			*to++ = '\\';
		*to++ = *folder;
	}
	*to = '\0';
	return text;
}

static bool is_pattern(const char *path)
{
	return strpbrk(path, "*?[") != NULL;
}

/* In the sorted lists that glob() gives; a file matched by two patterns of a subscription is one task. */
static bool matched_before(const glob_t *before, unsigned count, const char *path)
{
	for (unsigned i = 0; i < count; i++)
		for (size_t low = 0, high = before[i].gl_pathc; low < high;) {
			size_t middle = low + (high - low) / 2;
			int order = strcmp(before[i].gl_pathv[middle], path);

			if (order == 0)
				return true;
			if (order < 0)
				low = middle + 1;
			else
				high = middle;
		}
	return false;
}

static int by_bytes(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static int expand(struct planner *p, const char *written, glob_t *ret, struct err *err)
{
	const struct subscription *s = p->subscription;
	CLEANUP(freep) char *folder = escape(p->list->folder);
	bool pattern = is_pattern(written);
	CLEANUP(freep) char *path = absolute(pattern ? folder : p->list->folder, written);
	int flags = GLOB_MARK | GLOB_NOSORT;

	if (!path)
		return err_set(err, ERR_RECORD, "%s:%u: subscription %s: the path is too long: %.100s…", p->list->file,
			       s->line, s->name, written);
	if (!pattern) { /* a missing file is the fetcher's to report, with a dead letter */
		ret->gl_pathv = mem_zalloc(2, sizeof(*ret->gl_pathv));
		ret->gl_pathv[0] = STEAL(path);
		ret->gl_pathc = 1;
		return 0;
	}
	switch (glob(path, flags, NULL, ret)) {
	case 0:
		qsort(ret->gl_pathv, ret->gl_pathc, sizeof(*ret->gl_pathv), by_bytes);
		return 0;
	case GLOB_NOMATCH:
		return err_set(err, ERR_RECORD, "%s:%u: subscription %s: no file matches %s", p->list->file, s->line,
			       s->name, path);
	default:
		return err_set(err, ERR_RECORD, "%s:%u: subscription %s: %s cannot be read: %s", p->list->file, s->line,
			       s->name, path, strerror(errno));
	}
}

static int add_matches(struct planner *p, const char *written, const glob_t *globs, unsigned before, struct err *err)
{
	const glob_t *matches = &globs[before];
	unsigned files = 0;

	for (size_t i = 0; i < matches->gl_pathc; i++) {
		const char *path = matches->gl_pathv[i];

		if (is_pattern(written) && path[0] && path[strlen(path) - 1] == '/')
			continue; /* a folder */
		files++;
		if (!matched_before(globs, before, path) && add_file(p, path, err))
			return -1;
	}
	if (files > 0)
		return 0;
	return err_set(err, ERR_RECORD, "%s:%u: subscription %s: %s matches folders only", p->list->file,
		       p->subscription->line, p->subscription->name, written);
}

static void free_matches(glob_t *globs, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		globfree(&globs[i]);
	free(globs);
}

int plan_files(struct planner *p, struct err *err)
{
	const struct subscription *s = p->subscription;
	glob_t *globs = mem_zalloc(s->path_count, sizeof(*globs));
	int r = 0;

	for (unsigned i = 0; i < s->path_count && r == 0; i++) {
		r = expand(p, s->paths[i], &globs[i], err);
		if (r == 0)
			r = add_matches(p, s->paths[i], globs, i, err);
	}
	free_matches(globs, s->path_count);
	return r;
}

#include "stages/orchestrator/plan.h"

#include <errno.h>
#include <glob.h>
#include <jansson.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/json_out.h"
#include "common/mem.h"
#include "stages/orchestrator/subscriptions.h"

struct planner {
	struct plan *plan;
	struct json_out out;
	const struct subscriptions *list;
	const struct subscription *subscription;
	int64_t tasks_max;
};

static void json_freep(json_t **json)
{
	json_decref(*json);
}

void plan_release(struct plan *plan)
{
	buf_release(&plan->tasks);
}

/* --- tasks of a subscription ------------------------------------------------------------------------------------------- */

static void put_member(struct json_out *out, const char *key, const char *text)
{
	if (!text[0])
		return;
	json_put_key(out, key);
	json_put_str(out, str_of(text));
}

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
	json_put_open(&p->out, '{');
	put_member(&p->out, "subscription", s->name);
	put_member(&p->out, "source", s->source);
	json_put_key(&p->out, "parameters");
	json_put_open(&p->out, '{');
	put_member(&p->out, "path", path);
	put_member(&p->out, "dataset", s->dataset);
	put_member(&p->out, "schema", s->schema);
	put_member(&p->out, "parameters", s->parameters);
	json_put_close(&p->out, '}');
	json_put_close(&p->out, '}');
	p->plan->count++;
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

static int add_files(struct planner *p, struct err *err)
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

static int add_subscription(struct planner *p, const struct subscription *s, struct err *err)
{
	p->subscription = s;
	if (!s->supported)
		return err_set(err, ERR_RECORD,
			       "%s:%u: subscription %s: source '%s' is not one of those that this version has: %s",
			       p->list->file, s->line, s->name, s->source, subscriptions_sources());
	return add_files(p, err);
}

/* --- which subscriptions ----------------------------------------------------------------------------------------------- */

/* Naming one twice is asking for it once. */
static bool named_before(const json_t *names, size_t index, const char *name)
{
	for (size_t i = 0; i < index; i++)
		if (json_is_string(json_array_get(names, i)) &&
		    strcmp(json_string_value(json_array_get(names, i)), name) == 0)
			return true;
	return false;
}

static int add_named(struct planner *p, const json_t *names, struct err *err)
{
	for (size_t i = 0; i < json_array_size(names); i++) {
		const char *name = json_string_value(json_array_get(names, i));
		const struct subscription *s = name ? subscriptions_find(p->list, name) : NULL;

		if (!s)
			return err_set(err, ERR_RECORD, "%s: no subscription %s", p->list->file, name ? name : "");
		if (!named_before(names, i, name) && add_subscription(p, s, err))
			return -1;
	}
	return 0;
}

static int add_all(struct planner *p, struct err *err)
{
	for (unsigned i = 0; i < p->list->count; i++)
		if (add_subscription(p, &p->list->items[i], err))
			return -1;
	return 0;
}

int plan_make(struct plan *plan, const struct config *cfg, const char *kind, const char *options, struct err *err)
{
	CLEANUP(subscriptions_release) struct subscriptions list = SUBSCRIPTIONS_INIT;
	CLEANUP(json_freep) json_t *chosen = json_loads(options, 0, NULL);
	struct planner p = {
		.plan = plan, .out = JSON_OUT(&plan->tasks), .list = &list, .tasks_max = config_int(cfg, "tasks_max")
	};
	const json_t *names = json_object_get(chosen, "subscriptions");

	if (strcmp(kind, "full") != 0)
		return err_set(err, ERR_RECORD, "runs of kind %s are not in this version; kind full is", kind);
	if (subscriptions_read(&list, config_text(cfg, "subscriptions"), err))
		return -1;
	json_put_open(&p.out, '[');
	if (names ? add_named(&p, names, err) : add_all(&p, err))
		return -1;
	json_put_close(&p.out, ']');
	if (plan->tasks.overflow)
		return err_set(err, ERR_RECORD, "the plan is larger than %d bytes; run fewer subscriptions at once",
			       PLAN_BYTES_MAX);
	if (plan->count == 0)
		return err_set(err, ERR_RECORD, "%s: no subscription, so there is nothing to do", list.file);
	return 0;
}

int plan_store(struct plan *plan, struct pg *pg, int64_t run, struct err *err)
{
	char id[PG_INT_MAX];

	if (pg_query(pg,
		     "INSERT INTO etl.tasks (run, subscription, source, parameters)"
		     " SELECT $1, e.x->>'subscription', e.x->>'source', e.x->'parameters'"
		     " FROM jsonb_array_elements($2::jsonb) WITH ORDINALITY AS e (x, n) ORDER BY e.n",
		     PG_PARAMS(pg_int_text(run, id), buf_text(&plan->tasks)), NULL, err))
		return err_wrap(err, "storing the plan");
	return 0;
}

#include "stages/orchestrator/subscriptions.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/mem.h"
#include "common/yaml_in.h"
#include "stages/orchestrator/subscription_format.h"

#define SUBSCRIPTIONS_MAX 10000
#define NAME_MAX_BYTES 128
#define PATHS_MAX 10000 /* of one subscription */

static const char *const sources[] = { "file", NULL };

const char *subscriptions_sources(void)
{
	return "file";
}

static void release_one(struct subscription *s)
{
	free(s->name);
	free(s->source);
	for (unsigned i = 0; i < s->path_count; i++)
		free(s->paths[i]);
	free(s->paths);
	free(s->dataset);
	free(s->schema);
	free(s->parameters);
}

void subscriptions_release(struct subscriptions *list)
{
	for (unsigned i = 0; i < list->count; i++)
		release_one(&list->items[i]);
	free(list->items);
	free(list->file);
	free(list->folder);
	*list = (struct subscriptions)SUBSCRIPTIONS_INIT;
}

const struct subscription *subscriptions_find(const struct subscriptions *list, const char *name)
{
	for (unsigned i = 0; i < list->count; i++)
		if (strcmp(list->items[i].name, name) == 0)
			return &list->items[i];
	return NULL;
}

/* --- one subscription -------------------------------------------------------------------------------------------------- */

static int required(const struct yaml_doc *doc, const struct yaml_node *map, const char *key, char **ret,
		    struct err *err)
{
	const char *text;

	if (yaml_get_text(doc, map, key, "", &text, err))
		return -1;
	if (!text[0])
		return yaml_error(doc, map, err, "a subscription needs a %s", key);
	*ret = mem_strdup(text);
	return 0;
}

static int optional(const struct yaml_doc *doc, const struct yaml_node *map, const char *key, char **ret,
		    struct err *err)
{
	const char *text;

	if (yaml_get_text(doc, map, key, "", &text, err))
		return -1;
	*ret = mem_strdup(text);
	return 0;
}

static int add_path(const struct yaml_doc *doc, const struct yaml_node *node, struct subscription *s, struct err *err)
{
	const char *text = node ? yaml_text(node) : NULL;

	if (!text || !text[0])
		return yaml_error(doc, node, err, "subscription %s: path must be a text or a list of texts", s->name);
	s->paths[s->path_count++] = mem_strdup(text);
	return 0;
}

static int read_paths(const struct yaml_doc *doc, const struct yaml_node *map, struct subscription *s, struct err *err)
{
	const struct yaml_node *path = yaml_get(doc, map, "path");
	unsigned count = path && yaml_kind(path) == YAML_LIST ? yaml_count(path) : 1;

	if (!path || count == 0)
		return yaml_error(doc, map, err, "subscription %s: source file needs a path: a file, a glob, or a list",
				  s->name);
	if (count > PATHS_MAX)
		return yaml_error(doc, path, err, "subscription %s: more than %d paths", s->name, PATHS_MAX);
	s->paths = mem_zalloc(count, sizeof(*s->paths));
	if (yaml_kind(path) != YAML_LIST)
		return add_path(doc, path, s, err);
	for (unsigned i = 0; i < count; i++)
		if (add_path(doc, yaml_item(doc, path, i), s, err))
			return -1;
	return 0;
}

static int read_file_source(const struct yaml_doc *doc, const struct yaml_node *map, struct subscription *s,
			    struct err *err)
{
	static const char *const keys[] = { "name", "source", "path", "dataset", "schema", "format", "csv", NULL };

	if (yaml_check_keys(doc, map, keys, err) || read_paths(doc, map, s, err) ||
	    optional(doc, map, "dataset", &s->dataset, err) || optional(doc, map, "schema", &s->schema, err) ||
	    subscription_format(doc, map, s, err))
		return -1;
	return 0;
}

static bool is_supported(const char *source)
{
	for (unsigned i = 0; sources[i]; i++)
		if (strcmp(sources[i], source) == 0)
			return true;
	return false;
}

/* The keys of a source that this version lacks are left alone: the run says that the source is not there. */
static int read_one(const struct yaml_doc *doc, const struct yaml_node *map, struct subscriptions *list,
		    struct err *err)
{
	struct subscription *s = &list->items[list->count];
	const struct subscription *same;

	if (!map || yaml_kind(map) != YAML_MAP)
		return yaml_error(doc, map, err, "a subscription is a mapping: name, source, …");
	list->count++; /* from here on it is released with the list */
	s->line = yaml_line(map);
	if (required(doc, map, "name", &s->name, err))
		return s->name = mem_strdup(""), -1;
	if (strlen(s->name) > NAME_MAX_BYTES)
		return yaml_error(doc, map, err, "a subscription's name has more than %d bytes", NAME_MAX_BYTES);
	same = subscriptions_find(list, s->name);
	if (same != s)
		return yaml_error(doc, map, err, "subscription %s stands here twice, first in line %u", s->name,
				  same->line);
	if (required(doc, map, "source", &s->source, err))
		return -1;
	s->supported = is_supported(s->source);
	return s->supported ? read_file_source(doc, map, s, err) : 0;
}

/* --- the file ---------------------------------------------------------------------------------------------------------- */

static int read_list(const struct yaml_doc *doc, struct subscriptions *list, struct err *err)
{
	static const char *const keys[] = { "subscriptions", NULL };
	const struct yaml_node *root = yaml_root(doc), *items;

	if (!root || yaml_kind(root) != YAML_MAP)
		return yaml_error(doc, root, err, "the file needs a list `subscriptions:`");
	if (yaml_check_keys(doc, root, keys, err))
		return -1;
	items = yaml_get(doc, root, "subscriptions");
	if (!items || yaml_kind(items) != YAML_LIST)
		return yaml_error(doc, items ? items : root, err, "the file needs a list `subscriptions:`");
	if (yaml_count(items) > SUBSCRIPTIONS_MAX)
		return yaml_error(doc, items, err, "more than %d subscriptions", SUBSCRIPTIONS_MAX);
	list->items = mem_zalloc(yaml_count(items) + 1, sizeof(*list->items));
	for (unsigned i = 0; i < yaml_count(items); i++)
		if (read_one(doc, yaml_item(doc, items, i), list, err))
			return -1;
	return 0;
}

static int find_folder(const char *file, char **ret, struct err *err)
{
	const char *slash = strrchr(file, '/');
	CLEANUP(freep) char *folder = NULL;

	if (!slash)
		folder = mem_strdup(".");
	else
		folder = slash == file ? mem_strdup("/") : mem_strndup(file, (size_t)(slash - file));
	*ret = realpath(folder, NULL);
	return *ret ? 0 : err_set(err, ERR_RECORD, "%s: %s", file, strerror(errno));
}

int subscriptions_read(struct subscriptions *ret, const char *file, struct err *err)
{
	CLEANUP(subscriptions_release) struct subscriptions list = SUBSCRIPTIONS_INIT;
	CLEANUP(yaml_freep) struct yaml_doc *doc = NULL;

	list.file = mem_strdup(file);
	if (yaml_read_file(&doc, file, err) || find_folder(file, &list.folder, err) || read_list(doc, &list, err)) {
		if (err->kind == ERR_FATAL)
			err->kind =
				ERR_RECORD; /* one run's trouble: the file can be mended and the run asked for again */
		return -1;
	}
	*ret = list;
	list = (struct subscriptions)SUBSCRIPTIONS_INIT;
	return 0;
}

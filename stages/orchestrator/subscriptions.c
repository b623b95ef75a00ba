#include "stages/orchestrator/subscriptions.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/mem.h"
#include "common/yaml_in.h"
#include "stages/orchestrator/sources.h"
#include "stages/orchestrator/subscription_internal.h"

#define SUBSCRIPTIONS_MAX 10000
#define NAME_MAX_BYTES 128

static void free_texts(char **texts, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		free(texts[i]);
	free(texts);
}

static void release_one(struct subscription *s)
{
	free(s->name);
	free(s->source);
	free_texts(s->paths, s->path_count);
	free_texts(s->vendor.symbols, s->vendor.symbol_count);
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

int subscription_required(const struct yaml_doc *doc, const struct yaml_node *map, const char *key, char **ret,
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

int subscription_optional(const struct yaml_doc *doc, const struct yaml_node *map, const char *key, char **ret,
			  struct err *err)
{
	const char *text;

	if (yaml_get_text(doc, map, key, "", &text, err))
		return -1;
	*ret = mem_strdup(text);
	return 0;
}

static int add_text(const struct yaml_doc *doc, const struct yaml_node *node, const struct subscription *s,
		    const struct text_list *list, struct err *err)
{
	const char *text = node ? yaml_text(node) : NULL;

	if (!text || !text[0])
		return yaml_error(doc, node, err, "subscription %s: %s must be a text or a list of texts", s->name,
				  list->key);
	(*list->ret)[(*list->ret_count)++] = mem_strdup(text);
	return 0;
}

int subscription_texts(const struct yaml_doc *doc, const struct yaml_node *map, const struct subscription *s,
		       const struct text_list *list, struct err *err)
{
	const struct yaml_node *node = yaml_get(doc, map, list->key);
	unsigned count = node && yaml_kind(node) == YAML_LIST ? yaml_count(node) : 1;

	if (!node || count == 0)
		return yaml_error(doc, node ? node : map, err, "subscription %s: source %s needs %s", s->name,
				  s->source, list->what);
	if (count > list->max)
		return yaml_error(doc, node, err, "subscription %s: %s: %u are more than %u", s->name, list->key, count,
				  list->max);
	*list->ret = mem_zalloc(count, sizeof(**list->ret));
	if (yaml_kind(node) != YAML_LIST)
		return add_text(doc, node, s, list, err);
	for (unsigned i = 0; i < count; i++)
		if (add_text(doc, yaml_item(doc, node, i), s, list, err))
			return -1;
	return 0;
}

int subscription_mappings(const struct yaml_doc *doc, const struct yaml_node *map, struct subscription *s,
			  struct err *err)
{
	const char *text;

	if (yaml_get_text(doc, map, "symbol_mappings", "true", &text, err))
		return -1;
	s->symbol_mappings = strcmp(text, "true") == 0;
	if (s->symbol_mappings || strcmp(text, "false") == 0)
		return 0;
	return yaml_error(doc, yaml_get(doc, map, "symbol_mappings"), err,
			  "subscription %s: symbol_mappings is true or false, not '%.40s'", s->name, text);
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
	if (subscription_required(doc, map, "name", &s->name, err))
		return s->name = mem_strdup(""), -1;
	if (strlen(s->name) > NAME_MAX_BYTES)
		return yaml_error(doc, map, err, "a subscription's name has more than %d bytes", NAME_MAX_BYTES);
	same = subscriptions_find(list, s->name);
	if (same != s)
		return yaml_error(doc, map, err, "subscription %s stands here twice, first in line %u", s->name,
				  same->line);
	if (subscription_required(doc, map, "source", &s->source, err))
		return -1;
	s->how = source_find(s->source);
	return s->how ? s->how->read(doc, map, s, err) : 0;
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

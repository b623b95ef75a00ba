#include "common/yaml_in.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "common/buf.h"
#include "common/cleanup.h"
#include "common/mem.h"

struct yaml_doc {
	char *name;
	yaml_document_t document;
	bool loaded;
};

/* A node is libyaml's own, under a name that its header need not be known for. */
static yaml_node_t *raw(const struct yaml_node *node)
{
	return (yaml_node_t *)node;
}

static const struct yaml_node *at(const struct yaml_doc *doc, int index)
{
	return (const struct yaml_node *)yaml_document_get_node((yaml_document_t *)&doc->document, index);
}

int yaml_error(const struct yaml_doc *doc, const struct yaml_node *node, struct err *err, const char *fmt, ...)
{
	char text[300];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return err_set(err, ERR_FATAL, "%s:%u:%u: %s", doc->name, node ? yaml_line(node) : 1,
		       node ? yaml_column(node) : 1, text);
}

/* --- reading --------------------------------------------------------------------------------------------------------- */

/* Where a key stands, for finding it twice without comparing all with all. */
struct key {
	const char *text;
	const struct yaml_node *node;
};

static int compare_keys(const void *a, const void *b)
{
	const struct key *x = a, *y = b;
	int order = strcmp(x->text, y->text);

	return order ? order : (yaml_line(x->node) > yaml_line(y->node)) - (yaml_line(x->node) < yaml_line(y->node));
}

static int check_keys(const struct yaml_doc *doc, const struct yaml_node *map, struct err *err)
{
	unsigned count = yaml_count(map);
	CLEANUP(freep) struct key *keys = mem_zalloc(count + 1, sizeof(*keys));

	for (unsigned i = 0; i < count; i++) {
		keys[i].node = at(doc, raw(map)->data.mapping.pairs.start[i].key);
		keys[i].text = yaml_text(keys[i].node);
		if (!keys[i].text)
			return yaml_error(doc, keys[i].node, err, "a key is a text, not a list or mapping");
	}
	qsort(keys, count, sizeof(*keys), compare_keys);
	for (unsigned i = 1; i < count; i++)
		if (strcmp(keys[i - 1].text, keys[i].text) == 0)
			return yaml_error(doc, keys[i].node, err, "key '%s' stands in line %u already", keys[i].text,
					  yaml_line(keys[i - 1].node));
	return 0;
}

/* A node gets its depth from the one parent that it may have. */
static int adopt(const struct yaml_doc *doc, uint8_t *depths, int parent, int child, struct err *err)
{
	const struct yaml_node *node = at(doc, parent);

	if (child <= parent || depths[child])
		return yaml_error(doc, at(doc, child), err,
				  "what stands here is used again in the %s of line %u: aliases (*name) are not taken",
				  yaml_kind(node) == YAML_LIST ? "list" : "mapping", yaml_line(node));
	if (depths[parent] == YAML_DEPTH_MAX && yaml_kind(at(doc, child)) != YAML_SCALAR)
		return yaml_error(doc, at(doc, child), err, "nested deeper than %d lists and mappings", YAML_DEPTH_MAX);
	depths[child] = (uint8_t)(depths[parent] + 1);
	return 0;
}

static int check_node(const struct yaml_doc *doc, uint8_t *depths, int index, struct err *err)
{
	const struct yaml_node *node = at(doc, index);

	switch (yaml_kind(node)) {
	case YAML_SCALAR:
		if (strlen(yaml_text(node)) != raw(node)->data.scalar.length)
			return yaml_error(doc, node, err, "a text must not hold NUL");
		return 0;
	case YAML_LIST:
		for (unsigned i = 0; i < yaml_count(node); i++)
			if (adopt(doc, depths, index, raw(node)->data.sequence.items.start[i], err))
				return -1;
		return 0;
	case YAML_MAP:
		for (unsigned i = 0; i < yaml_count(node); i++) {
			const yaml_node_pair_t *pair = &raw(node)->data.mapping.pairs.start[i];

			if (adopt(doc, depths, index, pair->key, err) || adopt(doc, depths, index, pair->value, err))
				return -1;
		}
		return check_keys(doc, node, err);
	}
	return 0;
}

/* libyaml numbers nodes as it meets them, parents before children. */
static int check_document(const struct yaml_doc *doc, struct err *err)
{
	int count = (int)(doc->document.nodes.top - doc->document.nodes.start);
	CLEANUP(freep) uint8_t *depths = mem_zalloc((size_t)count + 2, 1);

	depths[1] = 1;
	for (int i = 1; i <= count; i++)
		if (check_node(doc, depths, i, err))
			return -1;
	return 0;
}

/* A reader's error (bytes that are not UTF-8) has an offset only. */
static int parser_error(const struct yaml_doc *doc, const yaml_parser_t *parser, struct str text, struct err *err)
{
	const char *problem = parser->problem ? parser->problem : "not YAML";
	size_t line = 1, column = 1;

	if (parser->error != YAML_READER_ERROR)
		return err_set(err, ERR_FATAL, "%s:%zu:%zu: %s%s%s", doc->name, parser->problem_mark.line + 1,
			       parser->problem_mark.column + 1, problem, parser->context ? " " : "",
			       parser->context ? parser->context : "");
	for (size_t i = 0; i < parser->problem_offset && i < text.len; i++) {
		column = text.data[i] == '\n' ? 1 : column + 1;
		line += text.data[i] == '\n';
	}
	return err_set(err, ERR_FATAL, "%s:%zu:%zu: %s", doc->name, line, column, problem);
}

static int check_end(const struct yaml_doc *doc, yaml_parser_t *parser, struct str text, struct err *err)
{
	yaml_document_t second;
	const yaml_node_t *root;
	int outcome = 0;

	if (!yaml_parser_load(parser, &second))
		return parser_error(doc, parser, text, err);
	root = yaml_document_get_root_node(&second);
	if (root)
		outcome = err_set(err, ERR_FATAL, "%s:%zu: a second document in one file", doc->name,
				  root->start_mark.line + 1);
	yaml_document_delete(&second);
	return outcome;
}

static int load(struct yaml_doc *doc, struct str text, struct err *err)
{
	CLEANUP(yaml_parser_delete) yaml_parser_t parser;

	if (!yaml_parser_initialize(&parser))
		return err_set(err, ERR_FATAL, "%s: out of memory", doc->name);
	yaml_parser_set_input_string(&parser, (const unsigned char *)text.data, text.len);
	if (!yaml_parser_load(&parser, &doc->document))
		return parser_error(doc, &parser, text, err);
	doc->loaded = true;
	return yaml_root(doc) ? check_end(doc, &parser, text, err) : 0;
}

int yaml_read(struct yaml_doc **ret, const char *name, struct str text, struct err *err)
{
	CLEANUP(yaml_freep) struct yaml_doc *doc = mem_zalloc(1, sizeof(*doc));

	doc->name = mem_strdup(name);
	if (text.len > YAML_TEXT_MAX)
		return err_set(err, ERR_FATAL, "%s: larger than %d bytes", name, YAML_TEXT_MAX);
	if (load(doc, text, err) || check_document(doc, err))
		return -1;
	*ret = STEAL(doc);
	return 0;
}

static void closep(FILE **file)
{
	if (*file)
		fclose(*file);
}

int yaml_read_text(struct buf *text, const char *path, struct err *err)
{
	CLEANUP(closep) FILE *in = fopen(path, "r");
	size_t n;

	*text = (struct buf)BUF_INIT(YAML_TEXT_MAX + 1);
	if (!in)
		return err_set(err, ERR_FATAL, "%s: %s", path, strerror(errno));
	do {
		uint8_t *room = buf_room(text, 65536);

		if (!room)
			return err_set(err, ERR_FATAL, "%s: larger than %d bytes", path, YAML_TEXT_MAX);
		n = fread(room, 1, 65536, in);
		text->len += n;
	} while (n > 0);
	if (ferror(in))
		return err_set(err, ERR_FATAL, "%s: %s", path, strerror(errno));
	return 0;
}

int yaml_read_file(struct yaml_doc **ret, const char *path, struct err *err)
{
	CLEANUP(buf_release) struct buf text = BUF_INIT(0);

	return yaml_read_text(&text, path, err) ? -1 : yaml_read(ret, path, buf_str(&text), err);
}

void yaml_freep(struct yaml_doc **doc)
{
	if (!*doc)
		return;
	if ((*doc)->loaded)
		yaml_document_delete(&(*doc)->document);
	free((*doc)->name);
	free(*doc);
	*doc = NULL;
}

/* --- the tree -------------------------------------------------------------------------------------------------------- */

const struct yaml_node *yaml_root(const struct yaml_doc *doc)
{
	return (const struct yaml_node *)yaml_document_get_root_node((yaml_document_t *)&doc->document);
}

enum yaml_kind yaml_kind(const struct yaml_node *node)
{
	switch (raw(node)->type) {
	case YAML_SEQUENCE_NODE:
		return YAML_LIST;
	case YAML_MAPPING_NODE:
		return YAML_MAP;
	default:
		return YAML_SCALAR;
	}
}

unsigned yaml_line(const struct yaml_node *node)
{
	return (unsigned)raw(node)->start_mark.line + 1;
}

unsigned yaml_column(const struct yaml_node *node)
{
	return (unsigned)raw(node)->start_mark.column + 1;
}

const char *yaml_text(const struct yaml_node *node)
{
	return yaml_kind(node) == YAML_SCALAR ? (const char *)raw(node)->data.scalar.value : NULL;
}

unsigned yaml_count(const struct yaml_node *node)
{
	switch (yaml_kind(node)) {
	case YAML_LIST:
		return (unsigned)(raw(node)->data.sequence.items.top - raw(node)->data.sequence.items.start);
	case YAML_MAP:
		return (unsigned)(raw(node)->data.mapping.pairs.top - raw(node)->data.mapping.pairs.start);
	default:
		return 0;
	}
}

const struct yaml_node *yaml_item(const struct yaml_doc *doc, const struct yaml_node *list, unsigned index)
{
	return at(doc, raw(list)->data.sequence.items.start[index]);
}

const char *yaml_key(const struct yaml_doc *doc, const struct yaml_node *map, unsigned index)
{
	return yaml_text(at(doc, raw(map)->data.mapping.pairs.start[index].key));
}

const struct yaml_node *yaml_value(const struct yaml_doc *doc, const struct yaml_node *map, unsigned index)
{
	return at(doc, raw(map)->data.mapping.pairs.start[index].value);
}

const struct yaml_node *yaml_get(const struct yaml_doc *doc, const struct yaml_node *map, const char *key)
{
	if (!map || yaml_kind(map) != YAML_MAP)
		return NULL;
	for (unsigned i = 0; i < yaml_count(map); i++)
		if (strcmp(yaml_key(doc, map, i), key) == 0)
			return yaml_value(doc, map, i);
	return NULL;
}

int yaml_get_text(const struct yaml_doc *doc, const struct yaml_node *map, const char *key, const char *fallback,
		  const char **ret, struct err *err)
{
	const struct yaml_node *node = yaml_get(doc, map, key);

	*ret = node ? yaml_text(node) : fallback;
	if (node && !*ret)
		return yaml_error(doc, node, err, "%s takes a single value", key);
	return 0;
}

int yaml_check_keys(const struct yaml_doc *doc, const struct yaml_node *map, const char *const *keys, struct err *err)
{
	CLEANUP(buf_release) struct buf list = BUF_INIT(1024);

	for (const char *const *k = keys; *k; k++)
		buf_printf(&list, "%s%s", list.len ? ", " : "", *k);
	if (!map || yaml_kind(map) != YAML_MAP)
		return yaml_error(doc, map, err, "a mapping is needed here (%s)", buf_text(&list));
	for (unsigned i = 0; i < yaml_count(map); i++) {
		const char *const *k = keys;

		while (*k && strcmp(*k, yaml_key(doc, map, i)) != 0)
			k++;
		if (!*k)
			return yaml_error(doc, at(doc, raw(map)->data.mapping.pairs.start[i].key), err,
					  "unknown key '%s' (known: %s)", yaml_key(doc, map, i), buf_text(&list));
	}
	return 0;
}

#pragma once
/*
 * YAML files that people write (configuration, rules, topics, subscriptions)
 * as a tree with line numbers, over libyaml. Bounded in size and depth; what
 * would read differently than it looks is refused: a key that stands twice in
 * a mapping, anchors and aliases (their nodes would stand in two places), a
 * second document, NUL inside a text. Nodes live as long as their document
 * and are read by any number of threads.
 */
#include <stdbool.h>

#include "common/buf.h"
#include "common/err.h"
#include "common/str.h"

#define YAML_TEXT_MAX (4 * 1024 * 1024) /* bytes */
#define YAML_DEPTH_MAX 32               /* lists and maps inside each other */

struct yaml_doc;
struct yaml_node;

/* `name` stands in errors. The text need not outlive the call. ERR_FATAL "name:line:column: …". */
int yaml_read(struct yaml_doc **ret, const char *name, struct str text, struct err *err);
int yaml_read_file(struct yaml_doc **ret, const char *path, struct err *err);
/* The file's text as it is, into a buffer that is released in any case. */
int yaml_read_text(struct buf *ret, const char *path, struct err *err);
void yaml_freep(struct yaml_doc **doc);

/* NULL where the document is empty. */
const struct yaml_node *yaml_root(const struct yaml_doc *doc);

enum yaml_kind { YAML_SCALAR, YAML_LIST, YAML_MAP };
enum yaml_kind yaml_kind(const struct yaml_node *node);
unsigned yaml_line(const struct yaml_node *node);   /* from 1 */
unsigned yaml_column(const struct yaml_node *node); /* from 1 */

/* A scalar's text; NULL for lists and maps. */
const char *yaml_text(const struct yaml_node *node);

/* Items of a list, entries of a map, in the file's order; an index is below the count. A scalar has none. */
unsigned yaml_count(const struct yaml_node *node);
const struct yaml_node *yaml_item(const struct yaml_doc *doc, const struct yaml_node *list, unsigned index);
const char *yaml_key(const struct yaml_doc *doc, const struct yaml_node *map, unsigned index);
const struct yaml_node *yaml_value(const struct yaml_doc *doc, const struct yaml_node *map, unsigned index);

/* The entry of that key, NULL where there is none or `map` is no map. */
const struct yaml_node *yaml_get(const struct yaml_doc *doc, const struct yaml_node *map, const char *key);

/* Text of a scalar entry; `fallback` (may be NULL) where it is absent. ERR_FATAL where it is a list or map. */
int yaml_get_text(const struct yaml_doc *doc, const struct yaml_node *map, const char *key, const char *fallback,
		  const char **ret, struct err *err);

/*
 * ERR_FATAL where `map` is no mapping (NULL: an empty document), and at its first key that is not in `keys` (ends with
 * NULL), naming those that are.
 */
int yaml_check_keys(const struct yaml_doc *doc, const struct yaml_node *map, const char *const *keys, struct err *err);

/* Sets *err to "name:line:column: text", ERR_FATAL; returns -1. */
int yaml_error(const struct yaml_doc *doc, const struct yaml_node *node, struct err *err, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

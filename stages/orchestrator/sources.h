#pragma once
/*
 * The sources that this version has: how each reads its keys of a
 * subscription, and what tasks it begins with. Only this table lists them.
 */
#include "common/buf.h"
#include "common/err.h"
#include "common/yaml_in.h"

struct planner;
struct subscription;

struct subscription_source {
	const char *name;
	int (*read)(const struct yaml_doc *doc, const struct yaml_node *map, struct subscription *s, struct err *err);
	int (*plan)(struct planner *p, struct err *err);
};

/* NULL: this version has no such source. */
const struct subscription_source *source_find(const char *name);

/* "file, databento", for messages. */
void source_names(struct buf *out);

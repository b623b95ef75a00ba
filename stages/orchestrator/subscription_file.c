#include "stages/orchestrator/subscription_internal.h"

#define PATHS_MAX 10000 /* of one subscription */

int subscription_read_file(const struct yaml_doc *doc, const struct yaml_node *map, struct subscription *s,
			   struct err *err)
{
	static const char *const keys[] = { "name", "source",          "path", "dataset", "schema", "format",
					    "csv",  "symbol_mappings", NULL };
	const struct text_list paths = {
		.key = "path",
		.what = "a path: a file, a glob, or a list",
		.max = PATHS_MAX,
		.ret = &s->paths,
		.ret_count = &s->path_count,
	};

	if (yaml_check_keys(doc, map, keys, err) || subscription_texts(doc, map, s, &paths, err) ||
	    subscription_optional(doc, map, "dataset", &s->dataset, err) ||
	    subscription_optional(doc, map, "schema", &s->schema, err) || subscription_format(doc, map, s, err) ||
	    subscription_mappings(doc, map, s, err))
		return -1;
	return 0;
}

#pragma once
/* The inside of subscriptions.h: `format:` and what it needs. */
#include "common/yaml_in.h"
#include "stages/orchestrator/subscriptions.h"

/* Sets s->parameters; dataset and schema are read before. Errors name file, line and key. */
int subscription_format(const struct yaml_doc *doc, const struct yaml_node *map, struct subscription *s,
			struct err *err);

#pragma once
/* The inside of subscriptions.h: what each source reads of a subscription. Errors name file, line and key. */
#include "common/yaml_in.h"
#include "stages/orchestrator/subscriptions.h"

int subscription_read_file(const struct yaml_doc *doc, const struct yaml_node *map, struct subscription *s,
			   struct err *err);
int subscription_read_databento(const struct yaml_doc *doc, const struct yaml_node *map, struct subscription *s,
				struct err *err);

/* `format:` of a file and what it needs, into s->parameters; dataset and schema are read before. */
int subscription_format(const struct yaml_doc *doc, const struct yaml_node *map, struct subscription *s,
			struct err *err);

/* A text that must be there; owned by the caller. */
int subscription_required(const struct yaml_doc *doc, const struct yaml_node *map, const char *key, char **ret,
			  struct err *err);
/* "" where it is not. */
int subscription_optional(const struct yaml_doc *doc, const struct yaml_node *map, const char *key, char **ret,
			  struct err *err);

/* `symbol_mappings:`, true where nothing is said. */
int subscription_mappings(const struct yaml_doc *doc, const struct yaml_node *map, struct subscription *s,
			  struct err *err);

/* A text or a list of texts, none of them empty; what: what the key needs, for the message where there is none. */
struct text_list {
	const char *key, *what;
	unsigned max;
	char ***ret;
	unsigned *ret_count;
};
int subscription_texts(const struct yaml_doc *doc, const struct yaml_node *map, const struct subscription *s,
		       const struct text_list *list, struct err *err);

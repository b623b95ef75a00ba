#pragma once
/* What becomes of a set's rules in another set of the same record type. Rules are told apart by their names. */
#include "stages/validator/rules.h"

/* What of a rule is otherwise than before. Space inside conditions and texts does not count. */
enum rule_part { RULE_WHEN = 1, RULE_VIOLATED = 2, RULE_SEVERITY = 4, RULE_DOC = 8 };

#define RULE_PARTS_JUDGING (RULE_WHEN | RULE_VIOLATED | RULE_SEVERITY) /* these may change a verdict */
#define RULE_NONE UINT8_MAX

struct rules_diff {
	uint64_t added;           /* bit i: rule i of `to` is not in `from` */
	uint64_t removed;         /* bit i: rule i of `from` is not in `to` */
	uint64_t changed;         /* bit i: rule i of `to` is in `from`, otherwise */
	uint8_t was[RULES_MAX];   /* place in `from` of rule i of `to`; RULE_NONE: added */
	uint8_t parts[RULES_MAX]; /* of a changed rule of `to`: enum rule_part */
};

void rules_diff(const struct ruleset *from, const struct ruleset *to, struct rules_diff *ret);

/* Whether they hold the same rules; the order does not matter. */
static inline bool rules_diff_is_none(const struct rules_diff *diff)
{
	return !(diff->added | diff->removed | diff->changed);
}

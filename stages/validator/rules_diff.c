#include "stages/validator/rules_diff.h"

#include <string.h>

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* The next character, where any number of spaces counts as one, and none at the end as none. */
static char next_of(const char **at)
{
	const char *p = *at;

	if (!is_space(*p))
		return *p ? *(*at)++ : '\0';
	while (is_space(*p))
		p++;
	*at = p;
	return *p ? ' ' : '\0';
}

/* Where a text is folded does not change it; inside the quotes of a condition every space counts. */
static bool same_text(const char *a, const char *b, bool has_quotes)
{
	bool quoted = false;
	char x, y;

	a += strspn(a, " \t\r\n");
	b += strspn(b, " \t\r\n");
	do {
		x = quoted && *a ? *a++ : next_of(&a);
		y = quoted && *b ? *b++ : next_of(&b);
		quoted ^= has_quotes && x == '\'';
	} while (x == y && x);
	return x == y;
}

static uint8_t changed_parts(const struct rule_text *from, const struct rule_text *to)
{
	return (uint8_t)((same_text(from->when, to->when, true) ? 0 : RULE_WHEN) |
			 (same_text(from->violated, to->violated, true) ? 0 : RULE_VIOLATED) |
			 (from->rejects == to->rejects ? 0 : RULE_SEVERITY) |
			 (same_text(from->doc, to->doc, false) ? 0 : RULE_DOC));
}

static uint8_t find(const struct ruleset *set, const char *name)
{
	for (unsigned i = 0; i < ruleset_count(set); i++)
		if (strcmp(ruleset_rule(set, i).name, name) == 0)
			return (uint8_t)i;
	return RULE_NONE;
}

void rules_diff(const struct ruleset *from, const struct ruleset *to, struct rules_diff *ret)
{
	*ret = (struct rules_diff){ .added = 0 };
	for (unsigned i = 0; i < ruleset_count(to); i++) {
		struct rule_text now = ruleset_rule(to, i), before;

		ret->was[i] = find(from, now.name);
		if (ret->was[i] == RULE_NONE) {
			ret->added |= UINT64_C(1) << i;
			continue;
		}
		before = ruleset_rule(from, ret->was[i]);
		ret->parts[i] = changed_parts(&before, &now);
		ret->changed |= (uint64_t)(ret->parts[i] != 0) << i;
	}
	for (unsigned i = 0; i < ruleset_count(from); i++)
		ret->removed |= (uint64_t)(find(to, ruleset_rule(from, i).name) == RULE_NONE) << i;
}

/* rules diff: what a rule file changes */
#include <stdio.h>

#include "common/cleanup.h"
#include "common/json_in.h"
#include "common/mem.h"
#include "ops/cli/cli.h"
#include "ops/cli/rules.h"
#include "stages/validator/rules_diff.h"
#include "stages/validator/settings.h"

static const struct {
	enum rule_part part;
	const char *name;
} parts[] = {
	{ RULE_WHEN, "when" },
	{ RULE_VIOLATED, "violated" },
	{ RULE_SEVERITY, "severity" },
	{ RULE_DOC, "doc" },
};

struct comparison {
	struct rules old, new;
	struct rules_diff diff;
};

static void comparison_release(struct comparison *c)
{
	rules_release(&c->old);
	rules_release(&c->new);
}

/* --- as JSON ------------------------------------------------------------------------------------------------------------ */

static const char *part_of(const struct rule_text *rule, enum rule_part part)
{
	switch (part) {
	case RULE_WHEN:
		return rule->when;
	case RULE_VIOLATED:
		return rule->violated;
	case RULE_SEVERITY:
		return rule->rejects ? "reject" : "flag";
	case RULE_DOC:
		break;
	}
	return rule->doc;
}

/* Folded over lines in the file; one here. */
static json_t *text_of(const struct rule_text *rule, enum rule_part part)
{
	CLEANUP(freep) char *line = rules_one_line(part_of(rule, part));

	return json_string(line);
}

static json_t *rule_of(const struct ruleset *set, unsigned index)
{
	struct rule_text rule = ruleset_rule(set, index);
	json_t *out = json_pack("{s:s}", "name", rule.name);

	for (size_t i = 0; i < sizeof(parts) / sizeof(*parts); i++)
		json_object_set_new(out, parts[i].name, text_of(&rule, parts[i].part));
	return out;
}

static json_t *change_of(const struct comparison *c, unsigned index)
{
	struct rule_text now = ruleset_rule(c->new.set, index), before;
	json_t *out = json_pack("{s:s}", "name", now.name);

	before = ruleset_rule(c->old.set, c->diff.was[index]);
	for (size_t i = 0; i < sizeof(parts) / sizeof(*parts); i++)
		if (c->diff.parts[index] & parts[i].part)
			json_object_set_new(out, parts[i].name,
					    json_pack("{s:o, s:o}", "from", text_of(&before, parts[i].part), "to",
						      text_of(&now, parts[i].part)));
	return out;
}

static json_t *rules_in(const struct ruleset *set, uint64_t which)
{
	json_t *list = json_array();

	for (; which; which &= which - 1)
		json_array_append_new(list, rule_of(set, (unsigned)__builtin_ctzll(which)));
	return list;
}

static json_t *report_of(const struct comparison *c)
{
	json_t *changed = json_array();

	for (uint64_t left = c->diff.changed; left; left &= left - 1)
		json_array_append_new(changed, change_of(c, (unsigned)__builtin_ctzll(left)));
	return json_pack("{s:s, s:o, s:o, s:o, s:o, s:o}", "record", c->new.type->name, "from", rules_source(&c->old),
			 "to", rules_source(&c->new), "added", rules_in(c->new.set, c->diff.added), "removed",
			 rules_in(c->old.set, c->diff.removed), "changed", changed);
}

/* --- as text ------------------------------------------------------------------------------------------------------------ */

static const char *text_in(const json_t *object, const char *key)
{
	return json_string_value(json_object_get(object, key));
}

static void print_rules(const char *sign, const json_t *list)
{
	size_t i;
	json_t *rule;

	json_array_foreach(list, i, rule)
	{
		const char *when = text_in(rule, "when");

		printf("%s %-6s %s: %s%s%s\n", sign, text_in(rule, "severity"), text_in(rule, "name"),
		       text_in(rule, "violated"), when[0] ? "   when " : "", when);
	}
}

static void print_changes(const json_t *list)
{
	size_t i;
	json_t *rule;

	json_array_foreach(list, i, rule)
	{
		printf("~ %s\n", text_in(rule, "name"));
		for (size_t k = 0; k < sizeof(parts) / sizeof(*parts); k++) {
			const json_t *part = json_object_get(rule, parts[k].name);

			if (part)
				printf("    - %s: %s\n    + %s: %s\n", parts[k].name, text_in(part, "from"),
				       parts[k].name, text_in(part, "to"));
		}
	}
}

static void print_report(const struct comparison *c, const json_t *report)
{
	printf("from %s (%s)\nto   %s (%s)\n", ruleset_version(c->old.set), c->old.place, ruleset_version(c->new.set),
	       c->new.place);
	print_rules("-", json_object_get(report, "removed"));
	print_changes(json_object_get(report, "changed"));
	print_rules("+", json_object_get(report, "added"));
	printf("%zu added, %zu removed, %zu changed\n", json_array_size(json_object_get(report, "added")),
	       json_array_size(json_object_get(report, "removed")),
	       json_array_size(json_object_get(report, "changed")));
	if (!rules_diff_is_none(&c->diff) && ruleset_number(c->old.set) == ruleset_number(c->new.set))
		printf("both say they are version %u: count it up\n", ruleset_number(c->new.set));
}

/* --- the command -------------------------------------------------------------------------------------------------------- */

/* 0, or the exit code. */
static int open_both(struct comparison *c, const char *path, const char *old, const struct config *cfg)
{
	int over = rules_open(&c->new, "rules diff", path);

	if (!over)
		over = old ? rules_open(&c->old, "rules diff", old)
			   : rules_open_installed(&c->old, "rules diff", cfg, c->new.type);
	if (over || c->old.type == c->new.type)
		return over;
	fprintf(stderr, "penstock rules diff: %s has rules for %s, and %s for %s\n", c->new.place, c->new.type->name,
		c->old.place, c->old.type->name);
	return EXIT_USAGE;
}

int command_rules_diff(int argc, char **argv)
{
	CLEANUP(config_freep) struct config *cfg = NULL;
	CLEANUP(comparison_release) struct comparison c = { .old = RULES_INIT, .new = RULES_INIT };
	CLEANUP(json_freep) json_t *report = NULL;
	bool as_json = cli_flag(&argc, argv, "--json");
	struct err err = ERR_INIT;
	int over;

	if (cli_config_of(&validator_config, &cfg, &argc, argv, &err))
		return cli_fail("rules diff", &err), EXIT_USAGE;
	if (cli_leftover("rules diff", argc, argv, 2))
		return EXIT_USAGE;
	if (argc < 1)
		return fprintf(stderr, "penstock rules diff: name a rule file (see `penstock help rules diff`)\n"),
		       EXIT_USAGE;
	over = open_both(&c, argv[0], argc > 1 ? argv[1] : NULL, cfg);
	if (over)
		return over;
	rules_diff(c.old.set, c.new.set, &c.diff);
	report = report_of(&c);
	if (!as_json)
		print_report(&c, report);
	else if (json_dumpf(report, stdout, JSON_INDENT(2) | JSON_PRESERVE_ORDER) == 0)
		putchar('\n');
	return rules_diff_is_none(&c.diff) ? EXIT_OK : EXIT_FAILED;
}

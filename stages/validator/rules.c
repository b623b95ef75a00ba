#include "stages/validator/rules.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/decimal.h"
#include "common/mem.h"
#include "stages/validator/rules_internal.h"

#define NAME_MAX_BYTES 64
#define NUMBER_DIGITS 9         /* of a version */
#define EXPLAINED_STRING_MAX 64 /* bytes of a string's value in an explanation */

/* --- where something stands in the file ------------------------------------------------------------------------------ */

struct place {
	const char *p, *end;
	unsigned line, column;
};

static void step(struct place *at)
{
	at->column++;
	if (*at->p++ == '\n') {
		at->line++;
		at->column = 1;
	}
}

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* The node's first character: a quote, | or > where the text has one. */
static struct place place_of(struct str source, const struct yaml_node *node)
{
	struct place at = { source.data, source.data + source.len, 1, 1 };

	while (at.p < at.end && (at.line < yaml_line(node) || at.column < yaml_column(node)))
		step(&at);
	return at;
}

/* YAML changes only the space in a text (and doubles its quotes), so that the n-th other character is the n-th there. */
static struct place place_in(struct str source, const struct yaml_node *node, uint32_t pos)
{
	struct place at = place_of(source, node);
	const char *text = yaml_text(node);
	char quote = at.p < at.end ? *at.p : '\0';

	if (quote == '|' || quote == '>')
		while (at.p < at.end && *at.p != '\n')
			step(&at);
	else if (quote == '\'' || quote == '"')
		step(&at);
	for (uint32_t i = 0; text[i] && at.p < at.end; i++) {
		if (i >= pos && !is_space(text[i]))
			break;
		if (is_space(text[i]))
			continue;
		while (at.p < at.end && is_space(*at.p))
			step(&at);
		if (at.p < at.end && ((quote == '\'' && *at.p == '\'') || (quote == '"' && *at.p == '\\')))
			step(&at);
		if (at.p < at.end)
			step(&at);
	}
	while (text[pos] && at.p < at.end && is_space(*at.p))
		step(&at);
	return at;
}

int expr_error(const struct expr *expr, uint32_t pos, const char *fmt, ...)
{
	struct place at = place_in(expr->source, expr->at, pos);
	char text[360];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return err_set(expr->err, ERR_FATAL, "%s:%u:%u: %s", expr->name, at.line, at.column, text);
}

/* --- the file --------------------------------------------------------------------------------------------------------- */

static bool is_name(const char *name, const char *characters)
{
	size_t n = strlen(name);

	return n > 0 && n <= NAME_MAX_BYTES && name[strspn(name, characters)] == '\0';
}

static int read_name(const struct ruleset *set, const struct yaml_node *map, const char *characters,
		     const char **ret_name, struct err *err)
{
	if (yaml_get_text(set->doc, map, "name", "", ret_name, err))
		return -1;
	if (!is_name(*ret_name, characters))
		return yaml_error(set->doc, map, err, "a name is needed: at most %d of %s", NAME_MAX_BYTES, characters);
	return 0;
}

static int read_severity(const struct ruleset *set, const struct yaml_node *map, bool *ret_rejects, struct err *err)
{
	const char *severity;

	if (yaml_get_text(set->doc, map, "severity", "reject", &severity, err))
		return -1;
	*ret_rejects = strcmp(severity, "reject") == 0;
	if (!*ret_rejects && strcmp(severity, "flag") != 0)
		return yaml_error(set->doc, yaml_get(set->doc, map, "severity"), err,
				  "severity is reject or flag, not '%s'", severity);
	return 0;
}

/* The fields of an expression, once each, for the explanation. */
static void add_fields(struct rule *rule, const struct ruleset *set, const struct expr *expr)
{
	for (unsigned i = 0; i < expr->count; i++) {
		uint8_t index;
		unsigned k = 0;

		if (!expr->nodes[i].field)
			continue;
		index = (uint8_t)(expr->nodes[i].field - set->type->fields);
		while (k < rule->field_count && rule->fields[k] != index)
			k++;
		if (k == rule->field_count && k < sizeof(rule->fields))
			rule->fields[rule->field_count++] = index;
	}
}

static int parse_condition(struct expr *expr, const struct yaml_node *node, const struct node **ret)
{
	expr->at = node;
	expr->text = yaml_text(node);
	*ret = expr_parse(expr);
	return *ret ? 0 : -1;
}

static int read_text(const struct ruleset *set, const struct yaml_node *map, struct rule_text *rule, struct err *err)
{
	static const char *const keys[] = { "name", "violated", "severity", "when", "doc", NULL };

	if (yaml_check_keys(set->doc, map, keys, err) ||
	    read_name(set, map, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_", &rule->name, err) ||
	    read_severity(set, map, &rule->rejects, err) || yaml_get_text(set->doc, map, "doc", "", &rule->doc, err) ||
	    yaml_get_text(set->doc, map, "when", "", &rule->when, err) ||
	    yaml_get_text(set->doc, map, "violated", "", &rule->violated, err))
		return -1;
	for (unsigned i = 0; i < set->count; i++)
		if (strcmp(set->rules[i].text.name, rule->name) == 0)
			return yaml_error(set->doc, map, err, "there are two rules %s", rule->name);
	if (!*rule->violated)
		return yaml_error(set->doc, map, err, "rule %s lacks `violated`, its condition", rule->name);
	if (!*rule->when && yaml_get(set->doc, map, "when"))
		return yaml_error(set->doc, map, err, "`when` of rule %s is empty: leave it out", rule->name);
	return 0;
}

static int read_rule(struct ruleset *set, const struct yaml_node *map, struct expr *expr, struct err *err)
{
	struct rule *rule = &set->rules[set->count];
	const struct node *when = NULL, *violated;

	if (read_text(set, map, &rule->text, err))
		return -1;
	expr->count = 0;
	if ((*rule->text.when && parse_condition(expr, yaml_get(set->doc, map, "when"), &when)) ||
	    parse_condition(expr, yaml_get(set->doc, map, "violated"), &violated) ||
	    rule_compile(set, expr, when, violated))
		return -1;
	add_fields(rule, set, expr);
	set->rejecting |= (uint64_t)rule->text.rejects << set->count++;
	return 0;
}

static int read_rules(struct ruleset *set, const struct yaml_node *list, struct expr *expr, struct err *err)
{
	if (!list || yaml_kind(list) != YAML_LIST || yaml_count(list) == 0)
		return yaml_error(set->doc, list, err, "`rules` is a list of at least one rule");
	if (yaml_count(list) > RULES_MAX)
		return yaml_error(set->doc, list, err, "a set has at most %d rules", RULES_MAX);
	for (unsigned i = 0; i < yaml_count(list); i++)
		if (read_rule(set, yaml_item(set->doc, list, i), expr, err))
			return -1;
	ruleset_end(set);
	return 0;
}

/* FNV-1a: tells texts apart, keeps no secret. */
static uint32_t fingerprint(struct str text)
{
	uint32_t hash = 2166136261u;

	for (uint32_t i = 0; i < text.len; i++)
		hash = (hash ^ (uint8_t)text.data[i]) * 16777619u;
	return hash;
}

/* 1 where the file says none. */
static int read_number(struct ruleset *set, const struct yaml_node *root, struct err *err)
{
	const char *text;
	size_t n;

	if (yaml_get_text(set->doc, root, "version", "1", &text, err))
		return -1;
	n = strlen(text);
	if (n == 0 || n > NUMBER_DIGITS || text[strspn(text, "0123456789")] || text[0] == '0')
		return yaml_error(set->doc, yaml_get(set->doc, root, "version"), err,
				  "`version` is a whole number from 1, of at most %d digits, not '%s'", NUMBER_DIGITS,
				  text);
	set->number = (unsigned)strtoul(text, NULL, 10);
	return 0;
}

static int read_set(struct ruleset *set, struct str source, struct expr *expr, struct err *err)
{
	static const char *const keys[] = { "name", "version", "record", "rules", NULL };
	const struct yaml_node *root = yaml_root(set->doc);
	const char *name, *record;

	if (yaml_check_keys(set->doc, root, keys, err) ||
	    read_name(set, root, "abcdefghijklmnopqrstuvwxyz0123456789_.-", &name, err) ||
	    read_number(set, root, err) || yaml_get_text(set->doc, root, "record", "", &record, err))
		return -1;
	if (strcmp(record, set->type->name) != 0)
		return yaml_error(set->doc, yaml_get(set->doc, root, "record"), err,
				  "these are rules for record '%s', and '%s' is needed", record, set->type->name);
	snprintf(set->version, sizeof(set->version), "%s@%u-%08x", name, set->number, fingerprint(source));
	return read_rules(set, yaml_get(set->doc, root, "rules"), expr, err);
}

int ruleset_compile(struct ruleset **ret, const char *name, struct str yaml, const struct record_type *type,
		    struct err *err)
{
	CLEANUP(ruleset_freep) struct ruleset *set = mem_zalloc(1, sizeof(*set));
	CLEANUP(freep) struct expr *expr = mem_zalloc(1, sizeof(*expr));

	set->type = type;
	*expr = (struct expr){ .type = type, .name = name, .source = yaml, .datasets = &set->datasets, .err = err };
	if (yaml_read(&set->doc, name, yaml, err) || read_set(set, yaml, expr, err))
		return -1;
	*ret = STEAL(set);
	return 0;
}

void ruleset_freep(struct ruleset **set)
{
	if (!*set)
		return;
	datasets_freep(&(*set)->datasets);
	yaml_freep(&(*set)->doc);
	free(*set);
	*set = NULL;
}

/* --- telling ---------------------------------------------------------------------------------------------------------- */

const char *ruleset_version(const struct ruleset *set)
{
	return set->version;
}

unsigned ruleset_number(const struct ruleset *set)
{
	return set->number;
}

unsigned ruleset_count(const struct ruleset *set)
{
	return set->count;
}

struct rule_text ruleset_rule(const struct ruleset *set, unsigned index)
{
	return set->rules[index].text;
}

void ruleset_names(const struct ruleset *set, uint64_t violated, struct buf *out)
{
	const char *separator = "";

	for (unsigned i = 0; i < set->count; i++) {
		if (!(violated >> i & 1))
			continue;
		buf_put_text(out, separator);
		buf_put_text(out, set->rules[i].text.name);
		separator = ",";
	}
}

/* What is no printable ASCII is shown as \xNN: the value may be why the record is refused. */
static void put_string(struct buf *out, struct str s)
{
	uint32_t n = s.len < EXPLAINED_STRING_MAX ? s.len : EXPLAINED_STRING_MAX;

	buf_put_u8(out, '\'');
	for (uint32_t i = 0; i < n; i++) {
		uint8_t c = (uint8_t)s.data[i];

		if (c < 0x20 || c > 0x7e || c == '\'' || c == '\\')
			buf_printf(out, "\\x%02x", c);
		else
			buf_put_u8(out, c);
	}
	buf_put_text(out, n < s.len ? "'…" : "'");
	if (n < s.len)
		buf_printf(out, " of %u bytes", s.len);
}

static void put_value(struct buf *out, const struct record_field *field, const void *record)
{
	char text[CLOCK_TEXT_MAX];

	if (field->nullable && !record_has(record, field)) {
		buf_put_text(out, "null");
	} else if (field->type == FIELD_STRING) {
		put_string(out, record_string(record, field));
	} else if (field->type == FIELD_DECIMAL) {
		buf_put(out, text, decimal_format(record_number(record, field), text));
	} else if (field->logical == LOGICAL_TIMESTAMP_NANOS) {
		buf_put(out, text, clock_format(record_number(record, field), 9, text));
	} else if (field->logical == LOGICAL_DATE) {
		buf_put(out, text, clock_format_date((int32_t)record_number(record, field), text));
	} else if (field->type == FIELD_BOOL) {
		buf_put_text(out, record_number(record, field) ? "true" : "false");
	} else {
		buf_printf(out, "%lld", (long long)record_number(record, field));
	}
}

/* A condition may be folded over lines. */
static void put_condition(struct buf *out, const char *text)
{
	bool space = false;

	for (; *text; text++) {
		if (is_space(*text)) {
			space = true;
			continue;
		}
		if (space)
			buf_put_u8(out, ' ');
		space = false;
		buf_put_u8(out, (uint8_t)*text);
	}
}

static void put_rule(struct buf *out, const struct ruleset *set, const struct rule *rule, const void *record)
{
	put_condition(out, rule->text.violated);
	buf_put_text(out, " (");
	for (unsigned k = 0; k < rule->field_count; k++) {
		const struct record_field *field = &set->type->fields[rule->fields[k]];

		buf_printf(out, "%s%s=", k ? ", " : "", field->name);
		put_value(out, field, record);
	}
	buf_put_text(out, ")");
}

void ruleset_explain(const struct ruleset *set, const void *record, uint64_t violated, struct buf *out)
{
	const char *separator = "";

	for (unsigned i = 0; i < set->count; i++) {
		if (!(violated >> i & 1))
			continue;
		buf_put_text(out, separator);
		put_rule(out, set, &set->rules[i], record);
		separator = "; ";
	}
}

#include "stages/validator/rule_tests.h"

#include <stdlib.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/mem.h"
#include "common/record_text.h"
#include "common/yaml_in.h"

#define TEXT_MAX 65536 /* bytes of what is said of one record */

struct run {
	const struct ruleset *set;
	const struct record_type *type;
	struct yaml_doc *doc;
	const struct yaml_node *base; /* may be NULL */
	int64_t now_ns;
	void *record;
	struct buf why, text;
};

static void run_release(struct run *run)
{
	free(run->record);
	buf_release(&run->why);
	buf_release(&run->text);
	yaml_freep(&run->doc);
}

/* --- records from text ------------------------------------------------------------------------------------------------ */

static int put_field(struct run *run, const char *name, const struct yaml_node *value, struct err *err)
{
	const struct record_field *field = record_field_find(run->type, str_of(name));
	const char *text = yaml_text(value);
	bool null;

	if (!field || !text)
		return yaml_error(run->doc, value, err, field ? "%s takes a single value" : "no field is called '%s'",
				  name);
	null = field->nullable && strcmp(text, "null") == 0;
	if (!record_put_text(run->record, field, null ? NULL : text))
		return yaml_error(run->doc, value, err, "'%s' is no value of %s", text, name);
	return 0;
}

static int put_fields(struct run *run, const struct yaml_node *map, struct err *err)
{
	if (map && yaml_kind(map) != YAML_MAP)
		return yaml_error(run->doc, map, err, "fields are a mapping: {symbol: ESH1, open: 1.5}");
	for (unsigned i = 0; map && i < yaml_count(map); i++)
		if (put_field(run, yaml_key(run->doc, map, i), yaml_value(run->doc, map, i), err))
			return -1;
	return 0;
}

/* --- what is expected --------------------------------------------------------------------------------------------------- */

static int find_rule(const struct run *run, const struct yaml_node *item, bool rejects, uint64_t *rules,
		     struct err *err)
{
	const char *name = yaml_text(item);

	for (unsigned i = 0; name && i < ruleset_count(run->set); i++) {
		struct rule_text rule = ruleset_rule(run->set, i);

		if (strcmp(rule.name, name) != 0)
			continue;
		if (rule.rejects != rejects)
			return yaml_error(run->doc, item, err, "rule %s %s", name, rejects ? "flags" : "rejects");
		*rules |= UINT64_C(1) << i;
		return 0;
	}
	return yaml_error(run->doc, item, err, "%s has no rule '%s'", ruleset_version(run->set), name ? name : "");
}

static int read_expected(const struct run *run, const struct yaml_node *test, const char *key, bool rejects,
			 uint64_t *ret, struct err *err)
{
	const struct yaml_node *list = yaml_get(run->doc, test, key);

	*ret = 0;
	if (list && yaml_kind(list) != YAML_LIST)
		return yaml_error(run->doc, list, err, "`%s` is a list of rules", key);
	for (unsigned i = 0; list && i < yaml_count(list); i++)
		if (find_rule(run, yaml_item(run->doc, list, i), rejects, ret, err))
			return -1;
	return 0;
}

static void put_names(struct run *run, const char *what, uint64_t rules)
{
	if (!rules)
		return;
	buf_put_text(&run->why, run->why.len ? "; " : "");
	buf_put_text(&run->why, what);
	ruleset_names(run->set, rules, &run->why);
}

/* Leaves in run->why what is otherwise than expected. */
static void compare(struct run *run, uint64_t expected, uint64_t found, const char *message)
{
	buf_reset(&run->why);
	buf_reset(&run->text);
	put_names(run, "not violated: ", expected & ~found);
	put_names(run, "violated: ", found & ~expected);
	ruleset_explain(run->set, run->record, found, &run->text);
	if (*message && strcmp(buf_text(&run->text), message) != 0)
		buf_printf(&run->why, "%smessage: %s", run->why.len ? "; " : "", buf_text(&run->text));
}

/* --- the file ----------------------------------------------------------------------------------------------------------- */

static int run_test(struct run *run, const struct yaml_node *test, struct rule_test *ret, struct rule_tests *sum,
		    struct err *err)
{
	static const char *const keys[] = { "name", "fields", "rejected", "flagged", "message", NULL };
	uint64_t rejected, flagged;
	struct verdict verdict;
	const char *message;

	memset(run->record, 0, run->type->size);
	if (yaml_check_keys(run->doc, test, keys, err) || yaml_get_text(run->doc, test, "name", "", &ret->name, err) ||
	    yaml_get_text(run->doc, test, "message", "", &message, err) || put_fields(run, run->base, err) ||
	    put_fields(run, yaml_get(run->doc, test, "fields"), err) ||
	    read_expected(run, test, "rejected", true, &rejected, err) ||
	    read_expected(run, test, "flagged", false, &flagged, err))
		return -1;
	if (!*ret->name)
		return yaml_error(run->doc, test, err, "a test has a name");
	verdict = ruleset_check(run->set, run->record, run->now_ns);
	compare(run, rejected | flagged, verdict.rejected | verdict.flagged, message);
	ret->line = yaml_line(test);
	ret->why = run->why.len ? buf_text(&run->why) : NULL;
	*(ret->why ? &sum->failed : &sum->passed) += 1;
	sum->violated |= (rejected | flagged) & (verdict.rejected | verdict.flagged);
	return 0;
}

static int read_head(struct run *run, struct err *err)
{
	static const char *const keys[] = { "record", "now", "base", "tests", NULL };
	const struct yaml_node *root = yaml_root(run->doc);
	const char *record, *now;

	if (yaml_check_keys(run->doc, root, keys, err) || yaml_get_text(run->doc, root, "record", "", &record, err) ||
	    yaml_get_text(run->doc, root, "now", "", &now, err))
		return -1;
	if (strcmp(record, run->type->name) != 0)
		return yaml_error(run->doc, root, err, "these are records of '%s', and the rules are for '%s'", record,
				  run->type->name);
	if (!clock_parse(str_of(now), &run->now_ns))
		return yaml_error(run->doc, root, err, "`now` is a time: 2024-01-31T23:59:59Z");
	run->base = yaml_get(run->doc, root, "base");
	return 0;
}

int rule_tests_run(const struct ruleset *set, const struct record_type *type, const char *path,
		   rule_test_report_fn *report, void *self, struct rule_tests *ret, struct err *err)
{
	CLEANUP(run_release) struct run run = { .set = set, .type = type };
	const struct yaml_node *list;

	run.why = run.text = (struct buf)BUF_INIT(TEXT_MAX);
	run.record = mem_zalloc(1, type->size);
	*ret = (struct rule_tests){ 0 };
	if (yaml_read_file(&run.doc, path, err) || read_head(&run, err))
		return -1;
	list = yaml_get(run.doc, yaml_root(run.doc), "tests");
	if (!list || yaml_kind(list) != YAML_LIST || yaml_count(list) == 0)
		return yaml_error(run.doc, list, err, "`tests` is a list of at least one test");
	for (unsigned i = 0; i < yaml_count(list); i++) {
		struct rule_test test = { 0 };

		if (run_test(&run, yaml_item(run.doc, list, i), &test, ret, err))
			return -1;
		report(self, &test);
	}
	return 0;
}

/* schema ls, schema show, schema diff: of the schemas that this build has, as its orchestrator serves them */
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/json_in.h"
#include "common/registry.h"
#include "ops/cli/cli.h"
#include "ops/cli/table.h"

/* One command's arguments while it runs. */
struct schema_call {
	const char *command;
	bool json;
	struct config *cfg;
	struct registry *registry;
};

static void call_release(struct schema_call *call)
{
	registry_freep(&call->registry);
	config_freep(&call->cfg);
}

/* 0, or the exit code. */
static int call_open(struct schema_call *call, int *argc, char **argv, int words)
{
	struct err err = ERR_INIT;

	call->json = cli_flag(argc, argv, "--json");
	if (cli_config(&call->cfg, argc, argv, &err))
		return cli_fail(call->command, &err), EXIT_USAGE;
	if (cli_leftover(call->command, *argc, argv, words))
		return EXIT_USAGE;
	if (*argc < words)
		return fprintf(stderr, "penstock %s: it takes %s; `penstock schema ls` lists the subjects\n",
			       call->command, words == 1 ? "a SUBJECT" : "a SUBJECT and two versions"),
		       EXIT_USAGE;
	return registry_open(&call->registry, call->cfg, &err) ? cli_fail(call->command, &err) : 0;
}

static void print_json(const json_t *json)
{
	json_dumpf(json, stdout, JSON_INDENT(2));
	putchar('\n');
}

/* NULL: that there is none was said; *ret_code is then set. */
static const struct registry_version *find(const struct schema_call *call, const char *subject, const char *word,
					   int *ret_code)
{
	const struct registry_version *v = NULL;
	unsigned version;

	*ret_code = EXIT_USAGE;
	if (!registry_version_parse(str_of(word), &version)) {
		fprintf(stderr, "penstock %s: a version is a number from 1, or latest, not '%s'\n", call->command,
			word);
		return NULL;
	}
	*ret_code = EXIT_FAILED;
	v = registry_find(call->registry, str_of(subject), version);
	if (v)
		return v;
	if (registry_find(call->registry, str_of(subject), REGISTRY_LATEST))
		fprintf(stderr, "penstock %s: %s has no version %s\n", call->command, subject, word);
	else
		fprintf(stderr, "penstock %s: there is no subject '%s'; `penstock schema ls` lists them\n",
			call->command, subject);
	return NULL;
}

/* --- schema ls --------------------------------------------------------------------------------------------------------- */

static json_t *list_versions(const struct registry *registry)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < registry_count(registry); i++) {
		const struct registry_version *v = registry_at(registry, i);

		json_array_append_new(list,
				      json_pack("{s:s, s:i, s:i, s:s}", "subject", v->subject, "version",
						(int)v->version, "id", (int)v->id, "fingerprint", v->fingerprint));
	}
	return list;
}

int command_schema_ls(int argc, char **argv)
{
	CLEANUP(call_release) struct schema_call call = { .command = "schema ls" };
	CLEANUP(table_freep) struct table *table = table_new(NULL);
	CLEANUP(json_freep) json_t *answer = NULL;
	int over = call_open(&call, &argc, argv, 0);
	json_t *list, *row;
	size_t i;

	if (over)
		return over;
	list = list_versions(call.registry);
	answer = json_pack("{s:o}", "versions", list);
	if (call.json) {
		print_json(answer);
		return EXIT_OK;
	}
	json_array_foreach(list, i, row) table_add(table, row);
	table_print(table);
	return EXIT_OK;
}

/* --- schema show ------------------------------------------------------------------------------------------------------- */

static void show_as_json(const struct registry_version *v)
{
	CLEANUP(freep) char *schema = registry_compact(v->schema);
	CLEANUP(json_freep)
	json_t *answer = json_pack("{s:s, s:i, s:i, s:s}", "subject", v->subject, "version", (int)v->version, "id",
				   (int)v->id, "schema", schema);

	print_json(answer);
}

int command_schema_show(int argc, char **argv)
{
	CLEANUP(call_release) struct schema_call call = { .command = "schema show" };
	const char *version = cli_option(&argc, argv, "--version");
	const struct registry_version *v;
	int over = call_open(&call, &argc, argv, 1);

	if (over || !(v = find(&call, argv[0], version ? version : "latest", &over)))
		return over;
	if (call.json)
		show_as_json(v);
	else
		printf("%.*s", STR_ARG(v->schema)); /* as somebody wrote it: one field a line */
	return EXIT_OK;
}

/* --- schema diff ------------------------------------------------------------------------------------------------------- */

static const json_t *field_of(const json_t *schema, const char *name)
{
	size_t i;
	json_t *field;

	json_array_foreach(json_object_get(schema, "fields"), i, field)
	{
		if (strcmp(json_string_value(json_object_get(field, "name")), name) == 0)
			return field;
	}
	return NULL;
}

/* Fields of the one that the other lacks. */
static json_t *lacking(const json_t *one, const json_t *other)
{
	json_t *list = json_array(), *field;
	size_t i;

	json_array_foreach(json_object_get(one, "fields"), i, field)
	{
		if (!field_of(other, json_string_value(json_object_get(field, "name"))))
			json_array_append(list, field);
	}
	return list;
}

static void add_change(json_t *list, const json_t *before, const json_t *after)
{
	if (!json_equal(before, after))
		json_array_append_new(list, json_pack("{s:O, s:O}", "from", before, "to", after));
}

/* What is said of the record itself, then of each field that both have. */
static json_t *changed(const json_t *before, const json_t *after)
{
	CLEANUP(json_freep) json_t *record = json_copy((json_t *)before), *later = json_copy((json_t *)after);
	json_t *list = json_array(), *field;
	size_t i;

	json_object_del(record, "fields");
	json_object_del(later, "fields");
	add_change(list, record, later);
	json_array_foreach(json_object_get(before, "fields"), i, field)
	{
		const json_t *now = field_of(after, json_string_value(json_object_get(field, "name")));

		if (now)
			add_change(list, field, now);
	}
	return list;
}

static json_t *difference(const struct registry_version *before, const struct registry_version *after)
{
	CLEANUP(json_freep) json_t *from = json_loadb(before->schema.data, before->schema.len, 0, NULL);
	CLEANUP(json_freep) json_t *to = json_loadb(after->schema.data, after->schema.len, 0, NULL);

	return json_pack("{s:s, s:i, s:i, s:o, s:o, s:o}", "subject", before->subject, "from", (int)before->version,
			 "to", (int)after->version, "added", lacking(to, from), "removed", lacking(from, to), "changed",
			 changed(from, to));
}

static void print_line(const char *sign, const json_t *json)
{
	CLEANUP(freep) char *text = json_dumps(json, 0);

	printf("%s %s\n", sign, text ? text : "");
}

static void print_difference(const json_t *difference)
{
	const json_t *list;
	json_t *each;
	size_t i;

	list = json_object_get(difference, "removed");
	json_array_foreach(list, i, each) print_line("-", each);
	list = json_object_get(difference, "changed");
	json_array_foreach(list, i, each)
	{
		print_line("-", json_object_get(each, "from"));
		print_line("+", json_object_get(each, "to"));
	}
	list = json_object_get(difference, "added");
	json_array_foreach(list, i, each) print_line("+", each);
}

int command_schema_diff(int argc, char **argv)
{
	CLEANUP(call_release) struct schema_call call = { .command = "schema diff" };
	CLEANUP(json_freep) json_t *found = NULL;
	const struct registry_version *before, *after;
	int over = call_open(&call, &argc, argv, 3);

	if (over || !(before = find(&call, argv[0], argv[1], &over)) || !(after = find(&call, argv[0], argv[2], &over)))
		return over;
	found = difference(before, after);
	if (call.json)
		print_json(found);
	else
		print_difference(found);
	return before->id == after->id ? EXIT_OK : EXIT_FAILED;
}

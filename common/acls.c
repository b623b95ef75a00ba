#include "common/acls.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/embed.h"
#include "common/mem.h"
#include "common/yaml_in.h"

#define ACLS_FILE "topics/acls.yaml"
#define ACLS_MAX 128

struct acls {
	struct acl list[ACLS_MAX];
	unsigned count;
	char *prefix;
};

/* --- the table ------------------------------------------------------------------------------------------------------- */

struct row {
	const struct yaml_doc *doc;
	const struct yaml_node *node;
	const struct config *cfg;
	const char *worker, *name;
	enum kafka_resource resource;
	bool with_prefix;
};

/* Just one of the kinds has to stand there, with a name. */
static int read_resource(struct row *row, struct err *err)
{
	static const char *const kinds[] = { "topic", "group", "transactional_id", "cluster", NULL };

	row->name = NULL;
	for (const char *const *kind = kinds; *kind; kind++) {
		const char *name;

		if (yaml_get_text(row->doc, row->node, *kind, NULL, &name, err))
			return -1;
		if (!name)
			continue;
		if (row->name)
			return yaml_error(row->doc, row->node, err, "one of topic, group, transactional_id, cluster");
		row->name = name;
		kafka_resource_parse(*kind, &row->resource);
	}
	return row->name && row->name[0]
		       ? 0
		       : yaml_error(row->doc, row->node, err, "a topic, group, transactional_id or cluster is needed");
}

static int add_operation(struct acls *acls, const struct row *row, const char *operation, struct err *err)
{
	CLEANUP(freep) char *key = mem_printf("acls.%s", row->worker);
	size_t n = strlen(row->name);
	int number = operation ? kafka_operation(operation) : -1;

	if (number < 0)
		return yaml_error(row->doc, row->node, err, "operations: no such one");
	if (acls->count == ACLS_MAX)
		return yaml_error(row->doc, row->node, err, "more than %d rights", ACLS_MAX);
	acls->list[acls->count++] = (struct acl){
		.worker = mem_strdup(row->worker),
		.right = { .principal = mem_strdup(config_text(row->cfg, key)),
			   .name = mem_printf("%s%s", row->with_prefix ? acls->prefix : "", row->name),
			   .resource = row->resource,
			   .prefixed = row->name[n - 1] == '.',
			   .allowed = true,
			   .operation = number },
	};
	return 0;
}

static int read_row(struct acls *acls, struct row *row, struct err *err)
{
	static const char *const keys[] = { "worker",  "topic",  "group",      "transactional_id",
					    "cluster", "prefix", "operations", NULL };
	const struct yaml_node *operations = yaml_get(row->doc, row->node, "operations");
	const char *prefix;

	if (yaml_check_keys(row->doc, row->node, keys, err) ||
	    yaml_get_text(row->doc, row->node, "worker", "", &row->worker, err) ||
	    yaml_get_text(row->doc, row->node, "prefix", "true", &prefix, err) || read_resource(row, err))
		return -1;
	row->with_prefix = strcmp(prefix, "false") != 0 && row->resource != KAFKA_RESOURCE_CLUSTER;
	if (!operations || yaml_count(operations) == 0)
		return yaml_error(row->doc, row->node, err, "operations: a list is needed");
	for (unsigned i = 0; i < yaml_count(operations); i++)
		if (add_operation(acls, row, yaml_text(yaml_item(row->doc, operations, i)), err))
			return -1;
	return 0;
}

int acls_open(struct acls **ret, const struct config *cfg, struct err *err)
{
	CLEANUP(acls_freep) struct acls *acls = mem_zalloc(1, sizeof(*acls));
	CLEANUP(yaml_freep) struct yaml_doc *doc = NULL;
	const struct yaml_node *list;

	acls->prefix = mem_strdup(config_text(cfg, "topics.prefix"));
	if (yaml_read(&doc, ACLS_FILE, embed_find(ACLS_FILE), err))
		return -1;
	list = yaml_get(doc, yaml_root(doc), "acls");
	if (!list || yaml_kind(list) != YAML_LIST)
		return err_set(err, ERR_FATAL, ACLS_FILE ": a list is needed");
	for (unsigned i = 0; i < yaml_count(list); i++) {
		struct row row = { .doc = doc, .node = yaml_item(doc, list, i), .cfg = cfg };

		if (read_row(acls, &row, err))
			return -1;
	}
	*ret = STEAL(acls);
	return 0;
}

void acls_freep(struct acls **pointer)
{
	struct acls *acls = *pointer;

	if (!acls)
		return;
	for (unsigned i = 0; i < acls->count; i++) {
		free(acls->list[i].worker);
		free(acls->list[i].right.principal);
		free(acls->list[i].right.name);
	}
	free(acls->prefix);
	free(acls);
	*pointer = NULL;
}

unsigned acls_count(const struct acls *acls)
{
	return acls->count;
}

const struct acl *acls_at(const struct acls *acls, unsigned index)
{
	return &acls->list[index];
}

/* --- texts ----------------------------------------------------------------------------------------------------------- */

/* Kafka's word for an operation: DescribeConfigs. */
static void put_camel(char *to, size_t size, const char *name)
{
	bool begins = true;
	size_t n = 0;

	for (; *name && n + 1 < size; name++) {
		if (*name == '_') {
			begins = true;
			continue;
		}
		to[n++] = begins ? (char)(*name - 'a' + 'A') : *name;
		begins = false;
	}
	to[n] = '\0';
}

char *acl_arguments(const struct acl *acl)
{
	static const char *const options[] = {
		[KAFKA_RESOURCE_TOPIC] = "--topic ",
		[KAFKA_RESOURCE_GROUP] = "--group ",
		[KAFKA_RESOURCE_CLUSTER] = "--cluster ",
		[KAFKA_RESOURCE_TRANSACTIONAL_ID] = "--transactional-id ",
	};
	const struct kafka_acl *right = &acl->right;
	bool named = right->resource != KAFKA_RESOURCE_CLUSTER;
	char operation[32];

	put_camel(operation, sizeof(operation), kafka_operation_name(right->operation));
	return mem_printf("--add --allow-principal %s --operation %s %s%s%s", right->principal, operation,
			  options[right->resource], named ? right->name : "",
			  right->prefixed ? " --resource-pattern-type prefixed" : "");
}

static void say(topics_report_fn *fn, void *self, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
static void say(topics_report_fn *fn, void *self, const char *fmt, ...)
{
	char line[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	fn(self, line);
}

/* "User:penstock-fetcher: write on topic etl.raw.*" */
static void say_right(topics_report_fn *fn, void *self, const struct kafka_acl *right, const char *what)
{
	say(fn, self, "%s: %s on %s %s%s: %s", right->principal, kafka_operation_name(right->operation),
	    kafka_resource_name(right->resource), right->name, right->prefixed ? "*" : "", what);
}

/* --- the broker ------------------------------------------------------------------------------------------------------ */

/* A library that has no word for transactional ids tells their rights as of something else. */
static bool is_same(const struct kafka_acl *wanted, const struct kafka_acl *found)
{
	bool unworded = found->resource == KAFKA_RESOURCE_OTHER && !kafka_acls_can_create(wanted->resource);

	return (wanted->resource == found->resource || unworded) && wanted->prefixed == found->prefixed &&
	       found->allowed && wanted->operation == found->operation && strcmp(wanted->name, found->name) == 0 &&
	       strcmp(wanted->principal, found->principal) == 0;
}

static bool is_there(const struct kafka_acl *wanted, const struct kafka_acls *found)
{
	for (unsigned i = 0; i < found->count; i++)
		if (is_same(wanted, &found->list[i]))
			return true;
	return false;
}

static int open_broker(struct kafka_admin **ret_admin, struct kafka_acls *ret_found, const struct config *cfg,
		       struct err *err)
{
	int32_t partitions;

	/* Asked for a topic, whichever: that says soon, and in a sentence, where no broker can be reached. */
	return kafka_admin_open(ret_admin, cfg, err) ||
			       kafka_admin_partitions(*ret_admin, "etl.events", &partitions, err) ||
			       kafka_acls_read(*ret_admin, ret_found, err)
		       ? -1
		       : 0;
}

static void report_left(const struct acl *acl, topics_report_fn *fn, void *self)
{
	CLEANUP(freep) char *arguments = acl_arguments(acl);

	say(fn, self, "this librdkafka cannot write rights on transactional ids (2.6 can): kafka-acls.sh %s",
	    arguments);
}

int acls_apply(const struct acls *acls, const struct config *cfg, bool dry_run, topics_report_fn *fn, void *self,
	       unsigned *ret_left, struct err *err)
{
	CLEANUP(kafka_admin_freep) struct kafka_admin *admin = NULL;
	CLEANUP(kafka_acls_release) struct kafka_acls found = { .list = NULL };
	const struct kafka_acl *missing[ACLS_MAX];
	unsigned count = 0;

	*ret_left = 0;
	if (open_broker(&admin, &found, cfg, err))
		return -1;
	for (unsigned i = 0; i < acls->count; i++) {
		const struct kafka_acl *right = &acls->list[i].right;

		if (is_there(right, &found)) {
			say_right(fn, self, right, "already there");
		} else if (kafka_acls_can_create(right->resource)) {
			missing[count++] = right;
		} else {
			(*ret_left)++;
			report_left(&acls->list[i], fn, self);
		}
	}
	if (!dry_run && kafka_acls_create(admin, missing, count, err))
		return -1;
	for (unsigned i = 0; i < count; i++)
		say_right(fn, self, missing[i], dry_run ? "would be written" : "written");
	return 0;
}

static bool is_ours(const struct acls *acls, const struct kafka_acl *found)
{
	for (unsigned i = 0; i < acls->count; i++)
		if (strcmp(acls->list[i].right.principal, found->principal) == 0)
			return true;
	return false;
}

static bool is_in_table(const struct acls *acls, const struct kafka_acl *found)
{
	for (unsigned i = 0; i < acls->count; i++)
		if (is_same(&acls->list[i].right, found))
			return true;
	return false;
}

/* Of another pipeline, whose names begin otherwise, nothing is said. What denies takes nothing that must not be taken. */
static bool is_too_much(const struct acls *acls, const struct kafka_acl *found)
{
	bool near = found->prefixed ? strncmp(found->name, acls->prefix, strlen(found->name)) == 0 : false;

	near |= strncmp(found->name, acls->prefix, strlen(acls->prefix)) == 0 || strcmp(found->name, "*") == 0;
	return found->allowed && near && is_ours(acls, found) && !is_in_table(acls, found);
}

int acls_check(const struct acls *acls, const struct config *cfg, topics_report_fn *fn, void *self,
	       unsigned *ret_differences, struct err *err)
{
	CLEANUP(kafka_admin_freep) struct kafka_admin *admin = NULL;
	CLEANUP(kafka_acls_release) struct kafka_acls found = { .list = NULL };

	*ret_differences = 0;
	if (open_broker(&admin, &found, cfg, err))
		return -1;
	if (found.count == 0) /* librdkafka 2.0.2 does not tell what the broker says then */
		say(fn, self,
		    "no rights are seen at all: there are none, or the broker has no authorizer (authorizer.class.name), "
		    "or this user may not look (describe on the cluster)");
	for (unsigned i = 0; i < acls->count; i++)
		if (!is_there(&acls->list[i].right, &found)) {
			say_right(fn, self, &acls->list[i].right, "missing; run `penstock acls apply`");
			(*ret_differences)++;
		}
	for (unsigned i = 0; i < found.count; i++)
		if (is_too_much(acls, &found.list[i])) {
			say_right(fn, self, &found.list[i], "not in the table");
			(*ret_differences)++;
		}
	return 0;
}

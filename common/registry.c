#include "common/registry.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/embed.h"
#include "common/json_in.h"
#include "common/mem.h"
#include "common/schema_lock.h"
#include "common/topics.h"

struct entry {
	struct registry_version shown;
	struct schema_version locked;
};

struct registry {
	struct entry *entries;
	unsigned count;
	char **subjects; /* the entries' names are these */
	unsigned subject_count;
};

static struct str text_of(uint32_t id)
{
	CLEANUP(freep) char *path = mem_printf("schemas/versions/%u.avsc", id);

	return embed_find(path);
}

static void add_version(struct registry *registry, const char *subject, const struct schema_version *locked)
{
	struct entry *e;

	registry->entries = mem_realloc(registry->entries, registry->count + 1, sizeof(*registry->entries));
	e = &registry->entries[registry->count++];
	e->locked = *locked;
	e->shown = (struct registry_version){
		.subject = subject, .version = locked->version, .id = locked->id, .schema = text_of(locked->id)
	};
}

/* What the topic table says that a topic carries has to be the newest version of its subject. */
static int add_topic(struct registry *registry, const struct topic *topic, struct err *err)
{
	CLEANUP(freep) char *subject = mem_printf("%s-value", topic->base);
	CLEANUP(freep) char *file = mem_printf("%s.avsc", topic->schema);
	struct schema_version v = { .version = 0 }, newest = v;
	const char *at = NULL;
	char *name;

	if (!*topic->schema)
		return 0;
	name = registry->subjects[registry->subject_count++] = mem_printf("%s-value", topic->name);
	while (schema_lock_next(&at, &v))
		if (strcmp(v.subject, subject) == 0) {
			add_version(registry, name, &v);
			newest = v;
		}
	if (strcmp(newest.file, file) != 0 || newest.id != schema_lock_newest(file))
		return err_set(err, ERR_FATAL,
			       SCHEMA_LOCK ": the newest version of %s is not %s, which the topic table names", subject,
			       file);
	return 0;
}

int registry_open(struct registry **ret, const struct config *cfg, struct err *err)
{
	CLEANUP(registry_freep) struct registry *registry = mem_zalloc(1, sizeof(*registry));
	CLEANUP(topics_freep) struct topics *topics = NULL;

	if (topics_open(&topics, cfg, err))
		return -1;
	registry->subjects = mem_zalloc(topics_count(topics), sizeof(*registry->subjects));
	for (unsigned i = 0; i < topics_count(topics); i++)
		if (add_topic(registry, topics_at(topics, i), err))
			return -1;
	for (unsigned i = 0; i < registry->count; i++) /* now they stay where they are */
		registry->entries[i].shown.fingerprint = registry->entries[i].locked.fingerprint;
	*ret = STEAL(registry);
	return 0;
}

void registry_freep(struct registry **pointer)
{
	struct registry *registry = *pointer;

	if (!registry)
		return;
	for (unsigned i = 0; i < registry->subject_count; i++)
		free(registry->subjects[i]);
	free(registry->subjects);
	free(registry->entries);
	free(registry);
	*pointer = NULL;
}

unsigned registry_count(const struct registry *registry)
{
	return registry->count;
}

const struct registry_version *registry_at(const struct registry *registry, unsigned index)
{
	return &registry->entries[index].shown;
}

const struct registry_version *registry_find(const struct registry *registry, struct str subject, unsigned version)
{
	const struct registry_version *latest = NULL;

	for (unsigned i = 0; i < registry->count; i++) {
		const struct registry_version *v = registry_at(registry, i);

		if (!str_eq(str_of(v->subject), subject))
			continue;
		if (v->version == version)
			return v;
		latest = v;
	}
	return version == REGISTRY_LATEST ? latest : NULL;
}

const struct registry_version *registry_find_id(const struct registry *registry, uint32_t id)
{
	for (unsigned i = 0; i < registry->count; i++)
		if (registry_at(registry, i)->id == id)
			return registry_at(registry, i);
	return NULL;
}

bool registry_version_parse(struct str text, unsigned *ret_version)
{
	uint64_t n = 0;

	if (str_eq(text, STR_LIT("latest"))) {
		*ret_version = REGISTRY_LATEST;
		return true;
	}
	if (text.len == 0 || text.len > 10) /* digits of the greatest number */
		return false;
	for (uint32_t i = 0; i < text.len; i++) {
		if (text.data[i] < '0' || text.data[i] > '9')
			return false;
		n = n * 10 + (uint64_t)(text.data[i] - '0');
	}
	*ret_version = (unsigned)n;
	return n > 0 && n <= INT32_MAX;
}

char *registry_compact(struct str schema)
{
	CLEANUP(json_freep) json_t *json = json_loadb(schema.data, schema.len, JSON_REJECT_DUPLICATES, NULL);
	char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;

	if (!text) {
		fprintf(stderr, "schemas/versions: %.*s\n", STR_ARG(schema));
		abort(); /* the build compiled in a schema that is none, or memory is out */
	}
	return text;
}

#pragma once
/*
 * The schema registry that is compiled in: of every topic whose messages are
 * Avro the subject (TopicNameStrategy: the topic's name, with topics.prefix,
 * and "-value") with its versions. Ids are those in the messages' framing.
 */
#include <stdbool.h>
#include <stdint.h>

#include "common/config.h"
#include "common/err.h"
#include "common/str.h"

/* What schemas/README.md promises of a subject's versions. */
#define REGISTRY_COMPATIBILITY "BACKWARD"

struct registry_version {
	const char *subject;
	unsigned version; /* from 1, without a gap */
	uint32_t id;
	const char *fingerprint;
	struct str schema; /* JSON, as it is written in schemas/versions */
};

struct registry;

/* ERR_FATAL where the topic table and the lock do not fit each other. */
int registry_open(struct registry **ret, const struct config *cfg, struct err *err);
void registry_freep(struct registry **registry);

/* Every version, those of a subject together and in their order. */
unsigned registry_count(const struct registry *registry);
const struct registry_version *registry_at(const struct registry *registry, unsigned index);

#define REGISTRY_LATEST 0

/* NULL: there is none. version: a number, or REGISTRY_LATEST. */
const struct registry_version *registry_find(const struct registry *registry, struct str subject, unsigned version);
const struct registry_version *registry_find_id(const struct registry *registry, uint32_t id);

/* "3", or "latest"; false: it is neither. */
bool registry_version_parse(struct str text, unsigned *ret_version);

/* The schema without what is only there for people's eyes; owned by the caller (free). */
char *registry_compact(struct str schema);

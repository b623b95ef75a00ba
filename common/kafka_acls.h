#pragma once
/* Rights as the broker keeps them (ACLs), by librdkafka's admin calls: who may do what with which names. */
#include <stdbool.h>

#include "common/err.h"
#include "common/kafka_admin.h"

/* OTHER: what this library has no word for; those before 2.6 have none for transactional ids. */
enum kafka_resource {
	KAFKA_RESOURCE_TOPIC,
	KAFKA_RESOURCE_GROUP,
	KAFKA_RESOURCE_CLUSTER,
	KAFKA_RESOURCE_TRANSACTIONAL_ID,
	KAFKA_RESOURCE_OTHER,
};

struct kafka_acl {
	char *principal, *name; /* owned */
	enum kafka_resource resource;
	bool prefixed; /* all names that begin so */
	bool allowed;  /* from everywhere; false: denied, or for some hosts */
	int operation; /* kafka_operation() */
};

struct kafka_acls {
	struct kafka_acl *list;
	unsigned count;
};

void kafka_acls_release(struct kafka_acls *acls);

/* "topic", "transactional_id"; false: no such. */
bool kafka_resource_parse(const char *text, enum kafka_resource *ret);
const char *kafka_resource_name(enum kafka_resource resource);

/* "read", "describe_configs"; -1: no such. */
int kafka_operation(const char *text);
const char *kafka_operation_name(int operation);

/* All that the broker has. ERR_FATAL where it has no authorizer, or this user may not ask. */
int kafka_acls_read(struct kafka_admin *admin, struct kafka_acls *ret, struct err *err);

/* Whether kafka_acls_create() can write rights of this kind. */
bool kafka_acls_can_create(enum kafka_resource resource);

/* Those that are there already are no error. */
int kafka_acls_create(struct kafka_admin *admin, const struct kafka_acl *const *acls, unsigned count, struct err *err);

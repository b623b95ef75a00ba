#pragma once
/* librdkafka's admin calls, each answered before it returns. */
#include <stdint.h>

#include "common/config.h"
#include "common/err.h"
#include "common/kafka.h"

struct kafka_admin;

int kafka_admin_open(struct kafka_admin **ret, const struct config *cfg, struct err *err);
void kafka_admin_freep(struct kafka_admin **admin);

struct kafka_topic_spec {
	const char *name;
	int32_t partitions;
	int32_t replication;
	const char *const *config; /* name, value, …, NULL */
};

/* ERR_RETRY unless the broker says that it cannot be; a topic that exists already is no error. */
int kafka_admin_create(struct kafka_admin *admin, const struct kafka_topic_spec *spec, struct err *err);

/* Partition count, 0: no such topic. */
int kafka_admin_partitions(struct kafka_admin *admin, const char *topic, int32_t *ret_partitions, struct err *err);

/* Value of a topic's configuration, in the caller's array. */
#define KAFKA_CONFIG_VALUE_MAX 256
int kafka_admin_topic_config(struct kafka_admin *admin, const char *topic, const char *name,
			     char value[KAFKA_CONFIG_VALUE_MAX], struct err *err);

/* Of several topics, by two requests: how many partitions (0: there is none of that name) and the settings of these names. */
#define KAFKA_SETTINGS_MAX 4
struct kafka_topic_settings {
	const char *topic;
	int32_t partitions;
	char values[KAFKA_SETTINGS_MAX][KAFKA_CONFIG_VALUE_MAX]; /* "": the broker does not tell us */
};
int kafka_admin_topic_settings(struct kafka_admin *admin, struct kafka_topic_settings *topics, unsigned count,
			       const char *const *names, unsigned name_count, struct err *err);

/* The group's committed offsets of these partitions go into `offset`. */
int kafka_admin_offsets(struct kafka_admin *admin, const char *group, struct kafka_offset *offsets, unsigned count,
			struct err *err);
int kafka_admin_set_offsets(struct kafka_admin *admin, const char *group, const struct kafka_offset *offsets,
			    unsigned count, struct err *err);

/* Members of a consumer group now; 0 too where there is no such group. */
int kafka_admin_members(struct kafka_admin *admin, const char *group, unsigned *ret_members, struct err *err);

/*
 * Where partitions begin (KAFKA_LOW: the first offset that is still there) or
 * end (KAFKA_HIGH: behind the last entry, committed or not, transaction
 * markers included; KAFKA_STABLE: before the first entry of an open
 * transaction, else as KAFKA_HIGH), into `offset`; KAFKA_OFFSET_NONE: there is no such
 * partition. A few requests for all of them together.
 */
enum kafka_edge { KAFKA_LOW, KAFKA_HIGH, KAFKA_STABLE };
int kafka_admin_edges(struct kafka_admin *admin, enum kafka_edge edge, struct kafka_offset *places, unsigned count,
		      struct err *err);

/* The first offset whose record was written at that time or later, into `offset`; KAFKA_OFFSET_NONE: there is none. */
int kafka_admin_offsets_since(struct kafka_admin *admin, int64_t time_ms, struct kafka_offset *places, unsigned count,
			      struct err *err);

#pragma once
/* Shared by the files of the librdkafka wrapper, and by nobody else. */
#include <librdkafka/rdkafka.h>

#include "common/kafka.h"

#define KAFKA_ERRSTR 256 /* bytes */

struct kafka_property {
	const char *name, *value;
};

/*
 * Configuration of a client of this type: the wrapper's defaults, then what of
 * the `kafka:` map is for such clients, then what must hold whatever the user
 * says. Lists end with a NULL name; the result is owned by the caller until a
 * client takes it.
 */
int kafka_conf_new(rd_kafka_conf_t **ret, rd_kafka_type_t type, const struct config *cfg,
		   const struct kafka_property *defaults, const struct kafka_property *fixed, struct err *err);
void kafka_conf_freep(rd_kafka_conf_t **conf);

/* A client for admin calls, metadata and the ends of partitions: a consumer without a group. */
int kafka_client_new(rd_kafka_t **ret, const struct config *cfg, const char *isolation, struct err *err);
void kafka_client_freep(rd_kafka_t **client);

/* Takes and destroys the error; 0 where it is NULL, else -1 with *err set. */
int kafka_take_error(rd_kafka_error_t *error, const char *what, struct err *err);

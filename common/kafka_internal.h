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

/* Takes *conf, which is NULL afterwards, where it succeeds. */
int kafka_new(rd_kafka_t **ret, rd_kafka_type_t type, rd_kafka_conf_t **conf, struct err *err);

/* A client for admin calls, metadata and the ends of partitions: a consumer without a group. */
int kafka_client_new(rd_kafka_t **ret, const struct config *cfg, const char *isolation, struct err *err);
void kafka_client_freep(rd_kafka_t **client);

/* Takes and destroys the error; 0 where it is NULL, else -1 with *err set. */
int kafka_take_error(rd_kafka_error_t *error, const char *what, struct err *err);

/*
 * "kafka: …: what the code means", always -1. ERR_FATAL, with the way out,
 * where this user may not; else ERR_RETRY, with what is known of the
 * connection where that is what failed.
 */
int kafka_fail(struct err *err, rd_kafka_resp_err_t e, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* The same with what the library says of it. */
int kafka_fail_as(struct err *err, rd_kafka_resp_err_t e, const char *what, const char *why);

/* What one of the brokers tells, of all topics or none. Soon where it is certain that none will: ERR_FATAL then. */
int kafka_metadata(rd_kafka_t *rk, bool all, int timeout_ms, const struct rd_kafka_metadata **ret, struct err *err);

/* A line of the log about the requests that a broker knows. */
void kafka_reach_hear(const char *text);

/* For admin calls that stand in other files: the client, where its answers come, options with a time-out (owned). */
struct kafka_admin;
rd_kafka_t *kafka_admin_client(struct kafka_admin *admin);
rd_kafka_queue_t *kafka_admin_queue(struct kafka_admin *admin);
rd_kafka_AdminOptions_t *kafka_admin_options(struct kafka_admin *admin, rd_kafka_admin_op_t op);
/* The answer to the call that was just made (owned), also where it is an error; NULL: there was none. */
int kafka_admin_await(struct kafka_admin *admin, rd_kafka_event_t **ret, struct err *err);

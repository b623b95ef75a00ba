#pragma once
/*
 * Tokens for SASL/OAUTHBEARER, fetched here from the endpoint that `oauth.url`
 * names: the client credentials grant (RFC 6749, section 4.4). Debian's
 * librdkafka has no OIDC; where it has, and kafka.sasl.oauthbearer.method is
 * oidc, this stays out of it. One token serves all clients of a process. They
 * ask for it on librdkafka's background threads, whether or not anybody polls.
 */
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include <librdkafka/rdkafka.h>

#include "common/config.h"
#include "common/err.h"

/* Whether the keys fit together; ERR_FATAL names the one that does not. Anything but OAUTHBEARER is none of its business. */
int kafka_oauth_check(const rd_kafka_conf_t *conf, const struct config *cfg, struct err *err);

/* Puts the callback into a client's configuration where tokens are to be fetched here. */
int kafka_oauth_set(rd_kafka_conf_t *conf, const struct config *cfg, struct err *err);

/* To be called once the client is there. */
int kafka_oauth_attach(rd_kafka_t *rk, struct err *err);

struct kafka_token {
	char *value, *principal; /* owned */
	int64_t expires_ms;      /* since 1970 */
};

void kafka_token_release(struct kafka_token *token);

/*
 * What the endpoint answered at now_ms. The end is expires_in, or the JWT's
 * exp, the earlier one where both are said; the principal is its sub, else
 * `client`.
 */
int kafka_token_parse(const json_t *answer, const char *client, int64_t now_ms, struct kafka_token *ret,
		      struct err *err);

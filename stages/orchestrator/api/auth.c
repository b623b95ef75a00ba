#include "stages/orchestrator/api/auth.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "common/cleanup.h"
#include "common/log.h"
#include "stages/orchestrator/api/api.h"
#include "stages/orchestrator/api/pool.h"
#include "stages/orchestrator/gauges.h"

#define DIGEST_BYTES 32
#define SCHEME "Bearer "

static const char *const role_names[] = {
	[ROLE_VIEWER] = "viewer", [ROLE_OPERATOR] = "operator", [ROLE_ADMIN] = "admin"
};

static uint8_t configured[DIGEST_BYTES];

const char *api_role_name(enum api_role role)
{
	return role_names[role];
}

bool api_role_find(const char *name, enum api_role *ret)
{
	for (unsigned i = 0; i < sizeof(role_names) / sizeof(*role_names); i++)
		if (strcmp(role_names[i], name) == 0) {
			*ret = (enum api_role)i;
			return true;
		}
	return false;
}

/* Digests are compared, so that neither content nor length shows in the time it takes. */
static void digest(const char *text, uint8_t ret[DIGEST_BYTES])
{
	uint8_t bytes[EVP_MAX_MD_SIZE];

	EVP_Digest(text, strlen(text), bytes, NULL, EVP_sha256(), NULL);
	memcpy(ret, bytes, DIGEST_BYTES);
}

void api_token_digest(const char *token, char ret[DIGEST_TEXT_MAX])
{
	uint8_t bytes[DIGEST_BYTES];

	digest(token, bytes);
	memcpy(ret, "\\x", 3);
	for (unsigned i = 0; i < DIGEST_BYTES; i++)
		snprintf(ret + 2 + 2 * (size_t)i, 3, "%02x", bytes[i]);
}

int api_auth_open(const struct config *cfg, struct err *err)
{
	const char *token = config_text(cfg, "api.token");

	if (!token[0])
		return err_set(err, ERR_FATAL,
			       "api.token is not set: write a secret of your choice into a file and set api.token_file"
			       " to its path, or set PENSTOCK_API_TOKEN");
	digest(token, configured);
	return 0;
}

/* Why it is not taken, if it is known at all; the last use is worth a write once a minute. */
static const char find_sql[] =
	"SELECT name, role, revoked_at IS NOT NULL, coalesce(expires_at <= now(), false),"
	" to_char(expires_at, 'YYYY-MM-DD'), last_used_at IS NULL OR last_used_at < now() - interval '1 minute'"
	" FROM etl.tokens WHERE sha256 = $1";

static int find_token(const char *token, struct pg_result **ret, struct err *err)
{
	CLEANUP(api_pool_give) struct pg *pg = NULL;
	char text[DIGEST_TEXT_MAX];

	api_token_digest(token, text);
	if (api_pool_take(&pg, err) || pg_query(pg, find_sql, PG_PARAMS(text), ret, err))
		return -1;
	if (pg_rows(*ret) == 1 && pg_bool(*ret, 0, 5))
		return pg_query(pg, "UPDATE etl.tokens SET last_used_at = now() WHERE sha256 = $1", PG_PARAMS(text),
				NULL, err);
	return 0;
}

static bool unauthorized(struct http_response *response, const char *detail)
{
	metric_add(&orchestrator_metrics[GAUGE_UNAUTHORIZED], 1);
	api_problem(response, 401, "%s", detail);
	return false;
}

static bool take_token(const struct pg_result *r, struct http_response *response, struct principal *ret)
{
	char detail[160];

	if (pg_rows(r) == 0)
		return unauthorized(response, "nobody knows this token; `penstock token create` makes one");
	if (pg_bool(r, 0, 2))
		return unauthorized(response, "this token was revoked; ask an admin for another one");
	if (pg_bool(r, 0, 3)) {
		snprintf(detail, sizeof(detail), "this token expired on %s; ask an admin for another one",
			 pg_text(r, 0, 4));
		return unauthorized(response, detail);
	}
	snprintf(ret->name, sizeof(ret->name), "%s", pg_text(r, 0, 0));
	return api_role_find(pg_text(r, 0, 1), &ret->role);
}

bool api_authenticate(const struct http_request *request, struct http_response *response, struct principal *ret)
{
	CLEANUP(pg_result_freep) struct pg_result *r = NULL;
	const char *header = http_request_header(request, "Authorization"), *token;
	uint8_t given[DIGEST_BYTES];
	struct err err = ERR_INIT;

	if (!header || strncasecmp(header, SCHEME, strlen(SCHEME)) != 0)
		return unauthorized(response,
				    "send a token, such as that of api.token, as `Authorization: Bearer TOKEN`");
	token = header + strlen(SCHEME);
	digest(token, given);
	if (CRYPTO_memcmp(given, configured, DIGEST_BYTES) == 0) {
		*ret = (struct principal){ .name = "configuration", .role = ROLE_ADMIN };
		return true;
	}
	if (find_token(token, &r, &err) == 0)
		return take_token(r, response, ret);
	log_err("api_failed", &err);
	api_problem(response, 503, "the database, which knows the tokens, is not available now; try again later");
	return false;
}

bool api_may(const struct principal *principal, enum api_role needed, struct http_response *response)
{
	if (principal->role >= needed)
		return true;
	api_problem(response, 403, "this takes the role %s; token %s has %s", api_role_name(needed), principal->name,
		    api_role_name(principal->role));
	return false;
}

int api_audit_id(struct pg *pg, const struct principal *principal, const char *action, const char *target,
		 const char *detail, char ret_id[PG_INT_MAX], struct err *err)
{
	CLEANUP(pg_result_freep) struct pg_result *r = NULL;

	if (pg_query(
		    pg,
		    "INSERT INTO etl.audit (who, role, action, target, detail) VALUES ($1, $2, $3, $4, $5) RETURNING id",
		    PG_PARAMS(principal->name, api_role_name(principal->role), action, target, detail), &r, err))
		return -1;
	pg_int_text(pg_int(r, 0, 0), ret_id);
	return 0;
}

int api_audit(struct pg *pg, const struct principal *principal, const char *action, const char *target,
	      const char *detail, struct err *err)
{
	char id[PG_INT_MAX];

	return api_audit_id(pg, principal, action, target, detail, id, err);
}

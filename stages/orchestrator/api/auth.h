#pragma once
/*
 * Who asks. The token of the configuration is an admin's; all others are in
 * etl.tokens, each with a role, by the digest of their text.
 */
#include "common/config.h"
#include "common/err.h"
#include "common/http_server.h"
#include "common/pg.h"

/* Each may do what those before it may. */
enum api_role { ROLE_VIEWER, ROLE_OPERATOR, ROLE_ADMIN };

#define TOKEN_NAME_MAX 65 /* bytes with NUL */

struct principal {
	char name[TOKEN_NAME_MAX];
	enum api_role role;
};

const char *api_role_name(enum api_role role);
bool api_role_find(const char *name, enum api_role *ret);

/* ERR_FATAL where api.token is not set. */
int api_auth_open(const struct config *cfg, struct err *err);

/* False: the request is refused, the response says why. */
bool api_authenticate(const struct http_request *request, struct http_response *response, struct principal *ret);

/* False, with a 403, where the role is less than what is needed. */
bool api_may(const struct principal *principal, enum api_role needed, struct http_response *response);

#define DIGEST_TEXT_MAX 67 /* "\x" and 64 digits, with NUL: a bytea */
/* The digest under which a token is stored. */
void api_token_digest(const char *token, char ret[DIGEST_TEXT_MAX]);

/* Books a change, in the transaction that makes it. detail: a JSON object. */
int api_audit(struct pg *pg, const struct principal *principal, const char *action, const char *target,
	      const char *detail, struct err *err);
/* The same, and its number as text. */
int api_audit_id(struct pg *pg, const struct principal *principal, const char *action, const char *target,
		 const char *detail, char ret_id[PG_INT_MAX], struct err *err);

/* Tokens are made, and made worthless; their list is resources/tokens.sql. */
#include <jansson.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/json_in.h"
#include "stages/orchestrator/api/api.h"

#define RANDOM_BYTES 32
#define PREFIX "pst_"
#define TOKEN_MAX (sizeof(PREFIX) + 2 * RANDOM_BYTES)
#define DAYS_MAX 3660

struct order {
	const char *name, *role;
	enum api_role role_number;
	json_int_t days; /* 0: for ever */
};

static bool is_token_name(const char *name)
{
	size_t n = name ? strlen(name) : 0;

	return n > 0 && n < TOKEN_NAME_MAX &&
	       strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") == n;
}

static bool refuse(struct api_call *call, const char *detail)
{
	api_problem(call->response, 400, "%s", detail);
	return false;
}

static bool check_keys(struct api_call *call, const json_t *body)
{
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)body, key,
			    value) if (strcmp(key, "name") != 0 && strcmp(key, "role") != 0 &&
				       strcmp(key, "days") !=
					       0) return api_problem(call->response, 400,
								     "unknown key '%.64s'; there are: name, role, days",
								     key),
		false;
	return true;
}

static bool read_order(struct api_call *call, const json_t *body, struct order *ret)
{
	const json_t *days = json_object_get(body, "days");

	if (!json_is_object(body))
		return refuse(call, "the body must be a JSON object: {\"name\", \"role\", \"days\"}");
	if (!check_keys(call, body))
		return false;
	ret->name = json_string_value(json_object_get(body, "name"));
	ret->role = json_string_value(json_object_get(body, "role"));
	ret->days = json_integer_value(days);
	if (!is_token_name(ret->name))
		return refuse(call, "name: 1 to 64 letters, digits, '.', '_' or '-'");
	if (!ret->role || !api_role_find(ret->role, &ret->role_number))
		return refuse(call, "role: viewer, operator or admin");
	if (days && (!json_is_integer(days) || ret->days < 1 || ret->days > DAYS_MAX))
		return refuse(call,
			      "days: a whole number from 1 to 3660; without it the token is good until it is revoked");
	return true;
}

static int make_token(char ret[TOKEN_MAX], struct err *err)
{
	uint8_t bytes[RANDOM_BYTES];

	if (RAND_bytes(bytes, sizeof(bytes)) != 1)
		return err_set(err, ERR_FATAL, "no random bytes for a token");
	memcpy(ret, PREFIX, sizeof(PREFIX));
	for (unsigned i = 0; i < sizeof(bytes); i++)
		snprintf(ret + strlen(PREFIX) + 2 * (size_t)i, 3, "%02x", bytes[i]);
	return 0;
}

static int store(struct api_call *call, const struct order *order, const char *token, struct pg_result **ret,
		 struct err *err)
{
	CLEANUP(json_freep) json_t *detail = json_pack("{s:s, s:I}", "role", order->role, "days", order->days);
	CLEANUP(freep) char *detail_text = json_dumps(detail, JSON_COMPACT);
	char digest[DIGEST_TEXT_MAX];

	api_token_digest(token, digest);
	if (pg_begin(call->pg, err) ||
	    pg_query(
		    call->pg,
		    "INSERT INTO etl.tokens (name, role, sha256, created_by, expires_at)"
		    " VALUES ($1, $2, $3, $4, CASE WHEN $5::integer > 0 THEN now() + make_interval(days => $5::integer) END)"
		    " ON CONFLICT (name) DO NOTHING RETURNING name",
		    PG_PARAMS(order->name, order->role, digest, call->principal.name, INT_TEXT(order->days)), ret,
		    err) ||
	    (pg_rows(*ret) == 1 &&
	     api_audit(call->pg, &call->principal, "token.create", order->name, detail_text, err)))
		return -1;
	return pg_commit(call->pg, err);
}

static void answer(struct http_response *response, const struct order *order, const char *token)
{
	struct json_out out = JSON_OUT(&response->body);

	response->status = 201;
	json_put_open(&out, '{');
	json_put_key(&out, "name");
	json_put_str(&out, str_of(order->name));
	json_put_key(&out, "role");
	json_put_str(&out, str_of(order->role));
	json_put_key(&out, "token");
	json_put_str(&out, str_of(token));
	json_put_close(&out, '}');
}

int api_token_create(struct api_call *call, struct err *err)
{
	CLEANUP(pg_result_freep) struct pg_result *r = NULL;
	CLEANUP(json_freep)
	json_t *body = json_loadb(call->request->body.data, call->request->body.len, JSON_REJECT_DUPLICATES, NULL);
	struct order order;
	char token[TOKEN_MAX];

	if (!read_order(call, body, &order))
		return 0;
	if (make_token(token, err) || store(call, &order, token, &r, err))
		return -1;
	if (pg_rows(r) == 0)
		api_problem(call->response, 409, "there is a token %s already; revoked ones keep their names",
			    order.name);
	else
		answer(call->response, &order, token);
	return 0;
}

int api_token_revoke(struct api_call *call, struct err *err)
{
	CLEANUP(pg_result_freep) struct pg_result *r = NULL;

	if (pg_begin(call->pg, err) ||
	    pg_query(call->pg,
		     "UPDATE etl.tokens SET revoked_at = now() WHERE name = $1 AND revoked_at IS NULL RETURNING name",
		     PG_PARAMS(call->rest), &r, err))
		return -1;
	if (pg_rows(r) == 0)
		return api_problem(call->response, 404, "there is no token '%.64s' that is good", call->rest), 0;
	if (api_audit(call->pg, &call->principal, "token.revoke", call->rest, "{}", err) || pg_commit(call->pg, err))
		return -1;
	call->response->status = 204;
	return 0;
}

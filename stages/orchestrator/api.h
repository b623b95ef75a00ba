#pragma once
/*
 * The HTTP API. Handlers run on the server's threads, each request with a
 * database connection of its own from a small pool; they write rows and wake
 * the core, never more.
 */
#include "common/config.h"
#include "common/err.h"
#include "common/http_server.h"
#include "common/json_out.h"
#include "common/pg.h"

#define API_THREADS 4

/* ERR_FATAL where api.token is not set. */
int api_open(const struct config *cfg, struct err *err);

/* After the server has stopped. */
void api_close(void);

/* An http_handler_fn. */
void api_handle(void *unused, const struct http_request *request, struct http_response *response);

/* --- between the files of the API -------------------------------------------------------------------------------------- */

/* One request while it is answered. */
struct api_call {
	const struct config *cfg;
	const struct http_request *request;
	struct http_response *response;
	struct pg *pg;    /* of a route that needs the database */
	const char *rest; /* what follows the route's path: "12" of /api/v1/runs/12 */
};

/* RFC 9457. The detail says what was wrong and what to do. */
void api_problem(struct http_response *response, int status, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* A handler that needs the database returns -1 where that fails; *err tells. */
int api_execute(struct api_call *call, struct err *err);
int api_status(struct api_call *call, struct err *err);
int api_runs(struct api_call *call, struct err *err);
int api_run(struct api_call *call, struct err *err);

/* A column's name in JSON, in the order of the query's columns; lists end with a NULL name. */
enum member_kind { MEMBER_INT, MEMBER_TEXT, MEMBER_BOOL, MEMBER_RAW };
struct api_member {
	const char *name;
	enum member_kind kind;
};
void api_put_members(struct json_out *out, const struct pg_result *r, int row, const struct api_member *members);
/* A list of objects, `max` of the rows at most. */
void api_put_rows(struct json_out *out, const struct pg_result *rows, const struct api_member *members, int max);

/* A whole number from 1 to max; false for anything else. */
bool api_number(const char *text, int64_t max, int64_t *ret);

/* Rows of run objects, newest first: run and before are texts of numbers or NULL. */
int api_query_runs(struct pg *pg, const char *run, const char *before, const char *limit, struct pg_result **ret,
		   struct err *err);
/* The members of row's run object, between its braces. */
void api_put_run(struct json_out *out, const struct pg_result *rows, int row);

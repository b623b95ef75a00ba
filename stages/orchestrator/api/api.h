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
#include "common/registry.h"
#include "stages/orchestrator/api/auth.h"
#include "stages/orchestrator/api/resources.h"

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
	struct pg *pg; /* of a route that needs the database */
	const struct resources *resources;
	struct principal principal;
	struct resource_match match; /* of a path that a resource answers */
	const char *rest;            /* what follows the route's path: "12" of /api/v1/runs/12 */
	bool too_slow;               /* the database was stopped at orchestrator.query_s */
};

/* 202 and an object that begins with the run, which the caller goes on with and closes. */
void api_run_accepted(struct http_response *response, struct json_out *out, int64_t run);
/* The same with nothing more to say. */
void api_run_answer(struct http_response *response, int64_t run);

/* RFC 9457. The detail says what was wrong and what to do. */
void api_problem(struct http_response *response, int status, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* GET or HEAD */
bool api_is_get(const char *method);

/* Answers a request to the schema registry; false: it is none, and nothing was said. */
bool api_registry(const struct registry *registry, const struct http_request *request, struct http_response *response);

/* A handler that needs the database returns -1 where that fails; *err tells. */
int api_execute(struct api_call *call, struct err *err);
int api_status(struct api_call *call, struct err *err);
int api_run(struct api_call *call, struct err *err);
int api_resource(struct api_call *call, struct err *err);
/* Answers with a resource's rows, as many as there are; takes the call's connection. */
int api_stream(struct api_call *call, const struct resource *resource, const char *const *values, unsigned count,
	       struct err *err);
int api_openapi(struct api_call *call, struct err *err);
void api_openapi_release(void);
int api_token_create(struct api_call *call, struct err *err);
int api_token_revoke(struct api_call *call, struct err *err);
int api_offsets(struct api_call *call, struct err *err);
int api_lag(struct api_call *call, struct err *err);
int api_review(struct api_call *call, struct err *err);
int api_discard(struct api_call *call, struct err *err);
int api_resolve(struct api_call *call, struct err *err);
int api_reopen(struct api_call *call, struct err *err);
int api_replay(struct api_call *call, struct err *err);
int api_replay_topic(struct api_call *call, struct err *err);
int api_sides_drop(struct api_call *call, struct err *err);
int api_backfill(struct api_call *call, struct err *err);
int api_backfill_approve(struct api_call *call, struct err *err);
int api_run_control(struct api_call *call, struct err *err);
int api_breaker_reset(struct api_call *call, struct err *err);

/* That run, as resources/runs.sql has it; NULL: the last one. */
int api_query_run(struct pg *pg, const char *run, struct pg_result **ret, struct err *err);

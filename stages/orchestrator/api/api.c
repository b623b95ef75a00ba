#include "stages/orchestrator/api/api.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/log.h"
#include "common/worker.h"
#include "stages/orchestrator/api/pool.h"
#include "stages/orchestrator/orchestrator.h"

#define DETAIL_MAX 1024
#define QUERY_CANCELED "57014"

static struct {
	const struct config *cfg;
	_Atomic bool open;
	struct resources resources;
	struct registry *registry;
} api;

/* --- answers ----------------------------------------------------------------------------------------------------------- */

static const char *title_of(int status)
{
	switch (status) {
	case 400:
		return "Bad Request";
	case 401:
		return "Unauthorized";
	case 403:
		return "Forbidden";
	case 404:
		return "Not Found";
	case 405:
		return "Method Not Allowed";
	case 409:
		return "Conflict";
	case 503:
		return "Service Unavailable";
	default:
		return "Internal Server Error";
	}
}

void api_run_accepted(struct http_response *response, struct json_out *out, int64_t run)
{
	response->status = 202;
	snprintf(response->location, sizeof(response->location), "/api/v1/runs/%" PRId64, run);
	json_put_open(out, '{');
	json_put_key(out, "run");
	json_put_int(out, run);
	json_put_key(out, "status");
	json_put_str(out, STR_LIT("pending"));
}

void api_run_answer(struct http_response *response, int64_t run)
{
	struct json_out out = JSON_OUT(&response->body);

	api_run_accepted(response, &out, run);
	json_put_close(&out, '}');
}

void api_problem(struct http_response *response, int status, const char *fmt, ...)
{
	struct json_out out = JSON_OUT(&response->body);
	char detail[DETAIL_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(detail, sizeof(detail), fmt, ap);
	va_end(ap);
	response->status = status;
	response->content_type = "application/problem+json";
	buf_reset(&response->body);
	json_put_open(&out, '{');
	json_put_key(&out, "type");
	json_put_str(&out, STR_LIT("about:blank"));
	json_put_key(&out, "title");
	json_put_str(&out, str_of(title_of(status)));
	json_put_key(&out, "status");
	json_put_int(&out, status);
	json_put_key(&out, "detail");
	json_put_str(&out, str_of(detail));
	json_put_close(&out, '}');
}

/* --- routes ------------------------------------------------------------------------------------------------------------ */

static void put_link(struct json_out *out, const char *name, bool up)
{
	json_put_key(out, name);
	json_put_str(out, str_of(up ? "connected" : "disconnected"));
}

/* The broker is the active one's business: a standby does not look. */
static void serve_health(struct http_response *response)
{
	struct json_out out = JSON_OUT(&response->body);
	bool scheduler = atomic_load(&orchestrator_shared.scheduler_running);
	bool leader = atomic_load(&orchestrator_shared.leader);
	bool database = atomic_load(&orchestrator_shared.database_up);
	bool kafka = atomic_load(&orchestrator_shared.kafka_up);
	bool healthy = scheduler && database && (kafka || !leader);

	response->status = healthy ? 200 : 503;
	response->content_type = "application/json";
	json_put_open(&out, '{');
	json_put_key(&out, "status");
	json_put_str(&out, str_of(healthy ? "healthy" : "degraded"));
	json_put_key(&out, "scheduler_running");
	json_put_bool(&out, scheduler);
	json_put_key(&out, "leader");
	json_put_bool(&out, leader);
	put_link(&out, "database", database);
	if (leader || !database) {
		put_link(&out, "kafka", kafka);
	} else {
		json_put_key(&out, "kafka");
		json_put_str(&out, STR_LIT("standby"));
	}
	json_put_close(&out, '}');
}

/* Of what no query answers alone. One path may have several methods. */
struct route {
	const char *path; /* ends with '/': something must follow; with a star: something stands there */
	const char *method;
	enum api_role role;
	int (*handle)(struct api_call *call, struct err *err);
	bool alone; /* nothing is below what follows */
};

static const struct route routes[] = {
	{ "/api/etl/execute-full-pipeline", "POST", ROLE_OPERATOR, api_execute, false },
	{ "/api/etl/status", "GET", ROLE_VIEWER, api_status, false },
	{ "/api/v1/runs/", "GET", ROLE_VIEWER, api_run, true },
	{ "/api/v1/offsets", "GET", ROLE_VIEWER, api_offsets, false },
	{ "/api/v1/lag", "GET", ROLE_VIEWER, api_lag, false },
	{ "/api/v1/tokens", "POST", ROLE_ADMIN, api_token_create, false },
	{ "/api/v1/tokens/", "DELETE", ROLE_ADMIN, api_token_revoke, false },
	{ "/api/v1/dead-letters/reviews", "POST", ROLE_OPERATOR, api_review, false },
	{ "/api/v1/dead-letters/discards", "POST", ROLE_OPERATOR, api_discard, false },
	{ "/api/v1/dead-letters/resolutions", "POST", ROLE_OPERATOR, api_resolve, false },
	{ "/api/v1/dead-letters/reopenings", "POST", ROLE_OPERATOR, api_reopen, false },
	{ "/api/v1/dead-letters/replays", "POST", ROLE_OPERATOR, api_replay, false },
	{ "/api/v1/sides/", "DELETE", ROLE_OPERATOR, api_sides_drop, false },
	{ "/api/v1/topic-replays", "POST", ROLE_OPERATOR, api_replay_topic, false },
	{ "/api/v1/backfills", "POST", ROLE_OPERATOR, api_backfill, false },
	{ "/api/v1/backfills/approvals", "POST", ROLE_OPERATOR, api_backfill_approve, false },
	{ "/api/v1/runs/*/pause", "POST", ROLE_OPERATOR, api_run_control, false },
	{ "/api/v1/runs/*/resume", "POST", ROLE_OPERATOR, api_run_control, false },
	{ "/api/v1/runs/*/cancel", "POST", ROLE_OPERATOR, api_run_control, false },
	{ "/api/v1/runs/*/retry", "POST", ROLE_OPERATOR, api_run_control, false },
	{ "/api/v1/breakers/resets", "POST", ROLE_OPERATOR, api_breaker_reset, false },
};

#define ALLOW_MAX 64

static const char *const open_paths[] = { "/health", "/healthz", "/readyz", "/metrics" };

bool api_is_get(const char *method)
{
	return strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0;
}

/* What stands for the star, and what follows, is the rest. */
static bool matches_star(const struct route *route, const char *star, const char *path, const char **ret_rest)
{
	size_t n = (size_t)(star - route->path);
	const char *end = strncmp(path, route->path, n) == 0 ? strchr(path + n, '/') : NULL;

	*ret_rest = path + (end ? n : 0);
	return end && end > path + n && strcmp(end, star + 1) == 0;
}

static bool matches(const struct route *route, const char *path, const char **ret_rest)
{
	size_t n = strlen(route->path);
	const char *star = strchr(route->path, '*');

	if (star)
		return matches_star(route, star, path, ret_rest);
	*ret_rest = path + n;
	if (route->path[n - 1] == '/')
		return strncmp(path, route->path, n) == 0 && path[n] != '\0' &&
		       !(route->alone && strchr(path + n, '/'));
	return strcmp(path, route->path) == 0;
}

static bool takes(const char *method, const char *asked)
{
	return strcmp(method, asked) == 0 || (api_is_get(method) && api_is_get(asked));
}

static void refuse_method(struct http_response *response, const char *path, const char *allow)
{
	snprintf(response->allow, sizeof(response->allow), "%s", allow);
	api_problem(response, 405, "%s takes %s", path, allow);
}

static bool serve_open_path(const struct http_request *request, struct http_response *response)
{
	for (unsigned i = 0; i < sizeof(open_paths) / sizeof(*open_paths); i++)
		if (strcmp(request->path, open_paths[i]) == 0) {
			if (api_is_get(request->method)) /* of the others the worker itself serves GET and HEAD */
				serve_health(response);
			else
				refuse_method(response, request->path, "GET, HEAD");
			return true;
		}
	return false;
}

static int with_database(struct api_call *call, int (*handle)(struct api_call *call, struct err *err), struct err *err)
{
	int r;

	if (api_pool_take(&call->pg, err))
		return -1;
	r = handle(call, err);
	if (r && call->pg && pg_failed_with(call->pg, QUERY_CANCELED))
		call->too_slow = true;
	api_pool_give(&call->pg); /* unless a stream has taken it */
	return r;
}

static void run_handler(struct api_call *call, int (*handle)(struct api_call *call, struct err *err))
{
	struct err err = ERR_INIT;

	call->response->status = 200;
	call->response->content_type = "application/json";
	if (with_database(call, handle, &err) == 0)
		return;
	if (err.kind == ERR_RECORD) { /* a text that the database takes for none, for one */
		api_problem(call->response, 400, "%s", err.text);
		return;
	}
	log_err("api_failed", &err);
	if (call->too_slow)
		api_problem(call->response, 503,
			    "the database did not answer within %lld s (orchestrator.query_s); ask for less, such as a"
			    " shorter time or one symbol",
			    (long long)config_int(call->cfg, "query_s"));
	else if (err.kind == ERR_RETRY)
		api_problem(call->response, 503, "the database is not available now; try again later");
	else
		api_problem(call->response, 500, "%s", err.text);
}

/* What is there for a path: a route, or a resource; and what else it takes, for a 405. */
struct found {
	const struct route *route;
	bool resource;
	char allow[ALLOW_MAX];
};

static void allow_method(struct found *found, const char *method)
{
	size_t n = strlen(found->allow);

	snprintf(found->allow + n, sizeof(found->allow) - n, "%s%s", n > 0 ? ", " : "",
		 api_is_get(method) ? "GET, HEAD" : method);
}

static void find_handler(struct api_call *call, struct found *ret)
{
	const char *method = call->request->method, *rest;
	bool by_its_words = false;

	*ret = (struct found){ .route = NULL };
	for (unsigned i = 0; i < sizeof(routes) / sizeof(*routes) && !ret->route; i++) {
		if (!matches(&routes[i], call->request->path, &rest))
			continue;
		allow_method(ret, routes[i].method);
		by_its_words = by_its_words || !*rest;
		if (!takes(routes[i].method, method))
			continue;
		ret->route = &routes[i];
		call->rest = rest;
	}
	if (ret->route || !resources_match(&api.resources, call->request->path, &call->match) ||
	    (by_its_words && strchr(call->match.resource->path, '{')))
		return;
	allow_method(ret, "GET");
	ret->resource = api_is_get(method);
}

static void serve_api(struct api_call *call)
{
	struct found found;
	enum api_role needed = ROLE_VIEWER;

	find_handler(call, &found);
	if (found.route)
		needed = found.route->role;
	else if (found.resource)
		api_role_find(call->match.resource->role, &needed);
	if (!api_may(&call->principal, needed, call->response))
		return;
	if (found.route)
		run_handler(call, found.route->handle);
	else if (found.resource)
		run_handler(call, api_resource);
	else if (found.allow[0])
		refuse_method(call->response, call->request->path, found.allow);
	else
		api_problem(call->response, 404, "there is no %s; /openapi.json lists what there is",
			    call->request->path);
}

int api_query_run(struct pg *pg, const char *run, struct pg_result **ret, struct err *err)
{
	return pg_query(pg, resources_find(&api.resources, "runs")->sql, PG_PARAMS(run, NULL, NULL, NULL, "1"), ret,
			err);
}

static void serve(const struct http_request *request, struct http_response *response)
{
	struct api_call call = {
		.cfg = api.cfg, .resources = &api.resources, .request = request, .response = response
	};

	if (serve_open_path(request, response))
		return;
	if (!atomic_load(&api.open)) {
		api_problem(response, 503, "starting");
		return;
	}
	if (strcmp(request->path, "/openapi.json") == 0 && api_is_get(request->method)) {
		run_handler(&call, api_openapi);
		return;
	}
	if (api_registry(api.registry, request, response))
		return;
	if (!api_authenticate(request, response, &call.principal))
		return;
	serve_api(&call);
}

void api_handle(void *unused, const struct http_request *request, struct http_response *response)
{
	(void)unused;
	serve(request, response);
	if (response->body.overflow)
		api_problem(response, 500, "the answer is too large; ask for less with limit");
	if (response->status >= 400 && strcmp(request->path, "/health") != 0)
		log_warning("api_request_failed",
			    LOG_FIELDS(log_str("method", request->method), log_str("path", request->path),
				       log_i64("status", response->status)),
			    "API request failed: HTTP %dxx: %s %s: %d", response->status / 100, request->method,
			    request->path, response->status);
}

int api_open(const struct config *cfg, struct err *err)
{
	if (api_auth_open(cfg, err) || resources_open(&api.resources, err) || registry_open(&api.registry, cfg, err))
		return -1;
	api_pool_open(cfg);
	api.cfg = cfg;
	atomic_store(&api.open, true);
	return 0;
}

void api_close(void)
{
	api_pool_close();
	api_openapi_release();
	resources_release(&api.resources);
	registry_freep(&api.registry);
}

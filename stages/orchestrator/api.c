#include "stages/orchestrator/api.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/log.h"
#include "common/worker.h"
#include "stages/orchestrator/gauges.h"
#include "stages/orchestrator/orchestrator.h"

#define DETAIL_MAX 1024
#define DIGEST_BYTES 32
#define SCHEME "Bearer "

/* Connections that no request uses now; never more than there are threads. */
static struct {
	const struct config *cfg;
	uint8_t token[DIGEST_BYTES];
	_Atomic bool open;
	pthread_mutex_t lock;
	struct pg *idle[API_THREADS];
	unsigned idle_count;
} api = { .lock = PTHREAD_MUTEX_INITIALIZER };

/* --- answers ----------------------------------------------------------------------------------------------------------- */

static const char *title_of(int status)
{
	switch (status) {
	case 400:
		return "Bad Request";
	case 401:
		return "Unauthorized";
	case 404:
		return "Not Found";
	case 405:
		return "Method Not Allowed";
	case 413:
		return "Content Too Large";
	case 503:
		return "Service Unavailable";
	default:
		return "Internal Server Error";
	}
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

/* --- the token --------------------------------------------------------------------------------------------------------- */

/* Digests are compared, so that neither content nor length shows in the time it takes. */
static void digest(const char *text, uint8_t ret[DIGEST_BYTES])
{
	uint8_t bytes[EVP_MAX_MD_SIZE];

	EVP_Digest(text, strlen(text), bytes, NULL, EVP_sha256(), NULL);
	memcpy(ret, bytes, DIGEST_BYTES);
}

static bool is_authorized(const struct http_request *request)
{
	const char *header = http_request_header(request, "Authorization");
	uint8_t given[DIGEST_BYTES];

	if (!header || strncasecmp(header, SCHEME, strlen(SCHEME)) != 0)
		return false;
	digest(header + strlen(SCHEME), given);
	return CRYPTO_memcmp(given, api.token, DIGEST_BYTES) == 0;
}

/* --- connections ------------------------------------------------------------------------------------------------------- */

static struct pg *take_idle(void)
{
	struct pg *pg = NULL;

	pthread_mutex_lock(&api.lock);
	if (api.idle_count > 0)
		pg = api.idle[--api.idle_count];
	pthread_mutex_unlock(&api.lock);
	return pg;
}

/* One that died while idle is found out here, and not by a request that would then be half done. */
static int take_connection(struct pg **ret, struct err *err)
{
	struct err dead = ERR_INIT;

	while ((*ret = take_idle())) {
		if (pg_exec(*ret, "SELECT 1", &dead) == 0)
			return 0;
		pg_freep(ret);
	}
	return pg_open(ret, api.cfg, "penstock-orchestrator-api", err);
}

static void give_back(struct pg *pg)
{
	pg_rollback(pg);
	pthread_mutex_lock(&api.lock);
	if (pg_usable(pg) && api.idle_count < API_THREADS) {
		api.idle[api.idle_count++] = pg;
		pg = NULL;
	}
	pthread_mutex_unlock(&api.lock);
	pg_freep(&pg);
}

static void release_connection(struct pg **pg)
{
	if (*pg)
		give_back(*pg);
}

static int with_database(struct api_call *call, int (*handle)(struct api_call *call, struct err *err), struct err *err)
{
	CLEANUP(release_connection) struct pg *pg = NULL;

	if (take_connection(&pg, err))
		return -1;
	call->pg = pg;
	return handle(call, err);
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

struct route {
	const char *path; /* ends with '/': something must follow */
	const char *method;
	const char *allow;
	int (*handle)(struct api_call *call, struct err *err); /* NULL: answered without the database */
};

static const struct route routes[] = {
	{ "/api/etl/execute-full-pipeline", "POST", "POST", api_execute },
	{ "/api/etl/status", "GET", "GET, HEAD", api_status },
	{ "/api/v1/runs", "GET", "GET, HEAD", api_runs },
	{ "/api/v1/runs/", "GET", "GET, HEAD", api_run },
};

static const char *const open_paths[] = { "/health", "/healthz", "/readyz", "/metrics" };

static bool is_get(const char *method)
{
	return strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0;
}

static bool matches(const struct route *route, const char *path, const char **ret_rest)
{
	size_t n = strlen(route->path);

	*ret_rest = path + n;
	if (route->path[n - 1] == '/')
		return strncmp(path, route->path, n) == 0 && path[n] != '\0';
	return strcmp(path, route->path) == 0;
}

static void refuse_method(struct http_response *response, const char *path, const char *allow)
{
	response->allow = allow;
	api_problem(response, 405, "%s takes %s", path, allow);
}

static bool serve_open_path(const struct http_request *request, struct http_response *response)
{
	for (unsigned i = 0; i < sizeof(open_paths) / sizeof(*open_paths); i++)
		if (strcmp(request->path, open_paths[i]) == 0) {
			if (is_get(request->method)) /* of the others the worker itself serves GET and HEAD */
				serve_health(response);
			else
				refuse_method(response, request->path, "GET, HEAD");
			return true;
		}
	return false;
}

static void run_route(const struct route *route, struct api_call *call)
{
	struct err err = ERR_INIT;

	call->response->status = 200;
	call->response->content_type = "application/json";
	if (with_database(call, route->handle, &err) == 0)
		return;
	log_err("api_failed", &err);
	if (err.kind == ERR_RETRY)
		api_problem(call->response, 503, "the database is not available now; try again later");
	else
		api_problem(call->response, 500, "%s", err.text);
}

static void serve_route(const struct http_request *request, struct http_response *response)
{
	struct api_call call = { .cfg = api.cfg, .request = request, .response = response };

	for (unsigned i = 0; i < sizeof(routes) / sizeof(*routes); i++) {
		const struct route *route = &routes[i];

		if (!matches(route, request->path, &call.rest))
			continue;
		if (strcmp(request->method, route->method) != 0 && !(is_get(route->method) && is_get(request->method)))
			refuse_method(response, request->path, route->allow);
		else
			run_route(route, &call);
		return;
	}
	api_problem(response, 404, "there is no %s", request->path);
}

static void serve(const struct http_request *request, struct http_response *response)
{
	if (serve_open_path(request, response))
		return;
	if (!atomic_load(&api.open)) {
		api_problem(response, 503, "starting");
		return;
	}
	if (!is_authorized(request)) {
		metric_add(&orchestrator_metrics[GAUGE_UNAUTHORIZED], 1);
		api_problem(response, 401, "send the token of api.token as `Authorization: Bearer TOKEN`");
		return;
	}
	if (request->body_too_large) {
		api_problem(response, 413, "the body is larger than this server takes");
		return;
	}
	serve_route(request, response);
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
	const char *token = config_text(cfg, "api.token");

	if (!token[0])
		return err_set(err, ERR_FATAL,
			       "api.token is not set: write a secret of your choice into a file and set api.token_file"
			       " to its path, or set PENSTOCK_API_TOKEN");
	digest(token, api.token);
	api.cfg = cfg;
	atomic_store(&api.open, true);
	return 0;
}

void api_close(void)
{
	while (api.idle_count > 0)
		pg_freep(&api.idle[--api.idle_count]);
}

#include "ops/simulator/vendor/server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <microhttpd.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"
#include "ops/simulator/vendor/calls.h"

#define CONNECTIONS_MAX 128
#define CONNECTION_TIMEOUT_S 120
#define CONNECTION_MEMORY (128 * 1024)
#define BLOCK_BYTES (64 * 1024)
#define HOST_MAX 64
#define PEM_MAX (64 * 1024)

#if MHD_VERSION >= 0x00097002
typedef enum MHD_Result mhd_result;
#else
typedef int mhd_result;
#endif

struct server {
	struct MHD_Daemon *daemon;
	struct simulator *simulator;
	char *pem; /* NULL: plain HTTP */
	atomic_uint_fast64_t requests;
};

/* --- the answer -------------------------------------------------------------------------------------------------- */

static ssize_t on_read(void *cls, uint64_t position, char *to, size_t max)
{
	struct body *body = cls;
	ssize_t n = body->read(body->self, (uint8_t *)to, max);

	(void)position;
	if (n < 0)
		return MHD_CONTENT_READER_END_WITH_ERROR;
	return n == 0 ? MHD_CONTENT_READER_END_OF_STREAM : n;
}

static void on_free(void *cls)
{
	struct body *body = cls;

	body_release(body);
	free(body);
}

static struct MHD_Response *response_of(struct answer *answer)
{
	struct body *body = mem_alloc(sizeof(*body));
	struct MHD_Response *response;

	*body = answer->body;
	answer->body = (struct body){ 0 };
	response = MHD_create_response_from_callback(body->size < 0 ? MHD_SIZE_UNKNOWN : (uint64_t)body->size,
						     BLOCK_BYTES, on_read, body, on_free);
	if (!response)
		on_free(body);
	return response;
}

static void add_headers(struct MHD_Response *response, const struct answer *answer, uint64_t number)
{
	char text[288];

	MHD_add_response_header(response, "Content-Type", answer->content_type);
	snprintf(text, sizeof(text), "%032llx", (unsigned long long)number);
	MHD_add_response_header(response, "request-id", text);
	if (answer->retry_after_s >= 0) {
		snprintf(text, sizeof(text), "%lld", (long long)answer->retry_after_s);
		MHD_add_response_header(response, "Retry-After", text);
	}
	if (answer->range[0])
		MHD_add_response_header(response, "Content-Range", answer->range);
	if (answer->warning[0])
		MHD_add_response_header(response, "X-Warning", answer->warning);
	if (answer->status == 401)
		MHD_add_response_header(response, "WWW-Authenticate", "Basic realm=\"databento\"");
}

static mhd_result send_answer(struct server *server, struct MHD_Connection *connection, struct answer *answer)
{
	struct MHD_Response *response = response_of(answer);
	mhd_result sent;

	if (!response)
		return MHD_NO;
	add_headers(response, answer, atomic_fetch_add(&server->requests, 1) + 1);
	sent = MHD_queue_response(connection, (unsigned)answer->status, response);
	MHD_destroy_response(response);
	return sent;
}

/* --- the request ------------------------------------------------------------------------------------------------- */

static mhd_result on_argument(void *cls, enum MHD_ValueKind kind, const char *name, const char *value)
{
	(void)kind;
	request_add(cls, name, value);
	return MHD_YES;
}

static void copy_header(struct MHD_Connection *connection, const char *name, char *to, size_t size)
{
	const char *value = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, name);

	snprintf(to, size, "%s", value ? value : "");
}

static void read_key(struct MHD_Connection *connection, struct request *request)
{
	char *password = NULL, *user = MHD_basic_auth_get_username_password(connection, &password);

	if (request_key_is_valid(user))
		memcpy(request->key, user, sizeof(request->key));
	MHD_free(user);
	MHD_free(password);
}

static void put_warning(const char *text, struct answer *answer)
{
	CLEANUP(buf_release) struct buf buf = BUF_INIT(4096);
	struct json_out json = JSON_OUT(&buf);

	json_put_open(&json, '[');
	json_put_str(&json, str_of(text));
	json_put_close(&json, ']');
	snprintf(answer->warning, sizeof(answer->warning), "%s", buf_text(&buf));
}

/* True where the fault is the answer. */
static bool apply_fault(const struct fault *fault, struct answer *answer)
{
	if (fault->delay_ms > 0)
		fault_wait(fault->delay_ms * (NS_PER_SECOND / 1000));
	if (fault->warning[0])
		put_warning(fault->warning, answer);
	if (fault->status == 0)
		return false;
	answer->retry_after_s = fault->retry_after_s;
	if (fault->error_case[0])
		answer_case(answer, (int)fault->status, fault->error_case, fault->message, NULL);
	else
		answer_detail(answer, (int)fault->status, fault->message[0] ? fault->message : "a fault on demand");
	return true;
}

static void answer_call(struct server *server, const struct request *request, struct answer *answer)
{
	struct fault fault = FAULT_INIT;
	bool is_control, hit;
	call_fn *call = route_find(request->method, request->path, &is_control, answer);

	hit = !is_control && faults_take(&server->simulator->faults, request->method, request->path, &fault);
	if (hit && apply_fault(&fault, answer))
		call = NULL;
	else if (call && !is_control && !request->key[0])
		answer_case(answer, 401, "auth_authentication_failed", "Authentication failed.", NULL);
	else if (call && request->body.overflow)
		answer_detail(answer, 413, "Request Entity Too Large");
	else if (call)
		call(server->simulator, request, answer);
	if (hit)
		fault_trouble_body(&fault, answer);
}

static mhd_result answer_request(struct server *server, struct MHD_Connection *connection, struct request *request)
{
	CLEANUP(answer_release) struct answer answer = ANSWER_INIT;
	const char *type = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Content-Type");

	MHD_get_connection_values(connection, MHD_GET_ARGUMENT_KIND, on_argument, request);
	if (type && strncmp(type, "application/x-www-form-urlencoded", 33) == 0 && request->body.len > 0)
		request_parse_form(request);
	read_key(connection, request);
	copy_header(connection, "Host", request->host, sizeof(request->host));
	copy_header(connection, "Range", request->range, sizeof(request->range));
	answer_call(server, request, &answer);
	return send_answer(server, connection, &answer);
}

/* Called with the headers, then with each part of the body, then once without data. */
static mhd_result on_request(void *cls, struct MHD_Connection *connection, const char *url, const char *method,
			     const char *version, const char *upload_data, size_t *upload_data_size, void **state)
{
	struct request *request = *state;

	(void)version;
	if (!request) {
		request = mem_zalloc(1, sizeof(*request));
		request->body = (struct buf)BUF_INIT(REQUEST_BODY_MAX);
		*state = request;
		return MHD_YES;
	}
	if (*upload_data_size > 0) {
		buf_put(&request->body, upload_data, *upload_data_size);
		*upload_data_size = 0;
		return MHD_YES;
	}
	request->method = method;
	request->path = url;
	return answer_request(cls, connection, request);
}

static void on_completed(void *cls, struct MHD_Connection *connection, void **state,
			 enum MHD_RequestTerminationCode code)
{
	struct request *request = *state;

	(void)cls;
	(void)connection;
	(void)code;
	if (request)
		request_release(request);
	free(request);
	*state = NULL;
}

/* --- the server -------------------------------------------------------------------------------------------------- */

static int parse_address(const char *text, struct sockaddr_in *ret, struct err *err)
{
	const char *colon = strrchr(text, ':');
	char host[HOST_MAX], *end;
	unsigned long port = colon ? strtoul(colon + 1, &end, 10) : 0;

	*ret = (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
	if (!colon || colon[1] == '\0' || *end || port > UINT16_MAX || colon - text >= HOST_MAX)
		return err_set(err, ERR_FATAL, "'%s': an address such as 127.0.0.1:8800 is needed", text);
	snprintf(host, sizeof(host), "%.*s", (int)(colon - text), text);
	if (inet_pton(AF_INET, host, &ret->sin_addr) != 1)
		return err_set(err, ERR_FATAL, "'%s' is not an IPv4 address", host);
	return 0;
}

/* A PEM file with key and certificate; NULL in *ret: plain HTTP. */
static int read_tls(const char *path, char **ret, struct err *err)
{
	FILE *file = path ? fopen(path, "re") : NULL;
	size_t n;

	*ret = NULL;
	if (!path)
		return 0;
	if (!file)
		return err_set(err, ERR_FATAL, "%s: %s", path, strerror(errno));
	*ret = mem_zalloc(1, PEM_MAX + 1);
	n = fread(*ret, 1, PEM_MAX, file);
	fclose(file);
	return n > 0 ? 0 : err_set(err, ERR_FATAL, "%s: nothing in it", path);
}

static struct MHD_Daemon *start(struct server *server, const struct sockaddr_in *address, char *pem)
{
	unsigned flags = MHD_USE_THREAD_PER_CONNECTION | MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_POLL;
	struct MHD_OptionItem tls[] = {
		{ pem ? MHD_OPTION_HTTPS_MEM_KEY : MHD_OPTION_END, 0, pem },
		{ MHD_OPTION_HTTPS_MEM_CERT, 0, pem },
		{ MHD_OPTION_END, 0, NULL },
	};

	return MHD_start_daemon(pem ? flags | MHD_USE_TLS : flags, 0, NULL, NULL, on_request, server,
				MHD_OPTION_SOCK_ADDR, address, MHD_OPTION_CONNECTION_LIMIT, CONNECTIONS_MAX,
				MHD_OPTION_CONNECTION_TIMEOUT, CONNECTION_TIMEOUT_S, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
				(size_t)CONNECTION_MEMORY, MHD_OPTION_NOTIFY_COMPLETED, on_completed, NULL,
				MHD_OPTION_ARRAY, tls, MHD_OPTION_END);
}

int server_open(struct server **ret, struct simulator *simulator, struct err *err)
{
	CLEANUP(server_freep) struct server *server = mem_zalloc(1, sizeof(*server));
	struct sockaddr_in address;

	server->simulator = simulator;
	if (parse_address(simulator->options.listen, &address, err) ||
	    read_tls(simulator->options.tls, &server->pem, err))
		return -1;
	errno = 0;
	server->daemon = start(server, &address, server->pem);
	if (!server->daemon)
		return err_set(err, ERR_FATAL, "cannot listen on %s: %s", simulator->options.listen, strerror(errno));
	*ret = STEAL(server);
	return 0;
}

void server_freep(struct server **server)
{
	if (!*server)
		return;
	fault_end_waits();
	if ((*server)->daemon)
		MHD_stop_daemon((*server)->daemon);
	free((*server)->pem);
	free(*server);
	*server = NULL;
}

int server_port(const struct server *server)
{
	const union MHD_DaemonInfo *info = MHD_get_daemon_info(server->daemon, MHD_DAEMON_INFO_BIND_PORT);

	return info ? info->port : 0;
}

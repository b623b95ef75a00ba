#include "common/http_server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <microhttpd.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/log.h"
#include "common/mem.h"

#define REQUEST_BODY_MAX (1024 * 1024)
#define RESPONSE_BODY_MAX (64 * 1024 * 1024)
#define STREAM_BLOCK (64 * 1024)
#define CONNECTIONS_MAX 128
#define CONNECTION_TIMEOUT_S 30
#define CONNECTION_MEMORY (64 * 1024)

#if MHD_VERSION >= 0x00097002
typedef enum MHD_Result mhd_result;
#else
typedef int mhd_result;
#endif

struct http_server {
	struct MHD_Daemon *daemon;
	http_handler_fn *handler;
	void *self;
};

/* One request while its body arrives. */
struct exchange {
	struct buf body;
};

const char *http_argument(const struct http_request *request, const char *name)
{
	return MHD_lookup_connection_value(request->connection, MHD_GET_ARGUMENT_KIND, name);
}

struct visit {
	void (*visit)(void *self, const char *name, const char *value);
	void *self;
};

static mhd_result visit_argument(void *cls, enum MHD_ValueKind kind, const char *name, const char *value)
{
	const struct visit *v = cls;

	(void)kind;
	v->visit(v->self, name, value);
	return MHD_YES;
}

void http_each_argument(const struct http_request *request,
			void (*visit)(void *self, const char *name, const char *value), void *self)
{
	struct visit v = { visit, self };

	MHD_get_connection_values(request->connection, MHD_GET_ARGUMENT_KIND, visit_argument, &v);
}

const char *http_request_header(const struct http_request *request, const char *name)
{
	return MHD_lookup_connection_value(request->connection, MHD_HEADER_KIND, name);
}

static ssize_t read_stream(void *cls, uint64_t at, char *to, size_t n)
{
	struct http_stream *stream = cls;
	ssize_t got = stream->read(stream->self, to, n);

	(void)at;
	if (got == 0)
		return MHD_CONTENT_READER_END_OF_STREAM;
	return got < 0 ? MHD_CONTENT_READER_END_WITH_ERROR : got;
}

static void free_stream(void *cls)
{
	struct http_stream *stream = cls;

	stream->free(stream->self);
	free(stream);
}

static struct MHD_Response *make_response(const struct http_response *response)
{
	struct MHD_Response *r;
	struct http_stream *stream;

	if (!response->stream.read)
		return MHD_create_response_from_buffer(response->body.len, (void *)response->body.data,
						       MHD_RESPMEM_MUST_COPY);
	stream = mem_alloc(sizeof(*stream));
	*stream = response->stream;
	r = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, STREAM_BLOCK, read_stream, stream, free_stream);
	if (!r)
		free_stream(stream);
	return r;
}

static mhd_result respond(struct MHD_Connection *connection, struct http_response *response)
{
	struct MHD_Response *r = make_response(response);
	mhd_result sent;

	if (!r)
		return MHD_NO;
	if (response->content_type)
		MHD_add_response_header(r, "Content-Type", response->content_type);
	if (response->location[0])
		MHD_add_response_header(r, "Location", response->location);
	if (response->allow[0])
		MHD_add_response_header(r, "Allow", response->allow);
	if (response->status == 401)
		MHD_add_response_header(r, "WWW-Authenticate", "Bearer");
	MHD_add_response_header(r, "Cache-Control", "no-store");
	sent = MHD_queue_response(connection, (unsigned)response->status, r);
	MHD_destroy_response(r);
	return sent;
}

static void release_body(struct http_response *response)
{
	buf_release(&response->body);
}

static mhd_result answer(struct http_server *server, struct MHD_Connection *connection, const char *method,
			 const char *url, struct exchange *exchange)
{
	CLEANUP(release_body) struct http_response response = { .status = 200, .body = BUF_INIT(RESPONSE_BODY_MAX) };
	struct http_request request = {
		.method = method,
		.path = url,
		.body = buf_str(&exchange->body),
		.connection = connection,
		.body_too_large = exchange->body.overflow,
	};

	server->handler(server->self, &request, &response);
	return respond(connection, &response);
}

/* Called with the headers, then with each part of the body, then once without data. */
static mhd_result on_request(void *cls, struct MHD_Connection *connection, const char *url, const char *method,
			     const char *version, const char *upload_data, size_t *upload_data_size, void **state)
{
	struct exchange *exchange = *state;

	(void)version;
	if (!exchange) {
		exchange = mem_zalloc(1, sizeof(*exchange));
		exchange->body = (struct buf)BUF_INIT(REQUEST_BODY_MAX);
		*state = exchange;
		return MHD_YES;
	}
	if (*upload_data_size > 0) {
		buf_put(&exchange->body, upload_data, *upload_data_size);
		*upload_data_size = 0;
		return MHD_YES;
	}
	return answer(cls, connection, method, url, exchange);
}

static void on_completed(void *cls, struct MHD_Connection *connection, void **state,
			 enum MHD_RequestTerminationCode code)
{
	struct exchange *exchange = *state;

	(void)cls;
	(void)connection;
	(void)code;
	if (exchange)
		buf_release(&exchange->body);
	free(exchange);
	*state = NULL;
}

static struct MHD_Daemon *start(struct http_server *server, const struct sockaddr_in *address, unsigned threads)
{
	unsigned flags = MHD_USE_EPOLL_INTERNAL_THREAD;

	/* An option list without a pool of one: MHD refuses that. */
	if (threads < 2)
		return MHD_start_daemon(flags, 0, NULL, NULL, on_request, server, MHD_OPTION_SOCK_ADDR, address,
					MHD_OPTION_CONNECTION_LIMIT, CONNECTIONS_MAX, MHD_OPTION_CONNECTION_TIMEOUT,
					CONNECTION_TIMEOUT_S, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
					(size_t)CONNECTION_MEMORY, MHD_OPTION_NOTIFY_COMPLETED, on_completed, NULL,
					MHD_OPTION_END);
	return MHD_start_daemon(flags, 0, NULL, NULL, on_request, server, MHD_OPTION_SOCK_ADDR, address,
				MHD_OPTION_THREAD_POOL_SIZE, threads, MHD_OPTION_CONNECTION_LIMIT, CONNECTIONS_MAX,
				MHD_OPTION_CONNECTION_TIMEOUT, CONNECTION_TIMEOUT_S, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
				(size_t)CONNECTION_MEMORY, MHD_OPTION_NOTIFY_COMPLETED, on_completed, NULL,
				MHD_OPTION_END);
}

int http_server_open(struct http_server **ret, const struct config *cfg, unsigned threads, http_handler_fn *handler,
		     void *self, struct err *err)
{
	const char *host = config_text(cfg, "http.bind");
	int port = (int)config_int(cfg, "http.port");
	CLEANUP(http_server_freep) struct http_server *server = mem_zalloc(1, sizeof(*server));
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };

	if (inet_pton(AF_INET, host, &address.sin_addr) != 1)
		return err_set(err, ERR_FATAL, "http.bind: '%s' is not an IPv4 address", host);
	server->handler = handler;
	server->self = self;
	errno = 0;
	server->daemon = start(server, &address, threads);
	if (!server->daemon)
		return err_set(err, ERR_FATAL, "cannot listen on %s:%d: %s; set http.port to a free one", host, port,
			       strerror(errno));
	*ret = STEAL(server);
	return 0;
}

void http_server_freep(struct http_server **server)
{
	if (!*server)
		return;
	if ((*server)->daemon)
		MHD_stop_daemon((*server)->daemon);
	free(*server);
	*server = NULL;
}

int http_server_port(const struct http_server *server)
{
	const union MHD_DaemonInfo *info = MHD_get_daemon_info(server->daemon, MHD_DAEMON_INFO_BIND_PORT);

	return info ? info->port : 0;
}

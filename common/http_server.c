#include "common/http_server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <microhttpd.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/http_peers.h"
#include "common/log.h"
#include "common/mem.h"

#define RESPONSE_BODY_MAX (64 * 1024 * 1024)
#define STREAM_BLOCK (64 * 1024)
#define DRAINED 16 /* times the largest body: so much of a larger one is read, so that its sender reads the answer */
#define MEMORY_HEADERS 16   /* times the largest headers: up to there they are read, and refused by us */
#define SPARE_CONNECTIONS 2 /* times the most: those that are being dropped are still there for a moment */
#define RETRY_AFTER_S "5"

#if MHD_VERSION >= 0x00097002
typedef enum MHD_Result mhd_result;
#else
typedef int mhd_result;
#endif

struct http_server {
	struct MHD_Daemon *daemon;
	struct http_peers *peers;
	http_handler_fn *handler;
	void *self;
	size_t body_max, headers_max;
};

/* One request while it arrives. */
struct exchange {
	struct buf body, path;
	size_t target_len, arrived; /* bytes: of the path with its query, of the body */
	bool headers_seen;
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
	if (response->status == 503)
		MHD_add_response_header(r, "Retry-After", RETRY_AFTER_S);
	MHD_add_response_header(r, "Cache-Control", "no-store");
	sent = MHD_queue_response(connection, (unsigned)response->status, r);
	MHD_destroy_response(r);
	return sent;
}

static void release_body(struct http_response *response)
{
	buf_release(&response->body);
}

/* --- what is in a URL -------------------------------------------------------------------------------------------------- */

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)(c | 0x20);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/*
 * The byte that three characters stand for; -1: they do not. A NUL would end the text before what follows it, so that a
 * part of it passed for the whole: it becomes a byte that no text has.
 */
static int escaped(const char *at, size_t left)
{
	int high = left > 2 && at[0] == '%' ? hex_digit(at[1]) : -1, low = high >= 0 ? hex_digit(at[2]) : -1;

	if (low < 0)
		return -1;
	return high == 0 && low == 0 ? 0xff : high << 4 | low;
}

/* keep: bytes that are left as they are written */
static void unescape(const char *text, size_t len, const char *keep, struct buf *out)
{
	for (size_t i = 0; i < len; i++) {
		int byte = escaped(text + i, len - i);

		if (byte < 0 || strchr(keep, byte)) {
			buf_put_u8(out, (uint8_t)text[i]);
		} else {
			buf_put_u8(out, (uint8_t)byte);
			i += 2;
		}
	}
}

void http_path_part(struct str part, struct buf *out)
{
	unescape(part.data, part.len, "", out);
}

/* Of the arguments; the path is taken from the URL as it came. In place: it only ever gets shorter. */
static size_t unescape_argument(void *unused, struct MHD_Connection *connection, char *text)
{
	size_t len = strlen(text), n = 0;

	(void)unused;
	(void)connection;
	for (size_t i = 0; i < len; i++, n++) {
		int byte = escaped(text + i, len - i);

		text[n] = byte < 0 ? text[i] : (char)byte;
		i += byte < 0 ? 0 : 2;
	}
	text[n] = '\0';
	return n;
}

/* --- requests ---------------------------------------------------------------------------------------------------------- */

static struct http_peer *peer_of(struct MHD_Connection *connection)
{
	const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);

	return info ? info->socket_context : NULL;
}

static void begin_exchange(struct http_server *server, struct MHD_Connection *connection)
{
	struct http_peer *peer = peer_of(connection);

	if (peer)
		http_peer_began(server->peers, peer);
}

/* Called with the first line, before the headers are there. What separates a path's parts is told from what is in them. */
static void *on_target(void *cls, const char *target, struct MHD_Connection *connection)
{
	struct http_server *server = cls;
	struct exchange *exchange = mem_zalloc(1, sizeof(*exchange));

	begin_exchange(server, connection);
	exchange->target_len = strlen(target);
	exchange->body = (struct buf)BUF_INIT(server->body_max);
	exchange->path = (struct buf)BUF_INIT(exchange->target_len + 1);
	unescape(target, strcspn(target, "?"), "/%", &exchange->path);
	return exchange;
}

static mhd_result answer(struct http_server *server, struct MHD_Connection *connection, const char *method,
			 struct exchange *exchange)
{
	CLEANUP(release_body) struct http_response response = { .status = 200, .body = BUF_INIT(RESPONSE_BODY_MAX) };
	struct http_request request = {
		.method = method,
		.path = buf_text(&exchange->path),
		.body = buf_str(&exchange->body),
		.connection = connection,
	};
	struct http_peer *peer = peer_of(connection);

	if (peer)
		http_peer_asked(server->peers, peer);
	server->handler(server->self, &request, &response);
	return respond(connection, &response);
}

static mhd_result refuse(struct MHD_Connection *connection, int status, const char *title, const char *key, size_t max)
{
	CLEANUP(release_body)
	struct http_response response = { .status = status,
					  .content_type = "application/problem+json",
					  .body = BUF_INIT(RESPONSE_BODY_MAX) };

	log_warning("http_request_refused", LOG_FIELDS(log_i64("status", status)), "HTTP request refused: %d %s",
		    status, title);
	buf_printf(
		&response.body,
		"{\"type\": \"about:blank\", \"title\": \"%s\", \"status\": %d, \"detail\": \"more than the %zu bytes that"
		" this server takes (%s)\"}",
		title, status, max, key);
	return respond(connection, &response);
}

static size_t header_bytes(struct MHD_Connection *connection)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(connection, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);

	return info ? info->header_size : 0;
}

static const char *header(struct MHD_Connection *connection, const char *name)
{
	return MHD_lookup_connection_value(connection, MHD_HEADER_KIND, name);
}

/* A client that waits before it sends its body is spared sending it. */
static bool waits_with_too_much(const struct http_server *server, struct MHD_Connection *connection)
{
	const char *length = header(connection, "Content-Length");

	return header(connection, "Expect") && length && strtoull(length, NULL, 10) > server->body_max;
}

static mhd_result take_headers(struct http_server *server, struct MHD_Connection *connection, struct exchange *exchange)
{
	exchange->headers_seen = true;
	if (exchange->target_len > server->headers_max)
		return refuse(connection, 414, "URI Too Long", "http.headers_bytes", server->headers_max);
	if (header_bytes(connection) > server->headers_max)
		return refuse(connection, 431, "Request Header Fields Too Large", "http.headers_bytes",
			      server->headers_max);
	if (waits_with_too_much(server, connection))
		return refuse(connection, 413, "Content Too Large", "http.body_bytes", server->body_max);
	return MHD_YES;
}

/* More than the largest body is read and forgotten, as many clients read no answer before they have sent all. */
static mhd_result take_body(const struct http_server *server, struct exchange *exchange, const char *data, size_t *n)
{
	exchange->arrived += *n;
	if (exchange->arrived > server->body_max * DRAINED)
		return MHD_NO;
	buf_put(&exchange->body, data, *n);
	*n = 0;
	return MHD_YES;
}

/* Called with the headers, then with each part of the body, then once without data. */
static mhd_result on_request(void *cls, struct MHD_Connection *connection, const char *url, const char *method,
			     const char *version, const char *upload_data, size_t *upload_data_size, void **state)
{
	struct http_server *server = cls;
	struct exchange *exchange = *state;

	(void)url;
	(void)version;
	if (!exchange->headers_seen)
		return take_headers(server, connection, exchange);
	if (*upload_data_size > 0)
		return take_body(server, exchange, upload_data, upload_data_size);
	if (exchange->body.overflow)
		return refuse(connection, 413, "Content Too Large", "http.body_bytes", server->body_max);
	return answer(server, connection, method, exchange);
}

static void on_completed(void *cls, struct MHD_Connection *connection, void **state,
			 enum MHD_RequestTerminationCode code)
{
	struct http_server *server = cls;
	struct exchange *exchange = *state;
	struct http_peer *peer = peer_of(connection);

	(void)code;
	if (exchange) {
		buf_release(&exchange->body);
		buf_release(&exchange->path);
	}
	free(exchange);
	*state = NULL;
	if (peer)
		http_peer_answered(server->peers, peer);
}

/* --- the server -------------------------------------------------------------------------------------------------------- */

static void on_connection(void *cls, struct MHD_Connection *connection, void **context,
			  enum MHD_ConnectionNotificationCode code)
{
	struct http_server *server = cls;

	if (code == MHD_CONNECTION_NOTIFY_STARTED) {
		int fd = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;

		*context = http_peer_add(
			server->peers, fd,
			MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS)->client_addr);
	} else if (*context) {
		http_peer_remove(server->peers, *context);
		*context = NULL;
	}
}

static struct MHD_Daemon *start(struct http_server *server, const struct config *cfg, const struct sockaddr_in *address,
				unsigned threads)
{
	unsigned connections = (unsigned)config_int(cfg, "http.connections") * SPARE_CONNECTIONS;
	/* MHD refuses a pool of one. */
	struct MHD_OptionItem pool[] = {
		{ threads > 1 ? MHD_OPTION_THREAD_POOL_SIZE : MHD_OPTION_END, threads, NULL },
		{ MHD_OPTION_END, 0, NULL },
	};

	return MHD_start_daemon(MHD_USE_EPOLL_INTERNAL_THREAD, 0, NULL, NULL, on_request, server, MHD_OPTION_SOCK_ADDR,
				address, MHD_OPTION_ARRAY, pool, MHD_OPTION_CONNECTION_LIMIT, connections,
				MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)config_int(cfg, "http.idle_s"),
				MHD_OPTION_CONNECTION_MEMORY_LIMIT, server->headers_max * MEMORY_HEADERS,
				MHD_OPTION_URI_LOG_CALLBACK, on_target, server, MHD_OPTION_UNESCAPE_CALLBACK,
				unescape_argument, NULL, MHD_OPTION_NOTIFY_CONNECTION, on_connection, server,
				MHD_OPTION_NOTIFY_COMPLETED, on_completed, server, MHD_OPTION_END);
}

static int start_peers(struct http_server *server, const struct config *cfg, struct err *err)
{
	const struct http_peer_limits limits = {
		.connections = (unsigned)config_int(cfg, "http.connections"),
		.per_address = (unsigned)config_int(cfg, "http.connections_per_address"),
		.request_s = config_int(cfg, "http.request_s"),
		.idle_s = config_int(cfg, "http.idle_s"),
	};

	return http_peers_start(&server->peers, &limits, err);
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
	server->body_max = (size_t)config_int(cfg, "http.body_bytes");
	server->headers_max = (size_t)config_int(cfg, "http.headers_bytes");
	if (start_peers(server, cfg, err))
		return -1;
	errno = 0;
	server->daemon = start(server, cfg, &address, threads);
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
	http_peers_freep(&(*server)->peers);
	free(*server);
	*server = NULL;
}

int http_server_port(const struct http_server *server)
{
	const union MHD_DaemonInfo *info = MHD_get_daemon_info(server->daemon, MHD_DAEMON_INFO_BIND_PORT);

	return info ? info->port : 0;
}

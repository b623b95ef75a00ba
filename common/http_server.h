#pragma once
/*
 * libmicrohttpd behind one door. Handlers run on the server's own threads;
 * limits on size, time and connections (http.*) hold here for every binary.
 */
#include <stdbool.h>
#include <sys/types.h>

#include "common/buf.h"
#include "common/config.h"
#include "common/err.h"

struct http_server;

struct http_request {
	const char *method;
	const char *path; /* "%2F" and "%25" as they came: http_path_part() */
	struct str body;
	void *connection; /* for http_argument(), http_request_header() */
};

/* A body that is made while it is sent. The server's threads call it, one at a time, and free it in any case. */
struct http_stream {
	ssize_t (*read)(void *self, char *to,
			size_t n); /* bytes; 0: the end; -1: it breaks off, and the client sees that */
	void (*free)(void *self);
	void *self;
};

struct http_response {
	int status;
	const char *content_type;
	char allow[64];     /* empty, or the Allow header of a 405 */
	char location[128]; /* empty: no Location header */
	struct buf body;
	struct http_stream stream; /* instead of the body where read is set */
};

const char *http_argument(const struct http_request *request, const char *name); /* query string; NULL if absent */
/* All of them, in no order; value may be NULL. */
void http_each_argument(const struct http_request *request,
			void (*visit)(void *self, const char *name, const char *value), void *self);
/* What stands between two '/' of the path, which may have a '/' in it. */
void http_path_part(struct str part, struct buf *out);
const char *http_request_header(const struct http_request *request, const char *name);

typedef void http_handler_fn(void *self, const struct http_request *request, struct http_response *response);

/*
 * Listens on http.bind, http.port (0: a free one). ERR_FATAL names address
 * and port when it is taken. threads: 1, or more for handlers that wait.
 */
int http_server_open(struct http_server **ret, const struct config *cfg, unsigned threads, http_handler_fn *handler,
		     void *self, struct err *err);
void http_server_freep(struct http_server **server);
int http_server_port(const struct http_server *server);

#pragma once
/*
 * HTTP and HTTPS to vendors: transfers on a thread of their own (libuv and
 * curl's multi interface), read by another thread that never waits for them.
 * A body comes through a buffer of fixed size: where its reader falls behind,
 * the transfer is paused.
 *
 * One thread starts, reads and frees a client's transfers.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "common/str.h"

struct http_client;
struct http_transfer;

/* Called on the client's thread: there is something new about one of the transfers. */
typedef void http_wake_fn(void *self);

int http_client_start(struct http_client **ret, http_wake_fn *wake, void *self, struct err *err);
/* Its transfers are freed before. */
void http_client_freep(struct http_client **client);

/* Copied where it must outlast the call. */
struct http_call {
	const char *url;
	const char *form;    /* POST, application/x-www-form-urlencoded; NULL: GET */
	const char *user;    /* basic authentication with an empty password; NULL: none */
	const char *ca_file; /* PEM; NULL or "": the system's */
	int64_t range_from;  /* bytes from here on are asked for; 0: all */
	unsigned stall_s;    /* without a byte for so long, while somebody reads, it fails */
};

struct http_transfer *http_start(struct http_client *client, const struct http_call *call);
/* Ends it, wherever it stands. */
void http_transfer_freep(struct http_transfer **transfer);

enum http_state {
	HTTP_GOING,
	HTTP_ENDED,  /* the whole body is there */
	HTTP_FAILED, /* http_failure() says why; what came before can be read */
};
enum http_state http_state(struct http_transfer *transfer);

/* 0: not known yet. Once it is, so are the headers. */
long http_status(struct http_transfer *transfer);

/* Of the last response; false: there is none of that name. Cut where it is too long. */
bool http_header(struct http_transfer *transfer, const char *name, char *text, size_t size);

/* How many bytes of the body were put at `to`; 0: none now, or none any more, which http_state() tells if asked before. */
size_t http_read(struct http_transfer *transfer, uint8_t *to, size_t n);

/* Owned by the transfer. */
const char *http_failure(struct http_transfer *transfer);

/* name=value for a form or query, percent-encoded; & in between. */
struct buf;
void http_put_field(struct buf *form, const char *name, struct str value);

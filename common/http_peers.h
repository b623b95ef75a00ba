#pragma once
/*
 * Who is connected to an HTTP server, and how long it has been waited for.
 *
 * A connection is awaited until its request is there whole, and again after
 * the answer. One that takes too long is dropped, however often it sends a
 * byte. Where there are too many, in all or of one address, the one that has
 * been awaited longest makes room: those that hold connections without asking
 * anything never keep out one that asks.
 */
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "common/err.h"

struct http_peers;
struct http_peer;

struct http_peer_limits {
	unsigned connections, per_address;
	int64_t request_s; /* until a request is there whole */
	int64_t idle_s;    /* that one may be kept after an answer before the next begins */
};

/* Starts a thread that drops those that take too long. */
int http_peers_start(struct http_peers **ret, const struct http_peer_limits *limits, struct err *err);
void http_peers_freep(struct http_peers **peers);

/* The socket stays the caller's, who closes it after http_peer_remove(): dropping shuts it down. */
struct http_peer *http_peer_add(struct http_peers *peers, int socket, const struct sockaddr *address);
void http_peer_remove(struct http_peers *peers, struct http_peer *peer);

void http_peer_began(struct http_peers *peers, struct http_peer *peer); /* the request's first line is there */
void http_peer_asked(struct http_peers *peers, struct http_peer *peer); /* the whole request is */
void http_peer_answered(struct http_peers *peers, struct http_peer *peer);

#include "common/http_peers.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/wakeup.h"

#define LOOK_MS 250
#define LAST_WORDS_MAX 512

struct http_peer {
	struct http_peer *next, **at; /* at: what points to this one */
	int socket;
	uint32_t address;
	int64_t since_ns, until_ns; /* awaited */
	bool awaited, speaking, dropped;
};

struct http_peers {
	struct http_peer_limits limits;
	pthread_t thread;
	struct wakeup wakeup;
	pthread_mutex_t lock;
	struct http_peer *first;
};

/* --- dropping, under the lock -------------------------------------------------------------------------------------------- */

/* A client that keeps a connection for its next request would take these words for that one's answer. */
static void say(const struct http_peer *peer, int status, const char *title, const char *detail)
{
	char words[LAST_WORDS_MAX], body[LAST_WORDS_MAX / 2];
	int n = snprintf(body, sizeof(body),
			 "{\"type\": \"about:blank\", \"title\": \"%s\", \"status\": %d, \"detail\": \"%s\"}", title,
			 status, detail);

	n = snprintf(words, sizeof(words),
		     "HTTP/1.1 %d %s\r\nContent-Type: application/problem+json\r\nContent-Length: %d\r\n"
		     "%sConnection: close\r\n\r\n%s",
		     status, title, n, status == 503 ? "Retry-After: 5\r\n" : "", body);
	if (peer->speaking)
		send(peer->socket, words, (size_t)n, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void drop(struct http_peer *peer, int status, const char *title, const char *detail)
{
	char address[INET_ADDRSTRLEN];

	say(peer, status, title, detail);
	shutdown(peer->socket, SHUT_RDWR); /* who serves it sees its end, and closes it */
	peer->dropped = true;
	inet_ntop(AF_INET, &peer->address, address, sizeof(address));
	log_warning("http_connection_dropped", LOG_FIELDS(log_str("address", address), log_i64("status", status)),
		    "HTTP connection of %s dropped: %s", address, detail);
}

static void drop_late(struct http_peers *peers, int64_t now)
{
	char detail[128];

	for (struct http_peer *peer = peers->first; peer; peer = peer->next) {
		if (peer->dropped || !peer->awaited || now < peer->until_ns)
			continue;
		snprintf(detail, sizeof(detail), "no whole request within %lld s (http.request_s)",
			 (long long)peers->limits.request_s);
		drop(peer, 408, "Request Timeout", detail);
	}
}

struct crowd {
	unsigned count;
	struct http_peer *longest; /* awaited; NULL: every one is being answered */
};

/* address: 0 for all */
static struct crowd crowd_of(const struct http_peers *peers, uint32_t address, const struct http_peer *but)
{
	struct crowd crowd = { .count = 0 };

	for (struct http_peer *peer = peers->first; peer; peer = peer->next) {
		if (peer->dropped || (address && peer->address != address))
			continue;
		crowd.count++;
		if (peer != but && peer->awaited && (!crowd.longest || peer->since_ns < crowd.longest->since_ns))
			crowd.longest = peer;
	}
	return crowd;
}

static void make_room(struct http_peers *peers, uint32_t address, unsigned max, struct http_peer *for_whom,
		      const char *key)
{
	struct crowd crowd = crowd_of(peers, address, for_whom);
	char detail[160];

	if (crowd.count <= max)
		return;
	snprintf(detail, sizeof(detail), "there are more than %u connections%s (%s); try again later", max,
		 address ? " of this address" : "", key);
	drop(crowd.longest ? crowd.longest : for_whom, 503, "Service Unavailable", detail);
}

/* --- the connections ------------------------------------------------------------------------------------------------------- */

static void await(struct http_peer *peer, int64_t seconds)
{
	peer->awaited = true;
	peer->since_ns = clock_monotonic_ns();
	peer->until_ns = peer->since_ns + seconds * NS_PER_SECOND;
}

static void link_first(struct http_peers *peers, struct http_peer *peer)
{
	peer->next = peers->first;
	peer->at = &peers->first;
	if (peer->next)
		peer->next->at = &peer->next;
	peers->first = peer;
}

struct http_peer *http_peer_add(struct http_peers *peers, int socket, const struct sockaddr *address)
{
	struct http_peer *peer = mem_zalloc(1, sizeof(*peer));

	peer->socket = socket;
	peer->speaking = true; /* its first request is what it came for */
	if (address && address->sa_family == AF_INET)
		memcpy(&peer->address, (const char *)address + offsetof(struct sockaddr_in, sin_addr),
		       sizeof(peer->address));
	await(peer, peers->limits.request_s);
	pthread_mutex_lock(&peers->lock);
	link_first(peers, peer);
	make_room(peers, peer->address, peers->limits.per_address, peer, "http.connections_per_address");
	if (!peer->dropped)
		make_room(peers, 0, peers->limits.connections, peer, "http.connections");
	pthread_mutex_unlock(&peers->lock);
	return peer;
}

void http_peer_remove(struct http_peers *peers, struct http_peer *peer)
{
	pthread_mutex_lock(&peers->lock);
	*peer->at = peer->next;
	if (peer->next)
		peer->next->at = peer->at;
	pthread_mutex_unlock(&peers->lock);
	free(peer);
}

void http_peer_began(struct http_peers *peers, struct http_peer *peer)
{
	pthread_mutex_lock(&peers->lock);
	peer->speaking = true;
	pthread_mutex_unlock(&peers->lock);
}

void http_peer_asked(struct http_peers *peers, struct http_peer *peer)
{
	pthread_mutex_lock(&peers->lock);
	peer->awaited = false;
	pthread_mutex_unlock(&peers->lock);
}

void http_peer_answered(struct http_peers *peers, struct http_peer *peer)
{
	pthread_mutex_lock(&peers->lock);
	peer->speaking = false;
	await(peer, peers->limits.idle_s + peers->limits.request_s);
	pthread_mutex_unlock(&peers->lock);
}

/* --- all of them ----------------------------------------------------------------------------------------------------------- */

static void *look(void *self)
{
	struct http_peers *peers = self;

	while (wakeup_wait(&peers->wakeup, LOOK_MS)) {
		pthread_mutex_lock(&peers->lock);
		drop_late(peers, clock_monotonic_ns());
		pthread_mutex_unlock(&peers->lock);
	}
	return NULL;
}

int http_peers_start(struct http_peers **ret, const struct http_peer_limits *limits, struct err *err)
{
	struct http_peers *peers = mem_zalloc(1, sizeof(*peers));
	int failed;

	peers->limits = *limits;
	pthread_mutex_init(&peers->lock, NULL);
	wakeup_init(&peers->wakeup);
	failed = pthread_create(&peers->thread, NULL, look, peers);
	if (failed) {
		wakeup_release(&peers->wakeup);
		pthread_mutex_destroy(&peers->lock);
		free(peers);
		return err_set(err, ERR_FATAL, "no thread for the connections of HTTP: %s", strerror(failed));
	}
	*ret = peers;
	return 0;
}

void http_peers_freep(struct http_peers **pointer)
{
	struct http_peers *peers = *pointer;

	if (!peers)
		return;
	wakeup_stop(&peers->wakeup);
	pthread_join(peers->thread, NULL);
	wakeup_release(&peers->wakeup);
	pthread_mutex_destroy(&peers->lock);
	free(peers);
	*pointer = NULL;
}
